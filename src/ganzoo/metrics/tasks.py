"""Scores of what only some families can do: translations, encodings, classifications, and pairs from one latent.

| metric | of a model that | what is compared | beside it |
|---|---|---|---|
| `mae` `dist` | translates | translations with their true counterparts: pixels, features | the input, copied |
| `top` | translates | whether the true counterpart is the nearest of all targets | the input, copied; fresh weights |
| `knn` | encodes | classes of test images by their nearest training images' | neighbours in pixels |
| `err` | classifies | its classes of labelled images | the most frequent class for all |
| `agree` | draws in two domains | the classes of both pictures of one latent | real pairs; pictures of two latents |

Beside each value stands what it has to be held against, measured in the same way (`Score.references`).
"""

from __future__ import annotations

import time
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ganzoo.metrics.features import FeatureNetwork, as_pixels, feature_network
from ganzoo.metrics.measuring import Progress, RealImages, Score, rounded
from ganzoo.metrics.neighbours import nearest_neighbours
from ganzoo.metrics.protocol import Protocol
from ganzoo.metrics.scores import by_class
from ganzoo.types import BadArgument, BadData

COPY: Final = "copy of the input"


class RealPairs(RealImages, typing.Protocol):
    """What is asked of the real images where there may be a second domain; `ganzoo.data`'s `Images` has it."""

    @property
    def targets(self) -> npt.NDArray[np.uint8] | None:
        """The other domain's images uint8 `(M, C, H, W)`, or None."""
        ...

    @property
    def paired(self) -> bool:
        """Whether the k-th target is the counterpart of the k-th image."""
        ...


@dataclass(frozen=True)
class Abilities:
    """What a model can do, as plain functions; None where it cannot.

    Args:
        sample: `sample(n, *, seed, batch_size, ...)`.
        labels: whether it samples the data's own classes.
        domains: whether `sample` takes `domain=0` and `domain=1`.
        translate: `translate(images, *, direction, seed, batch_size)`.
        directions: of translations, the first by default.
        encode: images `(n, C, H, W)` in [-1, 1] to encodings `(n, d)`.
        classify: such images to logits `(n, classes)`.
        untrained: makes `translate` with fresh weights of the same arguments.
    """

    sample: Callable[..., Tensor] | None = None
    labels: bool = False
    domains: bool = False
    translate: Callable[..., Tensor] | None = None
    directions: tuple[str, ...] = ()
    encode: Callable[[Tensor], Tensor] | None = None
    classify: Callable[[Tensor], Tensor] | None = None
    untrained: Callable[[], Callable[..., Tensor]] | None = None

    def names(self) -> list[str]:
        """As `protocols_for` takes them."""
        held = {
            "sample": self.sample,
            "labels": self.labels,
            "translate": self.translate,
            "encode": self.encode,
            "classify": self.classify,
            "domains": self.domains,
        }
        return [name for name, has in held.items() if has]


_NEEDS: Final = {
    **dict.fromkeys(("mae", "dist", "top"), ("translate", "does not translate")),
    "knn": ("encode", "has no encoder"),
    "err": ("classify", "has no classifier"),
    "agree": ("domains", "draws in one domain only"),
}


def measure_tasks(
    able: Abilities,
    real: RealPairs,
    protocols: Iterable[Protocol],
    *,
    train: RealImages | None = None,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    references: bool = True,
    progress: Progress | None = None,
) -> list[Score]:
    """The scores of a model by the protocols of this module.

    Args:
        able: what the model can do.
        real: the split that the protocols name.
        protocols: of the metrics in the table above.
        train: the training split, among which `knn` looks for neighbours.
        device: where networks and distances are computed.
        batch_size: images at a time.
        references: whether to measure what stands beside each score.
        progress: told how far it is.

    Raises:
        BadArgument: for a protocol that does not suit the model or the data.
    """
    run = _Run(able, real, train, torch.device(device), batch_size, references, progress)
    return [run.score(p) for p in protocols]


def vote(labels: Tensor) -> Tensor:
    """The most frequent class of each row `(n, k)` of neighbours' labels, nearest first; of several, the nearest's."""
    n, k = labels.shape
    classes = int(labels.max()) + 1
    counts = torch.zeros(n, classes).scatter_add_(1, labels, torch.ones(n, k))
    nearest = torch.full((n, classes), float(k))
    ranks = torch.arange(k, dtype=torch.float32).expand(n, k)
    nearest.scatter_reduce_(1, labels, ranks, "amin")
    return (counts - nearest / (k + 1)).argmax(1)


