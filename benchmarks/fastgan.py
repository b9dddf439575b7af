"""FastGAN's training step beside its authors' code, in one process.

    OMP_NUM_THREADS=1 python benchmarks/fastgan.py --peer FastGAN-pytorch

The peer is a checkout of the authors' FastGAN-pytorch of February 2021. (What has that name today is something else;
forks such as github.com/HCA97/FastGAN-pytorch hold the authors' commit 902a473.) Its training script asks for a GPU as
soon as it is imported: the statements of its loop and what they call are taken out of it and run as they stand. LPIPS
runs in VGG16 on both sides, with the same random weights, since speed does not depend on them; `--pixels 1` puts mean
squares of pixels in its place on both sides, so that the rest can be seen.

Both sides have the same networks (before anything is measured, ours takes the peer's weights and must give the same
pictures, scores and restored pictures), batch, augmentation, losses, optimizers and average. See `beside`.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import sys
import types
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import torchvision  # type: ignore[import-untyped]
from beside import Random, arguments, by_turns, compiled, report, same, take_weights
from torch import Tensor, nn

from ganzoo.families.fastgan import FastGAN
from ganzoo.metrics.features.lpips import VggLpips
from ganzoo.metrics.features.network import FeatureNetwork, describe
from ganzoo.metrics.features.perceptual import FeatureMaps
from ganzoo.types import Batch

_ABSENT = {  # what its LPIPS imports and does not need here
    "skimage.measure": "compare_ssim",
    "IPython": "embed",
    "tqdm": "tqdm",
    "skimage": "color",
    "skimage.transform": "",
    "scipy.ndimage": "zoom",
}


class Peer:
    """The authors' networks and the body of their loop.

    Args:
        folder: the checkout.
        size: side of an image.
        width: feature maps, `ngf` and `ndf`.
        vgg: LPIPS's network.
    """

    def __init__(self, folder: Path, size: int, width: int, vgg: VggLpips) -> None:
        sys.path.insert(0, str(folder))
        models: Any = importlib.import_module("models")
        augmentation: Any = importlib.import_module("diffaug")
        self.generator = models.Generator(ngf=width, nz=256, im_size=size)
        self.discriminator = models.Discriminator(ndf=width, im_size=size)
        for network in (self.generator, self.discriminator):
            network.apply(models.weights_init)
        adams = [
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for network in (self.generator, self.discriminator)
        ]
        self.names: dict[str, Any] = {"torch": torch, "F": F, "nz": 256, "device": torch.device("cpu")}
        self.names |= {"DiffAugment": augmentation.DiffAugment, "policy": "color,translation", "percept": lpips(vgg)}
        self.names |= {"netG": self.generator, "netD": self.discriminator, "optimizerG": adams[0]}
        self.names |= {"optimizerD": adams[1], "avg_param_G": [p.data.clone() for p in self.generator.parameters()]}
        path = folder / "train.py"
        tree = ast.parse(path.read_text())
        functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
        exec(compiled([functions["crop_image_by_part"], functions["train_d"]], path), self.names)
        loop = next(each for each in functions["train"].body if isinstance(each, ast.For))
        body = [each for each in loop.body if not isinstance(each, ast.If) and not _loads(each)]
        self.body = compiled(body, path)

    def step(self, batch: Batch) -> None:
        """What its loop does with a batch."""
        self.names["real_image"] = batch.images
        exec(self.body, self.names)


def _loads(statement: ast.stmt) -> bool:
    return any(word in ast.unparse(statement) for word in ("dataloader", ".cuda("))


def lpips(vgg: VggLpips) -> nn.Module:
    """The peer's LPIPS on the CPU, with the layers of `vgg`."""
    for name, attribute in _ABSENT.items():
        sys.modules[name] = stub = types.ModuleType(name)
        if attribute:
            setattr(stub, attribute, None)
    torchvision.models.vgg16 = lambda pretrained: vgg
    with contextlib.redirect_stdout(io.StringIO()):
        package: Any = importlib.import_module("lpips")
        return package.PerceptualLoss(model="net-lin", net="vgg", use_gpu=False)


class Pixels(nn.Module):
    """Images as feature maps."""

    def forward(self, images: Tensor) -> list[Tensor]:
        """One set of them."""
        return [images]


def same_networks(peer: Peer, size: int, width: int, vgg: VggLpips) -> FastGAN:
    """Ours with the peer's weights, once both have been seen to compute the same."""
    game = FastGAN(size=size, width=width, discriminator_width=width, perceptual="vgg16_lpips")
    game.features.give(FeatureMaps(FeatureNetwork(vgg, describe("vgg16_lpips"))))
    g, d, their_g, their_d = game.generator, game.discriminator, peer.generator, peer.discriminator
    ups = [getattr(their_g, f"feat_{side}") for side in (8, 16, 32, 64, 128, 256, 512, 1024) if side <= size]
    gates = [getattr(their_g, f"se_{side}") for side in (64, 128, 256, 512) if side <= size]
    assert g.to_small is not None
    take_weights(
        [g.first, g.gated, *g.ups, *g.excitations.values(), g.to_image, g.to_small],
        [their_g.init, *ups, *gates, their_g.to_big, their_g.to_128],
    )
    theirs = (
        "down_from_big down_4 down_8 down_16 down_32 down_64 se_2_16 se_4_32 se_8_64 rf_big down_from_small rf_small "
    )
    theirs += "decoder_big decoder_small decoder_part"
    take_weights(
        [d.first, *d.downs, *d.excitations.values(), d.score, d.first_small, d.score_small, *game.decoders.decoders],
        [getattr(their_d, name) for name in theirs.split()],
    )
    game.eval(), their_g.eval(), their_d.eval()
    with torch.no_grad():
        z = torch.randn(2, 256)
        images = g(z, "none")
        their_images = [torch.tanh(image) if size < 1024 else image for image in their_g(z)]
        same(images, their_images)
        their_scores, restored, part = their_d(their_images[0], "real")
        scores, seen = d(images[0], F.interpolate(images[0], d.small))
        same([torch.cat([part.flatten() for part in scores.chunk(2, 1)])], [their_scores])  # of the two images
        same(game.decoders(seen, torch.full((2,), part)), restored)
    their_g.train(), their_d.train()
    return game.train()


def main() -> None:
    given = arguments(__doc__, "FastGAN-pytorch", "models.py", size=256, width=64, batch=2, steps=8, warmup=1, pixels=0)
    if given is None:
        return
    vgg = VggLpips()
    peer = Peer(given.peer, given.size, given.width, vgg)
    game = same_networks(peer, given.size, given.width, vgg)
    if given.pixels:
        game.features.give(Pixels())
        peer.names["percept"] = lambda made, wanted: (made - wanted).square().mean((1, 2, 3))
    data = Random(game.shape, given.batch)
    ours, theirs = by_turns(game, data, peer.step, steps=given.steps, warmup=given.warmup)
    report("training / the authors' code", ours, theirs, given.batch)


if __name__ == "__main__":
    main()
