"""The perceptual path length: how evenly images change along a path through the latents."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Gt, Lt
from torch import Tensor

from ganzoo.metrics.features.network import FeatureNetwork
from ganzoo.metrics.metric import Result, metric
from ganzoo.metrics.ranks import chunks, join, rank_and_world, together
from ganzoo.types import BadArgument, BadData

Distance = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Paths:
    """What a model offers for its path length to be measured.

    Args:
        latents: `latents(m, s)` gives z `(m, d)` for the seeds s up to s + m.
        synthesize: images from z.
        mapping: w from z, where the model has such a space.
        synthesize_w: images from w.
    """

    latents: Callable[[int, int], Tensor]
    synthesize: Callable[[Tensor], Tensor]
    mapping: Callable[[Tensor], Tensor] | None = None
    synthesize_w: Callable[[Tensor], Tensor] | None = None


@metric(
    "ppl",
    "perceptual path length (Karras 2019)",
    better="lower",
    needs="paths",
    forms=["{space}", "ends", "eps{epsilon}"],
    always=["space"],
    beside=[],
)
def perceptual_path_length(
    paths: Paths,
    distance: Distance,
    n: int = 10_000,
    batch_size: int = 32,
    space: Literal["z", "w"] = "z",
    ends: bool = False,
    epsilon: Annotated[float, Gt(0), Lt(1)] = 1e-4,
    seed: int = 0,
) -> Result:
    """The mean perceptual distance of images a step ε apart along random paths, divided by ε².

    Karras et al., "A Style-Based Generator Architecture for GANs", 2019 (arXiv 1812.04948), section 4.1, equations 2
    and 3: E[d(g(slerp(z₁, z₂; t)), g(slerp(z₁, z₂; t + ε))) / ε²] in z, with lerp of f(z) in place of slerp in w. As
    in the authors' code, distances below the 1st and above the 99th percentile do not count. On the sphere the path
    keeps the norms of its ends. Collective: with several ranks, each follows its own paths, and all get one number.

    Args:
        paths: the model's latents and generator; any noise inputs must be the same in each call.
        distance: `(m,)` from two sets of images, such as `feature_distance(network)`.
        n: paths: path i runs from the latent of seed + 2i to that of seed + 2i + 1.
        batch_size: paths at a time.
        space: where they run: `z` or `w`.
        ends: t = 0 rather than t uniform in [0, 1).
        epsilon: the step.
        seed: of the first path.

    Returns:
        Mean and (population) standard deviation over the paths that count, and how many those are.

    Raises:
        BadArgument: for fewer than 2 paths, a step that is not in (0, 1), or a model without w.
        BadData: for distances that are not finite.
    """
    if n < 2 or not 0 < epsilon < 1 or batch_size < 1:
        raise BadArgument(f"n={n}, epsilon={epsilon}, batch_size={batch_size}: at least 2 paths, a step in (0, 1).")
    synthesize, mapping = (paths.synthesize, None) if space == "z" else (paths.synthesize_w, paths.mapping)
    if synthesize is None or (space == "w" and mapping is None):
        raise BadArgument("what is measured has no latents w to follow a path in.")
    rank, world = rank_and_world()
    found: list[Tensor] = []
    with together(), torch.no_grad():
        for rows in chunks(n, batch_size, rank, world):
            z = paths.latents(2 * len(rows), seed + 2 * rows.start)
            first, last = z[0::2], z[1::2]
            t = torch.zeros(len(rows), 1) if ends else _uniform(rows, seed)
            t = t.to(z)
            if mapping is None:
                steps = slerp(first, last, t), slerp(first, last, t + epsilon)
            else:
                start, stop = mapping(first), mapping(last)
                t = t.view(-1, *(1,) * (start.ndim - 1))
                steps = torch.lerp(start, stop, t), torch.lerp(start, stop, t + epsilon)
            here, there = (synthesize(step).clamp(-1, 1) for step in steps)
            found.append(distance(here, there).double().cpu() / epsilon**2)
    distances = join(found, n, batch_size).numpy()
    if not np.isfinite(distances).all():
        raise BadData(f"The distance of path {int(np.argmin(np.isfinite(distances)))} is NaN or infinite.")
    low = np.percentile(distances, 1, method="lower")
    high = np.percentile(distances, 99, method="higher")
    kept = distances[(distances >= low) & (distances <= high)]
    return Result(float(kept.mean()), float(kept.std()), {"paths": len(kept)})


def feature_distance(network: FeatureNetwork) -> Distance:
    """The squared Euclidean distance of two sets of images in a network's features; LPIPS for `vgg16_lpips`.

    Images are not rounded to 8 bits: a step along the path changes less than one level.
    """

    def distance(one: Tensor, two: Tensor) -> Tensor:
        here, there = network(one), network(two)
        if here.device.type == "mps":  # which has no float64
            here, there = here.cpu(), there.cpu()
        return (here.double() - there.double()).square().sum(dim=1)

    return distance


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation of the directions of `(m, d)` latents, and linear interpolation of their norms.

    Args:
        a: where t is 0.
        b: where t is 1.
        t: `(m, 1)`.
    """
    exact = [v.double() for v in (a, b)]
    norms = [v.norm(dim=1, keepdim=True) for v in exact]
    u, v = (x / norm.clamp_min(1e-12) for x, norm in zip(exact, norms, strict=True))
    cosine = (u * v).sum(dim=1, keepdim=True).clamp(-1, 1)
    across = v - cosine * u  # what of b is at right angles to a
    across = across / across.norm(dim=1, keepdim=True).clamp_min(1e-12)
    angle = t.double() * cosine.arccos()
    direction = u * angle.cos() + across * angle.sin()
    found: Tensor = direction * torch.lerp(norms[0], norms[1], t.double())
    return found.to(a.dtype)


def _uniform(rows: range, seed: int) -> Tensor:
    """Where on its path each step is taken: `(m, 1)`, that of path i from (seed, i) alone."""
    each = [np.random.RandomState(np.random.MT19937(np.random.SeedSequence([seed, i]))).random_sample() for i in rows]
    return torch.tensor(each, dtype=torch.float64)[:, None]
