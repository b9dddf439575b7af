"""The signals of an alias-free generator: how finely each layer is sampled, and how much it can tell.

Karras et al. 2021, "Alias-Free Generative Adversarial Networks" (arXiv:2106.12423), section 3.2. Feature maps are
samples of a continuous signal. Every layer has a sampling rate s (samples along a side of the image), a cutoff f_c and
a half-width f_h of the transition band. Images span [-1/2, 1/2] along both axes, and the feature maps a margin beyond
it, so that zeros at the border do not tell where the image ends.

It stands here because both the family and the converter of published checkpoints need it.
"""

import math
from typing import NamedTuple

from ganzoo.types import BadArgument


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
        channels: channels of an image.
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
        half_width = max(stopband, rate / 2) - cutoff
        signals.append(Signal(rate, cutoff, half_width, size if inside else rate + 2 * margin, maps))
    return signals


def factors(before: Signal, after: Signal, upsampling: int) -> tuple[int, int, int]:
    """How a layer resamples: the rate at its non-linearity, the factor up to it and the factor down from it."""
    rate = max(before.rate, after.rate) * upsampling
    return rate, rate // before.rate, rate // after.rate
