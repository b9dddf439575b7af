"""What is compared, by what a metric needs first (`metric.LACKS`), and what can stand beside it, measured alike.

| needs | what is compared | what can stand beside it |
|---|---|---|
| `samples` | samples with real images | `floor`: real images; `ceiling`: uniform noise |
| `translates` | translations with counterparts, with the domain; their classes | the copied input; fresh weights; ... |
| `depicts` | pictures of held-out captions with the pictures that these are of | |
| `fills` | what fills holes with what was there | the mean colour of what is around |
| `styles` | translations of one picture with one another | `floor`: real images of one class |
| `upscales` | images made small and enlarged again, with themselves | bicubic interpolation |
| `reconstructs` | what comes back of held-out images with themselves | other held-out images |
| `encodes` | classes of held-out images by training images, in encodings | neighbours in pixels |
| `classifies` | the model's classes of labelled images | the most frequent class for all |
| `views` | the classes of a latent's two pictures | real pairs; pictures of two latents |
| `paths` | images along paths through the latents | |
| `teaches` | held-out images, as told by who learned from samples and who from training images | |
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ganzoo import files
from ganzoo.media.levels import to_float
from ganzoo.metrics.features.network import NETWORKS, FeatureNetwork, class_names
from ganzoo.metrics.functional.path import feature_distance
from ganzoo.metrics.metric import BICUBIC, COPY, MEAN, MIXTURES, OTHER
from ganzoo.metrics.protocol import Protocol
from ganzoo.metrics.sets import Compared, Drawing, Sample, Stream, View
from ganzoo.metrics.subject import cannot
from ganzoo.types import BadArgument, Condition

if TYPE_CHECKING:
    from ganzoo.metrics.evaluate import Run


class Task(ABC):
    """How what is compared is made, for one of the words that a metric needs."""

    def __init__(self, run: Run) -> None:
        self.run, self.subject = run, run.subject

    def seen(self, p: Protocol) -> tuple[int, ...]:
        """The shape of the images that networks see."""
        return tuple(self.run.real(p.split).values.shape[1:])

    def check(self, p: Protocol) -> None:
        """Refuses a protocol that does not suit model, data or machine, before any work."""
        real = self.run.real(p.split)
        if real.values.ndim == 2 and p.network not in {"points", *MIXTURES}:
            raise BadArgument(f"{p.key}: {real.name} holds points, which only the network 'points' takes.")
        known = NETWORKS.get(p.network)
        channels = {1, known.channels} if known is not None and known.channels else set()
        if known is not None and real.values.ndim == 4 and self.seen(p)[0] not in channels:
            takes = f"images of {known.channels} channel(s)" if channels else "points"
            raise BadArgument(
                f"{p.key}: {p.network} takes {takes}, and {real.name}'s have {self.seen(p)[0]} channel(s)."
            )
        dimension = known.dimension if known is not None else 0
        size, memory = 4e-9 * dimension * (p.n + min(p.n, len(real.values))), files.memory()
        if size > memory:
            there = f"{size:.0f} GB, and this machine has {memory:.0f} GB"
            raise BadArgument(f"{p.key}: the features of {p.n:,} images take {there}; ask for fewer.")

    @abstractmethod
    def found(self, p: Protocol) -> Compared:
        """What is compared; further methods give what is compared beside it. Collective."""

    def compared(self, p: Protocol, reals: Sample, made: Sample, of: str = "", **more: Any) -> Compared:
        """All that is known of two sets, of which a metric takes what it names."""
        inputs = {"real": reals, "generated": made, "real_labels": reals.labels, "labels": made.labels}
        names = {"probabilities": made.probabilities, "names": self.run.real(p.split).classes, "shape": self.seen(p)}
        return Compared({**inputs, **names, **more}, len(made), len(reals), made.seconds, of)

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

    def apart(self, p: Protocol, of: Callable[[str], Sample]) -> Compared | None:
        """Real images against others: those of the test split, or one half against the other."""
        reference = of(p.split)
        if p.split == "train" and self.run.some("test"):
            other = of("test")
            return self.compared(p, reference, other, f"{len(other)} images of the split test")
        half = len(reference) // 2
        one, two = reference.part(0, half), reference.part(half, 2 * half)
        return self.compared(p, one, two, f"two disjoint halves of {half} images") if half > 2 else None


class _Drawn(Task):
    """What is made by the model, once for all protocols that share it."""

    def count(self, p: Protocol) -> int:
        """How many images the model makes."""
        return p.n

    def stream(self, p: Protocol) -> Stream:
        """Which they are."""
        return Stream(p.seed, split=p.split)

    @abstractmethod
    def drawing(self, stream: Stream, n: int) -> Drawing:
        """How the first n of them are made."""

    def made(self, p: Protocol, stream: Stream | None = None) -> Sample:
        """The images of a protocol's stream, or of another, as the protocol sees them."""
        run, stream, view = self.run, stream or self.stream(p), View.of(p)
        if (stream, view) not in run.made:
            sharing = [q for q in run.wanted if run.task(q) is self and self.stream(q) == stream] or [p]
            n = max(map(self.count, sharing))
            views = list(dict.fromkeys(View.of(q) for q in sharing))  # in one order on all ranks, unlike a set
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

    def stream(self, p: Protocol) -> Stream:
        return Stream(p.seed, p.labels, p.truncation, p.weights, p.split)

    def drawing(self, stream: Stream, n: int) -> Drawing:
        real, subject = self.run.real(stream.split), self.subject
        sample = subject.live() if stream.weights == "live" else subject.sample
        labels = subject.made_for if subject.classes is None or subject.given else torch.arange(n) % subject.classes
        if subject.classes is not None and not subject.given and stream.labels == "data":
            order = np.random.RandomState(stream.seed).permutation(len(real.values))
            labels = torch.from_numpy(np.asarray(real.labels)[order[np.arange(n) % len(order)]])
        options = {} if stream.truncation is None else {"truncation": stream.truncation}

        texts = real.texts if subject.depict is not cannot else None
        told = None if texts is None else np.random.RandomState(stream.seed).permutation(len(texts))

        def images(rows: range) -> Tensor:
            asked: dict[str, Any] = {}
            if texts is not None and told is not None:  # of the data's captions
                given = texts[told[np.arange(rows.start, rows.stop) % len(told)]]
                asked = {"condition": Condition(text=torch.from_numpy(given))}
            elif labels is not None and not subject.given:
                asked = {"labels": labels[rows.start : rows.stop]}
            return sample(len(rows), seed=stream.seed + rows.start, batch_size=len(rows), **asked, **options)

        return Drawing("generated images", tuple(real.values.shape[1:]), images, None if labels is None else labels[:n])

    def reference(self, p: Protocol, split: str) -> Sample:
        return self.run.images(p, split, None if p.full or (p.of.whole and split == p.split) else p.n)

    def found(self, p: Protocol) -> Compared:
        return self.compared(p, self.reference(p, p.split), self.made(p))

    def floor(self, p: Protocol) -> Compared | None:
        return self.apart(p, lambda split: self.reference(p, split))

    def ceiling(self, p: Protocol) -> Compared:
        noise = self.run.noise(p)
        return self.compared(p, self.reference(p, p.split), noise, f"{len(noise)} images of uniform noise")


