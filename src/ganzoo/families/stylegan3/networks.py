"""StyleGAN3's synthesis network: signals of a known bandwidth, and a non-linearity that respects it.

Sections and figures are those of the paper (arXiv:2106.12423). A pointwise non-linearity makes frequencies that the
samples of a feature map cannot carry, so it acts on an upsampled signal, which is low-pass filtered and sampled again
(section 2.2):

    y = down(clamp(lrelu(up(x))))

`nn/signals.py` says how finely each layer is sampled, and where its filters cut off.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.families.stylegan3.banded import filtered
from ganzoo.nn.double_backward import recorded
from ganzoo.nn.signals import Signal, factors
from ganzoo.nn.style import EqualizedLinear, Mapping, check_styles, demodulation
from ganzoo.types import BadArgument

# ---------------------------------------------------------------------------------------------------------- filters


def kaiser_beta(taps: int, width: float) -> float:
    """The shape of the Kaiser window that gives a filter its transition band (appendix C.1).

    Kaiser's formulas: the attenuation that so many taps reach is 2.285 pi (taps - 1) width + 7.95 decibels, and beta
    follows from it.

    Args:
        taps: length of the filter.
        width: width of the transition band, as a share of half the sampling rate.

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

    It can be differentiated any number of times.

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
    taps = [1 if h is None else len(h) for h in (up_filter, down_filter)]
    if min(x.shape[2:]) * up + sum(padding) < sum(taps) - 1:
        raise BadArgument(
            f"{min(x.shape[2:])} samples, upsampled by {up} and padded by {padding}, are fewer than the taps"
        )
    up_filter = x.new_ones(1) if up_filter is None else up_filter.to(x.dtype)
    down_filter = x.new_ones(1) if down_filter is None else down_filter.to(x.dtype)
    # The leaky ReLU lets the gain through; zeros between the samples take a factor of `up` along each axis
    up_filter = up_filter * (up * math.sqrt(gain))
    if x.device.type == "cpu" and not recorded():
        return filtered(x, up_filter, down_filter, up, down, padding, slope, clamp)
    c = x.shape[1]
    h = up_filter.expand(c, 1, -1)
    u = F.conv_transpose2d(x, h[:, :, None], stride=(1, up), groups=c)
    u = F.conv_transpose2d(u, h[..., None], stride=(up, 1), groups=c)
    # The whole response begins `taps - 1` samples before the first one that lies within the signal
    u = F.pad(u, 2 * [padding[0] - taps[0] + 1, padding[1] - taps[0] + up])
    u = _activate(u, slope, clamp)
    if down_filter.dim() == 2:
        return F.conv2d(u, down_filter.flip(0, 1).expand(c, 1, -1, -1), stride=down, groups=c)
    h = down_filter.flip(0).expand(c, 1, -1)
    u = F.conv2d(u, h[:, :, None], stride=(1, down), groups=c)
    return F.conv2d(u, h[..., None], stride=(down, 1), groups=c)


def _activate(u: Tensor, slope: float, clamp: float | None) -> Tensor:
    u = u if slope == 1 else F.leaky_relu(u, slope)
    return u if clamp is None else u.clamp(-clamp, clamp)


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
    h = torch.exp2(-(torch.arange(-reach, reach + 1, device=images.device) / sigma).square())
    return filtered_lrelu(images, h / h.sum(), padding=(reach, reach), gain=1.0, slope=1.0)


# -------------------------------------------------------------------------------------------------- the synthesis


