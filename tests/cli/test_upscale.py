"""`ganzoo upscale`: sizes, formats, transparency, rotation, names, bad input, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny
from PIL import Image, ImageCms

import ganzoo
from ganzoo.cli import main
from ganzoo.folder import write_model
from ganzoo.media.levels import to_float, to_uint8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compact network that doubles sides, which at its beginning is nearest neighbours and a little noise."""
    folder = tmp_path_factory.mktemp("model") / "model"
    write_model(tiny("esrgan", network="compact", scale=2, channels=3), folder, {"name": "toy"})
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(path: str, mode: str = "RGB", width: int = 10, height: int = 7, **options: object) -> Image.Image:
    values = np.random.RandomState(len(path)).randint(0, 256, (height, width, 4)).astype(np.uint8)
    picture = Image.fromarray(values).convert(mode)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)  # type: ignore[arg-type]
    return picture


def expected(model: Path, picture: Image.Image) -> np.ndarray:
    values = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None]
    return to_uint8(ganzoo.load(model).upscale(to_float(values)))[0].permute(1, 2, 0).numpy().astype(int)


def run(*words: object, status: int = 0) -> None:
    assert main(["upscale", *map(str, words), "--device", "cpu"]) == status


def test_pictures_keep_their_names_and_modes(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    color, grey, clear = put("in/a.png"), put("in/deep/b.png", "L"), put("in/c.png", "RGBA")
    run(model, "in", "--out", "out")
    assert capsys.readouterr().out == f"3 pictures enlarged 2 times by {model} in out\n"
    made = {name: Image.open(f"out/{name}.png") for name in ("a", "deep/b", "c")}
    assert [(each.size, each.mode) for each in made.values()] == [((20, 14), mode) for mode in ("RGB", "L", "RGBA")]
    assert np.abs(np.asarray(made["a"]).astype(int) - expected(model, color)).max() <= 1
    assert np.abs(np.asarray(made["deep/b"]).astype(int) - expected(model, grey).mean(2)).max() <= 30
    alpha = expected(model, clear.getchannel("A")).mean(2)
    assert np.abs(np.asarray(made["c"].getchannel("A")).astype(int) - alpha).max() <= 30, "enlarged apart"


def test_tiles_do_not_show(model: Path) -> None:
    put("in.png", width=50, height=33)
    run(model, "in.png", "--out", "whole")
    run(model, "in.png", "--out", "tiles", "--tile", "16")
    one, other = (np.asarray(Image.open(f"{name}/in.png")).astype(int) for name in ("whole", "tiles"))
    assert np.abs(one - other).max() <= 1


def test_rotation_is_applied_and_a_profile_of_its_colors_kept(model: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    put("turned.jpg", exif=exif, icc_profile=profile)
    put("grey.png", "L", icc_profile=profile)  # of colors, which it has not
    run(model, "turned.jpg", "grey.png", "--out", "out")
    with Image.open("out/turned.png") as made:
        assert made.size == (14, 20) and made.info["icc_profile"] == profile and not made.getexif()
    with Image.open("out/grey.png") as made:
        assert "icc_profile" not in made.info


def test_what_is_all_clear_or_all_there_stays_so(model: Path) -> None:
    picture = put("in.png", "RGBA")
    picture.putalpha(128)
    picture.save("in.png")
    run(model, "in.png", "--out", "out")
    with Image.open("out/in.png") as made:
        assert made.getchannel("A").getextrema() == (128, 128)


def test_what_fails_does_not_end_the_rest(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("in/good.png")
    Path("in/bad.png").write_bytes(b"no picture")
    Path("in/cut.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    Path("out").mkdir()
    (Path("out") / "taken.png").mkdir()
    put("in/taken.png")
    run(model, "in", "missing.png", "--out", "out", status=1)
    said = capsys.readouterr()
    assert said.out == f"1 picture enlarged 2 times by {model} in out\n"
    lines = said.err.splitlines()
    assert lines[0] == "ganzoo: 4 were not enlarged:" and len(lines) == 5
    assert "missing.png: there is no such file" in said.err and "bad.png: it is no picture" in said.err
    assert (Path("out") / "good.png").is_file()


def test_wrong_requests(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("a.png")
    write_model(tiny("gan"), tmp_path / "gan", {})
    Path("file").write_text("")
    for words, said in (
        ((tmp_path / "gan", "a.png"), "GAN does not enlarge images; it draws some with sample"),
        ((model, "a.png", "--tile", "0"), "--tile is 0; at least 1 is expected"),
        ((model, "a.png", "--overlap", "-1"), "--overlap is -1; at least 0 is expected"),
        ((model, "a.png", "--out", "file"), "--out is file, which is a file"),
        ((model, "a.png", "--out", "."), "what becomes of it would overwrite a.png"),
    ):
        run(*words, status=2)
        found = capsys.readouterr().err
        assert said in found and found.count("\n") == 1
    assert main(["translate", str(model), "a.png"]) == 2
    assert "does not translate images; give it small ones with upscale" in capsys.readouterr().err
    assert main(["sample", str(model)]) == 2
    assert "draws no images of its own; give it small ones with upscale" in capsys.readouterr().err
