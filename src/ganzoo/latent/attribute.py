"""Attribute directions: the normal of a hyperplane between latents with an attribute and those without.

Shen et al. 2020, "InterFaceGAN: Interpreting the Disentangled Face Representation Learned by GANs", arXiv:2005.09635,
section 3.1: a linear support vector machine between the samples that a classifier is surest of on either side.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ganzoo.latent.finding import Directions, made
from ganzoo.latent.latents import Progress, batches, check_space, draw
from ganzoo.types import BadArgument

Classifier = Callable[[Tensor], Tensor]


def attribute(
    model: Any,
    scores: Classifier | Tensor,
    space: str | None = None,
    n: int = 2000,
    share: float = 0.1,
    seed: int = 0,
    name: str = "attribute",
    labels: Any = None,
    progress: Progress | None = None,
) -> Directions:
    """One direction, towards more of an attribute.

    Args:
        model: that samples.
        scores: of images `(m, C, H, W)` in [-1, 1] `(m,)`, more where the attribute is surer; or those of the samples
            of n seeds `(n,)`, such as labels 0 and 1.
        space: `z` or `w`; None for w where there is one.
        n: samples that are looked at.
        share: of the samples that are taken from either end; of labels, at most so many.
        seed: of the first sample.
        name: of the attribute.
        labels: as in `sample`; None draws classes.
        progress: told how many samples were looked at.

    Returns:
        A direction whose `accuracy` is that of the hyperplane on the three tenths of these samples that it was not
        fitted to.

    Raises:
        BadArgument: for scores of another number, or that are all the same.
    """
    from sklearn.svm import SVC  # type: ignore[import-untyped]

    chosen = check_space(model, space)
    latents = draw(model, range(seed, seed + n), chosen, labels)
    if not isinstance(scores, Tensor):
        found = []
        for part in batches(model, latents):
            found.append(scores(part).flatten().cpu())
            if progress is not None:
                progress(len(part))
        scores = torch.cat(found)
    if len(scores) != n or not 0 < share <= 0.5:
        raise BadArgument(f"{len(scores)} scores of {n} samples, share {share}: one each, and up to 0.5, are expected")
    order = scores.double().argsort(stable=True)
    few = max(int(share * n), 5)
    ends = torch.cat([order[:few], order[-few:]])
    middle = (scores[order[few - 1]].double() + scores[order[-few]].double()) / 2
    above = scores[ends].double() > middle
    if not above.any() or above.all():
        raise BadArgument(f"the scores of {name} are all the same, so there is nothing to tell apart; give others")
    values = (latents.values if chosen == "z" else latents.values[:, 0]).double()
    x, y = values[ends].numpy(), above.numpy()
    held = torch.arange(len(ends)) % 10 < 3
    plane = SVC(kernel="linear").fit(x[~held], y[~held])
    facts = {"attribute": name, "samples": n, "accuracy": float(plane.score(x[held], y[held]))}
    normal = torch.tensor(plane.coef_)
    one = made(model, "attribute", normal / normal.norm(), chosen, None, facts)
    # More of the attribute is ahead, whichever number is the largest
    ahead = float(torch.sign(one.vectors[0].double() @ normal[0]))
    return replace(one, vectors=one.vectors * ahead)
