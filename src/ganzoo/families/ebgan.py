"""EBGAN: the discriminator is an energy, low on the data; here it is how badly an autoencoder reconstructs.

Zhao, Mathieu and LeCun 2017, "Energy-based Generative Adversarial Network", arXiv:1609.03126. With the energy
D(v) = |v - Dec(Enc(v))|^2, which the discriminator raises on samples up to a margin m (section 2.1):

    L_D = E D(x) + E max(0, m - D(G(z)))        L_G = E D(G(z)) + w PT

The pulling-away term keeps a batch's samples apart, by their codes S = Enc(G(z)), where L_G alone does not ask for
variety (section 2.4):

    PT = 1/(N (N - 1)) sum_i sum_{j != i} (S_i . S_j / (|S_i| |S_j|))^2
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import dcgan
from ganzoo.schema import Layers, NonNegative, Positive, Probability
from ganzoo.types import BadArgument, Batch


class Autoencoder(nn.Module):
    """Strided 4 x 4 convolutions to the code and back, with batch normalization but at both ends.

    Args:
        channels: channels of an image.
        width: feature maps after the first layer; each further layer of the encoder has twice as many.
        halvings: layers of the encoder, and as many of the decoder.
    """

    def __init__(self, channels: int, width: int, halvings: int) -> None:
        super().__init__()
        widths = [channels, *(width * 2**i for i in range(halvings))]
        self.encoder, self.decoder = nn.Sequential(), nn.Sequential()
        for i in range(halvings):
            self.encoder.append(nn.Conv2d(widths[i], widths[i + 1], 4, stride=2, padding=1))
            self.encoder.extend([nn.BatchNorm2d(widths[i + 1])] if i else [])
            self.encoder.append(nn.LeakyReLU(0.2, inplace=True))
        for i in reversed(range(halvings)):
            self.decoder.append(nn.ConvTranspose2d(widths[i + 1], widths[i], 4, stride=2, padding=1))
            self.decoder.extend([nn.BatchNorm2d(widths[i]), nn.LeakyReLU(0.2, inplace=True)] if i else [])
        self.apply(_initialize)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maps `(N, C, H, W)` to the energies `(N,)` and the codes `(N, d)`."""
        code = self.encoder(images)
        away = (self.decoder(code).float() - images.float()).flatten(1)
        return away.square().sum(1), code.flatten(1)


def _initialize(module: nn.Module) -> None:
    """Weights from N(0, 0.002), a tenth of the generator's."""
    dcgan.initialize(module)
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        module.weight.data.div_(10)


def pulling_away(codes: Tensor) -> Tensor:
    """PT of codes `(N, d)`: the mean squared cosine of two different samples, in [0, 1]; 0 for a single one."""
    n, unit = len(codes), F.normalize(codes.float(), dim=1)
    with torch.autocast(codes.device.type, enabled=False):  # a diagonal is taken off that must be as exact
        cosines = unit @ unit.T
    return (cosines.square().sum() - unit.square().sum(1).square().sum()) / max(n * (n - 1), 1)


@register(
    paper="Zhao, Mathieu and LeCun, Energy-based Generative Adversarial Network",
    year=2017,
    url="https://arxiv.org/abs/1609.03126",
    formula=(
        "D(v) = |v - Dec(Enc(v))|^2",
        "L_D = E D(x) + E max(0, m - D(G(z)))",
        "L_G = E D(G(z)) + w PT",
        "PT = 1/(N (N - 1)) sum_i sum_{j != i} (S_i . S_j / (|S_i| |S_j|))^2",
    ),
)
class EBGAN(Samples):
    """The discriminator is an energy, an autoencoder's error, which is raised on samples only up to a margin.

    The energy is the squared error summed over an image's values: the paper writes a norm and draws an "MSE" (figure
    1), and its margins of 10 to 80 stand above zero error by little only for a sum. The generator is DCGAN's; learning
    rate and decay rates are DCGAN's too, where the paper searched.

    Args:
        size: side of an image: 4, 5, 6 or 7 times a power of two.
        channels: channels of an image.
        latent: length of z, normal.
        width: feature maps beside the images, in both networks.
        downsamplings: halvings of the encoder, which divide the side.
        margin: m, the energy up to which samples are raised (20 for the paper's faces of 64 pixels).
        pulling: w, the weight of the pulling-away term (0.1 in the paper); 0 for none.
        lr: learning rate of both players.
        betas: Adam's decay rates.
    """

    coupled = True  # the pulling-away term compares a batch's samples

    def __init__(
        self,
        size: Positive = 64,
        channels: Positive = 3,
        latent: Positive = 100,
        width: Positive = 64,
        downsamplings: Layers = 3,
        margin: NonNegative = 20.0,
        pulling: NonNegative = 0.1,
        lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        if size % 2**downsamplings:
            raise BadArgument(
                f"size is {size} and downsamplings {downsamplings}; a multiple of {2**downsamplings} is expected"
            )
        self.shape, self.prior = (channels, size, size), Normal(latent)
        self.margin, self.pulling = margin, pulling
        self.generator = dcgan.Generator(latent, channels, size, width)
        self.discriminator = Autoencoder(channels, width, downsamplings)
        self.adam = partial(Adam, lr=lr, betas=betas)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update of each player."""
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """E D(x) + E max(0, m - D(G(z)))."""
        real, _ = self.discriminator(self.seen(batch.images))
        fake, _ = self.discriminator(self.seen(self.generator(self.noise(batch))))
        self.record(real_energy=real.mean(), fake_energy=fake.mean())
        return real.mean() + F.relu(self.margin - fake).mean()

    def generator_loss(self, batch: Batch) -> Tensor:
        """E D(G(z)) + w PT."""
        energies, codes = self.discriminator(self.seen(self.generator(self.noise(batch))))
        term = pulling_away(codes)
        self.record(pulling_away=term)
        return energies.mean() + self.pulling * term

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """-D(v) of each image."""
        return -self.discriminator(images)[0]
