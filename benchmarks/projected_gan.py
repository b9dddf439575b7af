"""The projected GAN's training step beside its authors' code, in one process.

    OMP_NUM_THREADS=1 python benchmarks/projected_gan.py --peer projected-gan

The peer is a checkout of github.com/autonomousvision/projected-gan. It runs its own networks (FastGAN's generator, the
projection and the four critics), losses, phases and moving average, in float32. Its frozen network is timm's
EfficientNet-lite0, which ganzoo does not have: on both sides MobileNetV2 stands there, with the same weights, random
ones, since speed does not depend on them. The peer's has its batch normalization, as timm's has; `--folded 1` gives it
ganzoo's, whose normalization is folded into the convolutions.

Both sides have the same networks (before anything is measured, ours takes the peer's weights and must give the same
pictures and scores), batch, augmentation, losses and optimizers. The peer moves its generator first. See `beside`.
"""

from __future__ import annotations

import copy
import importlib
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from beside import Random, arguments, by_turns, report, same, take_weights
from torch import nn

from ganzoo.families.projected_gan import ProjectedGAN
from ganzoo.metrics.features.network import Description, FeatureNetwork, MobileNet
from ganzoo.metrics.features.perceptual import FeatureMaps
from ganzoo.types import Batch


class Peer:
    """The authors' networks and training iteration.

    Args:
        folder: the checkout.
        size: side of an image.
        width: feature maps of the generator at 128 pixels.
        mobile: MobileNetV2, the frozen network.
    """

    def __init__(self, folder: Path, size: int, width: int, mobile: Any) -> None:
        sys.path.insert(0, str(folder))
        layers, nothing = mobile.features, nn.Identity()
        blocks = nn.Sequential(*(layers[i:j] for i, j in ((1, 2), (2, 4), (4, 7), (7, 11), (11, 14), (14, 19))))
        timm: Any = types.ModuleType("timm")
        timm.create_model = lambda name, pretrained: SimpleNamespace(
            conv_stem=layers[0], bn1=nothing, act1=nothing, blocks=blocks
        )
        sys.modules["timm"] = timm
        discriminator: Any = importlib.import_module("pg_modules.discriminator")
        generator: Any = importlib.import_module("pg_modules.networks_fastgan")
        loss: Any = importlib.import_module("training.loss")
        scales = {"cout": 64, "expand": True, "proj_type": 2, "num_discs": 4, "separable": False, "cond": False}
        self.discriminator = discriminator.ProjectedDiscriminator(
            diffaug=True, interp224=size < 224, backbone_kwargs=scales
        )
        self.generator = generator.Generator(img_resolution=size, ngf=width, synthesis_kwargs={"lite": False})
        self.average = copy.deepcopy(self.generator).eval()
        networks = {"G": self.generator, "D": self.discriminator}
        for network in networks.values():
            network.train().requires_grad_(False)
        self.loss = loss.ProjectedGANLoss(torch.device("cpu"), G_ema=self.average, **networks)
        self.phases = [
            (f"{name}main", network, torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.0, 0.99), eps=1e-8))
            for name, network in networks.items()
        ]

    def step(self, batch: Batch) -> None:
        """One iteration of its training loop, after the images are loaded."""
        real, none = batch.images, torch.zeros(len(batch), 0)
        for name, network, adam in self.phases:
            adam.zero_grad(set_to_none=True)
            network.requires_grad_(True)
            if network is self.discriminator:
                network.feature_network.requires_grad_(False)
            z = torch.randn(len(real), 256)
            self.loss.accumulate_gradients(
                phase=name, real_img=real, real_c=none, gen_z=z, gen_c=none, gain=1, cur_nimg=0
            )
            network.requires_grad_(False)
            learning = [parameter for parameter in network.parameters() if parameter.grad is not None]
            flat = torch.cat([parameter.grad.flatten() for parameter in learning])
            torch.nan_to_num(flat, nan=0, posinf=1e5, neginf=-1e5, out=flat)
            for parameter, grad in zip(learning, flat.split([each.numel() for each in learning]), strict=True):
                parameter.grad = grad.reshape(parameter.shape)
            adam.step()
        with torch.no_grad():
            for mean, live in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.copy_(live.lerp(mean, 0.5 ** (len(real) / 20_000)))
            for mean, live in zip(self.average.buffers(), self.generator.buffers(), strict=True):
                mean.copy_(live)


def same_networks(peer: Peer, size: int, width: int, features: FeatureMaps) -> ProjectedGAN:
    """Ours with the peer's weights, once both have been seen to compute the same."""
    game = ProjectedGAN(size=size, width=width)
    game.features.give(features)
    g, d, their_g, their_d = game.generator, game.discriminator, peer.generator.synthesis, peer.discriminator
    ups = [getattr(their_g, f"feat_{side}") for side in (8, 16, 32, 64, 128, 256, 512, 1024) if side <= size]
    gates = [getattr(their_g, f"se_{side}") for side in (64, 128, 256, 512) if side <= size]
    take_weights(
        [g.first, g.gated, *g.ups, *g.excitations.values(), g.to_image], [their_g.init, *ups, *gates, their_g.to_big]
    )
    mixing = their_d.feature_network.scratch
    mixers = [getattr(mixing, f"layer{level}_{kind}") for kind in ("ccm", "csm") for level in range(4)]
    take_weights([game.projection.channels, game.projection.scales], mixers)
    take_weights(d.critics, their_d.discriminator.mini_discs.values())
    game.eval(), peer.generator.eval(), their_d.eval()
    with torch.no_grad():
        z, none = torch.randn(2, 256), torch.zeros(2, 0)
        images = g(z, "none")
        seen = F.interpolate(images, 224, mode="bilinear", align_corners=False) if size < 224 else images
        theirs = their_d.discriminator(their_d.feature_network(seen), none)
        same([images, game.looked_at(images)], [peer.generator(z, none), theirs])
    peer.generator.train(), their_d.train()
    return game.train()


def main() -> None:
    numbers = {"size": 128, "width": 64, "batch": 4, "steps": 10, "warmup": 1, "folded": 0}
    given = arguments(__doc__, "github.com/autonomousvision/projected-gan", "pg_modules/projector.py", **numbers)
    if given is None:
        return
    mobile = MobileNet().eval()
    seen = Description("mobilenet_v2", "", 1280, 96, 3, "pil_bicubic", (127.5,) * 3, (127.5,) * 3)
    features = FeatureMaps(FeatureNetwork(copy.deepcopy(mobile), seen))
    folded = FeatureNetwork(copy.deepcopy(mobile), seen).module if given.folded else mobile
    peer = Peer(given.peer, given.size, given.width, folded)
    game = same_networks(peer, given.size, given.width, features)
    data = Random(game.shape, given.batch)
    ours, theirs = by_turns(game, data, peer.step, steps=given.steps, warmup=given.warmup)
    report("training / the authors' code", ours, theirs, given.batch)


if __name__ == "__main__":
    main()