def by_neighbours(queries: Tensor, others: Tensor, labels: Tensor, k: int, own: bool = False) -> Tensor:
    """The class of each query by the vote of its k nearest others, in Euclidean distance.

    Args:
        queries: `(n, d)`.
        others: `(m, d)`.
        labels: `(m,)`, of the others.
        k: neighbours.
        own: whether the i-th query is the i-th of the others, and is not to vote for itself.
    """
    rows = nearest_neighbours(queries, others, k + own).rows.cpu()
    if own:
        itself = rows == torch.arange(len(rows))[:, None]
        itself[:, -1] |= ~itself.any(1)  # more than k others lie at distance 0: any k of them may vote
        rows = rows[~itself].view(len(rows), k)
    return vote(labels.cpu()[rows])


class _Run:
    """One call of `measure_tasks`: translations and features that several protocols share."""

    def __init__(
        self,
        able: Abilities,
        real: RealPairs,
        train: RealImages | None,
        device: torch.device,
        batch_size: int,
        references: bool,
        progress: Progress | None,
    ) -> None:
        self.able, self.real, self.train = able, real, train
        self.device, self.batch_size, self.references, self.progress = device, batch_size, references, progress
        self._kept: dict[tuple[Any, ...], Tensor] = {}
        self._networks: dict[tuple[str, str], FeatureNetwork] = {}

    def score(self, p: Protocol) -> Score:
        """One protocol's score."""
        if p.metric not in _NEEDS:
            raise BadArgument(f"{p.key} is measured from samples.")
        ability, lack = _NEEDS[p.metric]
        if ability not in self.able.names():
            raise BadArgument(f"{p.key}: this model {lack}.")
        if p.split != self.real.split:
            raise BadArgument(f"{p.key} is of the split {p.split}, and the real images are of {self.real.split}.")
        started = time.perf_counter()
        measured = {"mae": self._mae, "dist": self._dist, "top": self._top, "knn": self._knn, "err": self._err}
        value, n, n_real, references, details = measured.get(p.metric, self._agree)(p)
        network = self._network(p) if p.network not in ("pixels", "model") else None
        return Score(
            key=p.key,
            value=value,
            spread=None,
            n=n,
            n_real=n_real,
            seed=p.seed,
            network=p.network,
            network_sha256="" if network is None else network.sha256,
            size=0 if network is None else network.size,
            resizer="" if network is None else network.resizer,
            data=self.real.name,
            data_digest=self.real.digest,
            split=self.real.split,
            floor=None,
            floor_of=None,
            ceiling=None,
            ceiling_of=None,
            seconds=round(time.perf_counter() - started, 3),
            protocol=p.to_dict(),
            details=details,
            references=references,
        )

    # ------------------------------------------------------------------------------------------------ translations

    def _mae(self, p: Protocol) -> _Found:
        rows, sources, targets = self._pairs(p)
        true = torch.from_numpy(targets[rows])
        made = self._translations(p, rows, sources)
        each = _differences(made, true)
        copy = _copy(torch.from_numpy(sources[rows]), true) if self.references else None
        references = {} if copy is None else {COPY: float(_differences(copy, true).mean())}
        return float(each.mean()), len(rows), len(targets), references, {"std": float(each.std(correction=0))}

    def _dist(self, p: Protocol) -> _Found:
        rows, sources, targets = self._pairs(p)
        true = self._features(p, "targets", torch.from_numpy(targets))[torch.from_numpy(rows)]
        each = (self._features(p, "translations", self._translations(p, rows, sources)) - true).double().norm(dim=1)
        copied = self._copied(p, rows, sources, targets)
        references = {} if copied is None else {COPY: float((copied - true).double().norm(dim=1).mean())}
        return float(each.mean()), len(rows), len(targets), references, {"std": float(each.std(correction=0))}

    def _top(self, p: Protocol) -> _Found:
        rows, sources, targets = self._pairs(p)
        gallery = self._features(p, "targets", torch.from_numpy(targets))
        right = torch.from_numpy(rows)
        found = _retrieved(self._features(p, "translations", self._translations(p, rows, sources)), gallery, right)
        copied = self._copied(p, rows, sources, targets)
        references = {} if copied is None else {COPY: _retrieved(copied, gallery, right)[0]}
        if self.references and self.able.untrained is not None:
            fresh = self._translations(p, rows, sources, self.able.untrained())
            references["untrained network"] = _retrieved(self._features(p, "fresh", fresh), gallery, right)[0]
        return found[0], len(rows), len(targets), references, {"top5": found[1], "chance": 1 / len(targets)}

    def _pairs(self, p: Protocol) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[Any]]:
        """Which pairs are translated, and all images of the domain that a direction starts from, and of the other."""
        if self.real.targets is None or not self.real.paired:
            raise BadArgument(f"{p.key} needs pairs, and {self.real.name} has none in its split {self.real.split}.")
        first = self.able.directions[0]
        if p.direction and p.direction not in self.able.directions:
            known = " or ".join(self.able.directions)
            raise BadArgument(f"{p.key}: this model has no direction {p.direction}; {known} is expected.")
        if p.direction == first:
            raise BadArgument(f"{p.key}: {first} is the model's first direction, which a key leaves out.")
        both = self.real.values, self.real.targets
        sources, targets = both[::-1] if p.direction else both
        return np.random.RandomState(p.seed).permutation(len(sources))[: p.n], sources, targets

    def _translations(
        self,
        p: Protocol,
        rows: npt.NDArray[np.int64],
        sources: npt.NDArray[Any],
        translate: Callable[..., Tensor] | None = None,
    ) -> Tensor:
        """Translations of the pairs' inputs; the i-th has the protocol's seed + i."""
        key = ("translations", p.direction, p.n, p.seed, p.rounding)
        if translate is None and key in self._kept:
            return self._kept[key]
        map_ = translate or self.able.translate
        assert map_ is not None  # `score` saw to it
        way = p.direction or self.able.directions[0]

        def made(part: range) -> Tensor:
            images = _floats(torch.from_numpy(sources[rows[part.start : part.stop]]))
            mapped = map_(images, direction=way, seed=p.seed + part.start, batch_size=len(part))
            return rounded(mapped) if p.rounding else mapped

        found = self._each("translations" if translate is None else "untrained translations", len(rows), made)
        if translate is None:
            self._kept[key] = found
        return found

    def _copied(
        self, p: Protocol, rows: npt.NDArray[np.int64], sources: npt.NDArray[Any], targets: npt.NDArray[Any]
    ) -> Tensor | None:
        """Features of the inputs themselves, in the targets' colours."""
        if not self.references:
            return None
        copy = _copy(torch.from_numpy(sources[rows]), torch.from_numpy(targets[:1]))
        return None if copy is None else self._features(p, "copies", copy)

    def _features(self, p: Protocol, what: str, images: Tensor) -> Tensor:
        """Features of images, once for all protocols that see them alike."""
        choice = () if what == "targets" else (p.n, p.seed, p.rounding)
        key = (what, p.network, p.resizer, p.direction, *choice)
        if key not in self._kept:
            network = self._network(p)
            self._kept[key] = self._each(
                f"features of {what}", len(images), lambda part: network(images[part.start : part.stop]).cpu()
            )
        return self._kept[key]

    def _network(self, p: Protocol) -> FeatureNetwork:
        key = (p.network, p.resizer)
        if key not in self._networks:
            network = feature_network(p.network, self.device)
            other = p.resizer and p.resizer != network.resizer
            self._networks[key] = network.with_resizer(p.resizer) if other else network
        return self._networks[key]

    # ---------------------------------------------------------------------------------- encodings, classifications

    def _knn(self, p: Protocol) -> _Found:
        if self.train is None:
            raise BadArgument(f"{p.key} looks for neighbours among training images, and there are none at hand.")
        rows = np.random.RandomState(p.seed).permutation(len(self.train.values))[: p.n]
        labels, wanted = _labels(p, self.train)[torch.from_numpy(rows)], _labels(p, self.real)
        if p.k > len(rows):
            raise BadArgument(f"{p.key}: {p.k} neighbours among {len(rows)} training images cannot be had.")
        encode = self.able.encode
        assert encode is not None  # `score` saw to it
        among = torch.from_numpy(np.asarray(self.train.values[rows]))
        queries = torch.from_numpy(np.asarray(self.real.values))

        def encodings(what: str, images: Tensor) -> Tensor:
            key = (what, p.n, p.seed)
            if key not in self._kept:
                each = self._each(
                    f"encodings of {what}",
                    len(images),
                    lambda part: encode(_floats(images[part.start : part.stop])).flatten(1).float().cpu(),
                )
                self._kept[key] = each
            return self._kept[key]

        found = by_neighbours(encodings("test images", queries), encodings("training images", among), labels, p.k)
        references = {}
        if self.references:
            pixels = [_floats(images).flatten(1) for images in (queries, among)]
            references["pixels"] = _share(by_neighbours(pixels[0], pixels[1], labels, p.k) == wanted)
        details = {"classes": by_class(found == wanted, wanted, self.real.classes), "training_images": len(rows)}
        return _share(found == wanted), len(queries), len(rows), references, details

    def _err(self, p: Protocol) -> _Found:
        wanted, classify = _labels(p, self.real), self.able.classify
        assert classify is not None  # `score` saw to it
        rows = torch.from_numpy(np.random.RandomState(p.seed).permutation(len(wanted))[: p.n])
        values, wanted = self.real.values, wanted[rows]

        def decided(part: range) -> Tensor:
            images = torch.from_numpy(np.asarray(values[rows[part.start : part.stop].numpy()]))
            return classify(_floats(images)).argmax(1).cpu()

        wrong = self._each("classifications", len(rows), decided) != wanted
        references = {"one class for all": 1 - float(wanted.bincount().max()) / len(wanted)} if self.references else {}
        return (
            _share(wrong),
            len(rows),
            len(rows),
            references,
            {"classes": by_class(wrong, wanted, self.real.classes), "wrong": int(wrong.sum())},
        )

    def _agree(self, p: Protocol) -> _Found:
        labels, sample = _labels(p, self.real), self.able.sample
        if self.real.targets is None or not self.real.paired:
            raise BadArgument(
                f"{p.key} needs pairs with labels, and {self.real.name} has none in its split {self.real.split}."
            )
        assert sample is not None  # `score` saw to it
        domains = [_floats(torch.from_numpy(np.asarray(v))).flatten(1) for v in (self.real.values, self.real.targets)]
        if p.k >= len(labels):
            raise BadArgument(f"{p.key}: {p.k} neighbours among {len(labels)} images cannot be had.")
        classes = []
        for i, reals in enumerate(domains):

            def drawn(part: range, i: int = i) -> Tensor:
                made = sample(len(part), seed=p.seed + part.start, batch_size=len(part), domain=i)
                return _floats(rounded(made) if p.rounding else made).flatten(1)

            classes.append(by_neighbours(self._each(f"pictures of domain {i}", p.n, drawn), reals, labels, p.k))
        references = {}
        if self.references:
            own = [by_neighbours(reals, reals, labels, p.k, own=True) for reals in domains]
            references = {
                "real pairs": _share(own[0] == own[1]),
                "other latents": _share(classes[0] == classes[1].roll(1)),
            }
        details = {"classes": by_class(classes[0] == classes[1], classes[0], self.real.classes)}
        return _share(classes[0] == classes[1]), p.n, len(labels), references, details

    def _each(self, what: str, n: int, made: Callable[[range], Tensor]) -> Tensor:
        """What `made` gives of each batch, joined."""
        parts = []
        for start in range(0, n, self.batch_size):
            part = range(start, min(start + self.batch_size, n))
            parts.append(made(part))
            if len(parts[-1]) != len(part):
                raise BadData(f"The model gave {len(parts[-1])} {what} where {len(part)} were asked for.")
            if self.progress is not None:
                self.progress(what, part.stop, n)
        return torch.cat(parts)


