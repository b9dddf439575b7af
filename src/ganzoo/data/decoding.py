"""Any picture file as one of 8 bits, upright, in grey or colour; hostile and damaged ones are refused with a reason."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

# Pillow hands EPS to Ghostscript, which executes it; it cannot decode the others without a program of the user's
_NOT_READ: Final = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})


class Unreadable(Exception):
    """Why a file gives no picture, without its name: a clause such as "it is no picture"."""


def decode(content: bytes, background: int = 255) -> Image.Image:
    """Decodes a file's bytes, whatever its format (EPS aside, which is a program), mode and depth.

    Of an animation the first picture is taken, a camera's rotation is applied, 16 bits become 8, CMYK, LAB and palettes
    become RGB, transparency is laid on `background`.

    Args:
        content: the whole file.
        background: the grey level 0..255 under transparency.

    Returns:
        A picture in mode `L` or `RGB`.

    Raises:
        Unreadable: saying why: it is none, is damaged, or is so large that it may be a decompression bomb.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as picture:
            # the header's word, before any pixel is decoded; Pillow itself only warns between this limit and its double
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and picture.width * picture.height > limit:
                raise Unreadable(
                    f"its {picture.width}x{picture.height} pixels are above the limit of {limit} (decompression bomb?)"
                )
            return _eight_bits(ImageOps.exif_transpose(picture), background)
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("it is no picture") from None
    except Exception as error:  # a hostile file makes Pillow's many decoders raise nearly anything
        raise Unreadable(" ".join(str(error).split())[:200] or type(error).__name__) from error


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in _NOT_READ]


def suffixes() -> frozenset[str]:
    """The endings of files that may hold a picture, in small letters, such as `.png`."""
    readable = set(_formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in readable)


def _eight_bits(picture: Image.Image, background: int) -> Image.Image:
    """Any of Pillow's modes as `L` or `RGB`."""
    mode = picture.mode
    if mode.startswith("I;16"):
        return Image.fromarray(_levels(np.asarray(picture), 65535))
    if mode in ("I", "F"):
        values = np.asarray(picture, np.float64)
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
        under = Image.new("RGBA", picture.size, (background, background, background, 255))
        return Image.alpha_composite(under, picture).convert("RGB")
    return picture if mode == "L" else picture.convert("RGB")


def _levels(values: npt.NDArray[Any], top: int) -> npt.NDArray[np.uint8]:
    return np.rint(values.astype(np.float64) * (255 / top)).astype(np.uint8)
