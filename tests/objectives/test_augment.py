"""ADA and DiffAugment: closed forms of what is drawn, other ways of moving pixels, derivatives, and the control."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from helpers import fit, same
from helpers import tensors as tensors_of
from torch import Tensor, nn

from ganzoo.game.abilities import Samples
from ganzoo.game.engine import Engine, Player
from ganzoo.game.priors import Normal
from ganzoo.objectives import losses, penalties
from ganzoo.objectives.augment import (
    ADA,
    BGC,
    GROUPS,
    POLICIES,
    TRANSFORMS,
    augment,
    chain,
    diff_augment,
    overfitting,
    pixels,
    strengths,
    tensors,
    validation_overfitting,
)
from ganzoo.types import BadArgument, Batch

Array = npt.NDArray[Any]

EVERYTHING = tuple(GROUPS)
N = 40_000  # draws of which means are taken; their standard errors are below 0.01 for all that is bounded by 2
EYE3: Array = np.eye(3)
AXIS: Array = np.full((3, 3), 1 / 3)  # v v^T for v = (1, 1, 1) / sqrt 3

every_transform = pytest.mark.parametrize("name", TRANSFORMS)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, dtype=dtype) * 2 - 1


def draws(p: float, *names: str, n: int = N, height: int = 16, width: int = 24) -> chain.Draws:
    return chain.Draws(torch.empty(n, 3, height, width), torch.tensor(p), strengths(names))


# ------------------------------------------------------------------------------------------------ what is drawn


def expected(name: str, p: float) -> Array:
    """The mean of a transform's matrices, in closed form."""

    def lognormal(octaves: float) -> float:
        return math.exp((octaves * math.log(2)) ** 2 / 2)  # E exp N(0, (octaves ln 2)^2)

    def diagonal(x: float, y: float) -> Array:
        matrix: Array = EYE3 * np.array([x, y, 1.0])
        return matrix

    around = EYE3 - AXIS
    linear: Array = {
        "x_flip": diagonal(0, 1),  # E(1 - 2i) = 0
        "rotate_90": diagonal(0, 0),  # the four turns cancel
        "integer_translation": EYE3,
        "isotropic_scale": diagonal(lognormal(0.2), lognormal(0.2)),
        "anisotropic_scale": diagonal(lognormal(0.2), lognormal(0.2)),  # 1/s is distributed as s
        "rotation": diagonal(0, 0),  # either of two rotations, together with probability p
        "fractional_translation": EYE3,
        "brightness": EYE3,
        "contrast": EYE3 * lognormal(0.5),
        "luma_flip": EYE3 - AXIS,  # half of the reflections I - 2 v v^T
        "hue": AXIS,  # E cos = E sin = 0
        "saturation": AXIS + around * lognormal(1.0),
    }[name]
    whole: Array = linear
    if name in GROUPS["color"]:
        whole = np.eye(4)
        whole[:3, :3] = linear
    mean: Array = (1 - p) * np.eye(len(whole)) + p * whole
    return mean


@pytest.mark.parametrize("p", [0.3, 1.0])
@pytest.mark.parametrize("name", [name for group in BGC for name in GROUPS[group]])
def test_the_mean_of_each_matrix(name: str, p: float) -> None:
    group = next(group for group in BGC if name in GROUPS[group])
    matrices = getattr(chain, group)(draws(p, name))
    found = matrices.double().mean(0).numpy()
    error = matrices.double().std(0).numpy() / math.sqrt(N)
    np.testing.assert_array_less(np.abs(found - expected(name, p)), 5 * error + 1e-6)


@pytest.mark.parametrize("p", [0.3, 1.0])
@every_transform
def test_how_often_each_is_applied(name: str, p: float) -> None:
    d = draws(p, name, height=64, width=64)
    group = next(group for group, names in GROUPS.items() if name in names)
    if group in ("noise", "cutout"):
        images = torch.ones(4000, 1, 8, 8)
        changed = (augment(images, p, [name]) != images).flatten(1).any(1)
    else:
        parameters = getattr(chain, {"filter": "gains"}.get(group, group))(d)
        one = torch.ones(4) if group == "filter" else torch.eye(parameters.shape[-1])
        changed = (parameters != one).flatten(1).any(1)
    # the share of a transform's own draws that leave an image alone: not mirrored, not turned, shifted by 0 pixels
    alone = {"x_flip": 1 / 2, "rotate_90": 1 / 4, "integer_translation": 1 / 16**2, "luma_flip": 1 / 2}.get(name, 0.0)
    once = p * (1 - alone) if name != "amplification" else 1 - (1 - p) ** 4
    assert changed.float().mean().item() == pytest.approx(once, abs=5 * math.sqrt(0.25 / len(changed)))


