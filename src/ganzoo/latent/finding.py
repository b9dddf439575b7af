"""Directions: ways through a latent space along which what a model makes changes in one respect.

Each method is a function of the model; `directions` calls it by its name. A strength of 1 is one standard deviation of
the latents along a direction, whatever found it.
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.latent.latents import (
    Latents,
    Progress,
    Space,
    check_own,
    check_space,
    draw,
    draw_many,
    generator_hash,
    images,
    read_file,
    render,
    write_file,
)
from ganzoo.types import BadArgument


@dataclass(frozen=True)
class Directions:
    """Directions of one model, the most important first.

    Args:
        vectors: unit vectors `(k, d)` in z or w.
        scales: standard deviations `(k,)` of the latents along them.
        space: `z` or `w`.
        method: that found them.
        generator: sha256 of the model's generator, of which alone they are.
        layers: of w that they are meant for; None for all.
        facts: what else is known, as plain JSON.
        tensors: what else was learnt, such as Voynov and Babenko's reconstructor.
    """

    vectors: Tensor
    scales: Tensor
    space: Space
    method: str
    generator: str
    layers: tuple[int, ...] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.vectors)

    def save(self, path: str | Path) -> None:
        """Writes them as a safetensors file, with all that is known of them in its header."""
        known = {name: getattr(self, name) for name in ("space", "method", "generator", "layers", "facts")}
        write_file(path, "directions", {"vectors": self.vectors, "scales": self.scales, **self.tensors}, known)


def load_directions(path: str | Path, model: Any) -> Directions:
    """Reads directions of a model.

    Raises:
        BadArgument: for a file that holds none, or those of another model.
    """
    tensors, known = read_file(path, "directions")
    check_own(path, model, known)
    vectors, scales, layers = tensors.pop("vectors", None), tensors.pop("scales", None), known.get("layers")
    space = check_space(model, known.get("space"))
    whole = layers is None or (isinstance(layers, list) and all(isinstance(layer, int) for layer in layers))
    if vectors is None or scales is None or vectors.dim() != 2 or scales.shape != vectors.shape[:1] or not whole:
        raise BadArgument(f"{path}: holds no directions (k, d) with a scale each")
    facts = known.get("facts")
    return Directions(
        vectors.float(),
        scales.float(),
        space,
        str(known.get("method")),
        str(known.get("generator")),
        None if layers is None else tuple(layers),
        facts if isinstance(facts, dict) else {},
        tensors,
    )


def directions(model: Any, method: str = "sefa", **options: Any) -> Directions:
    """Looks for directions.

    Args:
        model: that samples.
        method: `sefa`, `ganspace`, `voynov` or `attribute`.
        **options: of the function of that name.

    Raises:
        BadArgument: for another method, an option that it does not have, or a model without z.
    """
    from ganzoo.latent.attribute import attribute
    from ganzoo.latent.voynov import voynov

    methods: dict[str, Callable[..., Directions]] = {
        each.__name__: each for each in (sefa, ganspace, voynov, attribute)
    }
    if method not in methods:
        raise BadArgument(f"method is {method!r}; {', '.join(methods)} are expected")
    known = [*inspect.signature(methods[method]).parameters][1:]
    for name in options:
        if name not in known:
            told = ", ".join(each for each in known if each != "progress")
            raise BadArgument(f"{method} has no {name}; its options are {told}")
    return methods[method](model, **options)


# ---------------------------------------------------------------- closed forms


def sefa(
    model: Any,
    space: str | None = None,
    count: int = 10,
    layers: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Directions:
    """What the first layers that read the latent respond to most: eigenvectors of A^T A (Shen and Zhou 2021).

    "Closed-Form Factorization of Latent Semantics in GANs", arXiv:2007.06600, equation 4. A are the weights of all
    layers that read z, or w, with no other layer in between: the first one of most families, the affine maps to the
    styles of those with styles. As in the authors' code, each row of A has length 1. That of a layer is measured, not
    looked up: the derivative of what it gives.

    Args:
        model: that samples.
        space: `z` or `w`; None for w where there is one.
        count: how many.
        layers: of w, of which the maps are looked at; None for all.
        progress: not told, as it takes a moment.
    """
    chosen = check_space(model, space)
    if layers is not None and chosen != "w":
        raise BadArgument(f"layers are those of w; the directions looked for are in {chosen}")
    weights = []
    for module, x, slopes in readers(model, draw(model, [0], chosen), layers):
        twin, h = copy.deepcopy(module).double(), 1e-4
        steps = h * slopes.T.reshape(-1, *x.shape[1:])  # (d, ...): what each number of the latent changes of x
        with torch.no_grad():
            weights.append(((twin(x + steps) - twin(x - steps)) / (2 * h)).flatten(1))
    if not weights:
        raise BadArgument(f"no layer reads {chosen} of layers {list(layers or [])}; give others")
    a = torch.cat(weights, 1)  # (d, rows)
    a = a[:, a.norm(dim=0) > 0]
    a = a / a.norm(dim=0)
    values, vectors = torch.linalg.eigh(a @ a.T)
    found = vectors.T.flip(0)[: _at_most(count, len(a))]
    return made(model, "sefa", found, chosen, layers, {"eigenvalues": values.flip(0)[: len(found)].tolist()})


def readers(
    model: Any, latents: Latents, layers: Sequence[int] | None = None
) -> list[tuple[nn.Module, Tensor, Tensor]]:
    """The layers with weights that read a latent with none in between, in the order in which they are called.

    Returns:
        Each with what it is given `(1, ...)` and the derivative `(numbers of that, d)` by the latent, in float64.
    """
    calls: list[tuple[nn.Module, Tensor]] = []

    def before(module: nn.Module, given: tuple[Any, ...]) -> None:
        if given and isinstance(given[0], Tensor) and given[0].requires_grad:
            calls.append((module, given[0]))

    def after(module: nn.Module, given: tuple[Any, ...], made: Any) -> Any:
        return made.detach() if isinstance(made, Tensor) else made

    with model.inferring(), resting(model), torch.enable_grad():
        hooks = []
        for module in model.averaged.modules():
            if next(module.children(), None) is None and next(module.parameters(), None) is not None:
                hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
        try:
            values = latents.values.to(model.device, next(model.averaged.parameters()).dtype).requires_grad_()
            labels = None if latents.labels is None else latents.labels.to(model.device)
            render(model, Latents(values, labels))
        finally:
            for hook in hooks:
                hook.remove()
        found = []
        for module, x in calls:
            each = torch.eye(x.numel(), device=x.device, dtype=x.dtype).reshape(-1, *x.shape)
            (slopes,) = torch.autograd.grad(x, values, each, is_grads_batched=True, retain_graph=True)
            slopes = slopes[:, 0]  # (numbers of x, d), or with the layers of w between
            if slopes.dim() == 3:
                slopes = slopes[:, check_layers(model, layers)].sum(1)
            if slopes.any():
                found.append((module, x.detach().double(), slopes.double()))
    return found


def ganspace(
    model: Any,
    space: str | None = None,
    count: int = 10,
    n: int = 10_000,
    layer: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Directions:
    """Principal components of w, or of early activations brought back to z (Härkönen 2020).

    "GANSpace: Discovering Interpretable GAN Controls", arXiv:2004.02546, section 2: w is factorized itself; for z the
    activations of a layer are, and the direction of a component is the least-squares answer of z to its coordinate.

    Args:
        model: that samples.
        space: `z` or `w`; None for w where there is one.
        count: how many.
        n: latents that are looked at.
        layer: of the generator, by its name in `named_modules`, for z; None for the first one that reads z.
        seed: of the latents.
        progress: told how many latents were looked at.
    """
    chosen, count = check_space(model, space), _at_most(count, n)
    latents = draw_many(model, chosen, n, seed)
    values = (latents.values if chosen == "z" else latents.values[:, 0]).double()
    values = values - values.mean(0)
    seen = values if chosen == "w" else _activations(model, latents, layer, progress)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of the random projection
        _, deviations, axes = torch.svd_lowrank(seen - seen.mean(0), q=min(2 * count + 10, *seen.shape), niter=4)
    count = _at_most(count, axes.shape[1])
    coordinates = (seen - seen.mean(0)) @ axes[:, :count]
    back = coordinates.T @ values / coordinates.square().sum(0)[:, None]  # of w, the axes themselves
    shares = (deviations.square() / (seen - seen.mean(0)).square().sum())[:count]
    return made(model, "ganspace", back / back.norm(dim=1, keepdim=True), chosen, None, {"variance": shares.tolist()})


class _Enough(Exception):
    """A layer has run; what comes after it is not needed."""


def layer_of(model: Any, name: str) -> nn.Module:
    """A layer of the generator, by its name in `named_modules`.

    Raises:
        BadArgument: for a name that no layer has.
    """
    known = dict(model.averaged.named_modules())
    if name not in known:
        raise BadArgument(f"the generator has no layer {name!r}; its layers are {', '.join(list(known)[1:9])}, ...")
    return known[name]


def activations(model: Any, module: nn.Module, latents: Latents) -> Tensor:
    """What a layer gives for latents on the model's device; what comes after it is not run, and gradients flow."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, given: Any, made: Any) -> None:
        kept.append(made[0] if isinstance(made, tuple) else made)  # of a block that gives an image too, its maps
        raise _Enough

    hook = module.register_forward_hook(keep)
    try:
        with suppress(_Enough):
            render(model, latents)
    finally:
        hook.remove()
    return kept[0]


