"""Procedural avatars whose attributes are exact: portraits that DiceBear's packages of npm draw from options.

`ganzoo data avatars` draws options with a seed, lets the packages draw the pictures (`ganzoo.data.drawing`), and keeps
them as one array a style, with the class of each attribute. Only styles of which the drawings are CC0 are offered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from PIL import Image

from ganzoo.data.batch import Data, Images
from ganzoo.data.captions import embed
from ganzoo.data.drawing import draw
from ganzoo.data.lines import outlines
from ganzoo.data.prepared import Prepared, made_folder, resized
from ganzoo.types import BadArgument, nearest

SIZE: Final = 64  # of the pictures that are kept
COUNT: Final = 20_000  # avatars of a style
LICENSE: Final = "CC0-1.0"

_FORMAT: Final = 1  # of the prepared files; a number more when they change
_TENTH: Final = 10  # every tenth avatar is for testing
_BACKGROUND: Final = "cfe8f3"

Options = Mapping[str, tuple[str, ...]]  # of DiceBear's, each with what it may be; () leaves a component out
Classes = Mapping[str, Options]  # the classes of an attribute by their words


@dataclass(frozen=True)
class Style:
    """How avatars of a style are drawn.

    Args:
        package: on npm, with its version.
        integrity: the package's sha512, in npm's notation.
        attribution: who drew it.
        attributes: the classes of each attribute, and what of the options makes them; drawn evenly, independently.
        fixed: other options, which are no attribute.
        derived: attributes that follow from another: its name, and for each class the words of that one's.
        edits: what is replaced in the SVG.
    """

    package: str
    integrity: str
    attribution: str
    attributes: Mapping[str, Classes]
    fixed: Options = field(default_factory=dict)
    derived: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = field(default_factory=dict)
    edits: tuple[tuple[str, str], ...] = ()

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """The words of each attribute's classes, the derived ones included."""
        return {name: tuple(words) for name, words in self.attributes.items()} | {
            name: tuple(words) for name, (_, words) in self.derived.items()
        }


