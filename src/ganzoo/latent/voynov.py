"""Directions that a network can tell apart: Voynov and Babenko's.

Voynov and Babenko 2020, "Unsupervised Discovery of Interpretable Directions in the GAN Latent Space", arXiv:2002.03754,
equation 1: a reconstructor R sees two pictures, G(z) and G(z + A(eps e_k)), and says which direction k and how far eps;
it and the directions, unit columns of A, learn together:

    min_{A,R}  E  CE(k, k^) + lambda |eps - eps^|        k ~ U{1..K}, eps ~ U[-6, 6], at least 0.5 away from 0
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.latent.finding import Directions, activations, layer_of, made, resting
from ganzoo.latent.latents import (
    Latents,
    Progress,
    Space,
    check_space,
    draw_many,
    generator_hash,
    render,
    resume_search,
    save_search,
)
from ganzoo.types import BadArgument

_SIDE = 64  # pixels that the reconstructor looks at at most
_SAVED = 50  # steps from one saved state to the next
_STATE = "a reconstructor's state"


class Reconstructor(nn.Module):
    """The authors' LeNet on two pictures, with padding, so that pictures may be small.

    Args:
        channels: of a picture.
        count: directions K.
        width: of the network; 2 in the authors' code.
    """

    def __init__(self, channels: int, count: int, width: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(((2 * channels, 3 * width), (3 * width, 8 * width), (8 * width, 60 * width))):
            layers += [nn.MaxPool2d(2)] if i else []
            layers += [nn.Conv2d(a, b, 5, padding=2), nn.BatchNorm2d(b), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.which, self.far = (
            nn.Sequential(
                nn.Linear(60 * width, 42 * width), nn.BatchNorm1d(42 * width), nn.ReLU(), nn.Linear(42 * width, n)
            )
            for n in (count, 1)
        )

    def forward(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Maps two pictures `(N, C, H, W)` to logits `(N, K)` and shifts `(N,)`."""
        x = torch.cat([one, other], 1)
        if x.shape[-1] > _SIDE:
            x = F.interpolate(x, (_SIDE, _SIDE), mode="area")
        x = self.trunk(x).mean((2, 3))
        return self.which(x), self.far(x)[:, 0]


