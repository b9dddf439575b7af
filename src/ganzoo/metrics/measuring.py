"""Measuring: from a model's samples or a folder's images, and real images, to scores named by their protocols.

Images are drawn once and shown once to each feature network; every metric takes the features from there. With several
ranks each draws and sees its own chunks (`shards.py`), and all get the scores that one process would.
"""

from __future__ import annotations

import time
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ganzoo.media.levels import to_uint8
from ganzoo.metrics import store
from ganzoo.metrics.features import FeatureNetwork, check_range, feature_network
from ganzoo.metrics.frechet import Moments, frechet_distance, frechet_distance_of_moments, moments
from ganzoo.metrics.kernel import kernel_distance
from ganzoo.metrics.modes import mode_coverage
from ganzoo.metrics.neighbours import density_coverage, nearest_neighbours, precision_recall
from ganzoo.metrics.path import Paths, feature_distance, perceptual_path_length
from ganzoo.metrics.protocol import DEFAULTS, TASKS, Protocol, protocol
from ganzoo.metrics.scores import by_class, class_accuracy, inception_score
from ganzoo.metrics.shards import chunks, from_first, join, rank_and_world, together
from ganzoo.types import BadArgument, BadData

_NOISE: Final = 2500  # images of noise for the ceiling, at most: it is far above any score, and need not be exact


class RealImages(typing.Protocol):
    """What is asked of the real images; `ganzoo.data`'s `Images` has it."""

    @property
    def name(self) -> str:
        """The data set."""
        ...

    @property
    def split(self) -> str:
        """`train`, `test`, `validation` or `all`."""
        ...

    @property
    def values(self) -> npt.NDArray[Any]:
        """uint8 `(N, C, H, W)`, or float points `(N, 2)`."""
        ...

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """Class indices `(N,)`, or None."""
        ...

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The classes' names, or None."""
        ...

    @property
    def digest(self) -> str:
        """A hash of the content."""
        ...


