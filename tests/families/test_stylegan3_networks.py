"""Filters against scipy, the non-linearity against upfirdn, its derivatives, the schedule, and equivariance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import signal, special  # type: ignore[import-untyped]
from torch import Tensor

from ganzoo.families.stylegan3 import banded, networks
from ganzoo.families.stylegan3.networks import filtered_lrelu, low_pass
from ganzoo.nn import signals
from ganzoo.types import BadArgument

# ----------------------------------------------------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("taps", "cutoff", "width", "rate"), [(12, 2, 12, 32), (24, 5.3, 6.1, 64), (7, 3, 40, 30), (48, 30, 4, 256)]
)
def test_separable_filters_are_those_of_scipy(taps: int, cutoff: float, width: float, rate: float) -> None:
    expected = signal.firwin(taps, cutoff, width=width, fs=rate)
    assert torch.allclose(low_pass(taps, cutoff, width, rate), torch.tensor(expected).float(), atol=1e-7)
    assert networks.kaiser_beta(taps, width / (rate / 2)) == pytest.approx(
        signal.kaiser_beta(signal.kaiser_atten(taps, width / (rate / 2)))
    )


@pytest.mark.parametrize("taps", [12, 9])
def test_radial_filters_are_a_windowed_jinc(taps: int) -> None:
    """The jinc is the transform of a disc: in closed form with scipy's J1, and by its response along a diagonal."""
    cutoff, width, rate = 5.0, 7.0, 32.0
    made = low_pass(taps, cutoff, width, rate, radial=True).double().numpy()
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    r = np.maximum(np.hypot(x[:, None], x), 1e-9)
    window = signal.get_window(("kaiser", networks.kaiser_beta(taps, width / 16)), taps, fftbins=False)
    expected = special.j1(2 * np.pi * cutoff * r) / r * np.outer(window, window)
    assert np.allclose(made, expected / expected.sum(), atol=1e-7)
    assert np.array_equal(made, made.T) and np.allclose(made, made[::-1], atol=1e-9)


def test_filters_pass_what_lies_below_the_band_and_stop_what_lies_above() -> None:
    cutoff, width, rate, taps = 8.0, 8.0, 64.0, 48
    for radial in (False, True):
        h = low_pass(taps, cutoff, width, rate, radial).double()
        h = h if radial else h[:, None] * h
        assert h.sum().item() == pytest.approx(1, abs=1e-6), "the gain at frequency 0 is 1"
        x = (torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2) / rate

        def response(f: float, angle: float, h: Tensor = h, x: Tensor = x) -> float:
            along = f * (x[:, None] * math.sin(angle) + x * math.cos(angle))
            return float((h * torch.cos(2 * math.pi * along)).sum())

        for angle in (0.0, math.pi / 4) if radial else (0.0,):
            assert response(cutoff - width / 2, angle) == pytest.approx(1, abs=0.1)
            assert abs(response(cutoff + width / 2, angle)) < 0.1 and abs(response(3 * cutoff, angle)) < 0.01
        if not radial:  # a separable filter passes the corners of a square, a radial one does not
            assert response(1.3 * (cutoff - width / 2), math.pi / 4) > 0.9


# --------------------------------------------------------------------------------------------------- the non-linearity


def by_upfirdn(x: Tensor, up_filter: Tensor, down_filter: Tensor, **given: Any) -> Tensor:
    """The non-linearity with scipy's upfirdn along each axis (convolve2d where a filter is not separable)."""
    up, down, (low, high) = given["up"], given["down"], given["padding"]
    gain, slope, clamp = given["gain"], given["slope"], given["clamp"]

    def along(a: Any, h: Any, up: int, down: int, low: int, high: int, axis: int) -> Any:
        length = a.shape[axis] * up + low + high - len(h) + 1
        whole = signal.upfirdn(h, a, up, 1, axis=axis)  # begins `len(h) - 1` samples before the first inside
        pads = [(0, 0)] * 4
        pads[axis] = (len(h), length + len(h))
        whole = np.pad(whole, pads)
        start = 2 * len(h) - 1 - low
        return np.take(whole, range(start, start + length, down), axis=axis)

    u, h = x.double().numpy(), up_filter.double().numpy() * up
    u = along(along(u, h, up, 1, low, high, 3), h, up, 1, low, high, 2) * gain
    u = np.where(u > 0, u, u * slope)
    u = u if clamp is None else np.clip(u, -clamp, clamp)
    h = down_filter.double().numpy()
    if h.ndim == 1:
        u = along(along(u, h, 1, down, 0, 0, 3), h, 1, down, 0, 0, 2)
    else:
        made = [[signal.convolve2d(plane, h, mode="valid")[::down, ::down] for plane in image] for image in u]
        u = np.array(made)
    return torch.from_numpy(u)


