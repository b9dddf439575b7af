"""`ganzoo sample`, `verify` and `evaluate` on a model folder."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import tiny
from PIL import Image

import ganzoo
from ganzoo import cli
from ganzoo.cli._pictures import plan
from ganzoo.cli.sample import _runs, numbers
from ganzoo.files import atomic
from ganzoo.folder import write_model
from ganzoo.game.abilities import Samples
from ganzoo.types import BadArgument


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "info"
    write_model(tiny("infogan"), folder, {"name": "info"})
    return str(folder)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "plain"
    write_model(tiny("dcgan"), folder, {"name": "plain"})
    return str(folder)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0-3", [0, 1, 2, 3]),
        ("7", [7]),
        ("0-2,20,5-6", [0, 1, 2, 20, 5, 6]),
        (" 1 , 2-3 ", [1, 2, 3]),
        ("4-4", [4]),
        ("3,3", [3, 3]),
    ],
)
def test_numbers(text: str, found: list[int]) -> None:
    assert numbers(text, "--seeds") == found


@pytest.mark.parametrize("text", ["", "a", "-1", "1-", "1--2", "1,,2", "1.5", "0x3", "²", "1-2-3", "1;2"])
def test_what_are_no_numbers(text: str) -> None:
    with pytest.raises(BadArgument, match=r"--seeds is .*such as 0-15,20"):
        numbers(text, "--seeds")


def test_seeds_are_drawn_in_runs() -> None:
    assert _runs([0, 1, 2, 9, 10, 4], 64) == [[(0, 0), (1, 1), (2, 2)], [(3, 9), (4, 10)], [(5, 4)]]
    assert _runs([0, 1, 2, 9], 2) == [[(0, 0), (1, 1)], [(2, 2)], [(3, 9)]]


def drawn(model: str, out: Path, *words: str) -> None:
    assert cli.main(["sample", model, "--out", str(out), "--device", "cpu", *words]) == 0


def test_a_folder_of_pictures_and_each_alone(plain: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn(plain, tmp_path / "all", "--seeds", "3-5,20", "--batch_size", "2")
    assert f"4 samples of {plain} in {tmp_path / 'all'}" in capsys.readouterr().out
    files = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert files == ["000003.png", "000004.png", "000005.png", "000020.png"]
    for seed in (4, 20):
        drawn(plain, tmp_path / "one", "--seeds", str(seed))
        alone, among = (np.asarray(Image.open(tmp_path / f / f"{seed:06d}.png")).astype(int) for f in ("one", "all"))
        assert alone.shape == (8, 8) and np.abs(alone - among).max() <= 1


def test_a_grid(plain: str, tmp_path: Path) -> None:
    drawn(plain, tmp_path / "new" / "grid.png", "--seeds", "0-8")
    width, height = Image.open(tmp_path / "new" / "grid.png").size
    assert width == height > 3 * 64


def test_a_grid_in_another_format(plain: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, form in (("grid.tiff", "TIFF"), ("grid.JPG", "JPEG"), ("grid.webp", "WEBP")):
        drawn(plain, tmp_path / name, "--seeds", "0-3", "--columns", "4")
        with Image.open(tmp_path / name) as picture:
            assert picture.format == form and picture.width > 4 * 64 > picture.height
    capsys.readouterr()
    out = ["--out", str(tmp_path / "grid.hdf"), "--device", "cpu", "--seeds", "0"]
    assert cli.main(["sample", plain, *out]) in (0, 2) and "unexpected" not in capsys.readouterr().err
    assert not (tmp_path / "grid.hdf").is_file()


def test_points_are_drawn_or_written_as_numbers(tmp_path: Path) -> None:
    drawn("gan-ring", tmp_path / "ring.png", "--seeds", "0-63")
    assert Image.open(tmp_path / "ring.png").width == 572
    drawn("gan-ring", tmp_path / "ring", "--seeds", "4,9")
    files = {path.name: np.loadtxt(path, delimiter=",") for path in (tmp_path / "ring").iterdir()}
    expected = ganzoo.load("gan-ring").sample(seeds=[4, 9]).numpy()
    assert sorted(files) == ["000004.csv", "000009.csv"]
    assert np.allclose([files["000004.csv"], files["000009.csv"]], expected, rtol=0, atol=1e-5)


def test_labels(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn(model, tmp_path / "all", "--seeds", "0-2", "--labels", "0-2")
    drawn(model, tmp_path / "two", "--seeds", "0-2", "--labels", "2")
    same = [(tmp_path / "all" / f"00000{i}.png").read_bytes() == (tmp_path / "two" / f"00000{i}.png").read_bytes()
            for i in range(3)]  # fmt: skip
    assert same == [False, False, True]
    capsys.readouterr()
    for labels, said in (("3", "label 3 is out of range; classes run from 0 to 2"), ("0-1", "2 classes for 3 seeds")):
        assert cli.main(["sample", model, "--seeds", "0-2", "--labels", labels, "--device", "cpu"]) == 2
        assert said in capsys.readouterr().err


def test_what_the_family_lacks(plain: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--labels", "1"], "DCGAN has no classes"),
        (["--truncation", "0.7"], "DCGAN has no truncation"),
        (["--noise", "const"], "DCGAN has no noise"),
        (["--seeds", "4294967296"], "seed 4294967296 is out of range"),
        (
            ["--seeds", "3,2,2,0", "--out", "pictures"],
            "--seeds has 2 twice, and a folder one file for it; name a picture",
        ),
        (
            ["--seeds", "0", "--out", "grid.xyz"],
            "--out is grid.xyz; no picture is written as .xyz: try .png, or name a f",
        ),
        (["--out", "pictures", "--columns", "2"], "--columns does nothing beside --out pictures, a folder; leave one"),
        (["--batch_size", "0"], "batch size is 0"),
        (["--device", "tpu9"], "tpu9"),
    ):
        status = cli.main(["sample", plain, *(words if "--device" in words else [*words, "--device", "cpu"])])
        err = capsys.readouterr().err
        assert status == 2 and said in err and err.count("\n") == 1 and "unexpected" not in err, err


def test_where_nothing_can_be_written(plain: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "x", tmp_path / "file" / "grid.png", tmp_path / "file"):
        assert cli.main(["sample", plain, "--out", str(out), "--device", "cpu", "--seeds", "0"]) in (1, 2)
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "unexpected" not in err and str(tmp_path / "file") in err, err


def test_verify_says_what_it_saw(plain: str, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", plain, model]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("golden picture within 0 levels" in line for line in lines)
    (Path(model).parent / "info").joinpath("config.json").touch()


def test_evaluate_refuses_in_one_line(plain: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--protocol", "fid"], "'fid' is no protocol"),
        (["--data", "Fashion"], "no data source 'Fashion'"),
        ([], "does not say what it was trained on; name the data"),
    ):
        assert cli.main(["evaluate", plain, "--device", "cpu", *words]) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1 and "unexpected" not in err, err


def test_a_folder_holds_what_was_drawn_until_it_ended(
    plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, sample = [], Samples.sample

    def ends(self: Any, *args: Any, **named: Any) -> Any:
        drawn.append(named["seeds"])
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return sample(self, *args, **named)

    monkeypatch.setattr(Samples, "sample", ends)
    with contextlib.suppress(KeyboardInterrupt):
        cli.main(["sample", plain, "--seeds", "0-99", "--out", str(tmp_path / "out")])
    assert len(list((tmp_path / "out").iterdir())) == len(drawn[0]) == 64
    assert cli.main(["sample", plain, "--seeds", "0", "--out", ""]) == 2


def test_names_that_are_links_or_long(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("a.png")
    Image.new("L", (4, 4)).save(tmp_path / "b.png")
    jobs = plan([str(tmp_path)], tmp_path / "out")
    assert {source.name for source, _ in jobs.pairs} == {"a.png", "b.png"}
    Image.new("L", (4, 4)).save(tmp_path / "B.png")
    inputs = [str(tmp_path / "b.png"), str(tmp_path / "B.png")]
    found = [target.name for _, target in plan(inputs, tmp_path / "out").pairs]
    assert found == ["b.png", "B-2.png"], "one name on systems that do not tell them apart"
    long = tmp_path / f"{'x' * 246}.png"
    with atomic(long) as part:
        part.write_bytes(b"1")
    assert long.read_bytes() == b"1"
