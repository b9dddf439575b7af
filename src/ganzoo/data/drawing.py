"""Pictures drawn from SVG, and avatars made of options, by packages of npm that run in Node.js.

Each package is fetched by npm in the version, and with the sum, that is written here, before any of it runs; they lie
in a temporary folder, and what they draw comes back as a file of pixels.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ganzoo.data import npm
from ganzoo.types import BadData

RENDERER: Final = (
    "@resvg/resvg-wasm@2.6.2",
    "sha512-FqALmHI8D4o6lk/LRWDnhw95z5eO+eAa6ORjVg09YRR7BkcM6oPHU9uyC0gtQG5vpFLvgpeU4+zEAz2H8APHNw==",
)
MAKER: Final = (
    "@dicebear/core@9.4.3",
    "sha512-9ITrQI57k3p5hKuU8HZJ1d0kPdrmTKEJDOdlKQ8CpaChbtmnD1R+dtWmNz5IesYThXM8F64pJ0ZvJ2rsY8Hciw==",
)

# A job a line of `jobs`: an SVG, or options of the style, of which all that the picture shows must come back as asked
_PROGRAM: Final = """
import fs from 'fs';
import readline from 'readline';
import { initWasm, Resvg } from '@resvg/resvg-wasm';
const [size, style] = process.argv.slice(2);
await initWasm(fs.readFileSync('node_modules/@resvg/resvg-wasm/index_bg.wasm'));
const create = style ? (await import('@dicebear/core')).createAvatar : null;
const made = style ? await import(style) : null;
const out = fs.openSync('pixels', 'w');
for await (const line of readline.createInterface({ input: fs.createReadStream('jobs') })) {
  let svg = JSON.parse(line);
  if (style) {
    const { options, edits } = svg;
    const avatar = create(made, { seed: '', ...options });
    const shown = avatar.toJson().extra;
    for (const [name, [value]] of Object.entries(options).filter(([, value]) => Array.isArray(value))) {
      const asked = options[name + 'Probability'] === 0 ? undefined : value;
      if (!name.startsWith('background') && String(shown[name]).replace('#', '') !== String(asked))
        throw new Error(`${name} is ${shown[name]}, not ${asked}`);
    }
    svg = avatar.toString();
    for (const [from, to] of edits) svg = svg.replaceAll(from, to);
  }
  const drawing = new Resvg(svg, { fitTo: { mode: 'width', value: Number(size) }, background: '#fff' });
  const image = drawing.render();
  if (image.width != size || image.height != size) throw new Error(`it is drawn ${image.width}x${image.height}`);
  const pixels = image.pixels.filter((_, i) => i % 4 < 3);
  fs.writeSync(out, pixels);
  image.free();
  drawing.free();
}
"""


def draw(
    jobs: Iterable[Any], size: int, folder: Path, packages: Mapping[str, str] | None = None, style: str = ""
) -> npt.NDArray[np.uint8]:
    """Draws pictures on white.

    Args:
        jobs: texts of SVG, square ones; or with a style, tables of `options` and `edits` (pairs of texts, of which the
            first is replaced by the second in the SVG).
        size: the pixels of a side.
        folder: an existing one, in which the packages lie meanwhile.
        packages: on npm, with their versions, and their sums; beside those that draw.
        style: a module of DiceBear's among the packages.

    Returns:
        Pixels `(N, 3, size, size)`, a picture a job.

    Raises:
        BadData: if npm or Node.js is missing, a package cannot be fetched or is another, or a job cannot be drawn.
    """
    program = shutil.which("node")
    if program is None:
        raise BadData("node is not on this machine, and draws the pictures; install it (Debian: apt install nodejs).")
    wanted = dict([RENDERER]) | (dict([MAKER]) if style else {}) | dict(packages or {})
    with tempfile.TemporaryDirectory(dir=folder, prefix=".drawing-") as temporary, ExitStack() as fetched:
        place = Path(temporary)
        for package, expected in wanted.items():
            _unpack(fetched.enter_context(npm.fetched(package, expected, place)), package, place)
        (place / "draw.mjs").write_text(_PROGRAM, encoding="utf-8")
        lines = [json.dumps(job) + "\n" for job in jobs]
        (place / "jobs").write_text("".join(lines), encoding="utf-8")
        command = [program, "draw.mjs", str(size), style]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            said = re.findall(r"^\w*Error.*", done.stderr, re.MULTILINE) or [f"exit status {done.returncode}"]
            raise BadData(f"node could not draw the pictures ({said[0][:200]}); is it of version 18 or later?")
        pixels = np.fromfile(place / "pixels", np.uint8)
    if pixels.size != len(lines) * size * size * 3:
        raise BadData(f"node drew {pixels.size} bytes, not {len(lines)} pictures of {size}x{size} pixels.")
    return np.ascontiguousarray(pixels.reshape(-1, size, size, 3).transpose(0, 3, 1, 2))


def _unpack(file: Path, package: str, place: Path) -> None:
    """Lays a package where Node.js looks for it; a package's files may not leave their folder."""
    target = place / "node_modules" / package.rpartition("@")[0]
    with npm.sound(file, "npm"), tarfile.open(file, "r:gz") as members:
        members.extractall(target, filter="data")
        for each in (target / "package").iterdir():
            each.rename(target / each.name)
