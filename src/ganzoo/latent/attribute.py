"""Attribute directions: along them samples with an attribute differ from those without, or its values from one another.

Shen et al. 2020, "InterFaceGAN: Interpreting the Disentangled Face Representation Learned by GANs", arXiv:2005.09635,
section 3.1: a plane tells the latents with the attribute from those without, and a latent moves across it. The plane
is Fisher's discriminant here, and a latent moves as the values' means differ, not along the plane's normal: latents
whose numbers go together, as those of w do, leave their distribution along the normal before the attribute changes.

With S the covariance within values, S = L L^T, and the means mu_k in u = L^-1 w, the right singular vectors Q of
(mu_k - mu) span all that tells K values apart, in K - 1 coordinates:

    N = Q L^-1     what reads the coordinates of a latent      A = Q L^T     what moves it along them, N A^T = 1

A latent takes value k where its coordinates become those of mu_k; everything else about it stays:

    w' = w + (N mu_k - N w) A
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ganzoo.data.classes import class_index
from ganzoo.latent.finding import Directions, check_layers, check_of, made
from ganzoo.latent.latents import Latents, Progress, batches, check_space, draw
from ganzoo.types import BadArgument

Classifier = Callable[[Tensor], Tensor]
_SHRINK = 0.1  # of the covariance towards a sphere, as there may be no more samples than numbers of a latent
_LEAST = 5  # samples of a value


def attribute(
    model: Any,
    scores: Classifier | Tensor,
    space: str | None = None,
    n: int = 2000,
    share: float = 0.1,
    beyond: float = 1.0,
    seed: int = 0,
    name: str = "attribute",
    values: Sequence[str] | None = None,
    labels: Any = None,
    progress: Progress | None = None,
) -> Directions:
    """One direction towards more of an attribute, or the K - 1 directions between its K values; see `towards`.

    Args:
        model: that samples.
        scores: of images `(m, C, H, W)` in [-1, 1]: `(m,)`, more where the attribute is surer, or `(m, K)`, most for
            the value that it has; or those of the samples of n seeds, `(n,)` such as 0 and 1, or `(n, K)`.
        space: `z` or `w`; None for w where there is one.
        n: samples that are looked at.
        share: of the samples that are taken from either end of scores `(n,)`; those of K values are all taken.
        beyond: standard deviations of the samples of a value by which `towards` goes past their mean.
        seed: of the first sample.
        name: of the attribute.
        values: names of the K values.
        labels: as in `sample`; None draws classes.
        progress: told how many samples were looked at.

    Returns:
        Directions whose `accuracy` is that with which the nearest mean tells the values of the three tenths of these
        samples that nothing was fitted to.

    Raises:
        BadArgument: for scores of another number, that are all the same, or by which hardly a sample has some value.
    """
    chosen = check_space(model, space)
    latents = draw(model, range(seed, seed + n), chosen, labels)
    if not isinstance(scores, Tensor):
        found = []
        for part in batches(model, latents):
            found.append(scores(part).cpu())
            if progress is not None:
                progress(len(part))
        scores = torch.cat(found)
    if len(scores) != n or scores.dim() > 2 or not 0 < share <= 0.5:
        raise BadArgument(f"{len(scores)} scores of {n} samples, share {share}: one each, and up to 0.5, are expected")
    which, kinds = _ends(scores, share, name) if scores.dim() == 1 else (torch.arange(n), scores.argmax(1))
    count = 2 if scores.dim() == 1 else scores.shape[1]
    named = [f"without {name}", name] if scores.dim() == 1 else None if values is None else [*values]
    if named is not None and len(named) != count:
        raise BadArgument(f"{len(named)} names of {count} values of {name} were given; give one each")
    x = (latents.values if chosen == "z" else latents.values[:, 0])[which].double()
    held = torch.arange(len(x)) % 10 < 3
    for k, had in enumerate(torch.bincount(kinds[~held], minlength=count).tolist()):
        if had < _LEAST:
            value = f"value {k}" if named is None else named[k]
            raise BadArgument(f"{had} of {n} samples are {value}, too few to learn it from; raise n")
    normals, axes, means = discriminants(x[~held], kinds[~held], count)
    nearest = torch.cdist(x[held] @ normals.T, means).argmin(1)
    facts = {"attribute": name, "values": named, "samples": n, "beyond": beyond}
    one = made(
        model, "attribute", axes / axes.norm(dim=1, keepdim=True), chosen, None,
        {**facts, "accuracy": float((nearest == kinds[held]).double().mean())},
    )  # fmt: skip
    out = means - means.mean(0)
    means = means + beyond * out / out.norm(dim=1, keepdim=True)
    vectors = one.vectors.double()
    if count == 2:  # More of the attribute is ahead, whichever number is the largest
        vectors = vectors * torch.sign((axes * vectors).sum(1) * (means[1] - means[0]))
    lengths = (axes * vectors).sum(1)
    tensors = {"normals": (normals * lengths[:, None]).float(), "aims": (means * lengths).float()}
    return replace(one, vectors=vectors.float(), tensors=tensors)


def discriminants(x: Tensor, kinds: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Fisher's discriminants: N `(K - 1, d)`, A `(K - 1, d)`, and N mu_k `(K, K - 1)`.

    Args:
        x: samples `(n, d)`, float64.
        kinds: which value each has `(n,)`, 0 to K - 1.
        count: K.
    """
    mean = torch.stack([x[kinds == k].mean(0) for k in range(count)])
    off = x - mean[kinds]
    covariance = off.T @ off / len(x)
    ball = covariance.diagonal().mean() * torch.eye(x.shape[1], dtype=x.dtype)
    low = torch.linalg.cholesky((1 - _SHRINK) * covariance + _SHRINK * ball)
    white = torch.linalg.solve_triangular(low, (mean - mean.mean(0)).T, upper=False).T
    q = torch.linalg.svd(white, full_matrices=False)[2][: min(count - 1, x.shape[1])]
    normals = torch.linalg.solve_triangular(low.T, q.T, upper=True).T
    return normals, q @ low.T, mean @ normals.T


