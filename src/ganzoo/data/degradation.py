"""How pictures lose quality on their way: the second-order degradation that Real-ESRGAN learns to undo.

Wang, Xie, Dong and Shan 2021, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data",
arXiv:2107.10833, section 3. A picture is blurred, resized, given noise and written as a JPEG (eq. 1), twice (eq. 2),
and filtered by a sinc, which rings like sharpening and compression do (eq. 5). The numbers are those of the authors'
recipe for x4plus. They draw one set of numbers for a batch and mix batches in a pool; here each picture has its own
numbers, from its own stream, and its JPEG is Pillow's, where theirs is an approximation on the GPU.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import RandomState
from PIL import Image
from torch import Tensor

from ganzoo.nn.enlarging import from_unit, to_unit
from ganzoo.types import BadArgument

_FORMS = ("gaussian", "generalized", "plateau")
_SHARES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)  # of each form: round, and then longer one way
_FILTERS = ("area", "bilinear", "bicubic")
_LARGEST = 21  # pixels of a kernel's side; the smallest has 7


@dataclass(frozen=True)
class Order:
    """One round of blur, resizing, noise and JPEG; the defaults are those of the first.

    Args:
        blurred: the share of pictures that are blurred.
        sigma: from and to which a Gaussian's width is drawn.
        resized: shares that are enlarged, made smaller, and kept,
        factor: and between which factors.
        gaussian: standard deviations of Gaussian noise, in levels of 255,
        poisson: and the strength of noise that follows the light, for the other half of the pictures.
        grey: the share whose noise is the same in all channels.
        quality: of the JPEG.
    """

    blurred: float = 1.0
    sigma: tuple[float, float] = (0.2, 3.0)
    resized: tuple[float, float, float] = (0.2, 0.7, 0.1)
    factor: tuple[float, float] = (0.15, 1.5)
    gaussian: tuple[float, float] = (1.0, 30.0)
    poisson: tuple[float, float] = (0.05, 3.0)
    grey: float = 0.4
    quality: tuple[float, float] = (30.0, 95.0)


FIRST = Order()
SECOND = Order(
    blurred=0.8,
    sigma=(0.2, 1.5),
    resized=(0.3, 0.4, 0.3),
    factor=(0.3, 1.2),
    gaussian=(1.0, 25.0),
    poisson=(0.05, 2.5),
)


def degrade(images: Tensor, scale: int, seeds: Tensor) -> Tensor:
    """Makes images small as the world does it, each from its own seed.

    Args:
        images: `(N, C, H, W)` in [-1, 1], with 1 or 3 channels and sides that are multiples of `scale`.
        scale: by how much.
        seeds: `(N,)`, whole numbers from 0 on, below 2^32.

    Returns:
        `(N, C, H / scale, W / scale)` in [-1, 1], at the 256 levels of a file.

    Raises:
        BadArgument: for sides that are no multiples.
    """
    height, width = images.shape[2:]
    if height % scale or width % scale:
        raise BadArgument(f"images have {height}x{width} pixels; multiples of {scale} are expected")
    made = [_degraded(image, scale, RandomState(int(seed))) for image, seed in zip(images.cpu(), seeds, strict=True)]
    return from_unit(torch.stack(made)).to(images)


def _degraded(image: Tensor, scale: int, rng: RandomState) -> Tensor:
    height, width = image.shape[1:]
    small = (height // scale, width // scale)
    x = to_unit(image.float())
    x = filtered(x, random_kernel(rng, FIRST.sigma))
    x = resized(x, _sides((height, width), FIRST, rng), _FILTERS[rng.randint(3)])
    x = jpeg(noisy(x, FIRST, rng), rng.uniform(*FIRST.quality))
    if rng.uniform() < SECOND.blurred:
        x = filtered(x, random_kernel(rng, SECOND.sigma))
    x = resized(x, _sides(small, SECOND, rng), _FILTERS[rng.randint(3)])
    x = noisy(x, SECOND, rng)
    # The sinc stands before the last JPEG or after it (section 3.4)
    last = sinc_kernel(rng.uniform(math.pi / 3, math.pi), _side(rng)) if rng.uniform() < 0.8 else None
    quality, way = rng.uniform(*SECOND.quality), _FILTERS[rng.randint(3)]
    if rng.uniform() < 0.5:
        x = jpeg(filtered(resized(x, small, way), last), quality)
    else:
        x = filtered(resized(jpeg(x, quality), small, way), last)
    return (x.clamp(0, 1) * 255).round() / 255


def _sides(sides: tuple[int, int], order: Order, rng: RandomState) -> tuple[int, int]:
    """The sides of an image that is enlarged, made smaller, or kept."""
    low, high = order.factor
    bounds = ((1.0, high), (low, 1.0), (1.0, 1.0))[rng.choice(3, p=order.resized)]
    factor = rng.uniform(*bounds)
    return max(1, int(sides[0] * factor)), max(1, int(sides[1] * factor))


# ------------------------------------------------------------------------------------------------------------ kernels


def _side(rng: RandomState) -> int:
    return int(2 * rng.randint(3, _LARGEST // 2 + 1) + 1)


def random_kernel(rng: RandomState, sigma: tuple[float, float]) -> Tensor:
    """A blur `(k, k)` of sum 1 with k odd, from 7 to 21: a tenth are sinc filters, the others round or longer one way.

    Args:
        rng: what it is drawn from.
        sigma: from and to which widths are drawn.
    """
    side = _side(rng)
    if rng.uniform() < 0.1:
        return sinc_kernel(rng.uniform(math.pi / (3 if side < 13 else 5), math.pi), side)
    kind = int(rng.choice(6, p=_SHARES))
    form, long = _FORMS[kind // 2], kind % 2 == 1
    across = rng.uniform(*sigma)
    down, angle = (rng.uniform(*sigma), rng.uniform(-math.pi, math.pi)) if long else (across, 0.0)
    most = {"gaussian": 1.0, "generalized": 4.0, "plateau": 2.0}[form]
    least = 1.0 if form == "plateau" else 0.5
    power = 1.0 if form == "gaussian" else rng.uniform(*((least, 1.0) if rng.uniform() < 0.5 else (1.0, most)))
    return blur_kernel(side, across, down, angle, power, form == "plateau")


def blur_kernel(
    side: int, across: float, down: float, angle: float = 0.0, power: float = 1.0, plateau: bool = False
) -> Tensor:
    """A generalized Gaussian exp(-q^power / 2), or a plateau 1 / (1 + q^power), of q = d' Sigma^-1 d (section 3.1).

    Args:
        side: pixels, an odd number.
        across: standard deviation along the first axis of the ellipse,
        down: and along the second.
        angle: by which it is turned, in radians.
        power: beta; 1 for a Gaussian.
        plateau: which of the two.

    Returns:
        `(side, side)` of sum 1.
    """
    at = torch.arange(side, dtype=torch.float64) - side // 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    one, other = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    q = ((one / across).square() + (other / down).square()).pow(power)
    kernel = 1 / (1 + q) if plateau else torch.exp(-q / 2)
    return (kernel / kernel.sum()).float()


def sinc_kernel(cutoff: float, side: int) -> Tensor:
    """The ideal low-pass filter of the plane, cut off: cutoff J1(cutoff r) / (2 pi r) (eq. 5).

    Args:
        cutoff: the frequency in radians a pixel, up to pi.
        side: pixels, an odd number.

    Returns:
        `(side, side)` of sum 1.
    """
    at = torch.arange(side, dtype=torch.float64) - side // 2
    r = torch.hypot(at[:, None], at[None])
    kernel = cutoff * torch.special.bessel_j1(cutoff * r) / (2 * math.pi * r)
    kernel[side // 2, side // 2] = cutoff**2 / (4 * math.pi)  # the limit at r = 0
    return (kernel / kernel.sum()).float()


# --------------------------------------------------------------------------------------------------------- operations


def filtered(image: Tensor, kernel: Tensor | None) -> Tensor:
    """Convolves `(C, H, W)` with a kernel `(k, k)`, the image reflected at its borders; None leaves it as it is."""
    if kernel is None:
        return image
    reach = len(kernel) // 2
    padded = np.pad(image.numpy(), [(0, 0), (reach, reach), (reach, reach)], mode="reflect")  # of any size
    return F.conv2d(torch.from_numpy(padded)[:, None], kernel[None, None])[:, 0]


def resized(image: Tensor, sides: tuple[int, int], way: str) -> Tensor:
    """`(C, H, W)` with other sides, by `area`, `bilinear` or `bicubic`, not filtered against aliasing, as there."""
    return F.interpolate(image[None], sides, mode=way)[0]


def noisy(image: Tensor, order: Order, rng: RandomState) -> Tensor:
    """Gaussian noise, or Poisson's, on `(C, H, W)` in [0, 1]; clamped (section 3.2)."""
    shape = image.shape
    if rng.uniform() < 0.5:
        level = rng.uniform(*order.gaussian) / 255
        drawn = rng.randn(1 if rng.uniform() < order.grey else shape[0], *shape[1:]) * level
    else:
        strength, grey = rng.uniform(*order.poisson), rng.uniform() < order.grey
        light = image.clamp(0, 1).mul(255).round().div(255)
        light = _grey(light) if grey else light
        counts = 2.0 ** math.ceil(math.log2(len(torch.unique(light))))  # as many levels as it has, rounded up
        drawn = (rng.poisson(light.numpy() * counts) / counts - light.numpy()) * strength
    return (image + torch.from_numpy(np.asarray(drawn, np.float32))).clamp(0, 1)


