"""What every picture's file says of where it came from: made by ganzoo, by which model, of which seeds.

The marker is IPTC's digital source type (https://cv.iptc.org/newscodes/digitalsourcetype/), which viewers and
platforms read: `trainedAlgorithmicMedia` of what a model drew, `compositeWithTrainedAlgorithmicMedia` of what it made
of a picture that was given. It stands in XMP (PNG, JPEG, WebP, TIFF, AVIF), or in the comment of a GIF or a video;
other formats hold none. GANZOO_PROVENANCE=0 leaves it out. No date, no user and no machine is in it: the same picture
has the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from ganzoo.types import VERSION, BadArgument, printable

if TYPE_CHECKING:
    from torch import Tensor

SWITCH: Final = "GANZOO_PROVENANCE"
_TERMS: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_OFF, _ON = ("0", "off", "no", "false"), ("", "1", "on", "yes", "true")
_LONGEST: Final = 300  # letters of a list of seeds


@dataclass(frozen=True)
class Made:
    """What a picture was made of.

    Args:
        model: its name.
        sha256: of its weights' file.
        seeds: one a picture.
        composite: whether a picture that was given is in it.
        note: what else the description is to say.
    """

    model: str = ""
    sha256: str = ""
    seeds: Sequence[int] = ()
    composite: bool = False
    note: str = ""

    @property
    def source_type(self) -> str:
        """IPTC's term, as an address."""
        return _TERMS + ("compositeWithTrainedAlgorithmicMedia" if self.composite else "trainedAlgorithmicMedia")

    @property
    def description(self) -> str:
        """The facts, for people."""
        what = "Made of a picture that was given" if self.composite else "Generated"
        model = f" by the model {printable(self.model)[:200]}" if self.model else ""
        weights = f" (weights {self.sha256})" if self.sha256 else ""
        seeds = f", seed{'s' if len(self.seeds) > 1 else ''} {ranges(self.seeds)}" if self.seeds else ""
        return f"{what}{model}{weights}{seeds}. {self.note}".strip()


_UNKNOWN: Final = Made()
_made: ContextVar[Made | None] = ContextVar("made", default=_UNKNOWN)


@contextmanager
def made_by(
    model: Any, seeds: Sequence[int] = (), *, composite: bool | None = None, note: str = "", family: bool = False
) -> Iterator[None]:
    """Pictures that are written within say that they are of this model.

    Args:
        model: a model, or one that was exported.
        seeds: one a picture.
        composite: whether pictures that were given are in them; None for those of a model that draws none of its own.
        note: what else the description is to say.
        family: whether the family is to be said alone, which is the same before a model is saved and when it is loaded.
    """
    with _set(_facts(model, seeds, composite, note, family)):
        yield


def _facts(
    model: Any, seeds: Sequence[int] = (), composite: bool | None = None, note: str = "", family: bool = False
) -> Made:
    card, facts = None if family else getattr(model, "card", None), getattr(model, "facts", None) or {}
    name = card.name if card is not None else facts.get("name") or type(model).__name__
    origin = {} if family else getattr(model, "provenance", None) or {}
    sha256 = origin.get("weights_sha256") or facts.get("weights_sha256") or ""
    composite = "samples" not in getattr(model, "abilities", ("samples",)) if composite is None else composite
    return Made(str(name), str(sha256), tuple(seeds), composite, note)


def remember(samples: Tensor, model: Any, seeds: Sequence[int] = (), composite: bool | None = None) -> Tensor:
    """The samples; what made them is kept in mind for as long as they live, but not of parts, nor in their pickle."""
    _kept()[samples] = _facts(model, seeds, composite)
    return samples


@contextmanager
def remembered(samples: Any) -> Iterator[None]:
    """Pictures that are written within say what is remembered of samples, where nothing else is said."""
    known = None if isinstance(samples, np.ndarray) or _made.get() is not _UNKNOWN else _kept().get(samples)
    with nullcontext() if known is None else _set(known):
        yield


@cache
def _kept() -> Any:
    from torch.utils.weak import WeakTensorKeyDictionary

    return WeakTensorKeyDictionary()


@contextmanager
def real() -> Iterator[None]:
    """Of pictures that are written within nothing is said: they are real ones."""
    with _set(None):
        yield


@contextmanager
def _set(made: Made | None) -> Iterator[None]:
    token = _made.set(made)
    try:
        yield
    finally:
        _made.reset(token)


def marks(form: str) -> dict[str, Any]:
    """What Pillow's `save` is to be told beside the format, so that the file says where it came from.

    Raises:
        BadArgument: for a switch that is neither on nor off.
    """
    made = current()
    if made is None:
        return {}
    if form == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("Software", software())
        info.add_itxt("Description", made.description)
        info.add_itxt("XML:com.adobe.xmp", xmp(made))
        return {"pnginfo": info}
    if form in ("JPEG", "WEBP", "AVIF"):
        return {"xmp": xmp(made).encode()}
    if form == "TIFF":
        return {"tiffinfo": {270: _ascii(made.description), 305: software(), 700: xmp(made).encode()}}
    return {"comment": comment(made)} if form == "GIF" else {}


def video_marks() -> dict[str, str]:
    """A video's metadata."""
    made = current()
    return {} if made is None else {"comment": comment(made)}


def current() -> Made | None:
    """What is known of pictures that are written now; None of real ones, and where it is switched off.

    Raises:
        BadArgument: for a switch that is neither on nor off.
    """
    said = os.environ.get(SWITCH, "").strip().lower()
    if said in _OFF:
        return None
    if said not in _ON:
        raise BadArgument(f"{SWITCH} is {said[:40]!r}; 0 or 1 is expected")
    return _made.get()


def software() -> str:
    """The program's name and version."""
    return f"ganzoo {VERSION}"


def comment(made: Made) -> str:
    """All of it in a line of ASCII, for formats without XMP."""
    return _ascii(f"{made.description} Software: {software()}. Digital source type: {made.source_type}")


def xmp(made: Made) -> str:
    """The packet of XMP; what strangers' files say of a model's name is text in it."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f" xmp:CreatorTool={quoteattr(software())} Iptc4xmpExt:DigitalSourceType={quoteattr(made.source_type)}>"
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{escape(made.description)}</rdf:li></rdf:Alt>'
        '</dc:description></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )


def ranges(numbers: Sequence[int]) -> str:
    """Numbers as a person writes them: 0-15, 20; what is longer than some lines is cut."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    text = ", ".join("-".join(map(str, part)) for part in parts)
    return text if len(text) <= _LONGEST else f"{text[: text.rindex(',', 0, _LONGEST)]}, ... ({len(numbers)} in all)"


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()