class SynthesisInput(nn.Module):
    """Fourier features z_0 in place of a learned constant (section 3.2).

    sin(2 pi (f · x + phi)) at frequencies f drawn from a disc of radius f_c, mixed by a learned matrix. The plane is
    first rotated and shifted as w says, and then transformed as the user says.

    Args:
        style: length of w.
        signal: what the output samples.

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
        s = self.signal
        with torch.autocast(w.device.type, enabled=False):
            t = self.affine(w.to(self.weight.dtype))
            c, s_, tx, ty = (t / t[:, :2].norm(dim=1, keepdim=True)).unbind(1)
            plane = torch.stack([c, -s_, s_ * ty - c * tx, s_, c, -s_ * tx - c * ty], 1).view(
                -1, 2, 3
            )  # rotation @ shift
            f = self.freqs @ plane @ self.transform  # (N, C, 3): a frequency and the phase that the shift gives it
            f, phi = f[..., :2], self.phases + f[..., 2]
            # A user's transform may raise frequencies above what the samples carry: they fade out below s / 2
            over = (f.norm(dim=2) - s.cutoff) / (s.rate / 2 - s.cutoff)
            at = (torch.arange(s.size, device=w.device, dtype=f.dtype) + (0.5 - s.size / 2)) / s.rate
            x = at[:, None] * f[:, None, None, :, 0] + at[:, None, None] * f[:, None, None, :, 1]  # (N, H, W, C)
            x = torch.sin(2 * math.pi * (x + phi[:, None, None])) * (1 - over).clamp(0, 1)[:, None, None]
            x = F.linear(x, self.weight / math.sqrt(s.channels))
        return x.permute(0, 3, 1, 2).contiguous()


class SynthesisLayer(nn.Module):
    """A modulated convolution and a filtered leaky ReLU (section 3.2, figure 4b).

    The input is divided by the root of its tracked mean square and the weights by theirs, so that activations keep
    their magnitude without a normalization that would couple pixels. ToRGB has a kernel of 1, no demodulation, and
    neither filters nor a leaky ReLU.

    Args:
        style: length of w.
        before: the signal that comes in.
        after: the signal that goes out.
        rgb: whether this is ToRGB.
        critical: whether the layer is critically sampled, which radial filters are not for.
        kernel: side of the convolution's kernel, 3 for configuration T and 1 for R.
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
        with torch.autocast(x.device.type, enabled=False):
            if track:
                self.follow(x, track)
            s = self.affine(w.to(self.weight.dtype))
            weight: Tensor = self.weight
            fan_in = weight[0].numel()
            if self.rgb:
                s = s / math.sqrt(fan_in)
            else:
                # Filters of length 1 and styles of mean square 1: demodulation cancels both, half precision needs them
                weight = weight * weight.square().sum((1, 2, 3), keepdim=True).rsqrt()
                s = s * s.square().mean().rsqrt()
                d = demodulation(s, weight, eps=1e-8 / fan_in)
            s = s * self.magnitude.clamp(min=1e-8).rsqrt()  # no division by 0 where the input is nothing but zeros
        x = F.conv2d(x * s.to(x.dtype)[:, :, None, None], weight, padding=self.kernel - 1)
        b = self.bias.to(x.dtype)[:, None, None]
        if self.rgb:
            return _activate(x + b, 1.0, self.clamp)
        return filtered_lrelu(
            torch.addcmul(b, x, d.to(x.dtype)[:, :, None, None]),
            self.up_filter,
            self.down_filter,
            up=self.up,
            down=self.down,
            padding=self.padding,
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
        signals: what the layers' outputs and the image sample, as `schedule` gives them.
        critical: critically sampled layers before ToRGB, as `schedule` was told.
        scale: a factor on the image.
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
        check_styles(ws, self.count, self.style)
        x = self.input(ws[:, 0])
        for layer, w in zip(self.layers, ws[:, 1:].unbind(1), strict=True):
            x = layer(x, w, track)
        return x * self.scale


class Generator(nn.Module):
    """The mapping network and the synthesis network.

    Args:
        mapping: from z to w, one for the input and one for each layer.
        synthesis: from w to images.
    """

    def __init__(self, mapping: Mapping, synthesis: Synthesis) -> None:
        super().__init__()
        self.mapping, self.synthesis = mapping, synthesis

    def forward(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        *,
        truncation: float | None = None,
        truncation_cutoff: int | None = None,
        track: float = 0.0,
    ) -> Tensor:
        """Maps latents to images.

        Args:
            z: `(N, latent)`.
            labels: class indices `(N,)` or vectors `(N, classes)`, where there are classes.
            truncation: psi.
            truncation_cutoff: layers from this one on are not truncated.
            track: the weight of this batch in the layers' running magnitudes; with it the mean of w follows too.

        Returns:
            Images `(N, C, H, W)`.
        """
        ws = self.mapping(z, labels, truncation, truncation_cutoff, track=track > 0)
        return self.synthesis(ws, track=track)
