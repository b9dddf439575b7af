"""Emoji in two styles, Google's Noto and Twitter's Twemoji, from the npm packages that carry them.

`ganzoo data emoji` calls `prepare`: the packages are fetched by npm, checked against the sums written here, read
without being unpacked to the disk, and kept as one array a style. The same emoji stand at the same place in both.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from PIL import Image

from ganzoo.data import npm
from ganzoo.data.batch import VALIDATION, Data, Images
from ganzoo.data.lines import outlines
from ganzoo.data.prepared import Prepared, made_folder, resized
from ganzoo.types import BadArgument, BadData, reason


@dataclass(frozen=True)
class Style:
    """Where a style comes from.

    Args:
        package: on npm, with its version.
        integrity: the package's sha512, in npm's notation.
        license: of the pictures, as an SPDX identifier.
        attribution: whom to name.
    """

    package: str
    integrity: str
    license: str
    attribution: str


# The packages' other two styles, Apple's and Facebook's, have no license that would let them be used
STYLES: Final = {
    "google": Style(
        "emoji-datasource-google@16.0.0",
        "sha512-ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
        "Apache-2.0",
        "Noto Emoji, Google LLC",
    ),
    "twitter": Style(
        "emoji-datasource-twitter@16.0.0",
        "sha512-7F+uCuHH+7Qnrc15P5tnbvKkg9E6tlzi4MnT2uW1RlN4pLYTza6cP/dstIfSDMtpjFLWuZewWg8jBbuL2eyELQ==",
        "CC-BY-4.0",
        "Twemoji, Twitter, Inc. and other contributors",
    ),
}
SIZE: Final = 64  # of the packages' pictures

_FORMAT: Final = 1  # of the prepared files; a number more when they change
_TEST_SHARE: Final = 0.1  # of the emoji; and of the others, the share for validation
_LARGEST_LIST: Final = 16 * 2**20  # bytes; the list of all emoji has 2 million
_LARGEST: Final = 2**16  # bytes of a picture; uncompressed it would have a quarter of that
_MOST: Final = 8192  # pictures
_TONES: Final = {
    "1F3FB": "light skin tone",
    "1F3FC": "medium-light skin tone",
    "1F3FD": "medium skin tone",
    "1F3FE": "medium-dark skin tone",
    "1F3FF": "dark skin tone",
}
# Parts of a code that make a variant of an emoji: skin tones, hair, gender, direction, the request for a picture
_VARIANT: Final = re.compile(
    r"-(?:1F3F[B-F]|FE0F|200D-1F9B[0-3](?:-FE0F)?|200D-264[02](?:-FE0F)?|200D-27A1(?:-FE0F)?)(?=-|$)"
)
_PERSON, _CHILD, _FAMILY, _JOINED = "1F9D1", "1F9D2", "1F46A", "-200D-"
_SAME: Final = {  # codes whose pictures are those of another, or variants of it
    "1F471": _PERSON,  # blond hair
    "1F46B": "1F9D1-200D-1F91D-200D-1F9D1",  # holding hands
    "1F46C": "1F9D1-200D-1F91D-200D-1F9D1",
    "1F46D": "1F9D1-200D-1F91D-200D-1F9D1",
    "1F491": "1F9D1-200D-2764-200D-1F9D1",  # couple with heart
    "1F48F": "1F9D1-200D-2764-200D-1F48B-200D-1F9D1",  # kiss
    "1FAF1-200D-1FAF2": "1F91D",  # handshake
    "1F1ED-1F1F2": "1F1E6-1F1FA",  # flags: Heard and McDonald Islands as Australia,
    "1F1F8-1F1EF": "1F1F3-1F1F4",  # Svalbard and Jan Mayen,
    "1F1E7-1F1FB": "1F1F3-1F1F4",  # and Bouvet Island as Norway,
    "1F1E8-1F1F5": "1F1EB-1F1F7",  # Clipperton Island
    "1F1F2-1F1EB": "1F1EB-1F1F7",  # and St. Martin as France,
    "1F1E8-1F1F6": "1F1F8-1F1E6",  # Sark, by mistake, as Saudi Arabia,
    "1F1E9-1F1EC": "1F1EE-1F1F4",  # Diego Garcia as the British Indian Ocean Territory,
    "1F1EA-1F1E6": "1F1EA-1F1F8",  # Ceuta and Melilla as Spain,
    "1F1FA-1F1F2": "1F1FA-1F1F8",  # U.S. Outlying Islands as the United States
}


class Emoji(Data):
    """3786 emoji of 64x64 pixels in colour, on white, with their categories.

    Run `ganzoo data emoji` first. A tenth of the emoji is for testing, 365 pictures; all skin tones, genders, hairs and
    directions of one stand on the same side. Both styles hold the same emoji in the same order, in every split: the
    k-th picture of one and of the other are a pair.

    Args:
        style: `google` (Noto Emoji, Apache-2.0) or `twitter` (Twemoji, CC-BY-4.0).
        size: the pixels of a side; other than 64, resampled by Lanczos' filter.
        labels: what the classes are: the 10 categories, or the 99 subcategories.
        root: the folder that `ganzoo data emoji --out` was given; by default that in the cache.
        **options: of every source; see `Data`.
    """

    divides = True

    def __init__(
        self,
        style: Literal["google", "twitter"] = "google",
        size: Annotated[int, Ge(8), Le(256)] = SIZE,
        labels: Literal["category", "subcategory"] = "category",
        root: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.style, self.size, self.labels, self.root = style, size, labels, root

    def read(self, split: str) -> Images:
        """Reads a split.

        Raises:
            BadData: if the style was not prepared, or a file of it is damaged.
        """
        facts = self._facts()
        table, values = facts["emoji"], self._files.values(facts, len(facts["emoji"]))
        kept = np.array([self._in(row, split) for row in table])
        names = [row[self.labels] for row in table]
        classes = tuple(sorted(set(names)))
        labels = np.array([classes.index(name) for name in names], np.int64)
        license = STYLES[self.style].license
        return Images(f"emoji-{self.style}", resized(values[kept], self.size), labels[kept], classes, split, license)

    def table(self, split: str) -> list[dict[str, Any]]:
        """What is known of each picture of a split, in its order.

        Returns:
            A table a picture: `code` (Unicode, in hexadecimal), `base` (what it is a variant of), `name`, `category`,
            `subcategory`, `test` (whether it is for testing).
        """
        return [row for row in self._facts()["emoji"] if self._in(row, split)]

    def _in(self, row: dict[str, Any], split: str) -> bool:
        if split == "all" or row["test"]:
            return split in ("all", "test")
        kept = self.validation and _hashed("emoji-validation", row["base"]) >= 1 - _TEST_SHARE
        return split == (VALIDATION if kept else "train")

    @property
    def _files(self) -> Prepared:
        return Prepared(self.root, "emoji", self.style, _FORMAT, SIZE)

    def _facts(self) -> dict[str, Any]:
        """What stands beside the pictures, checked."""
        return self._files.facts(_check)


class EmojiPairs(Data):
    """The same emoji in two styles, or outlines and colours, for translation: 3421 pairs for training, 365 for testing.

    Run `ganzoo data emoji` first. Where training is to be without pairs, a hash of the base emoji divides them into two
    halves: the images are those of one half, the targets those of the other. So no emoji, and no variant of one (skin
    tone, gender, ...), is ever seen in both styles. The test split holds pairs in either case, of emoji that were seen
    in neither style; `all` holds every pair.

    Args:
        source: the style of the images: `google` or `twitter`; or `outlines`, one channel drawn from the targets: black
            where a neighbour is lighter by more than 40 of 255 in some channel, white elsewhere.
        target: the style of the targets; the images' own makes an autoencoder, from which a translation can start.
        paired: whether training sees pairs.
        size: the pixels of a side; other than 64, resampled by Lanczos' filter.
        channels: 3 for colour, 1 for grey (ITU-R 601 luma).
        labels: what the classes of the images are: the 10 categories, or the 99 subcategories.
        root: the folder that `ganzoo data emoji --out` was given; by default that in the cache.
        **options: of every source; see `Data`. A `jitter` of 8 pixels has the share of pix2pix's paper.
    """

    divides = True

    def __init__(
        self,
        source: Literal["google", "twitter", "outlines"] = "google",
        target: Literal["google", "twitter"] = "twitter",
        paired: bool = True,
        size: Annotated[int, Ge(8), Le(256)] = SIZE,
        channels: Literal[1, 3] = 3,
        labels: Literal["category", "subcategory"] = "category",
        root: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        both = (target if source == "outlines" else source, target)
        self.outlined = source == "outlines"
        self.styles = tuple(Emoji(style, size, labels, root, validation=self.validation) for style in both)
        self.paired, self.channels = paired, channels

    def read(self, split: str) -> Images:
        """Reads a split; the k-th image and the k-th target are a pair, but for training without pairs.

        Raises:
            BadData: if a style was not prepared, a file of it is damaged, or the two do not hold the same emoji.
        """
        images, targets = (style.read(split) for style in self.styles)
        table, other = (style.table(split) for style in self.styles)
        if [row["code"] for row in table] != [row["code"] for row in other]:
            raise BadData(f"{self.styles[1]._files.folder}: its styles hold different emoji; run `ganzoo data emoji`.")
        values, counterparts = (self._coloured(part.values) for part in (images, targets))
        if self.outlined:
            values, images = outlines(images.values), replace(images, name="emoji-outlines")
        name, paired = f"{images.name}-to-{self.styles[1].style}", self.paired or split != "train"
        license, labels = " AND ".join(dict.fromkeys([images.license, targets.license])), images.labels
        assert labels is not None
        if not paired:
            first = np.array([_first_half(row["base"]) for row in table])
            values, labels, counterparts = values[first], labels[first], counterparts[~first]
        return Images(name, values, labels, images.classes, split, license, counterparts, paired)

    def table(self, split: str) -> list[dict[str, Any]]:
        """What is known of each image of a split, in its order; see `Emoji.table`."""
        rows = self.styles[0].table(split)
        return rows if self.paired or split != "train" else [row for row in rows if _first_half(row["base"])]

    def _coloured(self, values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if self.channels == 3:
            return values
        weights = np.array([19595, 38470, 7471], np.uint32)  # Pillow's, of 2^16, so that grey is the same everywhere
        luma: npt.NDArray[np.uint32] = np.einsum("nchw,c->nhw", values.astype(np.uint32), weights) + 2**15 >> 16
        return luma.astype(np.uint8)[:, None]


def prepare(style: str, folder: str | Path | None = None, say: Callable[[str], None] = lambda line: None) -> Path:
    """Fetches a style and writes it as `STYLE.safetensors` and `STYLE.json`, each whole or not at all.

    Args:
        style: one of `STYLES`.
        folder: where to; by default the one in the cache.
        say: told what is being done, a line at a time.

    Returns:
        The folder.

    Raises:
        BadArgument: for an unknown style.
        BadData: if npm is missing, cannot fetch the package, or brings another than was expected.
    """
    if style not in STYLES:
        raise BadArgument(f"style is {style}; {' or '.join(STYLES)} is expected")
    source = STYLES[style]
    folder = made_folder("emoji", folder)
    say(f"{style}: fetching {source.package} through npm ({source.license}; {source.attribution})")
    with npm.fetched(source.package, source.integrity, folder) as package:
        say(f"{style}: reading the pictures")
        values, table = _read_package(package, style)
    _write(folder, style, values, table)
    say(f"{style}: {len(values)} emoji, {sum(row['test'] for row in table)} of them for testing, in {folder}")
    return folder


def _write(folder: Path, style: str, values: npt.NDArray[np.uint8], table: list[dict[str, Any]]) -> None:
    source = STYLES[style]
    facts = {
        "package": source.package,
        "integrity": source.integrity,
        "license": source.license,
        "attribution": source.attribution,
        "emoji": table,
    }
    Prepared(str(folder), "emoji", style, _FORMAT, SIZE).write(values, facts)


def base_of(code: str) -> str:
    """The code of which one is a variant, by skin tone, gender, hair or direction; families are variants of one.

    Args:
        code: Unicode points in hexadecimal, joined by hyphens, such as `1F3C3-1F3FB-200D-2640-FE0F`.
    """
    plain = _VARIANT.sub("", _VARIANT.sub("", code))  # twice, because one may uncover another
    parts = [{"1F468": _PERSON, "1F469": _PERSON, "1F466": _CHILD, "1F467": _CHILD}.get(p, p) for p in plain.split("-")]
    plain = "-".join(parts)
    people = plain.split(_JOINED)
    if len(people) > 1 and set(people) <= {_PERSON, _CHILD}:
        return _FAMILY
    return _SAME.get(plain, plain)


def _for_testing(base: str) -> bool:
    """A hash of the base decides, so that both styles, and later versions of the packages, are split alike."""
    return _hashed("emoji", base) >= 1 - _TEST_SHARE


def _hashed(salt: str, base: str) -> float:
    """A number in [0, 1) that is the same for all variants of an emoji."""
    return int.from_bytes(hashlib.sha256(f"{salt}/{base}".encode()).digest()[:6]) / 2**48


def _first_half(base: str) -> bool:
    """Half of the emoji, by a hash of the base too, so that all variants of one are on the same side."""
    return hashlib.sha256(f"emoji-half/{base}".encode()).digest()[0] < 128


def _check(facts: dict[str, Any]) -> None:
    fields = ("code", "base", "name", "category", "subcategory")
    for row in facts["emoji"]:
        if not isinstance(row["test"], bool) or not all(isinstance(row[field], str) for field in fields):
            raise ValueError("its table does not fit")


def _read_package(path: Path, style: str) -> tuple[npt.NDArray[np.uint8], list[dict[str, Any]]]:
    """The pictures `(N, 3, 64, 64)` and what is known of them, in Unicode's order; nothing is written to the disk."""
    pictures: dict[str, bytes] = {}
    prefix, listed = f"package/img/{style}/{SIZE}/", "package/emoji.json"
    with npm.sound(path, "emoji"):
        for name, content in npm.members(
            path, lambda name: _LARGEST_LIST if name == listed else _LARGEST * name.startswith(prefix)
        ):
            if len(pictures) > _MOST:
                raise ValueError(f"it holds more than {_MOST} pictures")
            pictures[name.removeprefix(prefix)] = content
        table = _table(json.loads(pictures.pop(listed, b"")))
    values = np.empty((len(table), 3, SIZE, SIZE), np.uint8)
    for k, row in enumerate(table):
        values[k] = _pixels(pictures.get(row["image"], b""), row.pop("image"))
    if not len(values):
        raise BadData(f"{path.name}: holds no emoji in the style of {style}.")
    return values, table


