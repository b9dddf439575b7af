"""MobileStyleGAN beyond what holds for every family: its wavelets, its layers, its teacher, and its losses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import STAND_INS, Maps, fit, lend, tiny
from torch import Tensor, nn

from ganzoo.families.mobilestylegan import (
    ModulatedConv2d,
    SeparableConv2d,
    from_wavelets,
    pixel_distance,
    to_wavelets,
)
from ganzoo.types import BadArgument, Batch


def awake(**arguments: Any) -> Any:
    """A tiny game in evaluation mode whose noise, biases and mean of w are not 0."""
    game: Any = tiny("mobilestylegan", **{"size": 32, "widths": [8, 8, 4], "channels": 3, **arguments}).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in game.generator.state_dict().items():
            if name.endswith(("bias", "strength", "mean")):
                value.add_(torch.randn_like(value) * 0.3)
    return game


# ------------------------------------------------------------------------------------------------ wavelets


def haar(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """One level of `db1` by its filters, along the columns and then the rows: low-pass and high-pass, halved."""
    low, high = np.array([1.0, 1.0]) / math.sqrt(2), np.array([1.0, -1.0]) / math.sqrt(2)

    def along(x: np.ndarray[Any, Any], taps: np.ndarray[Any, Any], axis: int) -> np.ndarray[Any, Any]:
        x = np.moveaxis(x, axis, -1)
        return np.moveaxis(x[..., 0::2] * taps[0] + x[..., 1::2] * taps[1], -1, axis)

    bands = [along(along(image, across, 3), down, 2) for across in (low, high) for down in (low, high)]
    ll, lh, hl, hh = bands  # high-pass down the columns is LH
    return np.concatenate([ll, np.stack([lh, hl, hh], 2).reshape(len(image), -1, *ll.shape[2:])], 1)


def test_wavelets_by_their_filters_and_back() -> None:
    image = torch.randn(2, 3, 6, 8, dtype=torch.float64)
    wavelets = to_wavelets(image)
    assert wavelets.shape == (2, 12, 3, 4)
    assert np.allclose(wavelets.numpy(), haar(image.numpy()), atol=1e-12)
    assert torch.allclose(from_wavelets(wavelets), image, atol=1e-12)
    assert torch.allclose(wavelets.square().sum(), image.square().sum()), "the transform is orthogonal"


# ------------------------------------------------------------------------------------------------ the networks


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("demodulate", [True, False])
def test_a_convolution_by_its_equation(kernel: int, demodulate: bool) -> None:
    layer = ModulatedConv2d(6, 5, kernel, 4, demodulate).double()
    x, w, bias = (torch.randn(size, dtype=torch.float64) for size in ((2, 6, 8, 8), (2, 4), (5,)))
    _same_as_the_equation(layer, layer.weight, x, w, bias)


@pytest.mark.parametrize("demodulate", [True, False])
def test_a_separable_convolution_is_one_with_kernels_of_rank_1(demodulate: bool) -> None:
    layer = SeparableConv2d(6, 5, 3, 4, demodulate).double()
    x, w, bias = (torch.randn(size, dtype=torch.float64) for size in ((2, 6, 8, 8), (2, 4), (5,)))
    _same_as_the_equation(
        layer, torch.einsum("oi,ikl->oikl", layer.pointwise[:, :, 0, 0], layer.depthwise[:, 0]), x, w, bias
    )


def _same_as_the_equation(layer: ModulatedConv2d, kernels: Tensor, x: Tensor, w: Tensor, bias: Tensor) -> None:
    """Each sample with a kernel of its own, as in StyleGAN2's equations 1 and 3, but for s in the demodulation."""
    _, inputs, kernel, _ = kernels.shape
    assert layer.affine.bias.eq(1).all() and layer.scale == pytest.approx(1 / (kernel * math.sqrt(inputs)))
    for i, style in enumerate(layer.affine(w) * layer.scale):
        own = kernels * style[None, :, None, None]
        if layer.demodulate:
            shared = kernels * (layer.constant * layer.scale)[None, :, None, None]
            own = own / (shared.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        assert torch.allclose(layer(x, w, bias)[i], F.conv2d(x[i], own, bias, padding=kernel // 2), atol=1e-10)


def test_layers_of_w_and_of_noise() -> None:
    """Each w reaches the picture but that of the images below the last, and the last, which is never used."""
    synthesis = awake().generator.synthesis
    assert synthesis.sizes == [4, 8, 8, 16, 16] and (synthesis.count, synthesis.used) == (8, 7)
    ws = torch.randn(1, 8, 6, requires_grad=True)
    synthesis(ws, "const").square().sum().backward()
    assert ws.grad is not None and (ws.grad.abs().amax(2) > 0).tolist() == [
        [True, True, True, False, True, True, True, False]
    ]
    pyramid = synthesis.pyramid(ws, "const")
    assert [tuple(each.shape) for each in pyramid] == [(1, 12, 4, 4), (1, 12, 8, 8), (1, 12, 16, 16)]
    assert torch.equal(from_wavelets(pyramid[-1]), synthesis(ws, "const"))
    ws.grad.zero_()
    sum(each.square().sum() for each in pyramid).backward()
    assert (ws.grad.abs().amax(2) > 0).tolist() == [[True] * 7 + [False]]
    with pytest.raises(BadArgument, match=r"\(N, 8, 6\) is expected"):
        synthesis(ws[:, :7])


def test_a_network_for_use_alone_is_the_same_network() -> None:
    """Its demodulation in its weights, and without the images at the lower resolutions."""
    game, lean = awake(), awake(demodulate=False, multiscale=False)
    table = game.generator.state_dict()
    for name, layer in game.generator.named_modules():
        if isinstance(layer, SeparableConv2d):
            table[f"{name}.pointwise"] = layer.demodulated(layer.pointwise).detach()
        elif isinstance(layer, ModulatedConv2d):
            table[f"{name}.weight"] = layer.demodulated(layer.weight).detach()
    table = {key.replace("heads.2", "heads.9"): value for key, value in table.items()}
    kept = {
        k.replace("heads.9", "heads.0"): v
        for k, v in table.items()
        if not k.endswith("constant") and "heads.0" not in k and "heads.1" not in k
    }
    lean.generator.load_state_dict(kept)
    assert torch.allclose(lean.sample(2), game.sample(2), atol=1e-5)
    assert len(lean.generator.synthesis.pyramid(torch.randn(1, 8, 6), "none")) == 1


def test_sizes_that_make_no_network() -> None:
    for wrong, said in (
        ({"size": 24}, "image size is 24; a power of two from 8 on"),
        ({"size": 4}, "image size is 4; a power of two from 8 on"),
        ({"widths": [8, 6, 4]}, r"widths are \[8, 6, 4\]; all but the last are to be wavelets, so multiples of 4"),
        ({"widths": [8, 8]}, "3 numbers are expected, for 4 to 16 pixels"),
    ):
        with pytest.raises(BadArgument, match=said):
            awake(**wrong)


# ------------------------------------------------------------------------------------------------ teacher and losses


def test_the_mapping_network_is_the_teachers_and_stays_so() -> None:
    game: Any = tiny("mobilestylegan", classes=3)
    theirs = game.teacher.network.mapping.state_dict()
    assert any(not torch.equal(value, theirs[key]) for key, value in game.generator.mapping.state_dict().items())
    before = {key: value.clone() for key, value in game.generator.synthesis.named_parameters()}
    teacher = {key: value.clone() for key, value in game.teacher.network.state_dict().items()}
    fit(game, 3)
    for table in (game.generator.mapping.state_dict(), game.averaged.mapping.state_dict()):
        assert all(torch.equal(value, theirs[key]) for key, value in table.items())
    assert all(not torch.equal(value, before[key]) for key, value in game.generator.synthesis.named_parameters())
    assert all(torch.equal(value, teacher[key]) for key, value in game.teacher.network.state_dict().items())
    names = [name for tensors in (game.inference_tensors(), game.player_tensors()) for name in tensors]
    assert not any("teacher" in name or "features" in name for name in [*names, *game.state_dict()])


def test_a_teacher_that_does_not_fit() -> None:
    wrongs: list[tuple[nn.Module, str]] = [
        (tiny("stylegan2", size=8, widths=[4, 4]).generator, "is no StyleGAN2 of 16 pixels"),
        (tiny("dcgan", size=16).generator, "is no StyleGAN2 of 16 pixels"),
        (
            tiny("stylegan2", size=16, widths=[4] * 3, mapping_layers=1).generator,
            r"layers.1.weight .* sides None, and the student's \[6, 6\]",
        ),
        (
            tiny("stylegan2", size=16, widths=[4] * 3, classes=2).generator,
            r"has sides \[6, 12\], and the student's \[6, 6\]",
        ),
    ]
    for network, said in wrongs:
        game: Any = tiny("mobilestylegan")
        game.teacher.give(network)
        with pytest.raises(BadArgument, match=said) as error:
            fit(game, 1)
        assert "\n" not in str(error.value)


def test_without_its_helpers_it_does_not_train() -> None:
    game: Any = tiny("mobilestylegan")
    for helper in game.helpers.values():
        helper._network = None
    with pytest.raises(BadArgument, match="the helper stylegan2-ffhq was not given"):
        game.generator_loss(Batch(torch.zeros(2, 1, 16, 16)))
    assert game.sample(1).shape == (1, 1, 16, 16), "drawing needs none"


def test_student_and_teacher_are_shown_the_same_w_and_noise() -> None:
    game: Any = lend(tiny("mobilestylegan"))
    game._join(game.teacher.network)
    z, noise, drawn = game.lesson(Batch(torch.zeros(3, 1, 16, 16)))
    assert [tuple(each.shape) for each in noise] == [(3, 1, side, side) for side in (4, 8, 8)]
    more = [torch.zeros(3, 1, 16, 16)] * 2
    teacher = game.teacher.network
    with torch.no_grad():
        for block in teacher.synthesis.blocks[2:]:  # of whose noise the student has no part
            block.up.strength.zero_(), block.conv.strength.zero_()
        assert torch.allclose(teacher(z, noise=[*noise, *more]), drawn, atol=1e-6)
    assert torch.equal(teacher.mapping(z)[:, 0], game.generator.mapping(z)[:, 0])


def test_the_generators_loss_is_the_sum_of_its_terms() -> None:
    game: Any = tiny("mobilestylegan", pixel_weight=2.0, perceptual_weight=3.0, adversarial_weight=0.25, augment=False)
    batch = Batch(torch.zeros(4, 1, 16, 16))
    torch.manual_seed(0)
    total = game.generator_loss(batch)
    torch.manual_seed(0)
    z, noise, drawn = game.lesson(batch)
    pyramid = game.generator.synthesis.pyramid(game.generator.mapping(z), noise)
    made = from_wavelets(pyramid[-1])
    pixel = torch.zeros(())
    for wavelets in pyramid:
        image = from_wavelets(wavelets)
        small = F.interpolate(drawn, image.shape[2:], mode="bilinear", align_corners=True)
        for difference in (image - small, wavelets - torch.from_numpy(haar(small.numpy()))):
            pixel = pixel + difference.abs().mean() + difference.square().mean()
    assert torch.allclose(pixel_distance(pyramid, drawn), pixel.float(), rtol=1e-5)
    large = [F.interpolate(x, (256, 256), mode="bilinear", align_corners=False) for x in (made, drawn)]
    maps = [game.features.network(x) for x in large]
    perceptual = sum((one - other).abs().mean() for one, other in zip(*maps, strict=True))
    adversarial = F.softplus(-game.discriminator(made)).mean()
    assert torch.allclose(total, 2 * pixel.float() + 3 * perceptual + 0.25 * adversarial, rtol=1e-5)
    for player, loss in (("generator", game.generator_loss), ("discriminator", game.discriminator_loss)):
        game.zero_grad()
        loss(batch).backward()
        learning = [p.grad is not None for p in game.players()[player].parameters()]
        assert all(learning), player


def test_terms_that_are_left_out() -> None:
    game: Any = tiny("mobilestylegan", perceptual=None, gamma=0.0)
    assert set(game.helpers) == {"teacher"}
    fit(game, 2)
    assert game.perceptual_distance(torch.zeros(1), torch.ones(1)) == 0


def test_the_student_comes_near_its_teacher() -> None:
    """A few hundred steps make its pictures those of the teacher for the most part."""
    game: Any = tiny("mobilestylegan", lr=5e-3, adversarial_weight=0.0, perceptual=None, widths=[8, 8])
    batch = Batch(torch.zeros(16, 1, 16, 16))

    def distance() -> float:
        torch.manual_seed(5)
        with torch.no_grad():
            z, noise, drawn = game.lesson(batch)
            made = game.generator(z, noise=noise)
        return float((made - drawn).abs().mean() / drawn.std())

    game._join(game.teacher.network)
    before = distance()
    fit(game, 150, batch_size=16)
    assert distance() < 0.5 * before


def test_stand_ins_are_those_of_the_helpers() -> None:
    game: Any = tiny("mobilestylegan")
    assert set(STAND_INS) >= set(game.helpers) and isinstance(game.features.network, Maps)
