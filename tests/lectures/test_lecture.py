"""Pages of lectures: the command, and that the committed pages are what it makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from ganzoo.cli import main
from ganzoo.lectures.lecture import Lecture, Part, give, head, lecture_of, lines, list_lectures, table

THEORY = Path(__file__).resolve().parents[2] / "docs" / "theory"
every_lecture = pytest.mark.parametrize("name", list_lectures())


@every_lecture
def test_a_committed_page_is_what_the_command_makes_but_for_what_was_measured(name: str) -> None:
    lecture = lecture_of(name)
    page = (THEORY / f"{name}.md").read_text()
    assert lecture.name == name and f"]({name}.md)" in (THEORY / "README.md").read_text()
    assert page.startswith("\n".join(head(lecture)))
    at = 0
    for part in lecture.parts:
        before, after = "\n".join(lines(lecture, part, {part.name: "\0"})).split("\0")
        for text in (before, after):
            assert text in page[at:], f"`ganzoo lecture {name} --out docs/theory` makes another page: {part.title}"
            at = page.index(text, at)
        with Image.open(THEORY / name / f"{part.name}.png") as picture:
            assert min(picture.size) > 100 and len(picture.getcolors() or []) > 8


def test_pages_are_light_and_nothing_lies_about() -> None:
    files = {path.relative_to(THEORY) for path in THEORY.rglob("*") if path.is_file()}
    wanted = {Path("README.md")}
    for name in list_lectures():
        wanted |= {Path(f"{name}.md"), *(Path(name, f"{part.name}.png") for part in lecture_of(name).parts)}
    assert files == wanted
    assert sum((THEORY / path).stat().st_size for path in files if path.suffix == ".png") < 1.5 * 2**20


def test_a_page_is_written(tmp_path: Path) -> None:
    def draw() -> tuple[Image.Image, str]:
        return Image.new("RGB", (20, 10)), "It measured 3."

    part = Part("one", "A title", "An idea.", ("x = y", "y = z"), draw, "something else.")
    said: list[str] = []
    page = give(Lecture("trial", "Trials", "What for.", 3, (part,)), tmp_path, said.append)
    text = page.read_text()
    for piece in (
        "# Trials",
        "## A title",
        "x = y\ny = z",
        "![A title](trial/one.png)",
        "It measured 3.",
        "def draw()",
    ):
        assert piece in text
    assert (tmp_path / "trial" / "one.png").is_file() and said[0].startswith("trial 1/1: A title (")


def test_tables() -> None:
    assert table(("a", "b"), [(1, "x")]) == "| a | b |\n| --- | --- |\n| 1 | x |"


def test_the_command_lists_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lecture"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list_lectures()
    assert main(["lecture", "dynamcis"]) == 2
    assert capsys.readouterr().err == "ganzoo: there is no lecture 'dynamcis'; did you mean dynamics?\n"
    (tmp_path / "file").touch()
    assert main(["lecture", "dynamics", "--out", str(tmp_path / "file")]) == 2
    assert "no folder can be made there" in capsys.readouterr().err
