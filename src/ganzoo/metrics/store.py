"""Features of real images, kept between runs, in files named by a hash of all that they depend on."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ganzoo.files import atomic, cache_folder

_LOG = logging.getLogger(__name__)


def entry(facts: dict[str, Any]) -> Path:
    """The file, in `cache_folder("metrics")`, of what depends on `facts` (plain JSON) and nothing else."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return cache_folder("metrics") / f"{digest}.safetensors"


def read(path: Path, rows: int) -> dict[str, Tensor] | None:
    """The tensors of a file, or None where it is missing, damaged or has not that many rows."""
    if not path.is_file():
        return None
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        _LOG.warning("%s is damaged (%s) and is made again.", path, error)
        return None
    if any(len(tensor) != rows for tensor in tensors.values()) or "features" not in tensors:
        _LOG.warning("%s does not hold %d samples and is made again.", path, rows)
        return None
    return tensors


def write(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Writes a file whole or not at all; a folder that cannot be written costs time, not the run."""
    kept = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with atomic(path) as part:
            part.write_bytes(save(kept, metadata={"facts": json.dumps(facts, sort_keys=True)}))
    except OSError as error:
        _LOG.warning("Features cannot be kept in %s (%s); the next run computes them again.", path.parent, error)
