"""Emoji in five styles, five domains of the same things: drawn from the icon sets of Iconify's packages of npm.

`ganzoo data icons` fetches the sets, takes the emoji that all five have, and lets `ganzoo.data.drawing` draw them. The
same emoji stand at the same place in every style.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from annotated_types import Ge, Le

from ganzoo.data import npm
from ganzoo.data.batch import VALIDATION, Data, Images
from ganzoo.data.drawing import draw
from ganzoo.data.prepared import Prepared, made_folder, resized
from ganzoo.types import BadArgument, BadData, nearest

SIZE: Final = 64  # of the pictures that are kept


@dataclass(frozen=True)
class Style:
    """Where a style comes from: see `ganzoo.data.emoji.Style`."""

    package: str
    integrity: str
    license: str
    attribution: str


STYLES: Final = {
    "noto": Style(
        "@iconify-json/noto@1.2.9",
        "sha512-DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
        "Apache-2.0",
        "Noto Emoji, Google Inc",
    ),
    "noto-v1": Style(
        "@iconify-json/noto-v1@1.2.5",
        "sha512-/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
        "Apache-2.0",
        "Noto Emoji (v1), Google Inc",
    ),
    "twemoji": Style(
        "@iconify-json/twemoji@1.2.5",
        "sha512-uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
        "CC-BY-4.0",
        "Twitter Emoji, Twitter",
    ),
    "fluent": Style(
        "@iconify-json/fluent-emoji-flat@1.2.6",
        "sha512-RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
        "MIT",
        "Fluent Emoji Flat, Microsoft Corporation",
    ),
    "emojione": Style(
        "@iconify-json/emojione@1.2.3",
        "sha512-T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
        "CC-BY-4.0",
        "Emoji One (Colored), Emoji One",
    ),
}

_FORMAT: Final = 1  # of the prepared file; a number more when it changes
_TEST_SHARE: Final = 0.1  # of the emoji; and of the others, the share for validation
# Of which resvg 2.6.2 cannot draw one style's
_LEFT_OUT: Final = {
    "ambulance",
    "bullet-train",
    "cocktail-glass",
    "hot-beverage",
    "lady-beetle",
    "package",
    "person-lifting-weights",
}
_LARGEST: Final = 64 * 2**20  # bytes of a list; the longest has 12 million


class Icons(Data):
    """The same 1,040 emoji of 64x64 pixels in five styles, in colour, on white: domains to translate between.

    Run `ganzoo data icons` first. A tenth of the emoji, by a hash of the name, is for testing, in all styles; the
    styles stand one after another, each in the same order of emoji.

    Args:
        styles: some of `noto` and `noto-v1` (Google Inc, Apache-2.0), `twemoji` (Twitter, CC-BY-4.0), `fluent`
            (Microsoft Corporation, MIT) and `emojione` (Emoji One, CC-BY-4.0); all five where empty.
        labels: what the classes are: the styles, or the emoji's 9 categories.
        size: the pixels of a side; other than 64, resampled by Lanczos' filter.
        root: the folder that `ganzoo data icons --out` was given; by default that in the cache.
        **options: of every source; see `Data`.
    """

    divides = True

    def __init__(
        self,
        styles: list[str] | None = None,
        labels: Literal["style", "category"] = "style",
        size: Annotated[int, Ge(8), Le(256)] = SIZE,
        root: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.styles, self.labels, self.size, self.root = tuple(styles or STYLES), labels, size, root
        for style in self.styles:
            if style not in STYLES or self.styles.count(style) > 1:
                there = f"there are {', '.join(STYLES)}, each once"
                raise BadArgument(f"styles has {style!r}{nearest(style, set(STYLES) - {style}, there)}")

    def read(self, split: str) -> Images:
        """Reads a split.

        Raises:
            BadData: if the icons were not prepared, or a file of them is damaged.
        """
        facts = _files(self.root).facts(_check)
        rows = facts["icons"]
        values = _files(self.root).values(facts, len(STYLES) * len(rows)).reshape(len(STYLES), len(rows), 3, SIZE, SIZE)
        kept = np.array([self._in(row, split) for row in rows])
        chosen = [list(STYLES).index(style) for style in self.styles]
        pictures = resized(values[chosen][:, kept].reshape(-1, 3, SIZE, SIZE), self.size)
        classes = self.styles
        labels = np.repeat(np.arange(len(chosen)), kept.sum())
        if self.labels == "category":
            classes = tuple(sorted({row["category"] for row in rows}))
            labels = np.tile([classes.index(row["category"]) for row in rows], (len(chosen), 1))[:, kept].reshape(-1)
        license = " AND ".join(dict.fromkeys(STYLES[style].license for style in self.styles))
        return Images("icons", pictures, labels.astype(np.int64), classes, split, license)

    def table(self, split: str) -> list[dict[str, str]]:
        """The `name` and the `category` of each emoji of a split, in the order of each style."""
        return [row for row in _files(self.root).facts(_check)["icons"] if self._in(row, split)]

    def _in(self, row: dict[str, str], split: str) -> bool:
        test = _hashed("icons", row["name"]) >= 1 - _TEST_SHARE
        if split == "all" or test:
            return split in ("all", "test")
        kept = self.validation and _hashed("icons-validation", row["name"]) >= 1 - _TEST_SHARE
        return split == (VALIDATION if kept else "train")


def prepare(folder: str | Path | None = None, say: Callable[[str], None] = lambda line: None) -> Path:
    """Fetches the five sets, draws what all have, and writes `icons.safetensors` and `icons.json`.

    Args:
        folder: where to; by default the one in the cache.
        say: told what is being done, a line at a time.

    Returns:
        The folder.

    Raises:
        BadData: if npm or Node.js is missing, a package cannot be fetched or is another, or the pictures not drawn.
    """
    where = made_folder("icons", folder)
    drawings: list[dict[str, str]] = []
    categories: dict[str, str] = {}
    with ExitStack() as fetched:
        for name, source in STYLES.items():
            say(f"{name}: fetching {source.package} through npm ({source.license}; {source.attribution})")
            package = fetched.enter_context(npm.fetched(source.package, source.integrity, where))
            with npm.sound(package, "icons"):
                found, told = read_package(package)
            drawings.append(found)
            categories = categories or told
    names = sorted(set(categories).intersection(*drawings) - _LEFT_OUT)
    if not names:
        raise BadData(f"{where}: the five sets have no emoji in common.")
    say(f"drawing {len(names):,} emoji in {len(STYLES)} styles")
    values = draw((found[name] for found in drawings for name in names), SIZE, where)
    facts = {
        "packages": {source.package: source.integrity for source in STYLES.values()},
        "licenses": {name: source.license for name, source in STYLES.items()},
        "attribution": {name: source.attribution for name, source in STYLES.items()},
        "icons": [{"name": name, "category": categories[name]} for name in names],
    }
    _files(str(where)).write(values, facts)
    say(f"{len(names):,} emoji in {len(STYLES)} styles, in {where}")
    return where


def read_package(package: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The SVG of each icon of a set that is square, and the category of each that has one, both by name."""
    wanted = {f"package/{name}.json" for name in ("icons", "metadata")}
    parts = {name: json.loads(text) for name, text in npm.members(package, lambda name: _LARGEST * (name in wanted))}
    listed, more = parts["package/icons.json"], parts.get("package/metadata.json", {})
    icons = dict(listed["icons"])
    for name, alias in listed.get("aliases", {}).items():
        if alias.keys() == {"parent"} and alias["parent"] in icons:
            icons.setdefault(name, icons[alias["parent"]])
    made = {}
    for name, icon in icons.items():
        size = {side: icon.get(side, listed.get(side, 16)) for side in ("width", "height")}
        if size["width"] == size["height"] and not {"left", "top"} & icon.keys():
            box = f'viewBox="0 0 {size["width"]} {size["height"]}"'
            made[name] = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{icon["body"]}</svg>'
    return made, {name: category for category, names in more.get("categories", {}).items() for name in names}


def _files(root: str | None) -> Prepared:
    return Prepared(root, "icons", "icons", _FORMAT, SIZE)


def _check(facts: dict[str, Any]) -> None:
    for row in facts["icons"]:
        if not isinstance(row["name"], str) or not isinstance(row["category"], str):
            raise ValueError("its table does not fit")


def _hashed(salt: str, name: str) -> float:
    return int.from_bytes(hashlib.sha256(f"{salt}/{name}".encode()).digest()[:6]) / 2**48
