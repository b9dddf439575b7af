"""What each player minimises, as a function of the discriminator's logits or the critic's scores.

Every function returns a scalar tensor that its own player **minimises**: where a paper maximises, the sign is turned.
Logits and scores may have any shape, such as `(N,)`, `(N, 1)` or the `(N, 1, h, w)` of a patch discriminator;
expectations are means over all of their elements. D denotes sigmoid(logit), C a score; x is real, G(z) generated.
Logits in float16 or bfloat16 are widened to float32 first, and nothing takes the logarithm of a sigmoid: log D =
logsigmoid(logit) and log(1 - D) = logsigmoid(-logit) stay finite where D rounds to 0 or 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.types import BadArgument

# Beyond this logit exp() goes on as its tangent: float32 ends at exp(88.7), and a batch of such terms is to be summed.
_EXP_LINEAR_FROM = 60.0


def _wide(scores: Tensor) -> Tensor:
    """At least float32: exp() and means of large batches leave the range or the precision of the half types."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def _negative_log_sigmoid(logits: Tensor) -> Tensor:
    # Exact at both ends, where F.softplus(-logits) replaces itself by a line from 20 on.
    return -F.logsigmoid(_wide(logits))


def minimax_discriminator(real_logits: Tensor, fake_logits: Tensor, smoothing: float = 0.0) -> Tensor:
    """The discriminator of the original game: -E log D(x) - E log(1 - D(G(z))).

    Goodfellow et al. 2014, "Generative Adversarial Nets" (arXiv:1406.2661), eq. 1, turned for minimising. It is the
    discriminator's part of the non-saturating and the maximum-likelihood game too. With one-sided label smoothing
    (Salimans et al. 2016, arXiv:1606.03498, section 3.4) the target of real samples is 1 - smoothing, so that their
    term becomes -(1 - smoothing) E log D(x) - smoothing E log(1 - D(x)); the target of generated samples stays 0.

    Args:
        real_logits: logits of real samples, of any shape.
        fake_logits: logits of generated samples, of any shape.
        smoothing: how far the target of real samples lies below 1, in [0, 1); Salimans et al. use 0.1.

    Returns:
        A scalar, at least 0.

    Raises:
        BadArgument: if `smoothing` is outside [0, 1).
    """
    if not 0.0 <= smoothing < 1.0:
        raise BadArgument(f"smoothing is {smoothing}: give a number in [0, 1), such as 0.1, or 0 for none")
    loss = _negative_log_sigmoid(real_logits).mean() + _negative_log_sigmoid(-fake_logits).mean()
    if smoothing:
        # -log(1 - D) = logit - log D, so a target of 1 - s adds s times the logit
        loss = loss + smoothing * _wide(real_logits).mean()
    return loss


def minimax_generator(fake_logits: Tensor) -> Tensor:
    """The generator of the original game, which saturates: E log(1 - D(G(z))).

    Goodfellow et al. 2014 (arXiv:1406.2661), eq. 1 and Algorithm 1. Its gradient vanishes where the discriminator is
    sure.

    Args:
        fake_logits: logits of generated samples, of any shape.

    Returns:
        A scalar, at most 0.
    """
    return -_negative_log_sigmoid(-fake_logits).mean()


def nonsaturating_generator(fake_logits: Tensor) -> Tensor:
    """The generator's usual loss: -E log D(G(z)).

    Goodfellow et al. 2014 (arXiv:1406.2661), section 3: the same fixed point as the minimax loss, and a strong gradient
    where the discriminator is sure.

    Args:
        fake_logits: logits of generated samples, of any shape.

    Returns:
        A scalar, at least 0.
    """
    return _negative_log_sigmoid(fake_logits).mean()


def maximum_likelihood_generator(fake_logits: Tensor) -> Tensor:
    """The generator that descends KL(data || model) against an optimal discriminator: -E exp(sigmoid^-1(D(G(z)))).

    Goodfellow 2014, "On distinguishability criteria for estimating generative models" (arXiv:1412.6515), and section
    3.2.4 of his tutorial (arXiv:1701.00160). The tutorial halves all of its losses; here none is halved. As the inverse
    sigmoid of D is the logit, this is -E exp(logit). Beyond a logit of 60 the exponential goes on as its tangent, so
    that value and gradient stay finite in float32.

    Args:
        fake_logits: logits of generated samples, of any shape.

    Returns:
        A scalar, at most 0.
    """
    logits = _wide(fake_logits)
    excess = F.relu(logits - _EXP_LINEAR_FROM)
    return -(torch.exp(logits.clamp(max=_EXP_LINEAR_FROM)) * (1.0 + excess)).mean()


