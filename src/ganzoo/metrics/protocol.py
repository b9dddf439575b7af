"""Protocols: a score's key names everything that changes its value. Importing this module does not import torch.

A key is `<metric><n>_<network>` and then, each after an underscore, whatever departs from the defaults:

| part | meaning | default |
|---|---|---|
| `fd` `fid` `kid` `is` `pr` `dc` `acc` `nn` `ppl` `modes` | the metric, see `METRICS`; `fid` is `fd` in `inception` | |
| `mae` `dist` `top` `knn` `err` `agree` | of what only some families can do, see `metrics/tasks.py` | |
| `10k` | generated images; as many real ones, or all where there are fewer | |
| `mobilenet_v2` | the feature network; for `modes` the mixture, `ring` or `grid`; see `metrics/tasks.py` for others | |
| `full` | all real images of the split, as always for `nn` | n of them |
| `test` `validation` `all` | split of the real images | `train` |
| `uniform` | labels of conditional models by turns | the real images' labels |
| `flips` | real images and their mirror images | as they are |
| `float` | generated images are not rounded to 8 bits | rounded |
| `tf-bilinear` `pil-bicubic` `torch-bilinear` `torch-bicubic` | the resizer | the network's own |
| `k3` | neighbours; always named | |
| `b2a` | direction of a translation | the model's first |
| `10splits` | parts of the Inception Score | 10 |
| `100x1000` | number and size of the kernel distance's subsets | 100x1000, at most half of the images |
| `share0.1` | of its fair share that makes a mode covered | 0.1 |
| `z` `w` | the space that the path of `ppl` runs in; always named | |
| `ends`, `eps0.0001` | the path at its ends only; the step along it | everywhere, 0.0001 |
| `psi0.7` | truncation | none |
| `live` | the live weights | the averaged ones |
| `seed1` | seed of the first image, and of the choice of real ones | 0 |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Final, Literal

from ganzoo.metrics.names import nearest
from ganzoo.metrics.networks import NETWORKS
from ganzoo.types import BadArgument, UnknownName

Metric = Literal[
    "fd", "kid", "is", "pr", "dc", "acc", "nn", "ppl", "modes", "mae", "dist", "top", "knn", "err", "agree"
]

METRICS: Final[dict[str, str]] = {
    "fd": "Fréchet distance, called fid in the features of inception (Heusel 2017)",
    "kid": "kernel distance, unbiased (Bińkowski 2018)",
    "is": "Inception Score (Salimans 2016)",
    "pr": "improved precision and recall (Kynkäänniemi 2019)",
    "dc": "density and coverage (Naeem 2020)",
    "acc": "class accuracy of conditional samples (GAN-test, Shmelkov 2018)",
    "nn": "distance to the nearest of all real images of the split (memorisation)",
    "ppl": "perceptual path length (Karras 2019)",
    "modes": "modes of a mixture that are covered",
    "mae": "mean absolute difference of translations to their true counterparts, pixels in [-1, 1] (L1)",
    "dist": "mean distance of translations to their true counterparts, in features",
    "top": "share of translations whose nearest target, among all of the split, is their true counterpart (retrieval)",
    "knn": "accuracy of nearest neighbours on encodings: the split's images among n training images",
    "err": "classification error of the model's own classifier",
    "agree": "share of latents whose pictures in both domains are of one class, by nearest neighbours",
}
TASKS: Final = ("mae", "dist", "top", "knn", "err", "agree")
MIXTURES: Final = ("ring", "grid")
# Where a key names no feature network: the mixture, the pixels themselves, or the model's own encoder or classifier.
_INSTEAD: Final[dict[str, tuple[str, ...]]] = {
    "modes": MIXTURES,
    "mae": ("pixels",),
    "agree": ("pixels",),
    "knn": ("model",),
    "err": ("model",),
}
_SPLITS: Final = ("train", "test", "validation", "all")
_NEIGHBOURS: Final = ("pr", "dc", "knn", "agree")
_DIRECTION: Final = "[a-z]+2[a-z]+"
_RESIZERS: Final = ("tf_bilinear", "pil_bicubic", "torch_bilinear", "torch_bicubic")


@dataclass(frozen=True)
class Protocol:
    """Everything that changes a score's value.

    Two protocols that differ have different keys, since `protocol(p.key) == p`: a key holds every setting that is not
    its default. Settings that a metric does not have keep their defaults.

    Args:
        metric: see `METRICS`.
        n: generated images; images translated or classified; training images among which neighbours are looked for.
        network: the feature network; for `modes`, the mixture; `pixels` or `model` where there is none.
        full: whether all real images of the split are the reference, rather than n of them.
        split: of the real images.
        labels: of conditional models: `data`, those of the real images, or `uniform`, each class by turns.
        flips: whether the reference is the real images and their mirror images.
        rounding: whether generated images are rounded to 8 bits, as files would be.
        resizer: the filter that brings images to the network's size; empty stands for the network's own.
        k: neighbours, for `pr`, `dc`, `knn` and `agree`.
        splits: parts of the Inception Score.
        subsets: of the kernel distance.
        subset_size: of the kernel distance; at most half of the smaller set, where there are fewer images.
        share: of its fair share that makes a mode covered.
        space: where the path of `ppl` runs: `z` (on the sphere) or `w`.
        ends: whether the path is followed at its ends only, rather than everywhere.
        epsilon: step along the path.
        direction: of a translation; empty stands for the model's first.
        truncation: ψ; None for none.
        weights: the generator's averaged or live weights.
        seed: of the first image (image i has seed + i), of the choice of real images and of the subsets.

    Raises:
        BadArgument: for a value out of range, or one that the metric does not have.
    """

    metric: Metric
    n: int
    network: str
    full: bool = False
    split: str = "train"
    labels: Literal["data", "uniform"] = "data"
    flips: bool = False
    rounding: bool = True
    resizer: str = ""
    k: int = 0
    splits: int = 10
    subsets: int = 100
    subset_size: int = 1000
    share: float = 0.1
    space: str = ""
    ends: bool = False
    epsilon: float = 1e-4
    direction: str = ""
    truncation: float | None = None
    weights: Literal["averaged", "live"] = "averaged"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.network in NETWORKS and not self.resizer:
            object.__setattr__(self, "resizer", NETWORKS[self.network].resizer)
        self._check()

    def _check(self) -> None:
        wrong = [
            (self.metric not in METRICS, f"metric={self.metric!r}: there are {', '.join(METRICS)}"),
            (self.n < 2, f"n={self.n}: at least 2 images"),
            (self.split not in _SPLITS, f"split={self.split!r}: {', '.join(_SPLITS[:-1])} or {_SPLITS[-1]}"),
            (
                (self.metric in _NEIGHBOURS) != (self.k > 0),
                f"k={self.k}: {', '.join(_NEIGHBOURS)} need neighbours, others have none",
            ),
            (
                self.splits < 1 or self.subsets < 1 or self.subset_size < 2,
                "splits, subsets and subset_size are positive",
            ),
            (not 0 < self.share <= 1, f"share={self.share}: above 0, up to 1"),
            ((self.metric == "ppl") != (self.space in {"z", "w"}), f"space={self.space!r}: z or w, for ppl alone"),
            (not 0 < self.epsilon < 1, f"epsilon={self.epsilon}: a small positive number"),
            (not 0 <= self.seed < 2**31, f"seed={self.seed}: 0 to 2^31 - 1"),
            (self.truncation is not None and not 0 <= self.truncation <= 1, f"truncation={self.truncation}: 0 to 1"),
            (not re.fullmatch(r"[a-z][a-z0-9_]*", self.network), f"network={self.network!r}: small letters, digits, _"),
            (bool(self.resizer) and self.resizer not in _RESIZERS, f"resizer={self.resizer!r}: {', '.join(_RESIZERS)}"),
            (self.network == "vgg16_lpips" and self.metric != "ppl", f"{self.network}: for path lengths (ppl) alone"),
            ((self.metric == "modes") != (self.network in MIXTURES), f"{self.network}: modes are counted in a mixture"),
            (
                self.metric in _INSTEAD and self.network not in _INSTEAD[self.metric],
                f"{self.network}: {self.metric} is measured in {' or '.join(_INSTEAD.get(self.metric, ()))}",
            ),
            (
                self.metric == "knn" and self.split != "test",
                f"split={self.split!r}: knn classifies test images by training images",
            ),
            (
                bool(self.direction) and not re.fullmatch(_DIRECTION, self.direction),
                f"direction={self.direction!r}: two names with a 2 between them, such as b2a",
            ),
        ]
        for is_wrong, text in wrong:
            if is_wrong:
                raise BadArgument(f"A protocol with {text}.")
        parts = self.network.split("_")[1:] if self.network not in NETWORKS else []
        if any(re.fullmatch(option.pattern, part) for part in parts for option in _OPTIONS):
            raise BadArgument(f"The network name {self.network!r} reads like a protocol's option; give it another one.")
        for name in _LEFT_ALONE[self.metric] | (_PICTURES if self.network == "points" else frozenset()):
            default = DEFAULTS[name]
            if getattr(self, name) != default:
                found = f"{name}={getattr(self, name)!r}"
                raise BadArgument(f"A protocol with {found}: {self.metric} in {self.network} does not depend on it.")
        classes = NETWORKS[self.network].classes if self.network in NETWORKS else 1
        if self.metric in {"is", "acc"} and not classes:
            raise BadArgument(f"{self.metric} needs class probabilities, and {self.network} gives none.")

    @property
    def key(self) -> str:
        """The name of this protocol; `protocol(key)` gives it back."""
        metric = "fid" if (self.metric, self.network) == ("fd", "inception") else self.metric
        count = f"{self.n // 1000}k" if self.n % 1000 == 0 else str(self.n)
        return "_".join([f"{metric}{count}", self.network, *(w for o in _OPTIONS if (w := o.write(self)))])

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain JSON, with the key."""
        return {"key": self.key, **asdict(self)}


