from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import close, fit, tiny

import ganzoo
from ganzoo.families.ddgan import Diffusion, sinusoids
from ganzoo.types import BadArgument, Batch


def test_the_diffusion_ends_in_noise_and_each_pair_is_one_step() -> None:
    """Both members of a pair have the moments of the closed form: means and variances by products of the betas."""
    diffusion = Diffusion(4, 0.1, 20.0)
    images, count = torch.full((40_000, 1, 1, 1), 0.8), 40_000
    alphas = [1 - b**2 for b in diffusion.add]
    assert math.prod(alphas) < 1e-4
    torch.manual_seed(0)
    for t in range(4):
        x, x_t = diffusion.pair(images, torch.full((count,), t))
        for found, kept in ((x, math.prod(alphas[: t + 1])), (x_t, math.prod(alphas[: t + 2]))):
            sigma = math.sqrt(1 - kept)
            assert abs(found.mean().item() - 0.8 * math.sqrt(kept)) < 5 * sigma / math.sqrt(count) + 1e-6
            assert abs(found.std().item() - sigma) < 5 * sigma / math.sqrt(2 * count) + 1e-6
        residue = x_t - math.sqrt(alphas[t + 1]) * x
        assert abs(residue.std().item() - diffusion.add[t + 1]) < 5 * diffusion.add[t + 1] / math.sqrt(2 * count)


def test_the_posterior_is_bayes_rule_on_a_grid() -> None:
    """q(x_{t-1} | x_t, x_0) in proportion to q(x_t | x_{t-1}) q(x_{t-1} | x_0), summed up numerically."""
    diffusion, x_0, x_t = Diffusion(3, 0.1, 20.0), 0.4, -0.7
    grid, betas = np.linspace(-8, 8, 400_001), [b**2 for b in diffusion.add[1:]]
    for t in (1, 2):
        kept = math.prod(1 - b for b in betas[:t])
        weights = np.exp(-((x_t - math.sqrt(1 - betas[t]) * grid) ** 2) / (2 * betas[t]))
        weights *= np.exp(-((grid - math.sqrt(kept) * x_0) ** 2) / (2 * (1 - kept)))
        mean = (weights * grid).sum() / weights.sum()
        deviation = math.sqrt((weights * (grid - mean) ** 2).sum() / weights.sum())
        given = torch.tensor([x_0, x_t]).reshape(2, 1, 1, 1, 1)
        back = [diffusion.back(given[0], given[1], torch.tensor([t]), torch.full((1, 1, 1, 1), e)) for e in (0.0, 1.0)]
        assert back[0].item() == pytest.approx(mean, rel=1e-4)
        assert (back[1] - back[0]).item() == pytest.approx(deviation, rel=1e-4)


def test_the_last_step_back_gives_the_picture_itself() -> None:
    diffusion, zero = Diffusion(4, 0.1, 20.0), torch.tensor([0])
    made = diffusion.back(
        torch.full((1, 1, 1, 1), 0.3), torch.full((1, 1, 1, 1), 9.0), zero, torch.full((1, 1, 1, 1), 9.0)
    )
    assert made.item() == pytest.approx(0.3, rel=1e-6)


def test_sinusoids() -> None:
    found = sinusoids(torch.tensor([0, 3]), 7)
    rates = [1.0, 10_000**-0.5, 1e-4]
    wanted = [math.sin(3 * r) for r in rates] + [math.cos(3 * r) for r in rates] + [0.0]
    assert torch.allclose(found[1], torch.tensor(wanted), atol=1e-6)
    assert found[0].tolist() == [0, 0, 0, 1, 1, 1, 0]


def lively(**arguments: Any) -> Any:
    """A tiny game whose layers that begin as nothing count."""
    game: Any = tiny("ddgan", **arguments).eval()
    with torch.no_grad():
        for parameter in game.parameters():
            if parameter.dim() > 1 and parameter.abs().max() < 1e-3:
                parameter.mul_(3e4)
    return game


