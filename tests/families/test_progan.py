from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import Noise, data_for, fit, same, tensors, tiny, trainer
from lightning.pytorch.callbacks import Callback

import ganzoo
from ganzoo.folder import write_model
from ganzoo.nn.growing import enlarge
from ganzoo.training.checkpoints import AtomicIO
from ganzoo.types import BadArgument, Batch

GROWING = {"size": 16, "widths": [6, 5, 4], "stabilise": 8, "transition": 16}  # 4 px, a fade, 8 px, a fade, 16 px


def made(**arguments: Any) -> Any:
    game: Any = tiny("progan", **(GROWING | arguments))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in game.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.3)
    return game


@torch.no_grad()
def drawn(game: Any, z: torch.Tensor, lod: float) -> torch.Tensor:
    game.generator.grow(lod)
    images: torch.Tensor = game.generator(z)
    return images


def test_features_and_latents_are_normalised() -> None:
    game = made(latent=7)
    seen: list[torch.Tensor] = []
    for layer in (game.generator.dense, game.generator.to_rgb[2]):
        layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    game.generator(3 * torch.randn(2, 7))
    for features in seen:
        assert torch.allclose(features.square().mean(1), torch.ones(()), atol=1e-4)
    assert len(seen) == 2
    z = torch.randn(3, 7)
    assert torch.allclose(game.generator(5 * z), game.generator(z), atol=1e-5), "only the direction of z counts"


def test_a_level_of_detail_is_the_smaller_generator_in_larger_pixels() -> None:
    whole, small = made(), made(size=8)
    state = whole.generator.state_dict()
    small.generator.load_state_dict({name: state[name] for name in small.generator.state_dict()})
    z = torch.randn(2, 6)
    lower = drawn(small, z, 0.0)
    assert drawn(whole, z, 1.0).shape == (2, 1, 16, 16)
    assert torch.equal(drawn(whole, z, 1.0), enlarge(lower))
    assert torch.allclose(drawn(whole, z, 1 - 1e-6), enlarge(lower), atol=1e-5), "no jump where a fade begins"
    expected = 0.7 * drawn(whole, z, 0.0) + 0.3 * enlarge(lower)
    assert torch.allclose(drawn(whole, z, 0.3), expected, atol=1e-5)
    assert torch.allclose(drawn(whole, z, 1.5), enlarge(drawn(small, z, 0.5)), atol=1e-6)
    assert len(drawn(whole, z, 2.0)[0].unique()) == 16


def test_the_equalised_learning_rate() -> None:
    """Weights are N(0, 1), and a layer's output has the variance that He's gain gives it (section 4.1)."""
    game: Any = tiny("progan", size=8, widths=[64, 64], latent=64)
    for name, value in game.generator.named_parameters():
        if name.endswith("weight"):
            assert abs(float(value.detach().std()) - 1) < 0.3, name
    x = torch.randn(64, 64, 8, 8)
    with torch.no_grad():
        assert abs(float(game.generator.blocks[0].conv(x)[..., 2:-2, 2:-2].std()) - 2**0.5) < 0.1
        assert abs(float(game.generator.to_rgb[0](x).std()) - 1) < 0.2


def test_the_loss_on_a_linear_critic(monkeypatch: pytest.MonkeyPatch) -> None:
    """D(x) = w x + b has the gradient w everywhere: every term of the loss is known."""
    game = made(size=8, widths=[4, 4], penalty=7.0, drift=0.1).double()
    w, b = torch.randn(64, dtype=torch.float64), 0.7
    monkeypatch.setattr(game, "record", lambda **values: None)
    monkeypatch.setattr(game.discriminator, "forward", lambda x: x.flatten(1) @ w[:, None] + b)
    z = torch.randn(5, 6, dtype=torch.float64)
    monkeypatch.setattr(game, "latents_and_labels", lambda batch: (z,))
    monkeypatch.setattr(game, "images_seen", 10**6)  # grown whole
    batch = Batch(torch.rand(5, 1, 8, 8, dtype=torch.float64))
    real, fake = batch.images.flatten(1) @ w + b, game.generator(z).flatten(1) @ w + b
    expected = fake.mean() - real.mean() + 7.0 * (w.norm() - 1) ** 2 + 0.1 * real.square().mean()
    assert torch.allclose(game.discriminator_loss(batch), expected)
    assert torch.allclose(game.generator_loss(batch), -fake.mean())


