"""StyleGAN2 beyond what holds for every family: its layers, its mixing, its lazy penalties, and what its users call."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import fit, tiny
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from ganzoo.data.batch import Images
from ganzoo.objectives import penalties
from ganzoo.training.scores import subject_of
from ganzoo.types import BadArgument, Batch


def awake(**arguments: Any) -> Any:
    """A tiny game in evaluation mode whose noise, biases and mean of w are not 0."""
    game: Any = tiny("stylegan2", **{"size": 16, "widths": [4, 4, 4], **arguments}).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in game.generator.state_dict().items():
            if name.endswith(("bias", "strength", "mean")):
                value.add_(torch.randn_like(value) * 0.3)
    return game


# ------------------------------------------------------------------------------------------------ the networks


def test_a_layer_by_the_papers_steps() -> None:
    game = awake()
    layer = game.generator.synthesis.blocks[1].conv
    x, w, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 6), torch.randn(2, 1, 8, 8)
    y = layer.conv(x, w) + noise * layer.strength + layer.bias[:, None, None]
    expected = F.leaky_relu(y, 0.2) * math.sqrt(2) * 0.5
    assert torch.allclose(layer(x, w, noise, 0.5), expected, atol=1e-6)
    layer.clamp = 0.5
    assert torch.allclose(layer(x, w, noise, 0.5), expected.clamp(-0.25, 0.25), atol=1e-6)


def test_derivatives_of_a_layer() -> None:
    """Of all that comes in, and of all that learns, although the layer changes its feature maps in place."""
    layer: Any = awake().generator.synthesis.blocks[1].up.double()
    draw = torch.Generator().manual_seed(0)
    shapes = ((1, 4, 4, 4), (1, 6), (1, 1, 8, 8))
    given = [torch.randn(shape, dtype=torch.float64, generator=draw).requires_grad_() for shape in shapes]
    parameters = dict(layer.named_parameters())

    def run(x: Tensor, w: Tensor, noise: Tensor, *values: Tensor) -> Tensor:
        made = dict(zip(parameters, values, strict=True))
        result: Tensor = torch.func.functional_call(layer, made, (x, w, noise, 0.5))
        return result

    assert torch.autograd.gradcheck(run, (*given, *parameters.values()), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (*given, *parameters.values()), fast_mode=True)


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_each_layer_has_its_own_w(architecture: str) -> None:
    """A w reaches the picture through its layer; in `resnet` and `orig` only the last is the image's alone."""
    synthesis = awake(architecture=architecture).generator.synthesis
    ws = torch.randn(1, synthesis.count, 6, requires_grad=True)
    synthesis(ws, "const").square().sum().backward()
    assert synthesis.count == 2 * 4 - 2 and synthesis.sizes == [4, 8, 8, 16, 16]
    assert ws.grad is not None and (ws.grad.abs().amax(2) > 0).all()


def test_noise_is_random_constant_none_or_given() -> None:
    synthesis = awake().generator.synthesis
    ws = torch.randn(2, synthesis.count, 6)
    const, none = synthesis(ws, "const"), synthesis(ws, "none")
    assert torch.equal(synthesis(ws, "const"), const) and not torch.allclose(const, none, atol=1e-3)
    assert not torch.allclose(synthesis(ws, "random"), synthesis(ws, "random"), atol=1e-3)
    given = [block.noise.expand(2, 1, -1, -1) for block in synthesis.modules() if hasattr(block, "strength")]
    assert torch.allclose(synthesis(ws, given), const, atol=1e-6)
    with pytest.raises(BadArgument, match=r"\(N, 6, 6\) is expected"):
        synthesis(ws[:, :3])


def test_half_precision_stays_near() -> None:
    game = awake(clamp=256.0)
    ws = torch.randn(2, 6, 6)
    exact = game.generator.synthesis(ws, "const")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = game.generator.synthesis(ws, "const")
    assert half.dtype == torch.float32, "images are summed up in full precision"
    assert torch.allclose(half, exact, atol=0.05 * float(exact.detach().abs().max()))


# ------------------------------------------------------------------------------------------------ style mixing


def test_mixing_exchanges_the_styles_from_a_layer_on() -> None:
    torch.manual_seed(0)
    generator = awake().generator
    z = torch.randn(400, 6)
    w = generator.mapping(z)
    mixed = generator.mixed(z, None, 0.6)
    own = (mixed == w).all(2)  # (images, layers)
    assert own[:, 0].all(), "the first layer is always an image's own"
    assert (own.int().diff(dim=1) <= 0).all(), "once exchanged, the rest is too"
    assert float((~own).any(1).float().mean()) == pytest.approx(0.6, abs=0.08)
    starts = own[(~own).any(1)].sum(1)
    assert set(starts.tolist()) == {1, 2, 3, 4, 5}, "from any layer on"
    assert torch.equal(generator.mixed(z, None, 0.0), w)


# ------------------------------------------------------------------------------------------------ the losses


