"""What keeps a critic from learning few images by heart, as terms and choices beside the adversarial loss.

Scores are a critic's, of any shape whose first dimension is the batch's, and are widened to float32.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ganzoo.objectives.augment import diff_augment
from ganzoo.types import BadArgument


def lecam(real_scores: Tensor, fake_scores: Tensor, real_mean: Tensor, fake_mean: Tensor) -> Tensor:
    """Holds scores of either kind near the running mean of the other: E (D(x) - a_F)^2 + E (D(G(z)) - a_R)^2.

    Tseng et al. 2021, "Regularizing Generative Adversarial Networks under Limited Data" (arXiv:2104.03310),
    without its coefficient.

    Args:
        real_scores: of real samples.
        fake_scores: of generated samples.
        real_mean: a_R, the running mean of scores of real samples, a scalar.
        fake_mean: a_F, that of generated ones.

    Returns:
        A scalar, at least 0.
    """
    return (real_scores.float() - fake_mean).square().mean() + (fake_scores.float() - real_mean).square().mean()


def consistency(scores: Tensor, other: Tensor) -> Tensor:
    """Pulls two scores of a sample together: E (D(x) - D(T(x)))^2.

    Zhang et al. 2020, "Consistency Regularization for GANs" (arXiv:1910.12027), of real images;
    Zhao et al. 2021, "Improved Consistency Regularization for GANs" (arXiv:2002.04724), of generated ones too (bCR),
    and with T a little noise on z (zCR). Without their coefficients.

    Args:
        scores: of samples.
        other: of the same samples, changed a little; of the same shape.

    Returns:
        A scalar, at least 0.

    Raises:
        BadArgument: if the shapes differ.
    """
    if scores.shape != other.shape:
        raise BadArgument(
            f"scores of shapes {tuple(scores.shape)} and {tuple(other.shape)} are not of the same samples"
        )
    return (scores.float() - other.float()).square().mean()


def flip_and_shift(images: Tensor) -> Tensor:
    """Zhang et al.'s T: images `(N, C, H, W)` mirrored with a chance of 1/2, and shifted by up to an eighth."""
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return diff_augment(torch.where(mirrored, images.flip(3), images), ("translation",))


def hardest(scores: Tensor, share: float) -> Tensor:
    """The scores of the samples that the critic takes for most real, by which alone the generator learns.

    Sinha et al. 2020, "Top-k Training of GANs" (arXiv:2002.06224).

    Args:
        scores: of generated samples, `(N, ...)`; a sample with several counts by their mean.
        share: of the samples that are kept, in (0, 1]; at least one is.

    Returns:
        `(k, ...)`.
    """
    k = max(1, round(share * len(scores)))
    return (
        scores[scores.detach().float().reshape(len(scores), -1).mean(1).topk(k).indices] if k < len(scores) else scores
    )


def top_k_share(images_seen: int, least: float, every: int = 50_000) -> float:
    """The share that `hardest` keeps by now: 0.99 to the power of the epochs, at least `least`.

    Sinha et al. 2020: k is multiplied by 0.99 after each epoch of 50,000 images until it is half a batch.
    """
    return max(least, 0.99 ** (images_seen // every))


def approximate_penalty(critic: Callable[[Tensor], Tensor], samples: Tensor, noise: float = 0.01) -> Tensor:
    """R1 or R2 without a second derivative: 1/(2 s^2) E (D(x + s n) - D(x))^2, n ~ N(0, 1).

    Lin et al. 2025, "Diffusion Adversarial Post-Training for One-Step Video Generation" (arXiv:2501.08316), its
    aR1, divided by 2 s^2: for small s its mean over n is that of `penalties.r1`, 1/2 E ||grad D(x)||^2, so that the
    coefficient is the same.

    Args:
        critic: from samples to scores `(N, ...)`, each of its own sample alone.
        samples: real ones for R1, generated ones for R2, `(N, ...)`.
        noise: s.

    Returns:
        A scalar, at least 0.
    """
    samples = samples.detach().float()
    with torch.autocast(samples.device.type, enabled=False):  # a difference of close scores
        moved = critic(samples + noise * torch.randn(samples.shape, device=samples.device))
        return consistency(moved, critic(samples)) / (2 * noise**2)
