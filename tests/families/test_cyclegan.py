from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import data_for, fit, same, tensors, tiny, trainer
from torch import Tensor, nn

from ganzoo.data.batch import Images
from ganzoo.families.cyclegan import ImagePool
from ganzoo.types import BadArgument, Batch


def game(**arguments: Any) -> Any:
    made: Any = tiny("cyclegan", **arguments)
    made.record = lambda **values: None
    return made


class Affine(nn.Module):
    """`a x + b`, a network whose losses can be written down."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self.a, self.b, self.passes = nn.Parameter(torch.tensor(a)), b, 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return self.a * x + self.b


def affine(made: Any) -> tuple[Affine, Affine, Affine, Affine]:
    networks = Affine(0.5, 0.1), Affine(1.5, -0.2), Affine(2.0, 0.3), Affine(-1.0, 0.4)
    made.generator, made.inverse, made.discriminator, made.inverse_discriminator = networks
    return networks


@pytest.mark.parametrize("identity", [0.5, 0.0])
@pytest.mark.parametrize("normalization", ["instance", "batch"])
def test_the_losses(identity: float, normalization: str) -> None:
    """Equations 1 to 3 with least squares, and the identity loss of section 5.2, as the authors weigh them."""
    made = game(cycle=7.0, identity=identity, normalization=normalization)
    g, f, d_y, d_x = affine(made)
    torch.manual_seed(0)
    x, y = torch.rand(3, 1, 8, 8), torch.rand(3, 1, 8, 8)
    loss = made.generators_loss(Batch(x, None, y))
    expected = (d_y(g(x)) - 1).square().mean() + (d_x(f(y)) - 1).square().mean()
    expected = expected + 7 * ((f(g(x)) - x).abs().mean() + (g(f(y)) - y).abs().mean())
    expected = expected + 7 * identity * ((g(y) - y).abs().mean() + (f(x) - x).abs().mean())
    assert torch.allclose(loss, expected)

    fake_y, fake_x = torch.rand(3, 1, 8, 8), torch.rand(3, 1, 8, 8)
    expected = ((d_y(y) - 1).square().mean() + d_y(fake_y).square().mean()) / 2
    expected = expected + ((d_x(x) - 1).square().mean() + d_x(fake_x).square().mean()) / 2
    assert torch.allclose(made.discriminators_loss(Batch(x, None, y), fake_y, fake_x), expected)


def test_the_logarithm() -> None:
    """Equation 1, halved for the discriminators and non-saturating for the generators."""
    made = game(loss="log", identity=0.0, cycle=0.0)
    g, f, d_y, d_x = affine(made)
    x, y, fake_y, fake_x = torch.rand(4, 3, 1, 8, 8)
    expected = F.softplus(-d_y(g(x))).mean() + F.softplus(-d_x(f(y))).mean()
    assert torch.allclose(made.generators_loss(Batch(x, None, y)), expected)
    expected = F.softplus(-d_y(y)).mean() + F.softplus(d_y(fake_y)).mean()
    expected = 0.5 * (expected + F.softplus(-d_x(x)).mean() + F.softplus(d_x(fake_x)).mean())
    assert torch.allclose(made.discriminators_loss(Batch(x, None, y), fake_y, fake_x), expected)


def test_images_that_share_no_statistics_go_through_a_network_together() -> None:
    batch = Batch(torch.rand(2, 1, 8, 8), None, torch.rand(2, 1, 8, 8))
    for normalization, passes in (("instance", 2), ("batch", 3)):
        made = game(normalization=normalization)
        networks = affine(made)
        made.generators_loss(batch)
        assert [network.passes for network in networks] == [passes, passes, 1, 1]


def test_generators_move_first_and_discriminators_see_their_translations() -> None:
    made = game(pool=0)
    seen: list[tuple[str, Any]] = []

    def move(player: str, loss: Any, *args: Any) -> None:
        seen.append((player, args))
        loss(*args)

    made.move = move
    batch = Batch(torch.rand(3, 1, 8, 8), None, torch.rand(3, 1, 8, 8))
    made.training_step(batch, 0)
    assert [player for player, _ in seen] == ["generators", "discriminators"]
    _, fake_y, fake_x = seen[1][1]
    assert torch.allclose(fake_y, made.generator(batch.images), atol=1e-5) and not fake_y.requires_grad
    assert torch.allclose(fake_x, made.inverse(batch.targets), atol=1e-5) and not fake_x.requires_grad


def test_accumulated_gradients_are_those_of_the_batch() -> None:
    made: list[Any] = []
    for slices in (1, 2):
        one: Any = tiny("cyclegan", lr=1e-3)
        one.engine.accumulate = slices
        fit(one, 1, batch_size=4)
        made.append(one.state_dict())
        assert len(one.pools["y"].held) == 4
    for key, value in made[0].items():
        if value.dim() > 1:  # a bias before a normalization has no gradient but rounding, to which Adam gives a step
            assert torch.allclose(made[1][key], value, atol=2e-4), key


# ------------------------------------------------------------------------------------------------------------ the pool


def numbered(start: int, n: int) -> Tensor:
    return torch.arange(start, start + n, dtype=torch.float32)[:, None, None, None].expand(n, 1, 2, 2).clone()


def numbers(pool: ImagePool) -> list[float]:
    return [image[0, 0, 0].item() for image in pool.held]


def test_a_pool_hands_through_until_it_is_full_and_then_half() -> None:
    torch.manual_seed(0)
    pool = ImagePool(50)
    for start in range(0, 50, 5):
        given = numbered(start, 5)
        assert torch.equal(pool.exchange(given), given)
    assert len(pool.held) == 50
    new, places = 0, set[int]()
    for start in range(50, 1050, 4):
        given = numbered(start, 4)
        before = numbers(pool)
        back = pool.exchange(given)
        for k, image in enumerate(back):
            if torch.equal(image, given[k]):
                new += 1
            else:
                number = image[0, 0, 0].item()
                assert number < start + 4 and number not in numbers(pool)
                places.update(i for i, other in enumerate(before) if other == number)
        assert len(pool.held) == 50
    assert 420 < new < 580 and len(places) == 50


def test_a_pool_of_none_hands_through() -> None:
    pool, given = ImagePool(0), numbered(0, 9)
    assert torch.equal(pool.exchange(given), given) and not pool.held


def test_the_pool_keeps_pictures_of_its_own() -> None:
    pool, given = ImagePool(3), numbered(0, 2)
    back = pool.exchange(given)
    given.zero_()
    back.zero_()
    assert numbers(pool) == [0.0, 1.0]


def test_a_resumed_run_is_the_run_pool_and_all(tmp_path: Path) -> None:
    """Bitwise, with pools that are full and exchange in every batch."""
    whole: Any = tiny("cyclegan", pool=3)
    fit(whole, 10)
    first = tiny("cyclegan", pool=3)
    fit(first, 5).save_checkpoint(tmp_path / "half.ckpt")
    saved = torch.load(tmp_path / "half.ckpt", weights_only=True)["ganzoo"]["ranks"][0]["state"]
    assert {name: tuple(held.shape) for name, held in saved.items()} == {"y": (3, 1, 8, 8), "x": (3, 1, 8, 8)}
    again: Any = tiny("cyclegan", pool=3)
    trainer(10).fit(again, data_for(again), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert not same(tensors(whole), tensors(again))
    held: Any = [torch.stack(one.pools["x"].held) for one in (whole, again)]
    assert torch.equal(*held)
    without: Any = tiny("cyclegan", pool=3)
    without.load_rank_state = lambda state: None
    trainer(10).fit(without, data_for(without), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert same(tensors(whole), tensors(without)), "the pools matter"


# ------------------------------------------------------------------------------------------------------ what it is for


def test_domains() -> None:
    both, forward = game(), game(both_ways=False)
    assert both.domains == ("b", "a") and both.inference == ("generator", "inverse")
    assert forward.domains == ("b",) and forward.inference == ("generator",)
    x = torch.rand(2, 1, 8, 8) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(both.translate(x), both.generator(x), atol=1e-5)
        assert torch.allclose(both.translate(x, to="a"), both.inverse(x), atol=1e-5)
        assert torch.equal(both.translate(x), forward.translate(x))
    with pytest.raises(BadArgument, match="CycleGAN does not translate to 'a'; b is expected"):
        forward.translate(x, to="a")


@pytest.mark.parametrize("sides", [(8, 8), (9, 30), (5, 11)])
def test_any_size_goes_through(sides: tuple[int, int]) -> None:
    made = game()
    assert made.translate(torch.zeros(1, 1, *sides)).shape == (1, 1, *sides)


def test_a_picture_of_four_pixels_has_nothing_to_reflect() -> None:
    with pytest.raises(BadArgument, match="a side of 4 pixels; multiples of 4 from 8 on are expected"):
        game().translate(torch.zeros(1, 1, 4, 16))


def test_pictures_show_there_and_back() -> None:
    made = game()
    x, y = np.random.RandomState(0).randint(0, 256, (2, 20, 1, 8, 8)).astype(np.uint8)
    shown = made.pictures(Images("noise", x, targets=y))["translations"]
    assert shown.shape == (8, 4, 1, 8, 8) and shown.abs().max() <= 1
    assert torch.allclose(shown[:, 1], made.translate(shown[:, 0]), atol=1e-6)
    assert torch.allclose(shown[:, 2], made.translate(shown[:, 1], to="a"), atol=1e-6)
    assert torch.equal(shown[-1, 3], torch.from_numpy(y[-1]) / 127.5 - 1)
    forward = game(both_ways=False)
    assert forward.pictures(Images("noise", x, targets=y, paired=False))["translations"].shape == (8, 2, 1, 8, 8)
    assert made.pictures(Images("noise", x)) == {} == made.pictures(None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"size": 10}, "a side of 10 pixels"), ({"size": 16, "patch_layers": 3}, "a side of 16 pixels holds no patch")],
)
def test_sizes_that_do_not_fit(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        game(**arguments)