def towards(
    model: Any,
    latents: Latents,
    found: Directions,
    to: int | str = 1,
    share: float = 1.0,
    layers: Sequence[int] | None = None,
) -> Latents:
    """Moves latents to where an attribute has a value, each as far as it needs.

    Args:
        model: whose latents and directions they are.
        latents: z or w, as the directions are.
        found: directions of an attribute.
        to: the value, by its index or name; 1 is 'with' of an attribute that is there or not.
        share: of the way.
        layers: of w that are moved; None for all.

    Raises:
        BadArgument: for directions of another model or space, or of no attribute, or a value that it has not.
    """
    check_of(model, latents, found)
    normals, aims = (found.tensors.get(key) for key in ("normals", "aims"))
    if normals is None or aims is None or normals.shape != found.vectors.shape or aims.shape[1:] != (len(found),):
        raise BadArgument(f"directions by {found.method} have no values to move to; those of an attribute do")
    names = found.facts.get("values")
    k = class_index(to, names) if isinstance(to, str) else to
    if not 0 <= k < len(aims):
        raise BadArgument(f"value {to} is out of range; there are {len(aims)}, from 0 on")
    step = share * (aims[k] - latents.values @ normals.T) @ found.vectors
    if found.space == "w":
        chosen = check_layers(model, found.layers if layers is None else layers)
        step[:, [i for i in range(step.shape[1]) if i not in chosen]] = 0
    return Latents(latents.values + step, latents.labels)


def _ends(scores: Tensor, share: float, name: str) -> tuple[Tensor, Tensor]:
    """The samples that have least and most of an attribute, and 0 or 1 for each."""
    order = scores.double().argsort(stable=True)
    few = max(int(share * len(scores)), 5)
    ends = torch.cat([order[:few], order[-few:]])
    middle = (scores[order[few - 1]].double() + scores[order[-few]].double()) / 2
    above = scores[ends].double() > middle
    if not above.any() or above.all():
        raise BadArgument(f"the scores of {name} are all the same, so there is nothing to tell apart; give others")
    return ends, above.long()
