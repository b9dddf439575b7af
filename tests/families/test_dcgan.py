from __future__ import annotations

import copy
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import digest, fit, tensors, tiny
from torch.nn import Conv2d, ConvTranspose2d
from toys import Watch

from ganzoo.game import registry
from ganzoo.game.game import Game
from ganzoo.training.checkpoints import AtomicIO
from ganzoo.types import Batch


def test_the_prior_is_uniform() -> None:
    game: Any = tiny("dcgan", latent=50)
    for z in (game.draw(range(200))[0], game.noise(Batch(torch.zeros(200, 1, 8, 8)))):
        assert z.abs().max() <= 1 and abs(z.var().item() - 1 / 3) < 0.01 and abs(z.mean().item()) < 0.02


def test_the_normal_prior() -> None:
    game: Any = tiny("dcgan", latent=50, prior="normal")
    for z in (game.draw(range(200))[0], game.noise(Batch(torch.zeros(200, 1, 8, 8)))):
        assert z.abs().max() > 2 and abs(z.var().item() - 1) < 0.05


def test_the_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.rand(5, 6) * 2 - 1
    batch = Batch(torch.rand(5, 1, 8, 8) * 2 - 1)
    game: Any = tiny("dcgan")
    monkeypatch.setattr(game, "noise", lambda batch: z)
    real, fake = game.discriminator(batch.images), game.discriminator(game.generator(z))
    assert torch.allclose(game.discriminator_loss(batch), F.softplus(-real).mean() + F.softplus(fake).mean())
    assert torch.allclose(game.generator_loss(batch), F.softplus(-fake).mean())


def test_the_papers_optimizer() -> None:
    player = tiny("dcgan", size=8).players()["generator"]
    (group,) = player.optimizer([torch.nn.Parameter(torch.zeros(1))]).param_groups
    assert (group["lr"], group["betas"]) == (2e-4, (0.5, 0.999))


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (64, 3), (96, 1), (128, 3)])
def test_one_class_serves_all_sizes(size: int, channels: int) -> None:
    game: Any = tiny("dcgan", size=size, channels=channels, width=2)
    images = game.sample(2)
    assert images.shape == (2, channels, size, size)
    assert game.discriminator(images).shape == (2,)


# -------------------------------------------------------------------------------------------------- fakes used again


def watched(game: Any) -> list[tuple[str, torch.Tensor]]:
    """What the generator makes and what the discriminator is given, in the order of training."""
    seen: list[tuple[str, torch.Tensor]] = []
    game.generator.register_forward_hook(lambda module, inputs, made: seen.append(("made", made.detach().clone())))
    game.discriminator.register_forward_pre_hook(lambda module, x: seen.append(("judged", x[0].detach().clone())))
    return seen


def test_the_generator_moves_against_the_fakes_that_the_discriminator_saw() -> None:
    game: Any = tiny("dcgan", reuse=True)
    seen, watch = watched(game), Watch()
    fit(game, 3, watch)
    assert [what for what, _ in seen] == ["made", "judged", "judged", "judged"] * 3
    for step in range(0, 12, 4):
        made, first, second = (seen[step + i][1] for i in (0, 2, 3))
        assert torch.equal(first, made) and torch.equal(first, second)
    assert not torch.equal(seen[0][1], seen[4][1])
    for player, changed in watch.changed:
        moved = {name.split(".")[0] for name in changed if not name.startswith("optimizer")}
        assert player in moved
        parameters = {name for name, _ in game.generator.named_parameters()}
        others = {name.removeprefix("generator.") for name in changed if player == "discriminator"}
        assert not parameters & others, "the discriminator's move stops at the fakes"
    new: Any = tiny("dcgan")
    seen = watched(new)
    fit(new, 1)
    one, other = (picture for what, picture in seen if what == "made")
    assert not torch.equal(one, other), "without it, the generator has fakes of its own"


def test_the_gradients_through_fakes_used_again() -> None:
    # The same update by hand: one graph for the fakes, stopped for the discriminator's move
    found: Any = tiny("dcgan", reuse=True)
    for module in found.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.0
    expected = copy.deepcopy(found)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    found.generator.register_forward_pre_hook(lambda module, z: seen.append((z[0].detach().clone(), torch.zeros(0))))
    found.discriminator.register_forward_pre_hook(
        lambda module, x: seen.append((torch.zeros(0), x[0].detach().clone()))
    )
    fit(found, 1)
    z, images = seen[0][0], seen[1][1]
    d, g = (expected.players()[name] for name in ("discriminator", "generator"))
    optimizers = [player.optimizer(player.parameters()) for player in (d, g)]
    fake = expected.generator(z)
    (
        F.softplus(-expected.discriminator(images)).mean() + F.softplus(expected.discriminator(fake.detach())).mean()
    ).backward()
    optimizers[0].step()
    F.softplus(-expected.discriminator(fake)).mean().backward()
    optimizers[1].step()
    for (name, one), two in zip(found.named_parameters(), expected.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6), name


@pytest.mark.parametrize("accumulate", [2, 3, 4])
def test_fakes_used_again_are_sliced_with_the_batch(accumulate: int) -> None:
    runs = []
    for slices in (1, accumulate):
        game: Any = tiny("dcgan", reuse=True)
        game.engine.accumulate = slices
        for module in game.discriminator.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()  # its statistics would be those of a slice
                module.train = MethodType(lambda self, mode=True: self, module)  # type: ignore[method-assign]
        fit(game, 1, batch_size=5)
        runs.append({name: parameter.grad for name, parameter in game.generator.named_parameters()})
    for name, gradient in runs[0].items():
        assert gradient.abs().max() > 0 and torch.allclose(gradient, runs[1][name], rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("at_hand", [True, False])  # whether, as on an accelerator, statistics are always put back
def test_fakes_that_are_not_finite_spoil_no_statistics(at_hand: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Game, "_at_hand", at_hand)
    game: Any = tiny("dcgan", reuse=True)
    noise = game.noise
    game.noise = lambda batch: noise(batch) * (float("nan") if game.batches_seen == 2 else 1.0)
    fit(game, 3)
    assert {name: int(mover.skipped) for name, mover in game._states.items()} == {"discriminator": 1, "generator": 1}
    assert all(bool(torch.isfinite(value).all()) for value in tensors(game).values())


def test_a_run_with_fakes_used_again_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole, half, rest = (tiny("dcgan", reuse=True) for _ in range(3))
    fit(whole, 6)
    fit(half, 3, plugins=[AtomicIO()]).save_checkpoint(tmp_path / "a.ckpt")
    torch.manual_seed(99)
    fit(rest, 6, ckpt=tmp_path / "a.ckpt")
    assert digest(tensors(rest)) == digest(tensors(whole)) != digest(tensors(half))


def test_studiogans_networks() -> None:
    """models/deep_conv.py: 512, 256, 128 and 64 maps to the image; 64, 128 and 256 in pairs, and 512."""
    with torch.device("meta"):
        game: Any = registry.family("dcgan").cls(size=32, width=64, variant="studiogan")
    widths = {
        name: [m.out_channels for m in getattr(game, name).modules() if isinstance(m, (Conv2d, ConvTranspose2d))]
        for name in ("generator", "discriminator")
    }
    assert game.generator.project.out_features == 512 * 4 * 4
    assert widths == {"generator": [256, 128, 64, 3], "discriminator": [64, 64, 128, 128, 256, 256, 512]}
    small: Any = tiny("dcgan", variant="studiogan")
    fit(small, 2)
    assert small.sample(2).shape == (2, 1, 8, 8) and small.discriminator(torch.randn(3, 1, 8, 8)).shape == (3,)
