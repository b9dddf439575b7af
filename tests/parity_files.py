"""Finds the parity fixtures: authors' checkpoints with random weights, and what the authors' code made of them."""

from __future__ import annotations

import json
import pickle
import re
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

_TESTS = Path(__file__).resolve().parent
_FOLDERS = (_TESTS / "parity", _TESTS.parents[1] / "shared" / "parity")


def present(name: str) -> Path | None:
    """Where a fixture lies: in the project's own tests, or in `shared/parity` beside the project; else None."""
    return next((folder / name for folder in _FOLDERS if (folder / name).is_file()), None)


def fixture(name: str) -> Path:
    """A fixture's path; the test is skipped where it is absent."""
    found = present(name)
    if found is None:
        pytest.skip(f"parity fixture {name} is neither in tests/parity nor in ../shared/parity")
    return found


def answers(name: str) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Inputs and outputs of the authors' code, and the facts about them.

    Args:
        name: of the fixture, with or without `.npz`: "stylegan3.r".
    """
    with np.load(fixture(f"{name.removesuffix('.npz')}.npz"), allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files if key != "meta"}
        return arrays, json.loads(str(stored["meta"]))


def keys(name: str) -> dict[str, dict[str, tuple[tuple[int, ...], str]]]:
    """Every tensor of a fixture: network, to name, to shape and element type."""
    table = json.loads(fixture(f"{name}.keys.json").read_text())
    return {
        network: {key: (tuple(shape), dtype) for key, (shape, dtype) in tensors.items()}
        for network, tensors in table.items()
    }


def distance(ours: torch.Tensor | np.ndarray[Any, Any], theirs: torch.Tensor | np.ndarray[Any, Any]) -> float:
    """How far apart: `max|ours - theirs| / max(std(theirs), max|theirs| / 100)`; infinite where shapes differ."""
    a, b = (np.asarray(x.detach().cpu() if isinstance(x, torch.Tensor) else x, np.float64) for x in (ours, theirs))
    if a.shape != b.shape or not np.isfinite(a).all():
        return float("inf")
    scale = max(float(b.std()), float(np.abs(b).max()) / 100)
    return float(np.abs(a - b).max() / scale) if scale else float(np.abs(a).max() > 0)


class _Easy(dict[str, Any]):
    """Stands in for `dnnlib.util.EasyDict`."""


def _reconstruct_persistent_obj(meta: Any) -> Any:
    """Stands in for NVIDIA's function, whose name is all that a pickle holds."""
    raise AssertionError("a symbolic reader calls nothing")


_Easy.__module__, _Easy.__qualname__ = "dnnlib.util", "EasyDict"
_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class _Persistent(torch.nn.Module):
    """Is pickled as NVIDIA's persistent classes are."""

    def __init__(self, class_name: str, kwargs: dict[str, Any]) -> None:
        super().__init__()
        self._class_name, self._init_args, self._init_kwargs = class_name, (), _Easy(kwargs)

    def __reduce__(self) -> Any:
        state = {key: value for key, value in self.__dict__.items() if key != "_class_name"}
        meta = {"type": "class", "version": 6, "module_src": "raise SystemExit", "class_name": self._class_name}
        return _reconstruct_persistent_obj, (_Easy(meta, state=state),)


_BUFFERS = re.compile(r".*(_filter|noise_const|w_avg|transform|freqs|phases|magnitude_ema)")


def write_nvidia(
    path: Path, networks: Mapping[str, tuple[str, dict[str, Any], Mapping[str, torch.Tensor]]], **others: Any
) -> None:
    """Writes a pickle as NVIDIA's PyTorch code does, without their code.

    Args:
        path: where to.
        networks: such as "G_ema", to its class's name, its constructor's keyword arguments and its state dict.
        others: further entries, such as `training_set_kwargs`.
    """
    made: dict[str, Any] = {}
    for key, (class_name, kwargs, tensors) in networks.items():
        made[key] = _Persistent(class_name, kwargs)
        for name, tensor in tensors.items():
            *parts, last = name.split(".")
            module = made[key]
            for part in parts:
                if part not in module._modules:
                    module.add_module(part, _Persistent(part, {}))
                module = module._modules[part]
            if _BUFFERS.fullmatch(last):
                module.register_buffer(last, tensor)
            else:
                module.register_parameter(last, torch.nn.Parameter(tensor, requires_grad=False))
    stand_ins: dict[str, dict[str, Any]] = {
        "torch_utils": {},
        "torch_utils.persistence": {"_reconstruct_persistent_obj": _reconstruct_persistent_obj},
        "dnnlib": {},
        "dnnlib.util": {"EasyDict": _Easy},
    }
    with pytest.MonkeyPatch.context() as patch:  # pickle looks names up in order to write them
        for name, content in stand_ins.items():
            module = types.ModuleType(name)
            vars(module).update(content)
            patch.setitem(sys.modules, name, module)
        with path.open("wb") as file:
            pickle.dump(made | others, file, protocol=4)


def from_table(table: Mapping[str, tuple[tuple[int, ...], str]], seed: int = 0) -> dict[str, torch.Tensor]:
    """Random tensors of the names, shapes and element types of a table of `keys`."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator).to(getattr(torch, dtype))
        for name, (shape, dtype) in table.items()
    }
