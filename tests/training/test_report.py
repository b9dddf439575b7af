"""The page of a run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

import ganzoo
from ganzoo.cli import main
from ganzoo.data.digits import Digits
from ganzoo.media.levels import to_float
from ganzoo.training.doctor import Novelty, read_log
from ganzoo.training.previews import QUANTILES


class Page(HTMLParser):
    """What a browser would fetch, and the page's text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    game = ganzoo.create("dcgan", size=8, channels=1, latent=8, width=8)
    folder = tmp_path_factory.mktemp("reports") / "a & <b>"
    ganzoo.train(game, Digits(batch_size=16), folder=folder, max_steps=60, preview_every=20)
    return folder


def test_the_page_holds_all_and_fetches_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run)]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == run / "report.html"
    text = path.read_text("utf-8")
    page = Page(text)
    assert page.links and all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "default-src 'none'" in text and "a &amp; &lt;b&gt;" in text and "a & <b>" not in text
    said = " ".join(page.text)
    for part in ("a & <b>", "step 0", "step 60", "real", "class_path", "--resume", "ganzoo push", "None was measured"):
        assert part in said, part
    for part in ("Nearest training pictures", "the training picture that is nearest to it in pixels"):
        assert part in said, part
    assert len(page.links) == 5 + 1 + 7, "scores, losses, speed, diversity, novelty, gradients and waiting"
    assert len(re.findall("<figure>", text)) == 5, "previews of steps 0, 20, 40 and 60, and the reals"


def test_the_log_has_what_the_page_shows(run: Path) -> None:
    rows = read_log(run)
    scored = [row for row in rows if "score_real_50" in row]
    assert [row["step"] for row in scored] == [20, 40, 60]
    for row in scored:
        for kind in ("real", "fake"):
            at = [row[f"score_{kind}_{q:02}"] for q in QUANTILES]
            assert at == sorted(at)
    lines = [row for row in rows if "generator_loss" in row]
    assert all(row["discriminator_gradient"] > 0 and row["generator_gradient"] > 0 for row in lines)
    assert all(0 <= row["waiting"] <= 1 for row in lines)


def test_nearest_training_pictures_are_found_where_they_lie() -> None:
    train = Digits(batch_size=4).open("train")
    known = [3, 500, 1400]
    samples = to_float(train.batch(known).images) * 0.9
    beside = Novelty(train, None).beside(samples)
    assert torch.equal(beside[:3], samples) and torch.equal(beside[3:], to_float(train.batch(known).images))


def test_a_run_of_the_command_line_ends_with_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--trainer.max_steps", "2", "--run.folder", str(tmp_path / "run"), "--run.protocols", "[]"]
    assert main(["train", "dcgan/digits", *words]) == 0
    assert f"how it went: {tmp_path / 'run' / 'report.html'}" in capsys.readouterr().out
    assert (tmp_path / "run" / "report.html").exists()


def test_a_page_elsewhere_and_of_no_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").exists()
    assert main(["report", str(tmp_path)]) == 1
    assert "give the folder of a run" in capsys.readouterr().err