def least_squares_discriminator(real_scores: Tensor, fake_scores: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """The least-squares discriminator: 1/2 E (D(x) - b)^2 + 1/2 E (D(G(z)) - a)^2, with D the score itself.

    Mao et al. 2017, "Least Squares Generative Adversarial Networks" (arXiv:1611.04076), eq. 2. The defaults are the
    paper's 0-1 coding (eq. 9). With b - c = 1 and b - a = 2, such as a = -1, b = 1, c = 0 (eq. 8), the generator of
    an optimal discriminator descends half the Pearson chi-squared divergence between data + model and twice the model.

    Args:
        real_scores: scores of real samples, of any shape; no sigmoid.
        fake_scores: scores of generated samples, of any shape; no sigmoid.
        a: the target of generated samples.
        b: the target of real samples.

    Returns:
        A scalar, at least 0.
    """
    return 0.5 * ((_wide(real_scores) - b).square().mean() + (_wide(fake_scores) - a).square().mean())


def least_squares_generator(fake_scores: Tensor, c: float = 1.0) -> Tensor:
    """The least-squares generator: 1/2 E (D(G(z)) - c)^2, with D the score itself.

    Mao et al. 2017 (arXiv:1611.04076), eq. 2; c = 1 in the 0-1 coding (eq. 9), c = 0 in the Pearson coding (eq. 8).

    Args:
        fake_scores: scores of generated samples, of any shape; no sigmoid.
        c: what the generator wants the discriminator to say of its samples.

    Returns:
        A scalar, at least 0.
    """
    return 0.5 * (_wide(fake_scores) - c).square().mean()


def wasserstein_critic(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """The Wasserstein critic: E C(G(z)) - E C(x); its negative estimates the distance if C is 1-Lipschitz.

    Arjovsky et al. 2017, "Wasserstein GAN" (arXiv:1701.07875), eq. 3, turned for minimising.

    Args:
        real_scores: scores of real samples, of any shape.
        fake_scores: scores of generated samples, of any shape.

    Returns:
        A scalar.
    """
    return _wide(fake_scores).mean() - _wide(real_scores).mean()


def wasserstein_generator(fake_scores: Tensor) -> Tensor:
    """The Wasserstein generator: -E C(G(z)).

    Arjovsky et al. 2017 (arXiv:1701.07875), Theorem 3 and Algorithm 1.

    Args:
        fake_scores: scores of generated samples, of any shape.

    Returns:
        A scalar.
    """
    return -_wide(fake_scores).mean()


def hinge_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """The hinge discriminator: E max(0, 1 - C(x)) + E max(0, 1 + C(G(z))).

    Lim and Ye 2017, "Geometric GAN" (arXiv:1705.02894); Miyato et al. 2018 (arXiv:1802.05957), eq. 16, turned for
    minimising.

    Args:
        real_scores: scores of real samples, of any shape.
        fake_scores: scores of generated samples, of any shape.

    Returns:
        A scalar, at least 0.
    """
    return F.relu(1.0 - _wide(real_scores)).mean() + F.relu(1.0 + _wide(fake_scores)).mean()


def hinge_generator(fake_scores: Tensor) -> Tensor:
    """The generator against a hinge discriminator: -E C(G(z)), without a hinge.

    Lim and Ye 2017 (arXiv:1705.02894); Miyato et al. 2018 (arXiv:1802.05957), eq. 17, turned for minimising.

    Args:
        fake_scores: scores of generated samples, of any shape.

    Returns:
        A scalar.
    """
    return -_wide(fake_scores).mean()


def relativistic_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """The relativistic discriminator: -E log sigmoid(C(x) - C(G(z))), over pairs of a real and a generated sample.

    Jolicoeur-Martineau 2019, "The relativistic discriminator" (arXiv:1807.00734), the RSGAN loss. It is also the
    discriminator's part of R3GAN (Huang et al. 2024, arXiv:2501.05441): RpGAN, eq. 2, with f(t) = -log(1 + exp(-t)).

    Args:
        real_scores: scores of real samples.
        fake_scores: scores of as many generated samples, of the same shape.

    Returns:
        A scalar, at least 0.

    Raises:
        BadArgument: if the shapes differ, since samples are compared in pairs.
    """
    return _negative_log_sigmoid(_paired_difference(real_scores, fake_scores)).mean()


def relativistic_generator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """The relativistic generator: -E log sigmoid(C(G(z)) - C(x)), over pairs of a real and a generated sample.

    Jolicoeur-Martineau 2019 (arXiv:1807.00734), the RSGAN loss; also the generator's part of R3GAN (Huang et al. 2024,
    arXiv:2501.05441), in the non-saturating form of its code.

    Args:
        real_scores: scores of real samples.
        fake_scores: scores of as many generated samples, of the same shape.

    Returns:
        A scalar, at least 0.

    Raises:
        BadArgument: if the shapes differ, since samples are compared in pairs.
    """
    return _negative_log_sigmoid(-_paired_difference(real_scores, fake_scores)).mean()


def relativistic_average_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """The relativistic average discriminator: each sample against the mean of the other kind.

    -E log sigmoid(C(x) - E C(G(z))) - E log(1 - sigmoid(C(G(z)) - E C(x))): Jolicoeur-Martineau 2019
    (arXiv:1807.00734), the RaSGAN loss. The means are those of the batch at hand, on several ranks of the local batch.

    Args:
        real_scores: scores of real samples, of any shape.
        fake_scores: scores of generated samples, of any shape.

    Returns:
        A scalar, at least 0.
    """
    real, fake = _wide(real_scores), _wide(fake_scores)
    return _negative_log_sigmoid(real - fake.mean()).mean() + _negative_log_sigmoid(real.mean() - fake).mean()


def relativistic_average_generator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """The relativistic average generator: the discriminator's loss with real and generated exchanged.

    -E log sigmoid(C(G(z)) - E C(x)) - E log(1 - sigmoid(C(x) - E C(G(z)))): Jolicoeur-Martineau 2019
    (arXiv:1807.00734), the RaSGAN loss.

    Args:
        real_scores: scores of real samples, of any shape.
        fake_scores: scores of generated samples, of any shape.

    Returns:
        A scalar, at least 0.
    """
    return relativistic_average_discriminator(fake_scores, real_scores)


def _paired_difference(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    # (N,) minus (N, 1) would silently compare every sample with every other
    if real_scores.shape != fake_scores.shape:
        raise BadArgument(
            f"real scores of shape {tuple(real_scores.shape)} and generated ones of shape {tuple(fake_scores.shape)} "
            "cannot be paired: give as many of both, in the same shape"
        )
    return _wide(real_scores) - _wide(fake_scores)