DEFAULTS: Final = {field.name: field.default for field in fields(Protocol) if field.default is not MISSING}

# What a metric does not depend on: such a setting would make two keys for one protocol.
_REAL: Final = frozenset({"full", "flips"})
_PICTURES: Final = frozenset({"flips", "rounding", "resizer"})  # points of the plane have none of these
_SUBSETS: Final = frozenset({"subsets", "subset_size"})
_PATH: Final = frozenset({"space", "ends", "epsilon"})
_ALL: Final = frozenset({"k", "splits", "share", "direction"}) | _SUBSETS | _PATH
_TASK: Final = _ALL | _REAL | {"labels", "truncation", "weights"}
_LEFT_ALONE: Final[dict[str, frozenset[str]]] = {
    "fd": _ALL,
    "kid": _ALL - _SUBSETS,
    "is": (_ALL - {"splits"}) | _REAL,
    "pr": _ALL - {"k"},
    "dc": _ALL - {"k"},
    "acc": _ALL | _REAL,
    "nn": _ALL | {"full"},  # a copy may be of any training image, so all are looked at
    "ppl": (_ALL - _PATH) | _REAL | {"split", "labels", "rounding"},
    "modes": (_ALL - {"share"}) | _PICTURES | {"full"},
    "mae": (_TASK - {"direction"}) | {"resizer"},
    "dist": _TASK - {"direction"},
    "top": _TASK - {"direction"},
    "knn": (_TASK - {"k"}) | {"resizer", "rounding"},
    "err": _TASK | {"resizer", "rounding"},
    "agree": (_TASK - {"k"}) | {"resizer"},
}