_Found = tuple[float, int, int, dict[str, float], dict[str, Any]]  # value, n, n_real, references, details


def _retrieved(made: Tensor, gallery: Tensor, right: Tensor) -> tuple[float, float]:
    """The shares of rows whose true counterpart is nearest, and among the five nearest; equal ones count as found."""
    distances = nearest_neighbours(made, gallery, min(5, len(gallery))).distances
    true = (made - gallery[right]).double().norm(dim=1)
    shares = [_share(true <= distances[:, k] * (1 + 1e-6)) for k in (0, -1)]
    return shares[0], shares[1]


def _copy(images: Tensor, targets: Tensor) -> Tensor | None:
    """Images in as many channels as the targets have; None where neither is grey."""
    if images.shape[1] == targets.shape[1]:
        return images
    if images.shape[1] == 1:
        return images.expand(-1, targets.shape[1], -1, -1)
    return images.float().mean(1, keepdim=True).round().to(torch.uint8) if targets.shape[1] == 1 else None


def _differences(made: Tensor, true: Tensor) -> Tensor:
    """The mean absolute difference of each pair, pixels in [-1, 1]."""
    if made.shape != true.shape:
        shapes = " and ".join("x".join(map(str, images.shape[1:])) for images in (made, true))
        raise BadData(f"Translations and their counterparts are {shapes}; they must be of one shape.")
    return (_floats(made).double() - _floats(true).double()).abs().flatten(1).mean(1)


def _labels(p: Protocol, images: RealImages) -> Tensor:
    if images.labels is None:
        raise BadArgument(f"{p.key} needs labels, and {images.name} has none.")
    return torch.from_numpy(np.asarray(images.labels))


def _floats(images: Tensor) -> Tensor:
    """Float32 in [-1, 1], from uint8 or such floats."""
    return as_pixels(images).div(127.5).sub(1)


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())
