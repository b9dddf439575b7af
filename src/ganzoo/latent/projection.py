"""Projection: the latents whose images are nearest to given ones, and painting, which is the same with another aim.

Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", arXiv:1912.04958, appendix D: from the mean
of w, Adam goes down the perceptual distance; noise on w ramps down, the generator's noise inputs are learnt and kept
free of signals, and the learning rate is ramped up and down. W+ has a w for each layer (Abdal et al. 2019,
arXiv:1904.03189). z of any other model goes the same way, as numbers of the standard normal, so that it stays in its
prior's range.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ganzoo.latent.finding import resting
from ganzoo.latent.latents import (
    Latents,
    Progress,
    Space,
    check_space,
    draw,
    draw_many,
    generator_hash,
    images,
    render,
    resume_search,
    save_latents,
    save_search,
)
from ganzoo.media.medium import medium_of
from ganzoo.metrics.features.network import at_hand
from ganzoo.metrics.features.perceptual import Perceptual
from ganzoo.types import BadArgument

Noise = Literal["learn", "const"]
Features = Callable[[Tensor], Tensor]
_FRAMES, _SAVED = 60, 100  # points that are kept of the way, and steps from one saved state to the next
_STATE = "a projection's state"
_RAMP_UP, _RAMP_DOWN, _JITTER, _JITTER_LENGTH, _REGULAR = 0.05, 0.25, 0.05, 0.75, 1e5  # the authors'


@dataclass(frozen=True)
class Projection:
    """What was found.

    Args:
        model: whose latents they are; a copy of the one that was given where it was tuned.
        targets: what was to be found `(n, C, H, W)`.
        latents: z `(n, latent)`, or w for each layer.
        noise: of each noise input of the generator `(n, 1, side, side)`; none where it was not learnt.
        images: the reconstruction `(n, C, H, W)` in [-1, 1].
        distances: between the two `(n,)`: squared, between features of `network`.
        errors: mean absolute errors `(n,)` in [-1, 1].
        network: in whose features distances are; `vgg16_lpips` means LPIPS.
        way: latents at some steps, each as `latents`.
    """

    model: Any
    targets: Tensor
    latents: Latents
    noise: list[Tensor]
    images: Tensor
    distances: Tensor
    errors: Tensor
    network: str
    way: list[Latents]


def nearest_network() -> str:
    """VGG16 with LPIPS's weights where it is at hand, MobileNetV2 where that is, else VGG16, which is then fetched."""
    return next((name for name in ("vgg16_lpips", "mobilenet_v2") if at_hand(name)), "vgg16_lpips")