def test_the_distributions() -> None:
    """Their deviations and extents; the means are in `test_the_mean_of_each_matrix`."""

    def values(group: str, name: str, row: int, column: int) -> Array:
        found: Array = getattr(chain, group)(draws(1.0, name))[:, row, column].double().numpy()
        return found

    assert set(np.unique(values("blit", "x_flip", 0, 0))) == {-1.0, 1.0}
    assert set(np.unique(values("blit", "rotate_90", 0, 1))) == {-1.0, 0.0, 1.0}
    shifts = values("blit", "integer_translation", 0, 2)
    counts = np.array([(shifts == k).mean() for k in range(-3, 4)])  # an eighth of 24 pixels; the ends are half as wide
    np.testing.assert_allclose(counts, np.array([0.5, 1, 1, 1, 1, 1, 0.5]) / 6, atol=0.01)
    assert set(np.unique(values("blit", "integer_translation", 1, 2))) == {-2.0, -1.0, 0.0, 1.0, 2.0}
    for group, name, octaves in (
        ("geometry", "isotropic_scale", 0.2),
        ("geometry", "anisotropic_scale", 0.2),
        ("color", "contrast", 0.5),
    ):
        logs = np.log2(values(group, name, 0, 0))
        assert (logs.mean(), logs.std()) == pytest.approx((0, octaves), abs=0.01)
    both = chain.geometry(draws(1.0, "anisotropic_scale"))
    assert torch.allclose(both[:, 0, 0] * both[:, 1, 1], torch.ones(N)), "the area is kept"
    saturation = chain.color(draws(1.0, "saturation"))[:, :3, :3].double() @ torch.tensor([1.0, -1.0, 0.0]).double()
    logs = np.log2(saturation[:, 0].numpy())
    assert (logs.mean(), logs.std()) == pytest.approx((0, 1.0), abs=0.02)
    for row, size in ((0, 24), (1, 16)):
        shifts = values("geometry", "fractional_translation", row, 2) / size
        assert (shifts.mean(), shifts.std()) == pytest.approx((0, 1 / 8), abs=0.005)
    assert values("color", "brightness", 1, 3).std() == pytest.approx(0.2, rel=0.02)
    cosine, sine = chain.geometry(draws(1.0, "rotation"))[:, :2, 0].unbind(1)
    angles = torch.atan2(sine, cosine)
    quantiles = torch.quantile(angles, torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95]))
    np.testing.assert_allclose(quantiles.numpy() / math.pi, [-0.9, -0.5, 0, 0.5, 0.9], atol=0.03)


def test_rotation_is_drawn_before_and_after_the_anisotropic_scaling() -> None:
    # at p = 1 only a rotation that comes after lets the long axis point anywhere, and only one before mixes the columns
    G = chain.geometry(draws(1.0, "rotation", "anisotropic_scale", n=2000))[:, :2, :2]
    left, _, right = torch.linalg.svd(G)
    for turn in (left[:, :, 0], right[:, 0]):
        angle = torch.atan2(turn[:, 1], turn[:, 0]) % math.pi
        assert torch.histc(angle, 4, 0, math.pi).min() > 400


def test_hue_is_a_rotation_about_the_axis_of_greys() -> None:
    # by the exponential of the generator, another way than Rodrigues' formula
    C = chain.color(draws(1.0, "hue", n=50))[:, :3, :3].double()
    v = torch.full((3,), 1 / math.sqrt(3), dtype=torch.float64)
    generator = torch.linalg.cross(torch.eye(3, dtype=torch.float64), v.expand(3, 3)).T
    for matrix in C:
        sine = ((matrix - matrix.T) * generator).sum() / (2 * (generator * generator).sum()) * 2 / 2
        angle = torch.atan2(sine, (matrix.trace() - 1) / 2)
        candidates = [torch.linalg.matrix_exp(sign * angle * generator) for sign in (1, -1)]
        assert min((matrix - each).abs().max().item() for each in candidates) < 1e-6
        assert torch.allclose(matrix @ v, v, atol=1e-6) and matrix.det().item() == pytest.approx(1, abs=1e-5)


def test_luma_flip_and_saturation_keep_what_they_should() -> None:
    colour = torch.tensor([0.9, -0.3, 0.1, 1.0])
    flipped = chain.color(draws(1.0, "luma_flip", n=100)) @ colour
    assert torch.allclose((flipped[:, :3].mean(1).abs()), colour[:3].mean().abs()), "the luma changes sign at most"
    assert torch.allclose(flipped[:, 0] - flipped[:, 1], torch.tensor(1.2)), "the chroma stays"
    saturated = chain.color(draws(1.0, "saturation", n=100)) @ colour
    assert torch.allclose(saturated[:, :3].mean(1), colour[:3].mean(), atol=1e-6), "the luma stays"


def test_gains_keep_the_power_of_natural_images() -> None:
    power = torch.tensor([10.0, 1, 1, 1]) / 13
    gains = chain.gains(draws(0.7, "filter", n=1000))
    assert gains.shape == (1000, 4) and gains.min() > 0
    one = chain.gains(draws(0.05, "filter", n=4000))  # mostly none or one band is drawn: a single normalisation
    single = one[((one.log2() - one.log2().median(1, keepdim=True).values).abs() > 1e-4).sum(1) == 1]
    assert len(single) > 300
    assert torch.allclose((power * single**2).sum(1), torch.ones(len(single)), atol=1e-5)


