"""Two families that a user might write, with their recipes: everything the zoo does must work for them unchanged."""

from __future__ import annotations

from pathlib import Path

EBGAN = '''"""EBGAN: an autoencoder as critic, whose reconstruction error is low on data and high on samples.

Zhao et al. 2017, "Energy-based Generative Adversarial Network", arXiv:1609.03126.

    L_D = D(x) + [m - D(G(z))]+        L_G = D(G(z)) + c f_PT(S)
"""

from functools import partial

import torch
from torch import nn
from torch.optim import Adam

from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Player
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register
from ganzoo.nn.mlp import MLP


class Autoencoder(nn.Module):
    def __init__(self, shape, hidden, code):
        super().__init__()
        self.encoder = MLP(shape, (code,), (hidden,))
        self.decoder = MLP((code,), shape, (hidden,))

    def forward(self, x):
        code = self.encoder(x)
        return (self.decoder(code) - x).square().flatten(1).mean(1), code


@register(
    paper="Zhao et al., Energy-based Generative Adversarial Network", year=2017, url="https://arxiv.org/abs/1609.03126"
)
class TestEBGAN(Samples):
    """Energy, not probability, is what the critic gives: low near the data, high elsewhere.

    Args:
        size: side of an image.
        channels: of an image.
        latent: length of z.
        hidden: units of the hidden layers.
        margin: m, beyond which the energy of samples counts no more.
        pulling_away: c, the weight of the term that keeps codes apart.
        lr: learning rate of both players.
    """

    def __init__(
        self, size: int = 8, channels: int = 1, latent: int = 8, hidden: int = 32, margin: float = 1.0,
        pulling_away: float = 0.1, lr: float = 1e-3,
    ) -> None:
        super().__init__()
        self.shape, self.prior = (channels, size, size), Normal(latent)
        self.margin, self.pulling_away = margin, pulling_away
        self.generator = MLP((latent,), self.shape, (hidden,), last=nn.Tanh())
        self.critic = Autoencoder(self.shape, hidden, 16)
        self.adam = partial(Adam, lr=lr)

    def players(self):
        return {"critic": Player(self.critic, self.adam), "generator": Player(self.generator, self.adam)}

    def training_step(self, batch, batch_idx):
        self.move("critic", self.critic_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def critic_loss(self, batch):
        real, fake = self.critic(batch.images)[0], self.critic(self.generator(self.noise(batch)))[0]
        return real.mean() + (self.margin - fake).clamp(min=0).mean()

    def generator_loss(self, batch):
        energy, code = self.critic(self.generator(self.noise(batch)))
        cosine = nn.functional.normalize(code, dim=1) @ nn.functional.normalize(code, dim=1).T
        n = len(code)
        apart = (cosine.square().sum() - n) / max(n * (n - 1), 1)
        return energy.mean() + self.pulling_away * apart
'''

STARGAN = '''"""StarGAN: one generator translates between all domains, which are the labels of one data set.

Choi et al. 2018, "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation",
arXiv:1711.09020.

    L_D = -L_adv + L_cls^r        L_G = L_adv + L_cls^f + lambda E |x - G(G(x, c), c')|
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam

from ganzoo.game.abilities import Translates
from ganzoo.game.engine import Player
from ganzoo.game.registry import register
from ganzoo.nn.translation import ResNetGenerator
from ganzoo.objectives import losses


class Discriminator(nn.Module):
    def __init__(self, channels, size, width, classes):
        super().__init__()
        convolutions = nn.Conv2d(channels, width, 4, 2, 1), nn.Conv2d(width, 2 * width, 4, 2, 1)
        self.main = nn.Sequential(convolutions[0], nn.LeakyReLU(0.01), convolutions[1], nn.LeakyReLU(0.01))
        self.source = nn.Conv2d(2 * width, 1, 3, 1, 1)
        self.domain = nn.Conv2d(2 * width, classes, size // 4)

    def forward(self, x):
        h = self.main(x)
        return self.source(h), self.domain(h).flatten(1)


@register(
    paper="Choi et al., StarGAN", year=2018, url="https://arxiv.org/abs/1711.09020", task="translation"
)
class TestStarGAN(Translates):
    """The wanted domain stands beside the image as constant feature maps.

    Args:
        size: side of an image: a multiple of 4.
        channels: of an image.
        classes: number of domains.
        width: feature maps beside the images.
        cycle: lambda, the weight of the reconstruction.
        lr: learning rate of both players.
    """

    labelled = True

    def __init__(
        self, size: int = 8, channels: int = 1, classes: int = 10, width: int = 8, cycle: float = 10.0, lr: float = 1e-3
    ) -> None:
        super().__init__()
        self.shape, self.classes, self.cycle, self.stride = (channels, size, size), classes, cycle, 4
        self.domains = tuple(f"digit-{k}" for k in range(classes))
        self.generator = ResNetGenerator(channels + classes, channels, width, 1)
        self.discriminator = Discriminator(channels, size, width, classes)
        self.adam = partial(Adam, lr=lr, betas=(0.5, 0.999))

    def players(self):
        return {"discriminator": Player(self.discriminator, self.adam), "generator": Player(self.generator, self.adam)}

    def transform(self, images, to):
        labels = torch.full((len(images),), self.domains.index(to), device=images.device)
        return self.beside(self.averaged, images, labels)

    def beside(self, network, images, labels):
        maps = F.one_hot(labels, self.classes).to(images)[:, :, None, None].expand(-1, -1, *images.shape[2:])
        return network(torch.cat([images, maps], 1))

    def training_step(self, batch, batch_idx):
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def wanted(self, batch):
        return torch.randint(self.classes, (len(batch),), device=self.device)

    def discriminator_loss(self, batch):
        real, domain = self.discriminator(batch.images)
        fake, _ = self.discriminator(self.beside(self.generator, batch.images, self.wanted(batch)).detach())
        return losses.hinge_discriminator(real, fake) + F.cross_entropy(domain, self.labels_of(batch))

    def generator_loss(self, batch):
        wanted = self.wanted(batch)
        fake = self.beside(self.generator, batch.images, wanted)
        source, domain = self.discriminator(fake)
        back = self.beside(self.generator, fake, self.labels_of(batch))
        cycle = F.l1_loss(back, batch.images)
        return losses.hinge_generator(source) + F.cross_entropy(domain, wanted) + self.cycle * cycle
'''

RECIPE = """model:
  class_path: {title}
data:
  class_path: Digits
  init_args:
    batch_size: 16
run:
  license: apache-2.0
  preview_every: 4
  save_every: 4
trainer:
  max_steps: 6
  precision: 32-true
  accelerator: cpu
"""


def write(folder: Path) -> None:
    """The modules, and beside them their recipes."""
    (folder / "recipes").mkdir(parents=True)
    for name, title, text in (("test_ebgan", "TestEBGAN", EBGAN), ("test_stargan", "TestStarGAN", STARGAN)):
        (folder / f"{name}.py").write_text(text)
        (folder / "recipes" / f"{name}.yaml").write_text(RECIPE.format(title=title))
