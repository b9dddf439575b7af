"""`ganzoo translate`: names, sizes, formats, bad input, and what is said of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny
from PIL import Image, PngImagePlugin
from toys import TRANSLATION, installed

import ganzoo
from ganzoo.cli import main, translate
from ganzoo.folder import write_model
from ganzoo.media.levels import to_float, to_uint8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A toy that maps colours to grey, and back, in steps of four pixels."""
    folder = tmp_path_factory.mktemp("model")
    with installed(folder / "families", "toytranslation", TRANSLATION):
        write_model(tiny("toytranslation"), folder / "model", {"name": "toy"})
        yield folder / "model"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def picture(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    values = np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)
    return Image.fromarray(values).convert(mode)


def put(path: str, width: int = 10, height: int = 9, mode: str = "RGB", seed: int = 0) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    picture(width, height, mode, seed).save(path)
    return Path(path)


def files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def expected(model: Path, image: Image.Image, to: str = "b") -> np.ndarray:
    game = ganzoo.load(model)
    values = torch.from_numpy(np.array(image.convert("RGB" if to == "b" else "L")))
    values = values[None] if values.ndim == 2 else values.permute(2, 0, 1)
    made = to_uint8(game.translate(to_float(values[None]), to=to))[0]
    return made.squeeze(0).numpy() if len(made) == 1 else made.permute(1, 2, 0).numpy()


def close(path: str, array: np.ndarray) -> bool:
    """Equal but for what another batch size may change in the last bit."""
    with Image.open(path) as made:
        found = np.asarray(made).astype(int)
    return found.shape == array.shape and int(np.abs(found - array).max()) <= 1


def run(*words: object, status: int = 0) -> None:
    assert main(["translate", *map(str, words), "--device", "cpu"]) == status