def _activations(model: Any, latents: Latents, layer: str | None, progress: Progress | None) -> Tensor:
    """What a layer of the generator gives, `(n, numbers)` float64."""
    module = layer_of(model, layer) if layer is not None else readers(model, latents.part(0, 1))[0][0]
    kept: list[Tensor] = []
    for start in range(0, len(latents), 64):
        part = latents.part(start, start + 64)
        with model.inferring():
            kept.append(activations(model, module, part.to(model.device)).flatten(1).double().cpu())
        if progress is not None:
            progress(len(part))
    return torch.cat(kept)


# ---------------------------------------------------------------- using them


def edit(
    model: Any,
    latents: Latents,
    found: Directions,
    index: int = 0,
    strength: float = 3.0,
    layers: Sequence[int] | None = None,
) -> Latents:
    """Moves latents along a direction.

    Args:
        model: whose latents and directions they are.
        latents: z or w, as the directions are.
        found: directions.
        index: which of them.
        strength: in standard deviations of the latents along it, either way.
        layers: of w that are moved; None for those that the direction is meant for.

    Raises:
        BadArgument: for directions of another model or space, or a direction or layer that there is not.
    """
    check_of(model, latents, found)
    if not 0 <= index < len(found):
        raise BadArgument(f"direction {index} is out of range; there are {len(found)}, from 0 on")
    if not abs(strength) <= 1e6:
        raise BadArgument(f"strength is {strength}; a number up to 1e6 is expected, such as 3")
    step = strength * found.scales[index] * found.vectors[index].to(latents.values)
    values = latents.values.clone()
    if found.space == "z":
        if layers is not None:
            raise BadArgument("layers are those of w; a direction in z moves all of it")
        values += step
    else:
        values[:, check_layers(model, found.layers if layers is None else layers)] += step
    return Latents(values, latents.labels)