@dataclass(frozen=True)
class _Option:
    """One optional part of a key: how it is read, and how it is written."""

    pattern: str
    read: Callable[[re.Match[str]], dict[str, Any]]
    write: Callable[[Protocol], str]


def _flag(word: str, name: str, value: Any) -> _Option:
    return _Option(word, lambda _: {name: value}, lambda p: word if getattr(p, name) == value else "")


def _number(prefix: str, name: str, kind: type[int] | type[float], suffix: str = "") -> _Option:
    digits = r"(\d+)" if kind is int else r"(\d+(?:\.\d+)?(?:e-?\d+)?)"

    def write(p: Protocol) -> str:
        value = getattr(p, name)
        return "" if value == DEFAULTS[name] else f"{prefix}{value:d}{suffix}" if kind is int else f"{prefix}{value!r}"

    return _Option(f"{prefix}{digits}{suffix}", lambda m: {name: kind(m[1])}, write)


def _write_split(p: Protocol) -> str:
    return "" if p.split == "train" else p.split


def _write_resizer(p: Protocol) -> str:
    own = NETWORKS[p.network].resizer if p.network in NETWORKS else ""
    return "" if p.resizer == own else p.resizer.replace("_", "-")


def _write_subsets(p: Protocol) -> str:
    return "" if (p.subsets, p.subset_size) == (100, 1000) else f"{p.subsets}x{p.subset_size}"


