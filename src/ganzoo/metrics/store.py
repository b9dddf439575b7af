"""Features of real images, kept between runs, in files named by a hash of all that they depend on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

_LOG = logging.getLogger(__name__)


def store_folder() -> Path:
    """The folder, which may not exist yet: `$GANZOO_CACHE/metrics`, else in `~/.cache/ganzoo`."""
    root = os.environ.get("GANZOO_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "ganzoo").expanduser() / "metrics"


def entry(facts: dict[str, Any]) -> Path:
    """The file of what depends on `facts` (plain JSON) and nothing else."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return store_folder() / f"{digest}.safetensors"


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
    """Writes beside the target, synchronises and renames; a folder that cannot be written costs time, not the run."""
    draft = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(draft, "xb") as file:
            file.write(save(tensors, metadata={"facts": json.dumps(facts, sort_keys=True)}))
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        _LOG.warning("Features cannot be kept in %s (%s); the next run computes them again.", path.parent, error)
    finally:
        if draft.exists():
            draft.unlink()
