"""The page's requests without a browser: the code below a picture makes it again, bounds hold, visitors do not meet."""

from __future__ import annotations

import re
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from helpers import tiny
from PIL import Image

from ganzoo import cli, latent
from ganzoo.app.page import launch, page
from ganzoo.app.space import write_space
from ganzoo.app.studio import PICTURES, Studio, _strokes
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
        studio.move(style, 3, "", 0.8, 2.0, 0.0, -1.0),
        studio.move(info, 3, "1", 1.0, 1.0),
        studio.mix(style, "0, 1", "7,8,9", "", 0.7),
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
    Image.new("RGB", (20, 20), "red").save(tmp_path / "square.png")
    wide = Image.new("RGB", (60, 20), "blue")
    wide.paste("red", (10, 0, 50, 20))
    wide.save(tmp_path / "wide.png")
    square, middle = (pixels(studio.translate(models["cyclegan"], str(tmp_path / f"{n}.png"))[0])
                      for n in ("square", "wide"))  # fmt: skip
    assert np.abs(square - middle).max() <= 1, "the middle of it, and not the whole made narrow"
    (tmp_path / "text.png").write_text("no picture")
    for given, text in ((None, "choose one first"), (str(tmp_path / "text.png"), "cannot be read")):
        with pytest.raises(BadArgument, match=text):
            studio.translate(models["cyclegan"], given)