_OPTIONS: Final = (
    _flag("full", "full", True),
    _Option(f"({'|'.join(_SPLITS[1:])})", lambda m: {"split": m[1]}, _write_split),
    _flag("uniform", "labels", "uniform"),
    _flag("flips", "flips", True),
    _flag("float", "rounding", False),
    _Option(
        "(" + "|".join(r.replace("_", "-") for r in _RESIZERS) + ")",
        lambda m: {"resizer": m[1].replace("-", "_")},
        _write_resizer,
    ),
    _number("k", "k", int),
    _number("", "splits", int, "splits"),
    _Option(r"(\d+)x(\d+)", lambda m: {"subsets": int(m[1]), "subset_size": int(m[2])}, _write_subsets),
    _number("share", "share", float),
    _Option("(z|w)", lambda m: {"space": m[1]}, lambda p: p.space),
    _flag("ends", "ends", True),
    _number("eps", "epsilon", float),
    _Option(f"({_DIRECTION})", lambda m: {"direction": m[1]}, lambda p: p.direction),
    _number("psi", "truncation", float),
    _flag("live", "weights", "live"),
    _number("seed", "seed", int),
)


def protocol(key: str | Protocol, networks: Collection[str] = ()) -> Protocol:
    """The protocol of a key, such as `fd10k_mobilenet_v2` or `pr2500_digits_cnn_k5_test`; see the module's text.

    Args:
        key: of the grammar above; a protocol is returned as it is.
        networks: names of feature networks beside ganzoo's own.

    Raises:
        UnknownName: for an unknown metric or network; the text names the nearest.
        BadArgument: for a part that is not understood, stands twice, or does not suit the metric.
    """
    if isinstance(key, Protocol):
        return key
    head = re.match(r"([a-z]+)(\d+)(k?)_", key)
    if head is None:
        raise BadArgument(f"{key!r} is no protocol; write <metric><n>_<network>, such as fd10k_mobilenet_v2.")
    metric, rest = head[1], key[head.end() :]
    if metric not in {*METRICS, "fid"}:
        raise UnknownName(f"{key!r}: there is no metric {metric!r}; {nearest(metric, [*METRICS, 'fid'])}")
    known = _INSTEAD.get(metric, [*NETWORKS, *networks])
    fitting = [name for name in known if rest == name or rest.startswith(f"{name}_")]
    if not fitting:
        raise UnknownName(f"{key!r}: there is no feature network {rest!r}; {nearest(rest, known)}")
    network = max(fitting, key=len)
    if (metric == "fid") != (network == "inception") and metric in {"fd", "fid"}:
        name = f"{'fid' if metric == 'fd' else 'fd'}{key.removeprefix(metric)}"
        raise BadArgument(f"{key!r}: only the Fréchet distance in inception's features is called FID; say {name}.")
    settings: dict[str, Any] = {"metric": "fd" if metric == "fid" else metric, "network": network}
    settings["n"] = int(head[2]) * (1000 if head[3] else 1)
    for part in rest[len(network) + 1 :].split("_") if rest != network else []:
        found = [(m, option) for option in _OPTIONS if (m := re.fullmatch(option.pattern, part))]
        if not found:
            raise BadArgument(
                f"{key!r}: {part!r} is not understood; see ganzoo.metrics.protocol for what a key may say."
            )
        new = found[0][1].read(found[0][0])
        if new.keys() & settings.keys():
            raise BadArgument(f"{key!r}: {part!r} says again what another part says.")
        settings.update(new)
    if metric in _NEIGHBOURS and "k" not in settings:
        usual = {"pr": 3, "dc": 5}.get(metric, 1)
        raise BadArgument(f"{key!r}: name the number of neighbours, such as {key}_k{usual}.")
    if metric == "ppl" and "space" not in settings:
        raise BadArgument(f"{key!r}: name the space that the path runs in, {key}_z or {key}_w.")
    return Protocol(**settings)


