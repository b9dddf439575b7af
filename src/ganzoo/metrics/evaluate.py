"""Measuring: from what a model does, or a folder's images, and real images to scores named by their protocols.

One runner for every metric. What a metric needs first (`metric.LACKS`) says how the things that it compares are made:

| needs | what is compared | what can stand beside it |
|---|---|---|
| `samples` | samples with real images | `floor`: real images; `ceiling`: uniform noise |
| `translates` | translations with counterparts, with the domain; their classes | the copied input; fresh weights; ... |
| `encodes` | classes of held-out images by training images, in encodings | neighbours in pixels |
| `classifies` | the model's classes of labelled images | the most frequent class for all |
| `views` | the classes of a latent's two pictures | real pairs; pictures of two latents |
| `paths` | images along paths through the latents | |

Images are drawn once and shown once to each network; every metric takes the features from there. With several ranks
each draws and sees its own chunks (`ranks.py`), and all get the scores that one process would.
"""

from __future__ import annotations

import os
import time
import typing
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ganzoo.media.levels import to_float, to_uint8
from ganzoo.metrics import store
from ganzoo.metrics.features.network import NETWORKS, Description, FeatureNetwork, check_range, feature_network
from ganzoo.metrics.functional.path import Paths, feature_distance
from ganzoo.metrics.metric import COPY, MIXTURES, Metric, Value
from ganzoo.metrics.protocol import Protocol, protocol, protocols_for
from ganzoo.metrics.ranks import chunks, from_first, join, rank_and_world, together
from ganzoo.types import BadArgument, BadData, GanzooError

