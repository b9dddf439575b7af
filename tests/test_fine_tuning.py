"""Fine-tuning a converted model on fifty pictures: what ADA does to the critic's overfitting, and on two ranks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import trainer
from parity_files import fixture
from PIL import Image

import ganzoo
from ganzoo.data.folder import Folder
from ganzoo.folder import PLAYERS, ModelFolder
from ganzoo.objectives import losses
from ganzoo.objectives.augment import overfitting
from ganzoo.zoo.converting import convert
from ganzoo.zoo.transfer import start_from

FILE = "stylegan2_tf_pickle.config_f.pkl"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(fixture(FILE), to=tmp_path_factory.mktemp("converted") / "model")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty discs of all colours and sizes."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.RandomState(0)
    y, x = np.mgrid[:40, :40]
    for i in range(50):
        (row, column), radius = rng.uniform(10, 30, 2), rng.uniform(5, 15)
        disc = (np.hypot(y - row, x - column) < radius)[..., None] * rng.uniform(50, 255, 3) + rng.uniform(0, 60, 3)
        Image.fromarray(disc.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("seed", [0, 1])
def test_ada_lowers_the_critics_overfitting(
    seed: int, model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """r_t, the mean sign of what the critic says of the real pictures it is shown, over the last 8 of 20 steps."""
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path))
    source = ganzoo.load(model)

    def tuned(**options: object) -> float:
        seen: list[float] = []

        def watch(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
            seen.append(float(overfitting(real)))
            return original(real, fake)

        game = ganzoo.create("stylegan2", **{**source.arguments, "gamma": 1.0, "path": 0.0, **options})
        game.engine.seed = seed
        start_from(game, model)
        original = losses.minimax_discriminator
        with monkeypatch.context() as patch:
            patch.setattr(losses, "minimax_discriminator", watch)
            size = game.shape[1]
            trainer(20).fit(game, Folder(str(photos), size=size, batch_size=10))
        return float(np.mean(seen[-8:]))

    without = tuned()
    assert without > 0.5, "the critic learns fifty pictures by heart"
    assert tuned(augment="ada", augment_start=0.8) < without - 0.1


def test_on_two_ranks(model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, size = tmp_path / "recipe.yaml", ganzoo.load(model).shape[1]
    recipe.write_text(
        f"init_from: {model}\n"
        "model: {class_path: StyleGAN2, init_args: {augment: ada, augment_images: 200, lr: 0.0005, path: 0}}\n"
        f"data: {{class_path: Folder, init_args: {{root: {photos}, size: {size}, batch_size: 4}}}}\n"
        "trainer: {max_steps: 6, accelerator: cpu, devices: 2}\n"
    )
    command = [sys.executable, "-m", "ganzoo", "train", str(recipe), "--run.folder", str(tmp_path / "run")]
    environment = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "GANZOO_CACHE": str(tmp_path / "cache")}
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    folder = ModelFolder(tmp_path / "run" / "last")
    assert folder.config["steps"] == 6 and folder.config["images_seen"] == 6 * 2 * 4
    before = ModelFolder(model).tensors(PLAYERS)
    assert any(not torch.equal(value, before[name]) for name, value in folder.tensors(PLAYERS).items())
