"""Points of a latent space: drawn, rendered, and kept in files.

A model that samples has z; one with styles has w too, one for each layer, which is also W+ where the layers' differ.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ganzoo.files import atomic
from ganzoo.game import inference
from ganzoo.game.abilities.samples import Labels
from ganzoo.game.game import Game
from ganzoo.metrics.features.network import state_sha256
from ganzoo.types import BadArgument, Condition, Rows, quoted

Space = Literal["z", "w"]
Progress = Callable[[int], None]
"""Told how many pictures, or steps, were made since it was told last."""


@dataclass(frozen=True)
class Latents(Rows):
    """Points of a model's latent space.

    Args:
        values: z `(n, latent)`, or w for each layer `(n, layers, style)`.
        labels: class indices `(n,)`, or vectors, beside z of a conditional model; w has its class in it.
    """

    values: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)


def check_space(model: Game, space: str | None = "z") -> Space:
    """The space, if the model has it; None for the one in which directions are looked for: w where there is one.

    Raises:
        BadArgument: for a model that has no z, or a space that it does not have.
    """
    if "samples" not in model.abilities:
        raise BadArgument(f"{type(model).__name__} draws no images of its own, so it has no z; choose one that samples")
    spaces: tuple[Space, ...] = ("z", "w") if "styled" in model.abilities else ("z",)
    if space is None:
        return spaces[-1]
    if space not in spaces:
        raise BadArgument(f"space is {space!r}; {' or '.join(spaces)} is expected of {type(model).__name__}")
    return "w" if space == "w" else "z"


def draw(
    model: Any, seeds: Sequence[int], space: str | None = "z", labels: Labels | None = None, **mapping: Any
) -> Latents:
    """The latents of seeds, on the CPU; they depend on the seeds alone.

    Args:
        model: that samples.
        seeds: one a latent.
        space: `z` or `w`.
        labels: as in `sample`.
        **mapping: for w, `truncation` and `truncation_cutoff`, as `map` takes them.

    Raises:
        BadArgument: for seeds, labels or a space that the model does not have.
    """
    chosen = check_space(model, space)
    z, drawn = model.draw(seeds, labels)
    return Latents(z, drawn) if chosen == "z" else Latents(model.map(z, drawn, **mapping).float().cpu())


def encoded(model: Any, pictures: Tensor) -> Latents:
    """The latents of pictures `(n, C, H, W)` in [-1, 1] by the model's own encoder: where editing a photograph begins.

    Raises:
        BadArgument: for a model without an encoder, or pictures of another shape.
    """
    check_space(model)
    if "encodes" not in model.abilities:
        raise BadArgument(f"{type(model).__name__} has no encoder; find the picture's latents with `project`")
    return Latents(model.encode(pictures))


def draw_many(model: Any, space: Space, n: int, seed: int = 0) -> Latents:
    """As many latents as statistics need, on the CPU: of one stream, which is faster than a seed each."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        z = model.prior.draw(n, "cpu")
        labels = None if model.classes is None else torch.randint(model.classes, (n,))
    return Latents(z, labels) if space == "z" else Latents(model.map(z, labels).float().cpu())


def batches(model: Any, latents: Latents, batch_size: int | None = None, **options: Any) -> Iterator[Tensor]:
    """Images `(n, C, H, W)` in [-1, 1] of latents, on the CPU, part by part; see `images`."""
    check(model, latents)
    step = inference.at_a_time(batch_size, model.shape[1:])
    for start in range(0, len(latents), step):
        part = latents.part(start, start + step)
        if part.values.dim() == 3:
            yield model.limit(model.synthesize(part.values.to(model.device), **options).float().cpu())
        else:
            # What is random beside z is the same for all
            yield model.sample(z=part.values, seeds=[0] * len(part), labels=part.labels, batch_size=step, **options)


def images(model: Any, latents: Latents, *, batch_size: int | None = None, **options: Any) -> Tensor:
    """The images `(n, C, H, W)` in [-1, 1] of latents, on the CPU.

    Args:
        model: that samples.
        latents: of the model.
        batch_size: images made at a time.
        **options: of `sample` for z, of `synthesize` for w. What is random beside the latent, such as noise, is the
            same for all latents.

    Raises:
        BadArgument: for latents of another model's shape, or options that the model does not take.
    """
    return torch.cat([*batches(model, latents, batch_size, **options)])


def render(model: Any, latents: Latents, noise: Any = "const") -> Tensor:
    """Images `(n, C, H, W)` of latents on the model's device, as the network gives them; gradients flow.

    Args:
        model: that samples, in evaluation mode.
        latents: z or w.
        noise: of a model with styles, as its synthesis network takes it; others have none.
    """
    if "styled" not in model.abilities:
        return model.generate(latents.values, Condition(latents.labels))
    ws = latents.values if latents.values.dim() == 3 else model.averaged.mapping(latents.values, latents.labels)
    return model.averaged.synthesis(ws, noise)


def check(model: Any, latents: Latents) -> None:
    """Whether a model has such latents; their shape is held against it where they are rendered.

    Raises:
        BadArgument: for a model that has no z or no w, or values that are not finite.
    """
    check_space(model, "w" if latents.values.dim() == 3 else "z")
    if not len(latents) or not bool(torch.isfinite(latents.values).all()):
        raise BadArgument(f"latents {tuple(latents.values.shape)} hold none, or values that are not finite")


