"""The blocks of BigGAN and BigGAN-deep (Brock 2019, arXiv:1809.11096, appendix B): conditional, normalized, residual.

Figures and tables are those of the paper. Of two linear maps that can change places, such as a convolution of 1 x 1 and
a resampling, whichever is cheaper comes first; authors' codes differ in that.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.nn.attention import SelfAttention
from ganzoo.nn.resnet import pooled_convolution, upsampled_convolution
from ganzoo.nn.spectral import Layers, follow_weights, spectral_layers
from ganzoo.types import BadArgument

LAYERS: Layers = spectral_layers(eps=1e-6)
BOTTLENECK = 4  # BigGAN-deep's inner convolutions have a quarter of the feature maps


class Norm(nn.BatchNorm2d):
    """Batch normalization that may hold statistics for several truncations beside its running ones.

    Args:
        width: feature maps.
        eps: added to variances.
        rows: truncations, evenly from 0 to 1, for which there are statistics.
        affine: whether it has a gain and a bias of its own.
    """

    def __init__(self, width: int, eps: float, rows: int, affine: bool = True) -> None:
        super().__init__(width, eps=eps, affine=affine)
        self.rows = rows
        self.means: Tensor
        self.variances: Tensor
        if rows:
            self.register_buffer("means", torch.zeros(rows, width))
            self.register_buffer("variances", torch.ones(rows, width))

    def forward(self, x: Tensor, truncation: float | Tensor | None = None) -> Tensor:
        """Normalizes `(N, width, H, W)`, in evaluation mode by the statistics for `truncation` where there are some.

        The truncation is a number, or `()` float64, which is below 0 for none.
        """
        if truncation is None or self.training or not self.rows:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None
        given = torch.as_tensor(truncation, dtype=torch.float64)
        none, pairs = (given < 0).to(x.device), ((self.means, self.running_mean), (self.variances, self.running_var))
        mean, variance = (torch.where(none, other, self.between(table, given)) for table, other in pairs)
        return F.batch_norm(x, mean, variance, self.weight, self.bias, eps=self.eps)

    def between(self, table: Tensor, truncation: Tensor) -> Tensor:
        """Interpolates the rows of a table, with the weights the wrong way about, as the published models do."""
        # In the published code's arithmetic; a tensor, because exporters write plain numbers in float32
        place = truncation.clamp(min=0) / torch.tensor(1 / (self.rows - 1), dtype=torch.float64)
        row = place.long()
        this, following = table.index_select(0, torch.stack([row, row + 1]).clamp(max=self.rows - 1).to(table.device))
        share, rest = (place - row).to(table), (1 - (place - row)).to(table)
        return torch.where(share > 0, share * this + rest * following, this)


class ConditionalNorm(nn.Module):
    """Batch normalization whose gain, less 1, and bias are linear in the condition, or looked up by class.

    Args:
        width: feature maps.
        condition: length of the condition; 0 for a table of `classes` rows each.
        classes, eps, rows: see `BigGAN`.
    """

    def __init__(self, width: int, condition: int, classes: int, eps: float, rows: int) -> None:
        super().__init__()
        self.norm = Norm(width, eps, rows, affine=False)
        make = partial(LAYERS.linear, condition, bias=False) if condition else partial(nn.Embedding, classes)
        self.gain, self.bias = make(width), make(width)

    def forward(self, x: Tensor, condition: Tensor, truncation: float | Tensor | None) -> Tensor:
        """Normalizes `(N, width, H, W)` by conditions `(N, condition)`, or by labels."""
        gain, bias = (
            look_up(m, condition) if isinstance(m, nn.Embedding) else m(condition) for m in (self.gain, self.bias)
        )
        x = self.norm(x, truncation)
        return torch.addcmul(bias.to(x)[..., None, None], x, (1 + gain.to(x))[..., None, None])


def look_up(table: nn.Embedding, labels: Tensor) -> Tensor:
    """Rows of a table by class indices `(N,)`, or its rows mixed by vectors `(N, classes)`."""
    return labels.to(table.weight) @ table.weight if labels.dim() == 2 else table(labels)


def three_by_three(*widths: int) -> list[nn.Conv2d]:
    """Convolutions of 3 x 3 from each number of feature maps to the next."""
    return [LAYERS.conv(inputs, outputs, 3, padding=1) for inputs, outputs in pairwise(widths)]


class GeneratorBlock(nn.Module):
    """A residual block that doubles the side (figure 15b), or BigGAN-deep's, which need not (figure 16b).

    Args:
        inputs, outputs: feature maps.
        norm: makes the normalization for a number of feature maps.
        deep: whether it is a bottleneck, whose shortcut drops the feature maps that are too many.
        up: whether the side is doubled.
    """

    def __init__(self, inputs: int, outputs: int, norm: partial[ConditionalNorm], deep: bool, up: bool = True) -> None:
        super().__init__()
        conv, inner = LAYERS.conv, max(inputs // BOTTLENECK, 1)
        self.up, self.outputs = up, outputs
        widths: tuple[int, ...]
        if deep:
            if outputs > inputs:
                raise BadArgument(f"BigGAN-deep's widths fall; {outputs} come after {inputs}")
            widths = (inputs, inner, inner, inner)
            convs = [conv(inputs, inner, 1), *three_by_three(inner, inner, inner), conv(inner, outputs, 1)]
        else:
            widths = (inputs, outputs)
            convs = three_by_three(inputs, outputs, outputs)
        self.norms, self.convs = nn.ModuleList(map(norm, widths)), nn.ModuleList(convs)
        self.shortcut = None if deep else conv(inputs, outputs, 1)
        self.doubling = 1 if deep else 0  # the convolution before which the side is doubled

    def forward(self, x: Tensor, condition: Tensor, truncation: float | Tensor | None) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H, W)`, or to twice the sides."""
        y = x
        for i, (norm, conv) in enumerate(zip(self.norms, self.convs, strict=True)):
            y = F.relu(norm(y, condition, truncation), inplace=True)
            assert isinstance(conv, nn.Conv2d)
            y = upsampled_convolution(y, conv) if self.up and i == self.doubling else conv(y)
        x = x[:, : self.outputs] if self.shortcut is None else self.shortcut(x)
        return y + (F.interpolate(x, scale_factor=2) if self.up else x)