def check_of(model: Any, latents: Latents, found: Directions) -> None:
    """Holds directions against the model and the latents that they are to move."""
    own = generator_hash(model)
    if found.generator != own:
        raise BadArgument(f"directions of another model ({found.generator[:12]}...); this one's is {own[:12]}...")
    if latents.values.dim() != (2 if found.space == "z" else 3):
        raise BadArgument(f"a direction in {found.space} cannot move latents {tuple(latents.values.shape)}")


def sheet(
    model: Any,
    latents: Latents,
    found: Directions,
    strengths: Sequence[float] = (-3, -1.5, 0, 1.5, 3),
    indices: Sequence[int] | None = None,
    layers: Sequence[int] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Tensor:
    """A contact sheet: each latent moved along each direction.

    Args:
        model: as `edit`'s.
        latents: what is moved.
        found: directions.
        strengths: one a column.
        indices: of directions; None for all.
        layers: as in `edit`.
        progress: told of each row.
        **options: as `images`'.

    Returns:
        `(directions, latents, strengths, C, H, W)` in [-1, 1], on the CPU.
    """
    rows = []
    for index in range(len(found)) if indices is None else indices:
        for i in range(len(latents)):
            moved = [edit(model, latents.part(i, i + 1), found, index, s, layers) for s in strengths]
            labels = None if latents.labels is None else latents.labels[i : i + 1].repeat_interleave(len(moved), 0)
            rows.append(images(model, Latents(torch.cat([each.values for each in moved]), labels), **options))
            if progress is not None:
                progress(1)
    return torch.stack(rows).unflatten(0, (-1, len(latents)))


def made(
    model: Any,
    method: str,
    vectors: Tensor,
    space: Space,
    layers: Sequence[int] | None,
    facts: dict[str, Any],
    tensors: dict[str, Tensor] | None = None,
) -> Directions:
    """Directions with their scales, and signs that do not depend on the machine: the largest number is positive."""
    vectors = vectors.double().cpu()
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    vectors = vectors * largest.sign()
    values = draw_many(model, space, 1000).values.double()
    values = values if space == "z" else values[:, 0]
    scales = (values @ vectors.T).std(0)
    chosen = None if layers is None else tuple(layers)
    name = None if model.card is None else model.card.name
    facts = {"model": name, **facts}
    own = generator_hash(model)
    return Directions(vectors.float(), scales.float(), space, method, own, chosen, facts, tensors or {})


def check_layers(model: Any, layers: Sequence[int] | None) -> list[int]:
    """The layers of w that are meant; None for all."""
    count = model.averaged.synthesis.count
    for layer in layers or ():
        if not 0 <= layer < count:
            raise BadArgument(f"layer {layer} is out of range; the layers of w run from 0 to {count - 1}")
    return [*range(count)] if layers is None else [*layers]


def _at_most(count: int, most: int) -> int:
    if count < 1:
        raise BadArgument(f"{count} directions were asked for; at least 1 is expected")
    return min(count, most)


@contextmanager
def resting(model: Any) -> Iterator[None]:
    """Switches the generator's own gradients off for a while: only those by latents are wanted."""
    paused = [each for each in model.averaged.parameters() if each.requires_grad]
    for each in paused:
        each.requires_grad_(False)
    try:
        yield
    finally:
        for each in paused:
            each.requires_grad_(True)