# --------------------------------------------------------------------------------------------------- pixels: blits


def blit(*matrices: Tensor) -> Tensor:
    whole = matrices[0]
    for matrix in matrices[1:]:
        whole = matrix @ whole
    return whole


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns_are_those_of_rot90(turns: int) -> None:
    images = noise(2, 3, 9, 9)
    turned = pixels.warp(images, tensors.quarter_turns(torch.full((2,), turns)))
    assert torch.equal(turned, torch.rot90(images, -turns, (2, 3))), "positive angles turn x, right, towards y, down"


def test_mirror_images_are_those_of_flip() -> None:
    images = noise(3, 1, 6, 7)
    signs = torch.tensor([1.0, -1.0, -1.0])
    flipped = pixels.warp(images, tensors.scale2d(signs, torch.ones(3)))
    assert torch.equal(flipped, torch.stack([images[0], images[1].flip(2), images[2].flip(2)]))


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, 0), (0, -2), (-5, 4), (7, -6)])
def test_whole_shifts_are_those_of_reflection_padding(right: int, down: int) -> None:
    images = noise(1, 2, 8, 9)
    shifted = pixels.warp(images, tensors.translate2d(torch.tensor([float(right)]), torch.tensor([float(down)])))
    pad = 7
    padded = F.pad(images, (pad, pad, pad, pad), mode="reflect")
    rolled = torch.roll(padded, (down, right), (2, 3))[:, :, pad:-pad, pad:-pad]
    assert torch.equal(shifted, rolled)


def test_shifts_beyond_any_padding() -> None:
    # torch refuses to reflect further than the image is large; numpy goes on
    images = noise(1, 1, 5, 4)
    shifted = pixels.warp(images, tensors.translate2d(torch.tensor([11.0]), torch.tensor([-13.0])))
    padded = np.pad(images[0, 0].numpy(), ((0, 13), (11, 0)), mode="reflect")
    np.testing.assert_array_equal(shifted[0, 0].numpy(), padded[13:18, :4])