def test_files_folders_and_patterns_keep_their_names(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("one.jpg", 20, 12)
    for name in (
        "photos/a.png",
        "photos/deep/b.bmp",
        "photos/.hidden.png",
        "more/x/c.webp",
        "more/d.png",
        "more/e.gif",
    ):
        put(name, seed=len(name))
    Path("photos/notes.txt").write_text("no picture")
    run(model, "one.jpg", "photos", "more/**/*.[pw]*", "--out", "out")
    assert files("out") == ["a.png", "d.png", "deep/b.png", "one.png", "x/c.png"]
    said = capsys.readouterr()
    assert said.out == f"5 pictures translated by {model} (to b) in out\n" and said.err == ""
    with Image.open("out/one.png") as made:
        assert (made.size, made.mode, made.format) == ((20, 12), "L", "PNG")
    assert close("out/deep/b.png", expected(model, Image.open("photos/deep/b.bmp")))
    assert not [name for name in files(".") if Path(name).name.startswith(".") and "hidden" not in name]


@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_a_translation_does_not_depend_on_what_else_is_translated(model: Path, batch_size: int | None) -> None:
    sides = [(8, 8), (9, 13), (8, 8), (30, 7), (9, 13), (8, 8), (8, 8)]
    for i, (width, height) in enumerate(sides):
        put(f"in/{i}.png", width, height, seed=i)
    run(model, "in", "--out", "out", *([] if batch_size is None else ["--batch_size", batch_size]))
    for i in range(len(sides)):
        assert close(f"out/{i}.png", expected(model, Image.open(f"in/{i}.png")))


def test_several_domains_have_folders(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("in/x/a.png")
    Path("in/bad.png").write_text("no picture")
    assert main(["translate", str(model), "in", "--to", "a", "--to", "b", "--out", "out", "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert files("out") == ["a/x/a.png", "b/x/a.png"]
    assert said.out == f"2 pictures translated by {model} (to a and b) in out\n"
    assert said.err.splitlines()[0] == "ganzoo: 1 was not translated:", "a bad file is listed once"
    put("out/a/y.png")
    run("--to", "a", "--to", "b", "--out", "out", model, "out/a/y.png", status=2)
    assert "out/a/y.png is an input and a result; give another --out" in capsys.readouterr().err


def test_the_way_back(model: Path) -> None:
    put("in/a.png")
    run(model, "in/a.png", "--to", "a", "--out", "back")
    assert close("back/a.png", expected(model, Image.open("in/a.png"), "a"))
    with Image.open("back/a.png") as made:
        assert made.mode == "RGB" and made.size == (10, 9)


def test_the_shorter_side_can_be_resized(model: Path) -> None:
    put("in/wide.png", 40, 10)
    put("in/tall.png", 3, 6)
    run(model, "in", "--size", "8", "--out", "out")
    sizes = {}
    for name in files("out"):
        with Image.open(f"out/{name}") as made:
            sizes[name] = made.size
    assert sizes == {"wide.png": (32, 8), "tall.png": (8, 16)}


def test_any_mode_and_format(model: Path) -> None:
    """CMYK, 16 bits, palettes, animations, a camera's rotation: as data/decoding.py reads them."""
    Path("in").mkdir()
    plain = picture(12, 8)
    plain.convert("CMYK").save("in/cmyk.tif")
    plain.quantize(16).save("in/palette.png")
    deep = np.random.RandomState(1).randint(0, 65536, (8, 12)).astype(np.uint16)
    Image.fromarray(deep).save("in/deep.png")
    plain.save("in/animated.gif", save_all=True, append_images=[picture(12, 8, seed=5)])
    turned = Image.Exif()
    turned[0x0112] = 6
    plain.save("in/turned.png", exif=turned)
    clear = plain.convert("RGBA")
    clear.putalpha(0)
    clear.save("in/clear.png")
    run(model, "in", "--out", "out")
    assert files("out") == [f"{name}.png" for name in ("animated", "clear", "cmyk", "deep", "palette", "turned")]
    assert close("out/turned.png", expected(model, plain.transpose(Image.Transpose.ROTATE_270)))
    assert close("out/palette.png", expected(model, plain.quantize(16)))
    assert close("out/clear.png", expected(model, Image.new("RGB", (12, 8), "white")))
    grey = Image.fromarray(np.rint(deep.astype(np.float64) / 257).astype(np.uint8))
    assert close("out/deep.png", expected(model, grey))
    assert close("out/cmyk.png", expected(model, plain.convert("CMYK")))


def test_bad_pictures_are_listed_and_the_others_translated(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(3):
        put(f"in/good{i}.png", seed=i)
    put("in/small.png", 40, 3)
    Path("in/none.png").write_text("none")
    Path("in/cut.png").write_bytes(Path("in/good0.png").read_bytes()[:60])
    Path("in/gone.png").symlink_to("nowhere.png")
    Path("in/loop.png").symlink_to("loop.png")
    put("in/line.png", 4000, 4)
    bomb = PngImagePlugin.PngInfo()
    picture(8, 8).save("in/bomb.png", pnginfo=bomb)
    content = bytearray(Path("in/bomb.png").read_bytes())
    content[16:24] = (30000).to_bytes(4) * 2
    Path("in/bomb.png").write_bytes(bytes(content))
    run(model, "in", "missing", "none/*.png", "--size", "8", "--out", "out", status=1)
    assert files("out") == ["good0.png", "good1.png", "good2.png", "small.png"]
    said = capsys.readouterr()
    assert said.out.startswith("4 pictures translated")
    head, *lines = said.err.splitlines()
    assert head == "ganzoo: 8 were not translated:" and len(lines) == 8
    for start in (
        "  in/none.png: it is no picture",
        "  in/cut.png: ",
        "  in/gone.png: it is no file; a picture is expected",
        "  in/loop.png: it is no file; a picture is expected",
        "  in/bomb.png: ",
        "  in/line.png: its 4000x4 pixels are too far from a square",
        "  missing: there is no such file, nor folder; ",
        "  none/*.png: no file has a name of this pattern",
    ):
        assert any(line.startswith(start) for line in lines), start
    run(model, "in/small.png", "--out", "out2", status=1)
    assert (
        "in/small.png: its 40x3 pixels are smaller than 4, the least side that the model takes; enlarge it, for "
        in (capsys.readouterr().err)
    )


def test_nothing_to_translate(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    run(model, "empty", "--out", "out", status=1)
    assert "empty: holds no picture (it is empty)" in capsys.readouterr().err
    assert not Path("out").exists()


def test_equal_names_are_told_apart(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one/a.png", "two/a.png", "two/a.jpg", "two/b.png"):
        put(name, seed=len(name))
    run(model, "one", "two", "one/a.png", "--out", "out")
    assert files("out") == ["a-2.png", "a-3.png", "a.png", "b.png"]
    said = capsys.readouterr().err
    assert "ganzoo: two/a.jpg: goes to out/a-2.png, because out/a.png is what becomes of one/a.png" in said
    assert close("out/a-3.png", expected(model, Image.open("two/a.png")))


def test_names_that_differ_in_case_alone_are_told_apart(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("one/a.png")
    put("two/A.png")
    run(model, "one", "two", "--out", "out")
    assert files("out") == ["A-2.png", "a.png"]
    assert "two/A.png: goes to out/A-2.png, because out/a.png is what becomes of one/a.png" in capsys.readouterr().err


def test_inputs_are_not_overwritten(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = put("in/a.png").read_bytes()
    put("in/b.jpg")
    run(model, "in", "--out", "in", status=2)
    assert "what becomes of it would overwrite in/a.png, an input; give another --out" in capsys.readouterr().err
    assert Path("in/a.png").read_bytes() == before and files("in") == ["a.png", "b.jpg"]


def test_translations_of_an_earlier_time_are_no_inputs(model: Path) -> None:
    put("in/a.png")
    for _ in range(2):
        run(model, "in", "--out", "in/out")
        assert files("in") == ["a.png", "out/a.png"]


def test_wrong_requests(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("a.png")
    write_model(tiny("gan"), tmp_path / "gan", {})
    for words, text in (
        ((model, "a.png", "--to", "up"), "does not translate to 'up'; b or a is expected"),
        ((tmp_path / "gan", "a.png"), f"{tmp_path / 'gan'}: GAN does not translate images; it draws some with sample"),
        ((model, "a.png", "--out", "a.png"), "--out is a.png, which is a file; give a folder"),
        ((model, "a.png", "--size", "0"), "--size is 0"),
        ((model, "a.png", "--batch_size", "0"), "--batch-size is 0"),
        ((model,), "is missing"),
    ):
        run(*words, status=2)
        said = capsys.readouterr().err
        assert text in said and said.count("\n") == 1


def test_an_interrupted_translation_leaves_whole_files(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(4):
        put(f"in/{i}.png", seed=i)
    taken = translate._Work.take
    count = [0]

    def take(self: translate._Work, source: Path, target: Path) -> None:
        count[0] += 1
        if count[0] == 4:
            raise KeyboardInterrupt
        taken(self, source, target)

    monkeypatch.setattr(translate._Work, "take", take)
    run(model, "in", "--batch_size", "1", "--out", "out", status=130)
    assert files("out") == ["0.png", "1.png", "2.png"]


def test_help_is_quick() -> None:
    code = (
        "import sys; from ganzoo.cli import main; main(['translate', '--help']); "
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--to" in done.stdout
