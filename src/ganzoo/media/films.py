"""Films: pictures one after another, as an animation (`.gif`, `.webp`), a video (`.mp4`), or a strip (`.png`, ...)."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from ganzoo.files import atomic
from ganzoo.media.medium import is_picture, write_picture
from ganzoo.media.provenance import marks, video_marks
from ganzoo.types import BadArgument

Pictures = Iterable[Image.Image]

_GIF_RATE = 50  # pictures a second; viewers take a hundredth of a second for none at all


def write_film(pictures: Pictures, path: str | Path, rate: float = 24.0, columns: int | None = None) -> int:
    """Writes pictures as a film, whole or not at all; the suffix is the kind.

    Args:
        pictures: at least one, drawn only once the path was found good; all are given the size of the first.
        path: `.gif` and `.webp` repeat for ever, `.mp4` needs PyAV, and any format of still pictures gives a strip.
        rate: pictures a second, 0.1 to 120, of a `.gif` to 50, as what is quicker is shown at a tenth of a second.
        columns: of a strip; all in one row where None.

    Returns:
        How many pictures there were.

    Raises:
        BadArgument: for another suffix, an `.mp4` without PyAV, a rate out of range, or no picture.
    """
    path = Path(path)
    check_film(path)
    if not (isinstance(rate, (int, float)) and 0.1 <= rate <= 120):
        raise BadArgument(f"the rate is {rate} pictures a second; 0.1 to 120 are expected")
    suffix = path.suffix.lower()
    if suffix == ".gif" and rate > _GIF_RATE:
        advice = "give that, or the name of a .webp or .mp4"
        raise BadArgument(f"{path}: the rate is {rate} pictures a second, and a .gif has at most {_GIF_RATE}; {advice}")
    count = itertools.count()
    given = iter(pictures)
    first = next(given, None)
    if first is None:
        raise BadArgument(f"{path}: there is no picture to make a film of")
    shown = (_sized(each, first, count) for each in itertools.chain([first], given))
    if suffix in _WRITERS:
        with atomic(path) as part:
            _WRITERS[suffix](shown, part, rate)
    else:
        write_picture(_strip([*shown], columns), path, made=True)
    return next(count)


def check_film(path: Path) -> None:
    """Whether a film can be written there; asked before what takes long.

    Raises:
        BadArgument: for another suffix, a folder, or an `.mp4` without PyAV.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITERS and not is_picture(path):
        raise BadArgument(f"{path}: no film is written as {path.suffix or 'a file without suffix'!r}; try .gif or .mp4")
    if path.is_dir():
        raise BadArgument(f"{path}: is a folder; give the name of a file in it")
    if suffix == ".mp4":
        _video_library(path)


def _sized(picture: Image.Image, first: Image.Image, count: Iterator[int]) -> Image.Image:
    next(count)
    picture = picture.convert(first.mode)
    return picture if picture.size == first.size else picture.resize(first.size, Image.Resampling.NEAREST)


def _strip(pictures: list[Image.Image], columns: int | None) -> Image.Image:
    width, height = pictures[0].size
    columns = min(columns or len(pictures), len(pictures))
    strip = Image.new(pictures[0].mode, (columns * width, math.ceil(len(pictures) / columns) * height), "white")
    for i, picture in enumerate(pictures):
        strip.paste(picture, (i % columns * width, i // columns * height))
    return strip


def _animation(form: str, unit: int, **options: Any) -> Callable[[Pictures, Path, float], None]:
    """Writes a format of Pillow's, which counts time in units of so many milliseconds."""

    def write(pictures: Pictures, part: Path, rate: float) -> None:
        durations: list[int] = []  # a picture's is there before Pillow, which draws them one by one, asks for it

        def timed() -> Iterator[Image.Image]:
            for i, picture in enumerate(pictures):
                # Between rounded times, not rounded itself: so the errors do not add up, and the mean rate is right
                begin, end = (round(1000 * k / (rate * unit)) for k in (i, i + 1))
                durations.append(unit * (end - begin))
                yield picture

        given = timed()
        still = dict(duration=durations, loop=0, **options, **marks(form))
        next(given).save(part, format=form, save_all=True, append_images=given, **still)

    return write


def _video(pictures: Pictures, part: Path, rate: float) -> None:
    """H.264 where the library has its encoder, else MPEG-4; sides are made even, as both ask for."""
    av = _video_library(part)
    with av.open(str(part), "w", format="mp4") as file:
        file.metadata.update(video_marks())
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = file.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
        stream.pix_fmt, stream.bit_rate = "yuv420p", 0 if codec == "libx264" else 4_000_000
        if codec == "libx264":
            stream.options = {"crf": "18"}
        for picture in pictures:
            even = (picture.width + picture.width % 2, picture.height + picture.height % 2)
            if not stream.width or stream.width != even[0]:
                stream.width, stream.height = even
            whole = Image.new("RGB", even)
            whole.paste(picture)
            file.mux(stream.encode(av.VideoFrame.from_image(whole)))
        file.mux(stream.encode())


def _video_library(path: Path) -> Any:
    try:
        import av
    except ImportError:
        advice = "pip install 'lightning-ganzoo[video]', or give a .gif, .webp or .png"
        raise BadArgument(f"{path}: a video needs PyAV, which is not installed; {advice}") from None
    return av


_WRITERS: dict[str, Callable[[Pictures, Path, float], None]] = {
    ".gif": _animation("GIF", 10),
    ".webp": _animation("WEBP", 1, quality=90),
    ".mp4": _video,
}