class Moves(Callback):
    """Notes the moves of each batch."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str, int, bool]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        move = pl_module.move

        def noted(player: str, loss: Any, batch: Batch, counts: bool = True) -> None:
            self.found.append((pl_module.batches_seen, loss.__name__, len(batch.images), counts))
            move(player, loss, batch, counts=counts)

        pl_module.move = noted


def test_penalties_are_lazy() -> None:
    game, moves = tiny("stylegan2", r1_every=3, path_every=2), Moves()
    fit(game, 6, moves)
    main = [(n, name, 4, True) for n in range(1, 7) for name in ("generator_loss", "discriminator_loss")]
    paths = [(n, "path_loss", 2, False) for n in (2, 4, 6)]
    assert sorted(moves.found) == sorted([*main, *paths, (3, "r1_loss", 4, False), (6, "r1_loss", 4, False)])
    for game in (tiny("stylegan2", gamma=0.0), tiny("stylegan2", path=0.0)):
        fit(game, 2, moves := Moves())
        names = {name for _, name, _, _ in moves.found}
        assert len(names) == 3 and not names >= {"r1_loss", "path_loss"}


def test_the_steps_of_the_penalties_are_taken_into_account() -> None:
    game = tiny("stylegan2", lr=0.002, betas=[0.0, 0.99], r1_every=16, path_every=4)
    for player, c in (("discriminator", 16 / 17), ("generator", 4 / 5)):
        (group,) = game.players()[player].optimizer([torch.nn.Parameter(torch.ones(1))]).param_groups
        assert group["lr"] == pytest.approx(0.002 * c) and group["betas"] == pytest.approx((0.0, 0.99**c))
    (group,) = (
        tiny("stylegan2", path=0.0).players()["generator"].optimizer([torch.nn.Parameter(torch.ones(1))]).param_groups
    )
    assert group["lr"] == 0.002


def test_losses_by_their_formulas() -> None:
    game: Any = awake(mixing=0.0, gamma=3.0, r1_every=5, path=2.0, path_every=4)
    game.discriminator.head.group = 1  # the samples' scores are then their own
    batch = Batch(torch.randn(4, 1, 16, 16).clamp(-1, 1))
    torch.manual_seed(0)
    fake = game.generator(game.noise(batch))
    scores = game.discriminator(fake)
    torch.manual_seed(0)
    assert torch.allclose(game.generator_loss(batch), F.softplus(-scores).mean(), atol=1e-5)
    torch.manual_seed(0)
    expected = F.softplus(scores).mean() + F.softplus(-game.discriminator(batch.images)).mean()
    assert torch.allclose(game.discriminator_loss(batch), expected, atol=1e-5)
    images = batch.images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(game.discriminator(images).sum(), images)
    expected = 5 * 3.0 / 2 * gradient.square().sum((1, 2, 3)).mean()
    assert torch.allclose(game.r1_loss(batch), expected, rtol=1e-4)
    torch.manual_seed(0)
    ws = game.generator.mapping(game.noise(batch))
    penalty, mean = penalties.path_length(game.generator.synthesis, ws, torch.zeros(()), 0.01)
    torch.manual_seed(0)
    assert torch.allclose(game.path_loss(batch), 4 * 2.0 * penalty, rtol=1e-4)
    assert torch.allclose(game._path_means[-1], mean)


def test_the_mean_of_path_lengths_follows_and_is_saved() -> None:
    game: Any = tiny("stylegan2", path_every=1)
    fit(game, 3)
    assert game.path_mean > 0 and torch.equal(game.rank_state()["path_mean"], game.path_mean)
    again: Any = tiny("stylegan2")
    again.load_rank_state(game.rank_state())
    assert torch.equal(again.path_mean, game.path_mean)


def test_the_mean_of_w_follows_the_generators_moves() -> None:
    game: Any = tiny("stylegan2", decay=0.5)
    assert not game.generator.mapping.mean.any()
    fit(game, 2)
    assert game.generator.mapping.mean.any()
    assert torch.equal(game.averaged.mapping.mean, game.generator.mapping.mean), "it is copied, not averaged"


@pytest.mark.parametrize("augment", ["ada", "diff"])
def test_the_discriminator_sees_augmented_images(augment: str) -> None:
    game: Any = tiny("stylegan2", size=16, channels=3, widths=[4, 4, 4], augment=augment, augment_images=8)
    images = torch.rand(4, 3, 16, 16)
    if augment == "ada":
        assert torch.allclose(game.seen(images), images, atol=1e-3), "p begins at 0"
        with torch.no_grad():
            game.discriminator.head.out.bias.fill_(5.0)  # sure of everything
        fit(game, 4)
        assert game.augment.r_t == 1 and game.augment.p == 1, "16 images, and 8 from 0 to 1"
    assert not torch.allclose(game.seen(images), images, atol=1e-2)


# ------------------------------------------------------------------------------------------------ what users call


def test_a_seed_draws_as_numpy_does() -> None:
    game = awake(latent=8)
    z, _ = game.draw([3, 11])
    assert np.array_equal(z[1].numpy(), np.random.RandomState(11).randn(8).astype(np.float32))
    expected = game.synthesize(game.map(z, truncation=0.7, truncation_cutoff=3)).clamp(-1, 1)
    found = torch.cat([game.sample(1, seed=s, truncation=0.7, truncation_cutoff=3, noise="const") for s in (3, 11)])
    assert torch.allclose(found, expected, atol=1e-5)
    rng = np.random.RandomState(3)
    rng.randn(8)
    noise = [torch.from_numpy(rng.randn(1, 1, side, side)).float() for side in game.averaged.synthesis.sizes]
    with torch.no_grad():
        drawn = game.averaged.synthesis(game.map(z[:1]), noise).clamp(-1, 1)
    assert torch.allclose(game.sample(1, seed=3), drawn, atol=1e-5), "random noise is the seed's own"


def test_classes_as_indices_and_as_vectors() -> None:
    game = awake(classes=3)
    z, _ = game.draw(range(4))
    labels = torch.tensor([0, 2, 1, 2])
    vectors = F.one_hot(labels, 3).float()
    assert torch.equal(game.map(z, labels), game.map(z, vectors))
    one = game.sample(4, labels=labels, noise="const")
    assert torch.equal(one, game.sample(4, labels=vectors, noise="const"))
    between = game.sample(4, labels=torch.tensor([0.5, 0.5, 0.0]), noise="const")
    assert not torch.allclose(between, one, atol=1e-3)
    assert not torch.allclose(game.sample(1, labels=0, noise="const"), game.sample(1, labels=1, noise="const"))
    images = torch.randn(4, 1, 16, 16)
    assert torch.allclose(game.discriminator(images, labels), game.discriminator(images, vectors))


def test_style_mixing_grid() -> None:
    game = awake()
    grid = game.mix([1, 2], [3, 4, 5], layers=[2, 3], truncation=0.8)
    assert grid.shape == (2, 3, 1, 16, 16)
    rows, columns = (game.map(game.draw(seeds)[0], truncation=0.8) for seeds in ([1, 2], [3, 4, 5]))
    ws = rows[1:2].clone()
    ws[:, 2:4] = columns[2:, 2:4]
    assert torch.allclose(grid[1, 2], game.synthesize(ws)[0].clamp(-1, 1), atol=1e-5)
    with pytest.raises(BadArgument, match="layer 9 is out of range; the layers of w run from 0 to 5"):
        game.mix([1], [2], layers=[9])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda g: g.sample(1, truncation=float("nan")), "truncation is nan; a number up to 1e6"),
        (lambda g: g.sample(1, truncation="half"), "truncation is half; a number up to 1e6"),
        (
            lambda g: g.sample(1, truncation=0.5, truncation_cutoff=7),
            "truncation_cutoff is 7; a number of layers from 0",
        ),
        (lambda g: g.sample(1, truncation_cutoff=1.5), "truncation_cutoff is 1.5"),
        (lambda g: g.sample(1, noise="loud"), "noise is 'loud'; random, const or none"),
        (lambda g: g.sample(1, nosie="const"), "has no nosie; its options are"),
        (lambda g: g.sample(1, labels=[0]), "has no classes"),
        (lambda g: g.map(torch.zeros(2, 5)), r"z has shape \(2, 5\); \(N, 6\) is expected"),
        (lambda g: g.synthesize(torch.zeros(2, 3, 6)), r"ws has shape \(2, 3, 6\)"),
        (lambda g: g.synthesize(torch.zeros(2, 6, 6), noise=None), "noise is None"),
        (lambda g: g.discriminator(torch.zeros(2, 3, 8, 8)), "images have shape"),
        (lambda g: awake(classes=3).map(torch.zeros(2, 6)), "labels are needed"),
        (lambda g: awake(classes=3).sample(1, labels=[3]), "label 3 is out of range"),
        (lambda g: awake(classes=3).sample(1, labels=torch.zeros(1, 4)), "label vectors have shape"),
        (lambda g: tiny("stylegan2", size=12), "image size is 12; a power of two"),
        (lambda g: tiny("stylegan2", size=16, widths=[4]), "3 numbers are expected"),
    ],
)
def test_bad_input_is_one_line(call: Any, said: str) -> None:
    with pytest.raises(BadArgument, match=said) as error:
        call(awake())
    assert "\n" not in str(error.value)


def test_gradients_reach_a_latent() -> None:
    """For inversion: the networks themselves are differentiable where `inferring` is not entered."""
    generator = awake().generator
    z = torch.randn(2, 6, requires_grad=True)
    image: Tensor = generator(z, noise="const", truncation=0.7, truncation_cutoff=4)
    image.square().sum().backward()
    assert z.grad is not None and z.grad.abs().min() > 0


def test_with_classes_it_learns_from_labels_and_without_them_does_all_the_same() -> None:
    game: Any = tiny("stylegan2", classes=3)
    values = np.zeros((4, 1, 8, 8), np.uint8)
    assert game.labelled and "classes" in subject_of(game).abilities and not tiny("stylegan2").labelled
    game.check_data(Images("none", values, None, None, "train"))
    with pytest.raises(BadArgument, match="few has 2 classes and the model 3; set classes to 2"):
        game.check_data(Images("few", values, np.zeros(4, np.int64), ("a", "b"), "train"))
