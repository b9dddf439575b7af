"""Writing a model as one file of another runtime: ONNX, or a program of `torch.export`.

What is written is `Game.program`, a function of tensors, with its images clamped to their range. The file is drawn from
before it is put in place, and one that draws other pictures than the model is refused.
"""

import hashlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganzoo.files import atomic
from ganzoo.game import inference
from ganzoo.game.contract import Program
from ganzoo.game.game import Game
from ganzoo.media.levels import to_levels
from ganzoo.runtimes.running import EXTRA, FORMAT, KEY, Array, ExportedModel
from ganzoo.types import VERSION, BadArgument, BadCheckpoint

OPSET = 18
TOLERANCE = 1e-3  # of a pixel in [-1, 1], between runtimes
_FOLDED = 2**26  # numbers that a constant may be computed of or have: a network's largest weights
_CHECKED = (0, 1)  # the seeds of the check pictures
_SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}


class _Network(nn.Module):
    """A program as a module, which exporters want; gradients are nobody's business there."""

    def __init__(self, game: Game, program: Program) -> None:
        super().__init__()
        self.networks = nn.ModuleList(game.average_module(name) for name in game.inference)
        self.game, self.program = [game], program  # in a list, so that the players are no part of the module

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.game[0].limit(self.program.run(*inputs).float())


def write(game: Game, file: str | Path, form: str | None = None, **options: Any) -> dict[str, Any]:
    """Writes a model as a file of another runtime, whole or not at all.

    Args:
        game: the model.
        file: where to; `.onnx` or `.pt2`.
        form: `onnx` or `torch`; what the file's suffix says where None.
        **options: of the model's `program`, such as StyleGAN2's `noise`.

    Returns:
        `file`, `format`, `opset` of ONNX, `inputs` (the shape of each, with names for what may be any number),
        `difference` (the largest of a pixel between the file's pictures and the model's), `largest` (of these pixels'
        absolute values) and `facts`, the metadata.

    Raises:
        BadArgument: for another format, suffix or option, or without the packages that write ONNX.
        BadCheckpoint: if the file draws other pictures than the model.
    """
    path = Path(file)
    form = form or next((each for each, suffix in _SUFFIXES.items() if path.suffix == suffix), "onnx")
    if form not in _SUFFIXES:
        raise BadArgument(f"format is {form!r}; onnx or torch is expected")
    if path.suffix != _SUFFIXES[form]:
        raise BadArgument(f"{path}: a file of the format {form} ends in {_SUFFIXES[form]}")
    lacking = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if form == "onnx" and lacking:
        raise BadArgument(f"ONNX is written with {' and '.join(lacking)}, which is not installed; {EXTRA}")
    inference.check_options(type(game).__name__, game.program, options)
    with ExitStack() as held:
        held.enter_context(game.inferring())
        held.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # the exporters', about themselves
        program = game.program(**options)
        network = _Network(game, program).eval()
        inputs = {name: value.to(game.device) for name, value in program.inputs.items()}
        images = network(*inputs.values()).cpu().numpy()
        facts = _facts(game, program, images)
        axes = {0: torch.export.Dim("n", min=1, max=2**16)}
        axes |= {i + 2: program.stride * torch.export.Dim(f"side_{i}") for i in range(2) if program.stride}
        shapes = (tuple(None if name in program.whole else axes for name in inputs),)
        exported = torch.export.export(network, tuple(inputs.values()), dynamic_shapes=shapes)
        with atomic(path) as part:
            _WRITERS[form](exported, part, facts, list(inputs))
            given = {name: value.cpu().numpy() for name, value in inputs.items()}
            difference, largest = (float(np.abs(x).max()) for x in (_READERS[form](part, given) - images, images))
            if not difference <= TOLERANCE * max(1.0, largest):
                raise BadCheckpoint(
                    f"{path}: {form} draws other pictures than the model, by {difference:.1e}; not kept"
                )
    found = {"file": str(path), "format": form, **({"opset": OPSET} if form == "onnx" else {})}
    sides: dict[int, Any] = {0: "n", **({2: "height", 3: "width"} if program.stride else {})}
    taken = {
        name: [*value.shape] if name in program.whole else [sides.get(i, n) for i, n in enumerate(value.shape)]
        for name, value in inputs.items()
    }
    return {**found, "inputs": taken, "difference": difference, "largest": largest, "facts": facts}


def _facts(game: Game, program: Program, images: Array) -> dict[str, Any]:
    """The file's metadata."""
    card = game.card
    known = {} if card is None else card.facts
    digest = hashlib.sha256(to_levels(images).tobytes()).hexdigest()
    return {
        "format": FORMAT,
        "ganzoo": VERSION,
        "name": type(game).__name__ if card is None else card.name,
        "family": type(game).__name__ if card is None else card.family,
        "shape": list(game.shape),
        "value_range": [-1, 1] if len(game.shape) == 3 else None,
        "weights_sha256": (game.provenance or {}).get("weights_sha256"),
        "license": known.get("license"),
        "terms": known.get("terms"),
        **program.facts,
        "check": {"seeds": list(_CHECKED), "sha256": digest},
    }


def _write_onnx(exported: Any, path: Path, facts: dict[str, Any], names: list[str]) -> None:
    from onnxscript import optimizer

    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        # Not optimized there: onnxscript 0.7 takes x + 1e-8 for x, and what vanishes is then divided by 0
        made = torch.onnx.export(
            exported,
            dynamo=True,
            verbose=False,
            optimize=False,
            opset_version=OPSET,
            input_names=names,
            output_names=["images"],
        )
    finally:
        logger.setLevel(level)
    assert made is not None
    optimizer.fold_constants(made.model, input_size_limit=_FOLDED, output_size_limit=_FOLDED)
    optimizer.remove_unused_nodes(made.model)
    for each in (made.model, made.model.graph, *made.model.graph, *made.model.graph.initializers.values()):
        each.metadata_props.clear()  # where this machine keeps its code
    made.model.metadata_props[KEY] = json.dumps(facts, ensure_ascii=False)
    made.model.producer_name, made.model.producer_version = "ganzoo", VERSION
    made.save(str(path), external_data=False)


def _write_torch(exported: Any, path: Path, facts: dict[str, Any], names: list[str]) -> None:
    with path.open("wb") as file:
        torch.export.save(exported, file, extra_files={f"{KEY}.json": json.dumps({**facts, "inputs": names})})


def _read_onnx(path: Path, inputs: dict[str, Array]) -> Array:
    return ExportedModel(path).run(**inputs)


def _read_torch(path: Path, inputs: dict[str, Array]) -> Array:
    with path.open("rb") as file:
        network = torch.export.load(file).module()
    return network(*map(torch.from_numpy, inputs.values())).numpy()


_WRITERS: dict[str, Callable[..., None]] = {"onnx": _write_onnx, "torch": _write_torch}
_READERS: dict[str, Callable[..., Array]] = {"onnx": _read_onnx, "torch": _read_torch}