def _table(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for entry in listed:
        forms = [(entry, "")]
        for tones, form in entry.get("skin_variations", {}).items():
            forms.append((form, ": " + ", ".join(_TONES[tone] for tone in tones.split("-"))))
        for form, tone in forms:
            if all(form[f"has_img_{each}"] for each in STYLES):  # so that the styles are pairs
                base = base_of(form["unified"])
                row = {
                    "code": form["unified"],
                    "base": base,
                    "name": entry["name"].lower() + tone,
                    "category": entry["category"],
                    "subcategory": entry["subcategory"],
                    "test": _for_testing(base),
                    "image": form["image"],
                }
                rows.append((entry["sort_order"], len(tone) > 0, form["unified"], row))
    return [row for *_, row in sorted(rows, key=lambda each: each[:3])]


def _pixels(content: bytes, name: str) -> npt.NDArray[np.uint8]:
    """`(3, 64, 64)` on white."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.size != (SIZE, SIZE):
                raise ValueError(f"it has {picture.width}x{picture.height} pixels, not {SIZE}x{SIZE}")
            rgba = np.asarray(picture.convert("RGBA"), np.uint16)
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise BadData(f"{name}: is no picture of an emoji ({reason(error)}).") from error
    alpha = rgba[..., 3:]
    on_white = (rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255  # at most 65,152: it fits
    return on_white.astype(np.uint8).transpose(2, 0, 1)