class _Lessons(_Samples):
    """Samples and training images to learn from, and held-out images to be told by what was learned."""

    def check(self, p: Protocol) -> None:
        super().check(p)
        if not self.run.some("train"):
            raise BadArgument(f"{p.key} learns from training images too, and there are none at hand.")
        for split in ("train", p.split):
            if self.labels(p, split).ndim != 1:
                raise BadArgument(f"{p.key}: {self.run.real(split).name} has attributes, and one class is learned.")

    def stream(self, p: Protocol) -> Stream:
        return replace(super().stream(p), split="train")

    def found(self, p: Protocol) -> Compared:
        taught, held = self.run.images(p, "train", p.settings["reals"] or p.n), self.run.images(p, p.split)
        more: dict[str, Any] = {"held": held.features, "held_labels": held.labels}
        return self.compared(p, taught, self.made(p), **more)


class _Translations(_Drawn):
    """Translations against their counterparts, against images of the domain, or against what a classifier says."""

    def by_turns(self, p: Protocol) -> bool:
        """Whether images are translated to each domain by turns, rather than to one."""
        return "labels" in p.of.inputs

    def told(self, p: Protocol) -> list[int]:
        """The class of each domain: that of its name where the classifier's have names, and -1 where none has it."""
        domains, names = self.subject.domains, class_names(p.network)
        return [*range(len(domains))] if names is None else [names.index(d) if d in names else -1 for d in domains]

    def check(self, p: Protocol) -> None:
        super().check(p)
        real, domains = self.run.real(p.split), self.subject.domains
        by_label = self.by_turns(p) and "labels" in p.of.depends_on(p.network)
        labels: Literal["data", "uniform"] = "uniform" if by_label else "data"
        if (p.labels, p.truncation, p.weights) != (labels, None, "averaged"):
            other = replace(p, labels=labels, truncation=None, weights="averaged")
            what = "to each domain by turns" if self.by_turns(p) else "as they come"
            raise BadArgument(f"{p.key}: images are translated {what}; ask for {other.key}.")
        if self.by_turns(p):
            most = NETWORKS[p.network].classes if p.network in NETWORKS else len(domains)
            if "probabilities" in p.of.inputs and max(self.told(p)) < 0:
                known = f"{p.network} tells {', '.join(class_names(p.network) or ())}"
                raise BadArgument(f"{p.key}: {known}, and the domains are {', '.join(domains)}.")
            if "probabilities" in p.of.inputs and most <= max(self.told(p)):
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

    def seen(self, p: Protocol) -> tuple[int, ...]:
        real = self.run.real(p.split)
        side = "values" if self.by_turns(p) or real.targets is None else self.sides(p.split, p.to)[1]
        return tuple(getattr(real, side).shape[1:])

    def count(self, p: Protocol) -> int:
        return min(p.n, len(self.sources(self.stream(p))))

    def stream(self, p: Protocol) -> Stream:
        return Stream(p.seed, split=p.split, to="by turns" if self.by_turns(p) else p.to)

    def sides(self, split: str, to: str) -> tuple[str, str, int | None]:
        """Where translations start and where they lead: to the data's targets, or back, or to one class of many."""
        if to == "by turns":
            return "values", "values", None
        if self.run.real(split).targets is None:
            return "values", "values", self.subject.domains.index(to or self.subject.domains[0])
        return ("targets", "values", None) if to == self.subject.back else ("values", "targets", None)

    def sources(self, stream: Stream) -> npt.NDArray[np.int64]:
        """The rows of the images that are translated."""
        side, _, label = self.sides(stream.split, stream.to)
        return self.run.order(stream.split, side, stream.seed, None if label is None else (label, False))

    def drawing(self, stream: Stream, n: int) -> Drawing:
        real, domains, fresh = self.run.real(stream.split), self.subject.domains, stream.weights == "untrained"
        translate = self.subject.untrained() if fresh else self.subject.translate
        values, others = (getattr(real, side) for side in self.sides(stream.split, stream.to)[:2])
        rows_, turns = self.sources(stream), torch.arange(n) % len(domains) if stream.to == "by turns" else None

        def images(rows: range) -> Tensor:
            given = to_float(torch.from_numpy(values[rows_[rows.start : rows.stop]]))
            each = None if turns is None else [domains[k] for k in turns[rows.start : rows.stop]]
            to = each or stream.to or domains[0]
            return translate(given, to=to, seed=stream.seed + rows.start, batch_size=len(rows))

        return Drawing("untrained translations" if fresh else "translations", others.shape[1:], images, turns)

    def reference(self, p: Protocol, split: str) -> Sample:
        """The real images that translations are to be like: in pairs all of them, those translated first."""
        _, side, label = self.sides(split, p.to)
        count = None if p.full or "pairs" in self.run.need(p) else p.n
        return self.run.images(p, split, count, side, label=None if label is None else (label, True))

    def against(self, p: Protocol, made: Sample, of: str = "", **more: Any) -> Compared:
        if self.by_turns(p):
            if "probabilities" in p.of.inputs:
                assert made.labels is not None
                labels = torch.tensor(self.told(p))[made.labels]
                names = class_names(p.network) or self.subject.domains
                before = self.run.images(p, p.split, len(made)).probabilities if "before" in p.of.inputs else None
                more |= {"before": None if before is None else before.argmax(1)}
                return self.compared(p, made, made, of, **more | {"labels": labels, "names": names})
            start = self.run.images(p, p.split, len(made))
            return self.compared(p, start, made, of, **more | {"names": self.subject.domains})
        return self.compared(p, self.reference(p, p.split), made, of)

    def found(self, p: Protocol) -> Compared:
        real, rows = self.run.real(p.split), self.sources(self.stream(p))
        more: dict[str, Any] = {}
        if real.labels is not None and real.labels.ndim == 1:
            more = {"sources": torch.from_numpy(real.labels[rows[: self.count(p)]]), "source_names": real.classes}
        return self.against(p, self.made(p), **more)

    def untrained(self, p: Protocol) -> Compared | None:
        if self.subject.untrained is cannot:
            return None
        return self.against(p, self.made(p, replace(self.stream(p), weights="untrained")))

    def copy(self, p: Protocol) -> Compared | None:
        """The inputs themselves, in as many channels as the targets have; None where neither is grey."""
        source, target, label = self.sides(p.split, p.to)
        have, want = (getattr(self.run.real(p.split), side).shape[1] for side in (source, target))
        if have != want and 1 not in (have, want):
            return None
        others = None if label is None else (label, False)
        channels = None if have == want else want
        return self.against(p, self.run.images(p, p.split, self.count(p), source, channels=channels, label=others))

    def floor(self, p: Protocol) -> Compared | None:
        if not self.by_turns(p):
            return self.apart(p, lambda split: self.reference(p, split))
        real = self.run.images(p, p.split, self.count(p))
        if real.labels is None or real.labels.ndim > 1:
            return None
        return self.against(p, real, f"{len(real)} images of the split {p.split}")

    def ceiling(self, p: Protocol) -> Compared:
        noise = self.run.noise(p, self.sides(p.split, p.to)[1])
        return self.against(p, noise, f"{len(noise)} images of uniform noise")


