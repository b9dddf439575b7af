"""Arithmetic with means of latents: 'man with glasses' - 'man' + 'woman'.

Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
arXiv:1511.06434, section 6.3.2 and figure 7: single samples are unstable, means of three are not.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.game.abilities.samples import Labels
from ganzoo.latent.latents import Latents, Progress, batches, check_space, draw, draw_many, images
from ganzoo.types import BadArgument

_AROUND = 0.25 * math.sqrt(3)  # of the paper's noise, +-0.25 on z ~ U[-1, 1], in standard deviations of z


def arithmetic(
    model: Any,
    plus: Sequence[Sequence[int]],
    minus: Sequence[Sequence[int]] = (),
    space: str | None = "z",
    labels: Labels | None = None,
    **mapping: Any,
) -> Latents:
    """One latent: the sum of the means of some samples' latents, less those of others.

    Args:
        model: that samples.
        plus: seeds of each mean that is added.
        minus: seeds of each mean that is taken off.
        space: `z` or `w`.
        labels: one class for all, of a conditional model; None for that of the first seed.
        **mapping: for w, `truncation` and `truncation_cutoff`.

    Raises:
        BadArgument: for no seeds, or a space that the model does not have.
    """
    if not plus or not all([*plus, *minus]):
        raise BadArgument("arithmetic needs seeds to add: at least one mean of at least one sample")
    signed = [*((1, seeds) for seeds in plus), *((-1, seeds) for seeds in minus)]
    terms = [(sign, draw(model, seeds, space, labels, **mapping)) for sign, seeds in signed]
    total = torch.stack([sign * term.values.mean(0) for sign, term in terms]).sum(0)
    first = terms[0][1].labels
    return Latents(total[None], None if first is None else first[:1])


def panel(
    model: Any,
    plus: Sequence[Sequence[int]],
    minus: Sequence[Sequence[int]] = (),
    space: str = "z",
    labels: Labels | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> tuple[Tensor, int]:
    """Figure 7: a row a term, of its samples and then their mean; beside them the result, with noise around it.

    Args:
        model: as `arithmetic`'s, as are what is not named here.
        plus: seeds, as many in each mean.
        minus: seeds.
        space: `z` or `w`.
        labels: of all.
        batch_size: images made at a time.
        **options: as `images`', and `truncation` where the model has one.

    Returns:
        Images `(n, C, H, W)` in [-1, 1] and how many stand side by side: the samples, the mean, a white one, and three
        of the nine results, the one without noise in their middle.

    Raises:
        BadArgument: also for means of different numbers of samples.
    """
    terms = [*plus, *minus]
    if len({len(seeds) for seeds in terms}) > 1:
        raise BadArgument(f"means of {' and '.join(str(len(s)) for s in terms)} samples; give each as many")
    mapping = {key: options.pop(key) for key in ("truncation", "truncation_cutoff") if key in options and space == "w"}
    result = arithmetic(model, plus, minus, space, labels, **mapping)
    rows = []
    for seeds in terms:
        own = draw(model, seeds, space, labels, **mapping)
        mean = arithmetic(model, [seeds], (), space, labels, **mapping)
        rows.append(Latents(torch.cat([own.values, mean.values]), _joined(own.labels, mean.labels)))
    unit = draw_many(model, check_space(model, space), 1000).values.std(0).mean()
    around = np.random.RandomState(0).uniform(-1, 1, (9, result.values.shape[-1])).astype(np.float32) * _AROUND
    around[4] = 0
    steps = unit * torch.from_numpy(around)
    near = result.values + (steps if result.values.dim() == 2 else steps[:, None])
    nine = Latents(near, None if result.labels is None else result.labels.expand(9, *result.labels.shape[1:]))
    made = [images(model, each, batch_size=batch_size, **options) for each in (*rows, nine)]
    white = torch.ones(1, *model.shape)
    across = len(terms[0]) + 1
    lines = []
    for i in range(max(len(terms), 3)):
        left = made[i] if i < len(terms) else white.expand(across, -1, -1, -1)
        right = made[-1][3 * i : 3 * i + 3] if i < 3 else white.expand(3, -1, -1, -1)
        lines.append(torch.cat([left, white, right]))
    return torch.cat(lines), across + 4


def recognized(
    model: Any,
    tell: Callable[[Tensor], Tensor],
    label: int,
    n: int = 3,
    among: int = 2000,
    surety: float = 0.9,
    progress: Progress | None = None,
    **options: Any,
) -> list[int]:
    """The first seeds whose samples a classifier takes for a class.

    Args:
        model: that samples.
        tell: images `(m, C, H, W)` in [-1, 1] to probabilities `(m, classes)`.
        label: of the class.
        n: how many.
        among: how many seeds are looked at, from 0 on.
        surety: the least probability.
        progress: told how many samples were looked at.
        **options: of `sample`.

    Raises:
        BadArgument: if there are fewer.
    """
    found: list[int] = []
    seen = 0
    for part in batches(model, draw(model, range(among)), **options):
        sure = tell(part)[:, label].cpu() >= surety
        found += [seen + int(i) for i in sure.nonzero()[:, 0]]
        seen += len(part)
        if progress is not None:
            progress(len(part))
        if len(found) >= n:
            return found[:n]
    raise BadArgument(f"of {among} samples {len(found)} are of class {label} for the classifier; {n} are needed")


def _joined(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return None if one is None or other is None else torch.cat([one, other])
