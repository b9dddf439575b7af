"""A folder of pictures: every mode, hostile files, the cache, two processes at once."""

import errno
import hashlib
import io
import itertools
import json
import logging
import multiprocessing
import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from ganzoo.data import conversion as module
from ganzoo.data import store
from ganzoo.data.folder import Folder
from ganzoo.types import BadArgument, BadData, NoSplit

RANDOM = np.random.RandomState(0)
PICTURE = RANDOM.randint(0, 256, (16, 16, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GANZOO_CACHE", str(path))
    return path / "data"


def one(root: Path, **arguments: Any) -> npt.NDArray[np.uint8]:
    """The only picture of a folder, `(C, size, size)`."""
    values = Folder(str(root), **{"size": 16, "test_share": 0.0, **arguments}).open("train").values
    assert len(values) == 1
    return np.asarray(values[0])


def many(root: Path, count: int, side: int = 16) -> dict[str, npt.NDArray[np.uint8]]:
    """Numbered noise, by name."""
    root.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for k in range(count):
        pixels = np.random.RandomState(k).randint(0, 256, (side, side, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"{k:03}.png")
        pictures[f"{k:03}.png"] = pixels
    return pictures


def chw(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return pixels.transpose(2, 0, 1)


def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Collects the arrays that are made from now on."""
    made: list[Path] = []
    real = store._make

    def make(place: Path, *rest: Any) -> None:
        made.append(place)
        real(place, *rest)

    monkeypatch.setattr(store, "_make", make)
    return made


def test_a_picture_of_the_size_is_not_touched(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    for fit in ("crop", "pad", "stretch"):
        assert np.array_equal(one(tmp_path, fit=fit), chw(PICTURE))
    grey = np.asarray(Image.fromarray(PICTURE).convert("L"))
    assert np.array_equal(one(tmp_path, channels=1), grey[None])


def test_crop_pad_and_stretch(tmp_path: Path) -> None:
    wide = np.zeros((16, 32, 3), np.uint8)
    wide[:, :8], wide[:, 8:24], wide[:, 24:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    Image.fromarray(wide).save(tmp_path / "a.png")
    cropped = one(tmp_path)
    assert (cropped[1] == 255).all() and (cropped[[0, 2]] == 0).all(), "the middle, and only it"
    padded = one(tmp_path, fit="pad", background=9)
    assert (padded[:, :4] == 9).all() and (padded[:, 12:] == 9).all()
    assert padded[0, 8, 0] > 240 and padded[2, 8, 15] > 240 and padded[1, 8, 8] > 240
    stretched = one(tmp_path, fit="stretch")
    assert stretched[0, 8, 1] > 240 and stretched[2, 8, 14] > 240 and stretched[1, 8, 8] > 240
    smaller = one(tmp_path, size=8)
    expected = Image.fromarray(wide[:, 8:24]).resize((8, 8), Image.Resampling.LANCZOS)
    assert np.array_equal(smaller, chw(np.asarray(expected)))


def test_one_pixel_and_extreme_shapes(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (10, 20, 30)).save(tmp_path / "dot.png")
    for fit in ("crop", "pad", "stretch"):
        assert (one(tmp_path, fit=fit) == np.array([10, 20, 30])[:, None, None]).all()
    Image.new("RGB", (3000, 1), (10, 20, 30)).save(tmp_path / "dot.png")
    padded = one(tmp_path, fit="pad", background=0)
    assert padded.any(axis=(0, 2)).sum() == 1, "one row of it"


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    levels = RANDOM.randint(0, 65536, (16, 16)).astype(np.uint16)
    levels[0, :2] = 0, 65535
    Image.fromarray(levels).save(tmp_path / "a.png")
    expected = np.rint(levels / 257).astype(np.uint8)
    assert np.array_equal(one(tmp_path, channels=1)[0], expected)
    assert np.array_equal(one(tmp_path), np.stack([expected] * 3))


def test_float_and_integer_pictures(tmp_path: Path) -> None:
    unit = RANDOM.random_sample((16, 16)).astype(np.float32)
    Image.fromarray(unit).save(tmp_path / "a.tiff")
    assert np.array_equal(one(tmp_path, channels=1)[0], np.rint(unit.astype(np.float64) * 255).astype(np.uint8))
    Image.fromarray(unit * 200).save(tmp_path / "a.tiff")
    assert abs(one(tmp_path, channels=1)[0] - unit * 200.0).max() <= 0.5
    Image.fromarray((unit * 60000).astype(np.int32)).save(tmp_path / "a.tiff")
    assert abs(one(tmp_path, channels=1)[0] - (unit * 60000).astype(np.int32) / 257.0).max() <= 0.5
    for wrong, text in ((unit * 1000, "0..1 or 0..255"), (unit - 2, "run from"), (unit * np.nan, "nan")):
        Image.fromarray(wrong).save(tmp_path / "a.tiff")
        with pytest.raises(BadData, match=f"a.tiff: cannot be read .*{text}"):
            one(tmp_path)


def test_transparency_lies_on_the_background(tmp_path: Path) -> None:
    layered = np.dstack([PICTURE, np.full((16, 16), 255, np.uint8)])
    layered[:8, :, 3] = 0
    Image.fromarray(layered).save(tmp_path / "a.png")
    for background in (255, 40):
        pixels = one(tmp_path, background=background)
        assert (pixels[:, :8] == background).all() and np.array_equal(pixels[:, 8:], chw(PICTURE)[:, 8:])


@pytest.mark.parametrize("suffix", ["gif", "png"])
def test_a_palette_with_transparency(tmp_path: Path, suffix: str) -> None:
    picture = Image.new("P", (16, 16), 1)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    picture.paste(0, (0, 0, 16, 4))
    picture.save(tmp_path / f"a.{suffix}", transparency=0)
    pixels = one(tmp_path)
    assert (pixels[:, :4] == 255).all()
    assert (pixels[:, 4:] == np.array([200, 100, 50])[:, None, None]).all()


def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (one(tmp_path) == np.array([255, 0, 0])[:, None, None]).all()


def test_cmyk_and_other_modes(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    red = one(tmp_path)
    assert red[0].min() > 245 and red[1:].max() < 10
    (tmp_path / "a.jpg").unlink()
    Image.new("LAB", (16, 16), (136, 208, 195)).save(tmp_path / "a.tiff")  # CIE (53, 80, 67): sRGB's red
    red = one(tmp_path)
    assert red[0].min() > 245 and red[1:].max() < 20
    Image.new("1", (16, 16), 1).save(tmp_path / "a.tiff")
    assert (one(tmp_path) == 255).all()
    # Compressed, because Pillow 12.3 cannot read its own plain one
    Image.new("YCbCr", (16, 16), (76, 85, 255)).save(tmp_path / "a.tiff", compression="tiff_lzw")
    assert one(tmp_path)[0].min() > 245


def test_a_cameras_rotation_is_applied(tmp_path: Path) -> None:
    for orientation, turned in {
        1: PICTURE,
        3: PICTURE[::-1, ::-1],
        6: np.rot90(PICTURE, -1),  # the camera was held so that the scene's top is at the file's left
        8: np.rot90(PICTURE),
        2: PICTURE[:, ::-1],
    }.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(PICTURE).save(tmp_path / "a.png", exif=exif)
        assert np.array_equal(one(tmp_path), chw(turned)), orientation


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(side: int) -> bytes:
    """A small PNG whose header announces side x side pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def png(tmp_path: Path) -> bytes:
    Image.fromarray(PICTURE).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "whole.png").unlink()
    return content


def bad_files(tmp_path: Path) -> dict[str, bytes]:
    whole = png(tmp_path)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    return {
        "truncated.png": whole[: len(whole) // 2],
        "flipped.png": bytes(flipped),
        "text.png": b"this is not a picture\n" * 20,
        "empty.jpg": b"",
        "bomb.png": bomb(60_000),
        "small bomb.png": bomb(10_000),
        "program.gif": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\nshowpage\n%%EOF\n",
    }


REASONS = {
    "truncated.png": "truncated|broken|unexpected end",
    "flipped.png": "broken|CRC|decod|truncated",
    "text.png": "no picture",
    "empty.jpg": "no picture",
    "bomb.png": "bomb",
    "small bomb.png": "bomb",
    "program.gif": "no picture",
}


@pytest.mark.parametrize("name", list(REASONS))
def test_a_bad_file_is_named(tmp_path: Path, name: str, cache: Path) -> None:
    many(tmp_path, 3)
    (tmp_path / name).write_bytes(bad_files(tmp_path)[name])
    with pytest.raises(
        BadData, match=rf"{name}: cannot be read \(.*({REASONS[name]}).*\); repair .* bad=skip"
    ) as caught:
        Folder(str(tmp_path), size=16).open("train")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in cache.iterdir()) == [], "nothing half-converted stays"


def test_bad_files_are_skipped_by_choice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = many(tmp_path, 3)
    for name, content in bad_files(tmp_path).items():
        (tmp_path / name).write_bytes(content)
    for _ in range(2):  # converted, and then opened again
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            values = Folder(str(tmp_path), size=16, bad="skip", test_share=0.0).open("train").values
        told = [record.getMessage() for record in caplog.records]
        assert len(told) == len(REASONS) and all(any(name in line for line in told) for name in REASONS)
        assert {image.tobytes() for image in values} == {chw(pixels).tobytes() for pixels in good.values()}
    with pytest.raises(BadData, match="cannot be read"):  # the choice is not part of what is kept
        Folder(str(tmp_path), size=16, bad="error").open("train")


def test_a_folder_of_bad_files_only(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    for _ in range(2):
        with pytest.raises(BadData, match=r"none of its 1 pictures can be read; a.png: it is no picture"):
            Folder(str(tmp_path), bad="skip").open("train")


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="there is no such folder"):
        Folder(str(tmp_path / "absent")).open("train")
    with pytest.raises(BadData, match="it is empty"):
        Folder(str(tmp_path)).open("train")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    with pytest.raises(BadData, match="none of its 1 files has the suffix of a picture"):
        Folder(str(tmp_path)).open("train")
    with pytest.raises(BadData, match="is a file"):
        Folder(str(tmp_path / "notes.txt")).open("train")
    os.mkfifo(tmp_path / "pipe.png")  # reading it would wait for ever
    with pytest.raises(BadData, match="holds no picture"):
        Folder(str(tmp_path)).open("train")
    (tmp_path / "link.png").symlink_to(tmp_path / "absent.png")
    with pytest.raises(BadData, match=r"link.png: cannot be read"):
        Folder(str(tmp_path)).open("train")


def test_what_cannot_be_read_at_all_is_skipped_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = many(tmp_path, 2)
    (tmp_path / "dangling.png").symlink_to(tmp_path / "absent.png")
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    images = Folder(str(tmp_path), size=16, bad="skip").open("train")
    assert {image.tobytes() for image in images.values} == {chw(pixels).tobytes() for pixels in good.values()}
    told = "\n".join(caplog.messages)
    assert "dangling.png: skipped, it is a link to nothing" in told and "round.png: skipped" in told
    with pytest.raises(BadData, match=r"(dangling|round).png: cannot be read .*; repair or remove it, or set bad=skip"):
        Folder(str(tmp_path), size=16).open("train")
    for name in good:
        (tmp_path / name).unlink()
    with pytest.raises(BadData, match="none of its 2 pictures can be read"):
        Folder(str(tmp_path), size=16, bad="skip").open("train")


def test_a_file_that_only_its_owner_may_read_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 3)
    real = open

    def refuse(path: Any, *rest: Any) -> Any:
        if str(path).endswith("001.png"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest)

    monkeypatch.setattr(module, "open", refuse, raising=False)
    assert len(Folder(str(tmp_path), size=16, bad="skip").open("train")) == 2
    with pytest.raises(BadData, match=r"001.png: cannot be read \(Permission denied\)"):
        Folder(str(tmp_path), size=16).open("train")


@pytest.mark.parametrize(
    ("error", "raised", "text"),
    [
        (
            OSError(errno.EIO, "Input/output error"),
            BadData,
            r"001.png: cannot be read .Input/output error.; start again",
        ),
        (MemoryError(), MemoryError, "^$"),
    ],
)
def test_a_failure_of_the_moment_leaves_no_picture_out(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[Exception], text: str
) -> None:
    many(tmp_path, 3)
    real = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == "001.png":
            raise error
        return real(path)

    with monkeypatch.context() as patch, pytest.raises(raised, match=text):
        patch.setattr(Path, "read_bytes", fail)
        Folder(str(tmp_path), size=16, bad="skip").open("train")
    assert not [*cache.glob("folder-*")], "nothing is kept of it"
    assert len(Folder(str(tmp_path), size=16, bad="skip").open("train")) == 3


def test_one_option_bounds_the_pixels(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "a.png")
    with pytest.raises(BadData, match=r"a.png: cannot be read \(.*limit of 1199.* bomb"):
        one(tmp_path, max_pixels=1199)
    assert one(tmp_path, max_pixels=1200)[0].min() == 200, "what was refused is tried again under another limit"
    assert one(tmp_path)[0].min() == 200


def test_photographs_that_are_not_read_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    many(tmp_path, 2)
    for name in ("a.HEIC", "b.heic", "c.nef", "d.txt", ".e.heic"):
        (tmp_path / name).write_bytes(b"")
    assert module.walk(tmp_path) == (["000.png", "001.png"], 4)
    said = "3 photographs are passed over, as no .heic nor .nef is read here; convert them to .jpg or .png"
    assert [text.removeprefix(f"{tmp_path}: ") for text in caplog.messages] == [said]


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    cats, dogs = many(tmp_path / "cats", 4), many(tmp_path / "dogs" / "small", 3)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "a.png").write_bytes(b"")
    images = Folder(str(tmp_path), size=16).open("all")
    assert images.classes == ("cats", "dogs") and images.labels is not None
    counts = np.bincount(images.labels)
    assert counts.tolist() == [len(cats), len(dogs)]
    known = {chw(pixels).tobytes() for pixels in dogs.values()}  # noise is seeded by its number, so cats hold these too
    assert known == {image.tobytes() for image in images.values[images.labels == 1]}
    many(tmp_path, 1)
    loose = Folder(str(tmp_path), size=16).open("all")
    assert loose.labels is None and loose.classes is None, "a picture outside every class"
    only = Folder(str(tmp_path / "dogs"), size=16).open("all")
    assert only.labels is None, "one class is none"


def test_a_class_whose_files_are_all_bad_keeps_its_number(tmp_path: Path) -> None:
    many(tmp_path / "a", 1)
    many(tmp_path / "c", 1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.png").write_bytes(b"")
    images = Folder(str(tmp_path), size=16, bad="skip").open("all")
    assert images.classes == ("a", "b", "c") and images.labels is not None
    assert sorted(images.labels.tolist()) == [0, 2]


def test_a_link_back_up_ends(tmp_path: Path) -> None:
    many(tmp_path / "a", 2)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert len(Folder(str(tmp_path), size=16).open("all")) == 2


def test_a_picture_stays_on_its_side_of_the_split(tmp_path: Path) -> None:
    many(tmp_path, 60)

    def split() -> dict[str, set[bytes]]:
        data = Folder(str(tmp_path), size=16, test_share=0.3)
        return {name: {image.tobytes() for image in data.open(name).values} for name in ("train", "test", "all")}

    first = split()
    assert first["train"] | first["test"] == first["all"] and not first["train"] & first["test"]
    assert len(first["all"]) == 60 and 8 <= len(first["test"]) <= 28
    many(tmp_path, 80)
    second = split()
    assert first["train"] <= second["train"] and first["test"] <= second["test"] and len(second["all"]) == 80
    with pytest.raises(NoSplit, match=r"none of its 80 pictures falls into the test split at test_share=0.0; give"):
        Folder(str(tmp_path), size=16, test_share=0.0).open("test")


def test_all_of_a_few_pictures_are_for_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    many(tmp_path, 49)
    few = Folder(str(tmp_path), size=16)
    assert len(few.open("train")) == len(few.open("all")) == 49
    (told,) = caplog.messages
    assert told == "all 49 pictures are for training, as fewer than 50 are not divided; set test_share to keep some"
    with pytest.raises(NoSplit, match=r"none of its 49 pictures falls into the test split .*fewer than 50 are all"):
        few.open("test")
    assert len(Folder(str(tmp_path), size=16, test_share=0.3).open("test")) > 4, "unless somebody says so"
    many(tmp_path, 50)
    assert 1 <= len(Folder(str(tmp_path), size=16).open("test")) <= 12


def test_validation_pictures_are_kept_from_training(tmp_path: Path) -> None:
    many(tmp_path, 80)
    plain, data = (Folder(str(tmp_path), size=16, validation=on) for on in (False, True))
    parts = {name: {image.tobytes() for image in data.open(name).values} for name in data.splits}
    assert list(parts) == ["train", "test", "all", "validation"] and 2 <= len(parts["validation"]) <= 20
    assert parts["train"] | parts["validation"] == {image.tobytes() for image in plain.open("train").values}
    assert sum(len(parts[name]) for name in ("train", "test", "validation")) == len(parts["all"]) == 80
    assert isinstance(data.open("validation").values, np.memmap), "a piece of the same file"
    many(tmp_path, 95)
    later = {image.tobytes() for image in Folder(str(tmp_path), size=16, validation=True).open("validation").values}
    assert parts["validation"] <= later
    with pytest.raises(BadArgument, match=r"'validation' is not a split of Folder; .*; give validation=True to keep"):
        plain.open("validation")


def test_converted_once_and_mapped(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 6)
    made = conversions(monkeypatch)
    first = Folder(str(tmp_path), size=16).open("all")
    assert isinstance(first.values, np.memmap) and not first.values.flags.writeable
    for share in (0.1, 0.5):  # other splits are parts of the same file
        assert Folder(str(tmp_path), size=16, test_share=share, flip=True).open("all").digest == first.digest
    assert len(made) == 1
    Folder(str(tmp_path), size=8).open("all")
    Folder(str(tmp_path), size=16, channels=1).open("all")
    assert len(made) == 3
    assert sorted(path.name[:7] for path in cache.iterdir()) == ["folder-"] * 3
    batch = Folder(str(tmp_path), size=16).open("all").batch([3, 0])
    assert np.array_equal(batch.images.numpy(), first.values[[3, 0]])


def test_the_key_is_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "pictures"
    many(root, 4)
    made = conversions(monkeypatch)

    def digest(root: Path) -> str:
        return Folder(str(root), size=16).open("all").digest

    first = digest(root)
    os.utime(root / "000.png")
    assert digest(root) == first
    copy = tmp_path / "copy"
    many(copy, 4)
    assert digest(copy) == first
    assert len(made) == 1, "neither a new date nor a copy is new content"
    status = (root / "000.png").stat()
    content = bytearray(bmp(1))
    (root / "000.png").write_bytes(content)
    second = digest(root)
    assert second != first and len(made) == 2
    content[-1] ^= 1  # as long as before, and its date set back
    (root / "000.png").write_bytes(content)
    os.utime(root / "000.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digest(root) not in (first, second) and len(made) == 3
    (root / "000.png").rename(root / "100.png")
    digest(root)
    assert len(made) == 4, "names are content: they are labels and splits"


def bmp(seed: int) -> bytes:
    """A picture without compression, so that one bit more is one pixel else."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.RandomState(seed).randint(0, 256, (16, 16, 3)).astype(np.uint8)).save(buffer, "BMP")
    return buffer.getvalue()


def test_files_at_rest_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 3)
    read: list[str] = []
    real = hashlib.file_digest

    def file_digest(file: Any, name: Any) -> Any:
        read.append(Path(file.name).name)
        return real(file, name)

    monkeypatch.setattr(hashlib, "file_digest", file_digest)
    Folder(str(tmp_path), size=16).open("all")
    Folder(str(tmp_path), size=16).open("all")
    assert len(read) == 6, "just written: they may change within a tick of the clock"
    later = time.time() + 10
    monkeypatch.setattr(time, "time", lambda: later)
    Folder(str(tmp_path), size=16).open("all")
    assert len(read) == 9
    Folder(str(tmp_path), size=16).open("all")
    assert len(read) == 9, "at rest"
    (tmp_path / "001.png").write_bytes(bmp(7))
    Folder(str(tmp_path), size=16).open("all")
    assert read[9:] == ["001.png"]


def test_a_damaged_cache_is_made_anew(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 4)
    later = time.time() + 10  # so that the list of sums is kept
    monkeypatch.setattr(time, "time", lambda: later)
    first = Folder(str(tmp_path), size=16).open("all").digest
    (place,) = cache.glob("folder-*")
    values, facts, checked = place / "values.npy", place / "facts.json", place / "checked.json"
    assert checked.is_file(), "at rest"
    pixels = np.load(values)
    flipped = bytearray(values.read_bytes())
    flipped[-1] ^= 1
    turned = io.BytesIO()
    np.lib.format.write_array(turned, np.asfortranarray(pixels))
    deep = b"[" * 100_000
    damages = {
        values: [values.read_bytes()[:-10], b"", b"foreign", bytes(flipped), turned.getvalue()],
        facts: [b"", b"{}", b"[]", b"\xff", json.dumps({"notes": [], "skipped": {}, "shape": [4]}).encode(), deep],
        checked: [b"", b"[]", b"\xff", deep],
    }
    for path, contents in damages.items():
        for content in contents:
            path.write_bytes(content)
            assert Folder(str(tmp_path), size=16).open("all").digest == first, content
    values.unlink()
    assert Folder(str(tmp_path), size=16).open("all").digest == first
    (listed,) = (cache / "sums").iterdir()
    for content in (b"[", b"[]", b"\xff", b'{"000.png": [1, 2]}', deep):
        listed.write_bytes(content)
        assert Folder(str(tmp_path), size=16).open("all").digest == first, content
    assert [path.name for path in cache.glob(".*")] == []


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 2)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(BadData, match="set GANZOO_CACHE to another folder"):
        Folder(str(tmp_path), size=16).open("all")


def test_a_file_that_changes_during_conversion_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 2)
    real, seeds = module._sums, itertools.count()

    def sums(*arguments: Any) -> dict[str, str]:
        found = real(*arguments)
        (tmp_path / "001.png").write_bytes(bmp(next(seeds)))
        return found

    monkeypatch.setattr(module, "_sums", sums)
    for bad in ("error", "skip"):
        with pytest.raises(BadData, match=r"001.png: cannot be read .it changed.*; start again when it rests"):
            Folder(str(tmp_path), size=16, bad=bad).open("all")


def test_what_a_killed_conversion_left_is_swept(tmp_path: Path, cache: Path) -> None:
    many(tmp_path, 2)
    for name, age in ((".converting-old", 8), (".converting-new", 1)):
        (cache / name).mkdir(parents=True)
        (cache / name / "values.npy").write_bytes(b"")
        then = time.time() - age * 24 * 3600
        os.utime(cache / name / "values.npy", (then, then))
        os.utime(cache / name, (then, then))
    Folder(str(tmp_path), size=16).open("all")
    assert [path.name for path in cache.glob(".*")] == [".converting-new"]


def converting(root: Path, barrier: Any, results: Any) -> None:
    real = store._install

    def install(draft: Path, place: Path) -> None:
        barrier.wait(60)  # until both have converted
        real(draft, place)

    store._install = install
    results.put(Folder(str(root), size=32).open("all").digest)


def test_two_processes_convert_at_the_same_time(tmp_path: Path, cache: Path) -> None:
    many(tmp_path, 40, side=64)
    context = multiprocessing.get_context("fork")  # a fresh interpreter would spend seconds on imports
    barrier, results = context.Barrier(2), context.Queue()
    pair = [context.Process(target=converting, args=(tmp_path, barrier, results)) for _ in range(2)]
    for process in pair:
        process.start()
    digests = [results.get(timeout=60) for _ in pair]
    for process in pair:
        process.join()
    assert [process.exitcode for process in pair] == [0, 0]
    assert digests[0] == digests[1] == Folder(str(tmp_path), size=32).open("all").digest
    assert len(list(cache.glob("folder-*"))) == 1 and list(cache.glob(".*")) == []


def test_a_long_conversion_shows_its_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    many(tmp_path, 3)
    Folder(str(tmp_path), size=16).open("all")
    monkeypatch.setattr(store, "_PATIENCE", -1.0)
    Folder(str(tmp_path), size=15).open("all")
    assert capsys.readouterr().err == "", "not on a terminal, or not long"
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes anything for a terminal
    Folder(str(tmp_path), size=14).open("all")
    told = capsys.readouterr()
    assert "converting 3 pictures" in told.err and told.out == ""


def test_training_gathers_from_the_converted_pictures(tmp_path: Path) -> None:
    for name in ("a", "b"):
        many(tmp_path / name, 5)
    data = Folder(str(tmp_path), size=8, batch_size=16, test_share=0.0)
    data.prepare_data()
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch.images.shape == (16, 3, 8, 8) and batch.labels is not None
    assert float(batch.images.min()) < -0.5 and float(batch.images.max()) > 0.5
    assert data.open("train").name == tmp_path.name.lower().replace("_", "-")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"size": 0}, "size is 0"),
        ({"channels": 4}, "channels is 4"),
        ({"fit": "zoom"}, "fit is zoom"),
        ({"background": 256}, "background is 256"),
        ({"bad": "ignore"}, "bad is ignore"),
        ({"test_share": 1.0}, "test_share is 1.0"),
        ({"max_pixels": 0}, "max_pixels is 0"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(BadArgument, match=text):
        Folder("anywhere", **arguments)
