"""Recipes of the authors' own sizes, on small made files: resolved, as many parameters as theirs, and one update."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import trainer
from picture_files import cifar, class_folders

from ganzoo.zoo.runs import plan_of

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


def sizes(game: Any) -> dict[str, int]:
    return {name: sum(p.numel() for p in getattr(game, name).parameters()) for name in ("generator", "discriminator")}


def resolved(recipe: str, root: Path) -> Any:
    given = ["--data.init_args.root", str(root), "--data.init_args.batch_size", "2", "--data.init_args.workers", "0"]
    return plan_of(RECIPES / f"{recipe}.yaml", [*given, "--trainer.accelerator", "cpu"])


def test_sngan_on_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    cifar(tmp_path / "data", monkeypatch)
    plan = resolved("sngan/cifar10", tmp_path / "data")
    # counted by hand from the authors' layers (gen_models/resnet_32.py, dis_models/snresnet_32.py of their code), whose
    # last layer of D has no bias; the paper's table does not say, and mimicry's networks have one
    assert sizes(plan.game) == {"generator": 4_276_739, "discriminator": 1_053_824 + 1}
    assert plan.game.n_critic == 5 and plan.table["trainer"]["max_steps"] == 50_000
    assert plan.game.engine.rate(0) == 1 and plan.game.engine.rate(8_000_000) == 0.5
    assert plan.data.open("train").classes is not None and plan.data.open("train").shape == (3, 32, 32)
    trainer(1).fit(plan.game, plan.data)
    assert plan.game.batches_seen == 5 and plan.game.images_seen == 10


@pytest.mark.nightly  # networks of 158 million parameters: half a minute and 4 GB
def test_biggan_on_the_folders_of_imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    plan = resolved("biggan/imagenet-128", class_folders(tmp_path / "data", 1000))
    # what google/compare_gan's test holds its BigGAN against
    assert sizes(plan.game) == {"generator": 70_433_988, "discriminator": 87_982_370}
    assert plan.game.shape == (3, 128, 128) and plan.game.classes == 1000
    assert plan.data.open("train").classes[-1] == "n00000999" and len(plan.data.open("train")) == 1000
    trainer(1).fit(plan.game, plan.data)
    assert plan.game.batches_seen == 2 and plan.game.images_seen == 4
