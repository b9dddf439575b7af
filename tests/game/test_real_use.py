"""A loaded model in real use: sampled from threads, trained on, kept by Lightning's own means."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import fit, tiny
from torch import nn

import ganzoo
from ganzoo.game import registry
from ganzoo.game.engine import Engine


def test_sampling_from_threads_after_training_is_sampling_alone() -> None:
    game: Any = tiny("dcgan")
    fit(game, 3)
    game.train()
    before = {key: value.clone() for key, value in game.state_dict().items()}
    alone = [game.sample(3, seed=seed) for seed in range(20)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: game.sample(3, seed=seed), list(range(20)) * 2))
    assert all(torch.equal(made, alone[i % 20]) for i, made in enumerate(together))
    assert all(torch.equal(value, before[key]) for key, value in game.state_dict().items()), "no buffer has moved"
    assert game.generator.training and game.discriminator.training, "nor a mode"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model whose average has a half-life that its paper does not speak of."""
    game: Any = tiny("dcgan")
    game.engine = Engine(average=40.0, log_every=1)
    fit(game, 4)
    ganzoo.save(game, tmp_path / "model")
    return tmp_path / "model"


def test_a_loaded_model_trains_in_training_mode_and_goes_on_averaging(folder: Path) -> None:
    model: Any = ganzoo.load(folder, players=True)
    assert not model.training and model.engine.average == "paper" and type(model).average_half_life is None
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    live = [m for name in model.networks() for m in getattr(model, name).modules() if m in norms]
    before = [norm.running_mean.clone() for norm in live]
    average = {key: value.clone() for key, value in model.averaged.state_dict().items()}
    drawn = model.sample(2, seed=1)
    fit(model, 5)
    assert live and all(not torch.equal(m.running_mean, old) for m, old in zip(live, before, strict=True))
    assert any(not torch.equal(value, average[key]) for key, value in model.averaged.state_dict().items())
    assert not torch.equal(model.sample(2, seed=1), drawn), "what is drawn has learned"
    assert model.half_life == 40.0, "with the half-life that it came with"
    # One half-life goes by in 40 images; from the beginning's ramp-up nothing of the old average would be left
    whole = torch.cat([v.flatten() for k, v in average.items() if v.is_floating_point()])
    now = torch.cat([v.flatten() for v in model.averaged.state_dict().values() if v.is_floating_point()])
    here = torch.cat([v.flatten() for v in model.generator.state_dict().values() if v.is_floating_point()])
    assert 0 < float((now - whole).norm()) < float((here - whole).norm())


@pytest.mark.parametrize("name", ["dcgan", "cyclegan", "improved_gan"])
def test_lightning_loads_its_checkpoint_without_being_told_the_arguments(name: str, tmp_path: Path) -> None:
    game: Any = tiny(name)
    trainer = fit(game, 2)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = registry.family(name).cls.load_from_checkpoint(tmp_path / "last.ckpt")  # type: ignore[attr-defined]
    assert again.arguments == game.arguments and again.images_seen == game.images_seen
    assert all(torch.equal(value, game.state_dict()[key]) for key, value in again.state_dict().items())


def test_what_a_model_cannot_do_is_one_line_and_no_attribute() -> None:
    game: Any = tiny("pix2pix")
    assert not hasattr(game, "sample") and not hasattr(game, "encode") and hasattr(game, "translate")
    with pytest.raises(ganzoo.GanzooError, match="Pix2Pix draws no images of its own; give it some with translate"):
        game.sample(1)
    with pytest.raises(AttributeError, match="no attribute 'sampel'"):
        game.sampel  # noqa: B018


def test_samples_of_seeds_and_of_latents() -> None:
    game: Any = tiny("stylegan2")
    three = game.sample(seeds=[7, 3, 9])
    assert torch.allclose(three[1], game.sample(1, seed=3)[0], atol=1e-6)
    z, _ = game.draw([7, 3, 9])
    assert torch.allclose(game.sample(z=z, seeds=[7, 3, 9]), three, atol=1e-6), "noise follows the seeds"
    plain: Any = tiny("dcgan")
    z, _ = plain.draw([5, 6])
    assert torch.allclose(plain.eval()(z).clamp(-1, 1), plain.sample(seeds=[5, 6]), atol=1e-6)
