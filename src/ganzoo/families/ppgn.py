"""PPGN: a generator of a classifier's features draws whatever another classifier, plugged in later, asks for.

Nguyen, Clune, Bengio, Dosovitskiy and Yosinski 2017, "Plug & Play Generative Networks: Conditional Iterative Generation
of Images in Latent Space", arXiv:1612.00005. E is a frozen network, h = E(x) its features. G learns to invert it by
DeePSiM's losses (Dosovitskiy and Brox 2016, arXiv:1602.02644): near in pixels, in E's feature maps E_1 and in h, and
real to a discriminator. So x -> h -> x is an autoencoder, and h -> x -> h, of h with noise, a denoising one, R(h) =
E(G(h)), whose residual points to where h is likely (Joint PPGN-h, section 3.5):

    L_G = a E |x - G(h)|^2 + b E |E_1(x) - E_1(G(h))|^2 + c E |h - E(G(h))|^2 - d E log D(G(h))
    L_D = -E log D(x) - E log(1 - D(G(h)))        h = E(x) + s e, e ~ N(0, 1)

A sample is the end of a chain of Langevin steps in h, which any differentiable classifier C of images steers (eq. 11):

    h <- h + epsilon_1 (R(h) - h) + epsilon_2 grad_h log C_y(G(h)) + N(0, epsilon_3^2)

epsilon_1 = 0 has no prior but G itself (DGN-AM), and epsilon_2 = 0 no class. A network that writes captions takes C's
place with its log p(caption | G(h)), the sum over the caption's words (section 4.2).
"""

from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.optim import Adam

from ganzoo.game.abilities import Encodes, Samples
from ganzoo.game.engine import Player
from ganzoo.game.helpers import Helper
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.media.images import grid
from ganzoo.metrics.features.network import FeatureNetwork, feature_network
from ganzoo.metrics.features.perceptual import FeatureMaps
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.schema import Count, NonNegative, Positive, Probability
from ganzoo.types import BadArgument, Batch, Condition

Classifier = Callable[[Tensor], Tensor]
"""From images `(n, C, H, W)` in [-1, 1] to logits `(n, classes)`; gradients flow."""
LogProbability = Callable[[Tensor, Condition], Tensor]
"""From images and what is asked for, y, to log p(y | x) `(n,)`; gradients flow."""


def of_class(classifier: Classifier) -> LogProbability:
    """log C_y(x) of the classes that are asked for."""

    def log_probability(images: Tensor, condition: Condition) -> Tensor:
        assert condition.labels is not None
        logits, most = classifier(images), int(condition.labels.max())
        if logits.dim() != 2 or logits.shape[1] <= most:
            raise BadArgument(f"classifier gives {tuple(logits.shape)}, and class {most} is asked for; give one of it")
        return logits.log_softmax(1).gather(1, condition.labels[:, None])[:, 0]

    return log_probability


def slope(said: Tensor, h: Tensor) -> Tensor:
    """The gradient `(n, d)` of log-probabilities `(n,)` in h.

    Raises:
        BadArgument: if they have another shape, no gradient, or none that is finite.
    """
    shape = tuple(getattr(said, "shape", ()))
    if shape != (len(h),) or not said.requires_grad:
        what = f"shape {shape}" if shape != (len(h),) else "no gradient"
        raise BadArgument(f"log_probability has {what}; a tensor ({len(h)},) of the images is expected")
    (found,) = torch.autograd.grad(said.sum(), h, allow_unused=True, materialize_grads=True)
    if not (said.isfinite().all() and found.isfinite().all()):
        raise BadArgument("log_probability or its gradient is not finite; finite numbers are expected")
    return found


@cache
def known(name: str) -> FeatureNetwork:
    """A frozen network by its name; the random numbers that it is built with are nobody else's."""
    with torch.random.fork_rng([]), torch.device("cpu"):
        return feature_network(name)


