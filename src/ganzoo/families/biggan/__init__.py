"""BigGAN: what makes class-conditional GANs work at scale, and a dial between fidelity and diversity.

Brock, Donahue and Simonyan 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis",
arXiv:1809.11096. One embedding of the class, shared by all layers, and a part of z for every resolution steer
conditional batch normalization (figure 15); both players are residual networks with self-attention under spectral
normalization, and play the hinge game with labels projected into D. Filters are kept apart, so that the generator
stands a z whose large values are drawn again (section 3.1, eq. 3):

    L_D = E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y'))
    L_G = -E D(G(z, y'), y') + beta sum_W ||W'W o (1 - I)||^2

BigGAN-deep (appendix B, figure 16) has bottleneck blocks, and gives all of z to each.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ganzoo.families.biggan.networks import Discriminator, Generator, accumulating
from ganzoo.game.abilities import Samples
from ganzoo.game.contract import Program
from ganzoo.game.engine import Player, adams
from ganzoo.game.priors import Normal, truncate
from ganzoo.game.registry import register
from ganzoo.objectives import losses
from ganzoo.schema import Count, Depth, NonNegative, Positive, PositiveFloat, Probability, Sizes
from ganzoo.types import BadArgument, Batch, Condition

_PUBLISHED_LIMIT = 2.0  # where the published BigGAN-deep truncate, before they scale
_STANDING_SEEDS = 2**30  # far from those of samples


@register(
    paper="Brock, Donahue and Simonyan, Large Scale GAN Training for High Fidelity Natural Image Synthesis",
    year=2019,
    url="https://arxiv.org/abs/1809.11096",
    formula=(
        "L_D = E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y'))",
        "L_G = -E D(G(z, y'), y') + beta sum_W ||W'W o (1 - I)||^2",
    ),
)
class BigGAN(Samples):
    """Scale, a class embedding shared by all layers, and truncation, which trades diversity for fidelity.

    Args:
        widths: G's feature maps at 4, 8, 16, ... pixels; the last is the image's side. (Table 4: a multiple of 96.)
        discriminator_widths: of D's blocks; in BigGAN-deep of its first convolution, and then of its stages.
        channels: channels of an image.
        classes: number of classes of the data.
        latent: length of z; a multiple of the number of `widths` where it is `hierarchical`.
        embedding: length of the shared embedding of the class; 0 for a table of its own in every normalization.
        hierarchical: whether each stage is given a part of z (skip-z).
        depth: 0 for BigGAN; for BigGAN-deep the blocks a stage (2).
        attention_after: stages of G that end in self-attention, counted from 1; the 4th reaches 64 pixels.
        discriminator_attention_after: stages of D that do.
        bottom: side of D's last feature maps (4; in the authors' code 8 for images of 32 pixels).
        wide: whether the inner feature maps of D's blocks are as many as the outer ones (SNGAN's are fewer).
        activated: whether the shortcuts of D's blocks see what is positive alone, as in StudioGAN.
        outputs: feature maps of G's last layer, of which the first are the image; 0 for no further ones.
        eps: added to the variances of batch normalization (1e-5 in the authors' PyTorch code, 1e-4 in the paper's).
        statistics: truncations, evenly from 0 to 1, for which the generator holds statistics; 0 for none.
        standing: batches that standing statistics are the mean of (appendix D); 0 to keep the running ones.
        n_critic: updates of D to one of G (appendix C).
        orthogonal: beta, the weight of the orthogonal regularisation.
        lr: G's learning rate.
        discriminator_lr: D's learning rate.
        betas: Adam's decay rates.
        adam_eps: added to Adam's denominator (authors' code).
    """

    average_half_life = 28_400_000.0  # 0.9999 a step of G, for which D sees 2 batches of 2048 images
    labelled = True
    label_vectors = True  # classes are mixed in the embedding

    def __init__(
        self,
        widths: Sizes = (1536, 1536, 768, 384, 192, 96),
        discriminator_widths: Sizes = (96, 192, 384, 768, 1536, 1536),
        channels: Positive = 3,
        classes: Positive = 1000,
        latent: Positive = 120,
        embedding: Count = 128,
        hierarchical: bool = True,
        depth: Depth = 0,
        attention_after: Sizes = (4,),
        discriminator_attention_after: Sizes = (1,),
        bottom: Positive = 4,
        wide: bool = True,
        activated: bool = False,
        outputs: Count = 0,
        eps: PositiveFloat = 1e-5,
        statistics: Count = 0,
        standing: Count = 100,
        n_critic: Positive = 2,
        orthogonal: NonNegative = 1e-4,
        lr: NonNegative = 5e-5,
        discriminator_lr: NonNegative = 2e-4,
        betas: tuple[Probability, Probability] = (0.0, 0.999),
        adam_eps: PositiveFloat = 1e-6,
    ) -> None:
        super().__init__()
        size = 4 << max(len(widths) - 1, 0)
        self.shape, self.classes = (channels, size, size), classes
        self.prior = Normal(latent)
        self.n_critic, self.orthogonal, self.statistics, self.standing = n_critic, orthogonal, statistics, standing
        stages, critic_stages = len(widths) - 1, len(discriminator_widths) - (depth > 0)
        sides = [size >> n for n in range(critic_stages + 1)]
        _expect(stages > 0, f"widths are {list(widths)}; one for 4 pixels and one each doubling are expected")
        _expect(bottom in sides, f"bottom is {bottom}; one of {sides}, which D's stages can reach, is expected")
        for name, last, given in (
            ("", stages, attention_after),
            ("discriminator_", critic_stages, discriminator_attention_after),
        ):
            there = set(given) <= set(range(1, last + 1))
            _expect(there, f"{name}attention_after is {list(given)}; stages from 1 to {last} are expected")
        steered = embedding > 0 or not (hierarchical or depth)
        _expect(steered, "embedding is 0; a table in every normalization leaves no place for parts of z")
        even = depth > 0 or not hierarchical or latent % len(widths) == 0
        _expect(even, f"latent is {latent}; a multiple of {len(widths)}, the number of widths, is expected")
        _expect(outputs == 0 or outputs >= channels, f"outputs is {outputs}; at least {channels} are expected, or 0")
        _expect(statistics != 1, "statistics is 1; rows for truncations from 0 to 1 are expected, or 0")
        steering = (embedding, hierarchical, depth, attention_after)
        self.generator = Generator(latent, channels, classes, widths, *steering, outputs, eps, statistics)
        blocks = (depth, discriminator_attention_after, wide, activated)
        self.discriminator = Discriminator(channels, classes, discriminator_widths, size, bottom, *blocks)
        self.adams = adams(lr, discriminator_lr, betas, adam_eps)
        self._settled: list[int] = []  # versions of the averaged generator's tensors, with standing statistics

    def players(self) -> dict[str, Player]:
        """The discriminator, and the generator with a slower Adam."""
        return {name: Player(getattr(self, name), adam) for name, adam in self.adams.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """An update of the discriminator with a batch; after n_critic of them one of the generator."""
        self.move("discriminator", self.discriminator_loss, batch)
        if self.turn(every=self.n_critic):
            self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y')), in one pass, for which D is normalized once."""
        fake, classes = self.fake(batch)
        images = self.seen(torch.cat([batch.images, fake.to(batch.images)]))
        real, generated = self.discriminator(images, torch.cat([self.labels_of(batch), classes])).chunk(2)
        return losses.hinge_discriminator(real, generated)

    def generator_loss(self, batch: Batch) -> Tensor:
        """-E D(G(z, y'), y') + beta sum_W ||W'W o (1 - I)||^2."""
        fake, classes = self.fake(batch)
        game = losses.hinge_generator(self.discriminator(self.seen(fake), classes))
        return game + self.orthogonal * self.orthogonality() if self.orthogonal else game

    def fake(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """As many samples as the batch has, and the classes, drawn evenly, that they are of."""
        assert self.classes is not None
        n = len(batch.images)
        z = self.noise(batch)
        labels = torch.randint(self.classes, (n,), device=self.device)
        return self.generator(z, labels), labels

    def orthogonality(self) -> Tensor:
        """Eq. 3: the squares of all products of two filters of a layer, over G's layers, without tables of classes."""
        total = torch.zeros((), device=self.device)
        with torch.autocast(self.device.type, enabled=False):
            for layer in self.generator.modules():
                if isinstance(layer, (nn.Conv2d, nn.Linear)):
                    filters = layer.weight.flatten(1)
                    # Both Gram matrices have the same norm, and the smaller one may be smaller by thousands
                    gram = filters @ filters.T if len(filters) < filters.shape[1] else filters.T @ filters
                    total = total + gram.square().sum() - filters.square().sum(1).square().sum()
        return total

    def generate(self, z: Tensor, condition: Condition, truncation: float | None = None) -> Tensor:
        """Maps z `(n, latent)` as it is, and labels, through the averaged generator.

        Where that holds statistics by truncation, those of `truncation` normalize, in [0, 1]; the running ones if None.
        """
        return self.averaged(z, condition.labels, truncation)

    def render(
        self,
        z: Tensor,
        condition: Condition,
        rngs: Sequence[np.random.RandomState],
        *,
        truncation: float | None = None,
    ) -> Tensor:
        """Draws values of z beyond `truncation` again (section 3.1) before it is mapped to images.

        Where the generator holds statistics by truncation, as the published BigGAN-deep do, truncation is as theirs: at
        most 1, values beyond 2 are drawn again, and z is multiplied by it.

        Raises:
            BadArgument: for a truncation out of range.
        """
        if truncation is None:
            return self.generate(z, condition)
        if not 0 < truncation <= (1 if self.statistics else math.inf):
            limits = "above 0, and at most 1," if self.statistics else "above 0"
            raise BadArgument(f"truncation is {truncation}; a number {limits} is expected")
        return self.generate(self.truncate(z, rngs, truncation), condition, truncation)

    def truncate(self, z: Tensor, rngs: Sequence[np.random.RandomState], truncation: float) -> Tensor:
        """z `(n, latent)` with what is too large drawn again, each row from its stream; `render` says what that is."""
        limit, scale = (_PUBLISHED_LIMIT, truncation) if self.statistics else (truncation, 1.0)
        return torch.from_numpy(truncate(z.float().cpu().numpy(), rngs, limit, scale)).to(z)

    def program(self) -> Program:
        """From z, of which what is too large was drawn again, and labels, to images.

        Where the generator holds statistics by truncation, that is an input too, `()` float64, and below 0 for none.
        """
        plain = super().program()
        if not self.statistics:
            return replace(plain, facts={**plain.facts, "truncation": "z"})
        facts = {**plain.facts, "truncation": "scale", "limit": _PUBLISHED_LIMIT}
        inputs = {**plain.inputs, "truncation": torch.tensor(0.5, dtype=torch.float64)}
        return Program(lambda *given: self.averaged(*given), inputs, ("truncation",), facts=facts)

    def finalize(self) -> None:
        """Takes standing statistics before the model is measured or saved, where it has learned since the last ones."""
        state = [tensor._version for tensor in self.averaged.state_dict().values()]
        if self.standing and self.batches_seen and state != self._settled:
            self.standing_statistics(self.standing)
            self._settled = [tensor._version for tensor in self.averaged.state_dict().values()]

    @torch.no_grad()
    def standing_statistics(self, batches: int = 100, batch_size: int = 64) -> None:
        """Puts the means over batches of samples in the place of the averaged generator's running statistics.

        Appendix D. Running ones are of the live weights, and differ with the batch. Statistics by truncation are taken
        anew too, each from samples so truncated.

        Args:
            batches: how many.
            batch_size: samples in each.
        """
        steps = [row / (self.statistics - 1) for row in range(self.statistics)]
        with self.inferring():
            for row, truncation in enumerate([*steps, None]):
                with accumulating(self.averaged, None if truncation is None else row):
                    for first in range(_STANDING_SEEDS, _STANDING_SEEDS + batches * batch_size, batch_size):
                        z, labels = self.draw(range(first, first + batch_size))
                        if truncation is not None:
                            z = self.truncate(z, [np.random.RandomState(first)] * batch_size, truncation)
                        self.averaged(z.to(self.device), labels.to(self.device))  # type: ignore[union-attr]


def _expect(sound: bool, otherwise: str) -> None:
    if not sound:
        raise BadArgument(otherwise)
