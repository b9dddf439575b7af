"""Directions that a network can tell apart: Voynov and Babenko's.

Voynov and Babenko 2020, "Unsupervised Discovery of Interpretable Directions in the GAN Latent Space", arXiv:2002.03754,
equation 1: a reconstructor R sees two pictures, G(z) and G(z + A(eps e_k)), and says which direction k and how far eps;
it and the directions, unit columns of A, learn together:

    min_{A,R}  E  CE(k, k^) + lambda |eps - eps^|        k ~ U{1..K}, eps ~ U[-6, 6], at least 0.5 away from 0
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.latent.finding import Directions, made, resting
from ganzoo.latent.latents import Latents, Progress, check_space, draw_many, render

_SIDE = 64  # pixels that the reconstructor looks at at most


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
    seed: int = 0,
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
        seed: of the first values and of what is drawn.
        progress: told of each step.

    Returns:
        Directions whose `accuracy` is the reconstructor's, on 1,000 pairs that it has not seen.
    """
    chosen = check_space(model, space)
    some = draw_many(model, chosen, 1000).values
    unit = float((some if chosen == "z" else some[:, 0]).std(0).mean())
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), model.inferring(), resting(model), torch.enable_grad():
        torch.manual_seed(seed)
        a = torch.randn(count, some.shape[-1], device=model.device).requires_grad_()
        network = Reconstructor(model.shape[0], count).to(model.device)
        adam = torch.optim.Adam([a, *network.parameters()], lr=lr)

        def tried(n: int) -> tuple[Tensor, Tensor]:
            """The loss, and which directions were recognized, of n pairs."""
            latents = _drawn(model, chosen, n)
            k = torch.randint(count, (n,), device=model.device)
            eps = (2 * torch.rand(n, device=model.device) - 1) * shift
            eps = torch.where(eps.abs() < 0.5, 0.5 * torch.where(eps < 0, -1.0, 1.0), eps)
            step = (unit * eps[:, None]) * F.normalize(a, dim=1)[k]
            moved = latents.values + (step if chosen == "z" else step[:, None])
            logits, far = network(render(model, latents), render(model, Latents(moved, latents.labels)))
            return F.cross_entropy(logits, k) + weight * (far - eps).abs().mean(), logits.argmax(1) == k

        for _ in range(steps):
            adam.zero_grad(set_to_none=True)
            tried(batch_size)[0].backward()
            adam.step()
            if progress is not None:
                progress(1)
        network.eval()
        with torch.no_grad():
            right = torch.cat([tried(batch_size)[1] for _ in range(-(-1000 // batch_size))]).float().mean()
    facts = {"accuracy": float(right), "steps": steps}
    kept = {f"reconstructor.{key}": value for key, value in network.state_dict().items() if value.is_floating_point()}
    return made(model, "voynov", F.normalize(a.detach(), dim=1), chosen, None, facts, kept)


def _drawn(model: Any, space: str, n: int) -> Latents:
    """Fresh latents on the model's device, from torch's stream."""
    z = model.prior.draw(n, model.device)
    labels = None if model.classes is None else torch.randint(model.classes, (n,), device=model.device)
    if space == "z":
        return Latents(z, labels)
    with torch.no_grad():
        return Latents(model.averaged.mapping(z, labels))
