"""The listings of CONTRIBUTING.md run as they stand, imports included; README's snippets run one after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LISTINGS = {
    Path(name).stem: text
    for name, text in re.findall(r"```python\n# (src/\S+\.py)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
}

# What a listing is for, tried in a process that has only the listing's file
USES = {
    "least_squares": """
from helpers import data_for, fit
from least_squares import LeastSquares
model = LeastSquares(size=8, channels=1, latent=4, width=4)
fit(model, 2)
assert model.sample(3).shape == (3, 1, 8, 8) and model.global_step == 2
import ganzoo
assert "least_squares" in ganzoo.list_families() and type(ganzoo.create("Least-Squares")) is LeastSquares
""",
    "interpolates": """
from interpolates import Interpolates
from helpers import tiny
from ganzoo.families.lsgan import LSGAN
class Both(LSGAN, Interpolates): pass
model = Both(size=8, channels=1, latent=6, width=4).eval()
assert model.abilities == {"samples", "adversarial", "interpolates"}
line = model.between(3, 9, steps=5)
assert line.shape == (5, 1, 8, 8) and (line[0] - model.sample(1, seed=3)[0]).abs().max() < 1e-5
""",
    "checkerboards": """
from checkerboards import Checkerboards
from helpers import tiny, trainer
data = Checkerboards(size=8, n=50, batch_size=4, flip=True, validation=True)
parts = {split: data.open(split) for split in data.splits}
assert {split: len(part) for split, part in parts.items()} == {"train": 45, "test": 10, "all": 60, "validation": 5}
assert Checkerboards(size=8, n=50, validation=True).open("train").digest == parts["train"].digest
game = tiny("cgan", size=8, channels=1, classes=2)
trainer(2).fit(game, data)
assert game.global_step == 2 and game.class_names == ("black", "white")
""",
    "sounds": """
import wave
import numpy as np, torch
from PIL import Image
import sounds
from ganzoo.data.batch import Images
from ganzoo.media.medium import medium_of, save_grid
from ganzoo.types import BadArgument
medium = medium_of((1, 16_000))
assert medium.name == "sound" and medium.limit(torch.tensor([-3.0])).item() == -1
made = torch.sin(torch.linspace(0, 900, 16_000)).expand(3, 1, -1)
save_grid(made, "sounds.png")
with Image.open("sounds.png") as picture:
    assert picture.size == (640, 220) and np.asarray(picture).std() > 10
medium.write(made[0], "sound.wav")
with wave.open("sound.wav") as file:
    read = np.frombuffer(file.readframes(16_000), "<i2") / 32767
assert np.abs(read - made[0, 0].numpy()).max() < 1e-4
assert Images("sounds", made.numpy().copy()).shape == (1, 16_000)
for wrong in (made * 2, made[0], made * float("nan")):
    try:
        medium.check(wrong)
    except BadArgument:
        continue
    raise AssertionError(wrong)
""",
    "ada": """
import pathlib, runpy
runpy.run_path("ada.py", run_name="__main__")
assert pathlib.Path("netG.pth").is_file()
""",
    "energy": """
import torch
from energy import energy_distance
from ganzoo.metrics.protocol import protocol
x, y = torch.randn(40, 3), torch.randn(50, 3) + 2
assert energy_distance(x, y) > energy_distance(x, x[:20]) > -0.5 and abs(energy_distance(x, x)) < 1e-9
assert protocol("energy1k_digits_cnn_test_most500").key == "energy1k_digits_cnn_test_most500"
""",
}


def test_every_listing_has_a_use() -> None:
    assert LISTINGS.keys() == USES.keys()


@pytest.mark.parametrize("name", sorted(LISTINGS))
def test_a_listing_runs_as_it_stands(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text(LISTINGS[name])
    run(USES[name], tmp_path, GANZOO_CACHE=str(tmp_path / "cache"))


def test_readmes_snippets_run_one_after_the_other(tmp_path: Path) -> None:
    """A shipped model stands in for published weights, which are fetched."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S))
    lesson = code.index("class WGANGP")
    assert "ganzoo." not in code[lesson:]
    code = code[:lesson].replace('"stylegan2-ffhq"', '"stylegan2-fashion-mnist"')
    done = run(code, tmp_path, GANZOO_CACHE=str(tmp_path / "cache"))
    assert (tmp_path / "grid.png").is_file() and (tmp_path / "models" / "mine").is_dir()
    assert "Warning" not in done.stderr


def run(code: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests", folder)))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **more}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_every_promise_has_its_test() -> None:
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", (ROOT / "docs" / "promises.md").read_text())
    assert len(named) > 30
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"
