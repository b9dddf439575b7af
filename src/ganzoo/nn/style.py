"""What the style-based generators and their discriminators are built of.

Karras et al. 2018, "Progressive Growing of GANs" (arXiv:1710.10196): the equalized learning rate (section 4.1), the
minibatch standard deviation (section 3). Karras et al. 2019, "A Style-Based Generator Architecture for GANs"
(arXiv:1812.04948): the mapping network, mixed styles and truncation. Karras et al. 2020, "Analyzing and Improving the
Image Quality of StyleGAN" (arXiv:1912.04958): demodulation (section 2.2) and the discriminator (section 4.1).

Weights are stored as the authors store them, N(0, 1) divided by the layer's learning-rate multiplier; the constants of
the equalized learning rate are multiplied in when a layer runs. A leaky ReLU has the slope 0.2 and is followed by the
gain sqrt(2), which goes into weights and bias before it, because it is positively homogeneous. Everything can be
differentiated twice and runs on any device; no extension is compiled.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.nn.resampling import Resampling, convolve, downsample
from ganzoo.types import BadArgument

Activation = Literal["linear", "lrelu"]
Architecture = Literal["orig", "skip", "resnet"]
_GAIN = {"linear": 1.0, "lrelu": math.sqrt(2.0)}


def normalize_2nd_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scales every row of `(N, d)` to a mean square of 1: x / sqrt(mean x^2 + eps)."""
    return x * (x.square().mean(1, keepdim=True) + eps).rsqrt()


def resolutions(size: int, smallest: int = 4) -> list[int]:
    """The resolutions of a network from 4 x 4 pixels up, such as 4, 8, 16, 32.

    Raises:
        BadArgument: if the size is not a power of two, or less than 4.
    """
    if size < smallest or size & (size - 1):
        raise BadArgument(f"image size is {size}; a power of two from {smallest} on is expected, such as 32 or 256")
    return [2**i for i in range(smallest.bit_length() - 1, size.bit_length())]


