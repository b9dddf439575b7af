from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import fit, tiny

import ganzoo
from ganzoo.families.biggan import BigGAN
from ganzoo.families.biggan.networks import CriticBlock, GeneratorBlock, Norm
from ganzoo.folder import write_model
from ganzoo.types import BadArgument

DEEP = {"depth": 2, "widths": [16, 8], "discriminator_widths": [8, 16], "embedding": 3, "latent": 5}


def streams(n: int) -> list[np.random.RandomState]:
    return [np.random.RandomState(seed) for seed in range(n)]


def test_truncation_draws_again_what_is_too_large_and_nothing_else() -> None:
    game: Any = tiny("biggan", latent=2000)
    z = game.draw(range(20))[0]
    cut = game.truncate(z, streams(20), 1.0)
    inside = z.abs() <= 1
    assert torch.equal(cut[inside], z[inside]) and cut.abs().max() <= 1 and not torch.equal(cut, z)
    variance = 1 - 2 * math.exp(-0.5) / math.sqrt(2 * math.pi) / math.erf(1 / math.sqrt(2))  # of a normal cut at 1
    assert cut.var().item() == pytest.approx(variance, abs=0.005)
    assert cut[~inside].var().item() == pytest.approx(variance, abs=0.01), "what is drawn again is so distributed too"
    assert torch.equal(game.truncate(z, streams(20), 100.0), z)
    assert torch.equal(game.truncate(z[3:4], streams(4)[3:], 1.0)[0], cut[3]), "an image's z is of its own stream"
    assert game.truncate(z, streams(20), 1e-3).abs().max() <= 1e-3, "a small threshold is no long search"


def test_published_models_scale_what_they_have_truncated() -> None:
    game: Any = tiny("biggan", latent=2000, statistics=3)
    z = game.draw(range(5))[0]
    half = game.truncate(z, streams(5), 0.5)
    assert torch.allclose(half[z.abs() <= 2], z[z.abs() <= 2] / 2) and half.abs().max() <= 1


def test_samples_with_truncation_are_their_seeds_at_any_batch_size() -> None:
    game: Any = tiny("biggan")
    whole = game.sample(5, seed=3, truncation=0.5)
    assert torch.allclose(whole, game.sample(5, seed=3, truncation=0.5, batch_size=2), atol=1e-5)
    assert torch.allclose(whole[4:], game.sample(1, seed=7, truncation=0.5), atol=1e-5)
    assert not torch.allclose(whole, game.sample(5, seed=3), atol=1e-4)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(BadArgument, match=r"truncation is .*; a number above 0 is expected"):
            game.sample(1, truncation=wrong)
    with pytest.raises(BadArgument, match="above 0, and at most 1, is expected"):
        tiny("biggan", statistics=3).sample(1, truncation=1.5)


def test_statistics_are_interpolated_as_the_published_models_do() -> None:
    norm = Norm(2, 1e-5, 5, affine=False).eval()
    norm.means.copy_(torch.arange(10.0).view(5, 2))
    norm.variances.copy_(torch.arange(1.0, 11.0).view(5, 2))
    x = torch.randn(3, 2, 4, 4)
    for truncation, mean, variance in (
        (0.5, [4.0, 5.0], [5.0, 6.0]),
        (0.4375, [2.5, 3.5], [3.5, 4.5]),  # 0.75 of row 1, and not of row 2, which is nearer
        (math.nextafter(1, 2), [8.0, 9.0], [9.0, 10.0]),  # beyond the last row there is none
    ):
        wanted = (x - torch.tensor(mean)[:, None, None]) / (torch.tensor(variance)[:, None, None] + 1e-5).sqrt()
        assert torch.allclose(norm(x, truncation), wanted, atol=1e-6)
    fine, rows = Norm(1, 1e-5, 51), torch.arange(51.0)[:, None]
    one, some, little = (torch.tensor(t, dtype=torch.float64) for t in (1.0, 0.43, 0.14))
    assert fine.between(rows, one) == 50
    assert float(fine.between(rows, some)) == pytest.approx(21.5), "21.5 steps of 0.02"
    assert float(fine.between(rows, little)) == pytest.approx(8), "0.14 / 0.02 is a little more than 7: row 8, nearly"
    game: Any = tiny("biggan", statistics=51)
    seen: list[Any] = []
    for module in game.generator.modules():
        if isinstance(module, Norm):
            module.register_forward_pre_hook(lambda module, given: seen.append(given[1]))
    game.generator(*game.draw([0]), 0.43)
    assert len(seen) > 2 and set(seen) == {0.43}, "it reaches every layer"