def test_turns_of_oblong_images_show_the_reflection() -> None:
    images = noise(1, 1, 5, 9)
    turned = pixels.warp(images, tensors.quarter_turns(torch.tensor([1])))
    square = np.pad(images[0, 0].numpy(), ((2, 2), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(turned[0, 0].numpy(), np.rot90(square, -1)[2:7])


# -------------------------------------------------------------------------------------------- pixels: resampling


def test_sym6_is_what_defines_it() -> None:
    taps, at = np.array(pixels.SYM6), np.arange(12) - 5.5
    for shift in range(0, 12, 2):
        assert abs((taps[shift:] * taps[: 12 - shift]).sum() - (shift == 0)) < 1e-11, "orthogonal to its even shifts"
    for moment in range(6):
        assert abs(((-1.0) ** np.arange(12) * at**moment * taps).sum()) < 1e-9, "six vanishing moments at π"
    assert taps.sum() == pytest.approx(math.sqrt(2))
    # there are four such filters but for reversal: all choices of one zero of each reciprocal pair or quadruple. The
    # least asymmetric has the phase nearest to linear
    assert _phase(taps) == pytest.approx(min(_phase(other) for other in _daubechies(6)), rel=1e-6)


def _phase(taps: Array) -> float:
    """How far the phase in the pass band departs from a straight line."""
    omega = np.linspace(0, math.pi / 2, 65)
    phase = np.unwrap(np.angle(np.exp(-1j * omega[:, None] * np.arange(len(taps))) @ taps))
    slope = (omega * phase).sum() / (omega**2).sum()
    return float(np.abs(phase - slope * omega).max())


def _daubechies(moments: int) -> list[Array]:
    """All real orthogonal filters with as many vanishing moments as their length allows, by spectral factorisation."""
    # P(y) = sum C(N - 1 + k, k) y^k, y = (2 - z - 1/z) / 4: each root y gives a pair of zeros z, 1/z
    roots = np.roots([math.comb(moments - 1 + k, k) for k in range(moments)][::-1])
    groups = [[y] for y in roots if abs(y.imag) < 1e-9] + [[y, y.conj()] for y in roots if y.imag > 1e-9]
    found = []
    for choice in range(2 ** len(groups)):
        zeros = []
        for bit, group in enumerate(groups):
            for y in group:
                b = 1 - 2 * y
                inside, outside = sorted([b - np.sqrt(b**2 - 1), b + np.sqrt(b**2 - 1)], key=abs)
                zeros.append(outside if choice >> bit & 1 else inside)
        taps = np.real(np.poly([*[-1.0] * moments, *zeros]))
        found.append(taps / taps.sum() * math.sqrt(2))
    return found


def test_the_way_there_and_back_is_lossless() -> None:
    for shape in ((2, 3, 16, 12), (1, 1, 5, 3), (1, 2, 1, 4)):
        images = noise(*shape, dtype=torch.float64)
        same = pixels._resampled(images, torch.eye(3, dtype=torch.float64).expand(len(images), 3, 3))
        assert torch.allclose(same, images, atol=1e-10)


def waves(x: Tensor, y: Tensor, height: int, width: int, u: int, v: int) -> Tensor:
    """A pattern that is its own reflection at the image's edges, at any point."""
    across = torch.cos(math.pi * u * (x / (width - 1) + 0.5))
    return across * torch.cos(math.pi * v * (y / (height - 1) + 0.5))


@pytest.mark.parametrize(("u", "v", "tolerance"), [(1, 1, 1e-3), (3, 2, 5e-3), (6, 5, 0.03)])
def test_any_warp_of_waves_in_closed_form(u: int, v: int, tolerance: float) -> None:
    height, width = 32, 40
    whole = blit(
        tensors.scale2d(torch.tensor([1.3, 0.6]), torch.tensor([0.8, 0.7])),
        tensors.rotate2d(torch.tensor([2.3, -0.4])),
        tensors.translate2d(torch.tensor([9.3, -30.5]), torch.tensor([-4.2, 61.7])),
    ).double()
    y, x = torch.meshgrid(*(torch.arange(s).double() - (s - 1) / 2 for s in (height, width)), indexing="ij")
    image = waves(x, y, height, width, u, v).expand(2, 1, -1, -1)
    warped = pixels.warp(image, torch.eye(3).expand(2, 3, 3), whole)
    for one, matrix in zip(warped[:, 0], whole, strict=True):
        sources = torch.linalg.inv(matrix)[:2] @ torch.stack([x.flatten(), y.flatten(), torch.ones(x.numel())]).double()
        there = waves(sources[0].view(height, width), sources[1].view(height, width), height, width, u, v)
        assert (one - there).abs().max() < tolerance


def test_blits_through_the_resampling_agree_with_copies() -> None:
    """On smooth images, where interpolation is accurate: the two paths of `warp` have one geometry."""
    y, x = torch.meshgrid(*(torch.arange(16).double() - 7.5 for _ in range(2)), indexing="ij")
    image = (torch.sin(0.3 * x + 0.2) * torch.cos(0.2 * y - 0.4) + 0.05 * x).expand(1, 1, -1, -1)
    for matrix in (
        tensors.scale2d(torch.tensor([-1.0]), torch.tensor([1.0])),
        tensors.quarter_turns(torch.tensor([1])),
        tensors.translate2d(torch.tensor([2.0]), torch.tensor([-1.0])),
    ):
        copied = pixels.warp(image, matrix)
        resampled = pixels._resampled(image, matrix.double())
        assert (copied - resampled)[:, :, 4:-4, 4:-4].abs().max() < 0.01


def test_images_without_a_draw_stay_beside_those_that_move() -> None:
    images = noise(64, 3, 8, 8)
    moved = augment(images, 0.1, BGC)
    kept = (moved == images).flatten(1).all(1)
    assert 5 < kept.sum() < 60


def test_a_device_that_is_not_waited_for_resamples_all_and_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(16, 3, 8, 8, dtype=torch.float64).requires_grad_()
    made, gradients = [], []
    for wait in (False, True):
        monkeypatch.setattr(pixels, "_would_wait", lambda device, wait=wait: wait)
        torch.manual_seed(3)
        made.append(augment(images, 0.2, BGC))
        gradients.append(torch.autograd.grad((made[-1] ** 3).sum(), images)[0])
    assert torch.allclose(made[0], made[1]) and torch.allclose(gradients[0], gradients[1])


def test_lookup_by_kernel_and_by_elements_agree() -> None:
    images = noise(2, 3, 7, 9, dtype=torch.float64).requires_grad_()
    x, y = torch.rand(2, 5, 6).double() * 8, torch.rand(2, 5, 6).double() * 6
    x[0, 0, 0], y[0, 0, 0] = 8, 6  # the last sample
    one, other = pixels._looked_up(images, x, y), pixels._gathered(images, x, y)
    assert torch.allclose(one, other)
    seen = noise(*one.shape, dtype=torch.float64)
    first, second = (torch.autograd.grad((made * seen).sum(), images)[0] for made in (one, other))
    assert torch.allclose(first, second)


# ------------------------------------------------------------------------------- pixels: colour, filter, noise, cutout


def test_colours_pixel_by_pixel() -> None:
    images, matrices = noise(3, 3, 2, 4), noise(3, 4, 4)
    found = pixels.recolor(images, matrices)
    for n in range(3):
        for row in range(2):
            for column in range(4):
                pixel = torch.cat([images[n, :, row, column], torch.ones(1)])
                assert torch.allclose(found[n, :, row, column], (matrices[n] @ pixel)[:3], atol=1e-6)


def test_grey_is_the_mean_of_the_colours_that_it_would_become() -> None:
    grey, matrices = noise(5, 1, 4, 3), chain.color(draws(1.0, "color", n=5))
    as_colour = pixels.recolor(grey.expand(-1, 3, -1, -1), matrices)
    assert torch.allclose(pixels.recolor(grey, matrices), as_colour.mean(1, keepdim=True), atol=1e-6)
    with pytest.raises(BadArgument, match="images of 4 channels have no colour to change"):
        augment(noise(1, 4, 8, 8), 0.5)
    assert augment(noise(1, 4, 8, 8), 0.5, ["blit", "geometry", "filter", "noise", "cutout"]).shape == (1, 4, 8, 8)


def test_the_filter_bank_divides_the_spectrum() -> None:
    bank = pixels.filter_bank()
    impulse = np.zeros(43)
    impulse[21] = 1
    np.testing.assert_allclose(bank.sum(0), impulse, atol=1e-15)
    np.testing.assert_allclose(bank, bank[:, ::-1], atol=1e-15)
    omega = np.linspace(0, math.pi, 400)
    response = (np.exp(1j * omega[:, None] * (np.arange(43) - 21)) @ bank.T).real
    assert response.min() > -1e-12, "products of squared amplitudes"
    # Daubechies' polynomial of two vanishing moments: |H|^2 / 2 = cos^4 (1 + 2 sin^2) of half the frequency
    low, lower, lowest = (np.cos(w) ** 4 * (1 + 2 * np.sin(w) ** 2) for w in (omega / 2, omega, 2 * omega))
    products = [low * lower * lowest, low * lower * (1 - lowest), low * (1 - lower), 1 - low]
    np.testing.assert_allclose(response, np.stack(products, 1), atol=1e-12)
    assert response[0].tolist() == pytest.approx([1, 0, 0, 0]) and response[-1].tolist() == pytest.approx([0, 0, 0, 1])


def test_sym2_is_what_defines_it() -> None:
    assert any(np.allclose(pixels.SYM2, other) or np.allclose(pixels.SYM2[::-1], other) for other in _daubechies(2))


def test_amplification_of_waves_in_closed_form() -> None:
    # a cosine with whole half-waves between the end pixels is its own reflection, and an eigenfunction of the filter
    size, gains = 33, torch.tensor([[2.0, 0.5, 3.0, 0.25]]).double()
    bank = pixels.filter_bank()
    at = torch.arange(size).double() / (size - 1) * math.pi
    for k in (0, 3, 7, 14, 30):
        image = torch.cos(k * at).expand(1, 2, size, size)
        response = (np.cos(k * math.pi / (size - 1) * (np.arange(43) - 21)) @ bank.T) @ gains[0].numpy()
        expected = image * response * gains[0, 0].item()  # along the rows it is constant: all in the lowest band
        assert torch.allclose(pixels.amplify(image, gains), expected, atol=1e-12)


def test_unit_gains_and_none_are_the_identity() -> None:
    images = noise(3, 2, 7, 50, dtype=torch.float64)
    assert torch.allclose(pixels.amplify(images, torch.ones(3, 4)), images, atol=1e-14)


def test_noise() -> None:
    images = torch.zeros(4000, 1, 6, 6)
    made = augment(images, 1.0, ["noise"])
    deviations = made.flatten(1).std(1, correction=0)
    assert made.mean().abs() < 0.002
    # E sigma^2 = 0.1^2 and E sigma = 0.1 sqrt(2 / π) of a half-normal
    assert made.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.05)
    assert deviations.mean().item() == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=0.05)


