"""What the alias-free generator is built of: signals of a known bandwidth, and a non-linearity that respects it.

Karras et al. 2021, "Alias-Free Generative Adversarial Networks" (arXiv:2106.12423). Feature maps are samples of a
continuous signal. A pointwise non-linearity makes frequencies that the samples cannot carry, so it acts on an upsampled
signal, which is low-pass filtered and sampled again (section 2.2):

    y = down(clamp(lrelu(up(x))))

Every layer has a sampling rate s (samples along a side of the image), a cutoff f_c and a half-width f_h of the
transition band; `schedule` spreads them over the layers (section 3.2). Images span [-1/2, 1/2] along both axes, and the
feature maps a margin beyond it, so that zeros at the border do not tell where the image ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.nn.style import EqualizedLinear, demodulation
from ganzoo.types import BadArgument

_Linear = Callable[[Tensor], Tensor]

_TILE = 64  # samples of one axis that a matrix product makes at a time; a filter's band is about as narrow
_DENSE = 96  # up to so many samples one product makes them all
_CHUNK = 400_000  # samples at the non-linearity that are made at a time on a CPU: its cache holds them


# ---------------------------------------------------------------------------------------------------------- filters


def kaiser_beta(taps: int, width: float) -> float:
    """The shape of the Kaiser window that gives a filter its transition band (appendix C.1).

    Kaiser's formulas: the attenuation that so many taps reach is 2.285 pi (taps - 1) width + 7.95 decibels, and beta
    follows from it.

    Args:
        taps: length of the filter.
        width: of the transition band, as a share of half the sampling rate.

    Returns:
        beta, at least 0.
    """
    attenuation = 2.285 * math.pi * (taps - 1) * width + 7.95
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    over = max(attenuation - 21, 0.0)
    return float(0.5842 * over**0.4 + 0.07886 * over)


def low_pass(taps: int, cutoff: float, width: float, rate: float, radial: bool = False) -> Tensor:
    """A low-pass filter with a Kaiser window (appendix C.1), of unit gain at frequency 0.

    Separable filters are h(x) = 2 f_c sinc(2 f_c x) w(x). The radially symmetric ones of configuration R have the jinc
    instead of the sinc, h(x) = f_c J1(2 pi f_c |x|) / |x|, and the product of both axes' windows.

    Args:
        taps: length of the filter along an axis.
        cutoff: f_c, in cycles an image side; below rate / 2.
        width: 2 f_h, of the transition band from pass to stop.
        rate: s, samples an image side.
        radial: whether the filter is symmetric around its centre instead of separable.

    Returns:
        `(taps,)` of one axis, or `(taps, taps)` where it is radial; float32.
    """
    window = np.kaiser(taps, kaiser_beta(taps, width / (rate / 2)))
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    if radial:
        r = np.hypot(x[:, None], x)
        away = np.where(r > 0, r, 1)  # an odd filter has its centre at r = 0, where the jinc is pi f_c^2
        bessel = torch.special.bessel_j1(torch.as_tensor(2 * math.pi * cutoff * away, device="cpu")).numpy()
        h = np.where(r > 0, cutoff * bessel / away, math.pi * cutoff**2) * window[:, None] * window
    else:
        h = 2 * cutoff * np.sinc(2 * cutoff * x) * window
    return torch.tensor((h / h.sum()).tolist(), dtype=torch.float32)


# ------------------------------------------------------------------------------------- the filtered non-linearity


@dataclass(frozen=True)
class _Axis:
    """Resampling along an axis: zeros between the samples, padding, a filter, and every so manieth sample.

    y[c] = sum_r h[c down - pad + taps - 1 - r up] x[r], for c from 0 to `outputs` - 1.
    """

    inputs: int
    outputs: int
    up: int
    down: int
    pad: int
    taps: int

    def adjoint(self) -> _Axis:
        """What carries gradients back: the transposed matrix, which is a resampling by the mirrored filter."""
        return _Axis(self.outputs, self.inputs, self.down, self.up, self.taps - 1 - self.pad, self.taps)


class _Band:
    """Resampling along an axis as a banded matrix, of which one block is kept: the others are the same, further on.

    Args:
        axis: what the resampling is.
        h: the filter `(taps,)`.
    """

    def __init__(self, axis: _Axis, h: Tensor) -> None:
        self.axis = axis
        size = axis.outputs
        if size * axis.down > _DENSE:
            size = max(_TILE // (axis.down * axis.up), 1) * axis.up  # `size * down` is divisible by `up`
        first = -(axis.pad // axis.up)
        last = ((size - 1) * axis.down - axis.pad + axis.taps - 1) // axis.up
        r = torch.arange(first, last + 1, device=h.device)[:, None]
        c = torch.arange(size, device=h.device)
        k = c * axis.down - axis.pad + axis.taps - 1 - r * axis.up
        self.block = torch.where((k >= 0) & (k < axis.taps), h[k.clamp(0, axis.taps - 1)], h.new_zeros(()))
        self.turned = self.block.t().contiguous()
        # What each block reads and makes, and its own rows and columns that count at the ends
        self.places: list[tuple[slice, slice, slice, slice]] = []
        for start in range(0, axis.outputs, size):
            stop, origin = min(start + size, axis.outputs), start * axis.down // axis.up + first
            low = max(origin, 0)
            high = max(min(origin + len(self.block), axis.inputs), low)
            rows, columns = slice(low - origin, high - origin), slice(0, stop - start)
            self.places.append((slice(low, high), slice(start, stop), rows, columns))

    def along_rows(self, x: Tensor) -> Tensor:
        """Resamples the last axis of `(K, H, W)`."""
        k, height, _ = x.shape
        y = x.new_empty(k, height, self.axis.outputs)
        flat, made = x.reshape(k * height, -1), y.view(k * height, -1)
        for read, written, rows, columns in self.places:
            torch.mm(flat[:, read], self.block[rows, columns], out=made[:, written])
        return y

    def along_columns(self, x: Tensor) -> Tensor:
        """Resamples the middle axis of `(K, H, W)`."""
        k, _, width = x.shape
        y = x.new_empty(k, self.axis.outputs, width)
        for read, written, rows, columns in self.places:
            torch.bmm(self.turned[columns, rows].expand(k, -1, -1), x[:, read], out=y[:, written])
        return y


@dataclass(frozen=True)
class _Plan:
    """The sizes and constants of one filtered non-linearity."""

    up: tuple[_Axis, _Axis]  # of the columns and of the rows, from the input's rate to the non-linearity's,
    down: tuple[_Axis, _Axis]  # and from there to the output's
    gain: float
    slope: float
    clamp: float | None

    def chunks(self, channels: int) -> list[slice]:
        """Runs of feature maps whose upsampled samples stay in the processor's cache, from filter to filter."""
        samples = self.up[0].outputs * self.up[1].outputs
        step = max(1, _CHUNK * torch.get_num_threads() // samples)
        return [slice(start, start + step) for start in range(0, channels, step)]

    def output_shape(self, x: Tensor) -> tuple[int, ...]:
        return (*x.shape[:2], self.down[0].outputs, self.down[1].outputs)

    def activate(self, u: Tensor) -> Tensor:
        """The leaky ReLU and the bounds, in place."""
        if self.slope != 1:
            u = F.leaky_relu_(u, self.slope)
        return u if self.clamp is None else u.clamp_(-self.clamp, self.clamp)

    def differential(self, u: Tensor, v: Tensor) -> Tensor:
        """The derivative of `activate` at u, times v."""
        if self.slope != 1:
            v = torch.ops.aten.leaky_relu_backward(v, u, self.slope, False)
        if self.clamp is not None:
            low = -self.clamp / self.slope if self.slope > 0 else -math.inf
            v = torch.ops.aten.hardtanh_backward(v, u, low, self.clamp)
        return v

    # Each gives a function of a few feature maps (K, H, W)

    def upsampler(self, h: Tensor) -> _Linear:
        """To the rate of the non-linearity, times the gain, which the leaky ReLU lets through."""
        h = h * (self.up[1].up * math.sqrt(self.gain))  # zeros between the samples take a factor of `up` an axis
        columns, rows = (_Band(axis, h) for axis in self.up)
        return lambda x: columns.along_columns(rows.along_rows(x))

    def upsampler_adjoint(self, h: Tensor) -> _Linear:
        """Its transpose."""
        h = h.flip(0) * (self.up[1].up * math.sqrt(self.gain))
        columns, rows = (_Band(axis.adjoint(), h) for axis in self.up)
        return lambda g: rows.along_rows(columns.along_columns(g))

    def downsampler(self, h: Tensor) -> _Linear:
        """From the rate of the non-linearity to the output's."""
        if h.dim() == 1:
            columns, rows = (_Band(axis, h) for axis in self.down)
            return lambda x: columns.along_columns(rows.along_rows(x))
        weight, stride = h.flip(0, 1), self.down[0].down
        return lambda x: F.conv2d(x[None], weight.expand(len(x), 1, -1, -1), stride=stride, groups=len(x))[0]

    def downsampler_adjoint(self, h: Tensor) -> _Linear:
        """Its transpose."""
        if h.dim() == 1:
            columns, rows = (_Band(axis.adjoint(), h.flip(0)) for axis in self.down)
            return lambda g: rows.along_rows(columns.along_columns(g))
        weight, stride = h.flip(0, 1), self.down[0].down
        over = [axis.inputs - ((axis.outputs - 1) * axis.down + axis.taps) for axis in self.down]
        return lambda g: F.conv_transpose2d(
            g[None], weight.expand(len(g), 1, -1, -1), stride=stride, output_padding=over, groups=len(g)
        )[0]


class _Filtered(torch.autograd.Function):
    """y = D a(U x): a few feature maps at a time, so that what is upsampled never leaves the processor's cache.

    Nothing but x is kept for the backward pass, which upsamples it again: the upsampled signal is four times as large.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, up_filter: Tensor, down_filter: Tensor, plan: _Plan) -> Tensor:
        ctx.save_for_backward(x, up_filter, down_filter)
        ctx.plan = plan
        flat = x.flatten(0, 1)
        y = x.new_empty(plan.output_shape(x))
        made = y.flatten(0, 1)
        up, down = plan.upsampler(up_filter), plan.downsampler(down_filter)
        for part in plan.chunks(len(flat)):
            made[part] = down(plan.activate(up(flat[part])))
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _Pulled.apply(grads[0], *ctx.saved_tensors, ctx.plan), None, None, None


class _Pushed(torch.autograd.Function):
    """The derivative of `_Filtered` at x in the direction v: D (a'(U x) * U v)."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, x: Tensor, up_filter: Tensor, down_filter: Tensor, plan: _Plan) -> Tensor:
        ctx.save_for_backward(x, up_filter, down_filter)
        ctx.plan = plan
        flat, direction = x.flatten(0, 1), v.flatten(0, 1)
        y = x.new_empty(plan.output_shape(x))
        made = y.flatten(0, 1)
        up, down = plan.upsampler(up_filter), plan.downsampler(down_filter)
        for part in plan.chunks(len(flat)):
            made[part] = down(plan.differential(up(flat[part]), up(direction[part])))
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _Pulled.apply(grads[0], *ctx.saved_tensors, ctx.plan), None, None, None, None


class _Pulled(torch.autograd.Function):
    """Its transpose, which carries a gradient g back: U' (a'(U x) * D' g). It is linear in g, and flat in x."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, up_filter: Tensor, down_filter: Tensor, plan: _Plan) -> Tensor:
        ctx.save_for_backward(x, up_filter, down_filter)
        ctx.plan = plan
        flat, given = x.flatten(0, 1), g.flatten(0, 1)
        made = torch.empty_like(flat)
        up, back = plan.upsampler(up_filter), plan.upsampler_adjoint(up_filter)
        spread = plan.downsampler_adjoint(down_filter)
        for part in plan.chunks(len(flat)):
            made[part] = back(plan.differential(up(flat[part]), spread(given[part])))
        return made.view(x.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _Pushed.apply(grads[0], *ctx.saved_tensors, ctx.plan), None, None, None, None


def filtered_lrelu(
    x: Tensor,
    up_filter: Tensor | None = None,
    down_filter: Tensor | None = None,
    *,
    up: int = 1,
    down: int = 1,
    padding: tuple[int, int] = (0, 0),
    gain: float = math.sqrt(2),
    slope: float = 0.2,
    clamp: float | None = None,
) -> Tensor:
    """Upsamples, applies the leaky ReLU, bounds the values, and downsamples (section 2.2 and appendix C.3).

    On a CPU the filters are banded matrices, applied to a few feature maps at a time; elsewhere, and where it is
    compiled, they are strided convolutions. Both can be differentiated any number of times.

    Args:
        x: `(N, C, H, W)`, of any floating type.
        up_filter: `(taps,)`, the low-pass filter of either axis for upsampling; None for none.
        down_filter: `(taps,)`, or `(taps, taps)` where it is not separable, for downsampling; None for none.
        up: upsampling factor.
        down: downsampling factor.
        padding: zeros before and after the upsampled signal of either axis; a negative number crops.
        gain: on the upsampled signal.
        slope: of the leaky ReLU, for negative values, at least 0; 1 for no leaky ReLU.
        clamp: bound of the values after the leaky ReLU; None for none.

    Returns:
        `(N, C, H', W')` with H' = ceil((H up + padding - (taps of both filters - 2)) / down).

    Raises:
        BadArgument: where nothing of the signal is left.
    """
    up_filter = x.new_ones(1) if up_filter is None else up_filter.to(x.dtype)
    down_filter = x.new_ones(1) if down_filter is None else down_filter.to(x.dtype)
    ups, downs = [], []
    for length in x.shape[2:]:
        middle = length * up + sum(padding) - (len(up_filter) - 1)
        outputs = -((len(down_filter) - 1 - middle) // down)
        if outputs < 1:
            raise BadArgument(f"{length} samples, upsampled by {up} and padded by {padding}, are fewer than the taps")
        ups.append(_Axis(length, middle, up, 1, padding[0], len(up_filter)))
        downs.append(_Axis(middle, outputs, 1, down, 0, len(down_filter)))
    plan = _Plan((ups[0], ups[1]), (downs[0], downs[1]), gain, slope, clamp)
    if up == down == len(up_filter) == len(down_filter) == 1 and padding == (0, 0):
        return _pointwise(x if gain == 1 else x * gain, plan)
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        return _Filtered.apply(x, up_filter, down_filter, plan)
    return _strided(x, up_filter, down_filter, plan)


def _pointwise(u: Tensor, plan: _Plan) -> Tensor:
    u = u if plan.slope == 1 else F.leaky_relu(u, plan.slope)
    return u if plan.clamp is None else u.clamp(-plan.clamp, plan.clamp)


def _strided(x: Tensor, up_filter: Tensor, down_filter: Tensor, plan: _Plan) -> Tensor:
    """The same by depthwise convolutions, fractionally strided for upsampling, for any device."""
    channels, (columns, rows) = x.shape[1], plan.up
    if up_filter.dim() != 1:
        raise BadArgument(f"the filter for upsampling has shape {tuple(up_filter.shape)}; one axis is expected")
    taps, up = rows.taps, rows.up
    h = (up_filter * (up * math.sqrt(plan.gain))).expand(channels, 1, -1)
    u = F.conv_transpose2d(x, h[:, :, None], stride=(1, up), groups=channels)
    u = F.conv_transpose2d(u, h[..., None], stride=(up, 1), groups=channels)
    # The whole response begins `taps - 1` samples before the first one that lies within the signal
    before = rows.pad - (taps - 1)
    after = [axis.outputs - ((axis.inputs - 1) * up + taps) - before for axis in (rows, columns)]
    u = _pointwise(F.pad(u, [before, after[0], before, after[1]]), plan)
    down = plan.down[0].down
    if down_filter.dim() == 2:
        h = down_filter.flip(0, 1).expand(channels, 1, -1, -1)
        return F.conv2d(u, h, stride=down, groups=channels)
    h = down_filter.flip(0).expand(channels, 1, -1)
    u = F.conv2d(u, h[:, :, None], stride=(1, down), groups=channels)
    return F.conv2d(u, h[..., None], stride=(down, 1), groups=channels)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Blurs images, for the first steps of configuration R's discriminator.

    Args:
        images: `(N, C, H, W)`.
        sigma: the distance in pixels at which the filter 2^-(x / sigma)^2 has fallen to one half; it ends at 3 sigma,
            and below a third of a pixel there is none.

    Returns:
        Images of that shape; outside of them there are zeros.
    """
    reach = math.floor(3 * sigma)
    if reach < 1:
        return images
    x = torch.arange(-reach, reach + 1, device=images.device) / sigma
    h = torch.exp2(-x.square())
    h = h / h.sum()
    return filtered_lrelu(images, h, padding=(reach, reach), gain=1.0, slope=1.0)


# -------------------------------------------------------------------------------------------------- the synthesis


class Signal(NamedTuple):
    """What a layer's output is a sampling of.

    Args:
        rate: s, samples an image side.
        cutoff: f_c, cycles an image side.
        half_width: f_h, of the transition band.
        size: samples along a side, with the margins.
        channels: feature maps.
    """

    rate: int
    cutoff: float
    half_width: float
    size: int
    channels: int


def schedule(
    size: int,
    channels: int,
    *,
    base: int = 32768,
    most: int = 512,
    layers: int = 14,
    critical: int = 2,
    first_cutoff: float = 2.0,
    first_stopband: float = 2**2.1,
    last_stopband: float = 2**0.3,
    margin: int = 10,
) -> list[Signal]:
    """The signals of all layers (section 3.2 and figure 4c): cutoffs and stopbands grow geometrically.

    f_c[i] = f_c,0 (f_c,N / f_c,0)^e and f_t[i] likewise, with e = min(i / (N - critical), 1) and f_c,N = size / 2; the
    sampling rate is the power of two that holds f_t, and f_h = max(s / 2, f_t) - f_c.

    Args:
        size: side of an image, in pixels.
        channels: of an image.
        base: feature maps times twice the cutoff.
        most: feature maps at most.
        layers: N, beside the input and ToRGB.
        critical: layers at the end whose cutoff is half the sampling rate, for the sake of sharp images.
        first_cutoff: f_c,0, of the input.
        first_stopband: f_t,0, of the input.
        last_stopband: f_t,N / f_c,N.
        margin: samples beyond the image on each side.

    Returns:
        `layers + 1` signals; the last is the image.

    Raises:
        BadArgument: if every layer is critically sampled, or the frequencies do not rise.
    """
    if not 0 <= critical < layers:
        raise BadArgument(f"{critical} of {layers} layers are critically sampled; at least one must not be")
    last = size / 2
    if not 0 < first_cutoff <= last or not first_cutoff < first_stopband or last_stopband < 1:
        raise BadArgument(
            f"the first cutoff is {first_cutoff}, its stopband {first_stopband} and the last stopband {last_stopband} "
            f"times the last cutoff {last}; cutoffs that do not fall, and stopbands above them, are expected"
        )
    signals = []
    for i in range(layers + 1):
        exponent = min(i / (layers - critical), 1.0)
        cutoff = first_cutoff * (last / first_cutoff) ** exponent
        stopband = first_stopband * (last * last_stopband / first_stopband) ** exponent
        rate = 2 ** math.ceil(math.log2(min(2 * stopband, size)))
        inside = i >= layers - 1  # the last layers are without margins, for the image has none
        maps = channels if i == layers else max(round(min(base / 2 / cutoff, most)), 1)
        signals.append(
            Signal(rate, cutoff, max(stopband, rate / 2) - cutoff, size if inside else rate + 2 * margin, maps)
        )
    return signals


def factors(before: Signal, after: Signal, upsampling: int) -> tuple[int, int, int]:
    """How a layer resamples: the rate at its non-linearity, the factor up to it and the factor down from it."""
    rate = max(before.rate, after.rate) * upsampling
    return rate, rate // before.rate, rate // after.rate


class SynthesisInput(nn.Module):
    """Fourier features z_0 in place of a learned constant (section 3.2).

    sin(2 pi (f · x + phi)) at frequencies f drawn from a disc of radius f_c, mixed by a learned matrix. The plane is
    first rotated and shifted as w says, and then transformed as the user says.

    Args:
        style: length of w.
        signal: of the output.

    Attributes:
        transform: `(3, 3)`, from the plane of the image to the plane of the features, in units of an image side; the
            inverse of what the picture shows. The identity, unless a user sets it.
        freqs: f, `(C, 2)`.
        phases: phi, `(C,)`.
    """

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, style: int, signal: Signal) -> None:
        super().__init__()
        self.signal = signal
        channels = signal.channels
        normal = torch.randn(channels, 2)
        # exp(-|normal|^2 / 2) is uniform in [0, 1], so its root is a radius that fills the disc evenly
        square = normal.square().sum(1, keepdim=True)
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = EqualizedLinear(style, 4)
        with torch.no_grad():
            self.affine.weight.zero_()
            self.affine.bias[0] = 1  # type: ignore[index]  # no rotation, no shift
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", normal * square.rsqrt() * (square / -4).exp() * signal.cutoff)
        self.register_buffer("phases", torch.rand(channels) - 0.5)

    def forward(self, w: Tensor) -> Tensor:
        """Maps w `(N, style)` to features `(N, C, size, size)`, in float32 or wider whatever the precision around."""
        with torch.autocast(w.device.type, enabled=False):
            t = self.affine(w.to(self.affine.weight.dtype))
            cos, sin, tx, ty = (t / t[:, :2].norm(dim=1, keepdim=True)).unbind(1)
            zero, one = torch.zeros_like(cos), torch.ones_like(cos)
            rotation = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], 1).view(-1, 3, 3)
            shift = torch.stack([one, zero, -tx, zero, one, -ty, zero, zero, one], 1).view(-1, 3, 3)
            plane = rotation @ shift @ self.transform
            phases = self.phases + (self.freqs @ plane[:, :2, 2:]).squeeze(2)
            freqs = self.freqs @ plane[:, :2, :2]
            # A user's transform may raise frequencies above what the samples carry: they fade out below s / 2
            over = (freqs.norm(dim=2) - self.signal.cutoff) / (self.signal.rate / 2 - self.signal.cutoff)
            amplitudes = (1 - over).clamp(0, 1)
            n = self.signal.size
            at = (torch.arange(n, device=w.device, dtype=freqs.dtype) + (0.5 - n / 2)) / self.signal.rate
            x = at[:, None] * freqs[:, None, None, :, 0] + at[:, None, None] * freqs[:, None, None, :, 1]
            x = torch.sin(2 * math.pi * (x + phases[:, None, None])) * amplitudes[:, None, None]
            x = F.linear(x, self.weight / math.sqrt(self.signal.channels))
        return x.permute(0, 3, 1, 2)