def _numbered(prefix: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{number:02d}" for number in numbers)


def _coloured(option: str, colours: dict[str, str]) -> Classes:
    return {word: {option: (colour,)} for word, colour in colours.items()}


_HAIR_COLOURS: Final = _coloured(
    "hairColor",
    {
        "black-hair": "15100e",
        "brown-hair": "4a2810",
        "blond-hair": "f2c230",
        "red-hair": "c8381c",
        "grey-hair": "9a9a9a",
        "white-hair": "f4f4f4",
    },
)
_AGES: Final = {
    "age": (
        "hair-colour",
        {
            "young": ("black-hair", "brown-hair", "blond-hair", "red-hair"),
            "middle-aged": ("grey-hair",),
            "old": ("white-hair",),
        },
    )
}
_SKINS: Final = _coloured("skinColor", {"light-skin": "ffdbac", "tan-skin": "c98d5a", "dark-skin": "8d5524"})
_CLOTHES: Final = _coloured(
    "clothingColor", {"red-clothes": "c8323c", "blue-clothes": "3b7dc4", "green-clothes": "3c9a54"}
)

STYLES: Final = {
    "pixel-art": Style(
        "@dicebear/pixel-art@9.4.3",
        "sha512-sGoG6MEs9ZWD+5+7OObVjp7IrF3E/UEKTg7T4kou9UXl2YXLVy8u8hHnAgTqWhiVZuyYozAVsK2E/oYvMigYBw==",
        "Pixel Art, DiceBear",
        {
            "hair": {
                "short-hair": {"hair": _numbered("short", 1, 2, 3, 6, 8, 9, 10, 14, 15, 16, 17, 22)},
                "long-hair": {"hair": _numbered("long", 1, 2, 3, 4, 7, 8, 9, 12, 13, 17, 20, 21)},
            },
            "hair-colour": _HAIR_COLOURS,
            "eyewear": {
                "no-glasses": {"glasses": ()},
                "glasses": {"glasses": _numbered("light", 2, 3, 5, 6)},
                "sunglasses": {"glasses": _numbered("dark", 2, 3, 5, 6)},
            },
            "beard": {"no-beard": {"beard": ()}, "beard": {"beard": _numbered("variant", 1, 3, 5, 8)}},
            "mouth": {
                "smiling": {"mouth": _numbered("happy", 6, 8, 9)},
                "serious": {"mouth": _numbered("sad", 1, 5, 6)},
            },
            "skin": _SKINS,
            "clothes": _CLOTHES,
        },
        {
            "glassesColor": ("191919",),
            "hat": (),
            "accessories": (),
            "eyes": _numbered("variant", 1, 6, 8, 12),
            "eyesColor": ("5b7c8b",),
            "mouthColor": ("c0392b",),
            "clothing": _numbered("variant", 3, 5, 23),
        },
        _AGES,
        # A beard is its hair's colour through a mask of the same colour: dark ones would hardly be seen
        (('style="mask-type:luminance"', 'mask-type="alpha"'),),
    ),
    "lorelei": Style(
        "@dicebear/lorelei@9.4.3",
        "sha512-bpch2LRqrdL7gEgU2AW9NwoVKgBSrOUEQJx6FUV1UI6alM72BLaeu04uMqWQUXdh+Hc0SCnkj4Lg8nazSyI3oA==",
        "Lorelei, Lisa Wischofsky",
        {
            "hair": {
                "short-hair": {"hair": _numbered("variant", 1, 2, 3, 6, 7, 8, 9, 12, 22, 39)},
                "long-hair": {"hair": _numbered("variant", 13, 15, 16, 19, 21, 23, 24, 32, 35, 40)},
            },
            "hair-colour": _HAIR_COLOURS,
            "eyewear": {
                "no-glasses": {"glasses": ()},
                "glasses": {"glasses": _numbered("variant", 1, 3, 4, 5)},
                "sunglasses": {"glasses": _numbered("variant", 2)},
            },
            "beard": {"no-beard": {"beard": ()}, "beard": {"beard": _numbered("variant", 1, 2)}},
            "skin": _SKINS,
        },
        {
            "head": _numbered("variant", 1, 2, 3, 4),
            "eyes": _numbered("variant", 1, 8, 16, 24),
            "eyebrows": _numbered("variant", 1, 7),
            "mouth": _numbered("happy", 1, 5, 9, 16),
            "nose": _numbered("variant", 1, 4),
            "earrings": (),
            "freckles": (),
            "hairAccessories": (),
        },
        _AGES,
    ),
    "open-peeps": Style(
        "@dicebear/open-peeps@9.4.3",
        "sha512-jv2hZPQ25/r+aFm0bf7omEUMFUy1JoSMr2luGdTnSBmefaIFD9vjCOxIyBjvY9f5SBTqwVgqhED/lJyo+n2NKQ==",
        "Open Peeps, Pablo Stanley",
        {
            "hair": {
                "short-hair": {"head": ("short1", "short2", "short4", "short5", "flatTop", "pomp")},
                "long-hair": {"head": ("long", "longBangs", "mediumStraight", "bangs2", "medium1", "longCurly")},
                "bald": {"head": ("noHair1", "noHair2", "shaved1", "shaved2")},
                "grey-hair": {"head": ("grayShort", "grayMedium", "grayBun")},
                "hat": {"head": ("hatBeanie", "hatHip", "turban")},
            },
            "eyewear": {
                "no-glasses": {"accessories": ()},
                "glasses": {"accessories": ("glasses", "glasses2", "glasses3", "glasses4", "glasses5")},
                "sunglasses": {"accessories": ("sunglasses", "sunglasses2")},
            },
            "beard": {
                "no-beard": {"facialHair": ()},
                "beard": {"facialHair": ("chin", "full", "full2", "full3", "full4")},
                "moustache": {"facialHair": ("moustache2", "moustache3", "moustache5", "moustache9")},
            },
            "mouth": {
                "smiling": {"face": ("smile", "smileBig", "smileLOL", "lovingGrin1")},
                "serious": {"face": ("serious", "solemn", "concerned", "suspicious")},
            },
            "skin": _SKINS,
            "clothes": _CLOTHES,
        },
        {"headContrastColor": ("b8b8b8",), "mask": ()},
        {"age": ("hair", {"young": ("short-hair", "long-hair", "bald", "hat"), "old": ("grey-hair",)})},
    ),
    "notionists": Style(
        "@dicebear/notionists@9.4.3",
        "sha512-O3qRZ2PIWDeqNKXr/p3S1AI2ODqu7HoRWdfRa9kUdklRgWxt7oMx2EyahAqKk7Fqhe+IXqJkwfKV5Ev5b4SgzQ==",
        "Notionists, Zoish",
        {
            "eyewear": {
                "no-glasses": {"glasses": ()},
                "glasses": {"glasses": _numbered("variant", *range(1, 12))},
            },
            "beard": {"no-beard": {"beard": ()}, "beard": {"beard": _numbered("variant", *range(1, 13))}},
        },
        {
            "hair": _numbered("variant", *range(1, 64)),
            "body": _numbered("variant", *range(1, 26)),
            "lips": _numbered("variant", *range(1, 31)),
            "nose": _numbered("variant", *range(1, 21)),
            "eyes": _numbered("variant", *range(1, 6)),
            "brows": _numbered("variant", *range(1, 14)),
            "gesture": (),
            "bodyIcon": (),
        },
    ),
}

_THINGS: Final = {"beard": "a beard", "moustache": "a moustache", "hat": "a hat"}  # in captions


class Avatars(Data):
    """Procedural portraits of 64x64 pixels in colour, all different, whose attributes are exact: 18,000 and 2,000.

    Run `ganzoo data avatars` first. Attributes are drawn evenly and independently of each other; what a class may look
    like (kinds of hair, of glasses, ...) is drawn too. Every tenth avatar is for testing. Age is told by hair: grey is
    middle-aged and white old, any other colour young; in `open-peeps` grey is old.

    Args:
        style: `pixel-art`, `lorelei`, `open-peeps`, or `notionists` in black and white; all CC0.
        labels: what the labels are: an attribute's name (`hair`, `hair-colour`, `eyewear`, `beard`, `mouth`, `skin`,
            `clothes`, `age`, as the style has them), whose classes are numbered; or several words of classes
            (`black-hair`, `glasses`, `old`, ...) or names, which stand for all their classes' words: then labels are
            vectors of 0 and 1. None for no labels.
        captions: whether each picture comes with its caption's embedding, by `data.captions`.
        size: the pixels of a side; others than 64 are means of pixels, or repeat them.
        root: the folder that `ganzoo data avatars --out` was given; by default that in the cache.
        **options: of every source; see `Data`.
    """

    def __init__(
        self,
        style: Literal["pixel-art", "lorelei", "open-peeps", "notionists"] = "pixel-art",
        labels: str | list[str] | None = None,
        captions: bool = False,
        size: Annotated[int, Ge(8), Le(256)] = SIZE,
        root: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.style, self.labels, self.captions, self.size, self.root = style, labels, captions, size, root
        self.known = STYLES[style].classes
        self.wanted = self._wanted()

    def _wanted(self) -> tuple[str, ...] | None:
        """The words of the labels; None without labels."""
        words = [word for classes in self.known.values() for word in classes]
        labels = self.labels
        if labels is None:
            return None
        if isinstance(labels, str):
            if labels not in self.known:
                hint = nearest(labels, self.known, f"they are {', '.join(self.known)}")
                raise BadArgument(f"labels is {labels!r}; {self.style} has no such attribute{hint}")
            return self.known[labels]
        found: list[str] = []
        for label in labels:
            if label not in words and label not in self.known:
                hint = nearest(label, [*self.known, *words], f"they are {', '.join(words)}")
                raise BadArgument(f"labels has {label!r}; {self.style} has no such class or attribute{hint}")
            # A class's word comes first: `beard` is an attribute too
            found += [label] if label in words else self.known[label]
        if not found or len(set(found)) < len(found):
            raise BadArgument(f"labels are {labels}; some classes are expected, each once")
        return tuple(found)

    @cached_property
    def _facts(self) -> dict[str, Any]:
        def check(facts: dict[str, Any]) -> None:
            for name, classes in STYLES[self.style].classes.items():
                column = facts["avatars"][name]
                if len(column) != facts["count"] or not set(column) <= set(range(len(classes))):
                    raise ValueError(f"its column {name} does not fit")

        return files(self.style, self.root).facts(check)

    def read(self, split: str) -> Images:
        """Reads a split.

        Raises:
            BadData: if the style was not prepared, or a file of it is damaged.
        """
        facts = self._facts
        kept = self._kept(split)
        values = files(self.style, self.root).values(facts, facts["count"])[kept]
        labels = None
        if isinstance(self.labels, str):
            labels = np.array(facts["avatars"][self.labels], np.int64)[kept]
        elif self.wanted is not None:
            labels = np.stack([self._is(word) for word in self.wanted], 1).astype(np.int64)[kept]
        pictures = resized(values, self.size, Image.Resampling.BOX)
        texts = embed([row["caption"] for row in self.table(split)]) if self.captions else None
        parts = [self.labels] if isinstance(self.labels, str) else []
        name = "-".join(["avatars", self.style, *parts, *(["captions"] if self.captions else [])])
        return Images(name, pictures, labels, self.wanted, split, LICENSE, texts=texts)

    def table(self, split: str) -> list[dict[str, str]]:
        """What is known of each picture of a split (`train`, `test` or `all`), in its order.

        Returns:
            A table a picture: the word of each attribute's class, and `caption`.
        """
        columns = self._facts["avatars"]
        rows = [
            {name: classes[columns[name][k]] for name, classes in self.known.items()}
            for k in np.flatnonzero(self._kept(split))
        ]
        return [{**row, "caption": caption(row)} for row in rows]

    def _kept(self, split: str) -> npt.NDArray[np.bool_]:
        test = np.arange(self._facts["count"]) % _TENTH == _TENTH - 1
        return {"train": ~test, "test": test, "all": np.ones_like(test)}[split]

    def _is(self, word: str) -> npt.NDArray[np.bool_]:
        name, classes = next((name, classes) for name, classes in self.known.items() if word in classes)
        return np.equal(self._facts["avatars"][name], classes.index(word))


class AvatarOutlines(Avatars):
    """Outlines of avatars to their colours, in pairs, for translation: edges to photos of pix2pix's paper, made here.

    The images have one channel: black where a neighbour is lighter by more than 40 of 255 in some channel, white
    elsewhere; the targets are the avatars. Arguments are those of `Avatars`; labels are the images'.
    """

    def read(self, split: str) -> Images:
        """Reads a split; the k-th target is what the k-th outlines were drawn from.

        Raises:
            BadData: if the style was not prepared, or a file of it is damaged.
        """
        avatars = super().read(split)
        name, drawn = f"{avatars.name}-outlines-to-colours", outlines(avatars.values)
        return replace(avatars, name=name, values=drawn, targets=avatars.values)


def caption(row: Mapping[str, str]) -> str:
    """A sentence of an avatar's attributes, such as `a serious young person with long red hair and glasses`."""
    hair, colour = row.get("hair", ""), row.get("hair-colour", "").removesuffix("-hair")
    before = [row[name] for name in ("mouth", "age") if name in row] + [hair] * (hair == "bald")
    things = [hair.replace("-", f" {colour} ") if colour else hair] * (hair not in ("", "bald"))
    things += [row[name] for name in ("eyewear", "beard", "skin", "clothes") if name in row]
    said = [_THINGS.get(word, word.replace("-", " ")) for word in things if not word.startswith("no-")]
    start = " ".join([*before, "person"])
    end = f" with {', '.join(said[:-1])}{' and ' * (len(said) > 1)}{said[-1]}" if said else ""
    return f"{'an' if start[0] in 'aeiou' else 'a'} {start}{end}"


def files(style: str, root: str | None) -> Prepared:
    """The two files of a style, in the folder that `--out` was given or in the cache."""
    return Prepared(root, "avatars", style, _FORMAT, SIZE)


def drawn(style: str, count: int, seed: int = 0) -> tuple[list[dict[str, Any]], dict[str, list[int]]]:
    """Options of avatars, all different, and the classes of their attributes.

    Args:
        style: one of `STYLES`.
        count: how many.
        seed: of the choice.

    Returns:
        DiceBear's options of each, and the indices of the classes by attribute.
    """
    random, source = np.random.RandomState(seed), STYLES[style]
    columns: dict[str, list[int]] = {name: [] for name in source.classes}
    made: list[dict[str, Any]] = []
    seen: set[tuple[str, ...]] = set()
    while len(made) < count:
        at = {name: int(random.randint(len(classes))) for name, classes in source.attributes.items()}
        chosen: dict[str, tuple[str, ...]] = dict(source.fixed)
        for name, classes in source.attributes.items():
            chosen |= list(classes.values())[at[name]]
        values = {name: some[random.randint(len(some))] if some else "" for name, some in chosen.items()}
        if tuple(values.values()) in seen:
            continue
        seen.add(tuple(values.values()))
        options: dict[str, Any] = {"backgroundColor": [_BACKGROUND]}
        for name, value in values.items():
            options |= {name: [value], f"{name}Probability": 100} if value else {f"{name}Probability": 0}
        made.append(options)
        for name, (other, words) in source.derived.items():
            word = list(source.attributes[other])[at[other]]
            at[name] = next(k for k, some in enumerate(words.values()) if word in some)
        for name, column in columns.items():
            column.append(at[name])
    return made, columns


def prepare(
    style: str, folder: str | Path | None = None, say: Callable[[str], None] = lambda line: None, count: int = COUNT
) -> Path:
    """Draws avatars of a style and writes them as `STYLE.safetensors` and `STYLE.json`, each whole or not at all.

    Args:
        style: one of `STYLES`.
        folder: where to; by default the one in the cache.
        say: told what is being done, a line at a time.
        count: how many; the first ones are always the same.

    Returns:
        The folder.

    Raises:
        BadArgument: for an unknown style.
        BadData: if npm or Node.js is missing, a package cannot be fetched or is another, or the pictures not drawn.
    """
    if style not in STYLES:
        raise BadArgument(f"style is {style}; {' or '.join(STYLES)} is expected")
    source, where = STYLES[style], made_folder("avatars", folder)
    say(f"{style}: fetching {source.package} through npm ({LICENSE}; {source.attribution})")
    options, columns = drawn(style, count)
    jobs = [{"options": each, "edits": source.edits} for each in options]
    values = draw(jobs, SIZE, where, {source.package: source.integrity}, source.package.rpartition("@")[0])
    facts = {
        "package": source.package,
        "integrity": source.integrity,
        "license": LICENSE,
        "attribution": source.attribution,
        "count": count,
        "avatars": columns,
    }
    files(style, str(where)).write(values, facts)
    say(f"{style}: {count:,} avatars, {count // _TENTH:,} of them for testing, in {where}")
    return where