def voynov(
    model: Any,
    space: str | None = None,
    count: int = 10,
    steps: int = 2000,
    batch_size: int = 32,
    lr: float = 1e-3,
    shift: float = 6.0,
    weight: float = 0.25,
    layer: str | None = None,
    seed: int = 0,
    state: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Directions:
    """Learns directions with a reconstructor, which is kept with them.

    The authors' rate is 1e-4, for 100,000 steps; the default is for a tenth of an hour.

    Args:
        model: that samples.
        space: `z` or `w`; None for w where there is one.
        count: K.
        steps: of Adam.
        batch_size: pairs in a step.
        lr: of Adam.
        shift: the farthest, in standard deviations of a latent's numbers.
        weight: lambda.
        layer: of the generator, by its name in `named_modules`, of which the reconstructor is shown small pictures (see
            `glimpses`), so that the layers after it, which cost the most, are not run; None for whole pictures.
        seed: of the first values and of what is drawn.
        state: a file in which it is noted every 50 steps how far it is.
        resume: whether to go on from there, also to more steps; the result is that of one that was not interrupted.
        progress: told of each step.

    Returns:
        Directions whose `accuracy` is the reconstructor's, on 1,000 pairs that it has not seen.

    Raises:
        BadArgument: for a layer that is not there or gives no feature maps, or a state of something else.
    """
    chosen = check_space(model, space)
    some = draw_many(model, chosen, 1000).values
    unit = float((some if chosen == "z" else some[:, 0]).std(0).mean())
    facts: dict[str, Any] = {"space": chosen, "batch_size": batch_size, "lr": lr, "shift": shift, "weight": weight}
    noted = {"generator": generator_hash(model), "count": count, "layer": layer, "seed": seed, **facts}
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), model.inferring(), resting(model):
        look, share = (partial(render, model), None) if layer is None else glimpses(model, layer, chosen)
        torch.manual_seed(seed)
        a = torch.randn(count, some.shape[-1], device=model.device).requires_grad_()
        network = Reconstructor(model.shape[0], count).to(model.device)
        adam = torch.optim.Adam([a, *network.parameters()], lr=lr)
        begin = 0
        if resume and state is not None:
            begin, tensors = resume_search(state, _STATE, adam, noted)
            network.load_state_dict({key: tensors[f"network.{key}"] for key in network.state_dict()})

        def tried(step: int) -> tuple[Tensor, Tensor]:
            """The loss, and which directions were recognized, of pairs that only the seed and the step decide."""
            torch.manual_seed(seed * 1_000_003 + step)
            latents = _drawn(model, chosen, batch_size)
            k = torch.randint(count, (batch_size,), device=model.device)
            eps = (2 * torch.rand(batch_size, device=model.device) - 1) * shift
            eps = torch.where(eps.abs() < 0.5, 0.5 * torch.where(eps < 0, -1.0, 1.0), eps)
            far = (unit * eps[:, None]) * F.normalize(a, dim=1)[k]
            moved = latents.values + (far if chosen == "z" else far[:, None])
            logits, told = network(look(latents), look(Latents(moved, latents.labels)))
            return F.cross_entropy(logits, k) + weight * (told - eps).abs().mean(), logits.argmax(1) == k

        for step in range(begin, steps):
            adam.zero_grad(set_to_none=True)
            with torch.enable_grad():
                tried(step)[0].backward()
            adam.step()
            if state is not None and ((step + 1) % _SAVED == 0 or step + 1 == steps):
                buffers = {f"network.{key}": value for key, value in network.state_dict().items()}
                save_search(state, _STATE, adam, {**noted, "step": step + 1}, buffers)
            if progress is not None:
                progress(1)
        network.eval()
        unseen = range(steps, steps - (-1000 // batch_size))
        right = torch.cat([tried(step)[1] for step in unseen]).float().mean()
    facts = {"accuracy": float(right), "steps": steps}
    if layer is not None:
        facts |= {"layer": layer, "explained": share}
    kept = {f"reconstructor.{key}": value for key, value in network.state_dict().items() if value.is_floating_point()}
    return made(model, "voynov", F.normalize(a.detach(), dim=1), chosen, None, facts, kept)


def glimpses(model: Any, layer: str, space: Space, n: int = 32) -> tuple[Callable[[Latents], Tensor], float]:
    """Small pictures, read off a layer's feature maps by a linear map at each place, as StyleGAN2's own tRGB are.

    They have twice the feature maps' side, but at most the model's. The map is the least-squares fit to n pictures.

    Args:
        model: that samples, in evaluation mode.
        layer: of the generator, by its name in `named_modules`.
        space: `z` or `w`.
        n: pictures.

    Returns:
        What gives the pictures `(N, C, h, w)` of latents, and the share of variance of n / 4 others that it explains.

    Raises:
        BadArgument: for a layer that is not there, or that gives no feature maps that are at most as large as pictures.
    """
    module, size = layer_of(model, layer), model.shape[-1]

    def read(latents: Latents) -> tuple[Tensor, Tensor, int]:
        """Feature maps with a 1, and the pictures' pixels, a row a place; and how many pixels a place has a side."""
        rows = []
        for start in range(0, len(latents), 4):
            part = latents.part(start, start + 4).to(model.device)
            x = activations(model, module, part)
            side = x.shape[-1]
            if x.dim() != 4 or side != x.shape[2] or side > size:
                raise BadArgument(
                    f"layer {layer} gives {tuple(x.shape)}; maps of features of at most {size} are expected"
                )
            r = 2 if 2 * side <= size else 1
            y = F.pixel_unshuffle(F.interpolate(render(model, part), (r * side, r * side), mode="area"), r)
            rows.append(
                [each.movedim(1, 3).flatten(0, 2).double() for each in (F.pad(x, (0, 0) * 2 + (0, 1), value=1), y)]
            )
        xs, ys = zip(*rows, strict=True)
        return torch.cat(xs), torch.cat(ys), r

    x, y, r = read(draw_many(model, space, n, seed=1))
    gram = x.T @ x
    gram += 1e-4 * gram.diagonal().diag()
    fitted = torch.linalg.solve(gram, x.T @ y)
    x, y, _ = read(draw_many(model, space, max(n // 4, 1), seed=2))
    share = 1 - (y - x @ fitted).square().sum() / (y - y.mean(0)).square().sum()
    kernel, bias = fitted[:-1].T[:, :, None, None].float(), fitted[-1].float()
    return lambda latents: F.pixel_shuffle(F.conv2d(activations(model, module, latents), kernel, bias), r), float(share)


def _drawn(model: Any, space: str, n: int) -> Latents:
    """Fresh latents on the model's device, from torch's stream."""
    z = model.prior.draw(n, model.device)
    labels = None if model.classes is None else torch.randint(model.classes, (n,), device=model.device)
    if space == "z":
        return Latents(z, labels)
    with torch.no_grad():
        return Latents(model.averaged.mapping(z, labels))