def test_orthogonality_is_eq_3() -> None:
    game: Any = tiny("biggan")
    wanted, layers = torch.zeros(()), []
    for module in game.generator.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            w = module.weight.detach().flatten(1)
            gram = w @ w.T
            off = gram * (1 - torch.eye(len(w)))
            wanted += off.square().sum()
            layers.append((module, 4 * off @ w))  # the gradient of ||W W' o (1 - I)||^2
    value = game.orthogonality()
    assert {len(m.weight) > m.weight[0].numel() for m, _ in layers} == {True, False}, "wide and tall ones"
    assert value.item() == pytest.approx(wanted.item(), rel=1e-4)
    value.backward()
    for module, gradient in layers:
        assert module.weight.grad is not None
        assert torch.allclose(module.weight.grad.flatten(1), gradient, atol=1e-4)
    assert game.generator.shared.weight.grad is None, "tables of classes are left alone"


def test_each_stage_has_its_part_of_z() -> None:
    game: Any = tiny("biggan", widths=[4, 4, 4], discriminator_widths=[4, 4, 4], latent=9).eval()
    seen: list[torch.Tensor] = []
    for stage in game.generator.stages:
        stage.register_forward_hook(lambda module, given, made: seen.append(made.detach()))
    z, labels = game.draw([0])
    game.generator(z, labels)
    for part, changed in enumerate([(True, True), (True, True), (False, True)]):
        other = z.clone()
        other[:, 3 * part : 3 * part + 3] += 1
        start = len(seen)
        game.generator(other, labels)
        assert tuple(not torch.equal(a, b) for a, b in zip(seen[:2], seen[start:], strict=True)) == changed


def test_classes_can_be_mixed() -> None:
    game: Any = tiny("biggan")
    with torch.no_grad():
        game.generator.shared.weight.mul_(10)
    index, vector = game.sample(2, labels=1), game.sample(2, labels=torch.tensor([0.0, 1.0, 0.0]))
    between = game.sample(2, labels=torch.tensor([0.5, 0.5, 0.0]))
    assert torch.allclose(index, vector, atol=1e-6) and not torch.allclose(index, between, atol=1e-4)


@pytest.mark.parametrize("arguments", [{"embedding": 0, "hierarchical": False}, {"hierarchical": False}, DEEP])
def test_the_papers_variants_learn_and_sample(arguments: dict[str, Any]) -> None:
    game: Any = tiny("biggan", **arguments)
    learning = {name: p for name, p in game.named_parameters() if "attention" not in name}
    before = {name: p.detach().clone() for name, p in learning.items()}
    fit(game, 2)
    assert all(p.isfinite().all() for p in game.parameters())
    still = [name for name, p in learning.items() if torch.equal(p, before[name])]
    assert len(still) < len(before) / 20, "all learn, but for units that are dead at this size"
    assert game.sample(2).shape == (2, *game.shape)


def test_bottlenecks_drop_and_append_feature_maps() -> None:
    """With the last convolution at 0, a block is its shortcut."""
    norm: Any = lambda width: torch.nn.Identity()  # noqa: E731
    up: Any
    down: Any
    up, down = GeneratorBlock(4, 2, norm, True), CriticBlock(2, 5, True, False, True, False, True)
    x = torch.randn(2, 4, 6, 6)
    for block in (up, down):
        block.convs[3] = torch.nn.Conv2d(1, block.convs[3].out_channels, 1)
        torch.nn.init.zeros_(block.convs[3].weight)
        torch.nn.init.zeros_(block.convs[3].bias)
    up.norms = torch.nn.ModuleList(_Plain() for _ in range(4))
    assert torch.equal(up(x, None, None), x[:, :2].repeat_interleave(2, 2).repeat_interleave(2, 3))
    y = down(x[:, :2])
    assert y.shape == (2, 5, 3, 3) and torch.allclose(y[:, :2], torch.nn.functional.avg_pool2d(x[:, :2], 2))
    with pytest.raises(BadArgument, match="widths fall"):
        GeneratorBlock(2, 4, norm, True)
    with pytest.raises(BadArgument, match="rise"):
        CriticBlock(4, 2, True, False, True, False, True)


class _Plain(torch.nn.Module):
    def forward(self, x: torch.Tensor, condition: Any, truncation: Any) -> torch.Tensor:
        return x.clone()