def test_the_losses_written_out() -> None:
    """The non-saturating losses of drawn pairs, and gamma/2 of the squared gradient with respect to x_{t-1} alone."""
    game = lively(gamma=300.0, r1_every=2)
    batch = Batch(torch.rand(4, *game.shape) * 2 - 1)
    for seen in (1, 2):
        game.batches_seen = seen
        torch.manual_seed(5)
        found = game.discriminator_loss(batch)
        torch.manual_seed(5)
        x, x_t, t = game.diffused(batch)
        fake = game.undone(x_t, t)
        x.requires_grad_()
        real_logits, fake_logits = game.discriminator(x, t, x_t), game.discriminator(fake, t, x_t)
        wanted = -real_logits.sigmoid().log().mean() - (1 - fake_logits.sigmoid()).log().mean()
        (gradient,) = torch.autograd.grad(real_logits.sum(), x)
        penalty = 150 * gradient.square().flatten(1).sum(1).mean()
        assert penalty > 1e-2
        assert found.item() == pytest.approx((wanted + (penalty if seen == 2 else 0)).item(), rel=1e-4)
    torch.manual_seed(5)
    found = game.generator_loss(batch)
    torch.manual_seed(5)
    _, x_t, t = game.diffused(batch)
    assert found.item() == pytest.approx(-game.discriminator(game.undone(x_t, t), t, x_t).sigmoid().log().mean().item())


def test_the_critic_knows_the_time_and_both_pictures() -> None:
    game = lively()
    x, x_t, t = torch.rand(4, 1, 8, 8), torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.long)
    with torch.no_grad():
        whole = game.discriminator(x, t, x_t)
        for other in ((x.roll(1, 3), t, x_t), (x, t + 3, x_t), (x, t, x_t.roll(1, 3))):
            assert not close(game.discriminator(*other), whole, 1e-3)


def test_a_picture_is_all_that_was_drawn_for_it_step_by_step() -> None:
    game = lively(steps=3)
    z = game.draw(range(2))[0]
    pixels, code = 64, 6
    assert z.shape[1] == 3 * (pixels + code)
    with torch.no_grad():
        x, at = z[:, :pixels].reshape(2, 1, 8, 8), pixels
        for t in (2, 1, 0):
            times = torch.full((2,), t)
            x_0 = game.generator(x, times, z[:, at : at + code])
            noise = z[:, at + code : at + code + pixels].reshape(-1, 1, 8, 8) if t else torch.zeros_like(x)
            x, at = game.diffusion.back(x_0, x, times, noise), at + code + pixels
        assert close(game(z), x, 1e-5) and x.std() > 0.01
        for i in (0, pixels, pixels + code, z.shape[1] - 1):  # each of them counts
            moved = z.clone()
            moved[:, i] += 3.0
            assert not torch.equal(game(moved), game(z))


def test_rates_fall_along_half_a_cosine() -> None:
    players = tiny("ddgan", decay_kimg=1, lr=1e-3, discriminator_lr=1e-5).players()
    schedule: Any = players["generator"].schedule
    assert [schedule(n) * 1e-3 for n in (0, 500, 1000, 5000)] == pytest.approx([1e-3, 5.05e-4, 1e-5, 1e-5])
    assert [players["discriminator"].schedule(n) for n in (0, 700)] == [1, 1]  # type: ignore[misc]
    assert tiny("ddgan", decay_kimg=0).players()["generator"].schedule(10**9) == 1  # type: ignore[misc]


def test_the_papers_networks() -> None:
    """48.43 million parameters, as WaveDiff (arXiv:2211.16152) counts those of the authors' generator for CIFAR-10."""
    with torch.device("meta"):
        game: Any = ganzoo.create("ddgan")
    assert sum(p.numel() for p in game.generator.parameters()) == 48_432_515
    assert sum(p.numel() for p in game.discriminator.parameters()) == 12_741_633


def test_both_players_learn_everything() -> None:
    game: Any = lively().train()
    before = {name: p.detach().clone() for name, p in game.named_parameters()}  # no average has begun
    fit(game, 3)
    assert not [name for name, value in before.items() if torch.equal(game.get_parameter(name), value)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"width": 6, "multipliers": [1, 3]}, "feature maps stand side by side"),
        ({"multipliers": [1, 1, 1, 1, 1]}, "images of 8 pixels cannot be halved 4 times"),
        ({"downsamplings": 2}, "2 of 1 blocks of the discriminator halve 8 pixels"),
    ],
)
def test_sizes_that_do_not_fit_are_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        tiny("ddgan", **arguments)
