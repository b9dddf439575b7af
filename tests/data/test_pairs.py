"""Pairs and unpaired domains from folders: partners, splits, bad files, and what is refused."""

from __future__ import annotations

import pickle
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganzoo.data import conversion
from ganzoo.data.pairs import Pairs, Unpaired
from ganzoo.types import BadArgument, BadData, NoSplit


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GANZOO_CACHE", str(path))
    return path


def flat(level: int, side: int = 8) -> Image.Image:
    return Image.fromarray(np.full((side, side, 3), level, np.uint8))


def fill(folder: Path, names: dict[str, int]) -> Path:
    """Pictures of one grey each."""
    for name, level in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        flat(level).save(folder / name)
    return folder


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Thirty pairs in sub-folders, whose targets are 100 levels lighter and of another format."""
    ones = fill(tmp_path / "Photo Graphs", {f"{i % 3}/{i:02d}.png": i for i in range(30)})
    others = fill(tmp_path / "maps", {f"{i % 3}/{i:02d}.bmp": 100 + i for i in range(30)})
    return ones, others


def pairs(two: tuple[Path, Path], **arguments: Any) -> Pairs:
    return Pairs(str(two[0]), str(two[1]), **arguments)


def levels(values: Any) -> list[int]:
    return [int(v) for v in values[:, 0, 0, 0]]


def refused(data: Pairs | Unpaired, split: str = "train") -> str:
    with pytest.raises(BadData) as caught:
        data.open(split)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------- two folders


def test_counterparts_have_the_same_name(two: tuple[Path, Path]) -> None:
    data = pairs(two, size=8, test_share=0.1, license="CC0-1.0")
    parts = {split: data.open(split) for split in ("train", "test", "all")}
    for split, images in parts.items():
        assert images.targets is not None and images.paired and images.split == split
        assert [b - a for a, b in zip(levels(images.values), levels(images.targets), strict=True)] == [100] * len(
            images
        )
    assert sorted(levels(parts["all"].values)) == list(range(30))
    assert set(levels(parts["train"].values)) | set(levels(parts["test"].values)) == set(range(30))
    assert len(parts["train"]) + len(parts["test"]) == 30 and 1 <= len(parts["test"]) <= 9
    images = parts["train"]
    assert (images.name, images.license, images.labels) == ("photo-graphs", "CC0-1.0", None)
    assert images.shape == (3, 8, 8)


def test_a_pair_stays_on_its_side_of_the_split(two: tuple[Path, Path]) -> None:
    before = set(levels(pairs(two, size=8, test_share=0.1).open("test").values))
    fill(two[0], {f"new/{i}.png": 200 for i in range(9)})
    fill(two[1], {f"new/{i}.jpg": 250 for i in range(9)})
    after = set(levels(pairs(two, size=8, test_share=0.1).open("test").values))
    assert after - {200} == before


def test_the_two_sides_may_differ_in_channels(two: tuple[Path, Path]) -> None:
    images = pairs(two, size=8, source_channels=1).open("train")
    assert images.targets is not None
    assert images.shape == (1, 8, 8) and images.targets.shape[1:] == (3, 8, 8)


def test_pictures_without_a_counterpart_are_named(two: tuple[Path, Path]) -> None:
    (two[1] / "1" / "04.bmp").unlink()
    said = refused(pairs(two, size=8))
    assert f"{two[0] / '1' / '04.png'} is without a picture of the same name in the other folder" in said
    fill(two[1], {"0/extra.png": 0, "1/extra.png": 0, "2/extra.png": 0, "3/extra.png": 0})
    said = refused(pairs(two, size=8))
    assert f"{two[0] / '1' / '04.png'}, {two[1] / '0' / 'extra.png'}" in said and "and 2 more are without" in said


def test_a_name_that_two_suffixes_share_is_refused(two: tuple[Path, Path]) -> None:
    fill(two[1], {"1/04.png": 0})
    assert f"{two[1] / '1' / '04.bmp'} and 1/04.png: have one name" in refused(pairs(two, size=8))


def test_the_counterpart_of_a_bad_picture_is_left_out_too(
    two: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    (two[0] / "1" / "04.png").write_bytes(b"none")
    (two[1] / "2" / "05.bmp").write_bytes(b"none")
    assert f"{two[0] / '1' / '04.png'}: cannot be read" in refused(pairs(two, size=8))
    images = pairs(two, size=8, bad="skip").open("all")
    assert images.targets is not None
    assert sorted(levels(images.values)) == [i for i in range(30) if i not in (4, 5)]
    assert [level + 100 for level in levels(images.values)] == levels(images.targets)
    assert "04.png" in caplog.text and "05.bmp" in caplog.text
    for name in two[0].glob("*/*.png"):
        if name.stem != "05":
            name.write_bytes(b"none")
    assert "no pair is left" in refused(pairs(two, size=8, bad="skip"))


def test_pictures_are_decoded_once(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = pairs(two, size=8).open("train")
    monkeypatch.setattr(conversion, "decoding", lambda *_: pytest.fail("decoded again"))
    again = pairs(two, size=8, flip=True, batch_size=3, jitter=2, test_share=0.1)
    assert again.open("all").digest == first.digest
    again.open("test")


# --------------------------------------------------------------------------------------------------- side by side


@pytest.fixture
def joined(tmp_path: Path) -> Path:
    """Twenty pictures: left their number, right a red of 100 more."""
    (tmp_path / "joined").mkdir()
    for i in range(20):
        both = np.zeros((6, 20, 3), np.uint8)
        both[:, :10], both[:, 10:, 0] = i, 100 + i
        Image.fromarray(both).save(tmp_path / "joined" / f"{i}.png")
    return tmp_path / "joined"


@pytest.mark.parametrize("source", ["left", "right"])
def test_halves(joined: Path, source: Any) -> None:
    images = Pairs(str(joined), source=source, size=6).open("all")
    assert images.targets is not None and images.shape == (3, 6, 6)
    left, right = (images.values, images.targets) if source == "left" else (images.targets, images.values)
    assert sorted(levels(left)) == list(range(20))
    assert [level + 100 for level in levels(left)] == levels(right)
    assert (left[:, 1] == left[:, 0]).all() and (right[:, 1] == 0).all(), "cut in the middle"
    assert (left == left[:, :, :1, :1]).all() and (right == right[:, :, :1, :1]).all()


def test_halves_of_other_channels(joined: Path) -> None:
    images = Pairs(str(joined), source="right", size=6, source_channels=1).open("train")
    assert images.targets is not None
    assert images.shape == (1, 6, 6) and images.targets.shape[1:] == (3, 6, 6)


def test_halves_travel_to_a_worker_by_their_place(joined: Path) -> None:
    images = Pairs(str(joined), size=64).open("train")
    sent = pickle.dumps(images)
    assert len(sent) < 2000 and images.targets is not None
    again = pickle.loads(sent)
    assert np.array_equal(again.values, images.values) and np.array_equal(again.targets, images.targets)
    assert len(pickle.dumps(again)) < 2000, "and on"
    assert again.digest == images.digest


def test_an_odd_width_has_no_halves(joined: Path) -> None:
    Image.new("RGB", (7, 4)).save(joined / "odd.png")
    said = refused(Pairs(str(joined), size=6))
    assert f"{joined / 'odd.png'}: cannot be read (its width of 7 pixels is odd, where two pictures side by" in said
    assert len(Pairs(str(joined), size=6, bad="skip").open("all")) == 20


# ------------------------------------------------------------------------------------------------- without pairs


def test_unpaired_folders_have_lengths_of_their_own(tmp_path: Path) -> None:
    ones = fill(tmp_path / "horses", {f"{i}.png": i for i in range(20)})
    others = fill(tmp_path / "zebras", {f"z{i}.jpg": 100 + i for i in range(33)})
    data = Unpaired(str(ones), str(others), size=8, batch_size=5, flip=True, jitter=2, test_share=0.1)
    train, test, whole = (data.open(split) for split in ("train", "test", "all"))
    assert train.targets is not None and test.targets is not None and whole.targets is not None
    assert (len(whole), len(whole.targets)) == (20, 33) and not whole.paired
    assert (len(train) + len(test), len(train.targets) + len(test.targets)) == (20, 33)
    assert train.name == "horses-and-zebras"
    batch = next(iter(data.train_dataloader()))
    assert batch.targets is not None and batch.images.shape == batch.targets.shape == (5, 3, 8, 8)
    assert batch.images.max() < 20 and batch.targets.min() > 90
    assert len({tuple(each.targets[:, 0, 0, 0].tolist()) for each in islice(iter(data.train_dataloader()), 5)}) > 1


@pytest.mark.parametrize("kind", [Pairs, Unpaired])
def test_folders_of_their_own_for_testing(tmp_path: Path, kind: Any) -> None:
    """The data sets of both papers come as trainA, trainB, testA and testB."""
    folders = [
        fill(tmp_path / name, {f"{i}.png": i + 50 * k for i in range(6)})
        for k, name in enumerate(("trainA", "trainB", "testA", "testB"))
    ]
    a, b, c, d = map(str, folders)
    data = kind(a, b, test_root=c, test_targets=d, size=8)
    assert sorted(levels(data.open("train").values)) == list(range(6))
    assert sorted(levels(data.open("train").targets)) == list(range(50, 56))
    assert sorted(levels(data.open("test").values)) == list(range(100, 106))
    assert sorted(levels(data.open("test").targets)) == list(range(150, 156))
    assert len(data.open("all")) == len(data.open("all").targets) == 12


def test_all_of_a_few_pictures_are_for_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ones = fill(tmp_path / "ones", {f"{i}.png": i for i in range(12)})
    others = fill(tmp_path / "others", {f"{i}.png": 100 + i for i in range(60)})
    few = Unpaired(str(ones), str(others), size=8)
    train = few.open("train")
    assert train.targets is not None and (len(train), len(train.targets)) == (12, 60)
    assert caplog.messages == [
        "all 12 and 60 pictures are for training, as fewer than 50 are not divided; set test_share to keep some"
    ]
    with pytest.raises(NoSplit, match=r"ones: none of its 12 pictures falls into the test split.*fewer than 50"):
        few.open("test")
    enough = Unpaired(str(others), str(others), size=8).open("test")
    assert enough.targets is not None and 1 <= len(enough) < 20 and np.array_equal(enough.values, enough.targets)


@pytest.mark.parametrize("kind", [Pairs, Unpaired])
def test_validation_pairs_are_kept_from_training(tmp_path: Path, kind: Any) -> None:
    ones = fill(tmp_path / "a", {f"{i:03}.png": i for i in range(90)})
    others = fill(tmp_path / "b", {f"{i:03}.png": 100 + i for i in range(90)})
    plain, data = (kind(str(ones), str(others), size=8, validation=on) for on in (False, True))
    parts = {split: data.open(split) for split in data.splits}
    kept = {split: set(levels(parts[split].values)) for split in ("train", "validation", "test")}
    assert kept["train"] | kept["validation"] == set(levels(plain.open("train").values))
    assert sum(map(len, kept.values())) == 90 and 2 <= len(kept["validation"]) <= 20
    assert parts["test"].digest == plain.open("test").digest and parts["validation"].split == "validation"
    if kind is Pairs:
        assert [level + 100 for level in levels(parts["validation"].values)] == levels(parts["validation"].targets)
    own = kind(str(ones), str(others), test_root=str(ones), test_targets=str(others), size=8, validation=True)
    assert len(own.open("train")) + len(own.open("validation")) == len(own.open("test")) == 90


# ---------------------------------------------------------------------------------------------------- what is refused


def test_missing_folders_are_named(tmp_path: Path, two: tuple[Path, Path]) -> None:
    gone = tmp_path / "gone"
    for data in (Pairs(str(two[0]), str(gone)), Pairs(str(gone), str(two[1])), Unpaired(str(two[0]), str(gone))):
        assert refused(data).startswith(f"{gone}: there is no such folder")
    (tmp_path / "empty").mkdir()
    assert "holds no picture" in refused(Pairs(str(two[0]), str(tmp_path / "empty")))


@pytest.mark.parametrize("kind", [Pairs, Unpaired])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"size": 0}, "size is 0"),
        ({"channels": 2}, "channels is 2"),
        ({"source_channels": 4}, "channels is 4"),
        ({"fit": "zoom"}, "fit is zoom"),
        ({"background": 256}, "background is 256"),
        ({"bad": "ignore"}, "bad is ignore"),
        ({"test_share": 1.0}, "test_share is 1.0"),
        ({"jitter": -1}, "jitter is -1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"test_root": "c"}, "both or neither"),
        ({"test_targets": "d"}, "both or neither"),
    ],
)
def test_bad_arguments(kind: Any, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(BadArgument, match=text):
        kind("a", "b", **arguments)


def test_bad_arguments_of_halves() -> None:
    with pytest.raises(BadArgument, match="source is top"):
        Pairs("a", source="top")  # type: ignore[arg-type]
    with pytest.raises(BadArgument, match="test_targets alone"):
        Pairs("a", test_targets="b")
    Pairs("a", test_root="b")
