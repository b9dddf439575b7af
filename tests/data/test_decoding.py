"""What decoding costs: large JPEGs are reduced, and threads wait for each other."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganzoo.data import decoding as module
from ganzoo.data.decoding import Unreadable, bounded, decode, decoding


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def gradient(width: int, height: int) -> Image.Image:
    """Red to the right, green downwards."""
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([red, green, np.zeros_like(red)], -1).astype(np.uint8))


@pytest.mark.parametrize(("limit", "scale"), [(640 * 480, 1), (640 * 480 - 1, 2), (320 * 240 - 1, 4), (40_000, 4)])
def test_a_large_jpeg_is_decoded_smaller(limit: int, scale: int) -> None:
    picture = decode(saved(gradient(640, 480), "JPEG", quality=95), max_pixels=limit)
    assert picture.size == (640 // scale, 480 // scale) and picture.mode == "RGB"
    expected = np.asarray(gradient(*picture.size), np.float64)
    assert np.abs(np.asarray(picture) - expected).mean() < 3, "the same scene"


def test_what_no_reduction_brings_below_the_limit_is_refused() -> None:
    content = saved(gradient(640, 480), "JPEG")
    assert decode(content, max_pixels=640 * 60).size == (160, 120)
    for bytes_, limit in (
        (content, 640 * 60 - 1),  # more than eight times too large: reading it takes its time, however small it becomes
        (saved(gradient(640, 480), "JPEG", progressive=True), 640 * 480 - 1),  # held whole by the decoder
        (saved(gradient(64, 48), "PNG"), 64 * 48 - 1),
    ):
        with pytest.raises(Unreadable, match=rf"pixels are above the limit of {limit} \(decompression bomb\?\)"):
            decode(bytes_, max_pixels=limit)


def test_a_photograph_beyond_pillows_own_bound_is_read() -> None:
    """108 and 200 megapixels: telephones' largest. Pillow warns of the first and refuses the second."""
    content = saved(Image.new("L", (16_320, 12_240), 90), "JPEG")
    picture = decode(content)
    assert picture.size == (8160, 6120) and picture.getextrema() == (90, 90)


def test_the_rotation_of_a_reduced_photograph_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = decode(saved(gradient(640, 480), "JPEG", exif=exif), max_pixels=100_000)
    assert picture.size == (240, 320)
    corner = picture.getpixel((239, 0))
    assert isinstance(corner, tuple) and corner[0] < 20 and corner[1] < 20, "the file's left is the top"


def test_too_little_memory_is_no_fault_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "eight_bits", fail)
    with pytest.raises(MemoryError):
        decode(saved(gradient(8, 8), "PNG"))


def test_threads_share_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads, pictures of 300 to 900 pixels, 1,000 at a time: never more, and all get through."""
    content = [saved(gradient(30, 10 + 5 * (k % 5)), "PNG") for k in range(60)]
    lock, held, most = threading.Lock(), [0], [0]

    def work(each: bytes) -> tuple[int, int]:
        with decoding(each, max_pixels=1000) as picture:
            with lock:
                held[0] += picture.width * picture.height
                most[0] = max(most[0], held[0])
            time.sleep(0.002)
            with lock:
                held[0] -= picture.width * picture.height
        return picture.size

    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(work, content))
    assert sizes == [(30, 10 + 5 * (k % 5)) for k in range(60)]
    assert 300 <= most[0] <= 1000 and module._room.used == 0
    with pytest.raises(ZeroDivisionError), decoding(content[0], max_pixels=1000):
        raise ZeroDivisionError
    assert module._room.used == 0, "given back after an error too"


def test_pillows_bound_is_the_options_while_pictures_are_converted() -> None:
    before = Image.MAX_IMAGE_PIXELS
    with bounded(123):
        assert Image.MAX_IMAGE_PIXELS == 123
        with pytest.raises(Image.DecompressionBombWarning):
            Image.open(io.BytesIO(saved(gradient(16, 8), "PNG")))
    assert before == Image.MAX_IMAGE_PIXELS


COST = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from ganzoo.data.decoding import bounded, decoding

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def work(content):
    with decoding(content, max_pixels=3072**2) as picture:
        return picture.crop((1, 1, 3072, 3072)).resize((8, 8)).getpixel((4, 4))

content, before = open(sys.argv[1], "rb").read(), peak()
with bounded(3072**2), ThreadPoolExecutor(8) as pool:
    assert set(pool.map(work, [content] * 16)) == {(1, 2, 3)}
print(peak() - before)
"""


def test_what_eight_threads_cost(tmp_path: Path) -> None:
    """Pictures of 38 MB decoded: one at a time with its copies, where eight at a time take 900 MB."""
    Image.new("RGB", (3072, 3072), (1, 2, 3)).save(tmp_path / "a.png", compress_level=1)
    command = [sys.executable, "-c", COST, str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert not done.stderr and float(done.stdout) < 350, "megabytes"
