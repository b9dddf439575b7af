"""A static page that runs a generator in the browser, by onnxruntime-web, which npm brings.

The page asks its own folder alone, and needs no server but one that hands out files.
"""

from __future__ import annotations

import html
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

from ganzoo.data import npm
from ganzoo.files import atomic
from ganzoo.game.game import Game
from ganzoo.media.provenance import current, made_by, xmp
from ganzoo.runtimes.writing import write
from ganzoo.types import BadArgument

PACKAGE = "onnxruntime-web@1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
_RUNTIME = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_LARGEST = 2**25  # bytes of one of these files
_STATIC = Path(__file__).with_name("static")


def write_page(game: Game, target: str | Path, say: Callable[[str], None], **options: Any) -> dict[str, Any]:
    """Writes the page, the model and the runtime into a folder, whole or not at all.

    Args:
        game: that samples images; StyleGANs with the noise that the network has.
        target: a new or empty folder.
        say: is told what happens.
        **options: of the model's `program`, such as `noise`.

    Returns:
        What `write` does of the model's file.

    Raises:
        BadArgument: for a folder that holds something, or a model that draws no images.
        BadData: if npm is missing, or cannot fetch the runtime.
    """
    path = Path(target)
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise BadArgument(f"{path}: something is there already; name a new folder")
    if "samples" not in game.abilities or len(game.shape) != 3:
        raise BadArgument(f"{type(game).__name__} draws no images of its own, which is all that the page does")
    if "styled" in game.abilities:
        options = {"noise": "const", **options}
        if options["noise"] == "given":
            raise BadArgument("the page draws no noise; --noise const or none is expected")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        fresh = Path(temporary) / "page"
        found = write(game, fresh / "model.onnx", **options)
        say(f"fetching {PACKAGE} through npm (MIT)")
        with npm.fetched(PACKAGE, INTEGRITY, Path(temporary)) as package, npm.sound(package, "onnxruntime-web"):
            wanted = {f"package/dist/{name}" for name in _RUNTIME}
            for name, content in npm.members(package, lambda name: _LARGEST * (name in wanted)):
                wanted.discard(name)
                with atomic(fresh / "runtime" / Path(name).name) as part:
                    part.write_bytes(content)
            if wanted:
                raise ValueError(f"{min(wanted)} is not in it")
        facts = found["facts"]
        layers = found["inputs"].get("truncation") or [0]
        with made_by(game, note="Seed @seed@."):  # which the page fills in
            made = current()
        known = {**facts, "layers": layers[0], "xmp": None if made is None else xmp(made)}
        (fresh / "model.json").write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")
        terms = (facts["terms"] or {}).get("title") or facts["license"] or "no license is stated"
        page = Template((_STATIC / "index.html").read_text(encoding="utf-8"))
        named = {"title": html.escape(facts["name"]), "terms": html.escape(f"Weights: {terms}. Made by ganzoo.")}
        (fresh / "index.html").write_text(page.substitute(named), encoding="utf-8")
        shutil.copyfile(_STATIC / "page.js", fresh / "page.js")
        if path.is_dir():
            path.rmdir()
        fresh.rename(path)
    return found
