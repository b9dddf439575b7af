"""Fashion-MNIST: the idx files, whole and damaged; the Debian package; the download, refused and served on loopback."""

import functools
import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from torchvision.datasets import FashionMNIST as Published  # type: ignore[import-untyped]

from ganzoo.data import fashion_mnist
from ganzoo.data.fashion_mnist import CLASSES, DEBIAN, FashionMNIST, read_idx
from ganzoo.types import BadArgument, BadData

needs_package = pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs the Debian package dataset-fashion-mnist")
IMAGES = np.random.RandomState(0).randint(0, 256, (5, 28, 28)).astype(np.uint8)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)


def idx(values: npt.NDArray[np.uint8]) -> bytes:
    head = struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return head + values.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for prefix, count in (("train", 5), ("t10k", 2)):
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES[:count])))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[:count])))
    return tmp_path


def test_a_folder_of_files(folder: Path) -> None:
    data = FashionMNIST(root=str(folder))
    train = data.open("train")
    assert train.shape == (1, 32, 32) and len(train) == 5 and train.classes == CLASSES and train.license == "MIT"
    assert np.array_equal(train.values[:, 0, 2:30, 2:30], IMAGES)
    assert int(train.values.sum()) == int(IMAGES.sum()), "the frame is zero"
    assert train.labels is not None and train.labels.tolist() == LABELS.tolist()
    assert np.array_equal(FashionMNIST(root=str(folder), size=28).open("train").values[:, 0], IMAGES)
    everything = data.open("all")
    assert np.array_equal(everything.values, np.concatenate([train.values, data.open("test").values]))


@needs_package
def test_the_debian_package() -> None:
    train, test = FashionMNIST().open("train"), FashionMNIST().open("test")
    assert (len(train), len(test)) == (60_000, 10_000)
    for split in (train, test):
        assert split.labels is not None
        assert (np.bincount(split.labels) == len(split) // 10).all(), "the authors balanced the classes"
    # the mean and deviation that the community normalises with, of 28x28 pixels in 0..1
    pixels = train.values[:, 0, 2:30, 2:30]
    assert abs(pixels.mean() / 255 - 0.2860) < 1e-4
    assert abs(pixels.std() / 255 - 0.3530) < 1e-4


def damaged(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    with pytest.raises(BadData) as caught:
        FashionMNIST(root=str(folder)).open("train")
    text = str(caught.value)
    assert "\n" not in text
    assert name in text or "images but" in text
    return text


def test_damaged_files_are_refused(folder: Path) -> None:
    name = "train-images-idx3-ubyte.gz"
    whole = (folder / name).read_bytes()
    assert "cannot be read" in damaged(folder, name, whole[:-100])
    assert "cannot be read" in damaged(folder, name, b"not gzip at all")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    assert "cannot be read" in damaged(folder, name, bytes(flipped))
    assert "no idx file of bytes" in damaged(folder, name, b"")
    assert "no idx file of bytes" in damaged(folder, name, gzip.compress(idx(LABELS)))
    assert "no idx file of bytes" in damaged(folder, name, gzip.compress(idx(IMAGES)[:10]))
    assert "(28, 27)" in damaged(folder, name, gzip.compress(idx(IMAGES[:, :, 1:])))
    assert "holds only 3820 bytes" in damaged(folder, name, gzip.compress(idx(IMAGES)[:-100]))
    assert "holds more" in damaged(folder, name, gzip.compress(idx(IMAGES) + b"x"))
    huge = struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 28, 28)
    assert "more than a file of its size can hold" in damaged(folder, name, gzip.compress(huge))
    assert "4 images but 5 labels" in damaged(folder, name, gzip.compress(idx(IMAGES[:4])))
    (folder / name).write_bytes(whole)
    assert len(FashionMNIST(root=str(folder)).open("train")) == 5


def test_a_label_without_a_class_is_refused(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS + 5)))
    with pytest.raises(BadData, match="labels run from 6 to 10, but there are 10 classes"):
        FashionMNIST(root=str(folder)).open("train")


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(BadData, match=r"holds no t10k-labels-idx1-ubyte\.gz"):
        FashionMNIST(root=str(folder)).open("train")
    with pytest.raises(BadData, match="cannot be read"):
        read_idx(folder / "nothing.gz", ())


def test_too_small_a_size_is_refused() -> None:
    with pytest.raises(BadArgument, match="size is 16"):
        FashionMNIST(size=16)


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "absent")
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path / "cache" / "data"


def test_without_package_and_net_the_error_says_what_to_install(
    without_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Published, "mirrors", ["http://127.0.0.1:1/"])  # nobody listens there
    with pytest.raises(BadData, match="install the Debian package dataset-fashion-mnist") as caught:
        FashionMNIST().open("train")
    assert "\n" not in str(caught.value)
    assert list(without_package.iterdir()) == [], "a failed download leaves nothing"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def mirror(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_download_through_torchvision(
    folder: Path, without_package: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Published, "mirrors", [mirror])
    with pytest.raises(BadData, match=r"could not be downloaded .*corrupted"):
        FashionMNIST().open("test")  # what is served here is not what was published
    sums = [(path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in sorted(folder.glob("*.gz"))]
    monkeypatch.setattr(Published, "resources", sums[2:] + sums[:2])  # in torchvision's order
    downloaded = FashionMNIST().open("test")
    assert np.array_equal(downloaded.values[:, 0, 2:30, 2:30], IMAGES[:2])
    assert [path.name for path in without_package.iterdir()] == ["fashion-mnist"]
    monkeypatch.setattr(Published, "mirrors", ["http://127.0.0.1:1/"])
    assert FashionMNIST().open("test").digest == downloaded.digest, "the second time from the cache"
