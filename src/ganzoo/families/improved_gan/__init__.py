"""Improved GAN: five techniques for training GANs, and a discriminator that classifies with few labels.

Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498. Of K classes and "generated" the last
one's logit is fixed at 0 (section 5), so that K logits l and Z = sum exp l_k give D(x) = Z / (Z + 1):

    L_D = -E log p(y | x, y <= K) + w / 2 (-E log D(x) - E log(1 - D(G(z))))        L_G = |E f(x) - E f(G(z))|^2

where f are features of D (feature matching, 3.1); without it L_G = E log(1 - D(G(z))). Minibatch discrimination (3.2),
historical averaging (3.3), one-sided label smoothing (3.4) and virtual batch normalization (3.5) are to be switched on.
The networks, with weight normalization and noise, are those of the authors' code for MNIST.
"""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.families.improved_gan.adam import RootAdam
from ganzoo.families.improved_gan.networks import Discriminator, Generator, History
from ganzoo.game.abilities import Classifies, Samples
from ganzoo.game.priors import Uniform
from ganzoo.game.registry import register
from ganzoo.objectives import losses
from ganzoo.schema import Count, NonNegative, Positive, Probability, Sizes
from ganzoo.types import Batch


@register(
    paper="Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen, Improved Techniques for Training GANs",
    year=2016,
    url="https://arxiv.org/abs/1606.03498",
    method="Improved GAN",
    formula=(
        "L_D = -E log p(y | x, y <= K) + w / 2 (-E log D(x) - E log(1 - D(G(z))))",
        "L_G = |E f(x) - E f(G(z))|^2",
    ),
)
class ImprovedGAN(Samples, Classifies):
    """A discriminator with a logit for each class learns to classify from few labels and many unlabelled images.

    The defaults are those of the authors' code for MNIST. Where it draws a second batch of real images, whose features
    the generator is to match, a batch's unlabelled images are divided here between the two players.

    Args:
        size: side of an image.
        channels: channels of an image.
        classes: K.
        latent: length of z, uniform in [0, 1].
        hidden: widths of the generator's layers.
        discriminator_hidden: widths of the discriminator's layers.
        noise: deviations of the noise at its input (0.3 of a range of 1 in the authors' code) and further layers.
        unlabelled: w, the weight of the unlabelled part.
        feature_matching: whether the generator matches features, as is best for classifying, or fools D.
        kernels: B and C of minibatch discrimination (100 and 5 in the authors' code); B = 0 for none.
        historical: weight of historical averaging in both losses.
        smoothing: how far the target of real images lies below 1.
        reference: latents in the reference batch of the generator's virtual batch normalization; 0 for none.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    inference = averages = ("generator", "discriminator")
    average_half_life = 693_000.0  # the authors' 0.0001 an update of 100 images
    coupled = True  # means of features are compared

    def __init__(
        self,
        size: Positive = 28,
        channels: Positive = 1,
        classes: Positive = 10,
        latent: Positive = 100,
        hidden: Sizes = (500, 500),
        discriminator_hidden: Sizes = (1000, 500, 250, 250, 250),
        noise: tuple[NonNegative, NonNegative] = (0.6, 0.5),
        unlabelled: NonNegative = 1.0,
        feature_matching: bool = True,
        kernels: tuple[Count, Positive] = (0, 5),
        historical: NonNegative = 0.0,
        smoothing: Probability = 0.0,
        reference: Count = 0,
        lr: NonNegative = 3e-3,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.categories = (channels, size, size), classes
        self.prior = Uniform(0, 1, latent)
        self.unlabelled, self.feature_matching, self.smoothing = unlabelled, feature_matching, smoothing
        self.generator = Generator(latent, self.shape, hidden, reference)
        self.discriminator = Discriminator((math.prod(self.shape), *discriminator_hidden), classes, noise, kernels)
        self.history = History(historical)
        self.adam = partial(RootAdam, lr=lr, betas=betas)

    def rank_state(self) -> dict[str, Tensor]:
        """The means of all past parameters, where historical averaging is on."""
        return self.history.means

    def load_rank_state(self, state: dict[str, Tensor]) -> None:
        """Takes them back."""
        self.history.means = dict(state)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player; before the first, the discriminator's scales are set by the data."""
        if self.batches_seen == 1 and not self.discriminator.ready:
            self.discriminator.initialize(batch.images, partial(self.trainer.strategy.reduce, reduce_op="mean"))
        for player, loss in (("discriminator", self.discriminator_loss), ("generator", self.generator_loss)):
            self.history.observe(player, getattr(self, player))
            self.move(player, loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """The classes of labelled images, and D, whose logit is log Z, of unlabelled and generated ones."""
        labels, unlabelled, _ = self.labels(batch)
        logits = self.discriminator(self.seen(batch.images))[0].float()
        fake = self.discriminator(self.seen(self.generator(self.noise(batch))))[0].float()
        told = F.cross_entropy(logits, labels, ignore_index=-1, reduction="sum") / (labels >= 0).sum().clamp(min=1)
        game = losses.minimax_discriminator(logits[unlabelled].logsumexp(1), fake.logsumexp(1), self.smoothing)
        return told + 0.5 * self.unlabelled * game + self.history.term("discriminator", self.discriminator)

    def generator_loss(self, batch: Batch) -> Tensor:
        """The distance of mean features (section 3.1), or E log(1 - D(G(z)))."""
        logits, features = self.discriminator(self.seen(self.generator(self.noise(batch))))
        if self.feature_matching:
            real = self.discriminator(self.seen(batch.images))[1][self.labels(batch)[2]]  # D rests: no gradients here
            loss = (real.float().mean(0) - features.float().mean(0)).square().mean()
        else:
            loss = losses.minimax_generator(logits.float().logsumexp(1))
        return loss + self.history.term("generator", self.generator)

    def labels(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The labels `(N,)`, -1 where there is none, and which samples are unlabelled ones for D, and for G to match.

        Images without labels are, or all where each has one; in turn they are D's and G's.
        """
        labels = batch.images.new_full((len(batch.images),), -1).long() if batch.labels is None else batch.labels
        unlabelled = (labels < 0) | (labels >= 0).all()
        if not self.feature_matching or len(batch) < 2:
            return labels, unlabelled, unlabelled
        place = unlabelled.cumsum(0)
        odd = unlabelled & (place % 2 == 1)
        return labels, odd, torch.where(place[-1] > 1, unlabelled & ~odd, unlabelled)

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """D's logit, log Z."""
        return self.discriminator(images)[0].logsumexp(1)

    @property
    def taught(self) -> int:
        """K, where there are labels."""
        return self.categories

    def logits(self, images: Tensor) -> Tensor:
        """Of the K classes."""
        return self.average_module("discriminator")(images)[0]
