"""Walks: pictures on the way from one latent to the next.

Between two latents that are standard normal lies an arc, because nearly all of the distribution lies at one distance
from the middle and a straight line would leave it (White 2016, "Sampling Generative Networks", arXiv:1609.04468, 2.1).
Other priors are walked through as normal ones (`Prior.to_normal`). w has no such shape; its line is straight.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from ganzoo.game.abilities.samples import Labels
from ganzoo.latent.latents import Latents, Progress, batches, check, draw, images
from ganzoo.media.films import write_film
from ganzoo.media.medium import medium_of
from ganzoo.media.provenance import made_by
from ganzoo.types import BadArgument

Method = Literal["slerp", "linear"]
_MAPPING = ("truncation", "truncation_cutoff")  # what the mapping of w takes; all else is the pictures'


def slerp(one: Tensor, other: Tensor, t: Tensor) -> Tensor:
    """The point a share `t` along the arc from one vector to another (Shoemake 1985), its norm as far from theirs.

    With unit vectors a and b at an angle W, sin((1 - t) W) / sin W a + sin(t W) / sin W b. Where sin W is 0 there is no
    arc, or there are many, and the line is taken.

    Args:
        one: `(..., d)`.
        other: of the same shape.
        t: `(..., 1)` in [0, 1].
    """
    norms = one.norm(dim=-1, keepdim=True), other.norm(dim=-1, keepdim=True)
    a, b = (v / n.clamp_min(torch.finfo(v.dtype).tiny) for v, n in zip((one, other), norms, strict=True))
    # The angle of a and b is twice that of a + b and a - b to a: exact where a cosine near 1 is not
    angle = 2 * torch.atan2((a - b).norm(dim=-1, keepdim=True), (a + b).norm(dim=-1, keepdim=True))
    sine = angle.sin()
    arc = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / sine * torch.lerp(*norms, t)
    return torch.where(sine.abs() > 1e-6, arc, torch.lerp(one, other, t))


def path(model: Any, stations: Latents, steps: int = 30, method: Method | None = None, loop: bool = False) -> Latents:
    """Latents on the way from each station to the next.

    Args:
        model: whose latents they are.
        stations: at least two.
        steps: from a station to the next; the station is counted, the next one is not.
        method: `slerp` for arcs, `linear` for lines; None for arcs through z and lines through w.
        loop: whether the way goes back to the first station; otherwise the last one ends it.

    Returns:
        `steps` latents a station, in float32 on the CPU; without `loop` one for the last instead. A label is that of
        the nearer station.

    Raises:
        BadArgument: for fewer than two stations, no step, or another method.
    """
    check(model, stations)
    values, n, through_w = stations.values.double().cpu(), len(stations), stations.values.dim() == 3
    method = method or ("linear" if through_w else "slerp")
    if method not in ("slerp", "linear"):
        raise BadArgument(f"method is {method!r}; slerp or linear is expected")
    if n < 2 or not isinstance(steps, int) or steps < 1:
        raise BadArgument(
            f"a way of {steps} steps past {n} latents (or seeds); at least 1 step, and 2 of these, are expected"
        )
    count = steps * n if loop else steps * (n - 1) + 1
    at = torch.arange(count)
    first, t = at // steps, (at % steps).double() / steps
    second = (first + 1) % n
    share = t.reshape(-1, *[1] * (values.dim() - 1))
    if method == "linear":
        found = torch.lerp(values[first], values[second], share)
    elif through_w:
        found = slerp(values[first], values[second], share)
    else:
        normal = model.prior.to_normal(values)
        found = model.prior.from_normal(slerp(normal[first], normal[second], share))
    found = torch.where(share == 0, values[first], found).float()
    labels = None if stations.labels is None else stations.labels[torch.where(t < 0.5, first, second)]
    return Latents(found, labels)


def _way(
    model: Any,
    seeds: Sequence[int],
    steps: int,
    space: str,
    method: Method | None,
    loop: bool,
    labels: Labels | None,
    options: dict[str, Any],
) -> tuple[Latents, dict[str, Any]]:
    """The latents, and the options that are left for the pictures."""
    mapping = {key: options[key] for key in _MAPPING if key in options and space == "w"}
    rest = {key: value for key, value in options.items() if key not in mapping}
    return path(model, draw(model, seeds, space, labels, **mapping), steps, method, loop), rest


def interpolate(
    model: Any,
    seeds: Sequence[int],
    steps: int = 8,
    space: str = "z",
    method: Method | None = None,
    *,
    loop: bool = False,
    labels: Labels | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> Tensor:
    """Images on the way from each seed's latent to the next one's.

    Args:
        model: that samples.
        seeds: at least two.
        steps: as in `path`.
        space: `z`, or `w` where the model has styles.
        method: as in `path`.
        loop: as in `path`.
        labels: one class for all or one a seed, of a conditional model; None for each seed's own.
        batch_size: images made at a time.
        **options: as `images`', and `truncation` where the model has one.

    Returns:
        `(steps (seeds - 1) + 1, C, H, W)` in [-1, 1], on the CPU; with `loop` `(steps seeds, C, H, W)`.

    Raises:
        BadArgument: for seeds, a space or options that the model does not have.
    """
    way, rest = _way(model, seeds, steps, space, method, loop, labels, options)
    return images(model, way, batch_size=batch_size, **rest)


def walk(
    model: Any,
    seeds: Sequence[int],
    out: str | Path,
    steps: int = 30,
    space: str = "z",
    method: Method | None = None,
    *,
    loop: bool = True,
    rate: float = 24.0,
    labels: Labels | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> int:
    """Writes the pictures of `interpolate` as a film: `.mp4`, `.gif`, `.webp`, or a strip with a row a seed.

    Args:
        model: as `interpolate`'s, as are what is not named here.
        seeds: at least two.
        out: the file.
        steps: as in `path`.
        space: `z` or `w`.
        method: as in `path`.
        loop: whether it ends where it began.
        rate: pictures a second.
        labels: classes.
        batch_size: images made at a time.
        progress: told how many pictures were made.
        **options: as `interpolate`'s.

    Returns:
        How many pictures it has.

    Raises:
        BadArgument: as `interpolate` and `write_film`.
    """
    way, rest = _way(model, seeds, steps, space, method, loop, labels, options)
    medium = medium_of(model.shape)

    def pictures() -> Iterator[Image.Image]:
        for part in batches(model, way, batch_size, **rest):
            yield from map(medium.frame, part)
            if progress is not None:
                progress(len(part))

    with made_by(model, seeds):
        return write_film(pictures(), out, rate, columns=steps)
