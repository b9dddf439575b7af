"""Terms on the gradient of a critic or a generator, and the clipping that came before them.

A penalty returns what its paper multiplies with its coefficient, a scalar tensor: the family writes
`wasserstein_critic(...) + self.gp_weight * gradient_penalty(self.critic, real, fake)` or `... + self.gamma * r1(...)`.

The critic is any callable from samples `(N, ...)` to scores, one or several a sample; a label goes in through a
closure, `lambda x: self.discriminator(x, labels)`. Samples must not influence one another's scores (no batch
normalisation): the gradient is taken of the sum of all scores. Samples are constants unless they already require a
gradient, as those of a generator that learns. Gradients are taken in float32 or wider, with autocast off, and eagerly
even where the critic is compiled.
"""

import math
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from ganzoo.types import BadArgument

Critic = Callable[[Tensor], Tensor]
"""From samples `(N, ...)` to scores `(N,)`, `(N, 1)` or `(N, 1, h, w)`."""


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """Pulls the norm of the critic's gradient towards 1 between the data and the model: E (||∇C(x̂)|| - 1)^2.

    Gulrajani et al. 2017, "Improved Training of Wasserstein GANs" (arXiv:1704.00028), eq. 3 without its coefficient
    (10 there), with x̂ drawn by `interpolates`.

    Args:
        critic: from samples to scores.
        real: real samples `(N, ...)`.
        fake: generated samples of the same shape.

    Returns:
        A scalar, at least 0.

    Raises:
        BadArgument: if the shapes differ.
    """
    return _distance_from_one(_input_gradient(critic, interpolates(real, fake)))