CASES = [
    {"up": 2, "down": 2, "padding": (9, 8), "up_taps": 12, "down_taps": 12},
    {"up": 4, "down": 2, "padding": (-1, -2), "up_taps": 16, "down_taps": 8},
    {"up": 2, "down": 2, "padding": (11, 10), "up_taps": 12, "down_taps": 12, "radial": True},
    {"up": 1, "down": 1, "padding": (-1, -1), "up_taps": 1, "down_taps": 1},
    {"up": 3, "down": 1, "padding": (4, 0), "up_taps": 10, "down_taps": 1},
    {"up": 1, "down": 3, "padding": (5, 2), "up_taps": 1, "down_taps": 11, "radial": True},
    {"up": 8, "down": 4, "padding": (20, 23), "up_taps": 48, "down_taps": 24},
]


def chosen(case: dict[str, Any], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Filters that are not symmetric, so that a mirrored one would show, and the other arguments."""
    draw = torch.Generator().manual_seed(0)
    up = torch.rand(case["up_taps"], generator=draw, dtype=dtype) / case["up_taps"]
    shape = [case["down_taps"]] * (2 if case.get("radial") else 1)
    down = torch.rand(shape, generator=draw, dtype=dtype) / math.prod(shape)
    rest = {key: case[key] for key in ("up", "down", "padding")}
    return up, down, {**rest, "gain": 1.7, "slope": 0.2, "clamp": 0.9}


@pytest.fixture(params=["banded", "strided"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of computing it: that of a CPU, and that of other devices and compiled networks."""
    if request.param == "strided":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    return str(request.param)


@pytest.mark.parametrize("case", CASES)
def test_it_is_upfirdn_and_a_leaky_relu(case: dict[str, Any], path: str) -> None:
    up, down, given = chosen(case)
    for side in ((11, 14), (75, 40)):  # one product, and several tiles of the band
        x = torch.randn(2, 3, *side, dtype=torch.float64)
        expected = by_upfirdn(x, up, down, **given)
        made = filtered_lrelu(x, up, down, **given)
        assert made.shape == expected.shape and torch.allclose(made, expected, atol=1e-12)
        swapped = filtered_lrelu(x.contiguous(memory_format=torch.channels_last), up, down, **given)
        assert torch.allclose(swapped, expected, atol=1e-12), "whatever the layout in memory"


@pytest.mark.parametrize("case", CASES)
def test_derivatives_of_any_order(case: dict[str, Any], path: str) -> None:
    up, down, given = chosen(case)
    side = (9, 8) if case["padding"][0] < 0 else (4, 5)
    x = torch.randn(1, 1, *side, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor) -> Tensor:
        return filtered_lrelu(x, up, down, **given)

    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


def test_both_ways_have_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several tiles and several chunks of feature maps: more than gradcheck has time for."""
    monkeypatch.setattr(banded, "_CHUNK", 50_000)
    up, down, given = chosen(CASES[1])
    x = torch.randn(2, 3, 40, 75, dtype=torch.float64, requires_grad=True)
    found = []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiling=compiling: compiling)
        y = filtered_lrelu(x, up, down, **given)
        (first,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(2).sum(), x)
        found.append((y, first, second))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-12) and one.abs().max() > 0


def test_the_upsampled_signal_is_not_kept_for_the_backward_pass() -> None:
    h = low_pass(12, 2, 12, 32)
    kept: list[int] = []
    x = torch.randn(1, 4, 40, 40, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):  # type: ignore[func-returns-value]
        filtered_lrelu(x, h, h, up=2, down=2, padding=(9, 8))
    assert max(kept) == x.numel()


def test_what_leaves_nothing_is_refused() -> None:
    with pytest.raises(BadArgument, match="fewer than the taps"):
        filtered_lrelu(torch.zeros(1, 1, 4, 4), torch.ones(12), torch.ones(12), up=2, down=2)


def test_blur() -> None:
    """Against the definition, 2^-(x / sigma)^2 normalised; and nothing where it is narrower than a pixel."""
    images = torch.zeros(1, 2, 41, 41)
    images[:, :, 20, 20] = 1
    sigma = 2.5
    x = np.arange(-7, 8)
    h = np.exp2(-((x / sigma) ** 2))
    made = networks.blurred(images, sigma)[0, 1].numpy()
    assert np.allclose(made[13:28, 13:28], np.outer(h, h) / h.sum() ** 2, atol=1e-7)
    assert made.sum() == pytest.approx(1, abs=1e-5)
    assert networks.blurred(images, 0.33) is images


# ------------------------------------------------------------------------------------------------------- the layers


def test_the_schedule_of_the_paper() -> None:
    """The published 256 px network: sizes and feature maps of its layers, as their names and shapes say."""
    made = signals.schedule(256, 3)
    assert [s.size for s in made] == [36, 36, 36, 52, 52, 84, 84, 148, 148, 148, 276, 276, 276, 256, 256]
    assert [s.channels for s in made] == [*[512] * 9, 362, 256, 181, 128, 128, 3]
    assert [s.rate for s in made] == [16, 16, 16, 32, 32, 64, 64, 128, 128, 128, *[256] * 5]
    # Figure 4c: the first cutoff is 2, the last two layers are critically sampled at half the rate
    assert made[0].cutoff == 2 and [s.cutoff for s in made[-3:]] == [128] * 3
    assert made[11].cutoff < 128 and all(s.half_width > 0 for s in made)


@pytest.mark.parametrize(
    "wrong", [{"critical": 14}, {"first_cutoff": 200.0}, {"first_stopband": 1.5}, {"last_stopband": 0.5}]
)
def test_frequencies_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadArgument, match=r"expected|must not be"):
        signals.schedule(256, 3, **wrong)


def network(radial: bool, kernel: int, **options: Any) -> tuple[networks.Synthesis, Tensor]:
    torch.manual_seed(0)
    layers = signals.schedule(64, 3, base=1024, most=32, layers=7)
    made = networks.Synthesis(12, layers, 2, radial=radial, kernel=kernel, **options)
    ws = torch.randn(2, made.count, 12)
    with torch.no_grad():
        for _ in range(2):
            made(ws, track=1.0)  # magnitudes as they are at the end of a training
    return made, ws


def moved(made: networks.Synthesis, ws: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The picture where the input is moved, and the picture moved: interpolated from four times as many pixels."""
    with torch.no_grad():
        plain = made(ws)
        made.input.transform[:2] = matrix
        image = made(ws)
        made.input.transform.copy_(torch.eye(3))
        h = low_pass(96, 32, 4, 256)
        fine = filtered_lrelu(plain, h, up=4, padding=(49, 46), gain=1.0, slope=1.0)
        theta = matrix * torch.tensor([1.0, 1.0, 2.0])  # torch's plane is two sides wide
        grid = F.affine_grid(theta.expand(2, 2, 3), list(plain.shape), align_corners=False)
        return image, F.grid_sample(fine, grid, mode="bicubic", align_corners=False)


def psnr(one: Tensor, other: Tensor, margin: int = 20) -> float:
    """In decibels of the range; a margin is left out where the moved picture has no pixels."""
    a, b = (x[..., margin:-margin, margin:-margin] for x in (one, other))
    return 20 * math.log10(float(b.max() - b.min())) - 10 * math.log10(float((a - b).square().mean()))


def shift(x: float, y: float) -> Tensor:
    return torch.tensor([[1, 0, -x / 64], [0, 1, -y / 64]])


def rotation(degrees: float) -> Tensor:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, -s, 0], [s, c, 0]])