def test_a_slider_does_not_find_the_directions_anew(
    studio: Studio, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.move(models["infogan"], 0, "", 1.0, 1.0)
    monkeypatch.setattr(latent, "directions", None)
    studio.move(models["infogan"], 0, "", 1.0, 2.0)


def strokes(side: int, color: str = "#3060c0") -> dict[str, Any]:
    """What the editor hands over: a layer with a stroke over the upper left quarter."""
    layer = Image.new("RGBA", (side, side))
    layer.paste(color, (0, 0, side // 2, side // 2))
    return {"background": None, "layers": [layer], "composite": None}


def test_pictures_are_projected_and_painted_on_and_the_code_makes_them_again(
    studio: Studio, models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ganzoo.app.studio.at_hand", lambda name: name == "mobilenet_v2")
    monkeypatch.setattr("ganzoo.latent.projection.Perceptual", lambda *_: lambda images: images.flatten(1) / 8)
    Image.effect_noise((50, 20), 90).convert("RGB").save(tmp_path / "photo.jpg")
    for name in ("stylegan2", "infogan"):
        model, photo = models[name], str(tmp_path / "photo.jpg")
        label = "1" if name == "infogan" else ""
        ground = studio.canvas(model, 4, label)
        assert ground.size == (384, 384) and ground.mode == "RGB"
        answers = [studio.project(model, photo, "", 4), studio.paint(model, 4, label, 1.0, strokes(384), 20)]
        for file, code, latents in answers:
            assert pixels(file).shape[1] > pixels(file).shape[0], "two beside one another"
            shutil.copy(latents, tmp_path / "latents.safetensors")
            exec(code, {})
            again, both = pixels("picture.png"), pixels(file)
            right = both[:, -again.shape[1] :]
            assert np.abs(right[2:-2, 2:-2] - again[2:-2, 2:-2]).max() <= 1, code
    assert "squared distance in mobilenet_v2" in answers[0][1] and "LPIPS" not in answers[0][1]


def test_a_picture_of_ones_own_is_painted_on_from_its_encoding(tmp_path: Path) -> None:
    write_model(tiny("bigan"), tmp_path / "bigan", {})
    name, photo = str(tmp_path / "bigan"), str(tmp_path / "photo.png")
    Image.effect_noise((8, 8), 90).save(photo)
    page = Studio([name])
    levels = np.asarray(Image.open(photo)).astype(int)
    laid_out = page.canvas(name, 0, file=photo).convert("L").resize((8, 8), Image.Resampling.NEAREST)
    assert np.abs(np.asarray(laid_out).astype(int) - levels).max() <= 1
    file, _, latents = page.paint(name, 0, "", 1.0, strokes(384), 3, photo)
    left = pixels(file)[6:66:8, 6:66:8, 0]  # each pixel is 8 wide, behind a margin of 2
    assert np.abs(left.astype(int) - levels).max() <= 1
    model = page.model(name)
    began = model.encode(torch.from_numpy(levels).float()[None, None] / 127.5 - 1)
    found = latent.load_latents(latents, model).values
    assert 0 < float((found - began).abs().max()) < 1, "a few steps from there"


def test_strokes_come_from_the_editors_layers(studio: Studio, models: dict[str, str]) -> None:
    model = studio.model(models["stylegan2"])
    colors, mask = _strokes(model, strokes(384, "#ffffff"))
    assert mask.shape == (8, 8) and (mask[:4, :4] == 1).all() and mask.sum() == 16
    assert (colors[:, :4, :4] == 1).all()
    above = strokes(384, "#000000")
    above["layers"] = [*strokes(384, "#ffffff")["layers"], *above["layers"]]
    assert (_strokes(model, above)[0][:, :4, :4] == -1).all(), "the last lies on top"
    half = strokes(384)
    half["layers"][0].putalpha(half["layers"][0].getchannel("A").point(lambda a: a // 2))
    assert 0.45 < float(_strokes(model, half)[1].max()) < 0.55


def test_a_search_ends_early_and_lets_others_in(studio: Studio, models: dict[str, str]) -> None:
    style = models["stylegan2"]
    with pytest.raises(BadArgument, match=r"2000 steps would take .* s; up to \d+ can be asked for"):
        Studio([style], seconds=0.05).paint(style, 0, "", 1.0, strokes(384), 2000)
    with ThreadPoolExecutor(2) as pool:
        search = pool.submit(studio.paint, style, 0, "", 1.0, strokes(384), 400)
        alone = pixels(studio.sample(style, 7, 1)[0])
        for _ in range(3):
            assert np.array_equal(pixels(pool.submit(studio.sample, style, 7, 1).result()[0]), alone)
        assert not search.done(), "others are answered while it runs"
        again = pixels(search.result()[0])
    assert np.array_equal(again, pixels(studio.paint(style, 0, "", 1.0, strokes(384), 400)[0])), (
        "and it is not disturbed"
    )
    held = Studio([style], seconds=0.1)
    held._searching.acquire()
    with pytest.raises(BadArgument, match="others have searched for"):
        held.paint(style, 0, "", 1.0, strokes(384), 2)


def test_an_enlargement_has_an_end(models: dict[str, str], tmp_path: Path) -> None:
    write_model(tiny("esrgan"), tmp_path / "esrgan", {})
    Image.effect_noise((40, 30), 90).save(tmp_path / "photo.png")
    name = str(tmp_path / "esrgan")
    studio = Studio([name])
    (file, _), model = studio.translate(name, str(tmp_path / "photo.png")), studio.model(name)
    assert pixels(file).shape[:2] == (30 * model.scale, 40 * model.scale)
    with pytest.raises(BadArgument, match="a picture of 40x30 takes over"):
        Studio([name], seconds=-1).translate(name, str(tmp_path / "photo.png"))


def test_requests_are_held_against_what_they_may_be(studio: Studio, models: dict[str, str]) -> None:
    style, cycle = models["stylegan2"], models["cyclegan"]
    nothing: Any = None  # what is called from elsewhere than the page may be anything
    words: Any = "up"
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
        (lambda: studio.sample(style, nothing, 1), "seed is None; a number is expected"),
        (lambda: studio.sample(style, 0, nothing), "pictures is None; a number is expected"),
        (lambda: studio.sample(style, 0, float("nan")), "pictures is nan; a number is expected"),
        (lambda: studio.sample(style, 0, words * 100), "pictures is 'upup"),
        (lambda: studio.sample(style, 0, 1, nothing, nothing), "truncation is None; a number is expected"),
        (lambda: studio.sample(style, 0, 1, "", float("nan")), "truncation is nan; a number is expected"),
        (lambda: studio.move(style, 0, "", 1.0, words), "strength is 'up'; a number is expected"),
        (lambda: studio.walk(style, nothing, 2), "up to 32 numbers"),
        (lambda: studio.walk(style, "1, 2", 10**9), "steps is 1000000000; a whole number from 1 to 256"),
        (lambda: studio.move(models["infogan"], 0, "", 0.5, 1.0), "no w to truncate"),
        (lambda: studio.walk(models["infogan"], "1, 2", 2, "", 0.5), "no w to truncate"),
        (lambda: studio.mix(style, "1", "2", "cat"), "no classes"),
        (lambda: studio.project(style, None), "choose one first"),
        (lambda: studio.project(style, __file__), "cannot be read"),
        (lambda: studio.project(style, __file__, "z", 0), "steps is 0; a whole number from 1 to 2000"),
        (lambda: studio.project(style, __file__, "z", 2.5), "steps is 2.5"),
        (lambda: studio.project(cycle, __file__), "no latents to be found"),
        (lambda: studio.canvas(cycle, 0, ""), "nothing to paint on"),
        (lambda: studio.canvas(style, -1, ""), "seed is -1"),
        (lambda: studio.canvas(style, 0, "cat"), "no classes"),
        (lambda: studio.paint(style, 0, "", 1.0, None), "no stroke"),
        (lambda: studio.paint(style, 0, "", 1.0, {"layers": []}), "no stroke"),
        (lambda: studio.paint(style, 0, "", 1.0, {"layers": [Image.new("RGBA", (384, 384))]}), "no stroke"),
        (
            lambda: studio.paint(style, 0, "", 1.0, strokes(100)),
            "strokes lie on 100x100 pixels, the picture on 384x384",
        ),
        (lambda: studio.paint(style, 0, "", 1.0, strokes(384), 10**6), "a whole number from 1 to 2000"),
        (lambda: Studio([style], seconds=-1).sample(style, 0, 2), "ask for fewer"),
    ):
        with pytest.raises(BadArgument, match=text) as caught:
            ask()
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
    assert {each.api_name for each in blocks.fns.values()} >= {
        *("sample", "another", "move", "mix", "walk", "translate", "project", "canvas", "paint"),
    }
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadArgument, match=rf"^port {port} cannot be had .*--port$"):
            launch(blocks, port)
        assert cli.main(["explore", "--port", str(port)]) == 2
        assert "http" not in capsys.readouterr().out, "no address is told that is another's"
    assert cli.main(["explore", "--port", "70000"]) == 2
    assert cli.main(["explore", "dcgan-digitz"]) == 2
    assert "did you mean dcgan-digits" in capsys.readouterr().err


def test_what_a_model_is(studio: Studio, models: dict[str, str]) -> None:
    line, classes, truncates = studio.about(models["stylegan2"])
    every = "Samples, Another one, Directions, Walk, Mixing, Project, Paint"
    assert line == f"Pictures of 8 x 8 pixels. Tabs for it: {every}." and classes == [] and truncates
    line, classes, truncates = studio.about(models["infogan"])
    assert "in 3 classes" in line and "Mixing" not in line and classes == ["0", "1", "2"] and not truncates
    line, *_ = studio.about(models["cyclegan"])
    assert line == "Pictures of 8 x 8 pixels, translated to b or a. Tabs for it: Translate."
    with pytest.raises(BadArgument, match="not on this page's list"):
        studio.about("/etc")


def test_a_space_is_three_files(tmp_path: Path, models: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["explore", "dcgan-digits", "--space", str(tmp_path / "space")]) == 0
    assert {each.name for each in (tmp_path / "space").iterdir()} == {"app.py", "requirements.txt", "README.md"}
    front = re.match(r"---\n(.*?)---\n", (tmp_path / "space" / "README.md").read_text(), re.S)
    assert front is not None and yaml.safe_load(front[1])["app_file"] == "app.py"
    compile((tmp_path / "space" / "app.py").read_text(), "app.py", "exec")
    assert "['dcgan-digits']" in (tmp_path / "space" / "app.py").read_text()
    # And nothing beside it: what brings `mobilenet_v2` as a package pins a numpy of its own
    assert re.fullmatch(r"lightning-ganzoo\[app\]==\S+\n", (tmp_path / "space" / "requirements.txt").read_text())
    blocks: list[Any] = []
    monkeypatch.setattr("gradio.Blocks.launch", lambda self, **_: blocks.append(self))
    exec((tmp_path / "space" / "app.py").read_text(), {})
    assert {"project", "paint"} <= {each.api_name for each in blocks[0].fns.values()}, "the Space is the same page"
    assert cli.main(["explore", "--space", str(tmp_path / "space")]) == 2, "it is not written over"
    assert cli.main(["explore", models["gan"], "--space", str(tmp_path / "other")]) == 2, "nobody else has this folder"


def test_a_space_of_what_is_no_model_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["dcgan-digitz"], "there is no model 'dcgan-digitz'; did you mean dcgan-digits"),
        (["--port", "80"], "--port does nothing beside --space; leave one of them out"),
        (["--judged", "x.jsonl"], "--judged belongs to --judge; name the real pictures with it"),
    ):
        assert cli.main(["explore", *words, "--space", str(tmp_path / "space")]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error
    assert not (tmp_path / "space").exists()
    write_space(tmp_path / "space", ["real-esrgan-x4plus", "dcgan-digits"])
