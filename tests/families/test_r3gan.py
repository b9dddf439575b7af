"""R3GAN: its losses written out sample by sample, its first weights, its schedules, and its conditional form."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from helpers import close, fit, tiny
from torch import Tensor, nn

import ganzoo
from ganzoo.game.engine import Engine
from ganzoo.types import BadArgument, BadData, Batch

SMALL: dict[str, Any] = {"size": 16, "widths": [6, 8, 4], "groups": [3, 4, 1], "depths": [2, 1, 1], "augment": 0}


def woken(**arguments: Any) -> Any:
    """A game in float64 whose blocks, biases and all else count."""
    game: Any = tiny("r3gan", **{**SMALL, **arguments}).double()
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in game.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.3 if parameter.dim() > 1 else 0.1))
    return game


def by_hand(game: Any, x: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
    """L_D, sample by sample: every gradient from a pass of its own."""
    terms = []
    for i in range(len(x)):
        label = [] if labels is None else [labels[i : i + 1]]
        total, scores = torch.zeros((), dtype=torch.float64), list[Tensor]()
        for sample in (x[i : i + 1], fake[i : i + 1]):
            sample = sample.detach().requires_grad_()
            score = game.discriminator(sample, *label)
            (gradient,) = torch.autograd.grad(score, sample, create_graph=True)
            total = total + game.scheduled(*game.gammas) / 2 * gradient.square().sum()
            scores.append(score[0])
        terms.append(total + torch.log1p(torch.exp(scores[1] - scores[0])))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("classes", [0, 3])
def test_both_losses_and_their_gradients_sample_by_sample(classes: int) -> None:
    game = woken(classes=classes, gamma=0.7, final_gamma=0.1)
    game.images_seen = game.burn_in // 2
    labels = torch.tensor([2, 0, 1, 2]) if classes else None
    batch, z = Batch(torch.rand(4, 1, 16, 16, dtype=torch.float64), labels), torch.randn(4, 6, dtype=torch.float64)
    game.noise = lambda batch: z
    given = [] if labels is None else [labels]
    fake = game.generator(z, *given)
    parameters = list(game.discriminator.parameters())
    wanted = by_hand(game, batch.images, fake, labels)
    found = game.discriminator_loss(batch)
    assert close(found, wanted)
    for one, other in zip(*(torch.autograd.grad(loss, parameters) for loss in (found, wanted)), strict=True):
        assert close(one, other)
    real, generated = game.discriminator(batch.images, *given), game.discriminator(fake, *given)
    loss = torch.log1p(torch.exp(real - generated)).mean()
    assert close(game.generator_loss(batch), loss)
    assert game.labelled == bool(classes)


def test_first_weights_are_fixups() -> None:
    """Blocks are the identity; of L = 8 of them each, the two first layers have variance 2 / (1.04 fan in sqrt L)."""
    torch.manual_seed(0)
    game: Any = ganzoo.create("r3gan", widths=[96] * 4)
    blocks = [m for m in game.generator.modules() if hasattr(m, "conv3")]
    assert len(blocks) == 8 and not any(block.conv3.weight.any() for block in blocks)
    x = torch.randn(2, 96, 4, 4)
    assert torch.equal(blocks[0](x), x)
    for layer, fan_in in (("conv1", 96), ("conv2", 9 * 16)):
        variance = torch.cat([getattr(block, layer).weight.flatten() for block in blocks]).var()
        assert variance.item() == pytest.approx(2 / 1.04 / fan_in / math.sqrt(8), rel=0.03)
    assert game.discriminator.stages[-1][-1].basis.var().item() == pytest.approx(1 / 16, rel=0.2)


def test_the_authors_sizes() -> None:
    """CIFAR-10's and FFHQ-256's networks: groups of 16 feature maps, counted layer by layer."""
    with torch.device("meta"):
        games: list[Any] = [ganzoo.create("r3gan", classes=10, widths=(768,) * 4)]
        games.append(ganzoo.create("r3gan", size=256, widths=(768, 768, 768, 768, 384, 192, 96)))

    def blocks(widths: list[int]) -> int:
        return sum(2 * (2 * width * 2 * width + 9 * 16 * 2 * width + 2 * 2 * width) for width in widths)

    for game, classes in zip(games, (10, 0), strict=True):
        widths = [*game.arguments["widths"]]
        ways = sum(i * o for i, o in pairwise(widths) if i != o)
        first = widths[0] * 16 + (64 + 64 * bool(classes)) * widths[0] + 64 * classes
        found = sum(parameter.numel() for parameter in game.generator.parameters())
        assert found == blocks(widths) + ways + first + 3 * widths[-1]
        last = widths[0] * 16 + widths[0] * (widths[0] if classes else 1) + classes * widths[0]
        assert sum(p.numel() for p in game.discriminator.parameters()) == blocks(widths) + ways + last + 3 * widths[-1]


def test_everything_follows_half_a_cosine() -> None:
    game: Any = tiny("r3gan", lr=1e-3, final_lr=2e-4, burn_in_kimg=1, average_kimg=2)
    schedule = game.players()["generator"].schedule
    for images, share in ((0, 0.0), (250, (1 - math.sqrt(0.5)) / 2), (500, 0.5), (1000, 1.0), (9000, 1.0)):
        game.images_seen = images
        assert game.scheduled(0.9, 0.99) == pytest.approx(0.9 + 0.09 * share)
        assert schedule(images) == pytest.approx(1 - 0.8 * share)
        assert game.ramped(game.half_life) == pytest.approx(2000 * share)
    game.engine = Engine(average=300.0, rampup=None)
    assert game.ramped(game.half_life) == 300


def test_adams_decay_rates_move_and_the_average_begins_at_the_network() -> None:
    game: Any = tiny("r3gan", burn_in_kimg=1)
    made = fit(game, 2)  # 8 images
    for optimizer in made.optimizers:
        assert optimizer.param_groups[0]["betas"] == (0.0, pytest.approx(game.scheduled(0.9, 0.99), abs=1e-12))
        assert optimizer.param_groups[0]["betas"][1] > 0.9
    game.train_on()
    assert game.scheduled(0.0, 1.0) == 1, "a model that is trained on has the burn-in behind it"


@pytest.mark.parametrize("augment", [0.0, 0.9])
def test_the_discriminator_sees_augmented_images_in_both_moves(augment: float, monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("r3gan", augment=augment)
    seen: list[float] = []

    def noted(images: Tensor, p: float, transforms: Any) -> Tensor:
        seen.append(p)
        assert transforms["color"] == 0.5 and transforms["geometry"] == 1
        return images * 0.5

    monkeypatch.setattr("ganzoo.families.r3gan.augment", noted)
    game.images_seen = game.burn_in
    batch = Batch(torch.rand(3, 1, 8, 8))
    game.discriminator_loss(batch)
    game.generator_loss(batch)
    assert seen == ([augment] * 3 if augment else [])


def test_ungrouped_blocks_and_others() -> None:
    game: Any = tiny("r3gan", **{**SMALL, "groups": [1, 1, 1], "expansion": 1})
    inside = [m for m in game.discriminator.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert {(m.groups, m.in_channels) for m in inside} == {(1, 4), (1, 8), (1, 6)}
    grouped: Any = tiny("r3gan", **SMALL)
    inside = [m for m in grouped.generator.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert [m.groups for m in inside] == [3, 3, 4, 1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": 28}, "2 widths, 2 groups and 2 depths for images of 28 pixels; one of each"),
        ({"depths": [1]}, "2 widths, 2 groups and 1 depths"),
        ({"groups": [3, 3]}, "8 feature maps of a block make no 3 groups"),
    ],
)
def test_sizes_that_do_not_fit(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        tiny("r3gan", **arguments)


def test_classes_are_needed_where_there_are_some() -> None:
    game: Any = tiny("r3gan", classes=3)
    with pytest.raises(BadData, match="labels"):
        game.discriminator_loss(Batch(torch.rand(4, 1, 8, 8)))
    images = torch.rand(1, 1, 8, 8).expand(3, -1, -1, -1)
    assert len(set(game.discriminator(images, torch.arange(3)).tolist())) == 3
    assert game.generator.stages[0][0].linear.in_features == 12
