"""Metrics of translations, or enlarged pictures, and their true counterparts: in pixels, in features, as retrieval.

Generated rows `(n, d)` are of the first n of the real ones `(m, d)`: row i is to be held against row i.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ganzoo.metrics.functional.classes import share_of
from ganzoo.metrics.functional.neighbours import nearest_neighbours
from ganzoo.metrics.metric import BICUBIC, COPY, MEAN, OTHER, Positive, Result, metric
from ganzoo.types import BadArgument

_EDGE = 5  # pixels round the middle of a window of structural similarity


@metric(
    "mae",
    "mean absolute difference of translations to their true counterparts, pixels in [-1, 1] (L1)",
    better="lower",
    needs={"translates pairs": ["1k_pixels_test"]},
    networks=["pixels"],
    beside=[COPY],
)
def absolute_difference(real: Tensor, generated: Tensor) -> Result:
    """The mean over pairs of the mean absolute difference of their pixels `(n, d)`."""
    return _mean((generated.double() - real[: len(generated)].double()).abs().mean(1))


@metric(
    "psnr",
    "mean peak signal-to-noise ratio of enlarged pictures, or translations, to the true ones, in decibels",
    better="higher",
    needs={"upscales": ["1k_pixels_test"], "translates pairs": ["1k_pixels_test"]},
    networks=["pixels"],
    beside=[BICUBIC, COPY],
)
def signal_to_noise(real: Tensor, generated: Tensor) -> Result:
    """The mean over pairs of 10 log10 of the range's square over the mean square of their pixels' differences.

    Pictures that are the same count as ones that differ by one level in one of a hundred pixels, which is 68 dB.
    """
    squares = (generated.double() - real[: len(generated)].double()).square().mean(1)
    return _mean(10 * torch.log10(4 / squares.clamp(min=(2 / 255) ** 2 / 100)))


@metric(
    "ssim",
    "mean structural similarity of enlarged pictures, or translations, to the true ones (Wang 2004)",
    better="higher",
    needs={"upscales": ["1k_pixels_test"], "translates pairs": []},
    networks=["pixels"],
    beside=[BICUBIC, COPY],
)
def structural_similarity(real: Tensor, generated: Tensor, shape: Sequence[int]) -> Result:
    """The mean over pairs of the mean over channels and windows of the structural similarity.

    Wang, Bovik, Sheikh and Simoncelli 2004, "Image Quality Assessment: From Error Visibility to Structural Similarity",
    equation 13, with K of 0.01 and 0.03, and windows of 11 x 11 pixels, all within the picture, that weigh as a normal
    distribution of 1.5 pixels does.

    Args:
        real: pixels `(m, d)` in [-1, 1].
        generated: pixels `(n, d)`.
        shape: `(C, H, W)` of a picture, so that d = CHW.

    Raises:
        BadArgument: for pictures smaller than a window.
    """
    if min(shape[1:]) <= 2 * _EDGE:
        raise BadArgument(f"pictures of {shape[2]}x{shape[1]} pixels; ssim needs at least {2 * _EDGE + 1} a side")
    from torchmetrics.functional.image import structural_similarity_index_measure as similarity

    found = []
    for pair in zip(generated.split(100), real[: len(generated)].split(100), strict=True):
        x, y = (each.double().reshape(-1, *shape) for each in pair)
        _, each = similarity(x, y, sigma=1.5, data_range=2.0, reduction="none", return_full_image=True)
        found.append(each[..., _EDGE:-_EDGE, _EDGE:-_EDGE].mean((1, 2, 3)))  # the mean takes mirrored edges, too
    return _mean(torch.cat(found))


@metric(
    "dist",
    "mean distance of translations, or enlarged pictures, to their true counterparts, in features",
    better="lower",
    needs={"translates pairs": ["1k_mobilenet_v2_test"], "upscales": ["1k_mobilenet_v2_test"]},
    beside=[COPY, BICUBIC],
)
def pair_distance(real: Tensor, generated: Tensor) -> Result:
    """The mean over pairs of the Euclidean distance of their features."""
    return _mean((generated - real[: len(generated)]).double().norm(dim=1))


@metric(
    "top",
    "share of translations whose nearest target, among all of the split, is their true counterpart (retrieval)",
    better="higher",
    needs={"translates pairs": ["1k_mobilenet_v2_test"]},
    beside=[COPY, "untrained network"],
)
def retrieval(real: Tensor, generated: Tensor) -> Result:
    """The share of pairs where no real row is nearer, and (`top5`) fewer than five are; equal ones count as found."""
    distances = nearest_neighbours(generated, real, min(5, len(real))).distances
    true = (generated - real[: len(generated)]).double().norm(dim=1)
    first, fifth = (share_of(true <= distances[:, k] * (1 + 1e-6)) for k in (0, -1))
    return Result(first, details={"top5": fifth, "chance": 1 / len(real)})


@metric(
    "match",
    "share of captions whose drawn picture is nearest, of a hundred real ones, to the caption's own (retrieval)",
    better="higher",
    needs={"depicts": ["1k_mobilenet_v2_test"]},
    beside=[],
)
def matches(real: Tensor, generated: Tensor, among: Positive = 100) -> Result:
    """The share of rows to which no other real row of their block is nearer; the last block may be smaller."""
    blocks = [*zip(generated.double().split(among), real[: len(generated)].double().split(among), strict=True)]
    hits = [torch.cdist(made, true).argmin(1).cpu() == torch.arange(len(true)) for made, true in blocks]
    return Result(share_of(torch.cat(hits)), details={"chance": len(blocks) / len(generated)})


@metric(
    "fill",
    "mean absolute difference of what fills holes to what was there, pixels in [-1, 1] (L1)",
    better="lower",
    needs={"fills": ["1k_pixels_test"]},
    networks=["pixels"],
    beside=[MEAN],
)
def filling(real: Tensor, generated: Tensor) -> Result:
    """The mean over holes of the mean absolute difference of their pixels `(n, d)`."""
    return absolute_difference(real, generated)


@metric(
    "rec",
    "mean absolute difference of what comes back of pictures from their encodings, pixels in [-1, 1] (L1)",
    better="lower",
    needs={"reconstructs": ["1k_pixels_test"]},
    networks=["pixels"],
    beside=[OTHER],
)
def reconstruction(real: Tensor, generated: Tensor) -> Result:
    """The mean over pictures of the mean absolute difference of their pixels `(n, d)`."""
    return absolute_difference(real, generated)


@metric(
    "moved",
    "mean distance in features of translations, to each domain by turns, to the pictures that they start from",
    better="lower",
    needs={"translates classes": []},
    networks=["pixels"],
    beside=[],
    without=["to"],
)
def moved(real: Tensor, generated: Tensor, labels: Tensor, names: Sequence[str] | None = None) -> Result:
    """The mean Euclidean distance of rows `(n, d)`, and that of real rows to the next ones.

    Args:
        real: of the pictures that translations start from.
        generated: of the translations.
        labels: the domains `(n,)`.
        names: of the domains.
    """
    each = (generated - real).double().norm(dim=1)
    shares = {str(names[k] if names else k): float(each[labels == k].mean()) for k in sorted(set(labels.tolist()))}
    other = (real - real.roll(1, 0)).double().norm(dim=1).mean()
    return Result(float(each.mean()), details={"domains": shares, "another picture": float(other)})


@metric(
    "diversity",
    "mean distance in features of translations of one picture in several styles (Choi 2020, there by LPIPS)",
    better="higher",
    needs={"styles": ["1k_mobilenet_v2_test"]},
    beside=["floor"],
)
def diversity(generated: Tensor, styles: Positive = 10) -> Result:
    """The mean Euclidean distance of all pairs of the `styles` rows of each picture, which follow one another."""
    return _mean(torch.stack([torch.pdist(rows).mean() for rows in generated.double().split(styles)]))


def _mean(each: Tensor) -> Result:
    return Result(float(each.mean()), details={"std": float(each.std(correction=0))})
