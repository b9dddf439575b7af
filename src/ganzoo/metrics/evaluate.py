"""Measuring: from what a model does, or a folder's images, and real images to scores named by their protocols.

One runner for every metric. Images are drawn once and shown once to each network; every metric takes the features from
there. With several ranks each draws and sees its own chunks (`ranks.py`), and all get the scores that one process does.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ganzoo.media.levels import to_uint8
from ganzoo.metrics import store
from ganzoo.metrics.features.network import FeatureNetwork, check_range, feature_network
from ganzoo.metrics.metric import Value
from ganzoo.metrics.protocol import Protocol, protocol, protocols_for
from ganzoo.metrics.ranks import chunks, from_first, join, rank_and_world, together
from ganzoo.metrics.sets import Compared, Drawing, Plain, Sample, Stream, View
from ganzoo.metrics.subject import Data, Images, Subject
from ganzoo.metrics.tasks import BESIDE, TASKS, Task
from ganzoo.types import BadArgument, BadData, GanzooError

_NOISE: Final = 2500  # images of noise for the ceiling, at most: it is far above any score, and need not be exact

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many images are done, and of how many."""


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
    run = Run(subject, data, protocols, torch.device(device), batch_size, floors, networks or {}, progress)
    if not run.wanted:
        raise BadArgument("Name at least one protocol, such as fd10k_mobilenet_v2.")
    return [score for p in run.wanted for score in run.scores(p)]


def check(subject: Subject, data: Data, protocols: Iterable[str | Protocol]) -> list[Protocol]:
    """What `measure` would measure, before any work; arguments and errors are its."""
    return Run(subject, data, protocols, torch.device("cpu")).wanted


def usual(subject: Subject, data: Data) -> list[Protocol]:
    """What is measured where nobody names a protocol: what suits the model and the data."""
    found: list[Protocol] = []
    reason: GanzooError | None = None
    name = Run(subject, data, [], torch.device("cpu")).real("train").name
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
    """Floats in [-1, 1] as 8 bits, checked."""
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise BadArgument(f"Images are uint8, or floats in [-1, 1]; these are {images.dtype}.")
    check_range(images)
    return to_uint8(images)


@dataclass
class Run:
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
        self._opened: dict[str, Images] = {}
        self._networks: dict[tuple[str, ...], FeatureNetwork | Plain] = {}
        self._kept: dict[str, Sample] = {}
        self.made: dict[tuple[Stream, View], Sample] = {}
        self._tasks = {name: task(self) for name, task in TASKS.items()}
        self.wanted = list(dict.fromkeys(self._suited(protocol(key, self.own)) for key in self.protocols))
        # whether class probabilities are kept: settled once, so that no image is seen again for their sake
        probable = [View.of(p) for p in self.wanted if "probabilities" in p.of.inputs]
        self.with_classes = {view for each in probable for view in (each, each.rounded())}

    # ------------------------------------------------------------------------------------------- before any work

    def real(self, split: str) -> Images:
        """A split of the real images."""
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

    def task(self, p: Protocol) -> Task:
        """How what a protocol compares is made."""
        return self._tasks[self.need(p)[0]]

    def network(self, view: View) -> FeatureNetwork | Plain:
        """The network of a view, with the resizer that a protocol asks for."""
        key = (view.network, view.resizer, view.ability)
        if key not in self._networks:
            if view.ability or (view.network == "pixels" and "pixels" not in self.own):
                function = getattr(self.subject, view.ability) if view.ability else Tensor.clone
                self._networks[key] = Plain(view.network, function, view.ability == "classify")
            else:
                network = self.own.get(view.network) or feature_network(view.network, self.device)
                other = view.resizer and view.resizer != network.description.resizer
                self._networks[key] = network.with_resizer(view.resizer) if other else network
        return self._networks[key]

    # ---------------------------------------------------------------------------------------------- seeing images

    def see(self, drawing: Drawing, n: int, views: Sequence[View]) -> dict[View, Sample]:
        """Makes each chunk of n images once and shows it to every network."""
        started, what = time.perf_counter(), drawing.what
        features: dict[View, list[Tensor]] = {view: [] for view in views}
        classes: dict[View, list[Tensor]] = {view: [] for view in views}
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
        found = {view: Sample(join(features[view], n, self.chunk).to(self.home)) for view in views}
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
        view: View | None = None,
        channels: int | None = None,
        label: tuple[int, bool] | None = None,
    ) -> Sample:
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
        real, view = self.real(split), (view or View.of(p)).rounded()
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
        drawing = Drawing(
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

    def noise(self, p: Protocol, side: str = "values") -> Sample:
        """Features of uniform noise in the shape of real images: image i from numpy's `RandomState(i)`."""
        n, values = min(p.n, _NOISE), getattr(self.real(p.split), side)
        shape = tuple(values.shape[1:])
        if len(shape) == 1:
            low, high = values.min(axis=0), values.max(axis=0)
            points = np.random.RandomState(p.seed).uniform(low, high, (n, *shape)).astype(np.float32)
            return Sample(torch.from_numpy(points).to(self.home))

        def images(part: range) -> Tensor:
            each = [np.random.RandomState(i).randint(0, 256, shape, dtype=np.uint8) for i in part]
            return torch.from_numpy(np.stack(each))

        drawing = Drawing("images of noise", shape, images)
        return self._stored(drawing, n, View.of(p).rounded(), {"noise": shape, "count": n})

    def _stored(self, drawing: Drawing, n: int, view: View, facts: dict[str, Any]) -> Sample:
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
                self._kept[name] = Sample(held["features"].to(self.home), classes, drawing.labels)
        return self._kept[name]

    # ----------------------------------------------------------------------------------------------------- scores

    def scores(self, p: Protocol) -> list[Score]:
        """The scores of a protocol; metrics are computed on rank 0, which tells the others."""
        task = self.task(p)
        with together():  # weights that one rank cannot find stop all of them
            self.network(View.of(p))
        found = task.found(p)
        makers = {name: getattr(task, BESIDE[name], None) for name in (p.of.beside if self.floors else ())}
        beside = {name: make(p) for name, make in makers.items() if make is not None}
        scores: list[Score] | Exception = []
        if self.rank == 0:
            try:
                scores = self._scores(p, found, {name: each for name, each in beside.items() if each is not None})
            except Exception as error:  # raised again below, on every rank: a rank that waits would wait for ever
                scores = error
        return from_first(scores)

    def values(self, p: Protocol, compared: Compared) -> list[Value] | None:
        """The numbers of a protocol's metric."""
        inputs = {
            k: v.of(p.of) if isinstance(v, Sample) and k in p.of.inputs else v for k, v in compared.inputs.items()
        }
        try:
            return p.of.values(inputs, p.settings)
        except GanzooError as error:
            raise type(error)(f"{p.key}: {error}") from None

    def _scores(self, p: Protocol, found: Compared, beside: Mapping[str, Compared]) -> list[Score]:
        started = time.perf_counter()
        values = found.values or self.values(p, found)
        if values is None:
            missing = [name for name in p.of.inputs if found.inputs.get(name) is None]
            raise BadArgument(f"{p.key} needs {' and '.join(missing)}, and there are none.")
        seconds = found.seconds + time.perf_counter() - started
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is to be said of the numbers was said of the score itself
            held = {name: {v.part: v for v in self.values(p, each) or ()} for name, each in beside.items()}
        network, real = self.network(View.of(p)).description, self.real(p.split)
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


def _check(images: Tensor, drawing: Drawing, rows: range) -> None:
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