class SynthesisLayer(nn.Module):
    """A modulated convolution and a filtered leaky ReLU (section 3.2, figure 4b).

    The input is divided by the root of its tracked mean square and the weights by theirs, so that activations keep
    their magnitude without a normalisation that would couple pixels. ToRGB has a kernel of 1, no demodulation, and
    neither filters nor a leaky ReLU.

    Args:
        style: length of w.
        before: the signal that comes in.
        after: the signal that goes out.
        rgb: whether this is ToRGB.
        critical: whether the layer is critically sampled, which radial filters are not for.
        kernel: of the convolution, 3 for configuration T and 1 for R.
        filter_size: taps of the filters in samples of the lower rate.
        upsampling: sampling rate at the leaky ReLU, relative to the higher of the two.
        radial: whether filters for downsampling are radially symmetric (R).
        clamp: bound of the values after the leaky ReLU; None for none.

    Attributes:
        magnitude: the running mean square of the input.
        up_filter, down_filter: the low-pass filters, None where there is nothing to filter.
    """

    magnitude: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(
        self,
        style: int,
        before: Signal,
        after: Signal,
        *,
        rgb: bool = False,
        critical: bool = False,
        kernel: int = 3,
        filter_size: int = 6,
        upsampling: int = 2,
        radial: bool = False,
        clamp: float | None = 256.0,
    ) -> None:
        super().__init__()
        kernel = 1 if rgb else kernel
        self.rgb, self.clamp, self.kernel = rgb, clamp, kernel
        self.affine = EqualizedLinear(style, before.channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(after.channels, before.channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after.channels))
        self.register_buffer("magnitude", torch.ones(()))
        rate, self.up, self.down = factors(before, after, 1 if rgb else upsampling)
        up_taps, down_taps = (1 if rgb or factor == 1 else filter_size * factor for factor in (self.up, self.down))
        up_filter = low_pass(up_taps, before.cutoff, 2 * before.half_width, rate) if up_taps > 1 else None
        radial = radial and not critical
        down_filter = low_pass(down_taps, after.cutoff, 2 * after.half_width, rate, radial) if down_taps > 1 else None
        self.register_buffer("up_filter", up_filter)
        self.register_buffer("down_filter", down_filter)
        # Appendix C.3: samples stand in the middle of their pixels, so resampling moves the border by half a sample
        total = (after.size - 1) * self.down + 1 - (before.size + kernel - 1) * self.up + up_taps + down_taps - 2
        self.padding = ((total + self.up) // 2, total - (total + self.up) // 2)

    def forward(self, x: Tensor, w: Tensor, track: float = 0.0) -> Tensor:
        """Maps `(N, C, H, W)` to `(N, C', H', W')`.

        Args:
            x: the signal `before`.
            w: latents `(N, style)`.
            track: the weight of this batch in the running mean square of the input; 0 leaves it as it is.
        """
        fan_in = self.weight[0].numel()
        with torch.autocast(x.device.type, enabled=False):
            if track:
                self.follow(x, track)
            styles = self.affine(w.to(self.affine.weight.dtype))
            if self.rgb:
                after = None
            else:
                # Weights of mean square 1 an output map, styles of mean square 1 over the batch: the demodulation
                # cancels both, but half precision needs them. Of the weights it is the output that is divided
                energy = self.weight.square().sum((2, 3))
                inverse = (energy.sum(1) / fan_in).rsqrt()
                styles = styles * styles.square().mean().rsqrt()
                after = demodulation(styles, energy * inverse.square()[:, None]) * inverse * math.sqrt(fan_in)
            magnitude = self.magnitude.clamp(min=1e-8)  # of an input that is nothing but zeros
            styles = styles * (magnitude.rsqrt() / math.sqrt(fan_in))
        weight: Tensor = self.weight
        x = x * styles.to(x.dtype)[:, :, None, None]
        if x.device.type == "cpu":
            # Feature map by feature map, as the filters want it; the weights' gradient takes half the time so, too
            x, weight = x.contiguous(), weight.contiguous()
        x = F.conv2d(x, weight, padding=self.kernel - 1)
        bias = self.bias.to(x.dtype)[:, None, None]
        x = x + bias if after is None else torch.addcmul(bias, x, after.to(x.dtype)[:, :, None, None])
        return filtered_lrelu(
            x,
            self.up_filter,
            self.down_filter,
            up=self.up,
            down=self.down,
            padding=self.padding,
            gain=1.0 if self.rgb else math.sqrt(2),
            slope=1.0 if self.rgb else 0.2,
            clamp=self.clamp,
        )

    @torch.no_grad()
    def follow(self, x: Tensor, share: float) -> None:
        """Moves the running mean square towards that of x by `share`."""
        norm = torch.linalg.vector_norm(x, dtype=torch.promote_types(x.dtype, torch.float32))
        self.magnitude.lerp_((norm.square() / x.numel()).to(self.magnitude), share)

    def extra_repr(self) -> str:
        """What distinguishes the layer."""
        o, i, k, _ = self.weight.shape
        return f"{i}, {o}, kernel={k}, up={self.up}, down={self.down}, rgb={self.rgb}"


class Synthesis(nn.Module):
    """The synthesis network (figure 4b): Fourier features, layers, and ToRGB. It has no noise inputs (section 3.1).

    Args:
        style: length of w.
        signals: of the layers and the image, as `schedule` gives them.
        critical: critically sampled layers before ToRGB, as `schedule` was told.
        scale: on the image.
        **layer: the other arguments of every `SynthesisLayer`.
    """

    sizes: tuple[int, ...] = ()  # of noise inputs

    def __init__(self, style: int, signals: list[Signal], critical: int, scale: float = 0.25, **layer: Any) -> None:
        super().__init__()
        self.style, self.scale, self.count = style, scale, len(signals) + 1
        self.input = SynthesisInput(style, signals[0])
        last = len(signals) - 1
        self.layers = nn.ModuleList(
            SynthesisLayer(style, signals[max(i - 1, 0)], signal, rgb=i == last, critical=i >= last - critical, **layer)
            for i, signal in enumerate(signals)
        )

    def forward(self, ws: Tensor, noise: object = None, *, track: float = 0.0) -> Tensor:
        """Maps w `(N, count, style)`, one for the input and one for each layer, to images `(N, C, size, size)`.

        Args:
            ws: latents.
            noise: without effect; other style-based generators take it.
            track: the weight of this batch in the running magnitudes of the layers' inputs.

        Raises:
            BadArgument: for latents of another shape.
        """
        if ws.dim() != 3 or ws.shape[1:] != (self.count, self.style):
            raise BadArgument(f"w has shape {tuple(ws.shape)}; (N, {self.count}, {self.style}) is expected")
        x = self.input(ws[:, 0])
        for i, layer in enumerate(self.layers, 1):
            x = layer(x, ws[:, i], track)
        return x if self.scale == 1 else x * self.scale
