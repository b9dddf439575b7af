"""What a run's log says of its health: each finding with its figure and the next thing to try."""

import json
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.data.batch import Images
from ganzoo.media.levels import to_float
from ganzoo.metrics.functional.neighbours import nearest_neighbours
from ganzoo.schema import Count, PositiveFloat, check_ranges
from ganzoo.training.checkpoints import GOOD, LAST, WAITING, keep
from ganzoo.training.reports import LOG
from ganzoo.types import BadArgument, BadModelFolder

DIVERSITY: Final = "preview_diversity"
WITHIN: Final = "preview_diversity_within"
NEAREST: Final = "preview_nearest_within"
NOVELTY: Final = "preview_novelty"
NEIGHBOURS: Final = "neighbours.png"  # samples of the last preview above the training pictures nearest to them
_SIDE = 32  # pixels, to which pictures are reduced before they are compared
_FEWEST = 10  # lines of the log before anything is said of a course
_COMPARED = 5000  # training pictures at most, in which the nearest are looked for
_PAIRS = 16  # of samples of one class, at least, before anything is said of their differences
EACH: Final = 8  # samples of a class, among which the nearest are looked for; among more they tell less
_LATE = 100_000  # images after which samples that are all alike are no beginning any more


class Finding(NamedTuple):
    """Something that is wrong with a run.

    Args:
        name: of what is wrong, in a word or two.
        figure: what shows it.
        advice: the next thing to try.
    """

    name: str
    figure: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name}: {self.figure}; {self.advice}"


def diversity(images: Tensor, reals: Tensor) -> float:
    """How much pictures differ from one another, beside real ones: about 1 for good samples, 0 for copies of one.

    The mean over all pairs of the root of the mean squared difference, of pictures reduced to 32 pixels a side.

    Args:
        images: `(n, C, H, W)`, or points `(n, d)`.
        reals: as many, or more or fewer, of the same shape.
    """
    return _spread(images) / max(_spread(reals), 1e-12)


def _spread(images: Tensor) -> float:
    if images.ndim == 4 and max(images.shape[2:]) > _SIDE:
        images = F.adaptive_avg_pool2d(images.float(), _SIDE)
    flat = images.detach().flatten(1).float()
    return float(torch.pdist(flat).mean()) / flat.shape[1] ** 0.5


class Within:
    """How much samples of one class differ from one another, beside real ones of that class: 0 for a picture a class.

    Of a conditional model, whose classes differ from one another however much it has collapsed within them. The mean
    over all pairs of one class of the root of the mean squared difference, over that of real pictures of the same
    classes. It does not see a class of a few pictures in several shades (`Nearest` does): a SAGAN that had fallen to
    these has 0.87, sound models of Fashion-MNIST 0.84 to 0.97.

    Args:
        train: training pictures with a class each.
    """

    def __init__(self, train: Images) -> None:
        self._train, self._known = train, dict[int, float]()

    def __call__(self, samples: Tensor, labels: Tensor) -> float | None:
        """Of samples `(n, C, H, W)` of classes `(n,)`; None where fewer than 16 pairs are of one class."""
        made, usual, count = 0.0, 0.0, 0
        for k, n in Counter(labels.tolist()).items():
            if n > 1 and self._of(k) > 0:
                pairs = n * (n - 1) // 2
                made, count = made + pairs * _spread(samples[labels == k]), count + pairs
                usual += pairs * self._of(k)
        return made / usual if count >= _PAIRS else None

    def _of(self, k: int) -> float:
        """Of real pictures of a class; 0 where there are no two."""
        if k not in self._known:
            reals = _of_class(self._train, k)
            self._known[k] = _spread(reals) if len(reals) > 1 else 0.0
        return self._known[k]


