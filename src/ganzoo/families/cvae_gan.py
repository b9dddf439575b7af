"""CVAE-GAN: a VAE, a classifier and a GAN, whose generator matches mean features instead of fooling D.

Bao, Chen, Wen, Li and Hua 2017, "CVAE-GAN: Fine-Grained Image Generation through Asymmetric Training",
arXiv:1703.10155. The encoder maps a picture x_r of class c to N(mu, sigma^2), of which G draws it again, x_f = G(z, c);
from the prior it draws x_p. The discriminator D and the classifier C learn by cross-entropy, the generator by distances
of features f_D and f_C, the inputs of their last layers: of x_f to those of x_r, and of means over x_p to means over
x_r (section 3.2). To fool D by cross-entropy has a gradient that vanishes or leaps; to match a mean has not:

    L_D = -E log D(x_r) - E log(1 - D(x_f)) - E log(1 - D(x_p))        L_C = -E log P(c | x_r)
    L_GD = 1/2 |E f_D(x_r) - E f_D(x_p)|^2        L_GC = 1/2 sum_c |E_c f_C(x_r) - E_c f_C(x_p)|^2
    L_G = 1/2 E (|x_r - x_f|^2 + |f_D(x_r) - f_D(x_f)|^2 + |f_C(x_r) - f_C(x_f)|^2)
    L_KL = 1/2 E sum (mu^2 + sigma^2 - log sigma^2 - 1)
    E and G: lambda_1 L_KL + lambda_2 L_G + lambda_3 L_GD + lambda_4 L_GC
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam

from ganzoo.game.abilities import Classifies, Encodes, Labelled
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.objectives import losses
from ganzoo.schema import Layers, NonNegative, Positive, Probability
from ganzoo.types import Batch, Condition


@register(
    paper="Bao, Chen, Wen, Li and Hua, CVAE-GAN: Fine-Grained Image Generation through Asymmetric Training",
    year=2017,
    url="https://arxiv.org/abs/1703.10155",
    method="CVAE-GAN",
    task="conditional",
    formula=(
        "L_D = -E log D(x_r) - E log(1 - D(x_f)) - E log(1 - D(x_p))",
        "L_C = -E log P(c | x_r)",
        "L_GD = 1/2 |E f_D(x_r) - E f_D(x_p)|^2",
        "L_GC = 1/2 sum_c |E_c f_C(x_r) - E_c f_C(x_p)|^2",
        "L_G = 1/2 E (|x_r - x_f|^2 + |f_D(x_r) - f_D(x_f)|^2 + |f_C(x_r) - f_C(x_f)|^2)",
        "L_KL = 1/2 E sum (mu^2 + sigma^2 - log sigma^2 - 1)",
    ),
)
class CVAEGAN(Labelled, Encodes, Classifies):
    """A VAE, a classifier and a GAN, whose generator matches mean features instead of fooling the discriminator.

    What comes back of a picture is drawn of the class that C sees in it and of the mean of its code. Squares are summed
    over pixels and features. Means over a class are those of the batch, and x_p are of its classes; the paper, with up
    to 530 of them, keeps moving averages. Its encoder is a GoogLeNet and its classifier an AlexNet, for 128 pixels, and
    its generator has six layers of deconvolution behind fully connected ones; here all are made of strided convolutions
    as its discriminator, DCGAN's, is. The encoder is told the class by constant maps beside the picture, not before its
    last layers, and the classifier has no normalization, so that drawn pictures leave it as it is. No code of the
    authors' is known, and no rates: DCGAN's stand here. The four weights are those of Algorithm 1.

    Args:
        size: side of an image: 4 to 7 times a power of 2, and a multiple of 2 to the number of `layers`.
        channels: channels of an image.
        classes: number of classes.
        latent: length of z.
        width: feature maps of the generator before its last layer.
        discriminator_width: feature maps after the discriminator's first layer.
        classifier_width: the same of the classifier.
        encoder_width: the same of the encoder.
        layers: halvings of the encoder.
        encoder_hidden: units of its hidden layer; as many as it is given where None.
        kl: lambda_1.
        reconstruction_weight: lambda_2.
        mean_features: lambda_3 of D's.
        class_features: lambda_4 of C's.
        lr: learning rate of all players.
        betas: Adam's decay rates.
    """

    inference = averages = ("generator", "encoder", "classifier")
    coupled = True  # the means of a batch

    def __init__(
        self,
        size: Positive = 128,
        channels: Positive = 3,
        classes: Positive = 10,
        latent: Positive = 256,
        width: Positive = 64,
        discriminator_width: Positive = 64,
        classifier_width: Positive = 64,
        encoder_width: Positive = 64,
        layers: Layers = 4,
        encoder_hidden: Positive | None = None,
        kl: NonNegative = 3.0,
        reconstruction_weight: NonNegative = 1.0,
        mean_features: NonNegative = 1e-3,
        class_features: NonNegative = 1e-3,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        self.shape, self.classes, self.prior = (channels, size, size), classes, Normal(latent)
        self.generator = dcgan.Generator(latent + classes, channels, size, width)
        self.encoder = dcgan.Encoder(channels + classes, size, encoder_width, layers, encoder_hidden, 2 * latent)
        self.discriminator = dcgan.Discriminator(channels, size, discriminator_width)
        self.classifier = dcgan.Discriminator(channels, size, classifier_width, None, classes)
        self.weights = (kl, reconstruction_weight, mean_features, class_features)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def players(self) -> dict[str, Player]:
        """The discriminator, the classifier, and the generator with the encoder."""
        return {
            "discriminator": Player(self.discriminator, self.adam),
            "classifier": Player(self.classifier, self.adam),
            "generator": Player((self.generator, self.encoder), self.adam),
        }

    # ---------------------------------------------------------------- learning

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Algorithm 1: one update of each player; G's and E's are one, since no term of either moves the other."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("classifier", self.classifier_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Real pictures, those drawn again, and those drawn from the prior."""
        with torch.no_grad():
            again, _, _ = self.again(batch)
            new = self.drawn(self.noise(batch), self.labels_of(batch))
        real, again_, new_ = (self.discriminator(self.seen(x.to(batch.images))) for x in (batch.images, again, new))
        return losses.minimax_discriminator(real, again_) + F.softplus(new_.float()).mean()

    def classifier_loss(self, batch: Batch) -> Tensor:
        """-E log P(c | x_r)."""
        return F.cross_entropy(self.classifier(batch.images).float(), self.labels_of(batch))

    def generator_loss(self, batch: Batch) -> Tensor:
        """The code's divergence, what comes back, and the means of what is drawn."""
        labels = self.labels_of(batch)
        again, mean, log_variance = self.again(batch)
        new = self.drawn(self.noise(batch), labels)
        divergence = (mean.square() + log_variance.exp() - log_variance - 1).sum(1).mean() / 2
        images = (batch.images, again, new)
        told = [self.discriminator(self.seen(x), with_features=True)[1].flatten(1).float() for x in images]
        classed = [self.classifier(x, with_features=True)[1].flatten(1).float() for x in images]
        pairs = ((batch.images.flatten(1), again.flatten(1)), told[:2], classed[:2])
        back = torch.stack([(one - other).float().square().sum(1).mean() for one, other in pairs]).sum() / 2
        means = (told[0].mean(0) - told[2].mean(0)).square().sum() / 2
        of_classes = self.class_means(classed[0] - classed[2], labels).square().sum() / 2
        self.record(divergence=divergence, back=back, means=means, class_means=of_classes)
        terms = torch.stack([divergence, back, means, of_classes])
        return terms @ torch.tensor(self.weights, device=terms.device)

    def class_means(self, features: Tensor, labels: Tensor) -> Tensor:
        """Means `(classes, d)` of the rows `(N, d)` of each class; 0 for a class that does not occur."""
        members = self.vectors(labels).to(features)
        return members.T @ features / members.sum(0).clamp(min=1)[:, None]

    def again(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """x_f, and the mean and the logarithm of the variance of the code `(N, latent)`."""
        labels = self.labels_of(batch)
        mean, log_variance = self.code(self.encoder, batch.images, labels)
        z = mean + (log_variance / 2).exp() * self.noise(batch)
        return self.drawn(z, labels), mean, log_variance

    def code(self, encoder: torch.nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What an encoder says of images of classes."""
        maps = self.vectors(labels).to(images)[:, :, None, None].expand(-1, -1, *images.shape[2:])
        mean, log_variance = encoder(torch.cat([images, maps], 1)).float().chunk(2, 1)
        return mean, log_variance

    # ---------------------------------------------------------------- drawing, and what comes back

    def logits(self, images: Tensor) -> Tensor:
        """C's."""
        return self.average_module("classifier")(images)

    def encoding(self, images: Tensor) -> Tensor:
        """The means of the codes, of the classes that C sees."""
        return self.code(self.average_module("encoder"), images, self.logits(images).argmax(1))[0]

    def reconstruction(self, images: Tensor) -> Tensor:
        """G(mu(x, c), c) of the class that C sees."""
        z = self.encoding(images).to(images)
        return self.generate(z, Condition(self.logits(images).argmax(1)))