def _grey(image: Tensor) -> Tensor:
    """The luma `(1, H, W)` of `(C, H, W)`."""
    weights = (0.2989, 0.587, 0.114) if len(image) == 3 else (1.0,) * len(image)
    return torch.einsum("chw,c->hw", image, torch.tensor(weights))[None]


def jpeg(image: Tensor, quality: float) -> Tensor:
    """`(C, H, W)` in [0, 1] as it comes back from a JPEG of a quality from 1 to 95."""
    levels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(file, "JPEG", quality=round(quality))
    values = torch.from_numpy(np.array(Image.open(file)))
    return (values[None] if values.ndim == 2 else values.permute(2, 0, 1)).float() / 255


def sharpened(images: Tensor, amount: float = 0.5, sigma: float = 8.0, threshold: float = 10.0) -> Tensor:
    """An unsharp mask where there is an edge, as the authors' code lays it on what is to be made (section 3.4).

    Args:
        images: `(N, C, H, W)` in [-1, 1].
        amount: of the difference to the blurred image that is added.
        sigma: of the blur, whose kernel has 51 pixels.
        threshold: levels of 255 from which a difference is an edge; the mask is blurred in turn.
    """
    taps = torch.exp(-torch.arange(-25, 26, device=images.device).square() / (2 * sigma**2))
    taps = (taps / taps.sum()).to(images)

    def blurred(x: Tensor) -> Tensor:
        n, c, height, width = x.shape
        rows, columns = (_reflected(side, 25).to(x.device) for side in (height, width))
        x = x.reshape(n * c, 1, height, width)
        x = F.conv2d(x[:, :, rows], taps[None, None, :, None])
        return F.conv2d(x[:, :, :, columns], taps[None, None, None]).reshape(n, c, height, width)

    x = to_unit(images)
    rest = x - blurred(x)
    mask = blurred((rest.abs() * 255 > threshold).to(x))
    return from_unit(torch.lerp(x, (x + amount * rest).clamp(0, 1), mask))


def _reflected(side: int, reach: int) -> Tensor:
    """The rows of an image that stand where it is reflected at its borders, as often as it needs."""
    return torch.from_numpy(np.pad(np.arange(side), reach, mode="reflect"))
