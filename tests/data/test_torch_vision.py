"""torchvision's data sets, read from small files in each one's own format, against the pixels that were written."""

from __future__ import annotations

import errno
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from picture_files import cifar, md5, noise
from PIL import Image
from scipy.io import savemat  # type: ignore[import-untyped]
from torchvision import datasets  # type: ignore[import-untyped]

from ganzoo.data import store
from ganzoo.data.indexed import _labels, counted
from ganzoo.data.torch_vision import TorchVision
from ganzoo.types import BadArgument, BadData, NoSplit, UnknownName

RANDOM = np.random.RandomState(0)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GANZOO_CACHE", str(path))
    return path / "data"


def rows(values: Any, labels: Any) -> set[tuple[bytes, int]]:
    return {(value.tobytes(), int(label)) for value, label in zip(values, labels, strict=True)}


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    made = cifar(tmp_path, monkeypatch)
    data = TorchVision("cifar-10", str(tmp_path), size=32, batch_size=8, license="unknown")
    train, test, whole = (data.open(split) for split in ("train", "test", "all"))
    assert (len(train), len(test), len(whole)) == (60, 12, 72) and train.shape == (3, 32, 32)
    assert train.classes is not None and train.classes[:2] == ("airplane", "automobile") and train.name == "cifar10"
    expected = [rows(*made[f"data_batch_{k}"]) for k in range(1, 6)]
    assert rows(train.values, train.labels) == set().union(*expected), "to the pixel, each with its label"
    assert rows(test.values, test.labels) == rows(*made["test_batch"]) and test.classes == train.classes
    assert rows(whole.values, whole.labels) == rows(train.values, train.labels) | rows(test.values, test.labels)
    assert isinstance(train.values, np.memmap), "converted once, and mapped"
    monkeypatch.setattr(store, "_make", lambda *_: pytest.fail("converted again"))
    kept = TorchVision("CIFAR10", str(tmp_path), size=32, validation=True)
    parts = [rows(kept.open(split).values, kept.open(split).labels) for split in ("train", "validation")]
    assert parts[0] | parts[1] == rows(train.values, train.labels) and not parts[0] & parts[1] and len(parts[1]) >= 2
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape == (8, 3, 32, 32) and batch.labels is not None and batch.labels.shape == (8,)


def test_cifar10_that_changes_is_converted_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar(tmp_path / "a", monkeypatch)
    first = TorchVision("CIFAR10", str(tmp_path / "a"), size=32).open("train").digest
    second = cifar(tmp_path / "b", monkeypatch)
    (tmp_path / "a").rename(tmp_path / "old")
    (tmp_path / "b").rename(tmp_path / "a")
    again = TorchVision("CIFAR10", str(tmp_path / "a"), size=32).open("train")
    assert again.digest != first
    assert rows(*second["data_batch_1"]) <= rows(again.values, again.labels)


def test_stl10_and_a_part_of_it_without_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    parts = {name: noise(n, 96) for name, n in (("train", 6), ("unlabeled", 5), ("test", 4))}
    for name, values in parts.items():
        (folder / f"{name}_X.bin").write_bytes(values.transpose(0, 1, 3, 2).tobytes())  # column by column
    labels = {"train": [1, 2, 10, 1, 3, 4], "test": [2, 2, 9, 1]}
    for name, each in labels.items():
        (folder / f"{name}_y.bin").write_bytes(bytes(each))
    names = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    (folder / "class_names.txt").write_text("\n".join(names) + "\n")
    for attribute in ("train_list", "test_list"):
        listed = [[name, md5(folder / name)] for name, _ in getattr(datasets.STL10, attribute)]
        monkeypatch.setattr(datasets.STL10, attribute, listed)
    train = TorchVision("STL10", str(tmp_path), size=96).open("train")
    assert rows(train.values, train.labels) == rows(parts["train"], [k - 1 for k in labels["train"]])
    assert train.classes == tuple(names)
    data = TorchVision("STL10", str(tmp_path), train={"split": "train+unlabeled"}, size=96)
    both = data.open("train")
    assert len(both) == 11 and both.labels is None and both.classes is None, "not every picture has one"
    test = data.open("test")
    assert rows(test.values, test.labels) == rows(parts["test"], [k - 1 for k in labels["test"]])
    whole = data.open("all")
    assert len(whole) == 15 and whole.labels is None and whole.classes is None