_NOISE: Final = 2500  # images of noise for the ceiling, at most: it is far above any score, and need not be exact

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many images are done, and of how many."""


class _Images(typing.Protocol):
    """What is asked of one split of the real images; `ganzoo.data.batch.Images` has it."""

    @property
    def name(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def values(self) -> npt.NDArray[Any]: ...  # uint8 (N, C, H, W), or float points (N, 2)
    @property
    def labels(self) -> npt.NDArray[np.int64] | None: ...
    @property
    def classes(self) -> tuple[str, ...] | None: ...
    @property
    def targets(self) -> npt.NDArray[np.uint8] | None: ...
    @property
    def paired(self) -> bool: ...  # whether the k-th target is the counterpart of the k-th image
    @property
    def digest(self) -> str: ...


class _Source(typing.Protocol):
    """What is asked of a data set; `ganzoo.data.batch.Data` has it."""

    def open(self, split: str) -> _Images: ...


Data = _Source | _Images | Mapping[str, _Images]
"""A data source, one split of it, or several splits by name."""


def cannot(*_: Any, **__: Any) -> Any:
    """Stands for what a model cannot do; never called, since protocols that need it are refused."""
    raise BadArgument("this model cannot do that.")


@dataclass(frozen=True)
class Subject:
    """What is measured: what a model can do, as plain functions.

    `sample(n, *, seed, batch_size)` gives `(n, C, H, W)` in [-1, 1], or points; sample i depends on `seed + i` (and its
    label) alone. It is given `labels=`, `truncation=` and `view=` where there are such.
    """

    sample: Callable[..., Tensor] = cannot
    translate: Callable[..., Tensor] = cannot  # (images, *, to, seed, batch_size); `to`: a domain, or one an image
    encode: Callable[[Tensor], Tensor] = cannot  # images (n, C, H, W) in [-1, 1] to encodings (n, d)
    classify: Callable[[Tensor], Tensor] = cannot  # such images to logits (n, classes)
    classes: int | None = None  # of a conditional model; None for one that is given no labels
    labelled: bool = True  # whether they are the data's own classes
    domains: tuple[str, ...] = ()  # that it translates to, the first by default
    back: str | None = None  # the domain of the data's own images, where it translates back to it
    views: int = 1  # how many pictures one latent gives
    live: Callable[[], Callable[..., Tensor]] = cannot  # makes `sample` with the live weights
    untrained: Callable[[], Callable[..., Tensor]] = cannot  # makes `translate` with fresh weights
    paths: Callable[[], Paths] = cannot  # makes the latents and generator for path lengths
    given: bool = False  # whether samples are images that are already there,
    made_for: Tensor | None = None  # and the labels (n,) that those were made for

    @property
    def abilities(self) -> frozenset[str]:
        """In the words of `metric.LACKS`."""
        held = {
            "samples": self.sample is not cannot,
            "translates": self.translate is not cannot,
            "encodes": self.encode is not cannot,
            "classifies": self.classify is not cannot,
            "classes": self.labelled and self.classes is not None,
            "views": self.views > 1,
            "paths": self.paths is not cannot,
        }
        return frozenset(name for name, has in held.items() if has)


@dataclass(frozen=True)
class Score:
    """One number and everything that it depends on; `to_dict` is plain JSON."""

    key: str  # of the protocol; where a protocol gives several numbers, with `/precision`, `/recall` and so on
    value: float
    spread: float | None  # its standard deviation over subsets or splits, where the metric has one
    n: int  # generated images, or what else is judged
    n_real: int  # real images that they are compared with
    seed: int | None  # of the first image; None for images that were given
    network: str  # the feature network,
    network_sha256: str  # of its weights,
    size: int  # height and width that it saw,
    resizer: str  # and the filter
    data: str  # the data set,
    data_digest: str  # a hash of the real images,
    split: str  # and of which part it is
    floor: float | None  # the same metric for real images that the reference does not hold,
    floor_of: str | None  # and which those are
    ceiling: float | None  # the same metric for uniform noise,
    ceiling_of: str | None  # and how much
    seconds: float  # for drawing, features (shared with the metrics of the same pass) and the metric
    protocol: dict[str, Any]  # all its settings
    details: dict[str, Any] = field(default_factory=dict)  # further numbers of the metric
    references: dict[str, float] = field(default_factory=dict)  # what the value is to be held against, by what it is of

    def to_dict(self) -> dict[str, Any]:
        """All fields, as plain JSON."""
        return asdict(self)


def measure(
    subject: Subject,
    data: Data,
    protocols: Iterable[str | Protocol],
    *,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
    floors: bool = True,
    networks: Mapping[str, FeatureNetwork] | None = None,
    progress: Progress | None = None,
) -> list[Score]:
    """The scores of a model, by named protocols. Collective: all ranks call it and get the same scores.

    Where the data have no images of the split that a protocol names, it is measured with those of the training split: a
    warning says so, and the score is that protocol's.

    Args:
        subject: what the model can do.
        data: the real images. Where protocols compare with the training split, its floor is measured with the test
            split, or between two halves where there is none.
        protocols: keys or protocols; in the order of the scores.
        device: where networks and metrics compute.
        batch_size: images at a time; by default 64 on a CPU and 256 elsewhere.
        floors: whether to measure what stands beside the scores too.
        networks: feature networks beside ganzoo's own, by the names that the protocols use.
        progress: told how far it is, on rank 0.

    Raises:
        UnknownName: for a protocol or network that does not exist.
        BadArgument: for a protocol that does not suit the data or the model; before anything is drawn.
        BadData: for samples with values outside [-1, 1], NaN, another shape than the real images', or too few of them.
    """
    run = _Run(subject, data, protocols, torch.device(device), batch_size, floors, networks or {}, progress)
    if not run.wanted:
        raise BadArgument("Name at least one protocol, such as fd10k_mobilenet_v2.")
    return [score for p in run.wanted for score in run.scores(p)]


def check(subject: Subject, data: Data, protocols: Iterable[str | Protocol]) -> list[Protocol]:
    """What `measure` would measure, before any work; arguments and errors are its."""
    return _Run(subject, data, protocols, torch.device("cpu")).wanted


def usual(subject: Subject, data: Data) -> list[Protocol]:
    """What is measured where nobody names a protocol: what suits the model and the data.

    Raises:
        BadArgument: if nothing does.
    """
    found: list[Protocol] = []
    reason: GanzooError | None = None
    name = _Run(subject, data, [], torch.device("cpu")).real("train").name
    for p in protocols_for(name, subject.abilities | {"pairs"}, subject.domains):
        try:
            found += check(subject, data, [p])
        except (BadArgument, BadData) as error:
            reason = reason or error
    if not found:
        raise BadArgument(f"no protocol suits the model and {name} by itself; name one ({reason})")
    return list(dict.fromkeys(found))


def measure_images(
    generated: npt.NDArray[Any] | Tensor,
    data: Data,
    protocols: Iterable[str | Protocol],
    *,
    labels: npt.NDArray[np.int64] | Tensor | None = None,
    **options: Any,
) -> list[Score]:
    """The scores of images that are already there, such as a folder of another program's.

    Args:
        generated: `(N, C, H, W)` uint8 or float32 in [-1, 1], or points `(N, 2)`; at least as many as each protocol
            asks for, of which the first are taken.
        data: see `measure`.
        protocols: keys or protocols.
        labels: `(N,)`, the classes that the images were made for.
        options: those of `measure`.

    Raises:
        BadArgument: for a protocol that asks for more images than there are, or of which images cannot tell.
        BadData: see `measure`.
    """
    wanted = [protocol(p, options.get("networks") or ()) for p in protocols]
    for p in wanted:
        if p.n > len(generated):
            fewer = replace(p, n=max(2, len(generated))).key
            raise BadArgument(f"{p.key} asks for {p.n} images and there are {len(generated)}; say {fewer}.")
        if (p.seed, p.labels, p.truncation, p.weights) != (0, "data", None, "averaged"):
            raise BadArgument(f"{p.key}: seed, labels, truncation and weights are settled for images already there.")
    made_for = None if labels is None else torch.as_tensor(labels)

    def sample(n: int, *, seed: int, batch_size: int) -> Tensor:
        part = generated[seed : seed + n]  # a mapped file is read bit by bit
        return part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))

    subject = Subject(
        sample,
        classes=None if made_for is None else int(made_for.max()) + 1,
        made_for=made_for,
        given=True,
    )
    return measure(subject, data, wanted, **options)


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
        one, two = ({n: s.get(n) for n in names} | (s.get("protocol") or {}) for s in (facts, other))
        for name in (name for name in one if name in two):  # an older ganzoo named settings that there no longer are
            if one[name] != two[name]:
                raise BadArgument(
                    f"Two scores called {facts['key']} differ in {name} ({one[name]!r} and {two[name]!r}) and "
                    "cannot be compared."
                )


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


# ------------------------------------------------------------------------------------------------- what is looked at


class _Sample:
    """Features of one set of images, and what follows from them, computed when first asked for."""

    def __init__(
        self, features: Tensor, probabilities: Tensor | None = None, labels: Tensor | None = None, seconds: float = 0.0
    ) -> None:
        self.features, self.probabilities, self.labels, self.seconds = features, probabilities, labels, seconds
        self._made: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.features)

    def of(self, metric: Metric) -> Any:
        """The features as a metric takes them."""
        if metric.of is None:
            return self.features
        if metric.of not in self._made:
            self._made[metric.of] = metric.of(self.features)
        return self._made[metric.of]

    def part(self, start: int, stop: int) -> _Sample:
        """Some of the samples; all of them are itself, so that what was computed is not computed again."""
        if (start, stop) == (0, len(self)):
            return self
        cut = [None if v is None else v[start:stop] for v in (self.probabilities, self.labels)]
        return _Sample(self.features[start:stop], cut[0], cut[1], self.seconds)


@dataclass(frozen=True)
class _Stream:
    """Images that a model makes and several protocols can share: the first n of them, for each its own n."""

    seed: int
    labels: str = "data"
    truncation: float | None = None
    weights: str = "averaged"
    split: str = ""  # of what is translated,
    to: str = ""  # and to which domain
    view: int = 0


class _Drawing(NamedTuple):
    """How the images of a stream are made."""

    what: str
    shape: tuple[int, ...]
    images: Callable[[range], Tensor]
    labels: Tensor | None = None  # that they are made for


@dataclass(frozen=True)
class _View:
    """How images are seen: by which network, behind which resizer, and whether they are rounded first."""

    network: str
    resizer: str = ""
    rounding: bool = True
    ability: str = ""  # where it is the model's own

    @classmethod
    def of(cls, p: Protocol) -> _View:
        ability = {"encodes": "encode", "classifies": "classify"}.get(next(iter(p.of.needs)), "")
        return cls("points" if p.network in MIXTURES else p.network, p.resizer, p.rounding, ability)

    def rounded(self) -> _View:
        """The view of real images, which have 8 bits."""
        return replace(self, rounding=True)


class _Plain:
    """Stands where a key names no feature network: the pixels themselves, or the model's own encoder or classifier."""

    def __init__(self, name: str, function: Callable[[Tensor], Tensor], classes: bool) -> None:
        self.description = Description(name, "", 0, 0, 0, "", (), ())
        self.function, self.classes = function, classes

    def both(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Rows `(n, d)`, and class probabilities where they are logits."""
        rows = self.function(to_float(images)).flatten(1).float()
        return rows, rows.softmax(1) if self.classes else None


@dataclass(frozen=True)
class _Compared:
    """What a metric compares, how many of what, and the seconds that it took to make."""

    inputs: dict[str, Any]
    n: int
    n_real: int
    seconds: float = 0.0
    of: str = ""
    values: list[Value] | None = None  # where all ranks compute them together


@dataclass
class _Run:
    """One call of `measure`: the networks, the real images' features, and the metrics."""

    subject: Subject
    data: Data
    protocols: Iterable[str | Protocol]
    device: torch.device
    batch_size: int | None = None
    floors: bool = False
    own: Mapping[str, FeatureNetwork] = field(default_factory=dict)
    progress: Progress | None = None

    def __post_init__(self) -> None:
        # metrics compute in float64, which Apple's GPUs do not have
        self.home = torch.device("cpu") if self.device.type == "mps" else self.device
        self.chunk = self.batch_size or (64 if self.device.type == "cpu" else 256)
        self.rank, self.world = rank_and_world()
        self._opened: dict[str, _Images] = {}
        self._networks: dict[tuple[str, ...], FeatureNetwork | _Plain] = {}
        self._kept: dict[str, _Sample] = {}
        self.made: dict[tuple[_Stream, _View], _Sample] = {}
        self._tasks = {name: task(self) for name, task in _TASKS.items()}
        self.wanted = list(dict.fromkeys(self._suited(protocol(key, self.own)) for key in self.protocols))
        # whether class probabilities are kept: settled once, so that no image is seen again for their sake
        probable = [_View.of(p) for p in self.wanted if "probabilities" in p.of.inputs]
        self.with_classes = {view for each in probable for view in (each, each.rounded())}

    # ------------------------------------------------------------------------------------------- before any work

    def real(self, split: str) -> _Images:
        """A split of the real images.

        Raises:
            BadData: if there are none.
        """
        if split not in self._opened:
            data = self.data
            if not isinstance(data, Mapping) and hasattr(data, "open"):
                self._opened[split] = data.open(split)
            else:
                splits = data if isinstance(data, Mapping) else {data.split: data}
                if split not in splits:
                    raise BadData(f"the real images are of the split {' and '.join(splits)}, and {split} is asked for.")
                self._opened[split] = splits[split]
        return self._opened[split]

    def some(self, split: str) -> bool:
        """Whether there are images enough of a split."""
        try:
            return len(self.real(split).values) > 1
        except BadData:
            return False

    def _suited(self, p: Protocol) -> Protocol:
        """The protocol that is measured, once it is known to suit model and data."""
        if p.split != "train" and not self.some(p.split) and self.some("train"):
            name = self.real("train").name
            if p.of.held_out:
                raise BadData(f"{p.key}: {name} has no images in its split {p.split}.")
            asked, p = p, replace(p, split="train")
            lacks = f"{name} has no images in its split {asked.split}"
            warnings.warn(f"{lacks}: {p.key} is measured in place of {asked.key}, with those of train.", stacklevel=5)
        real = self.real(p.split)
        if len(real.values) < 2:
            raise BadData(f"{real.name} holds {len(real.values)} real image(s) in its split {real.split}; give more.")
        try:
            self.task(p).check(p)
        except BadArgument as error:
            raise BadArgument(str(error) if p.key in str(error) else f"{p.key}: {error}.") from None
        return p

    def need(self, p: Protocol) -> list[str]:
        """The words of what a protocol needs of this model."""
        return p.of.need(self.subject.abilities | {"pairs"}).split()  # which are of the data

    def task(self, p: Protocol) -> _Task:
        """How what a protocol compares is made."""
        return self._tasks[self.need(p)[0]]

    def network(self, view: _View) -> FeatureNetwork | _Plain:
        """The network of a view, with the resizer that a protocol asks for."""
        key = (view.network, view.resizer, view.ability)
        if key not in self._networks:
            if view.ability or (view.network == "pixels" and "pixels" not in self.own):
                function = getattr(self.subject, view.ability) if view.ability else Tensor.clone
                self._networks[key] = _Plain(view.network, function, view.ability == "classify")
            else:
                network = self.own.get(view.network) or feature_network(view.network, self.device)
                other = view.resizer and view.resizer != network.description.resizer
                self._networks[key] = network.with_resizer(view.resizer) if other else network
        return self._networks[key]

    # ---------------------------------------------------------------------------------------------- seeing images

    def see(self, drawing: _Drawing, n: int, views: Sequence[_View]) -> dict[_View, _Sample]:
        """Makes each chunk of n images once and shows it to every network."""
        started, what = time.perf_counter(), drawing.what
        features: dict[_View, list[Tensor]] = {view: [] for view in views}
        classes: dict[_View, list[Tensor]] = {view: [] for view in views}
        least = -1.0 if len(drawing.shape) == 1 else torch.inf
        with together():
            for rows in chunks(n, self.chunk, self.rank, self.world):
                images = drawing.images(rows).to(self.device)
                _check(images, drawing, rows)
                least = min(least, float(images.min())) if images.is_floating_point() else -1.0
                eight = rounded(images) if images.ndim == 4 else images
                for view in views:
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
        found = {view: _Sample(join(features[view], n, self.chunk).to(self.home)) for view in views}
        for view, sample in found.items():
            if view in self.with_classes:
                sample.probabilities = join(classes[view], n, self.chunk).to(self.home)
            sample.labels, sample.seconds = drawing.labels, time.perf_counter() - started
        return found

    def images(
        self,
        p: Protocol,
        split: str,
        count: int | None = None,
        side: str = "values",
        view: _View | None = None,
        channels: int | None = None,
        label: tuple[int, bool] | None = None,
    ) -> _Sample:
        """Features of real images, in an order drawn from the protocol's seed; from the store where they were seen.

        Args:
            p: whose seed, mirror images and view are meant.
            split: of the data.
            count: how many; all if None.
            side: `values`, or the `targets` of pairs.
            view: instead of the protocol's.
            channels: to which grey or coloured images are brought.
            label: a class, and whether images of it or all others are meant.
        """
        real, view = self.real(split), (view or _View.of(p)).rounded()
        values = getattr(real, side)
        rows = self.order(split, side, p.seed, label)[:count]
        count = len(rows)
        labels = None if real.labels is None else torch.from_numpy(np.asarray(real.labels)[rows])

        def images(part: range) -> Tensor:
            at = np.arange(part.start, part.stop)
            found = torch.from_numpy(np.asarray(values[rows[at % count]]))
            mirrored = torch.from_numpy(at >= count)
            found[mirrored] = found[mirrored].flip(-1)
            return found if channels is None else _in_channels(found, channels)

        facts = {"data": real.digest, "count": count, "seed": p.seed, "flips": p.flips}
        facts |= {} if side == "values" else {"side": side}
        facts |= {} if channels is None else {"channels": channels}
        facts |= {} if label is None else {"label": label}
        shape = values.shape[1:] if channels is None else (channels, *values.shape[2:])
        drawing = _Drawing(
            f"images of {real.name}", shape, images, torch.cat([labels] * (1 + p.flips)) if labels is not None else None
        )
        return self._stored(drawing, count * (1 + p.flips), view, facts)

    def order(self, split: str, side: str, seed: int, label: tuple[int, bool] | None = None) -> npt.NDArray[np.int64]:
        """The rows of real images, in an order drawn from a seed; see `images`."""
        real = self.real(split)
        rows = np.random.RandomState(seed).permutation(len(getattr(real, side)))
        if label is None:
            return rows
        return rows[(np.asarray(real.labels)[rows] == label[0]) == label[1]]

    def noise(self, p: Protocol, side: str = "values") -> _Sample:
        """Features of uniform noise in the shape of real images: image i from numpy's `RandomState(i)`."""
        n, values = min(p.n, _NOISE), getattr(self.real(p.split), side)
        shape = tuple(values.shape[1:])
        if len(shape) == 1:
            low, high = values.min(axis=0), values.max(axis=0)
            points = np.random.RandomState(p.seed).uniform(low, high, (n, *shape)).astype(np.float32)
            return _Sample(torch.from_numpy(points).to(self.home))

        def images(part: range) -> Tensor:
            each = [np.random.RandomState(i).randint(0, 256, shape, dtype=np.uint8) for i in part]
            return torch.from_numpy(np.stack(each))

        drawing = _Drawing("images of noise", shape, images)
        return self._stored(drawing, n, _View.of(p).rounded(), {"noise": shape, "count": n})

    def _stored(self, drawing: _Drawing, n: int, view: _View, facts: dict[str, Any]) -> _Sample:
        """Features from this run, from the store, or from the network."""
        network, with_classes = self.network(view), view in self.with_classes
        facts = {"format": 1, **facts, "network": asdict(network.description), "classes": with_classes}
        path = store.entry(facts)
        name = f"{path.name} {view.ability}"
        if name not in self._kept:
            lasting = isinstance(network, FeatureNetwork) and bool(network.description.channels)
            # rank 0 looks: the ranks must agree whether there is work to share, and may not see the same disk
            held = from_first(store.read(path, n) if self.rank == 0 and lasting else None)
            if held is None:
                self._kept[name] = sample = self.see(drawing, n, [view])[view]
                if self.rank == 0 and lasting:
                    new = {"features": sample.features, "classes": sample.probabilities}
                    store.write(path, {key: each for key, each in new.items() if each is not None}, facts)
            else:
                classes = held["classes"].to(self.home) if "classes" in held else None
                self._kept[name] = _Sample(held["features"].to(self.home), classes, drawing.labels)
        return self._kept[name]

    # ----------------------------------------------------------------------------------------------------- scores

    def scores(self, p: Protocol) -> list[Score]:
        """The scores of a protocol; metrics are computed on rank 0, which tells the others."""
        task = self.task(p)
        with together():  # weights that one rank cannot find stop all of them
            self.network(_View.of(p))
        found = task.found(p)
        makers = {name: getattr(task, _BESIDE[name], None) for name in (p.of.beside if self.floors else ())}
        beside = {name: make(p) for name, make in makers.items() if make is not None}
        scores: list[Score] | Exception = []
        if self.rank == 0:
            try:
                scores = self._scores(p, found, {name: each for name, each in beside.items() if each is not None})
            except Exception as error:  # raised again below, on every rank: a rank that waits would wait for ever
                scores = error
        return from_first(scores)

    def values(self, p: Protocol, compared: _Compared) -> list[Value] | None:
        """The numbers of a protocol's metric."""
        inputs = {
            k: v.of(p.of) if isinstance(v, _Sample) and k in p.of.inputs else v for k, v in compared.inputs.items()
        }
        try:
            return p.of.values(inputs, p.settings)
        except GanzooError as error:
            raise type(error)(f"{p.key}: {error}") from None

    def _scores(self, p: Protocol, found: _Compared, beside: Mapping[str, _Compared]) -> list[Score]:
        started = time.perf_counter()
        values = found.values or self.values(p, found)
        if values is None:
            missing = [name for name in p.of.inputs if found.inputs.get(name) is None]
            raise BadArgument(f"{p.key} needs {' and '.join(missing)}, and there are none.")
        seconds = found.seconds + time.perf_counter() - started
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is to be said of the numbers was said of the score itself
            held = {name: {v.part: v for v in self.values(p, each) or ()} for name, each in beside.items()}
        network, real = self.network(_View.of(p)).description, self.real(p.split)
        scores = []
        for value in values:
            alike = {name: parts[value.part] for name, parts in held.items() if value.part in parts}
            low, high = alike.pop("floor", None), alike.pop("ceiling", None)
            floor = {"floor": dict(low.details)} if low and "classes" in low.details else {}
            scores.append(
                Score(
                    key=p.key + (f"/{value.part}" if value.part else ""),
                    value=value.value,
                    spread=value.spread,
                    n=found.n,
                    n_real=found.n_real,
                    seed=None if self.subject.given else p.seed,
                    network=network.name,
                    network_sha256=network.sha256,
                    size=network.size,
                    resizer=network.resizer,
                    data=real.name,
                    data_digest=real.digest,
                    split=real.split,
                    floor=low.value if low else None,
                    floor_of=beside["floor"].of if low else None,
                    ceiling=high.value if high else None,
                    ceiling_of=beside["ceiling"].of if high else None,
                    seconds=round(seconds, 3),
                    protocol=p.to_dict(),
                    details={**value.details, **floor},
                    references={name: each.value for name, each in alike.items()},
                )
            )
        return scores


# -------------------------------------------------------------------------------------- what is compared, by the need


class _Task(ABC):
    """How what is compared is made, for one of the words that a metric needs."""

    def __init__(self, run: _Run) -> None:
        self.run, self.subject = run, run.subject

    def check(self, p: Protocol) -> None:
        """Refuses a protocol that does not suit model, data or machine, before any work."""
        real = self.run.real(p.split)
        if real.values.ndim == 2 and p.network not in {"points", *MIXTURES}:
            raise BadArgument(f"{p.key}: {real.name} holds points, which only the network 'points' takes.")
        dimension = NETWORKS[p.network].dimension if p.network in NETWORKS else 0
        size, memory = 4e-9 * dimension * (p.n + min(p.n, len(real.values))), _memory()
        if size > memory:
            there = f"{size:.0f} GB, and this machine has {memory:.0f} GB"
            raise BadArgument(f"{p.key}: the features of {p.n:,} images take {there}; ask for fewer.")

    @abstractmethod
    def found(self, p: Protocol) -> _Compared:
        """What is compared; further methods give what is compared beside it. Collective."""

    def compared(self, p: Protocol, reals: _Sample, made: _Sample, of: str = "", **more: Any) -> _Compared:
        """All that is known of two sets, of which a metric takes what it names."""
        inputs = {"real": reals, "generated": made, "real_labels": reals.labels, "labels": made.labels}
        names = {"probabilities": made.probabilities, "names": self.run.real(p.split).classes}
        return _Compared({**inputs, **names, **more}, len(made), len(reals), made.seconds, of)

    def labels(self, p: Protocol, split: str) -> Tensor:
        """The classes of a split's images, which must have some."""
        images = self.run.real(split)
        if images.labels is None:
            raise BadArgument(f"{p.key} needs labels, and {images.name} has none.")
        return torch.from_numpy(np.asarray(images.labels))

    def pairs(self, p: Protocol) -> None:
        """Refuses images without counterparts."""
        real = self.run.real(p.split)
        if real.targets is None or not real.paired:
            raise BadArgument(f"{p.key} needs pairs, and {real.name} has none in its split {p.split}.")

    def apart(self, p: Protocol, of: Callable[[str], _Sample]) -> _Compared | None:
        """Real images against others: those of the test split, or one half against the other."""
        reference = of(p.split)
        if p.split == "train" and self.run.some("test"):
            other = of("test")
            return self.compared(p, reference, other, f"{len(other)} images of the split test")
        half = len(reference) // 2
        one, two = reference.part(0, half), reference.part(half, 2 * half)
        return self.compared(p, one, two, f"two disjoint halves of {half} images") if half > 2 else None


class _Drawn(_Task):
    """What is made by the model, once for all protocols that share it."""

    def count(self, p: Protocol) -> int:
        """How many images the model makes."""
        return p.n

    def stream(self, p: Protocol) -> _Stream:
        """Which they are."""
        return _Stream(p.seed, split=p.split)

    @abstractmethod
    def drawing(self, stream: _Stream, n: int) -> _Drawing:
        """How the first n of them are made."""

    def made(self, p: Protocol, stream: _Stream | None = None) -> _Sample:
        """The images of a protocol's stream, or of another, as the protocol sees them."""
        run, stream, view = self.run, stream or self.stream(p), _View.of(p)
        if (stream, view) not in run.made:
            sharing = [q for q in run.wanted if run.task(q) is self and self.stream(q) == stream] or [p]
            n = max(map(self.count, sharing))
            views = list(dict.fromkeys(_View.of(q) for q in sharing))  # in one order on all ranks, unlike a set
            found = run.see(self.drawing(stream, n), n, views)
            run.made |= {(stream, each): sample for each, sample in found.items()}
        return run.made[stream, view].part(0, self.count(p))


class _Samples(_Drawn):
    """Samples against real images."""

    def check(self, p: Protocol) -> None:
        super().check(p)
        real, classes, given = self.run.real(p.split), self.subject.classes, self.subject.given
        mixture = real.values.ndim == 2 and real.labels is not None and real.name.startswith(p.network)
        if p.network in MIXTURES and not mixture:
            raise BadArgument(f"{p.key} counts the modes of a labelled mixture {p.network!r}, not of {real.name!r}.")
        if p.to:
            raise BadArgument(f"{p.key}: samples are measured of this model, so to-{p.to} is not for it.")
        if p.weights == "live" and self.subject.live is cannot:
            raise BadArgument(f"{p.key} asks for the live weights, and this model has averaged ones only.")
        if classes is None and p.labels != "data":
            raise BadArgument(f"{p.key}: this model takes no labels, so {p.labels} is not for it.")
        if classes is None or given or p.labels != "data":
            return
        if real.labels is None:
            other = replace(p, labels="uniform").key
            raise BadArgument(f"{p.key}: {real.name} has no labels to draw from; ask for {other}.")
        if int(real.labels.max()) >= classes:
            most = int(real.labels.max())
            raise BadArgument(f"{p.key}: {real.name} has a class {most}, and the model has {classes} classes.")

    def stream(self, p: Protocol) -> _Stream:
        return _Stream(p.seed, p.labels, p.truncation, p.weights, p.split)

    def drawing(self, stream: _Stream, n: int) -> _Drawing:
        real, subject = self.run.real(stream.split), self.subject
        sample = subject.live() if stream.weights == "live" else subject.sample
        labels = subject.made_for if subject.classes is None or subject.given else torch.arange(n) % subject.classes
        if subject.classes is not None and not subject.given and stream.labels == "data":
            order = np.random.RandomState(stream.seed).permutation(len(real.values))
            labels = torch.from_numpy(np.asarray(real.labels)[order[np.arange(n) % len(order)]])
        options = {} if stream.truncation is None else {"truncation": stream.truncation}

        def images(rows: range) -> Tensor:
            asked = {} if labels is None or subject.given else {"labels": labels[rows.start : rows.stop]}
            return sample(len(rows), seed=stream.seed + rows.start, batch_size=len(rows), **asked, **options)

        return _Drawing(
            "generated images", tuple(real.values.shape[1:]), images, None if labels is None else labels[:n]
        )

    def reference(self, p: Protocol, split: str) -> _Sample:
        return self.run.images(p, split, None if p.full or (p.of.whole and split == p.split) else p.n)

    def found(self, p: Protocol) -> _Compared:
        return self.compared(p, self.reference(p, p.split), self.made(p))

    def floor(self, p: Protocol) -> _Compared | None:
        return self.apart(p, lambda split: self.reference(p, split))

    def ceiling(self, p: Protocol) -> _Compared:
        noise = self.run.noise(p)
        return self.compared(p, self.reference(p, p.split), noise, f"{len(noise)} images of uniform noise")


class _Translations(_Drawn):
    """Translations against their counterparts, against images of the domain, or against what a classifier says."""

    def by_turns(self, p: Protocol) -> bool:
        """Whether images are translated to each domain by turns, rather than to one."""
        return "labels" in p.of.inputs

    def check(self, p: Protocol) -> None:
        super().check(p)
        real, domains = self.run.real(p.split), self.subject.domains
        if (p.labels, p.truncation, p.weights) != ("uniform" if self.by_turns(p) else "data", None, "averaged"):
            other = replace(p, labels="uniform" if self.by_turns(p) else "data", truncation=None, weights="averaged")
            what = "to each domain by turns" if self.by_turns(p) else "as they come"
            raise BadArgument(f"{p.key}: images are translated {what}; ask for {other.key}.")
        if self.by_turns(p):
            most = NETWORKS[p.network].classes if p.network in NETWORKS else len(domains)
            if most < len(domains):
                told = f"{p.network} tells {most} classes apart"
                raise BadArgument(f"{p.key}: {told}, and there are {len(domains)} domains.")
            return
        if "pairs" in self.run.need(p):
            self.pairs(p)
        elif real.targets is None and (real.labels is None or self.subject.classes is None):
            raise BadArgument(
                f"{p.key}: {real.name} has no images of the domain, neither as targets nor by its labels."
            )
        if p.to and p.to not in domains:
            raise BadArgument(f"{p.key}: this model translates to {' or '.join(domains)}, not to {p.to}.")
        if p.to == domains[0]:
            raise BadArgument(f"{p.key}: {p.to} is the model's first domain, which a key leaves out.")

    def count(self, p: Protocol) -> int:
        return min(p.n, len(self.sources(self.stream(p))))

    def stream(self, p: Protocol) -> _Stream:
        return _Stream(p.seed, split=p.split, to="by turns" if self.by_turns(p) else p.to)

    def sides(self, split: str, to: str) -> tuple[str, str, int | None]:
        """Where translations start and where they lead: to the data's targets, or back, or to one class of many."""
        if to == "by turns":
            return "values", "values", None
        if self.run.real(split).targets is None:
            return "values", "values", self.subject.domains.index(to or self.subject.domains[0])
        return ("targets", "values", None) if to == self.subject.back else ("values", "targets", None)

    def sources(self, stream: _Stream) -> npt.NDArray[np.int64]:
        """The rows of the images that are translated."""
        side, _, label = self.sides(stream.split, stream.to)
        return self.run.order(stream.split, side, stream.seed, None if label is None else (label, False))

    def drawing(self, stream: _Stream, n: int) -> _Drawing:
        real, domains, fresh = self.run.real(stream.split), self.subject.domains, stream.weights == "untrained"
        translate = self.subject.untrained() if fresh else self.subject.translate
        values, others = (getattr(real, side) for side in self.sides(stream.split, stream.to)[:2])
        rows_, turns = self.sources(stream), torch.arange(n) % len(domains) if stream.to == "by turns" else None

        def images(rows: range) -> Tensor:
            given = to_float(torch.from_numpy(values[rows_[rows.start : rows.stop]]))
            each = None if turns is None else [domains[k] for k in turns[rows.start : rows.stop]]
            to = each or stream.to or domains[0]
            return translate(given, to=to, seed=stream.seed + rows.start, batch_size=len(rows))

        return _Drawing("untrained translations" if fresh else "translations", others.shape[1:], images, turns)

    def reference(self, p: Protocol, split: str) -> _Sample:
        """The real images that translations are to be like: in pairs all of them, those translated first."""
        _, side, label = self.sides(split, p.to)
        count = None if p.full or "pairs" in self.run.need(p) else p.n
        return self.run.images(p, split, count, side, label=None if label is None else (label, True))

    def against(self, p: Protocol, made: _Sample, of: str = "") -> _Compared:
        if self.by_turns(p):
            return self.compared(p, made, made, of, names=self.subject.domains)
        return self.compared(p, self.reference(p, p.split), made, of)

    def found(self, p: Protocol) -> _Compared:
        return self.against(p, self.made(p))

    def untrained(self, p: Protocol) -> _Compared | None:
        if self.subject.untrained is cannot:
            return None
        return self.against(p, self.made(p, replace(self.stream(p), weights="untrained")))

    def copy(self, p: Protocol) -> _Compared | None:
        """The inputs themselves, in as many channels as the targets have; None where neither is grey."""
        source, target, label = self.sides(p.split, p.to)
        have, want = (getattr(self.run.real(p.split), side).shape[1] for side in (source, target))
        if have != want and 1 not in (have, want):
            return None
        others = None if label is None else (label, False)
        channels = None if have == want else want
        return self.against(p, self.run.images(p, p.split, self.count(p), source, channels=channels, label=others))

    def floor(self, p: Protocol) -> _Compared | None:
        if not self.by_turns(p):
            return self.apart(p, lambda split: self.reference(p, split))
        real = self.run.images(p, p.split, self.count(p))
        return self.against(p, real, f"{len(real)} images of the split {p.split}")

    def ceiling(self, p: Protocol) -> _Compared:
        noise = self.run.noise(p, self.sides(p.split, p.to)[1])
        return self.against(p, noise, f"{len(noise)} images of uniform noise")


class _Encodings(_Task):
    """Held-out images against training images, in the model's own encodings."""

    def check(self, p: Protocol) -> None:
        super().check(p)
        if not self.run.some("train"):
            raise BadArgument(f"{p.key} looks for neighbours among training images, and there are none at hand.")
        for split in ("train", p.split):
            self.labels(p, split)

    def found(self, p: Protocol, view: _View | None = None) -> _Compared:
        among, queries = self.run.images(p, "train", p.n, view=view), self.run.images(p, p.split, view=view)
        return self.compared(p, among, queries)

    def pixels(self, p: Protocol) -> _Compared:
        return self.found(p, _View("pixels"))


class _Classifications(_Task):
    """The model's classes of labelled images."""

    def check(self, p: Protocol) -> None:
        super().check(p)
        self.labels(p, p.split)

    def found(self, p: Protocol) -> _Compared:
        seen = self.run.images(p, p.split, p.n)
        return self.compared(p, seen, seen)

    def one_class(self, p: Protocol) -> _Compared:
        """The most frequent class for all."""
        seen = self.run.images(p, p.split, p.n)
        assert seen.labels is not None  # `check` saw to it
        counts = seen.labels.bincount().double()
        return self.compared(p, seen, seen, probabilities=(counts / counts.sum()).expand(len(seen), -1))


class _Views(_Drawn):
    """Both pictures of one latent, each given the class of its nearest real pictures."""

    def check(self, p: Protocol) -> None:
        super().check(p)
        self.pairs(p)
        self.labels(p, p.split)

    def drawing(self, stream: _Stream, n: int) -> _Drawing:
        def images(rows: range) -> Tensor:
            seed = stream.seed + rows.start
            return self.subject.sample(len(rows), seed=seed, batch_size=len(rows), view=stream.view)

        return _Drawing(f"pictures of domain {stream.view}", self.run.real(stream.split).values.shape[1:], images)

    def found(self, p: Protocol, shift: int = 0, real_ones: bool = False) -> _Compared:
        """Pictures of each latent, or of two that are so far apart; or the real pairs, none of which is to vote."""
        real = [self.run.images(p, p.split, side=side) for side in ("values", "targets")]
        made = real
        if not real_ones:
            made = [self.made(p, _Stream(p.seed, split=p.split, view=view)) for view in range(2)]
        generated = [made[0].features, made[1].features.roll(shift, 0)]
        return self.compared(
            p, real[0], made[0], real=[one.features for one in real], generated=generated, own=real_ones
        )

    def real_pairs(self, p: Protocol) -> _Compared:
        return self.found(p, real_ones=True)

    def other_latents(self, p: Protocol) -> _Compared:
        return self.found(p, shift=1)


class _Paths(_Task):
    """Images along paths through the latents."""

    def check(self, p: Protocol) -> None:
        super().check(p)
        paths = self.subject.paths()
        if p.settings["space"] == "w" and (paths.mapping is None or paths.synthesize_w is None):
            raise BadArgument(f"{p.key}: this model has no latents w to follow a path in.")

    def found(self, p: Protocol) -> _Compared:
        """The metric itself, in which every rank has a part."""
        network, started = self.run.network(_View.of(p)), time.perf_counter()
        assert isinstance(network, FeatureNetwork)
        inputs = {"paths": self.subject.paths(), "distance": feature_distance(network), "n": p.n}
        inputs["batch_size"] = max(1, self.run.chunk // 2)
        values = self.run.values(p, _Compared(inputs, 0, 0))
        return _Compared({}, p.n, 0, time.perf_counter() - started, values=values)


_TASKS: Final[dict[str, type[_Task]]] = {
    "samples": _Samples,
    "translates": _Translations,
    "encodes": _Encodings,
    "classifies": _Classifications,
    "views": _Views,
    "paths": _Paths,
}
# What may stand beside a score, by the method that makes it
_BESIDE: Final = {
    "floor": "floor",
    "ceiling": "ceiling",
    COPY: "copy",
    "untrained network": "untrained",
    "pixels": "pixels",
    "one class for all": "one_class",
    "real pairs": "real_pairs",
    "other latents": "other_latents",
}


def _check(images: Tensor, drawing: _Drawing, rows: range) -> None:
    """Refuses images of another number, shape or range than they should be."""
    what = drawing.what
    if len(images) != len(rows):
        raise BadData(f"The model gave {len(images)} {what} where {len(rows)} were asked for.")
    if tuple(images.shape[1:]) != tuple(drawing.shape):
        one, two = ("x".join(map(str, each)) for each in (images.shape[1:], drawing.shape))
        raise BadData(f"The {what} are {one}, and the real images {two}; measure images of one size.")
    if images.is_floating_point() and images.ndim == 4:
        check_range(images, rows.start)
    elif images.is_floating_point() and not bool(torch.isfinite(images).all()):
        row = int((~torch.isfinite(images).all(dim=1)).nonzero()[0])
        raise BadData(f"Point {rows.start + row} of the {what} is NaN or infinite.")


def _in_channels(images: Tensor, channels: int) -> Tensor:
    """uint8 `(n, C, H, W)`, grey ones in colour or coloured ones in grey."""
    if images.shape[1] == 1:
        return images.expand(-1, channels, -1, -1)
    return images.float().mean(1, keepdim=True).round().to(torch.uint8)


def _memory() -> float:
    """The gigabytes that this machine has; infinite where the system does not tell."""
    try:
        return 1e-9 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not of every system
        return float("inf")