@register(
    paper="Nguyen, Clune, Bengio, Dosovitskiy and Yosinski, Plug & Play Generative Networks: Conditional Iterative "
    "Generation of Images in Latent Space",
    year=2017,
    url="https://arxiv.org/abs/1612.00005",
    formula=(
        "L_G = a E |x - G(h)|^2 + b E |E_1(x) - E_1(G(h))|^2 + c E |h - E(G(h))|^2 - d E log D(G(h))",
        "L_D = -E log D(x) - E log(1 - D(G(h)))",
        "h = E(x) + s e, e ~ N(0, 1)",
        "h <- h + epsilon_1 (R(h) - h) + epsilon_2 grad_h log C_y(G(h)) + N(0, epsilon_3^2)",
    ),
)
class PPGN(Samples, Encodes):
    """A generator that inverts a frozen network's features is steered by any classifier, without training for it.

    E is any of ganzoo's small classifiers in place of CaffeNet, h what its last layer sees, the mean of the feature
    maps E_1 over space. G and D are DCGAN's. The paper has its weights, and the epsilons, for CaffeNet's numbers and
    sums over pixels; a to d here are for means, each distance in features in units of their mean square, and the
    epsilons for steps as in eq. 11, where the authors' code divides each step by its mean size. As there a chain begins
    at z ~ N(0, 1), and h stays in the range of features, from 0 on. A sample costs `steps` passes through all three
    networks, forth and back.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of h, which E gives.
        width: feature maps of G and D beside the images.
        network: E, by its name.
        classes: that the classifier tells; E's own where none is given to `sample`.
        pixels: a.
        maps: b.
        features: c.
        adversarial: d; 0 for no discriminator.
        noise: s, in units of the features' root mean square; 0 for the paper's noiseless variant.
        steps: of a chain.
        epsilon1: of the prior.
        epsilon2: of the class.
        epsilon3: of the noise.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    coupled = True  # distances of features are in units of the batch's

    def __init__(
        self,
        size: Positive = 32,
        channels: Positive = 1,
        latent: Positive = 128,
        width: Positive = 64,
        network: str = "fashion_mnist_cnn",
        classes: Positive = 10,
        pixels: NonNegative = 1.0,
        maps: NonNegative = 0.5,
        features: NonNegative = 0.5,
        adversarial: NonNegative = 0.1,
        noise: NonNegative = 0.1,
        steps: Count = 100,
        epsilon1: NonNegative = 0.1,
        epsilon2: NonNegative = 0.1,
        epsilon3: NonNegative = 0.02,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.prior, self.classes = (channels, size, size), Normal(latent), classes
        self.weights, self.adversarial, self.noise_share = (pixels, maps, features), adversarial, noise
        self.chain = {"steps": steps, "epsilon1": epsilon1, "epsilon2": epsilon2, "epsilon3": epsilon3}
        self.generator = dcgan.Generator(latent, channels, size, width)
        self.discriminator = dcgan.Discriminator(channels, size, width)
        self.encoder = Helper(network)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator and the generator, with the same Adam."""
        return {name: Player(getattr(self, name), self.adam) for name in ("discriminator", "generator")}

    def setup(self, stage: str) -> None:
        """Holds the length of E's features against that of h.

        Raises:
            BadArgument: if it is another.
        """
        with torch.no_grad():
            found = self.encoding(torch.zeros(1, *self.shape, device=self.device)).shape[1]
        if found != self.latent:
            raise BadArgument(f"latent is {self.latent}, and {self.encoder.name} has {found} features; set it to these")
        super().setup(stage)

    # ---------------------------------------------------------------- training G

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        if self.adversarial:
            self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """-E log D(x) - E log(1 - D(G(h)))."""
        with torch.no_grad():
            fake = self.generator(self.noisy(self.encoding(batch.images)))
        return losses.minimax_discriminator(*(self.discriminator(self.seen(x)) for x in (batch.images, fake)))

    def generator_loss(self, batch: Batch) -> Tensor:
        """a E |x - G(h)|^2 + b E |E_1(x) - E_1(G(h))|^2 + c E |h - E(G(h))|^2 - d E log D(G(h))."""
        with torch.no_grad():
            maps = self.look(batch.images)
            h = maps.mean((2, 3))
        made = self.generator(self.noisy(h))
        again = self.look(made)
        near = (batch.images - made).square().mean()
        alike = (maps - again).square().mean() / maps.square().mean()
        same = (h - again.mean((2, 3))).square().mean() / h.square().mean()
        self.record(pixels=near, maps=alike, features=same)
        loss = sum(weight * term for weight, term in zip(self.weights, (near, alike, same), strict=True))
        if self.adversarial:
            loss = loss + self.adversarial * losses.nonsaturating_generator(self.discriminator(self.seen(made)))
        return loss

    def noisy(self, h: Tensor) -> Tensor:
        """h + s e, in units of the root mean square of h."""
        noise = torch.randn(h.shape, dtype=h.dtype, device=h.device)
        return h + self.noise_share * h.square().mean().sqrt() * noise

    def look(self, images: Tensor) -> Tensor:
        """E_1 `(N, C, h, w)` of images: the coarsest feature maps of the frozen network, found where nobody gave it."""
        if not self.encoder.given:
            self.encoder.give(FeatureMaps(known(self.encoder.name)))
        found: Tensor = self.encoder.network.to(images.device)(images.float())[-1]  # others share it: never narrowed
        return found.to(images)

    def encoding(self, images: Tensor) -> Tensor:
        """E(x) `(n, d)`: the mean of E_1 over space."""
        return self.look(images).mean((2, 3))

    # ---------------------------------------------------------------- drawing

    def generate(self, z: Tensor, condition: Condition) -> Tensor:
        """G(h) of features `(n, d)`, which is all that is exported: a chain needs gradients."""
        return self.averaged(z)

    def render(
        self,
        z: Tensor,
        condition: Condition,
        rngs: Sequence[np.random.RandomState],
        *,
        classifier: Classifier | None = None,
        log_probability: LogProbability | None = None,
        steps: int | None = None,
        epsilon1: float | None = None,
        epsilon2: float | None = None,
        epsilon3: float | None = None,
    ) -> Tensor:
        """G(h) at the end of each image's chain.

        Args:
            z: the h with which chains begin, such as an image's encoding.
            condition: with the classes that are asked for, or what else `log_probability` reads.
            rngs: each image's stream, of which the steps' noise is drawn.
            classifier: that tells them; None for E's own.
            log_probability: in a classifier's place log p(y | x) of whatever the condition asks for, such as that which
                a captioning network gives of `condition.text`.
            steps: of a chain; None for the constructor's, as with the rest.
            epsilon1: of the prior.
            epsilon2: of the class.
            epsilon3: of the noise.

        Raises:
            BadArgument: if both a classifier and `log_probability` are given, or a text without the latter, a number is
                negative, or what steers has another shape than said above, no gradient, or none that is finite.
        """
        if classifier is not None and log_probability is not None:
            raise BadArgument("classifier and log_probability are both given; either is expected")
        if log_probability is None and condition.text is not None:
            raise BadArgument("text is given, and no log_probability of it; give one, or labels")
        given = {"steps": steps, "epsilon1": epsilon1, "epsilon2": epsilon2, "epsilon3": epsilon3}
        chosen = self.chain | {name: value for name, value in given.items() if value is not None}
        for name, value in chosen.items():
            if not value >= 0:
                raise BadArgument(f"{name} is {value}; 0 or more is expected")
        h, told = z, log_probability or of_class(classifier or self.own_classifier)
        for _ in range(int(chosen["steps"])):
            noise = torch.from_numpy(np.stack([rng.randn(self.latent) for rng in rngs])).to(h)
            h = self.step(h, condition, told, noise, *(chosen[f"epsilon{i}"] for i in (1, 2, 3)))
        return self.averaged(h)

    def golden_row(self, n: int) -> Image.Image:
        """G(z) of so many z: a chain of a hundred steps carries the last bits of another processor into its picture."""
        return grid(self.sample(n, seed=0, steps=0), columns=n, padding=0)

    def step(
        self,
        h: Tensor,
        condition: Condition,
        log_probability: LogProbability,
        noise: Tensor,
        epsilon1: float,
        epsilon2: float,
        epsilon3: float,
    ) -> Tensor:
        """h `(n, d)` after a Langevin step (eq. 11), with standard normal `noise`."""
        with torch.enable_grad():
            h = h.detach().requires_grad_()
            made = self.averaged(h)
            pull = torch.zeros_like(h)
            if epsilon2:
                pull = slope(log_probability(made, condition), h)
        h, made = h.detach(), made.detach()
        prior = self.encoding(made) - h if epsilon1 else torch.zeros_like(h)
        return (h + epsilon1 * prior + epsilon2 * pull + epsilon3 * noise).clamp_min(0)

    def own_classifier(self, images: Tensor) -> Tensor:
        """The logits of the network that E is of.

        Raises:
            BadArgument: if it tells no classes, or other numbers of them.
        """
        network = known(self.encoder.name)
        offset, scale = network.offset.to(images), network.scale.to(images)
        found = network.module.to(images.device)((((images + 1) * 127.5 - offset) / scale).float())
        if not isinstance(found, tuple) or found[1].shape[1] != self.classes:
            raise BadArgument(f"{self.encoder.name} does not tell {self.classes} classes; give `classifier`")
        return found[1]