def protocols() -> list[Protocol]:
    """The protocols in common use; any other key of the grammar can be asked for as well."""
    found = []
    for count, network in (
        ("50k", "inception"),
        ("10k", "mobilenet_v2"),
        ("10k", "fashion_mnist_cnn"),
        ("10k", "digits_cnn"),
    ):
        metrics = ["fid" if network == "inception" else "fd", "kid", "is", "nn", "pr", "dc"]
        ends = {"pr": "_k3", "dc": "_k5"}
        found += [protocol(f"{m}{count}_{network}{ends.get(m, '')}") for m in metrics]
        if network.endswith("_cnn"):
            found.append(protocol(f"acc{count}_{network}"))
    found += [protocol(f"modes10k_{mixture}") for mixture in MIXTURES]
    return [*found, *(protocol(key) for keys in _OF_ABILITIES.values() for key in keys)]


# What suits a family that can do more than sample, by what it can do.
_OF_ABILITIES: Final = {
    "translate": ("mae1k_pixels_test", "dist1k_mobilenet_v2_test", "top1k_mobilenet_v2_test"),
    "encode": ("knn10k_model_test_k1", "knn10k_model_test_k5"),
    "classify": ("err10k_model_test",),
    "domains": ("agree1k_pixels_all_k1",),  # all, since the classifier's pictures are few enough as it is
}
ABILITIES: Final = ("sample", "labels", *_OF_ABILITIES)


def protocols_for(data: str, able: Collection[str] = ("sample",), directions: Sequence[str] = ()) -> list[Protocol]:
    """What `ganzoo evaluate` measures when it is not told: protocols that suit a data set and what a model can do.

    Args:
        data: the data set's name.
        able: of `ABILITIES`: `sample`, `labels` (it samples the data's own classes), `translate`, `encode`, `classify`,
            `domains` (one latent gives a picture in each of two domains).
        directions: of translations; those after the first are measured as well.
    """
    keys: list[str] = []
    if "sample" in able:
        keys += {
            "digits": ["fd10k_digits_cnn", "kid10k_digits_cnn"],
            "fashion-mnist": ["fd10k_mobilenet_v2", "kid10k_mobilenet_v2"],
            "ring": ["modes10k_ring"],
            "grid": ["modes10k_grid"],
        }.get(data, ["fd10k_mobilenet_v2", "kid10k_mobilenet_v2"])
    if "labels" in able:
        keys += {"digits": ["acc10k_digits_cnn"], "fashion-mnist": ["acc10k_fashion_mnist_cnn"]}.get(data, [])
    for ability, own in _OF_ABILITIES.items():
        keys += own if ability in able else ()
    if "translate" in able:
        keys += [f"{key}_{way}" for way in directions[1:] for key in _OF_ABILITIES["translate"]]
    return [protocol(key) for key in keys]
