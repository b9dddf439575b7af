"""Any picture file as one of 8 bits, upright, in grey or colour; hostile and damaged ones are refused with a reason."""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin, UnidentifiedImageError, _imaging

from ganzoo.types import reason

# Pillow hands EPS to Ghostscript, which executes it; it cannot decode the others without a program of the user's
_NOT_READ: Final = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
_PIXELS: Final = 89_478_485  # Pillow's own limit: a quarter of 2^30 bytes in RGB
_BLOCK: Final = 2**26  # bytes; above 2^25 glibc asks the system for memory, and gives it back
_LARGEST_JPEG: Final = 8  # times the limit that a JPEG may have, however small it is decoded: it is read all the same


class Unreadable(Exception):
    """Why a file gives no picture, without its name: a clause such as "it is no picture"."""


def decode(content: bytes, background: int | None = 255, max_pixels: int | None = None) -> Image.Image:
    """Decodes a file's bytes, whatever its format (EPS aside, which is a program), mode and depth; see `decoding`."""
    with decoding(content, background, max_pixels) as picture:
        return picture


@contextmanager
def decoding(content: bytes, background: int | None = 255, max_pixels: int | None = None) -> Iterator[Image.Image]:
    """Decodes a file's bytes, whatever its format (EPS aside, which is a program), mode and depth.

    Of an animation the first picture is taken, a camera's rotation is applied, 16 bits become 8, CMYK, LAB and palettes
    become RGB, transparency is laid on `background`. A JPEG above `max_pixels` is decoded at a half, a quarter or an
    eighth of its sides, which costs the memory of what comes out. Threads that decode wait for each other where their
    pictures together have more than `max_pixels`, until this context ends.

    Args:
        content: the whole file.
        background: the grey level 0..255 under transparency; None keeps it.
        max_pixels: of one picture, and of all that are in memory at a time; Pillow's limit where None.

    Returns:
        A picture in mode `L` or `RGB`, or `RGBA` where its transparency is kept.

    Raises:
        Unreadable: saying why: it is none, is damaged, or is so large that it may be a decompression bomb.
        MemoryError: if there is too little memory for it at this moment.
    """
    limit = max_pixels or Image.MAX_IMAGE_PIXELS or _PIXELS
    with ExitStack() as stack:
        try:
            picture = stack.enter_context(_headed(content))
            stack.enter_context(_room.taken(_reduced(picture, limit), limit))
            plain = eight_bits(ImageOps.exif_transpose(picture), background)
        except (Unreadable, MemoryError):  # too little memory says nothing of the file
            raise
        except UnidentifiedImageError:
            raise Unreadable("it is no picture") from None
        except Exception as error:  # a hostile file makes Pillow's many decoders raise nearly anything
            raise Unreadable(reason(error)) from error
        yield plain


@contextmanager
def bounded(max_pixels: int) -> Iterator[None]:
    """Has Pillow's own check of sizes, which pictures within pictures meet too, hold to a limit; for all threads.

    Large pictures are given memory in blocks that the C library returns to the system; smaller ones it keeps, in a heap
    for each thread.
    """
    kept, block = Image.MAX_IMAGE_PIXELS, _imaging.get_block_size()
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        Image.MAX_IMAGE_PIXELS = max_pixels
        _imaging.set_block_size(max(block, _BLOCK))
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = kept
            _imaging.set_block_size(block)


def _headed(content: bytes) -> Image.Image:
    """A picture of which only the header was read."""
    if content.startswith(b"\xff\xd8\xff"):
        return JpegImagePlugin.JpegImageFile(io.BytesIO(content))  # `open` refuses large ones before they are reduced
    return Image.open(io.BytesIO(content), formats=_formats())


def _reduced(picture: Image.Image, limit: int) -> int:
    """Has a JPEG above the limit decoded smaller, and gives the pixels that decoding takes memory for."""
    width, height = picture.size
    pixels = width * height
    if isinstance(picture, JpegImagePlugin.JpegImageFile):
        # libjpeg holds the coefficients of a progressive file whole
        smaller = () if "progressive" in picture.info else (2, 4, 8)
        for scale in smaller if limit < pixels <= _LARGEST_JPEG * limit else ():
            if pixels <= limit * scale**2:
                picture.draft(None, (width // scale, height // scale))
                break
        pixels = picture.width * picture.height
    if pixels > limit:
        raise Unreadable(f"its {width}x{height} pixels are above the limit of {limit} (decompression bomb?)")
    return pixels


class _Room:
    """Pixels that all threads together have in memory while they decode."""

    def __init__(self) -> None:
        self.used = 0
        self.change = threading.Condition()

    @contextmanager
    def taken(self, pixels: int, limit: int) -> Iterator[None]:
        """Waits until there is room for as many pixels below the limit."""
        with self.change:
            self.change.wait_for(lambda: not self.used or self.used + pixels <= limit)
            self.used += pixels
        try:
            yield
        finally:
            with self.change:
                self.used -= pixels
                self.change.notify_all()


_room = _Room()


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in _NOT_READ]


def suffixes() -> frozenset[str]:
    """The endings of files that may hold a picture, in small letters, such as `.png`."""
    readable = set(_formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in readable)


def eight_bits(picture: Image.Image, background: int | None) -> Image.Image:
    """Any of Pillow's modes as `L` or `RGB`, as `decoding` gives it."""
    mode = picture.mode
    if mode.startswith("I;16"):
        return Image.fromarray(_levels(np.asarray(picture), 65535))
    if mode in ("I", "F"):
        values = np.asarray(picture)
        low, high = float(values.min()), float(values.max())
        limits = (65535,) if mode == "I" else (1, 255)
        limit = next((limit for limit in limits if low >= 0 and high <= limit), None)  # NaN is below none
        if limit is None:
            expected = "0..65535" if mode == "I" else "0..1 or 0..255"
            raise Unreadable(f"its values run from {low:g} to {high:g}, not within {expected}")
        return Image.fromarray(_levels(values, limit))
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
        assert converted is not None  # it is None only where the picture itself is changed
        return converted
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if background is None:
            return picture
        under = Image.new("RGBA", picture.size, (background, background, background, 255))
        return Image.alpha_composite(under, picture).convert("RGB")
    return picture if mode == "L" else picture.convert("RGB")


def _levels(values: npt.NDArray[Any], top: int) -> npt.NDArray[np.uint8]:
    levels = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), 64):  # in parts, as a float has the memory of eight pixels
        part = values[start : start + 64].astype(np.float64)
        levels[start : start + 64] = np.rint(part * (255 / top))
    return levels
