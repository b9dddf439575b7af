"""What tests of the Hub share: fresh processes, and small model folders made without torch."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from hub_server import Hub
from PIL import Image

from ganzoo import folder as checkpoint

TESTS = Path(__file__).resolve().parent


def environment(hub: Hub | None, cache: Path, token: str | None = None, **variables: str) -> dict[str, str]:
    """Of a process that finds this directory's modules, and uses this hub with a cache of its own."""
    given = {} if hub is None else hub.environment(cache, token)
    if hub is None:
        given = {"HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        given["GANZOO_CACHE"] = str(cache / "ganzoo")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **given, **variables}


def fresh(
    file: str,
    function: str,
    *arguments: Any,
    hub: Hub | None = None,
    cache: Path,
    token: str | None = None,
    **variables: str,
) -> str:
    """Runs a function of a test file in a process of its own, and gives what it printed.

    The client reads its environment when it is imported, so only a process has a cache or a hub of its own.
    """
    done = subprocess.run(
        [sys.executable, file, function, *map(str, arguments)],
        env=environment(hub, cache, token, **variables),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{function}: {done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def ganzoo(
    *arguments: Any, hub: Hub | None = None, cache: Path, token: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command line."""
    return subprocess.run(
        [sys.executable, "-m", "ganzoo", *map(str, arguments)],
        env=environment(hub, cache, token, **variables),
        capture_output=True,
        text=True,
        timeout=300,
    )


def safetensors(values: dict[str, list[float]]) -> bytes:
    """A safetensors file of float32 vectors, written from the format's description."""
    header: dict[str, Any] = {}
    data = b""
    for name, numbers in values.items():
        packed = struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": [len(numbers)], "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def model_files(seed: int = 0, size: int = 2000, **config: Any) -> dict[str, bytes]:
    """The files of a model folder, by name; nothing in it makes a network, but every check of files passes."""
    rng = random.Random(seed)
    picture = io.BytesIO()
    Image.frombytes("L", (32, 8), rng.randbytes(256)).save(picture, format="PNG")
    table = {"format": 1, "family": "dcgan", "arguments": {"size": 8, "channels": 1}, "task": "unconditional"}
    table |= {"shape": [1, 8, 8], "name": f"dcgan-{seed}", "images_seen": 64, **config}
    files = {
        checkpoint.MODEL: safetensors({"generator.weight": [rng.gauss(0, 1) for _ in range(size)]}),
        checkpoint.PLAYERS: safetensors({"discriminator.weight": [rng.gauss(0, 1) for _ in range(size // 2)]}),
        checkpoint.CONFIG: json.dumps(table).encode(),
        checkpoint.RESULTS: b"[]",
        checkpoint.SAMPLES: picture.getvalue(),
        checkpoint.GOLDEN: picture.getvalue(),
    }
    return {**files, checkpoint.MANIFEST: manifest(files)}


def manifest(files: dict[str, bytes]) -> bytes:
    """The manifest of such files."""
    import hashlib

    listed = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)} for name, content in files.items()
    }
    return json.dumps({"format": checkpoint.FORMAT, "files": listed}).encode()


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """Writes files into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