def test_cutout() -> None:
    images = torch.ones(4000, 2, 16, 24)
    gone = augment(images, 1.0, ["cutout"]) == 0
    assert torch.equal(gone[:, 0], gone[:, 1])
    heights, widths = gone[:, 0].any(2).sum(1), gone[:, 0].any(1).sum(1)
    assert torch.equal(gone[:, 0].sum((1, 2)), heights * widths), "a rectangle"
    assert heights.max() == 8 and widths.max() == 12, "of half the sides, where it is not cut by the edge"
    # a pixel in the middle third is hidden whenever the centre lies within a quarter on both axes: 1/2 of each
    assert gone[:, 0, 7, 11].float().mean().item() == pytest.approx(0.25, abs=0.03)
    # the corner pixel's middle lies 1/32 and 1/48 inside
    assert gone[:, 0, 0, 0].float().mean().item() == pytest.approx((1 / 4 + 1 / 32) * (1 / 4 + 1 / 48), abs=0.02)


# -------------------------------------------------------------------------------------------------- the whole chain


def test_p_0_is_the_identity_bit_by_bit() -> None:
    for dtype in (torch.float32, torch.float64):
        images = noise(8, 3, 12, 12, dtype=dtype)
        transformed = augment(images, torch.zeros(()), ["blit", "geometry", "noise", "cutout"])
        assert torch.equal(transformed, images)
        # colour and filter multiply by the identity in floating point
        assert torch.allclose(augment(images, 0.0, EVERYTHING), images, atol=1e-6)