def _of_class(train: Images, k: int) -> Tensor:
    """Up to 64 pictures of a class, spread over the data."""
    rows = np.flatnonzero(np.asarray(train.labels) == k)
    return to_float(train.batch(rows[:: max(1, len(rows) // 64)][:64].tolist()).images)


class Nearest:
    """How far a sample lies from the next of its class, whatever their shades, beside real ones: 0 for copies.

    It sees a class of a few pictures that come again brighter, darker or of another contrast: each picture minus its
    mean, divided by its norm, reduced to 32 pixels a side; the mean distance to the nearest of eight of a class, over
    that of real pictures among eight. That SAGAN has 0.54 (of eight seeds 0.51 to 0.57), seven sound models of
    Fashion-MNIST 0.69 to 0.92 (a single seed's least is 0.66); among 64 the two would lie closer together.

    Args:
        train: training pictures with a class each.
    """

    def __init__(self, train: Images) -> None:
        self._train, self._known = train, dict[int, float]()

    def __call__(self, samples: Tensor, labels: Tensor) -> float | None:
        """Of samples `(n, C, H, W)` of classes `(n,)`, eight of each; None where no class has eight real ones."""
        made, usual = 0.0, 0.0
        for k in labels.unique().tolist():
            made += _nearest(samples[labels == k]) if self._of(k) > 0 else 0.0
            usual += self._of(k)
        return made / usual if usual else None

    def _of(self, k: int) -> float:
        """Of real pictures of a class, eight at a time; 0 where there are fewer."""
        if k not in self._known:
            reals = _of_class(self._train, k)
            groups = len(reals) // EACH
            found = [_nearest(reals[i::groups][:EACH]) for i in range(groups)]
            self._known[k] = statistics.mean(found) if found else 0.0
        return self._known[k]


def _nearest(images: Tensor) -> float:
    """The mean distance of pictures, of mean 0 and norm 1, to the nearest of the others."""
    flat = _reduced(images)
    flat = F.normalize(flat - flat.mean(1, keepdim=True))
    return float(nearest_neighbours(flat, flat, 2).distances[:, 1].mean())


class Novelty:
    """How far samples lie from the training pictures, beside held-out ones: about 1 for good samples, 0 for copies.

    The median distance to the nearest training picture, of pictures reduced to 32 pixels a side, over that of held-out
    pictures; where none are held out, of training pictures to the next one. Of a large data set it looks at 5,000
    training pictures, evenly spread: copies of the others are not seen, and hardly happen there.

    Args:
        train: training pictures, of which the batch at some indices can be asked for.
        held: held-out ones; None where there are none.
    """

    def __init__(self, train: Images, held: Images | None) -> None:
        self._train, self._known = train, _reduced(_spread_over(train, _COMPARED))
        if held is None:
            found = nearest_neighbours(self._known[:64], self._known, 2).distances[:, 1]
        else:
            found = nearest_neighbours(_reduced(_spread_over(held, 64)), self._known).distances[:, 0]
        self._usual = float(found.median())

    def __call__(self, samples: Tensor) -> float:
        """Of samples `(n, C, H, W)`."""
        nearest = nearest_neighbours(_reduced(samples), self._known).distances[:, 0]
        return float(nearest.median()) / max(self._usual, 1e-12)

    def beside(self, samples: Tensor) -> Tensor:
        """Samples `(n, C, H, W)`, and then, as many, the training picture that is nearest to each; in [-1, 1]."""
        found = nearest_neighbours(_reduced(samples), self._known).rows[:, 0].tolist()
        images = self._train.batch([i * len(self._train) // len(self._known) for i in found]).images
        return torch.cat([samples.cpu(), to_float(images)])


def _spread_over(images: Images, most: int) -> Tensor:
    n = min(len(images), most)
    return to_float(images.batch([i * len(images) // n for i in range(n)]).images)


def _reduced(images: Tensor) -> Tensor:
    """Pictures as rows, of 32 pixels a side at most."""
    images = images.detach().float().cpu()
    return (F.adaptive_avg_pool2d(images, _SIDE) if max(images.shape[2:]) > _SIDE else images).flatten(1)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log.

    Raises:
        BadModelFolder: if there is none, or a line is no line of a log.
    """
    path = folder / LOG
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        advice = "give the folder of a run, such as runs/my-run"
        if (folder / "manifest.json").exists():
            advice = f"{folder} is a model, and runs have logs; {advice}"
        raise BadModelFolder(f"{path} cannot be read ({error.strerror}); {advice}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            int(row["step"])
        except (ValueError, KeyError, TypeError):
            if number == len(lines):  # a kill cut it short
                break
            raise BadModelFolder(f"{path}: line {number} is no line of a log") from None
        rows.append(row)
    return rows


def findings(rows: Sequence[Mapping[str, Any]], frozen: bool = False) -> list[Finding]:
    """What is wrong with a run; nothing for a healthy one.

    Args:
        rows: of the log.
        frozen: whether the last two previews are the same picture.
    """
    found = [finding for check in _CHECKS if (finding := check(rows)) is not None]
    if frozen:
        text = "the last two previews are the same, bit for bit"
        found.append(Finding("the average stands still", text, "give engine.average fewer images, or check the lr"))
    return found


def healthy(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is said of a run in which nothing was found."""
    if len(rows) < _FEWEST:
        return f"its log has {len(rows)} of the {_FEWEST} lines that tell how a run goes; ask again later"
    return f"nothing is wrong that {len(rows)} lines of the log could show"


def same_previews(folder: Path) -> bool:
    """Whether a run's last two previews of different steps hold the same bytes."""
    last = sorted((folder / "previews").glob("*.png"))[-2:]
    return len(last) == 2 and last[0].read_bytes() == last[1].read_bytes()


def series(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[list[int], list[float | None]]:
    """The steps and values of a key, in the lines that have it; None where a value was not finite."""
    kept = [row for row in rows if key in row]
    return [int(row["step"]) for row in kept], [row[key] for row in kept]


def keys(rows: Sequence[Mapping[str, Any]], end: str = "") -> list[str]:
    """The keys of the log's lines, in their order, that end so."""
    return [key for key in dict.fromkeys(key for row in rows for key in row) if key.endswith(end) and key != "step"]


def _ends(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]] | None:
    """The finite values of a key in the first and in the last tenth; None of a short course, or one without."""
    values = series(rows, key)[1]
    tenth = max(3, len(values) // 10)
    first, last = ([value for value in part if value is not None] for part in (values[:tenth], values[-tenth:]))
    return (first, last) if len(values) >= _FEWEST and first and last else None


def _not_finite(rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    for key in keys(rows, "_loss"):
        steps, values = series(rows, key)
        last = min(max(3, len(values) // 10), len(values))
        bad = [step for step, value in zip(steps[-last:], values[-last:], strict=True) if value is None]
        if bad:
            text = f"{key} is not a finite number in {len(bad)} of the last {last} lines, first at step {bad[0]}"
            return Finding("loss explosion", text, "lower the learning rate, or set engine.clip")
    return None


def _explosion(rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    for key in keys(rows, "_loss"):
        ends = _ends(rows, key)
        if ends is None:
            continue
        before, now = (statistics.median(map(abs, part)) for part in ends)
        if now > 1000 * (1 + before):
            text = f"{key} stands at {now:,.0f}, and began at {before:.3g}"
            return Finding("loss explosion", text, "lower the learning rates, or set engine.clip")
    return None


def _won(rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    for key in keys(rows, "_loss"):
        ends = _ends(rows, key)
        if ends is None or not key.startswith(("discriminator", "critic")):
            continue
        before, now = map(statistics.median, ends)
        if 0 <= now < min(0.02, before / 20) or before == now == 0:
            text = f"{key} stands at {now:.3f}, and began at {before:.3g}"
            advice = "lower discriminator_lr, add a gradient penalty, or more or augmented data"
            return Finding("the critic has won", text, advice)
    return None


def _collapse(rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    found = _alike(rows, DIVERSITY, least=0.1)
    if found is None:
        return None
    text = f"the last samples differ from one another {found}"
    return Finding("collapse", text, "go back to an earlier step with lower rates, or give the critic a penalty")


def _collapse_within(rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    found = _alike(rows, WITHIN, least=0.25)
    if found is None:
        return None
    text = f"the last samples of one class differ from one another {found}"
    return Finding("collapse within classes", text, "go back to an earlier step, and lower both learning rates")


def _few_a_class(rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    found = _alike(rows, NEAREST, least=0.6)
    if found is None:
        return None
    text = f"the last samples of one class, their shades aside, differ from the nearest of eight {found}"
    advice = "look at previews: a few pictures a class in several shades? Go back, with lower rates or augmented data"
    return Finding("few pictures a class", text, advice)


def _alike(rows: Sequence[Mapping[str, Any]], key: str, least: float) -> str | None:
    """How little samples differ, where they differed more before, or still by less than `least`; None where enough."""
    values = [value or 0.0 for value in series(rows, key)[1]]
    fell = len(values) > 1 and values[-1] < 0.5 * min(1.0, max(values))
    seen = max((row.get("images_seen", 0) for row in rows), default=0)
    if not fell and not (seen > _LATE and len(values) > 5 and max(values[-3:]) < least):
        return None
    before = f", and did {max(values):.2f} times as much before" if fell else ""
    return f"{values[-1]:.2f} times as much as data do{before}"


def _memorizes(rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    values = [value for value in series(rows, NOVELTY)[1] if value is not None]
    if len(values) > 2 and max(values[-3:]) < 0.3:
        text = f"samples lie {values[-1]:.2f} times as far from the nearest training picture as held-out pictures do"
        return Finding("memorization", text, "set adapt.augment, add data, or stop at an earlier step")
    return None


def _skipped(rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    for key in keys(rows, "_skipped"):
        steps, values = series(rows, key)
        if values[-1] and values[-1] > 0.01 * steps[-1]:
            text = f"{values[-1]:.0f} moves of the {key.removesuffix('_skipped')} had gradients that were not finite"
            return Finding("skipped moves", text, "lower the learning rate, or train in 32-true")
    return None


def _leak(rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    values = [value for value in series(rows, "augment_p")[1] if value is not None]
    if values and values[-1] > 0.85:
        text = f"the augmentation's p is {values[-1]:.2f}, and above 0.8 it shows in samples"
        return Finding("leaking augmentation", text, "add data, or stop at an earlier step")
    return None


def _overfits(rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    values = [value for value in series(rows, "overfitting")[1] if value is not None]
    if len(values) >= _FEWEST and statistics.median(values[-_FEWEST:]) > 0.9:
        text = (
            f"the critic is sure of the sign on {50 * (1 + statistics.median(values[-_FEWEST:])):.0f} % of real images"
        )
        return Finding("the critic overfits", text, "let ADA go on adjusting, raise gamma, or add data")
    return None


def _worse(rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    for key in keys(rows):
        if not key.startswith(("fd", "kid", "swd")):  # scores of which less is better
            continue
        steps, values = series(rows, key)
        known = [(value, step) for step, value in zip(steps, values, strict=True) if value is not None]
        if len(known) > 2 and known[-1][0] > 1.5 * min(known)[0] > 0:
            text = f"{key} is {known[-1][0]:.4g} and was {min(known)[0]:.4g} at step {min(known)[1]}"
            return Finding("past its best", text, "take the model in best/, or let the rates fall earlier")
    return None


_CHECKS: Final[tuple[Callable[[Sequence[Mapping[str, Any]]], Finding | None], ...]] = (
    _not_finite,
    _explosion,
    _won,
    _collapse,
    _collapse_within,
    _few_a_class,
    _memorizes,
    _skipped,
    _leak,
    _overfits,
    _worse,
)


@dataclass
class Watching:
    """What is done about a run that fails.

    Args:
        rollback: how often a run may go back to its last good checkpoint, with other random numbers; 0 for never.
        slower: by what its learning rates are multiplied each time.
        findings: what counts as failing, of what the doctor finds.
    """

    rollback: Count = 0
    slower: PositiveFloat = 1.0
    findings: tuple[str, ...] = ("loss explosion", "collapse", "collapse within classes", "the critic has won")

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_ranges(type(self), vars(self), "watch.")
        if self.slower > 1:
            raise BadArgument(f"watch.slower is {self.slower}; a factor from 0 to 1 is expected")


class Relapse(Exception):
    """A run is to go back to its last good checkpoint."""

    def __init__(self, why: str, step: int) -> None:
        super().__init__(why)
        self.step = step


class Doctor(L.Callback):
    """Says while a run trains what is wrong with it, each thing once, and keeps the last good checkpoint.

    A checkpoint is good when a whole look after it found nothing that counts as failing: what fails at one look had
    begun before it.

    Args:
        folder: of the run.
        every: generator updates between two looks.
        watching: what is done about it.
    """

    def __init__(self, folder: Path, every: int, watching: Watching | None = None) -> None:
        self.folder, self.every, self.watching = folder, every, watching or Watching()
        self._looked, self._said = 0, set[str]()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks first when there is something new."""
        self._looked = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Looks when it is time."""
        if not trainer.is_global_zero or trainer.global_step // self.every <= self._looked // self.every:
            return
        self._looked = trainer.global_step
        if not (self.folder / LOG).exists():  # refused by a full disk until now
            return
        found = findings(read_log(self.folder))
        for finding in found:
            if finding.name not in self._said:
                self._said.add(finding.name)
                print(f"step {trainer.global_step}: {finding}", flush=True)
        failing = [finding for finding in found if finding.name in self.watching.findings]
        if self.watching.rollback and failing:
            raise Relapse(str(failing[0]), trainer.global_step)
        if self.watching.rollback:
            self._keep()

    def _keep(self) -> None:
        """What was the last checkpoint at the look before is good by now."""
        if (self.folder / WAITING).exists():
            keep(self.folder / WAITING, self.folder / GOOD)
        if (self.folder / LAST).exists():
            keep(self.folder / LAST, self.folder / WAITING)