@pytest.mark.parametrize(
    ("levels", "millions"),
    [([16, 16, 8, 4, 2, 1], 50.4), ([16, 16, 8, 8, 4, 2, 1], 55.9), ([16, 16, 8, 8, 4, 2, 1, 1], 56.2)],
)
def test_the_published_models_have_as_many_parameters(levels: list[int], millions: float) -> None:
    """The numbers of pytorch-pretrained-BigGAN's README."""
    widths = tuple(128 * level for level in levels)
    with torch.device("meta"):
        game = BigGAN(widths, widths[::-1], latent=128, depth=2, outputs=128, statistics=51)
    assert round(sum(p.numel() for p in game.generator.parameters()) / 1e6, 1) == millions
    assert game.shape == (3, 4 << (len(levels) - 1), 4 << (len(levels) - 1))


# -------------------------------------------------------------------------------------------------- standing statistics


def test_standing_statistics_are_the_means_over_batches() -> None:
    game: Any = tiny("biggan", statistics=2)
    for layer in game.generator.modules():
        if isinstance(layer, Norm):
            assert layer.running_mean is not None
            layer.running_mean.fill_(7.0)  # what was there before counts for nothing
    seen: list[torch.Tensor] = []
    norm = game.generator.stages[0].blocks[0].norms[0].norm  # the first, whose input no other statistics change
    handle = norm.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    rng = torch.get_rng_state()
    game.standing_statistics(batches=3, batch_size=6)
    handle.remove()
    assert torch.equal(torch.get_rng_state(), rng)
    assert len(seen) == 9 and all(len(x) == 6 for x in seen), "three batches each for truncations 0, 1 and none"
    for found, batches in (
        ((norm.means[0], norm.variances[0]), seen[:3]),
        ((norm.means[1], norm.variances[1]), seen[3:6]),
        ((norm.running_mean, norm.running_var), seen[6:]),
    ):
        averages: tuple[Any, Any] = (torch.mean, torch.var)
        for value, of in zip(found, averages, strict=True):
            assert torch.allclose(value, torch.stack([of(x, (0, 2, 3)) for x in batches]).mean(0), atol=1e-5)
    assert norm.momentum == 0.1 and norm.training


def test_a_model_is_settled_when_it_is_saved_and_not_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(BigGAN, "standing_statistics", lambda game, batches, size=64: calls.append(batches))
    game: Any = tiny("biggan")
    write_model(game, tmp_path / "fresh", {})
    assert calls == [], "it has learned nothing yet"
    fit(game, 1)
    game.sample(2)
    assert calls == [], "pictures do not wait for them"
    game.finalize()
    game.finalize()
    assert calls == [2], "once, as long as nothing moves"
    fit(game, 1)
    write_model(game, tmp_path / "model", {})
    assert calls == [2, 2]
    ganzoo.load(tmp_path / "model").finalize()
    assert calls == [2, 2], "what is loaded stays what it is"


def test_saved_statistics_stand() -> None:
    game: Any = tiny("biggan")
    fit(game, 2)
    running = game.averaged.norm.running_mean.clone()
    game.finalize()
    standing = game.averaged.norm.running_mean.clone()
    game.standing_statistics(2)
    assert torch.equal(standing, game.averaged.norm.running_mean), "the same samples each time"
    assert not torch.allclose(running, standing)


# ------------------------------------------------------------------------------------------------------------ arguments


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"widths": [4]}, r"widths are \[4\]; one for 4 pixels and one each doubling are expected"),
        ({"bottom": 3}, r"bottom is 3; one of \[8, 4, 2\], which D's stages can reach, is expected"),
        ({"attention_after": [2]}, r"attention_after is \[2\]; stages from 1 to 1 are expected"),
        ({"discriminator_attention_after": [3]}, r"discriminator_attention_after is \[3\]; stages from 1 to 2"),
        ({"embedding": 0}, "embedding is 0; a table in every normalization leaves no place for parts of z"),
        ({"latent": 7}, "latent is 7; a multiple of 2, the number of widths, is expected"),
        ({"channels": 3, "outputs": 2}, "outputs is 2; at least 3 are expected, or 0"),
        ({"statistics": 1}, "statistics is 1; rows for truncations from 0 to 1 are expected, or 0"),
    ],
)
def test_arguments_that_do_not_fit(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        tiny("biggan", **wrong)
