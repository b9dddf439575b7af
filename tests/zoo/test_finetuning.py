"""The recipes for few pictures, on fifty of noise: they begin with what ships, train, and are loaded again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.cli import main
from ganzoo.zoo.runs import plan_of


def folder(root: Path, n: int, seed: int = 0) -> Path:
    root.mkdir(parents=True)
    draw = np.random.RandomState(seed)
    for i in range(n):
        Image.fromarray(draw.randint(0, 256, (64, 64, 3)).astype(np.uint8)).save(root / f"{i}.png")
    return root


@pytest.mark.parametrize("name", ["dcgan/few", "stylegan2/few", "stylegan2/finetune-folder", "r3gan/finetune-folder"])
def test_few_pictures_of_one_folder(tmp_path: Path, name: str) -> None:
    photos = folder(tmp_path / "photos", 50)
    words = ["--data.init_args.root", str(photos), "--run.folder", str(tmp_path / "run"), "--trainer.max_steps", "1"]
    assert main(["train", name, *words, "--trainer.accelerator", "cpu"]) == 0
    model: Any = ganzoo.load(tmp_path / "run")
    assert model.sample(2, labels=0 if model.classes else None).isfinite().all()
    assert model.provenance is not None


def test_two_folders_without_pairs(tmp_path: Path) -> None:
    x, y = folder(tmp_path / "x", 12), folder(tmp_path / "y", 9, seed=1)
    words = ["--data.init_args.root", str(x), "--data.init_args.targets", str(y), "--trainer.max_steps", "1"]
    words += ["--run.folder", str(tmp_path / "run"), "--trainer.accelerator", "cpu"]
    assert main(["train", "cyclegan/finetune-folders", *words]) == 0
    model: Any = ganzoo.load(tmp_path / "run")
    shipped: Any = ganzoo.load("cyclegan-emoji")
    near = [
        float((value - shipped.state_dict()[key]).norm() / value.norm())
        for key, value in model.state_dict().items()
        if key in shipped.state_dict() and value.dim() > 1
    ]
    assert near and max(near) < 0.2, "it begins where the shipped one ended"
    assert model.translate(torch.zeros(1, 3, 64, 64)).isfinite().all()


def test_no_pictures_and_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data.init_args.root", str(folder(tmp_path / "none", 0)), "--run.folder", str(tmp_path / "run")]
    assert main(["train", "stylegan2/few", *words]) != 0
    said = capsys.readouterr().err
    assert "holds no picture" in said and said.strip().count("\n") == 0 and not (tmp_path / "run").exists()
    plan = plan_of("stylegan2/few", {"data.init_args.root": str(folder(tmp_path / "three", 3))})
    (note,) = [note for note in plan.notes if "by heart" in note]
    assert "has 3 samples" in note and "\n" not in note