def generator_hash(model: Any) -> str:
    """The sha256 of the weights that the model samples with."""
    return state_sha256(model.averaged)


# ---------------------------------------------------------------- files

_HEADER, _SIZE = 2**20, 2**30  # bytes that are read of a file's header, and of a file
_MOMENTS = ("exp_avg", "exp_avg_sq")


def write_file(path: str | Path, kind: str, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Writes tensors and plain facts as a safetensors file, whole or not at all."""
    from safetensors.torch import save_file

    check_target(path)
    plain = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
    with atomic(path) as part:
        save_file(plain, str(part), metadata={"ganzoo": kind, "facts": json.dumps(facts, allow_nan=False)})


def check_target(path: str | Path) -> None:
    """Whether a file may be written there; asked before what takes long.

    Raises:
        BadArgument: for a folder.
    """
    if Path(path).is_dir():
        raise BadArgument(f"{path}: is a folder; give the name of a file in it")


def read_file(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `write_file` wrote; whoever wrote it, nothing but numbers and JSON is taken from it.

    Raises:
        BadArgument: for a file that is not there, is none of this kind, or is not whole.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if not 2 <= header <= min(_HEADER, size - 8) or size > _SIZE:
            raise ValueError(f"{size} bytes with a header of {header}")
        with safe_open(str(path), framework="pt") as opened:
            told = opened.metadata() or {}
            if told.get("ganzoo") != kind:
                raise ValueError(f"it says that it holds {quoted(told.get('ganzoo'))}")
            facts = json.loads(told.get("facts", ""))
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        if not isinstance(facts, dict) or not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
            raise ValueError("its numbers are not finite, or its facts no table")
    except (SafetensorError, ValueError, OSError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())[:200]
        raise BadArgument(f"{path}: no file of {kind} ({said})") from None
    return tensors, facts


def save_search(
    path: str | Path, kind: str, adam: torch.optim.Adam, facts: dict[str, Any], more: dict[str, Tensor]
) -> None:
    """Notes how far a search is: what Adam moves, its moments, and what else the search holds."""
    learnt = adam.param_groups[0]["params"]
    held = {f"learnt.{i}": each.detach() for i, each in enumerate(learnt)}
    for i, each in enumerate(learnt):
        held |= {f"adam.{i}.{key}": adam.state[each][key] for key in _MOMENTS}
    write_file(path, kind, {**held, **more}, facts)


def resume_search(
    path: str | Path, kind: str, adam: torch.optim.Adam, facts: dict[str, Any]
) -> tuple[int, dict[str, Tensor]]:
    """Puts what Adam moves, and its moments, back where they were.

    Args:
        path: what `save_search` wrote.
        kind: of search.
        adam: of the same tensors.
        facts: of the search.

    Returns:
        The steps that were made, and all that the file holds.

    Raises:
        BadArgument: for a file that is not whole, or of a search of which other facts were noted.
    """
    tensors, told = read_file(path, kind)
    for key, value in facts.items():
        if told.get(key) != value:
            raise BadArgument(f"{path}: is of another search: its {key} is {told.get(key)}, not {value}")
    learnt, step = adam.param_groups[0]["params"], told.get("step")
    wanted = {f"learnt.{i}": each.shape for i, each in enumerate(learnt)}
    wanted |= {f"adam.{i}.{key}": each.shape for i, each in enumerate(learnt) for key in _MOMENTS}
    if not isinstance(step, int) or any(key not in tensors or tensors[key].shape != wanted[key] for key in wanted):
        raise BadArgument(f"{path}: is not whole; leave --resume out to begin anew")
    with torch.no_grad():
        for i, each in enumerate(learnt):
            each.copy_(tensors[f"learnt.{i}"])
            moments = {key: tensors[f"adam.{i}.{key}"].to(each) for key in _MOMENTS}
            adam.state[each] = {"step": torch.tensor(float(step)), **moments}
    return step, tensors


def save_latents(path: str | Path, model: Any, latents: Latents) -> None:
    """Writes latents, with the hash of the generator that they are of."""
    labels = {} if latents.labels is None else {"labels": latents.labels}
    write_file(path, "latents", {"values": latents.values, **labels}, {"generator": generator_hash(model)})


def load_latents(path: str | Path, model: Any) -> Latents:
    """Reads latents of a model.

    Raises:
        BadArgument: for a file that holds none, or those of another model.
    """
    tensors, facts = read_file(path, "latents")
    check_own(path, model, facts)
    if "values" not in tensors or tensors["values"].dim() not in (2, 3):
        raise BadArgument(f"{path}: holds no latents (n, d) or (n, layers, d)")
    return Latents(tensors["values"].float(), tensors.get("labels"))


def check_own(path: str | Path, model: Any, facts: dict[str, Any]) -> None:
    """Refuses what is of another model's generator, by its hash."""
    own = generator_hash(model)
    if facts.get("generator") != own:
        theirs = str(facts.get("generator"))[:12]
        raise BadArgument(f"{path}: is of another model, whose generator is {theirs}...; this one's is {own[:12]}...")