def project(
    model: Any,
    targets: Tensor,
    space: str | None = None,
    steps: int = 1000,
    *,
    network: str | Features | None = None,
    pixels: float = 1.0,
    noise: Noise = "learn",
    starts: int = 1,
    pool: int = 64,
    lr: float = 0.1,
    seed: int = 0,
    labels: Any = None,
    state: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Projection:
    """Finds latents of images.

    The first start is the mean of w; in z it is what the model's encoder says, where it has one, else the nearest of
    `pool` samples. Further starts are the next nearest samples; of all, what came nearest is kept.

    Args:
        model: that samples.
        targets: `(n, C, H, W)` in [-1, 1], of the model's shape.
        space: `z`, `w` or `w+`; None for w where there is one.
        steps: of Adam.
        network: in whose features the distance is; None for VGG16 (LPIPS) where its weights are at hand, else
            MobileNetV2; or a function of images to features.
        pixels: weight of the mean squared difference of pixels beside it; the paper has none, 0.
        noise: `learn` for the generator's noise inputs too, `const` for those that it has; without effect where there
            are none.
        starts: how many.
        pool: samples that starts are taken from.
        lr: at its highest.
        seed: of the noise.
        labels: classes `(n,)` of the images for z of a conditional model; None for those of the starts.
        state: a file in which it is noted every 100 steps how far it is.
        resume: whether to go on from there; the result is that of one that was not interrupted.
        progress: told of each step.

    Raises:
        BadArgument: for images of another shape, a space that the model does not have, or a state of something else.
    """
    kind = check_space(model, "w" if space == "w+" else space)
    check_targets(model, targets)
    if not (0 <= pixels < math.inf and 0 < lr < math.inf):
        raise BadArgument(f"pixels={pixels}, lr={lr}: a weight from 0 and a rate above 0 are expected")
    if noise not in ("learn", "const"):
        raise BadArgument(f"noise is {noise!r}; learn or const is expected")
    if steps < 1 or starts < 1:
        raise BadArgument(f"{steps} steps from {starts} starts were asked for; at least 1 of each is expected")
    name = network if isinstance(network, str) else nearest_network() if network is None else "given"
    features: Features = network if callable(network) else Perceptual(name, model.device)
    wanted = targets.to(model.device).float()
    with model.inferring():
        seen = features(wanted)
        search = _Search(model, kind, *_starts(model, kind, wanted, seen, features, starts, pool, labels), lr, seed)
    if space == "w+":
        search.point = search.point.expand(-1, model.averaged.synthesis.count, -1).clone()
    if noise == "learn":
        search.learn_noise()
    copies, again = seen.repeat_interleave(starts, 0), wanted.repeat_interleave(starts, 0)

    def apart(made: Tensor) -> Tensor:
        return (features(made) - copies).square().sum(1) + pixels * (made - again).square().mean((1, 2, 3))

    facts: dict[str, Any] = {
        "generator": generator_hash(model),
        "targets": _digest(targets),
        "space": space,
        "steps": steps,
    }
    facts |= {"network": name, "pixels": pixels, "noise": noise, "starts": starts, "lr": lr, "seed": seed}
    search.run(apart, steps, None if state is None else Path(state), facts, resume, progress)
    with model.inferring():
        last = search.best(apart, starts)
    return _judged(model, targets, last, search.noises(), [search.at(each) for each in search.trail], features, name)


def tune(
    found: Projection,
    steps: int = 350,
    *,
    network: str | Features | None = None,
    pixels: float = 1.0,
    lr: float = 3e-4,
    progress: Progress | None = None,
) -> Projection:
    """Pivotal tuning: the generator itself moves until it makes the images of the latents that were found.

    Roich et al. 2021, "Pivotal Tuning for Latent-based Editing of Real Images", arXiv:2106.05744, equation 2, without
    the locality term, as is the authors' default. The latents are the pivots and stay.

    Args:
        found: a projection.
        steps: of Adam.
        network: as in `project`; None for that of the projection.
        pixels: weight of the mean squared difference of pixels.
        lr: of Adam.
        progress: told of each step.

    Returns:
        A projection whose model is a tuned copy; the one that was given is not changed.
    """
    model = copy.deepcopy(found.model)
    model.provenance = None  # its weights are a folder's no longer
    name = found.network if network is None else network
    features: Features = name if callable(name) else Perceptual(name, model.device)
    wanted = found.targets.to(model.device).float()
    latents, noise = found.latents.to(model.device), [each.to(model.device) for each in found.noise] or "const"
    weights = [each for each in model.averaged.parameters() if each.is_floating_point()]
    adam = torch.optim.Adam(weights, lr=lr)
    with model.inferring(), torch.enable_grad():
        seen = features(wanted).detach()
        for _ in range(steps):
            made = render(model, latents, noise)
            loss = (features(made) - seen).square().sum(1) + pixels * (made - wanted).square().mean((1, 2, 3))
            adam.zero_grad(set_to_none=True)
            loss.mean().backward()
            adam.step()
            if progress is not None:
                progress(1)
    return _judged(model, found.targets, latents, found.noise, found.way, features, found.network)


def paint(
    model: Any,
    latents: Latents,
    strokes: Tensor,
    mask: Tensor,
    steps: int = 200,
    *,
    keep: float = 1.0,
    near: float = 1e-3,
    photo: Tensor | None = None,
    lr: float = 0.1,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Latents, Tensor]:
    """Finds the latent whose image has the colours of some strokes, and is as it was everywhere else.

    Zhu et al. 2016, "Generative Visual Manipulation on the Natural Image Manifold", arXiv:1609.03552, equation 5: the
    strokes' distance, and that of the latent from where it began. A photograph whose projection the latent is takes
    only the change over (Brock et al. 2017, "Neural Photo Editing with Introspective Adversarial Networks",
    arXiv:1609.07093, section 2.1): x + M (G(z') - G(z)), where M is the change's own size, blurred.

    Args:
        model: that samples.
        latents: one, where it begins.
        strokes: colours `(C, H, W)` in [-1, 1].
        mask: where they are `(H, W)`, 0 to 1.
        steps: of Adam.
        keep: weight of the rest of the image.
        near: weight of the latent's own distance.
        photo: `(C, H, W)` in [-1, 1].
        lr: at its highest.
        seed: of the noise.
        progress: told of each step.

    Returns:
        The latent and the image `(1, C, H, W)` in [-1, 1], on the CPU.

    Raises:
        BadArgument: for strokes or a mask of another shape than the image's, or no stroke at all.
    """
    kind = check_space(model, "w" if latents.values.dim() == 3 else "z")
    if tuple(strokes.shape) != tuple(model.shape):
        told = f"strokes have shape {tuple(strokes.shape)}"
        raise BadArgument(f"{told}; that of the picture, {tuple(model.shape)}, is expected")
    check_targets(model, strokes[None])
    if tuple(mask.shape) != tuple(model.shape[1:]) or not bool(((mask >= 0) & (mask <= 1)).all()) or not mask.any():
        raise BadArgument(f"mask is {tuple(mask.shape)}; {tuple(model.shape[1:])} of 0 to 1, not all 0, is expected")
    if len(latents) != 1:
        raise BadArgument(f"{len(latents)} latents are to be painted on; give one")
    if photo is not None:
        check_targets(model, photo[None])
    held, wanted = mask.to(model.device).float(), strokes.to(model.device)
    labels = None if latents.labels is None else latents.labels.to(model.device)
    values = latents.values.to(model.device)
    search = _Search(model, kind, model.prior.to_normal(values) if kind == "z" else values, labels, lr, seed)
    with model.inferring():
        first, began = search.images(), search.point.clone()

    def apart(made: Tensor) -> Tensor:
        inside = (held * (made - wanted).square()).mean(1).sum() / held.sum()
        outside = ((1 - held) * (made - first).square()).mean()
        return (inside + keep * outside + near * (search.point - began).square().sum())[None]

    search.run(apart, steps, None, {}, False, progress)
    with model.inferring():
        change = (search.images() - first).cpu()
    found = search.at(search.point.detach())
    base = first.cpu() if photo is None else photo[None]
    if photo is not None:
        size = change.abs().mean(1, keepdim=True)
        size = F.avg_pool2d(size, 5, 1, 2, count_include_pad=False)
        change = change * (size / size.amax().clamp_min(1e-6)).clamp(0, 1).sqrt()
    return found, model.limit((base + change).float())


def save_projection(found: Projection, folder: str | Path) -> None:
    """Writes the latents, `latents.safetensors`, and a picture of targets above reconstructions, `projection.png`."""
    from ganzoo.media.medium import save_grid
    from ganzoo.media.provenance import made_by

    folder = Path(folder)
    save_latents(folder / "latents.safetensors", found.model, found.latents)
    with made_by(found.model, composite=True):
        save_grid(torch.cat([found.targets.cpu(), found.images]), folder / "projection.png", columns=len(found.images))


def way_of(found: Projection) -> Iterator[Image.Image]:
    """The pictures of a film of the way there: targets above what was made at some of the steps."""
    from ganzoo.media.images import grid

    for each in found.way:
        made = _rendered(found.model, each, found.noise)
        yield grid(torch.cat([found.targets.cpu(), made]), columns=len(made), padding=0)


def read_target(content: bytes, model: Any, max_pixels: int = 89_478_485) -> tuple[Tensor, tuple[int, int]]:
    """A file's picture as a target: its middle square, resized to the model's side.

    Args:
        content: of the file.
        model: that makes pictures.
        max_pixels: that the file may have.

    Returns:
        `(C, H, W)` in [-1, 1], and the width and height that it had.

    Raises:
        BadArgument: for a model that makes no pictures.
        Unreadable: for a file that is none, saying why.
    """
    from ganzoo.data.conversion import Square
    from ganzoo.data.decoding import decode
    from ganzoo.media.levels import to_float

    if len(model.shape) != 3:
        raise BadArgument(f"the model makes samples of shape {tuple(model.shape)}, and no pictures to be projected")
    picture = decode(content, max_pixels=max_pixels)
    square = Square(model.shape[-1], model.shape[0], "crop", 255, max_pixels)
    return to_float(torch.tensor(square.pixels(picture))), picture.size


def read_strokes(picture: Image.Image, model: Any) -> tuple[Tensor, Tensor]:
    """Strokes on a transparent ground, for `paint`.

    Args:
        picture: with an alpha channel, of any size.
        model: that makes pictures.

    Returns:
        Colours `(C, H, W)` in [-1, 1], and where they are `(H, W)`, 0 to 1.

    Raises:
        BadArgument: for a model that makes no pictures, or a picture without a stroke.
    """
    from ganzoo.media.levels import floats_of

    if len(model.shape) != 3:
        raise BadArgument(f"{type(model).__name__} draws no pictures to paint on")
    channels, height, width = model.shape
    small = picture.convert("RGBA").resize((width, height), Image.Resampling.BOX)
    mask = torch.from_numpy(np.array(small.getchannel("A"))).float() / 255
    if not mask.any():
        raise BadArgument("there is no stroke; lay out the picture and paint on it first")
    colors = small.convert("RGB").convert("L" if channels == 1 else "RGB")
    return floats_of(colors), mask


def check_targets(model: Any, given: Tensor) -> None:
    """Holds images against the model's.

    Raises:
        BadArgument: for another shape, no images, or values out of range.
    """
    if tuple(given.shape[1:]) != tuple(model.shape) or not len(given):
        wanted = ", ".join(map(str, model.shape))
        raise BadArgument(f"images have shape {tuple(given.shape)}; (n, {wanted}) is expected")
    medium_of(model.shape).check(given)


# ---------------------------------------------------------------- the search


class _Search:
    """Adam on latents by the authors' schedule; each latent is a problem of its own.

    Args:
        model: in evaluation mode.
        kind: `z` or `w`.
        point: where it begins: z as numbers of the standard normal `(N, d)`, or w `(N, 1 or layers, d)`.
        labels: beside z.
        lr: at its highest.
        seed: of the noise.
    """

    def __init__(self, model: Any, kind: Space, point: Tensor, labels: Tensor | None, lr: float, seed: int) -> None:
        self.model, self.kind, self.labels, self.lr, self.seed = model, kind, labels, lr, seed
        self.point = point.detach().clone().float()
        self.noise: list[Tensor] = []
        self.trail: list[Tensor] = []
        some = draw_many(model, kind, 1000).values
        some = some[:, 0] if kind == "w" else model.prior.to_normal(some)
        self.spread = float((some - some.mean(0)).square().sum(1).mean().sqrt())

    def learn_noise(self) -> None:
        """Begins with fresh noise, for each latent its own."""
        sizes = getattr(getattr(self.model.averaged, "synthesis", None), "sizes", ())
        rng = torch.Generator().manual_seed(self.seed)
        self.noise = [torch.randn(len(self.point), 1, s, s, generator=rng).to(self.point) for s in sizes]

    def at(self, point: Tensor) -> Latents:
        """The latents of a point."""
        if self.kind == "z":
            return Latents(self.model.prior.from_normal(point), self.labels)
        return Latents(point.expand(-1, self.model.averaged.synthesis.count, -1))

    def noises(self) -> list[Tensor]:
        """The noise that was learnt."""
        return [each.detach() for each in self.noise]

    def images(self, shift: Tensor | float = 0.0) -> Tensor:
        """Images of the point, or near it."""
        return render(self.model, self.at(self.point + shift), self.noise or "const")

    def run(
        self,
        apart: Callable[[Tensor], Tensor],
        steps: int,
        state: Path | None,
        facts: dict[str, Any],
        resume: bool,
        progress: Progress | None,
    ) -> None:
        """Goes down `apart`, which says of images `(N, C, H, W)` how far each `(N,)` is from what is wanted."""
        learnt = [self.point, *self.noise]
        for each in learnt:
            each.requires_grad_()
        adam = torch.optim.Adam(learnt, lr=self.lr, betas=(0.9, 0.999))
        begin = self._restore(state, facts, adam) if resume and state is not None else 0
        for step in range(begin, steps):
            # Step by step, so that other threads sample in between
            with self.model.inferring(), resting(self.model), torch.enable_grad():
                t = step / steps
                ramp = 0.5 - 0.5 * math.cos(min(1.0, (1 - t) / _RAMP_DOWN) * math.pi)
                adam.param_groups[0]["lr"] = self.lr * ramp * min(1.0, t / _RAMP_UP)
                # Of its step alone, so that one that goes on draws the same
                rng = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
                jitter = torch.randn(self.point.shape, generator=rng)
                size = self.spread * _JITTER * max(0.0, 1 - t / _JITTER_LENGTH) ** 2
                loss = apart(self.images(size * jitter.to(self.point))).sum()
                for noise in self.noise:
                    loss = loss + _REGULAR * signals(noise).sum()
                adam.zero_grad(set_to_none=True)
                for each, slope in zip(learnt, torch.autograd.grad(loss, learnt), strict=True):
                    each.grad = slope
                adam.step()
                with torch.no_grad():
                    for noise in self.noise:
                        noise -= noise.mean((1, 2, 3), keepdim=True)
                        noise *= noise.square().mean((1, 2, 3), keepdim=True).rsqrt()
                if (step + 1) * _FRAMES // steps > step * _FRAMES // steps:
                    self.trail.append(self.point.detach().clone())
                if state is not None and ((step + 1) % _SAVED == 0 or step + 1 == steps):
                    trail = {f"trail.{i}": each for i, each in enumerate(self.trail)}
                    save_search(state, _STATE, adam, {**facts, "step": step + 1}, trail)
            if progress is not None:
                progress(1)
        for each in learnt:
            each.requires_grad_(False)

    def best(self, apart: Callable[[Tensor], Tensor], starts: int) -> Latents:
        """Of each image's starts the one that came nearest; the others are forgotten."""
        order = apart(self.images()).reshape(-1, starts).argmin(1)
        rows = order + starts * torch.arange(len(order), device=order.device)
        self.point, self.trail = self.point[rows], [each[rows] for each in self.trail]
        self.noise = [each[rows] for each in self.noise]
        self.labels = None if self.labels is None else self.labels[rows]
        return self.at(self.point)

    def _restore(self, path: Path, facts: dict[str, Any], adam: torch.optim.Adam) -> int:
        step, tensors = resume_search(path, _STATE, adam, facts)
        count = sum(key.startswith("trail.") for key in tensors)
        self.trail = [tensors[f"trail.{i}"].to(self.point) for i in range(count)]
        return step


def signals(noise: Tensor) -> Tensor:
    """How far noise `(n, 1, s, s)` is from white, at every scale down to 8 pixels (appendix D, equation 13): `(n,)`."""
    total = noise.new_zeros(len(noise))
    while True:
        for axis in (2, 3):
            total = total + (noise * noise.roll(1, axis)).mean((1, 2, 3)).square()
        if noise.shape[-1] <= 8:
            return total
        noise = F.avg_pool2d(noise, 2)  # the authors' code; the paper multiplies by 2 as well, to keep the variance


def _starts(
    model: Any,
    kind: Space,
    wanted: Tensor,
    seen: Tensor,
    features: Features,
    starts: int,
    pool: int,
    labels: Any,
) -> tuple[Tensor, Tensor | None]:
    """Where it begins `(n starts, ...)`, image by image, and the labels there."""
    first: Tensor | None = None
    if kind == "w":
        first = draw_many(model, "w", 10_000).values[:, :1].mean(0, keepdim=True).expand(len(wanted), -1, -1)
    elif "encodes" in model.abilities:
        first = model.prior.to_normal(model.encode(wanted.cpu()))
    told = None if labels is None else model._labels(labels, len(wanted)).repeat_interleave(starts, 0)
    points = [] if first is None else [first[:, None]]
    more = starts - len(points)
    if more:
        some = draw(model, range(max(pool, starts)), kind)
        parts = images(model, some).split(8)  # features of large images are large
        far = torch.cat([torch.cdist(seen, features(part.to(wanted.device))) for part in parts], 1)
        near = far.argsort(dim=1, stable=True)[:, :more].cpu()
        points.append((some.values[:, :1] if kind == "w" else model.prior.to_normal(some.values))[near])
        if told is None and some.labels is not None:
            told = some.labels[near].flatten(0, 1)
    return torch.cat(points, 1).flatten(0, 1).to(wanted.device), None if told is None else told.to(wanted.device)


@torch.no_grad()
def _judged(
    model: Any,
    targets: Tensor,
    latents: Latents,
    noise: list[Tensor],
    way: list[Latents],
    features: Features,
    name: str,
) -> Projection:
    made = _rendered(model, latents, noise)
    given = targets.to(model.device).float()
    far = (features(made.to(model.device)) - features(given)).square().sum(1).cpu()
    errors = (made - targets.cpu().float()).abs().mean((1, 2, 3))
    plain = replace(latents, values=latents.values.detach().cpu().contiguous())
    plain = replace(plain, labels=None if latents.labels is None else latents.labels.cpu())
    return Projection(model, targets.cpu(), plain, [each.cpu() for each in noise], made, far, errors, name, way)


def _rendered(model: Any, latents: Latents, noise: list[Tensor]) -> Tensor:
    with model.inferring():
        moved = [each.to(model.device) for each in noise]
        return model.limit(render(model, latents.to(model.device), moved or "const").float().cpu())


def _digest(images: Tensor) -> str:
    import hashlib

    return hashlib.sha256(images.cpu().contiguous().numpy().tobytes()).hexdigest()