def test_strengths() -> None:
    assert {name for name, value in strengths(BGC).items() if value} == {
        *GROUPS["blit"],
        *GROUPS["geometry"],
        *GROUPS["color"],
    }
    assert strengths({"blit": 0.5, "rotate_90": 0})["x_flip"] == 0.5
    assert strengths({"blit": 0.5, "rotate_90": 0})["rotate_90"] == 0
    images = torch.ones(N, 1, 2, 2)
    hidden = (augment(images, 0.6, {"noise": 0.5}) != images).flatten(1).any(1)
    assert hidden.float().mean().item() == pytest.approx(0.3, abs=0.015)
    with pytest.raises(BadArgument, match="there is no transform 'colour'; did you mean color"):
        strengths(["colour"])
    with pytest.raises(BadArgument, match="there is no transform 'xyz'; groups are blit, geometry"):
        strengths(["xyz"])
    with pytest.raises(BadArgument, match="'blit' has the strength 2; give a multiplier of p in"):
        strengths({"blit": 2})


@pytest.mark.parametrize("name", [*TRANSFORMS, EVERYTHING])
def test_first_and_second_derivatives(name: Any) -> None:
    transforms = [name] if isinstance(name, str) else name
    images = noise(2, 3, 5, 4, dtype=torch.float64).requires_grad_()
    curved = torch.randn(2, 3, 5, 4, dtype=torch.float64)

    def seen(images: Tensor) -> Tensor:
        torch.manual_seed(5)
        return torch.tanh(augment(images, 0.9, transforms) * curved)  # the chain itself is affine

    assert torch.autograd.gradcheck(seen, images, fast_mode=True)
    assert torch.autograd.gradgradcheck(seen, images, fast_mode=True)


def test_the_penalty_reaches_the_critic_through_the_chain() -> None:
    """R1 of an augmented critic, as StyleGAN2-ADA trains with: against finite differences in the critic's weights."""
    images = noise(2, 3, 6, 6, dtype=torch.float64)
    weights = torch.randn(3 * 36, dtype=torch.float64, requires_grad=True)

    def penalty(weights: Tensor) -> Tensor:
        torch.manual_seed(1)
        return penalties.r1(lambda x: torch.tanh(augment(x, 0.8).flatten(1) @ weights), images)

    assert torch.autograd.gradcheck(penalty, weights, fast_mode=True)


def test_an_image_is_augmented_by_its_own_draws() -> None:
    """The same draws give the same image, whatever else is in the batch and in which order."""
    images = noise(6, 3, 8, 8, dtype=torch.float64)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    matrices = [chain.blit(draws(0.9, "blit", n=6)), chain.geometry(draws(0.9, "geometry", n=6))]
    colours, gains = chain.color(draws(0.9, "color", n=6)), chain.gains(draws(0.9, "filter", n=6))

    def applied(images: Tensor, at: Tensor) -> Tensor:
        images = pixels.warp(images, *(matrix[at] for matrix in matrices))
        return pixels.amplify(pixels.recolor(images, colours[at]), gains[at])

    together = applied(images, torch.arange(6))
    assert torch.allclose(applied(images[order], order), together[order], atol=1e-12)
    assert torch.allclose(applied(images[2:3], torch.tensor([2])), together[2:3], atol=1e-12)


def test_the_seed_decides() -> None:
    images = noise(4, 3, 8, 8)
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(augment(images, 0.7, EVERYTHING))
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_half_types_are_widened_and_autocast_is_left() -> None:
    images = noise(4, 3, 8, 8).bfloat16()
    torch.manual_seed(1)
    plain = augment(images, 0.8, EVERYTHING)
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = augment(images, 0.8, EVERYTHING)
    assert plain.dtype == torch.float32 and torch.equal(plain, cast)


def test_nothing_is_read_on_the_host(no_sync: AbstractContextManager[object]) -> None:
    ada = ADA(EVERYTHING, p=0.5)
    with no_sync:
        images = ada(noise(4, 3, 8, 8))
        ada.observe(images.flatten(1).sum(1))
        ada.adjust()
        diff_augment(images)


# --------------------------------------------------------------------------------------------------------- the control


def test_p_rises_when_the_critic_overfits_and_falls_when_it_does_not() -> None:
    ada = ADA(images=1000)
    for _ in range(5):
        for _ in range(4):
            ada.observe(torch.ones(8, 1))  # sure of every training image
        ada.adjust()
    assert ada.p.item() == pytest.approx(5 * 32 / 1000) and ada.r_t.item() == 1
    for _ in range(3):
        ada.observe(torch.tensor([1.0, -1.0] * 16))  # as often wrong as right
        ada.adjust()
    assert ada.p.item() == pytest.approx(2 * 32 / 1000) and ada.r_t.item() == 0
    for _ in range(9):
        ada.observe(-torch.ones(32))
        ada.adjust()
    assert ada.p.item() == 0, "and not below 0"