class _Depictions(_Drawn):
    """Pictures of held-out captions, against the pictures that these are of."""

    def check(self, p: Protocol) -> None:
        super().check(p)
        real = self.run.real(p.split)
        if real.texts is None:
            raise BadArgument(f"{p.key} needs captions, and {real.name} has none in its split {p.split}.")

    def count(self, p: Protocol) -> int:
        return min(p.n, len(self.run.real(p.split).values))

    def stream(self, p: Protocol) -> Stream:
        return Stream(p.seed, split=p.split, to="captions")

    def drawing(self, stream: Stream, n: int) -> Drawing:
        real = self.run.real(stream.split)
        rows_ = self.run.order(stream.split, "values", stream.seed)

        def images(rows: range) -> Tensor:
            texts = torch.from_numpy(np.asarray(real.texts)[rows_[rows.start : rows.stop]])
            return self.subject.depict(texts, seed=stream.seed + rows.start, batch_size=len(rows))

        return Drawing("pictures of captions", tuple(real.values.shape[1:]), images)

    def found(self, p: Protocol) -> Compared:
        return self.compared(p, self.run.images(p, p.split, self.count(p)), self.made(p))


class _Styles(_Drawn):
    """Pictures translated several times each, to each domain by turns, in the styles of as many seeds."""

    def count(self, p: Protocol) -> int:
        several = p.settings["styles"]
        return min(p.n // several, len(self.run.real(p.split).values)) * several

    def check(self, p: Protocol) -> None:
        super().check(p)
        if self.count(p) < 1 or p.settings["styles"] < 2:
            raise BadArgument(f"{p.key}: at least two styles of one picture are compared; ask for more.")

    def stream(self, p: Protocol) -> Stream:
        return Stream(p.seed, split=p.split, to="styles", view=p.settings["styles"])

    def drawing(self, stream: Stream, n: int) -> Drawing:
        values, domains = self.run.real(stream.split).values, self.subject.domains
        order = self.run.order(stream.split, "values", stream.seed)

        def images(rows: range) -> Tensor:
            places = np.arange(rows.start, rows.stop) // stream.view
            given = to_float(torch.from_numpy(values[order[places]]))
            to = [domains[k % len(domains)] for k in places]
            return self.subject.translate(given, to=to, seed=stream.seed + rows.start, batch_size=len(rows))

        return Drawing("translations in styles", tuple(values.shape[1:]), images)

    def found(self, p: Protocol) -> Compared:
        made = self.made(p)
        return self.compared(p, made, made)

    def floor(self, p: Protocol) -> Compared | None:
        """As many real images of one class."""
        real, several = self.run.real(p.split), p.settings["styles"]
        if real.labels is None or real.labels.ndim != 1:
            return None
        rows = [self.run.images(p, p.split, several, label=(k, True)) for k in range(len(real.classes or ()))]
        features = torch.cat([sample.features for sample in rows if len(sample) == several] or [torch.empty(0)])
        made = Sample(features)
        return self.compared(p, made, made, f"{len(made)} images of one class each {several}") if len(made) else None


class _Fillings(_Drawn):
    """What fills the holes of held-out images, against what was there."""

    def seen(self, p: Protocol) -> tuple[int, ...]:
        return self._shape(p.split)

    def count(self, p: Protocol) -> int:
        return min(p.n, len(self.run.real(p.split).values))

    def stream(self, p: Protocol) -> Stream:
        return Stream(p.seed, split=p.split, to="filled")

    def _shape(self, split: str) -> tuple[int, ...]:
        one = to_float(torch.from_numpy(np.asarray(self.run.real(split).values[:1])))
        return tuple(self.subject.crops(one, "true").shape[1:])

    def drawing(self, stream: Stream, n: int) -> Drawing:
        values, order = self.run.real(stream.split).values, self.run.order(stream.split, "values", stream.seed)

        def images(rows: range) -> Tensor:
            return self.subject.crops(to_float(torch.from_numpy(values[order[rows.start : rows.stop]])), stream.to)

        return Drawing(f"holes ({stream.to})", self._shape(stream.split), images)

    def found(self, p: Protocol, by: str = "filled") -> Compared:
        true, made = (self.made(p, replace(self.stream(p), to=to)) for to in ("true", by))
        return self.compared(p, true, made)

    def mean_fill(self, p: Protocol) -> Compared:
        return self.found(p, "mean")


class _Enlargements(_Drawn):
    """Images that were made small and enlarged again, against themselves."""

    def count(self, p: Protocol) -> int:
        return min(p.n, len(self.run.real(p.split).values))

    def stream(self, p: Protocol) -> Stream:
        return Stream(p.seed, split=p.split)

    def drawing(self, stream: Stream, n: int) -> Drawing:
        values, subject = self.run.real(stream.split).values, self.subject
        rows_ = self.run.order(stream.split, "values", stream.seed)
        enlarge = subject.bicubic if stream.to == "bicubic" else subject.upscale

        def images(rows: range) -> Tensor:
            return enlarge(subject.reduce(to_float(torch.from_numpy(values[rows_[rows.start : rows.stop]]))))

        return Drawing("enlarged images", values.shape[1:], images)

    def found(self, p: Protocol, to: str = "") -> Compared:
        made = self.made(p, replace(self.stream(p), to=to))
        return self.compared(p, self.run.images(p, p.split, self.count(p)), made)

    def bicubic(self, p: Protocol) -> Compared:
        return self.found(p, "bicubic")


class _Reconstructions(_Drawn):
    """What comes back of held-out images from their encodings, against themselves."""

    def count(self, p: Protocol) -> int:
        return min(p.n, len(self.run.real(p.split).values))

    def stream(self, p: Protocol) -> Stream:
        return Stream(p.seed, split=p.split, to="reconstructed")

    def drawing(self, stream: Stream, n: int) -> Drawing:
        values, order = self.run.real(stream.split).values, self.run.order(stream.split, "values", stream.seed)

        def images(rows: range) -> Tensor:
            return self.subject.reconstruct(to_float(torch.from_numpy(values[order[rows.start : rows.stop]])))

        return Drawing("reconstructions", tuple(values.shape[1:]), images)

    def found(self, p: Protocol) -> Compared:
        return self.compared(p, self.run.images(p, p.split, self.count(p)), self.made(p))

    def other(self, p: Protocol) -> Compared:
        """The next held-out image in place of what comes back."""
        real = self.run.images(p, p.split, self.count(p))
        return self.compared(p, real, Sample(real.features.roll(1, 0)), f"{len(real)} images of the split {p.split}")


class _Encodings(Task):
    """Held-out images against training images, in the model's own encodings."""

    def check(self, p: Protocol) -> None:
        super().check(p)
        if not self.run.some("train"):
            raise BadArgument(f"{p.key} looks for neighbours among training images, and there are none at hand.")
        for split in ("train", p.split):
            self.labels(p, split)

    def found(self, p: Protocol, view: View | None = None) -> Compared:
        among, queries = self.run.images(p, "train", p.n, view=view), self.run.images(p, p.split, view=view)
        return self.compared(p, among, queries)

    def pixels(self, p: Protocol) -> Compared:
        return self.found(p, View("pixels"))


class _Classifications(Task):
    """The model's classes of labelled images."""

    def check(self, p: Protocol) -> None:
        super().check(p)
        self.labels(p, p.split)

    def found(self, p: Protocol) -> Compared:
        seen = self.run.images(p, p.split, p.n)
        return self.compared(p, seen, seen)

    def one_class(self, p: Protocol) -> Compared:
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

    def drawing(self, stream: Stream, n: int) -> Drawing:
        def images(rows: range) -> Tensor:
            seed = stream.seed + rows.start
            return self.subject.sample(len(rows), seed=seed, batch_size=len(rows), view=stream.view)

        return Drawing(f"pictures of domain {stream.view}", self.run.real(stream.split).values.shape[1:], images)

    def found(self, p: Protocol, shift: int = 0, real_ones: bool = False) -> Compared:
        """Pictures of each latent, or of two that are so far apart; or the real pairs, none of which is to vote."""
        real = [self.run.images(p, p.split, side=side) for side in ("values", "targets")]
        made = real
        if not real_ones:
            made = [self.made(p, Stream(p.seed, split=p.split, view=view)) for view in range(2)]
        generated = [made[0].features, made[1].features.roll(shift, 0)]
        return self.compared(
            p, real[0], made[0], real=[one.features for one in real], generated=generated, own=real_ones
        )

    def real_pairs(self, p: Protocol) -> Compared:
        return self.found(p, real_ones=True)

    def other_latents(self, p: Protocol) -> Compared:
        return self.found(p, shift=1)


class _Paths(Task):
    """Images along paths through the latents."""

    def check(self, p: Protocol) -> None:
        super().check(p)
        paths = self.subject.paths()
        if p.settings["space"] == "w" and (paths.mapping is None or paths.synthesize_w is None):
            raise BadArgument(f"{p.key}: this model has no latents w to follow a path in.")

    def found(self, p: Protocol) -> Compared:
        """The metric itself, in which every rank has a part."""
        network, started = self.run.network(View.of(p)), time.perf_counter()
        assert isinstance(network, FeatureNetwork)
        inputs = {"paths": self.subject.paths(), "distance": feature_distance(network), "n": p.n}
        inputs["batch_size"] = max(1, self.run.chunk // 2)
        values = self.run.values(p, Compared(inputs, 0, 0))
        return Compared({}, p.n, 0, time.perf_counter() - started, values=values)


TASKS: Final[dict[str, type[Task]]] = {
    "samples": _Samples,
    "translates": _Translations,
    "depicts": _Depictions,
    "fills": _Fillings,
    "styles": _Styles,
    "upscales": _Enlargements,
    "reconstructs": _Reconstructions,
    "encodes": _Encodings,
    "classifies": _Classifications,
    "views": _Views,
    "paths": _Paths,
    "teaches": _Lessons,
}
# What may stand beside a score, by the method that makes it
BESIDE: Final = {
    "floor": "floor",
    "ceiling": "ceiling",
    COPY: "copy",
    BICUBIC: "bicubic",
    MEAN: "mean_fill",
    OTHER: "other",
    "untrained network": "untrained",
    "pixels": "pixels",
    "one class for all": "one_class",
    "real pairs": "real_pairs",
    "other latents": "other_latents",
}