def zero_centered(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """Pulls the critic's gradient towards 0 between the data and the model: E ||∇D(x̂)||^2.

    Thanh-Tung et al. 2019, "Improving Generalization and Stability of Generative Adversarial Networks"
    (arXiv:1902.03984), GAN-0GP without its coefficient, with x̂ drawn by `interpolates`. The paper takes the gradient of
    what enters its loss: the probability for a GAN (hand over `lambda x: discriminator(x).sigmoid()`), the score for a
    WGAN.

    Args:
        critic: from samples to scores.
        real: real samples `(N, ...)`.
        fake: generated samples of the same shape.

    Returns:
        A scalar, at least 0.

    Raises:
        BadArgument: if the shapes differ.
    """
    return _squared_norm(_input_gradient(critic, interpolates(real, fake))).mean()


def dragan(critic: Critic, real: Tensor, k: float = 1.0, c: float | None = None) -> Tensor:
    """Pulls the norm of the critic's gradient towards k around the data: E (||∇C(x + δ)|| - k)^2.

    Kodali et al. 2017, "On Convergence and Stability of GANs" (arXiv:1705.07215), DRAGAN without its coefficient
    (10 there). The noise is the paper's, δ ~ N(0, cI), where c is given, and else that of the authors' code: δ is
    0.5 α std U, with the standard deviation of all values of the batch, U uniform in [0, 1) in each value, and α
    uniform in [0, 1) in each sample.

    Args:
        critic: from samples to scores.
        real: real samples `(N, ...)`.
        k: the norm that gradients are pulled to.
        c: the variance of the noise; None for the noise of the authors' code.

    Returns:
        A scalar, at least 0.
    """
    real = _wide(real)
    if c is None:
        noise = torch.rand(real.shape, dtype=real.dtype, device=real.device)
        noise = _uniform_per_sample(real) * (0.5 * real.std(correction=0) * noise)
    else:
        noise = math.sqrt(c) * torch.randn(real.shape, dtype=real.dtype, device=real.device)
    return (_norm(_input_gradient(critic, real + noise)) - k).square().mean()


def r1(critic: Critic, real: Tensor) -> Tensor:
    """Pulls the critic's gradient towards 0 on the data: 1/2 E ||∇D(x)||^2.

    Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?" (arXiv:1801.04406), eq. 9 without its
    coefficient γ.

    Args:
        critic: from samples to scores (the paper: to logits).
        real: real samples `(N, ...)`.

    Returns:
        A scalar, at least 0.
    """
    return 0.5 * _squared_norm(_input_gradient(critic, real)).mean()


def r2(critic: Critic, fake: Tensor) -> Tensor:
    """Pulls the critic's gradient towards 0 on the model: 1/2 E ||∇D(G(z))||^2.

    Mescheder et al. 2018 (arXiv:1801.04406), eq. 10 without its coefficient γ.

    Args:
        critic: from samples to scores (the paper: to logits).
        fake: generated samples `(N, ...)`.

    Returns:
        A scalar, at least 0.
    """
    return 0.5 * _squared_norm(_input_gradient(critic, fake)).mean()


def scored(critic: Critic, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Scores, and half the squared norm of each sample's gradient there, of one pass: D(x) and 1/2 ||∇D(x)||^2.

    For a loss that takes R1 or R2 at every step: their means over real and over generated samples, without the second
    pass of the critic that `r1` and `r2` need.

    Args:
        critic: from samples to scores `(N,)`.
        samples: `(N, ...)`.

    Returns:
        Scores `(N,)` and penalties `(N,)`, both with a graph.
    """
    scores, gradient = _with_gradient(critic, samples)
    return scores, 0.5 * _squared_norm(gradient)


def path_lengths(synthesize: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    """How far an image moves for a step of its latent, in a random direction of the image: ||J_w^T y||, y ~ N(0, 1).

    Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN" (arXiv:1912.04958), section 3.2. As in
    the authors' code y is divided by sqrt(HW), and with one latent a layer the squared norms are averaged over layers.

    Args:
        synthesize: from latents to images `(N, C, H, W)`, each image from its own latent alone.
        w: latents `(N, D)`, or `(N, L, D)` with one for each layer. Gradients reach a mapping network that made them.

    Returns:
        Lengths `(N,)`.
    """

    def projection(latents: Tensor) -> Tensor:
        images = _wide(synthesize(latents))
        height, width = images.shape[2:]
        y = torch.randn(images.shape, dtype=images.dtype, device=images.device)
        return images * y / math.sqrt(height * width)

    gradient = _input_gradient(projection, w)
    layers = gradient.shape[1:-1].numel()
    return _norm(gradient) / math.sqrt(layers)


def path_length(
    synthesize: Callable[[Tensor], Tensor], w: Tensor, mean: Tensor, decay: float = 0.01
) -> tuple[Tensor, Tensor]:
    """Pulls path lengths towards their running mean a: E (||J_w^T y|| - a)^2.

    Karras et al. 2020 (arXiv:1912.04958), eq. 4 without its coefficient (2 in the authors' code). As in the authors'
    code, a already includes this batch, and the gradient passes through that small part of it. The caller keeps a, a
    scalar that starts at 0, and averages it over the ranks.

    Args:
        synthesize: from latents to images `(N, C, H, W)`, each image from its own latent alone.
        w: latents `(N, D)`, or `(N, L, D)` with one for each layer.
        mean: the running mean, a scalar tensor; it is not changed.
        decay: the weight of this batch in the mean, in (0, 1].

    Returns:
        The penalty, a scalar of at least 0, and the new running mean, a scalar without a graph.
    """
    lengths = path_lengths(synthesize, w)
    new_mean = mean.to(lengths).detach().lerp(lengths.mean(), decay)
    return (lengths - new_mean).square().mean(), new_mean.detach()


@torch.no_grad()
def clip_weights(parameters: Iterable[Tensor], c: float) -> None:
    """Clips every value into [-c, c], in place.

    Arjovsky et al. 2017, "Wasserstein GAN" (arXiv:1701.07875), Algorithm 1, line 7 (c = 0.01 there).

    Args:
        parameters: the critic's parameters.
        c: the bound, greater than 0.

    Raises:
        BadArgument: if `c` is not greater than 0.
    """
    if not c > 0:
        raise BadArgument(f"weights cannot be clipped to c = {c}: give a number greater than 0, such as 0.01")
    for parameter in parameters:
        parameter.clamp_(-c, c)


def interpolates(real: Tensor, fake: Tensor) -> Tensor:
    """One point on the line between each real and its generated sample: x̂ = ε x + (1 - ε) x̃, with ε ~ U[0, 1).

    Gulrajani et al. 2017 (arXiv:1704.00028), Algorithm 1, lines 4 to 6. One ε a sample.

    Args:
        real: real samples `(N, ...)`.
        fake: generated samples of the same shape.

    Returns:
        Samples of that shape, in float32 or wider.

    Raises:
        BadArgument: if the shapes differ.
    """
    if real.shape != fake.shape:
        raise BadArgument(
            f"real samples of shape {tuple(real.shape)} and generated ones of shape {tuple(fake.shape)} "
            "cannot be interpolated: give as many of both, in the same shape"
        )
    real, fake = _wide(real), _wide(fake)
    epsilon = _uniform_per_sample(real)
    return epsilon * real + (1.0 - epsilon) * fake


def eager() -> AbstractContextManager[object]:
    """A context in which compiled modules run eagerly, for what is differentiated twice.

    Double backward through torch.compile raises (pytorch #91469). The penalties enter it by themselves; a family that
    differentiates through updates of a player enters it on its own. It costs some 20 microseconds, and must not be
    entered in code that is itself compiled.

    Returns:
        A context manager, to be used once.
    """
    # A compiled module has imported the compiler; without one, importing it here would cost seconds for nothing.
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


def _input_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The gradient of the sum of `function(x)` with respect to x: `(N, ...)` as x, with a graph of its own."""
    return _with_gradient(function, x)[1]


def _with_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """`function(x)` and that gradient."""
    x = _wide(x)
    if not x.requires_grad:
        x = x.detach().requires_grad_()
    with torch.autocast(x.device.type, enabled=False), eager(), torch.enable_grad():
        values = function(x)
        (gradient,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    return values, gradient


def _uniform_per_sample(like: Tensor) -> Tensor:
    """`(N, 1, ...)` in [0, 1), with as many dimensions as `like`."""
    return torch.rand(len(like), *[1] * (like.dim() - 1), dtype=like.dtype, device=like.device)


def _wide(x: Tensor) -> Tensor:
    """At least float32: squares of gradients leave the range of the half types."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _norm(gradient: Tensor) -> Tensor:
    # vector_norm has the subgradient 0 at 0, where sqrt(sum of squares) would give NaN
    norm: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return norm


def _squared_norm(gradient: Tensor) -> Tensor:
    return gradient.flatten(1).square().sum(1)


def _distance_from_one(gradient: Tensor) -> Tensor:
    return (_norm(gradient) - 1.0).square().mean()