def test_p_stays_at_the_target_and_without_images() -> None:
    ada = ADA(p=0.4, target=0.5, images=10)
    ada.observe(torch.tensor([1.0, 1.0, 1.0, -1.0]))
    ada.adjust()
    assert ada.p.item() == pytest.approx(0.4) and ada.r_t.item() == 0.5
    ada.adjust()
    assert ada.p.item() == pytest.approx(0.4) and ada.r_t.item() == 0.5
    ada.observe(torch.ones(100))
    ada.adjust()
    assert ada.p.item() == 1, "and not above 1"
    fixed = ADA(p=0.3, target=None)
    fixed.observe(torch.ones(100))
    fixed.adjust()
    assert fixed.p.item() == pytest.approx(0.3) and fixed.r_t.item() == 1


def test_the_control_holds_a_simulated_critic_at_its_target() -> None:
    """A critic whose training logits are positive with probability 1 - p / 2: r_t = 1 - p, so p settles at 0.4."""
    ada = ADA(images=2000)
    for _ in range(400):
        ada.observe(torch.rand(32) - ada.p / 2)
        ada.adjust()
    assert ada.p.item() == pytest.approx(0.4, abs=0.1)


def test_ranks_agree_on_one_p() -> None:
    """Two ranks with other images, through a sum as torch.distributed gives it, against one process with all images."""
    ranks, alone = [ADA(images=100), ADA(images=100)], ADA(images=100)
    logits = torch.tensor([[1.0, 1, 1, 1, 1], [1, 1, 1, 1, -1]])
    for ada, mine in zip(ranks, logits, strict=True):
        ada.observe(mine)
    alone.observe(logits.flatten())
    total = ranks[0].sums + ranks[1].sums
    for ada in ranks:
        ada.adjust(lambda sums: sums.copy_(total))
    alone.adjust()
    assert ranks[0].p == ranks[1].p == alone.p == pytest.approx(0.1) and alone.r_t.item() == pytest.approx(0.8)


def test_the_state_is_saved_and_goes_on() -> None:
    ada = ADA(p=0.25, images=50)
    ada.observe(torch.ones(3))
    again = ADA(images=50)
    again.load_state_dict(ada.state_dict())
    for each in (ada, again):
        each.observe(torch.ones(2))
        each.adjust()
    assert again.p == ada.p == pytest.approx(0.35)
    with torch.device("meta"):
        assert {name: b.device.type for name, b in ADA(p=0.5).named_buffers()} == dict.fromkeys(
            ["p", "r_t", "sums"], "cpu"
        ), "a model that is built without memory, to be loaded, has its control"
    assert not list(ada.parameters())


def test_logits_of_patches_and_those_that_are_no_numbers() -> None:
    ada = ADA(images=100)
    ada.observe(torch.tensor([[[1.0, 1.0], [1.0, -1.0]], [[math.nan, math.nan], [-1.0, 1.0]]]))
    ada.adjust()
    assert ada.r_t.item() == 0.25 and ada.p.item() == 0, "two images, of r_t 0.5 and 0"
    assert overfitting(torch.tensor([0.3, 2.0, -1.0, 0.0])).item() == 0.25


def test_the_heuristic_of_a_validation_set() -> None:
    fake, train = torch.full((5, 1), -1.0), torch.full((4, 1), 3.0)
    for validation, r_v in ((3.0, 0.0), (-1.0, 1.0), (2.0, 0.25)):
        assert validation_overfitting(train, torch.full((2, 1), validation), fake).item() == r_v


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"p": 1.5}, "p=1.5 is no probability"),
        ({"p": math.nan}, "p=nan is no probability"),
        ({"target": 1.0}, "target=1.0: r_t lies in"),
        ({"images": 0}, "images=0: give the images"),
        ({"transforms": ["geom"]}, "there is no transform 'geom'; did you mean geometry"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadArgument, match=complaint) as caught:
        ADA(**arguments)
    assert "\n" not in str(caught.value)


# --------------------------------------------------------------------------------------------------------- DiffAugment


def test_diff_augment_of_colour_has_the_means_of_its_draws() -> None:
    images = noise(1, 3, 4, 4, dtype=torch.float64)
    made = diff_augment(images.expand(20_000, -1, -1, -1), ["color"])
    # brightness has mean 0; saturation and contrast scale by 1 on average about means that brightness alone shifts
    assert (made.mean(0) - images[0]).abs().max() < 0.02
    shift = made.mean((1, 2, 3)) - images.mean()
    assert shift.abs().max() < 0.5 and shift.std().item() == pytest.approx(1 / math.sqrt(12), rel=0.02)
    chroma = (made[:, 0] - made[:, 1])[:, 0, 0] / (images[0, 0, 0, 0] - images[0, 1, 0, 0])
    assert chroma.min() >= 0 and chroma.max() < 3, "saturation in [0, 2) times contrast in [1/2, 3/2)"
    assert chroma.mean().item() == pytest.approx(1, abs=0.02)