class Levels(Callback):
    """Notes the level of detail, and whether the optimizer remembers, after each batch."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.steps: list[int] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.seen.append(float(pl_module.discriminator.lod))
        bias = pl_module.generator.conv.bias
        self.steps.append(int(pl_module.optimizer("generator").state[bias]["step"]))


def test_it_grows_while_it_learns() -> None:
    game, levels = made(), Levels()
    fit(game, 14, levels)
    assert levels.seen == pytest.approx([2, 2, 1.75, 1.5, 1.25, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0])
    # A turn at batches 3 (the fade begins), 6 (8 pixels alone), 9 and 12
    assert levels.steps == [1, 2, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]
    assert float(game.generator.lod) == 0 and float(game.averaged.lod) == 0


def test_layers_that_have_not_grown_do_not_learn() -> None:
    game = made()
    before = tensors(game)
    fit(game, 2)
    differ = same(before, {name: value for name, value in tensors(game).items() if name in before})
    moved = {name.removesuffix(".weight") for name in differ if name.endswith("weight")}
    assert {"generator.to_rgb.0", "generator.conv", "discriminator.from_rgb.0"} <= moved
    assert not {name for name in moved if ".blocks." in name or "rgb.1" in name or "rgb.2" in name}


@pytest.mark.parametrize("stop", [3, 6])
def test_a_run_resumed_across_a_boundary_is_the_run(stop: int, tmp_path: Path) -> None:
    """3 batches end in the first fade; 6 end where 8 pixels begin alone."""
    whole = made()
    fit(whole, stop + 4)
    first = made()
    trained = fit(first, stop, plugins=[AtomicIO()])
    trained.save_checkpoint(tmp_path / "half.ckpt")
    second = made()
    fit(second, stop + 4, ckpt=tmp_path / "half.ckpt")
    assert same(tensors(whole), tensors(second)) == []


def test_an_unfinished_model_is_loaded_as_it_was(tmp_path: Path) -> None:
    game = made()
    fit(game, 4)
    assert float(game.averaged.lod) == 1.5
    write_model(game, tmp_path / "model", {})
    images = ganzoo.load(tmp_path / "model").sample(2, seed=3)
    assert images.shape == (2, 1, 16, 16) and torch.allclose(images, game.sample(2, seed=3), atol=1e-5)
    assert torch.equal(images, enlarge(images[..., ::2, ::2])), "its pixels are those of 8 x 8"


def test_with_labels_the_discriminator_classifies() -> None:
    game = made(classes=3)
    fit(game, 2)
    assert game.discriminator(torch.randn(4, 1, 16, 16)).shape == (4, 4)
    images = game.sample(2, seed=0, labels=[0, 2])
    vectors = game.sample(2, seed=0, labels=torch.eye(3)[[0, 2]])
    assert torch.equal(images, vectors) and not torch.equal(images[:1], game.sample(1, seed=0, labels=1))
    with pytest.raises(BadArgument, match="labels are needed"):
        game.generator(torch.randn(1, 6))
    batch = Batch(torch.randn(4, 1, 16, 16), torch.tensor([0, 1, 2, 0]))
    logits = torch.tensor([[9.0, 20, 0, 0], [9, 0, 20, 0], [9, 0, 0, 20], [9, 20, 0, 0]])
    assert float(game.classification(logits, batch)) < 1e-6
    assert float(game.classification(-logits, batch)) > 10


def test_labels_are_learned_from() -> None:
    game = made(classes=3, condition=1.0)
    run = trainer(2)
    run.fit(game, Noise((1, 16, 16), classes=3))
    assert data_for(game).classes == 3


@pytest.mark.parametrize("variant", ["paper", "genforce", "gan_zoo"])
def test_variants_differ_where_they_say(variant: str) -> None:
    game = made(variant=variant, classes=2)
    z, y = 3 * torch.randn(2, 6), torch.tensor([0, 1])
    scaled = torch.allclose(game.generator(2 * z, y), game.generator(z, y), atol=1e-4)
    assert scaled == (variant == "genforce"), "z is normalised by itself only there"
    assert game.generator.bias.shape == ((6, 4, 4) if variant == "gan_zoo" else (6, 1, 1))
    assert game.discriminator.sample == (variant == "gan_zoo")