@pytest.mark.parametrize("configuration", ["t", "r"])
def test_translation_moves_the_picture(configuration: str) -> None:
    """EQ-T (section 2.3): also by less than a pixel. Layers whose filters are two pixels wide cannot."""
    radial, kernel = configuration == "r", 1 if configuration == "r" else 3
    made, ws = network(radial, kernel)
    for x, y in ((3, 0), (0.5, 0), (2.25, -1.3)):
        assert psnr(*moved(made, ws, shift(x, y))) > 50
    aliased, ws = network(radial, kernel, filter_size=1)
    assert psnr(*moved(aliased, ws, shift(2.25, -1.3))) < 35


def test_rotation_turns_the_picture_of_configuration_r() -> None:
    """EQ-R: by any angle, and not where convolutions see directions (T)."""
    made, ws = network(True, 1)
    for degrees in (30, 45):
        assert psnr(*moved(made, ws, rotation(degrees))) > 50
    image, _ = moved(made, ws, rotation(90))
    with torch.no_grad():
        assert psnr(image, torch.rot90(made(ws), 1, (2, 3)), margin=1) > 100, "a quarter turn is exact"
    directed, ws = network(False, 3)
    assert psnr(*moved(directed, ws, rotation(30))) < 35


def test_the_input_is_placed_by_w() -> None:
    """The learned rotation and shift are applied as the user's are: the same features, either way."""
    made, _ = network(False, 3)
    start, w = made.input, torch.randn(1, 12)
    with torch.no_grad():
        plain = start(w)
        start.transform[:2] = rotation(20)
        start.transform[:2, 2] = start.transform[:2, :2] @ torch.tensor([-0.1, 0.2])
        expected = start(w)
        start.transform.copy_(torch.eye(3))
        c, s = math.cos(math.radians(20)), math.sin(math.radians(20))
        assert start.affine.bias is not None
        start.affine.bias.copy_(torch.tensor([3 * c, 3 * s, 0.3, -0.6]))  # divided by the length of its first two
        assert torch.allclose(start(w), expected, atol=1e-4) and not torch.allclose(plain, expected, atol=0.1)


