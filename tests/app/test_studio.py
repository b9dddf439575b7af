"""The page's requests without a browser: the code below a picture makes it again, bounds hold, visitors do not meet."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers import tiny
from PIL import Image

from ganzoo import cli
from ganzoo.app.page import launch, page
from ganzoo.app.studio import PICTURES, Studio
from ganzoo.folder import write_model
from ganzoo.types import BadArgument


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("models")
    for name in ("stylegan2", "infogan", "cyclegan", "gan"):
        write_model(tiny(name), root / name, {"name": name})
    return {name: str(root / name) for name in ("stylegan2", "infogan", "cyclegan", "gan")}


@pytest.fixture(scope="module")
def studio(models: dict[str, str]) -> Studio:
    return Studio([*models.values()])


def pixels(path: str | Path) -> Any:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.int16)


def test_the_code_below_a_picture_makes_it_again(
    studio: Studio, models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    style, info = models["stylegan2"], models["infogan"]
    answers = [
        studio.sample(style, 5, 4, "", 0.6),
        studio.sample(info, 5, 3, "2"),
        studio.move(style, 3, "", 2.0, 0.0, -1.0),
        studio.move(info, 3, "1", 1.0),
        studio.mix(style, "0, 1", "7,8,9", 0.7),
        studio.another(info)[:2],
    ]
    for file, code in answers:
        exec(code, {})
        made, again = pixels(file), pixels("picture.png")
        assert made.shape == again.shape and np.abs(made - again).max() <= 1, code
        with Image.open(file) as picture:
            assert code in picture.info["Description"], "the file says it too"
    file, code = studio.walk(style, "3, 1", 2)
    exec(code, {})
    with Image.open(file) as one, Image.open("walk.webp") as other:
        assert getattr(one, "n_frames", 1) == getattr(other, "n_frames", 1) == 4


def test_a_picture_is_translated(studio: Studio, models: dict[str, str], tmp_path: Path) -> None:
    Image.new("RGB", (50, 20), "red").save(tmp_path / "photo.jpg")
    file, _ = studio.translate(models["cyclegan"], str(tmp_path / "photo.jpg"))
    assert pixels(file).shape == (8, 8, 3)
    (tmp_path / "text.png").write_text("no picture")
    for given, text in ((None, "choose one first"), (str(tmp_path / "text.png"), "cannot be read")):
        with pytest.raises(BadArgument, match=text):
            studio.translate(models["cyclegan"], given)


def test_requests_are_held_against_what_they_may_be(studio: Studio, models: dict[str, str]) -> None:
    style, cycle = models["stylegan2"], models["cyclegan"]
    for ask, text in (
        (lambda: studio.sample("/etc", 0, 1), "not on this page's list"),
        (lambda: studio.sample(style, -1, 1), "seed is -1"),
        (lambda: studio.sample(style, 2**32, 1), "seed is"),
        (lambda: studio.sample(style, 0.5, 1), "seed is 0.5"),
        (lambda: studio.sample(style, 0, PICTURES + 1), f"from 1 to {PICTURES}"),
        (lambda: studio.sample(style, 0, 0), "from 1 to"),
        (lambda: studio.sample(style, 0, 1, "cat"), "no classes"),
        (lambda: studio.sample(models["gan"], 0, 1, "", 0.5), "has no truncation"),
        (lambda: studio.sample(cycle, 0, 1), "draws no pictures"),
        (lambda: studio.mix(models["infogan"], "1", "2"), "no styles to mix"),
        (lambda: studio.mix(style, "1; 2", "2"), "up to 32 numbers"),
        (lambda: studio.mix(style, ",".join("1" * 20), ",".join("1" * 20)), "400 pictures"),
        (lambda: studio.walk(cycle, "1, 2", 2), "no latents"),
        (lambda: studio.translate(style, __file__), "translates no pictures"),
        (lambda: Studio([style], seconds=-1).sample(style, 0, 2), "ask for fewer"),
    ):
        with pytest.raises(BadArgument, match=text) as caught:
            ask()  # type: ignore[no-untyped-call]
        assert "\n" not in str(caught.value)


def test_two_visitors_do_not_disturb_each_other(studio: Studio, models: dict[str, str]) -> None:
    names = [models["stylegan2"], models["infogan"]] * 6
    alone = [pixels(studio.sample(name, i, 2)[0]) for i, name in enumerate(names)]
    with ThreadPoolExecutor(4) as pool:
        files = [*pool.map(lambda pair: studio.sample(pair[1], pair[0], 2)[0], enumerate(names))]
    assert len({*files}) == len(files)
    assert all(np.array_equal(pixels(file), one) for file, one in zip(files, alone, strict=True))


def test_all_shipped_models_are_in_one_list(models: dict[str, str]) -> None:
    import ganzoo

    shipped = {each["name"] for each in ganzoo.list_models(status="shipped")}
    found = Studio([models["gan"], "dcgan-digits"]).models
    assert found[:2] == [models["gan"], "dcgan-digits"] and shipped <= {*found} and len(found) == len({*found})


def test_a_port_that_is_taken_is_one_line(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    blocks = page([models["gan"]])
    assert {each.api_name for each in blocks.fns.values()} >= {"sample", "another", "move", "mix", "walk", "translate"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadArgument, match=rf"^port {port} cannot be had .*--port$"):
            launch(blocks, port)
    assert cli.main(["explore", "--port", "70000"]) == 2
    assert cli.main(["explore", "dcgan-digitz"]) == 2
    assert "did you mean dcgan-digits" in capsys.readouterr().err


def test_a_space_is_three_files(tmp_path: Path, models: dict[str, str]) -> None:
    assert cli.main(["explore", "dcgan-digits", "--space", str(tmp_path / "space")]) == 0
    assert {each.name for each in (tmp_path / "space").iterdir()} == {"app.py", "requirements.txt", "README.md"}
    front = re.match(r"---\n(.*?)---\n", (tmp_path / "space" / "README.md").read_text(), re.S)
    assert front is not None and yaml.safe_load(front[1])["app_file"] == "app.py"
    compile((tmp_path / "space" / "app.py").read_text(), "app.py", "exec")
    assert "['dcgan-digits']" in (tmp_path / "space" / "app.py").read_text()
    assert cli.main(["explore", "--space", str(tmp_path / "space")]) == 2, "it is not written over"
    assert cli.main(["explore", models["gan"], "--space", str(tmp_path / "other")]) == 2, "nobody else has this folder"