def feature_maps(
    size: int, base: int, most: int, given: Sequence[int] | None = None, smallest: int = 4
) -> dict[int, int]:
    """Feature maps at each resolution: min(base / resolution, most), and at least 1.

    Args:
        size: side of an image.
        base: feature maps times resolution.
        most: feature maps at most.
        given: the feature maps at 4, 8, 16, ... pixels instead.
        smallest: the first resolution.

    Raises:
        BadArgument: if the size is not a power of two, or `given` has not one number a resolution.
    """
    steps = resolutions(size, smallest)
    if given is None:
        return {resolution: max(min(base // resolution, most), 1) for resolution in steps}
    if len(given) != len(steps):
        raise BadArgument(
            f"widths are {list(given)}; {len(steps)} numbers are expected, for {smallest} to {size} pixels, or none"
        )
    return dict(zip(steps, given, strict=True))


def label_vectors(labels: Tensor | None, classes: int, n: int | None = None) -> Tensor:
    """Labels as vectors `(N, classes)`: class indices `(N,)` one-hot, vectors as they are.

    Raises:
        BadArgument: for labels of another shape, or none.
    """
    if labels is None:
        raise BadArgument(f"the network is conditional on {classes} classes, so labels are needed; none were given")
    if not labels.is_floating_point() and labels.dim() == 1:
        labels = F.one_hot(labels.long(), classes)
    if labels.dim() != 2 or labels.shape[1] != classes or (n is not None and labels.shape[0] != n):
        raise BadArgument(
            f"labels have shape {tuple(labels.shape)}; class indices (N,) or vectors (N, {classes}) are expected, "
            "one an image"
        )
    return labels.float()


def check_styles(ws: Tensor, count: int, style: int) -> None:
    """Checks that there is one w `(N, count, style)` for each layer.

    Raises:
        BadArgument: for latents of another shape.
    """
    if ws.dim() != 3 or ws.shape[1:] != (count, style):
        raise BadArgument(f"ws has shape {tuple(ws.shape)}; (N, {count}, {style}) is expected")


# ------------------------------------------------------------------------------------------------- equalized layers


class EqualizedLinear(nn.Module):
    """A linear layer whose weights learn at the same speed in every layer.

    y = (rate / sqrt(inputs)) W x + rate b, with W stored as N(0, 1) / rate.

    Args:
        inputs: length of x.
        outputs: length of y.
        bias: its initial value; None for no bias.
        rate: the learning-rate multiplier.
        activation: after it; `lrelu` is 0.2 and the gain sqrt(2).
        gain: on the weights, 1 for StyleGAN2 (sqrt(2) in ProGAN, which has no gain after its activation).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: float | None = 0.0,
        rate: float = 1.0,
        activation: Activation = "linear",
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = None if bias is None else nn.Parameter(torch.full((outputs,), float(bias)))
        self.rate, self.scale, self.activation = rate, gain * rate / math.sqrt(inputs), activation

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(N, inputs)` to `(N, outputs)`."""
        gain = _GAIN[self.activation]
        bias = None if self.bias is None else self.bias * (self.rate * gain)
        y = F.linear(x, self.weight * (self.scale * gain), bias)
        return F.leaky_relu_(y, 0.2) if self.activation == "lrelu" else y

    def extra_repr(self) -> str:
        """What distinguishes the layer."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, rate={self.rate}, activation={self.activation}"


class EqualizedConv2d(nn.Module):
    """A convolution with the equalized learning rate; a filter precedes or follows a change of resolution.

    y = act((1 / sqrt(inputs kernel^2)) W * x + b), clamped where so asked.

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        kernel: 1 or 3.
        bias: whether there is one.
        activation: after it; `lrelu` is 0.2 and the gain sqrt(2).
        resample: `up` doubles the side of the image, `down` halves it.
        clamp: bound of the output's values, None for none (for half precision).
        gain: on the weights, 1 for StyleGAN2 (sqrt(2) in ProGAN, which has no gain after its activation).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        bias: bool = True,
        activation: Activation = "linear",
        resample: Resampling | None = None,
        clamp: float | None = None,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = gain / math.sqrt(inputs * kernel**2)
        self.activation, self.resample, self.clamp = activation, resample, clamp

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """Maps `(N, inputs, H, W)` to `(N, outputs, H', W')`, multiplied by `gain`."""
        bound = None if self.clamp is None else self.clamp * gain
        gain = gain * _GAIN[self.activation]
        bias = None if self.bias is None else self.bias * gain
        y = convolve(x, self.weight * (self.scale * gain), bias, self.resample)
        y = F.leaky_relu_(y, 0.2) if self.activation == "lrelu" else y
        return y if bound is None else y.clamp(-bound, bound)

    def extra_repr(self) -> str:
        """What distinguishes the layer."""
        o, i, k, _ = self.weight.shape
        return f"{i}, {o}, kernel={k}, activation={self.activation}, resample={self.resample}"


# ------------------------------------------------------------------------------------------------- modulation


def demodulation(styles: Tensor, weight: Tensor, eps: float = 1e-8) -> Tensor:
    """What brings each output feature map of a modulated convolution back to unit variance (eq. 3).

    1 / sqrt(sum_{i,k} (s_i w_{oik})^2 + eps), as the product of the squared styles and the summed squared weights: no
    sample needs weights of its own.

    Args:
        styles: s `(N, I)`.
        weight: w `(O, I, k, k)`.
        eps: against division by 0.

    Returns:
        `(N, O)`.
    """
    return (F.linear(styles.square(), weight.square().sum((2, 3))) + eps).rsqrt()


class ModulatedConv2d(nn.Module):
    """A convolution whose input feature maps are scaled by a style, and its output back to unit variance (section 2.2).

    A convolution is linear in its input and in its weights: instead of weights for each sample (eq. 1), the input is
    scaled by the style, and the output by the demodulation (eq. 3).

    Args:
        inputs: feature maps of x.
        outputs: feature maps of y.
        kernel: 1 or 3.
        style: length of w.
        demodulate: whether to; without it the styles are divided by sqrt(inputs kernel^2) (ToRGB).
        resample: `up` doubles the side of the image; its weights are stored `(inputs, outputs, k, k)`, as convolutions
            with a fractional stride take them.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        style: int,
        *,
        demodulate: bool = True,
        resample: Resampling | None = None,
    ) -> None:
        super().__init__()
        sides = (inputs, outputs) if resample == "up" else (outputs, inputs)
        self.weight = nn.Parameter(torch.randn(*sides, kernel, kernel))
        self.affine = EqualizedLinear(style, inputs, bias=1.0)
        self.demodulate, self.resample = demodulate, resample

    def forward(self, x: Tensor, w: Tensor, gain: float = 1.0) -> Tensor:
        """Maps `(N, inputs, H, W)` and w `(N, style)` to `(N, outputs, H', W')`, multiplied by `gain`."""
        weight = self.weight.transpose(0, 1) if self.resample == "up" else self.weight
        with torch.autocast(x.device.type, enabled=False):
            s = self.affine(w.to(self.weight.dtype))  # (N, inputs)
            if self.demodulate:
                s = normalize_2nd_moment(s)  # cancels, but keeps half precision in its range
                d = gain * demodulation(s, weight)[:, :, None, None]
            else:
                s = s * (gain / math.sqrt(weight[0].numel()))
        y = convolve(x * s.to(x.dtype)[:, :, None, None], weight, None, self.resample)
        return y * d.to(y.dtype) if self.demodulate else y

    def extra_repr(self) -> str:
        """What distinguishes the layer."""
        i, o, k = self.affine.weight.shape[0], self.weight.shape[self.resample == "up"], self.weight.shape[-1]
        return f"{i}, {o}, kernel={k}, demodulate={self.demodulate}, resample={self.resample}"


# ------------------------------------------------------------------------------------------------- the mapping network


class Mapping(nn.Module):
    """The mapping network f: z, and the class where there is one, to the intermediate latent w.

    z and the embedded label are each normalized to a mean square of 1, and pass several layers with a learning rate of
    a hundredth. The running mean of w is the centre towards which truncation pulls: w' = mean + psi (w - mean).

    Args:
        latent: length of z; 0 for none (the label alone, in a discriminator).
        style: length of w.
        layers: number of layers; 0, with an embedding of the length of w, in some discriminators.
        count: layers that w is repeated for; None to give w once.
        classes: number of classes of the labels; 0 for none.
        width: length of the hidden layers' outputs; None for `style`.
        embedding: length of the embedded label; None for `style`.
        rate: the learning-rate multiplier.
        decay: decay rate of the running mean of w, by batches; None to keep none.
    """

    mean: Tensor

    def __init__(
        self,
        latent: int,
        style: int,
        layers: int = 8,
        *,
        count: int | None = None,
        classes: int = 0,
        width: int | None = None,
        embedding: int | None = None,
        rate: float = 0.01,
        decay: float | None = 0.998,
    ) -> None:
        super().__init__()
        self.latent, self.classes, self.count, self.decay = latent, classes, count, decay
        embedding = (style if embedding is None else embedding) if classes else 0
        widths = [latent + embedding, *[style if width is None else width] * (layers - 1), *[style] * (layers > 0)]
        self.embed = EqualizedLinear(classes, embedding) if classes else None
        self.layers = nn.ModuleList(EqualizedLinear(i, o, rate=rate, activation="lrelu") for i, o in pairwise(widths))
        if decay is not None:
            self.register_buffer("mean", torch.zeros(style))

    def forward(
        self,
        z: Tensor | None,
        labels: Tensor | None = None,
        truncation: float | None = None,
        cutoff: int | None = None,
        track: bool | int = False,
    ) -> Tensor:
        """Maps latents to styles.

        Args:
            z: `(N, latent)`; None where there is none.
            labels: class indices `(N,)` or vectors `(N, classes)`, where there are classes; otherwise ignored.
            truncation: psi; 1 or None for none.
            cutoff: the layers from this one on are not truncated; None truncates all.
            track: whether the running mean follows these w; a number for the first so many of them.

        Returns:
            `(N, count, style)`, or `(N, style)` where w is given once.
        """
        given = z if z is not None else labels
        assert given is not None
        with torch.autocast(given.device.type, enabled=False):
            w = self.once(z, labels)
        if track:
            self.follow(w if track is True else w[:track])
        if self.count is None:
            return w
        ws = w[:, None].expand(-1, self.count, -1)
        if truncation is None or truncation == 1:
            return ws
        pulled = self.mean.lerp(ws, truncation)
        return pulled if cutoff is None else torch.cat([pulled[:, :cutoff], ws[:, cutoff:]], 1)

    def once(self, z: Tensor | None, labels: Tensor | None = None) -> Tensor:
        """Maps `(N, latent)` to w `(N, style)`, in the parameters' precision."""
        parts, kind = [], next(self.parameters()).dtype
        if z is not None:
            parts.append(normalize_2nd_moment(z.to(kind)))
        if self.embed is not None:
            y = label_vectors(labels, self.classes, None if z is None else z.shape[0])
            parts.append(normalize_2nd_moment(self.embed(y.to(kind))))
        w = torch.cat(parts, 1)
        for layer in self.layers:
            w = layer(w)
        return w

    @torch.no_grad()
    def follow(self, w: Tensor) -> None:
        """Moves the running mean towards the mean of these w `(N, style)`."""
        assert self.decay is not None
        self.mean.lerp_(w.detach().mean(0).to(self.mean), 1 - self.decay)


class Generator(nn.Module):
    """The mapping network f and the synthesis network g: G(z) = g(f(z)).

    Args:
        mapping: from z to w.
        synthesis: from w to images; its `used` first layers of w count.
    """

    def __init__(self, mapping: Mapping, synthesis: nn.Module) -> None:
        super().__init__()
        self.mapping = mapping
        self.synthesis: Any = synthesis

    def forward(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        *,
        truncation: float | None = None,
        truncation_cutoff: int | None = None,
        noise: str | Sequence[Tensor] = "random",
        mixing: float = 0.0,
        track: bool = False,
    ) -> Tensor:
        """Maps latents to images.

        Args:
            z: `(N, latent)`.
            labels: class indices `(N,)` or vectors `(N, classes)`, where there are classes.
            truncation: psi.
            truncation_cutoff: layers from this one on are not truncated.
            noise: `random`, `const`, `none`, or a tensor for each noise input.
            mixing: the probability of a second z in training, which has no truncation.
            track: whether the running mean of w follows.

        Returns:
            Images `(N, C, H, W)`.
        """
        if mixing:
            ws = self.mixed(z, labels, mixing, track)
        else:
            ws = self.mapping(z, labels, truncation, truncation_cutoff, track)
        return self.synthesis(ws, noise)

    def mixed(self, z: Tensor, labels: Tensor | None, mixing: float, track: bool = False) -> Tensor:
        """Maps z `(N, latent)` to w `(N, layers, style)`, some of which come from a second z from a random layer on.

        Args:
            z: latents.
            labels: class indices or vectors.
            mixing: the probability of a second z (StyleGAN, section 3.1).
            track: whether the running mean of w follows.
        """
        if not mixing:
            return self.mapping(z, labels, track=track)
        n, used, device = len(z), self.synthesis.used, z.device
        both = torch.cat([z, torch.randn_like(z)])
        w, other = self.mapping(both, None if labels is None else torch.cat([labels, labels]), track=n * track).chunk(2)
        start = torch.randint(1, used, (n, 1, 1), device=device)
        start = torch.where(torch.rand(n, 1, 1, device=device) < mixing, start, used)
        return torch.where(torch.arange(w.shape[1], device=device)[:, None] < start, w, other)


def noise_map(noise: str | Tensor, own: Tensor, n: int) -> Tensor | None:
    """What a layer adds to its feature maps, before it is scaled.

    Args:
        noise: `random` for fresh noise, `const` for the layer's own, `none`, or noise to use.
        own: the layer's own `(S, S)`.
        n: number of images.

    Returns:
        `(n, 1, S, S)`, `(S, S)`, or None.
    """
    if noise == "random":
        return torch.randn(n, 1, *own.shape, dtype=own.dtype, device=own.device)
    if noise == "const":
        return own
    return None if isinstance(noise, str) else noise


# ------------------------------------------------------------------------------------------------- the discriminator


def minibatch_stddev(x: Tensor, group: int | None = 4, channels: int = 1, parts: int = 1) -> Tensor:
    """Adds feature maps that say how much the samples of a group differ (ProGAN, section 3).

    The standard deviation over the group, averaged over feature maps and pixels, becomes a constant feature map of each
    of its samples. Samples k, k + n, k + 2n, ... make up a group, where n is the number of groups.

    Args:
        x: `(N, C, H, W)`.
        group: samples in a group; None for all. Where it does not divide their number, the next smaller that does.
        channels: feature maps to add; C is divided among them.
        parts: equal parts of the batch that must not mix, such as 2 for real and generated samples.

    Returns:
        `(N, C + channels, H, W)`.

    Raises:
        BadArgument: if `parts` does not divide N, or `channels` C.
    """
    n, c, h, w = x.shape
    if n % parts or c % channels:
        raise BadArgument(f"{n} samples of {c} feature maps cannot be divided into {parts} parts and {channels} maps")
    each = n // parts
    members = each if group is None else min(group, each)
    while each % members:
        members -= 1
    y = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    y = y.reshape(parts, members, each // members, channels, c // channels, h, w)
    y = (y.var(1, correction=0) + 1e-8).sqrt().mean((3, 4, 5))  # (parts, groups, channels)
    y = y[:, None].expand(parts, members, each // members, channels).reshape(n, channels, 1, 1)
    return torch.cat([x, y.to(x.dtype).expand(n, channels, h, w)], 1)


class DiscriminatorBlock(nn.Module):
    """Two convolutions, the second of which halves the resolution.

    Args:
        inputs: feature maps at this resolution.
        outputs: feature maps at half of it.
        image: channels of the image where the block reads it; 0 where it does not.
        residual: whether a linear branch goes past the convolutions (`resnet`).
        clamp: bound of the convolutions' outputs.
    """

    def __init__(self, inputs: int, outputs: int, image: int, residual: bool, clamp: float | None = None) -> None:
        super().__init__()
        self.from_rgb = EqualizedConv2d(image, inputs, 1, activation="lrelu", clamp=clamp) if image else None
        self.first = EqualizedConv2d(inputs, inputs, 3, activation="lrelu", clamp=clamp)
        self.second = EqualizedConv2d(inputs, outputs, 3, activation="lrelu", resample="down", clamp=clamp)
        self.shortcut = EqualizedConv2d(inputs, outputs, 1, bias=False, resample="down") if residual else None

    def forward(self, x: Tensor | None, image: Tensor | None) -> Tensor:
        """Maps feature maps `(N, inputs, H, W)` and the image at this size, one of which may be None."""
        if self.from_rgb is not None:
            read = self.from_rgb(image)
            x = read if x is None else x + read
        assert x is not None
        if self.shortcut is None:
            return self.second(self.first(x))
        half = math.sqrt(0.5)
        return self.shortcut(x, half) + self.second(self.first(x), half)


class DiscriminatorHead(nn.Module):
    """From 4 x 4 pixels to the score.

    Args:
        inputs: feature maps.
        outputs: 1, or the length of the embedded label.
        image: channels of the image where the head reads it; 0 where it does not.
        group: of the minibatch standard deviation; None for the whole batch.
        statistics: its feature maps; 0 for none.
        clamp: bound of the convolution's output.
    """

    def __init__(
        self, inputs: int, outputs: int, image: int, group: int | None, statistics: int, clamp: float | None = None
    ) -> None:
        super().__init__()
        self.group, self.statistics = group, statistics
        self.from_rgb = EqualizedConv2d(image, inputs, 1, activation="lrelu") if image else None
        self.conv = EqualizedConv2d(inputs + statistics, inputs, 3, activation="lrelu", clamp=clamp)
        self.dense = EqualizedLinear(inputs * 16, inputs, activation="lrelu")
        self.out = EqualizedLinear(inputs, outputs)

    def forward(self, x: Tensor, image: Tensor | None, parts: int) -> Tensor:
        """Maps `(N, inputs, 4, 4)` to `(N, outputs)`."""
        if self.from_rgb is not None:
            x = x + self.from_rgb(image)
        if self.statistics:
            x = minibatch_stddev(x, self.group, self.statistics, parts)
        return self.out(self.dense(self.conv(x).flatten(1)))


class Discriminator(nn.Module):
    """The discriminator of StyleGAN2 and StyleGAN3, without normalisation.

    Conditional scores are the projection of the label, mapped as z is in the generator, on the last features
    (StyleGAN2-ADA, arXiv:2006.06676, section 4): D(x, c) = f(x)^T m(c) / sqrt(d).

    Args:
        size: side of an image, a power of two from 4 on.
        channels: channels of an image.
        classes: number of classes of the labels; 0 for none.
        base: feature maps times resolution.
        most: feature maps at most.
        widths: the feature maps at 4, 8, 16, ... pixels instead.
        architecture: `resnet`, `skip` (the image is read at every resolution) or `orig` (figure 7).
        group: of the minibatch standard deviation; None for the whole batch.
        statistics: feature maps of the minibatch standard deviation; 0 for none.
        clamp: bound of the convolutions' outputs, None for none (256 in the authors' mixed precision).
        mapping_layers: number of layers of the label's mapping network.
        embedding: d; None for the feature maps at 4 x 4.
        mapping_rate: learning-rate multiplier of the label's mapping network.
    """

    def __init__(
        self,
        size: int,
        channels: int = 3,
        classes: int = 0,
        *,
        base: int = 32768,
        most: int = 512,
        widths: Sequence[int] | None = None,
        architecture: Architecture = "resnet",
        group: int | None = 4,
        statistics: int = 1,
        clamp: float | None = None,
        mapping_layers: int = 8,
        embedding: int | None = None,
        mapping_rate: float = 0.01,
    ) -> None:
        super().__init__()
        if size < 8:
            raise BadArgument(f"image size is {size}; a power of two from 8 on is expected")
        width, steps = feature_maps(size, base, most, widths), resolutions(size)[::-1]
        self.size, self.channels, self.classes, self.architecture = size, channels, classes, architecture
        self.embedding = (width[4] if embedding is None else embedding) if classes else 0
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(
                width[resolution],
                width[resolution // 2],
                channels if resolution == size or architecture == "skip" else 0,
                residual=architecture == "resnet",
                clamp=clamp,
            )
            for resolution in steps[:-1]
        )
        reads = channels if architecture == "skip" else 0
        self.head = DiscriminatorHead(width[4], self.embedding or 1, reads, group, statistics, clamp)
        self.mapping = (
            Mapping(0, self.embedding, mapping_layers, classes=classes, rate=mapping_rate, decay=None)
            if classes
            else None
        )

    def forward(self, images: Tensor, labels: Tensor | None = None, parts: int = 1) -> Tensor:
        """Scores images.

        Args:
            images: `(N, channels, size, size)`.
            labels: class indices `(N,)` or vectors `(N, classes)`, where there are classes; otherwise ignored.
            parts: equal parts of the batch whose statistics must not mix: 2 for real and generated images in one pass.

        Returns:
            Logits `(N, 1)`.

        Raises:
            BadArgument: for images or labels of another shape.
        """
        if images.shape[1:] != (self.channels, self.size, self.size):
            raise BadArgument(
                f"images have shape {tuple(images.shape)}; (N, {self.channels}, {self.size}, {self.size}) is expected"
            )
        x: Tensor | None = None
        image: Tensor | None = laid_out(images)
        for block in self.blocks:
            x = block(x, image)
            # Only `skip` reads the image again
            image = downsample(image) if self.architecture == "skip" and image is not None else None
        assert x is not None
        scores: Tensor = self.head(x, image, parts)
        if self.mapping is None:
            return scores
        label: Tensor = self.mapping(None, label_vectors(labels, self.classes, len(images)).to(images.device))
        return (scores * label).sum(1, keepdim=True) / math.sqrt(self.embedding)


def laid_out(x: Tensor) -> Tensor:
    """Images with the channels innermost where the device's convolutions are faster so."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type in ("cpu", "cuda") else x