def test_flowers102(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "flowers-102"
    (folder / "jpg").mkdir(parents=True)
    for k in range(1, 10):  # red is the number
        Image.new("RGB", (20, 14), (20 * k, 0, 0)).save(folder / "jpg" / f"image_{k:05d}.jpg", quality=95)
    savemat(folder / "imagelabels.mat", {"labels": np.array([1, 1, 2, 2, 3, 3, 102, 1, 2])})
    savemat(folder / "setid.mat", {"trnid": [1, 3, 5], "valid": [2, 4, 6], "tstid": [7, 8, 9]})
    kept = datasets.Flowers102._file_dict
    listed = {key: (name, md5(folder / name) if (folder / name).exists() else "") for key, (name, _) in kept.items()}
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", listed)
    data = TorchVision("Flowers102", str(tmp_path), size=8)
    train, test = data.open("train"), data.open("test")
    reds = {round(float(v[0].mean()) / 20): int(k) for v, k in zip(train.values, train.labels, strict=True)}  # type: ignore[arg-type]
    assert reds == {1: 0, 3: 1, 5: 2}
    assert sorted(test.labels.tolist()) == [0, 1, 101]  # type: ignore[union-attr]
    assert train.classes is not None and train.classes[:3] == tuple(getattr(datasets.Flowers102, "classes", "012"))[:3]
    other = TorchVision("Flowers102", str(tmp_path), test={"split": "val"}, size=8).open("test")
    assert sorted(other.labels.tolist()) == [0, 1, 2]  # type: ignore[union-attr]


ATTRIBUTES = ["Bald", "Smiling", "Young"]


def celeba(root: Path, monkeypatch: pytest.MonkeyPatch) -> npt.NDArray[np.int64]:
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{k:06d}.jpg" for k in range(1, 9)]
    table = RANDOM.randint(0, 2, (8, 3))
    for k, name in enumerate(names):
        Image.new("RGB", (178, 218), (0, 30 * k, 0)).save(folder / "img_align_celeba" / name, quality=95)

    def write(name: str, rest: list[Any], head: str = "") -> None:
        lines = [
            f"{image} {' '.join(map(str, np.atleast_1d(values)))}" for image, values in zip(names, rest, strict=True)
        ]
        (folder / name).write_text(head + "\n".join(lines) + "\n")

    write("list_eval_partition.txt", [0, 0, 0, 0, 1, 1, 2, 2])
    write("identity_CelebA.txt", list(range(8)))
    write("list_bbox_celeba.txt", [[1, 2, 3, 4]] * 8, "8\nimage_id x_1 y_1 width height\n")
    write("list_landmarks_align_celeba.txt", [[1, 2]] * 8, "8\nlefteye_x lefteye_y\n")
    write("list_attr_celeba.txt", list(2 * table - 1), f"8\n{' '.join(ATTRIBUTES)} \n")
    listed = [(i, md5(folder / n) if (folder / n).exists() else m, n) for i, m, n in datasets.CelebA.file_list]
    monkeypatch.setattr(datasets.CelebA, "file_list", listed)
    return np.asarray(table, np.int64)


def test_celeba_has_attributes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = celeba(tmp_path, monkeypatch)
    data = TorchVision("celeba", str(tmp_path), size=16)
    train, test = data.open("train"), data.open("test")
    assert train.classes == tuple(ATTRIBUTES) and train.labels is not None and train.labels.shape == (4, 3)
    order = [round(float(value[1].mean()) / 30) for value in train.values]
    assert np.array_equal(train.labels, table[order]) and len(test) == 2
    batch = train.batch([0, 1])
    assert batch.labels is not None and batch.labels.dtype.is_floating_point and batch.labels.shape == (2, 3)
    smiling = TorchVision("CelebA", str(tmp_path), size=16, label="Smiling").open("all")
    assert smiling.classes == ("not Smiling", "Smiling") and smiling.labels is not None and smiling.labels.ndim == 1
    order = [round(float(value[1].mean()) / 30) for value in smiling.values]
    assert smiling.labels.tolist() == table[order, 1].tolist() and sorted(order) == [0, 1, 2, 3, 6, 7]
    with pytest.raises(BadArgument, match="label='Happy': the attributes are Bald, Smiling, Young"):
        TorchVision("CelebA", str(tmp_path), size=16, label="Happy").open("train")
    boxes = TorchVision("CelebA", str(tmp_path), train={"target_type": "bbox"}, size=16).open("train")
    assert boxes.labels is None, "numbers, but no attributes"


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {}
    for split, name in (("train", "train_32x32.mat"), ("test", "test_32x32.mat")):
        values, labels = noise(5, 32), np.array([[1], [10], [3], [7], [10]])
        savemat(tmp_path / name, {"X": values.transpose(2, 3, 1, 0), "y": labels})
        made[split] = values, labels[:, 0] % 10  # nought is written as ten
    listed = {
        split: [url, name, md5(tmp_path / name) if (tmp_path / name).exists() else ""]
        for split, (url, name, _) in datasets.SVHN.split_list.items()
    }
    monkeypatch.setattr(datasets.SVHN, "split_list", listed)
    data = TorchVision("SVHN", str(tmp_path), size=32)
    for split in ("train", "test"):
        assert rows(data.open(split).values, data.open(split).labels) == rows(*made[split])
    assert data.open("test").classes == tuple("01234567"), "as many as training has, by number"


def test_a_folder_of_classes_is_divided_by_share(tmp_path: Path) -> None:
    for k in range(60):
        place = tmp_path / ("cats" if k % 2 else "dogs") / f"{k}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(noise(1, 8)[0].transpose(1, 2, 0)).save(place)
    data = TorchVision("ImageFolder", str(tmp_path), size=8, validation=True)
    parts = {split: data.open(split) for split in data.splits}
    assert all(part.classes == ("cats", "dogs") for part in parts.values())
    counts = {split: len(part) for split, part in parts.items()}
    assert counts["train"] + counts["test"] + counts["validation"] == counts["all"] == 60 and min(counts.values()) >= 1
    whole = rows(parts["all"].values, parts["all"].labels)
    assert whole == set().union(*(rows(p.values, p.labels) for s, p in parts.items() if s != "all"))
    few = TorchVision("ImageFolder", str(tmp_path), size=8, test_share=0.0)
    assert len(few.open("train")) == 60
    with pytest.raises(NoSplit, match="imagefolder: none of its 60 pictures falls into the test split"):
        few.open("test")


def test_bad_samples_are_named_or_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(noise(1, 8)[0].transpose(1, 2, 0)).save(tmp_path / name)
    (tmp_path / "a" / "1.png").write_bytes(b"none")
    with pytest.raises(
        BadData, match=r"ImageFolder: sample 0 cannot be read \(cannot identify .*\); repair it, or set bad"
    ):
        TorchVision("ImageFolder", str(tmp_path), size=8).open("train")
    skipping = TorchVision("ImageFolder", str(tmp_path), size=8, bad="skip")
    for _ in range(2):
        assert len(TorchVision("ImageFolder", str(tmp_path), size=8, bad="skip").open("train")) == 2
    assert "ImageFolder: sample 0: skipped" in caplog.text and len(skipping.open("all")) == 2
    (tmp_path / "a" / "1.png").unlink()
    with pytest.raises(BadData, match=r"sample \d cannot be read \(.*limit of 63 pixels"):
        TorchVision("ImageFolder", str(tmp_path), size=8, max_pixels=63).open("train")


def test_a_failure_of_the_moment_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(noise(1, 8)[0].transpose(1, 2, 0)).save(tmp_path / name)
    skipping = TorchVision("ImageFolder", str(tmp_path), size=8, bad="skip")

    def fail(self: Any, i: int) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(skipping.dataset, "__getitem__", fail)
        with pytest.raises(BadData, match=r"sample \d: cannot be read \(Stale file handle\); start again when it can"):
            skipping.open("train")
    assert len(skipping.open("train")) == 2


def test_an_id_is_no_class() -> None:
    with pytest.raises(BadData, match="some: the largest label is 1000000000, where 0 classes have names; name a col"):
        counted([3, 10**9], "some")
    with pytest.raises(BadData, match="some: the largest label is 1000000000, where 2 classes have names; name a col"):
        _labels([0, 10**9], ["a", "b"], None, "some")
    assert _labels([0, 3], ["a", "b"], None, "some")[1] == ("a", "b", "2", "3")
    assert counted([2, None], "some") == ["0", "1", "2"]


class Environment:
    """As much of lmdb as torchvision's LSUN asks for."""

    def __init__(self, root: str, **_: Any) -> None:
        self.held = {path.name.encode(): path.read_bytes() for path in sorted(Path(root).glob("*.webp"))}

    def begin(self, write: bool) -> Environment:
        return self

    def __enter__(self) -> Environment:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def stat(self) -> dict[str, int]:
        return {"entries": len(self.held)}

    def cursor(self) -> Environment:
        return self

    def iternext(self, keys: bool, values: bool) -> list[bytes]:
        return list(self.held)

    def get(self, key: bytes) -> bytes:
        return self.held[key]


class Evil:
    def __reduce__(self) -> Any:
        return (sys.exit, (3,))


def test_lsun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split, n in (("bedroom_train", 6), ("bedroom_val", 2)):
        folder = tmp_path / f"{split}_lmdb"
        folder.mkdir()
        for k in range(n):
            Image.new("RGB", (16, 16), (0, 0, 40 * k)).save(folder / f"{k}.webp", lossless=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")  # where torchvision leaves its lists of keys
    arguments: dict[str, Any] = {"train": {"classes": ["bedroom_train"]}, "test": {"classes": ["bedroom_val"]}}
    with pytest.raises(BadData, match=r"torchvision's LSUN needs a package \(.*lmdb.*\); install it"):
        monkeypatch.setitem(sys.modules, "lmdb", None)
        TorchVision("LSUN", str(tmp_path), size=16, **arguments).open("train")
    monkeypatch.setitem(sys.modules, "lmdb", SimpleNamespace(open=Environment))
    for _ in range(2):  # the second time from the list
        data = TorchVision("LSUN", str(tmp_path), size=16, **arguments)
        assert sorted(int(value[2, 0, 0]) for value in data.open("train").values) == [0, 40, 80, 120, 160, 200]
        assert len(data.open("test")) == 2 and data.open("train").classes == ("bedroom_train",)
    (left, *_) = (tmp_path / "work").glob("_cache_*")
    left.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(BadData, match=r"_cache_\w+: is no list of LSUN's keys \(it names sys.exit\); remove it"):
        TorchVision("LSUN", str(tmp_path), size=16, **arguments).open("train")


def test_what_is_not_there_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    fetched: list[str] = []

    def download(self: Any) -> None:
        fetched.append(self.root)
        if len(fetched) == 1:
            raise OSError("<urlopen error no network>")
        if not (Path(self.root) / "cifar-10-batches-py").exists():
            cifar(Path(self.root), monkeypatch)

    monkeypatch.setattr(datasets.CIFAR10, "download", download)
    with pytest.raises(BadData, match=r"CIFAR10: holds no CIFAR10, and it could not be downloaded \(.*no network"):
        TorchVision("CIFAR10").open("train")
    with pytest.raises(BadData, match=r"holds no CIFAR10 that can be read .*; give the folder that holds it as root"):
        TorchVision("CIFAR10", download=False).open("train")
    assert len(TorchVision("CIFAR10", size=32).open("test")) == 12
    assert fetched == [str(cache / "torchvision" / "CIFAR10")] * 2, "into a folder of its own"
    assert len(TorchVision("CIFAR10", size=32).open("train")) == 60 and len(fetched) == 2


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no data set 'CIFAR-11'; did you mean CIFAR10"):
        TorchVision("CIFAR-11")
    with pytest.raises(
        BadArgument, match=r"torchvision's STL10 does not take {'split': 'trian'} \(Unknown value 'trian'"
    ):
        TorchVision("STL10", str(tmp_path), train={"split": "trian"}).open("train")
    with pytest.raises(BadArgument, match=r"torchvision's FakeData does not take {'sise': 3} \(.*sise"):
        TorchVision("FakeData", train={"sise": 3}).open("train")
    with pytest.raises(BadArgument, match="fit is zoom"):
        TorchVision("CIFAR10", fit="zoom")
    with pytest.raises(BadData, match=r"sample 0 cannot be read \(it is no picture but a Tensor\)"):
        root = tmp_path / "MovingMNIST"
        root.mkdir()
        np.save(root / "mnist_test_seq.npy", np.zeros((20, 2, 4, 4), np.uint8))
        TorchVision("MovingMNIST", str(tmp_path), size=8).open("train")