class CriticBlock(nn.Module):
    """A residual block that may halve the side (figure 15c), or BigGAN-deep's (figure 16c).

    Args:
        inputs, outputs: feature maps.
        down: whether the side is halved.
        first: whether the input is an image, which no activation clips.
        wide: whether the inner feature maps are as many as the outputs, not the inputs.
        activated: whether the shortcut sees ReLU(x) instead of x.
        deep: whether it is a bottleneck, whose shortcut appends the feature maps that are too few.
    """

    def __init__(
        self, inputs: int, outputs: int, down: bool, first: bool, wide: bool, activated: bool, deep: bool
    ) -> None:
        super().__init__()
        self.down, self.first, self.activated, self.deep, conv = down, first, activated, deep, LAYERS.conv
        inner = max(outputs // BOTTLENECK, 1) if deep else outputs if wide else inputs
        if deep:
            if outputs < inputs:
                raise BadArgument(f"BigGAN-deep's discriminator_widths rise; {outputs} come after {inputs}")
            convs = [conv(inputs, inner, 1), *three_by_three(inner, inner, inner), conv(inner, outputs, 1)]
        else:
            convs = three_by_three(inputs, inner, outputs)
        self.convs = nn.ModuleList(convs)
        learned = inputs != outputs or (down and not deep)
        self.shortcut = conv(inputs, outputs - inputs if deep else outputs, 1) if learned else None

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H, W)`, or to half the sides."""
        y = x if self.first else F.relu(x)
        x = y if self.activated else x
        *convs, last = self.convs
        for conv in convs:
            y = F.relu(conv(y), inplace=True)
        if self.down:
            x = F.avg_pool2d(x, 2)
            assert isinstance(last, nn.Conv2d)
            y = last(F.avg_pool2d(y, 2)) if self.deep else pooled_convolution(y, last)
        else:
            y = last(y)
        if self.shortcut is None:
            return y + x
        return y + (torch.cat([x, self.shortcut(x)], 1) if self.deep else self.shortcut(x))


class Stage(nn.Module):
    """The blocks of one resolution, and self-attention after them where that is wanted.

    Args:
        blocks: one after another.
        attention: feature maps of the self-attention; 0 for none.
    """

    def __init__(self, blocks: Sequence[nn.Module], attention: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.attention = SelfAttention(attention, LAYERS.conv) if attention else None

    def forward(self, x: Tensor, *steering: Tensor | float | None) -> Tensor:
        """Maps feature maps as its blocks do, which are given what else there is."""
        for block in self.blocks:
            x = block(x, *steering)
        return x if self.attention is None else self.attention(x)


class Generator(nn.Module):
    """G: from 4 x 4 pixels up, one stage a resolution (tables 4 to 9).

    Args:
        latent, channels, classes, widths, embedding, hierarchical, depth, attention_after, outputs, eps, statistics:
            see `BigGAN`.
    """

    def __init__(
        self,
        latent: int,
        channels: int,
        classes: int,
        widths: Sequence[int],
        embedding: int,
        hierarchical: bool,
        depth: int,
        attention_after: Sequence[int],
        outputs: int,
        eps: float,
        statistics: int,
    ) -> None:
        super().__init__()
        self.channels, self.deep, stages = channels, depth > 0, len(widths) - 1
        self.chunk = latent // (stages + 1) if hierarchical and not depth else latent
        self.shared = nn.Embedding(classes, embedding) if embedding else None
        condition = embedding + (self.chunk if hierarchical or depth else 0)
        self.linear = LAYERS.linear(condition if depth else self.chunk, 16 * widths[0])
        norm = partial(ConditionalNorm, condition=condition, classes=classes, eps=eps, rows=statistics)
        make = partial(GeneratorBlock, norm=norm, deep=self.deep)
        self.stages = nn.ModuleList()
        for n, (broad, narrow) in enumerate(pairwise(widths), 1):
            blocks = [*(make(broad, broad, up=False) for _ in range(depth - 1)), make(broad, narrow)]
            self.stages.append(Stage(blocks, narrow if n in attention_after else 0))
        self.norm = Norm(widths[-1], eps, statistics)
        self.to_image = LAYERS.conv(widths[-1], outputs or channels, 3, padding=1)
        initialize(self)

    def forward(self, z: Tensor, labels: Tensor, truncation: float | Tensor | None = None) -> Tensor:
        """Maps z `(N, latent)` and labels `(N,)`, or vectors `(N, classes)`, to images in [-1, 1].

        Where there are statistics by truncation, those of `truncation`, in [0, 1], normalize.
        """
        y = labels if self.shared is None else look_up(self.shared, labels)
        if self.deep:
            z = torch.cat([y, z], 1)
            conditions = [z] * len(self.stages)
        else:
            z, *rest = z.split(self.chunk, 1)
            conditions = [torch.cat([y, part], 1) for part in rest] or [y] * len(self.stages)
        x = self.linear(z).unflatten(1, (-1, 4, 4))
        for stage, condition in zip(self.stages, conditions, strict=True):
            x = stage(x, condition, truncation)
        return self.to_image(F.relu(self.norm(x, truncation)))[:, : self.channels].tanh()


class Discriminator(nn.Module):
    """D: residual blocks, a sum over the pixels, and the projection of the label (Miyato and Koyama 2018).

    Args:
        channels, classes, widths, bottom, depth, attention_after, wide, activated: see `BigGAN`.
        size: side of an image.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        widths: Sequence[int],
        size: int,
        bottom: int,
        depth: int,
        attention_after: Sequence[int],
        wide: bool,
        activated: bool,
    ) -> None:
        super().__init__()
        halvings, deep = int(math.log2(size / bottom)), depth > 0
        self.stem = LAYERS.conv(channels, widths[0], 3, padding=1) if deep else None
        widths = widths if deep else [channels, *widths]
        make = partial(CriticBlock, wide=wide, activated=activated, deep=deep)
        self.stages = nn.ModuleList()
        for n, (narrow, broad) in enumerate(pairwise(widths), 1):
            blocks = [make(narrow, broad, down=n <= halvings, first=n == 1 and not deep)]
            blocks += [make(broad, broad, down=False, first=False) for _ in range(depth - 1)]
            self.stages.append(Stage(blocks, broad if n in attention_after else 0))
        self.linear = LAYERS.linear(widths[-1], 1)
        self.embedding = LAYERS.embedding(classes, widths[-1])
        initialize(self)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Maps images `(N, channels, size, size)` and labels `(N,)` to scores `(N,)`."""
        x = x if self.stem is None else self.stem(x)
        for stage in self.stages:
            x = stage(x)
        features = F.relu(x).float().sum((2, 3))
        return self.linear(features).squeeze(1) + (self.embedding(labels) * features).sum(1)


def initialize(network: nn.Module) -> None:
    """Orthogonal weights (appendix C), and singular vectors to match."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.Embedding)) and not module.weight.is_meta:
            nn.init.orthogonal_(module.weight)
    follow_weights(network)


@contextmanager
def accumulating(network: nn.Module, row: int | None = None) -> Iterator[None]:
    """Within it a network's statistics become the means over all of its batches: standing statistics (appendix D).

    Args:
        network: a generator.
        row: of the tables, where the means are kept too.
    """
    norms = [module for module in network.modules() if isinstance(module, Norm)]
    before = [(norm.training, norm.momentum) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # torch's way to say the mean over all batches
    try:
        yield
    finally:
        for norm, (mode, momentum) in zip(norms, before, strict=True):
            norm.train(mode)
            norm.momentum = momentum
    for norm in norms if row is not None else ():
        assert norm.running_mean is not None and norm.running_var is not None
        norm.means[row], norm.variances[row] = norm.running_mean, norm.running_var