Sampler = Callable[..., Tensor]
"""A model's `sample(n, *, seed, batch_size, labels=, truncation=)`: `(n, C, H, W)` float32 in [-1, 1], or points.

Sample i depends on `seed + i` (and its label) alone; `labels` and `truncation` are given where a protocol has them.
"""

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many images are done, and of how many."""


@dataclass(frozen=True)
class Score:
    """One number and everything that it depends on; `to_dict` is plain JSON.

    Args:
        key: of the protocol; where a protocol gives several numbers, with `/precision`, `/recall` and so on.
        value: the number.
        spread: its standard deviation over subsets or splits, where the metric has one.
        n: generated images.
        n_real: real images.
        seed: of the first image; None for images that were given.
        network: the feature network.
        network_sha256: of its weights.
        size: height and width that the network saw.
        resizer: the filter.
        data: the data set.
        data_digest: a hash of the real images.
        split: of the data set.
        floor: the same metric for real images that the reference does not hold.
        floor_of: which those are.
        ceiling: the same metric for uniform noise.
        ceiling_of: how much noise.
        seconds: for drawing, features (shared with the metrics of the same pass) and the metric.
        protocol: all its settings.
        details: further numbers of the metric.
        references: what the value is to be held against, by what it is of: the copied input, fresh weights, ....
    """

    key: str
    value: float
    spread: float | None
    n: int
    n_real: int
    seed: int | None
    network: str
    network_sha256: str
    size: int
    resizer: str
    data: str
    data_digest: str
    split: str
    floor: float | None
    floor_of: str | None
    ceiling: float | None
    ceiling_of: str | None
    seconds: float
    protocol: dict[str, Any]
    details: dict[str, Any] = field(default_factory=dict)
    references: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """All fields, as plain JSON."""
        return asdict(self)


class Value(NamedTuple):
    """One number of a metric, before it is a score."""

    part: str  # empty for a metric's only or main number
    value: float
    spread: float | None = None
    details: Mapping[str, Any] = {}


class _Sample:
    """Features of one set of images, and what follows from them, computed when first asked for."""

    def __init__(
        self, features: Tensor, probabilities: Tensor | None = None, labels: Tensor | None = None, seconds: float = 0.0
    ) -> None:
        self.features = features
        self.probabilities = probabilities
        self.labels = labels
        self.seconds = seconds

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def moments(self) -> Moments:
        return moments(self.features)

    def part(self, start: int, stop: int) -> _Sample:
        """Some of the samples; all of them are itself, so that what was computed is not computed again."""
        if (start, stop) == (0, len(self)):
            return self
        cut = [None if v is None else v[start:stop] for v in (self.probabilities, self.labels)]
        return _Sample(self.features[start:stop], cut[0], cut[1], self.seconds)


@dataclass(frozen=True)
class _Stream:
    """Generated images that several protocols can share: the first n of them, for each its own n."""

    seed: int
    labels: str
    truncation: float | None
    weights: str

    @classmethod
    def of(cls, p: Protocol) -> _Stream:
        return cls(p.seed, p.labels, p.truncation, p.weights)


_CLASSES: Final = frozenset({"is", "acc"})  # metrics of class probabilities


@dataclass(frozen=True)
class _View:
    """How a network sees images: which network, which resizer, and whether images are rounded first."""

    network: str
    resizer: str
    rounding: bool

    @classmethod
    def of(cls, p: Protocol) -> _View:
        return cls("points" if p.metric == "modes" else p.network, p.resizer, p.rounding)

    def rounded(self) -> _View:
        """The view of real images, which have 8 bits."""
        return replace(self, rounding=True)


def rounded(images: Tensor) -> Tensor:
    """Floats in [-1, 1] as 8 bits, checked.

    Raises:
        BadArgument: for another type.
        BadData: for values that are not finite or outside [-1, 1].
    """
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise BadArgument(f"Images are uint8, or floats in [-1, 1]; these are {images.dtype}.")
    check_range(images)
    return to_uint8(images)


def measure(
    sample: Sampler,
    real: RealImages,
    protocols: Iterable[str | Protocol],
    *,
    holdout: RealImages | None = None,
    live: Sampler | None = None,
    classes: int | None = None,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
    floors: bool = True,
    networks: Mapping[str, FeatureNetwork] | None = None,
    paths: Paths | None = None,
    progress: Progress | None = None,
) -> list[Score]:
    """The scores of a model, by named protocols. Collective: all ranks call it and get the same scores.

    Args:
        sample: the model's `sample`, of its averaged weights.
        real: one split of the real images, the one that the protocols name.
        protocols: keys or protocols; in the order of the scores.
        holdout: other real images, such as the test split, for the floor; without it the reference is halved.
        live: `sample` of the live weights, for protocols that ask for those.
        classes: of a conditional model: how many; None for an unconditional one, which is given no labels.
        device: where networks and metrics compute.
        batch_size: images at a time; by default 64 on a CPU and 256 elsewhere.
        floors: whether to measure real images and noise too.
        networks: feature networks beside ganzoo's own, by the names that the protocols use.
        paths: the model's latents and generator, for path lengths (`ppl`).
        progress: told how far it is, on rank 0.

    Raises:
        UnknownName: for a protocol or network that does not exist.
        BadArgument: for a protocol that does not suit the data or the model.
        BadData: for samples with values outside [-1, 1], NaN, another shape than the real images', or too few of them.
    """
    wanted = _wanted(protocols, real, networks, paths)
    _check_labels(wanted, real, classes)

    def draw(stream: _Stream, labels: Tensor | None, rows: range) -> Tensor:
        sampler = sample if stream.weights == "averaged" else live
        if sampler is None:
            raise BadArgument("A protocol asks for the live weights, and this model has averaged ones only.")
        named: dict[str, Any] = {}
        if labels is not None:
            named["labels"] = labels[rows.start : rows.stop]
        if stream.truncation is not None:
            named["truncation"] = stream.truncation
        drawn = sampler(len(rows), seed=stream.seed + rows.start, batch_size=len(rows), **named)
        if len(drawn) != len(rows):
            raise BadData(f"The model gave {len(drawn)} samples where {len(rows)} were asked for.")
        return drawn

    run = _Run(wanted, real, holdout, torch.device(device), batch_size, networks or {}, progress)
    found: dict[tuple[_Stream, _View], _Sample] = {}
    drawn = [p for p in wanted if p.metric != "ppl"]
    for stream in dict.fromkeys(_Stream.of(p) for p in drawn):
        own = [p for p in drawn if _Stream.of(p) == stream]
        n = max(p.n for p in own)
        labels = None if classes is None else _labels(stream, n, real, classes)
        seen = run.see("generated images", n, partial(draw, stream, labels), {_View.of(p) for p in own})
        for view, features in seen.items():
            features.labels = labels
            found[stream, view] = features
    return run.scores(wanted, lambda p: found[_Stream.of(p), _View.of(p)].part(0, p.n), floors, paths=paths)


def measure_images(
    generated: npt.NDArray[Any] | Tensor,
    real: RealImages,
    protocols: Iterable[str | Protocol],
    *,
    labels: npt.NDArray[np.int64] | Tensor | None = None,
    holdout: RealImages | None = None,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
    floors: bool = True,
    networks: Mapping[str, FeatureNetwork] | None = None,
    progress: Progress | None = None,
) -> list[Score]:
    """The scores of images that are already there, such as a folder of another program's.

    Args:
        generated: `(N, C, H, W)` uint8 or float32 in [-1, 1], or points `(N, 2)`; at least as many as each protocol
            asks for, of which the first are taken.
        real: one split of the real images, the one that the protocols name.
        protocols: keys or protocols.
        labels: `(N,)`, the classes that the images were made for.
        holdout: see `measure`, as all others.
        device: see `measure`.
        batch_size: see `measure`.
        floors: see `measure`.
        networks: see `measure`.
        progress: see `measure`.

    Raises:
        BadArgument: for a protocol that asks for more images than there are, or of which images cannot tell.
        BadData: see `measure`.
    """
    wanted = _wanted(protocols, real, networks, None)
    images = torch.as_tensor(generated)
    for p in wanted:
        if p.n > len(images):
            raise BadArgument(
                f"{p.key} asks for {p.n} images and there are {len(images)}; say {replace(p, n=len(images)).key}."
            )
        if (p.seed, p.labels, p.truncation, p.weights) != (0, "data", None, "averaged"):
            raise BadArgument(f"{p.key}: seed, labels, truncation and weights are settled for images already there.")
    run = _Run(wanted, real, holdout, torch.device(device), batch_size, networks or {}, progress)
    n = max(p.n for p in wanted)
    found = run.see("generated images", n, lambda rows: images[rows.start : rows.stop], {_View.of(p) for p in wanted})
    for sample in found.values():
        sample.labels = None if labels is None else torch.as_tensor(labels)[:n]
    return run.scores(wanted, lambda p: found[_View.of(p)].part(0, p.n), floors, given=True)


def check_comparable(scores: Sequence[Score | Mapping[str, Any]]) -> None:
    """Refuses scores that share a key but not what the key stands for: they must not be put side by side.

    Args:
        scores: `Score`s, or what `to_dict` gave.

    Raises:
        BadArgument: naming the key and the first setting that differs.
    """
    first: dict[str, Mapping[str, Any]] = {}
    for each in scores:
        facts = each.to_dict() if isinstance(each, Score) else each
        other = first.setdefault(facts["key"], facts)
        names = ("network_sha256", "data_digest", "resizer", "size")
        # a score of an older ganzoo says nothing of settings that there were not: they are at their defaults
        one, two = (
            {**dict.fromkeys(names), **DEFAULTS, **{n: row.get(n) for n in names}, **(row.get("protocol") or {})}
            for row in (facts, other)
        )
        for name in dict.fromkeys([*one, *two]):
            if one.get(name) != two.get(name):
                raise BadArgument(
                    f"Two scores called {facts['key']} differ in {name} ({one.get(name)!r} and {two.get(name)!r}) and "
                    "cannot be compared."
                )


def _wanted(
    protocols: Iterable[str | Protocol], real: RealImages, networks: Mapping[str, Any] | None, paths: Paths | None
) -> list[Protocol]:
    wanted = list(dict.fromkeys(protocol(key, networks or ()) for key in protocols))
    if not wanted:
        raise BadArgument("Name at least one protocol, such as fd10k_mobilenet_v2.")
    points = real.values.ndim == 2
    for p in wanted:
        if p.metric in TASKS:
            raise BadArgument(f"{p.key} is not measured from samples, but from what a model does with images.")
        if p.metric == "ppl":
            _check_path(p, paths)
        elif p.split != real.split:
            raise BadArgument(f"{p.key} is of the split {p.split}, and the real images are of {real.split}.")
        if p.metric == "modes" and (not points or real.labels is None or not real.name.startswith(p.network)):
            raise BadArgument(f"{p.key} counts the modes of a labelled mixture {p.network!r}, not of {real.name!r}.")
        if points and p.metric != "modes" and p.network != "points":
            raise BadArgument(f"{p.key}: {real.name} holds points, which only the network 'points' takes.")
    if len(real.values) < 2:
        raise BadData(
            f"{real.name} holds {len(real.values)} real image(s) in its split {real.split}; metrics need more."
        )
    return wanted


def _check_path(p: Protocol, paths: Paths | None) -> None:
    if paths is None or (p.space == "w" and (paths.mapping is None or paths.synthesize_w is None)):
        raise BadArgument(f"{p.key}: what is measured has no latents {p.space} to follow a path in.")
    if p.truncation is not None or p.weights != "averaged":
        raise BadArgument(f"{p.key}: path lengths are measured without truncation, with the averaged weights.")


def _check_labels(wanted: Iterable[Protocol], real: RealImages, classes: int | None) -> None:
    for p in wanted:
        if classes is None and p.metric == "acc":
            raise BadArgument(f"{p.key}: class accuracy is of conditional models, and this one takes no labels.")
        if classes is None and p.labels != "data":
            raise BadArgument(f"{p.key}: this model takes no labels, so {p.labels} is not for it.")
        if classes is not None and p.labels == "data" and real.labels is None:
            raise BadArgument(
                f"{p.key}: {real.name} has no labels to draw from; ask for {replace(p, labels='uniform').key}."
            )


def _labels(stream: _Stream, n: int, real: RealImages, classes: int) -> Tensor:
    """The classes `(n,)` that a conditional model is asked for."""
    if stream.labels == "uniform":
        return torch.arange(n) % classes
    assert real.labels is not None  # _check_labels saw to it
    order = np.random.RandomState(stream.seed).permutation(len(real.labels))
    found = torch.from_numpy(np.asarray(real.labels)[order])[torch.arange(n) % len(order)]
    if int(found.max()) >= classes:
        raise BadArgument(f"{real.name} has a class {int(found.max())}, and the model has {classes} classes.")
    return found


class _Run:
    """One call of `measure`: the networks, the real images' features, and the metrics."""

    def __init__(
        self,
        wanted: Sequence[Protocol],
        real: RealImages,
        holdout: RealImages | None,
        device: torch.device,
        batch_size: int | None,
        networks: Mapping[str, FeatureNetwork],
        progress: Progress | None,
    ) -> None:
        # whether class probabilities are kept: settled once, so that no image is seen again for their sake
        self.with_classes = {
            view for p in wanted if p.metric in _CLASSES for view in (_View.of(p), _View.of(p).rounded())
        }
        self.real = real
        self.holdout = holdout
        self.device = device
        # metrics compute in float64, which Apple's GPUs do not have
        self.home = torch.device("cpu") if device.type == "mps" else device
        self.batch_size = batch_size or (64 if device.type == "cpu" else 256)
        self.own = networks
        self.progress = progress
        self.rank, self.world = rank_and_world()
        self.shape = tuple(real.values.shape[1:])
        self._networks: dict[tuple[str, str], FeatureNetwork] = {}
        self._kept: dict[str, _Sample] = {}
        with together():  # weights that one rank cannot find stop all of them
            for p in wanted:
                self.network(_View.of(p))

    def network(self, view: _View) -> FeatureNetwork:
        """The network of a view, with the resizer that a protocol asks for."""
        key = (view.network, view.resizer)
        if key not in self._networks:
            network = self.own.get(view.network) or feature_network(view.network, self.device)
            if view.resizer and view.resizer != network.resizer:
                network = network.with_resizer(view.resizer)
            self._networks[key] = network
        return self._networks[key]

    def see(self, what: str, n: int, fetch: Callable[[range], Tensor], views: Iterable[_View]) -> dict[_View, _Sample]:
        """Fetches each chunk once and shows it to every network.

        Args:
            what: for the progress.
            n: images.
            fetch: gives the images of a range.
            views: how they are seen.
        """
        started = time.perf_counter()
        features: dict[_View, list[Tensor]] = {view: [] for view in views}
        classes: dict[_View, list[Tensor]] = {view: [] for view in features}
        least = -1.0 if len(self.shape) == 1 else torch.inf
        with together():
            for rows in chunks(n, self.batch_size, self.rank, self.world):
                images = fetch(rows).to(self.device)
                self._check(what, images, rows)
                least = min(least, float(images.min())) if images.is_floating_point() else -1.0
                eight = rounded(images) if images.ndim == 4 else images
                for view in features:
                    seen, probabilities = self.network(view).both(eight if view.rounding else images)
                    features[view].append(seen.to(self.home))
                    if view in self.with_classes and probabilities is not None:
                        classes[view].append(probabilities.to(self.home))
                if self.progress and self.rank == 0:
                    self.progress(what, min(n, rows.start + len(rows) * self.world), n)
        if 0 <= least < torch.inf:
            warnings.warn(
                f"No value of the {what} is below 0: they look like [0, 1] where [-1, 1] is expected.", stacklevel=4
            )
        found = {}
        for view in features:
            network = self.network(view)
            found[view] = _Sample(self._join(features[view], network.dimension, n))
            if view in self.with_classes:
                found[view].probabilities = self._join(classes[view], network.description.classes, n)
        for sample in found.values():
            sample.seconds = time.perf_counter() - started
        return found

    def _join(self, parts: list[Tensor], width: int, n: int) -> Tensor:
        local = torch.cat(parts) if parts else torch.empty(0, width, device=self.home)
        return join(local, n, self.batch_size)

    def _check(self, what: str, images: Tensor, rows: range) -> None:
        if tuple(images.shape[1:]) != self.shape:
            raise BadData(
                f"The {what} are {'x'.join(map(str, images.shape[1:]))}, and those of {self.real.name} "
                f"{'x'.join(map(str, self.shape))}; measure images of one size."
            )
        if images.is_floating_point() and images.ndim == 4:
            check_range(images, rows.start)
        elif images.is_floating_point() and not bool(torch.isfinite(images).all()):
            row = int((~torch.isfinite(images).all(dim=1)).nonzero()[0])
            raise BadData(f"Point {rows.start + row} of the {what} is NaN or infinite.")

    def _of_images(self, images: RealImages, p: Protocol, n: int | None) -> _Sample:
        """Features of n real images (None: all), from the store where they have been seen before."""
        view = _View.of(p).rounded()
        count = len(images.values) if n is None else min(n, len(images.values))
        facts = {
            "format": 1,
            "data": images.digest,
            "count": count,
            "seed": p.seed,
            "flips": p.flips,
            "network": asdict(self.network(view).description),
        }
        rows = np.random.RandomState(p.seed).permutation(len(images.values))[:count]
        labels = None if images.labels is None else torch.from_numpy(np.asarray(images.labels)[rows])

        def fetch(part: range) -> Tensor:
            at = np.arange(part.start, part.stop)
            found = torch.from_numpy(np.asarray(images.values[rows[at % count]]))
            mirrored = torch.from_numpy(at >= count)
            found[mirrored] = found[mirrored].flip(-1)
            return found

        sample = self._stored(f"images of {images.name}", count * (2 if p.flips else 1), fetch, view, facts)
        sample.labels = labels.repeat(2) if labels is not None and p.flips else labels
        return sample

    def _of_noise(self, p: Protocol) -> _Sample:
        """Features of uniform noise: image i from numpy's `RandomState(i)`."""
        view = _View.of(p).rounded()
        n = min(p.n, _NOISE)
        if len(self.shape) == 1:
            low, high = self.real.values.min(axis=0), self.real.values.max(axis=0)
            points = np.random.RandomState(p.seed).uniform(low, high, (n, *self.shape)).astype(np.float32)
            return _Sample(torch.from_numpy(points).to(self.home))
        facts = {
            "format": 1,
            "noise": self.shape,
            "count": n,
            "network": asdict(self.network(view).description),
        }

        def fetch(part: range) -> Tensor:
            each = [np.random.RandomState(i).randint(0, 256, self.shape, dtype=np.uint8) for i in part]
            return torch.from_numpy(np.stack(each))

        return self._stored("images of noise", n, fetch, view, facts)

    def _stored(
        self, what: str, n: int, fetch: Callable[[range], Tensor], view: _View, facts: dict[str, Any]
    ) -> _Sample:
        """Features from this run, from the store, or from the network; of stored ones, other ranks hold none."""
        with_classes = view in self.with_classes
        path = store.entry({**facts, "classes": with_classes})
        if path.name not in self._kept:
            # rank 0 looks: the ranks must agree whether there is work to share, and may not see the same disk
            tensors = store.read(path, n) if self.rank == 0 and view.network != "points" else None
            if from_first(tensors is not None):
                held = tensors or {"features": torch.empty(0, self.network(view).dimension)}
                sample = _Sample(held["features"].to(self.home))
                sample.probabilities = held["classes"].to(self.home) if "classes" in held else None
            else:
                sample = self.see(what, n, fetch, [view])[view]
                if self.rank == 0 and view.network != "points":
                    new = {"features": sample.features, "classes": sample.probabilities}
                    kept = {name: tensor.cpu().contiguous() for name, tensor in new.items() if tensor is not None}
                    store.write(path, kept, facts)
            self._kept[path.name] = sample
        return self._kept[path.name]

    def scores(
        self,
        wanted: Sequence[Protocol],
        generated: Callable[[Protocol], _Sample],
        floors: bool,
        given: bool = False,
        paths: Paths | None = None,
    ) -> list[Score]:
        """The scores of each protocol in turn; metrics are computed on rank 0, which tells the others."""
        found: list[Score] = []
        for p in wanted:
            if paths is not None and p.metric == "ppl":
                found.append(self._path(p, paths))
                continue
            reference = self._of_images(self.real, p, None if p.full or p.metric in {"modes", "nn"} else p.n)
            floor, floor_of = self._floor(p, reference) if floors else (None, None)
            noise = self._of_noise(p) if floors and p.metric != "acc" else None
            scores: Any = None
            if self.rank == 0:
                try:
                    scores = self._score(p, reference, generated(p), floor, floor_of, noise, given)
                except Exception as error:  # raised again below, on every rank: a rank that waits would wait for ever
                    scores = error
            found += from_first(scores)
        return found

    def _path(self, p: Protocol, paths: Paths) -> Score:
        """A path length, which every rank has a part in."""
        network = self.network(_View.of(p))
        started = time.perf_counter()
        length = perceptual_path_length(
            paths.synthesize if p.space == "z" else paths.synthesize_w or paths.synthesize,
            paths.latents,
            feature_distance(network),
            n=p.n,
            mapping=paths.mapping if p.space == "w" else None,
            ends=p.ends,
            epsilon=p.epsilon,
            seed=p.seed,
            batch_size=max(1, self.batch_size // 2),
        )
        seconds = from_first(time.perf_counter() - started)
        return self._named(p, Value("", length.mean, length.std, {"paths": length.n}), p.n, 0, seconds, p.seed)

    def _floor(self, p: Protocol, reference: _Sample) -> tuple[tuple[_Sample, _Sample], str]:
        """Two disjoint sets of real images, and which they are."""
        if self.holdout is not None:
            other = self._of_images(self.holdout, p, None if p.full else p.n)
            return (reference, other), f"{len(other)} images of the split {self.holdout.split}"
        half = len(reference) // 2
        return (reference.part(0, half), reference.part(half, 2 * half)), f"two disjoint halves of {half} images"

    def _score(
        self,
        p: Protocol,
        reference: _Sample,
        generated: _Sample,
        floor: tuple[_Sample, _Sample] | None,
        floor_of: str | None,
        noise: _Sample | None,
        given: bool,
    ) -> list[Score]:
        started = time.perf_counter()
        values = self._metric(p, reference, generated)
        seconds = generated.seconds + time.perf_counter() - started
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is to be said of the numbers was said of the score itself
            real = {v.part: v for v in self._metric(p, *floor)} if floor and len(floor[0]) > 2 else {}
            high = {v.part: v.value for v in self._metric(p, reference, noise)} if noise else {}
        scores = []
        for v in values:
            score = self._named(p, v, len(generated), len(reference), seconds, None if given else p.seed)
            if v.part in real:
                low = real[v.part]
                details = {**score.details, **({"floor": dict(low.details)} if "classes" in low.details else {})}
                score = replace(score, floor=low.value, floor_of=floor_of, details=details)
            if noise and v.part in high:
                score = replace(score, ceiling=high[v.part], ceiling_of=f"{len(noise)} images of uniform noise")
            scores.append(score)
        return scores

    def _named(self, p: Protocol, v: Value, n: int, n_real: int, seconds: float, seed: int | None) -> Score:
        """A number with all that it depends on."""
        network = self.network(_View.of(p))
        return Score(
            key=p.key + (f"/{v.part}" if v.part else ""),
            value=v.value,
            spread=v.spread,
            n=n,
            n_real=n_real,
            seed=seed,
            network=network.name,
            network_sha256=network.sha256,
            size=network.size,
            resizer=network.resizer,
            data=self.real.name,
            data_digest=self.real.digest,
            split=self.real.split,
            floor=None,
            floor_of=None,
            ceiling=None,
            ceiling_of=None,
            seconds=round(seconds, 3),
            protocol=p.to_dict(),
            details=dict(v.details),
        )

    def _metric(self, p: Protocol, real: _Sample, other: _Sample) -> list[Value]:
        """The numbers of one metric, of real images and others."""
        a, b = real.features, other.features
        match p.metric:
            case "fd":
                full_rank = min(len(real), len(other)) > a.shape[1]
                if full_rank:
                    return [Value("", frechet_distance_of_moments(real.moments, other.moments))]
                return [Value("", frechet_distance(a, b))]
            case "kid":
                size = max(2, min(p.subset_size, min(len(a), len(b)) // 2))  # or all subsets are the same
                mean, std = kernel_distance(a, b, p.subsets, size, p.seed)
                return [Value("", mean, std, {"subset_size": size})]
            case "pr":
                precision, recall = precision_recall(a, b, p.k)
                return [Value("precision", precision), Value("recall", recall)]
            case "dc":
                density, coverage = density_coverage(a, b, p.k)
                return [Value("density", density), Value("coverage", coverage)]
            case "nn":
                distances = nearest_neighbours(b, a).distances
                details = {"std": float(distances.std(correction=0)), "least": float(distances.min())}
                return [Value("", float(distances.mean()), None, details)]
            case "is":
                assert other.probabilities is not None
                mean, std = inception_score(other.probabilities, min(p.splits, len(other)))
                return [Value("", mean, std)]
            case "acc":
                assert other.probabilities is not None
                if other.labels is None:
                    raise BadArgument(f"{p.key}: class accuracy needs the labels that the images were made for.")
                right = other.probabilities.argmax(1).cpu() == other.labels.cpu()
                shares: dict[str, Any] = {"classes": by_class(right, other.labels.cpu(), self.real.classes)}
                return [Value("", class_accuracy(other.probabilities, other.labels), None, shares)]
            case "modes":
                return self._modes(p, b)
            case _:
                raise BadArgument(f"{p.key} is not measured from samples.")

    def _modes(self, p: Protocol, points: Tensor) -> list[Value]:
        """Modes and their width are taken from the real points: the mean of each component, the spread of all."""
        real, labels = self.real.values, np.asarray(self.real.labels)
        centres = np.stack([real[labels == k].mean(axis=0, dtype=np.float64) for k in np.unique(labels)])
        std = float(np.sqrt(np.mean((real - centres[np.searchsorted(np.unique(labels), labels)]) ** 2)))
        found = mode_coverage(points, torch.from_numpy(centres).to(points), std, p.share)
        details = {"modes": len(centres), "std": std, "counts": list(found.counts)}
        values = [
            Value("", found.covered, None, details),
            Value("reached", found.reached),
            Value("quality", found.quality),
        ]
        return [*values, *([Value("divergence", found.divergence)] if found.divergence is not None else [])]