def test_diff_augment_translates_by_whole_pixels_into_zeros() -> None:
    images = noise(300, 2, 16, 24)
    made = diff_augment(images, ["translation"])
    seen = set()
    for before, after in zip(images, made, strict=True):
        matches = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-3, 4)
            if torch.equal(F.pad(before, (3, 3, 2, 2))[:, 2 - down : 18 - down, 3 - right : 27 - right], after)
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) == 35, "every shift of up to an eighth"


def test_diff_augment_cuts_out_a_square_of_half_the_image() -> None:
    made = diff_augment(torch.ones(3000, 1, 12, 9), ["cutout"])[:, 0]
    gone = made == 0
    heights, widths = gone.any(2).sum(1), gone.any(1).sum(1)
    assert torch.equal(gone.sum((1, 2)), heights * widths)
    assert heights.unique().tolist() == [3, 4, 5, 6] and widths.max() == 4 and widths.min() >= 2
    assert gone.any(0).all(), "everywhere"


@pytest.mark.parametrize("policy", [*POLICIES, POLICIES])
def test_diff_augment_has_two_derivatives(policy: Any) -> None:
    policies = [policy] if isinstance(policy, str) else policy
    images = noise(2, 3, 6, 5, dtype=torch.float64).requires_grad_()
    curved = torch.randn(2, 3, 6, 5, dtype=torch.float64)

    def seen(images: Tensor) -> Tensor:
        torch.manual_seed(5)
        return torch.tanh(diff_augment(images, policies) * curved)

    assert torch.autograd.gradcheck(seen, images, fast_mode=True)
    assert torch.autograd.gradgradcheck(seen, images, fast_mode=True)


def test_diff_augment_without_policies_and_with_wrong_ones() -> None:
    images = noise(2, 3, 4, 4)
    assert torch.equal(diff_augment(images, []), images)
    with pytest.raises(BadArgument, match="DiffAugment has no policy 'colour'; there are color, translation, cutout"):
        diff_augment(images, ["colour"])


# ---------------------------------------------------------------------------------------------------------- in a game


class Augmented(Samples):
    """A small game as the package's docstring has it: ADA, with R1 through the transforms every other batch."""

    def __init__(self) -> None:
        super().__init__()
        self.shape, self.prior = (3, 8, 8), Normal(4)
        self.generator = nn.Sequential(nn.Linear(4, 192), nn.Tanh(), nn.Unflatten(1, (3, 8, 8)))
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.Softplus(), nn.Linear(8, 1))
        self.augment = ADA(p=0.5, images=100)

    def players(self) -> dict[str, Player]:
        return {name: Player(getattr(self, name), torch.optim.Adam) for name in ("discriminator", "generator")}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        self.move("discriminator", self.discriminator_loss, batch)
        if self.turn(every=2):
            self.move("discriminator", self.penalty_loss, batch, counts=False)
        if self.turn(every=4):
            self.augment.adjust(partial(self.trainer.strategy.reduce, reduce_op="sum"))
        self.move("generator", self.generator_loss, batch)

    def seen(self, images: Tensor) -> Tensor:
        logits: Tensor = self.discriminator(self.augment(images))
        return logits

    def discriminator_loss(self, batch: Batch) -> Tensor:
        real = self.seen(batch.images)
        self.augment.observe(real)
        return losses.minimax_discriminator(real, self.seen(self.fake(batch)))

    def penalty_loss(self, batch: Batch) -> Tensor:
        return penalties.r1(self.seen, batch.images)

    def generator_loss(self, batch: Batch) -> Tensor:
        return losses.nonsaturating_generator(self.seen(self.fake(batch)))

    def fake(self, batch: Batch) -> Tensor:
        images: Tensor = self.generator(torch.randn(len(batch.images), 4))
        return images


def game() -> Augmented:
    torch.manual_seed(0)
    made = Augmented()
    made.engine = Engine(log_every=1)
    return made


def test_a_resumed_run_is_the_run_and_the_control_is_no_network(tmp_path: Path) -> None:
    whole, half, resumed = game(), game(), game()
    fit(whole, 11)
    fit(half, 5).save_checkpoint(tmp_path / "last.ckpt")  # between two adjustments
    assert half.augment.sums[1] == 4
    fit(resumed, 11, ckpt=tmp_path / "last.ckpt")
    assert not same(tensors_of(whole), tensors_of(resumed))
    assert whole.augment.p != 0.5 and abs(whole.augment.p - 0.5) <= 0.32 + 1e-6
    assert whole.networks() == ["generator", "discriminator"]
    assert {name.partition(".")[0] for name in whole.player_tensors()} == {"generator", "discriminator"}


def test_accumulated_slices_are_all_observed() -> None:
    whole = game()
    whole.engine.accumulate = 2
    fit(whole, 3)
    assert whole.augment.sums[1] == 12, "three batches of four"