def test_frequencies_out_of_the_band_fade() -> None:
    made, ws = network(False, 3)
    with torch.no_grad():
        made.input.transform[:2, :2] *= 40  # a plane so small that its frequencies exceed half the sampling rate
        features = made.input(ws[:, 0])
    outside = made.input.freqs.norm(dim=1) * 40 > 8
    assert outside.sum() > 20
    inside = math.sqrt(float((~outside).sum()) / 2)
    assert features.square().mean().sqrt() < 1.5 * inside / math.sqrt(len(outside)) + 1e-6


def test_magnitudes_are_tracked_and_divided_out() -> None:
    made, ws = network(False, 3)
    with torch.no_grad():
        before = [layer.magnitude.clone() for layer in made.layers]  # type: ignore[operator]
        plain = made(ws)
        assert all(torch.equal(a, layer.magnitude) for a, layer in zip(before, made.layers, strict=True))  # type: ignore[arg-type]
        x, layer = made.input(ws[:, 0]), made.layers[0]
        assert isinstance(layer, networks.SynthesisLayer)
        layer.magnitude.fill_(4.0)
        layer(x, ws[:, 1], track=0.25)
        assert layer.magnitude.item() == pytest.approx(3 + 0.25 * float(x.square().mean()), rel=1e-5)
        layer.magnitude.copy_(before[0])
        assert torch.equal(made(ws), plain)
        # The convolution is linear: an input that is twice as large and known to be so gives the same output
        once = layer(x, ws[:, 1])
        layer.magnitude.mul_(4)
        assert torch.allclose(layer(2 * x, ws[:, 1]), once, atol=1e-5)


def test_modulation_is_equation_3_with_unit_weights_and_styles() -> None:
    """Against weights of each sample's own, normalised as the paper says before they are modulated and demodulated."""
    made, ws = network(False, 3)
    layer = made.layers[1]
    assert isinstance(layer, networks.SynthesisLayer)
    x, w = torch.randn(2, 32, 36, 36), ws[:, 2]
    with torch.no_grad():
        weight = layer.weight * layer.weight.square().mean((1, 2, 3), keepdim=True).rsqrt()
        styles = layer.affine(w)
        styles = styles / styles.square().mean().sqrt()
        own = weight * styles[:, None, :, None, None]
        own = own * own.square().sum((2, 3, 4), keepdim=True).rsqrt() * layer.magnitude.rsqrt()
        expected = torch.cat([F.conv2d(x[i : i + 1], own[i], padding=2) for i in range(2)])
        expected = filtered_lrelu(
            expected, layer.up_filter, layer.down_filter, up=2, down=2, padding=layer.padding, clamp=256.0
        )
        assert torch.allclose(layer(x, w), expected, atol=1e-5)


def test_latents_of_another_shape() -> None:
    made, ws = network(False, 3)
    with pytest.raises(BadArgument, match=r"ws has shape \(2, 8, 12\); \(N, 9, 12\) is expected"):
        made(ws[:, 1:])
