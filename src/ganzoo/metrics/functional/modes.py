"""Mode coverage for mixtures of Gaussians in the plane, where modes can be counted."""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt, Le
from torch import Tensor

from ganzoo.metrics.functional.checks import check_features
from ganzoo.metrics.metric import MIXTURES, Result, metric
from ganzoo.types import BadArgument, BadData


@dataclass(frozen=True)
class ModeCoverage:
    """What samples of a mixture show.

    Args:
        covered: modes that hold at least `share` of their fair share of the samples; the robust count.
        reached: modes with at least one sample; the literature's count.
        quality: the share of samples of high quality, that is within three standard deviations of a mode.
        divergence: KL(samples' modes || the true weights) in nats, of the high-quality samples; None without any.
        counts: high-quality samples of each mode.
    """

    covered: int
    reached: int
    quality: float
    divergence: float | None
    counts: tuple[int, ...]


def mode_coverage(points: Tensor, centres: Tensor, std: float, share: float = 0.1, radius: float = 3.0) -> ModeCoverage:
    """Counts the modes that samples of a mixture of equal Gaussians cover.

    A sample is of high quality if it lies within `radius` standard deviations of the nearest mode, and belongs to
    that mode (Srivastava et al., "VEEGAN", 2017, arXiv 1705.07761, section 4.1; Lin et al., "PacGAN", 2018, arXiv
    1712.04086, section 4.1). They call a mode found when it holds one sample: `reached`. A single stray sample in
    10,000 should not count as a mode, so `covered` asks for `share` of the fair share n / K: with the default, 125 of
    10,000 samples for a ring of 8. Metz et al., "Unrolled GAN", 2017 (arXiv 1611.02163), show the ring in figure 2.

    Args:
        points: samples `(n, d)`.
        centres: the K modes `(K, d)`.
        std: the standard deviation of each mode, in every coordinate.
        share: of the fair share, above 0.
        radius: in standard deviations.

    Raises:
        BadArgument: for a `std`, `share` or `radius` that is not positive, or another dimension.
        BadData: for no samples, or values that are not finite.
    """
    if not share > 0:
        raise BadArgument(f"share={share}: give a positive share of the fair share, such as 0.1.")
    check_features(points, centres)
    if len(points) < 1:
        raise BadData("Mode coverage needs at least one sample.")
    if not (std > 0 and radius > 0):
        raise BadArgument(f"std={std}, radius={radius}: each must be positive.")
    distances, modes = torch.cdist(points.double(), centres.double()).min(dim=1)
    counts = torch.bincount(modes[distances <= radius * std], minlength=len(centres))
    n, good = len(points), int(counts.sum())
    weights = counts.double() / max(good, 1)
    return ModeCoverage(
        covered=int((counts >= share * n / len(counts)).sum()),
        reached=int((counts >= 1).sum()),
        quality=good / n,
        divergence=float(torch.xlogy(weights, weights * len(counts)).sum()) if good else None,
        counts=tuple(counts.tolist()),
    )


@metric(
    "modes",
    "modes of a mixture that are covered",
    better="higher",
    needs={"samples": ["10k_{mixture}"]},
    networks=MIXTURES,
    whole=True,
)
def modes(real: Tensor, generated: Tensor, real_labels: Tensor, share: Annotated[float, Gt(0), Le(1)] = 0.1) -> Result:
    """`mode_coverage`, the modes and their width being those of the real points: each component's mean, all's spread.

    Args:
        real: points `(n, 2)`.
        generated: points `(m, 2)`.
        real_labels: `(n,)`, the real points' components.
        share: see `mode_coverage`.
    """
    exact, labels = real.double(), real_labels.to(real.device).unique(return_inverse=True)[1]
    centres = torch.stack([exact[labels == k].mean(0) for k in range(int(labels.max()) + 1)])
    std = float((exact - centres[labels]).square().mean().sqrt())
    found = mode_coverage(generated, centres.to(generated), std, share)
    details = {"modes": len(centres), "std": std, "counts": list(found.counts)}
    parts = {"reached": found.reached, "quality": found.quality, "divergence": found.divergence}
    return Result(found.covered, None, details, {name: value for name, value in parts.items() if value is not None})
