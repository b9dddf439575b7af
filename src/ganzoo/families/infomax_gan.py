"""InfoMax-GAN: a discriminator whose local and global features tell pictures apart forgets less, and collapses less.

Lee, Tran and Cheung 2021, "InfoMax-GAN: Improved Adversarial Image Generation via Information Maximization and
Contrastive Learning", arXiv:2007.04589. Of a picture the features at each position before the last block, C(x), and the
sum of those after it, E(x), are projected to one space of R dimensions. There a picture's own local features are to be
found among those of the other pictures of the batch by its global one (eqs. 6 to 8, InfoNCE), of real pictures by the
discriminator, of generated ones by the generator:

    L_nce = -E_x E_i log exp(g_i(x, x)) / (exp(g_i(x, x)) + sum_{x' != x, j} exp(g_j(x', x)))
    g_i(x', x) = phi_C(C_i(x')) . phi_E(E(x))
    L_D = V_D + beta L_nce(x)        L_G = V_G + alpha L_nce(G(z))        alpha = beta = 0.2, V the hinge of SNGAN
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player, adams
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn import resnet
from ganzoo.nn.spectral import follow_weights, spectral_layers
from ganzoo.objectives import losses
from ganzoo.schema import Layers, NonNegative, Positive, Probability, Sizes
from ganzoo.types import BadArgument, Batch

_MASKED = -10.0  # a picture's own positions count among its negatives with this score (the authors' code)


class Projection(nn.Module):
    """phi: one hidden layer of rectifiers as wide as its input, beside a linear shortcut.

    Args:
        layer: makes a layer of inputs and outputs: linear, or a convolution of 1 x 1.
        inputs: features.
        outputs: R, the dimensions of the space.
    """

    def __init__(self, layer: Any, inputs: int, outputs: int) -> None:
        super().__init__()
        self.hidden, self.out, self.shortcut = layer(inputs, inputs), layer(inputs, outputs), layer(inputs, outputs)
        for each in (self.hidden, self.out, self.shortcut):
            nn.init.xavier_uniform_(each.weight)
        follow_weights(self)

    def forward(self, h: Tensor) -> Tensor:
        """Maps `(N, inputs, ...)` to `(N, outputs, ...)`."""
        return self.out(F.relu(self.hidden(h))) + self.shortcut(h)


class Discriminator(resnet.Discriminator):
    """SNGAN's, with the projections of its local and its global features.

    Args:
        channels: channels of an image.
        size: side of an image.
        widths: feature maps after each block; the last block is what is between local and global features.
        downsamplings: how many blocks, from the first, halve the side.
        space: R, the dimensions of the space that both are projected to.
    """

    def __init__(self, channels: int, size: int, widths: Sizes, downsamplings: int, space: int) -> None:
        if len(widths) < 2:
            raise BadArgument(f"discriminator_widths has {len(widths)} entries; at least 2 are expected")
        layers = spectral_layers()
        super().__init__(channels, size, widths, downsamplings, layers=layers, activated=True)
        self.local_projection = Projection(partial(layers.conv, kernel_size=1), widths[-2], space)
        self.global_projection = Projection(layers.linear, widths[-1], space)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """Maps images to scores `(N,)`, local features `(N, widths[-2], h, w)` and global ones `(N, widths[-1])`.

        The local features are those after the ReLU with which the last block begins, as in the authors' code.
        """
        h = self.first(x)
        for block in self.blocks[:-1]:
            h = block(h)
        features = F.relu(self.blocks[-1](h)).sum((2, 3))
        return self.score(features).squeeze(1), F.relu(h), features


@register(
    paper="Lee, Tran and Cheung, InfoMax-GAN: Improved Adversarial Image Generation via Information Maximization and "
    "Contrastive Learning",
    year=2021,
    url="https://arxiv.org/abs/2007.04589",
    method="InfoMax-GAN",
    formula=(
        "L_nce = -E_x E_i log exp(g_i(x, x)) / (exp(g_i(x, x)) + sum_{x' != x, j} exp(g_j(x', x)))",
        "g_i(x', x) = phi_C(C_i(x')) . phi_E(E(x))",
        "L_D = V_D + beta L_nce(x)",
        "L_G = V_G + alpha L_nce(G(z))",
    ),
)
class InfoMaxGAN(Samples):
    """Contrasting a picture's local features with its global one keeps the discriminator from forgetting.

    The defaults are the authors' for CIFAR-10, in batches of 64 over 100,000 updates of the generator, whose code
    (mimicry) is followed: pixels are doubled bilinearly and shortcuts see their input after the ReLU. There a picture's
    other positions are no negatives, which the paper's sum has, but count with a score of -10 each. Real and generated
    images go through the discriminator together, in one step of the power method; there, one after the other.

    Args:
        size: side of an image.
        channels: channels of an image.
        latent: length of z, normal.
        widths: the generator's feature maps from the smallest side up; each further one doubles the side.
        discriminator_widths: the discriminator's feature maps after each block; at least two.
        downsamplings: how many of its blocks, from the first, halve the side.
        space: R, the dimensions of the space in which features are contrasted.
        generator_weight: alpha, of generated images' L_nce.
        discriminator_weight: beta, of real ones'.
        n_critic: updates of the discriminator to one of the generator.
        lr: learning rate of the generator.
        discriminator_lr: learning rate of the discriminator; None for the same.
        betas: Adam's decay rates.
        reuse: whether the generator moves against the very images that the discriminator has just seen; it saves a pass
            through the generator.
        upsampling: how pixels are doubled; `nearest` as in SNGAN, which takes half the time on a CPU.
    """

    coupled = True  # other pictures of the batch are the negatives

    def __init__(
        self,
        size: Positive = 32,
        channels: Positive = 3,
        latent: Positive = 128,
        widths: Sizes = (256, 256, 256, 256),
        discriminator_widths: Sizes = (128, 128, 128, 128),
        downsamplings: Layers = 2,
        space: Positive = 1024,
        generator_weight: NonNegative = 0.2,
        discriminator_weight: NonNegative = 0.2,
        n_critic: Positive = 5,
        lr: NonNegative = 2e-4,
        discriminator_lr: NonNegative | None = None,
        betas: tuple[Probability, Probability] = (0.0, 0.9),
        reuse: bool = False,
        upsampling: resnet.Upsampling = "bilinear",
    ) -> None:
        super().__init__()
        self.shape, self.n_critic, self.reuse = (channels, size, size), n_critic, reuse
        self.alpha, self.beta = generator_weight, discriminator_weight
        self.prior = Normal(latent)
        self.generator = resnet.Generator(latent, channels, size, widths, upsampling=upsampling)
        self.discriminator = Discriminator(channels, size, discriminator_widths, downsamplings, space)
        self.adams = adams(lr, lr if discriminator_lr is None else discriminator_lr, betas)

    def players(self) -> dict[str, Player]:
        """The discriminator with both projections, and the generator."""
        return {name: Player(getattr(self, name), adam) for name, adam in self.adams.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An update of the discriminator with a batch; after n_critic of them one of the generator."""
        turn = self.turn(every=self.n_critic)
        fake = self.ahead(self.fake, batch) if turn and self.reuse else None
        self.move("discriminator", self.discriminator_loss, batch, None if fake is None else fake.detach())
        if turn:
            self.move("generator", self.generator_loss, batch, fake)

    def discriminator_loss(self, batch: Batch, fake: Tensor | None = None) -> Tensor:
        """The hinge, and beta times L_nce of real images."""
        fake, n = self.fake(batch) if fake is None else fake, len(batch)
        scores, local, whole = self.discriminator(self.seen(torch.cat([batch.images, fake])))
        return losses.hinge_discriminator(scores[:n], scores[n:]) + self.beta * self.contrast(local[:n], whole[:n])

    def generator_loss(self, batch: Batch, fake: Tensor | None = None) -> Tensor:
        """-E D(G(z)), and alpha times L_nce of generated images."""
        scores, local, whole = self.discriminator(self.seen(self.fake(batch) if fake is None else fake))
        return losses.hinge_generator(scores) + self.alpha * self.contrast(local, whole)

    def contrast(self, local: Tensor, whole: Tensor) -> Tensor:
        """L_nce of local features `(N, c, h, w)` and global ones `(N, d)`."""
        positions = self.discriminator.local_projection(local).flatten(2)
        return infonce(positions, self.discriminator.global_projection(whole))

    def fake(self, batch: Batch) -> Tensor:
        """G(z), as many as there are images in the batch."""
        return self.generator(self.noise(batch))


def infonce(positions: Tensor, wholes: Tensor) -> Tensor:
    """L_nce (eq. 7) of projected positions `(N, R, P)` and wholes `(N, R)`: E log(1 + sum exp(g-) / exp(g+)).

    A picture alone has nothing to be told from: 0.
    """
    if len(wholes) == 1:
        return 0 * wholes.sum()
    scores = torch.einsum("mrp,nr->nmp", positions, wholes).float()  # g of each whole n with picture m's positions
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    others = scores.masked_fill(own[:, :, None], _MASKED).flatten(1).logsumexp(1, keepdim=True)
    return F.softplus(others - scores.diagonal().T).mean()
