"""ProGAN's checkpoints converted: parity with the authors' code, other sizes and levels, and files that lie.

Sizes that no fixture has are compared with the generator's formulas, written here once for each layout's own names.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parity_files import answers, distance, fixture
from torch import Tensor

import ganzoo
from ganzoo.game import registry
from ganzoo.layouts import Contents, Converted, Network, recognise
from ganzoo.layouts.containers import unwrapped
from ganzoo.types import BadCheckpoint
from ganzoo.zoo.converting import convert

LIMIT = 1e-4  # of the fixtures' README
Tensors = dict[str, Tensor]


@pytest.mark.parametrize(
    ("name", "file", "smooth"),
    [
        ("genforce.pggan", "genforce.pggan.pth", "img_smooth"),
        ("genforce.pggan", "genforce.pggan.pth.tf.pkl", "img_smooth"),
        ("pgan_zoo.pgan", "pgan_zoo.pgan.pth", "img_avg"),
    ],
)
def test_parity_with_the_authors_code(name: str, file: str, smooth: str, tmp_path: Path) -> None:
    arrays, _ = answers(name)
    convert(fixture(file), "progan", to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    z, images = torch.from_numpy(arrays["z"]), torch.from_numpy(arrays["d_in"])
    with torch.no_grad():
        assert distance(game.averaged(z), arrays[smooth]) < LIMIT
        assert distance(game.generator(z), arrays["img_G"]) < LIMIT
        assert distance(game.discriminator(images), arrays["d_out"]) < LIMIT
    assert game.sample(2, seed=0).shape == (2, *arrays[smooth].shape[1:])


# ------------------------------------------------------------------------------------------------- the same, by formula


def norm(x: Tensor) -> Tensor:
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def double(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def blended(images: list[Tensor], lod: float) -> Tensor:
    """The image of a level of detail, of those of all levels in their own resolutions."""
    upper, lower = (images[len(images) - 1 - level(lod)] for level in (math.floor, math.ceil))
    image = upper if lod == int(lod) else upper * (1 - lod % 1) + double(lower) * (lod % 1)
    for _ in range(int(lod)):
        image = double(image)
    return image


def draw(shapes: dict[str, tuple[int, ...]], seed: int) -> Tensors:
    rng = np.random.RandomState(seed)
    return {name: torch.from_numpy(rng.randn(*shape).astype(np.float32)) for name, shape in shapes.items()}


def build(made: Converted) -> tuple[Any, Any]:
    """The family twice: with the averaged generator, and with every live network."""
    entry = registry.family(made.family)
    games: list[Any] = []
    for tensors in (made.inference, made.players or {}):
        game = entry.cls(**registry.check_arguments(entry, made.arguments))
        for name in {key.partition(".")[0] for key in tensors}:
            part = {k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(f"{name}.")}
            getattr(game, name).load_state_dict(part)
        games.append(game)
    return games[0], games[1]


def contents(networks: dict[str, Tensors], **others: Any) -> Contents:
    return unwrapped(Path("x.pth"), {**networks, **others})


def genforce(widths: list[int], latent: int, channels: int, fused: bool, lod: float, dense: int) -> dict[str, Tensors]:
    """A checkpoint with genforce's names and shapes."""
    generator: dict[str, tuple[int, ...]] = {"layer0.weight": (widths[0], latent, 4, 4)}
    critic: dict[str, tuple[int, ...]] = {}
    top = len(widths) - 1
    for i, width in enumerate(widths):
        below, b = widths[max(i - 1, 0)], top - i
        if i:
            generator[f"layer{2 * i}.weight"] = (below, width, 3, 3) if fused else (width, below, 3, 3)
            critic |= {f"layer{2 * b}.weight": (width, width, 3, 3), f"layer{2 * b}.bias": (width,)}
            critic |= {f"layer{2 * b + 1}.weight": (below, width, 3, 3), f"layer{2 * b + 1}.bias": (below,)}
        generator |= {f"layer{2 * i}.bias": (width,), f"layer{2 * i + 1}.bias": (width,)}
        generator |= {f"layer{2 * i + 1}.weight": (width, width, 3, 3), f"output{i}.weight": (channels, width, 1, 1)}
        generator[f"output{i}.bias"] = (channels,)
        critic |= {f"input{b}.weight": (width, channels, 1, 1), f"input{b}.bias": (width,)}
    first = widths[0]
    critic |= {f"layer{2 * top}.weight": (first, first + 1, 3, 3), f"layer{2 * top}.bias": (first,)}
    critic |= {f"layer{2 * top + 1}.weight": (dense, 16 * first), f"layer{2 * top + 1}.bias": (dense,)}
    critic |= {f"layer{2 * top + 2}.weight": (1, dense), f"layer{2 * top + 2}.bias": (1,)}
    shapes = {"generator": generator, "generator_smooth": generator, "discriminator": critic}
    return {part: {**draw(s, i), "lod": torch.tensor(lod)} for i, (part, s) in enumerate(shapes.items())}


def genforce_images(t: Tensors, z: Tensor, levels: int, fused: bool, lod: float) -> Tensor:
    def he(name: str, gain: float = 2.0) -> Tensor:
        weight = t[f"{name}.weight"]
        # Of a transposed convolution's kernel too, the authors take 9 times its inputs
        fan = weight[0].numel() if not (fused and name in ups) else weight[:, 0].numel()
        return weight * math.sqrt(gain / fan)

    ups = {f"layer{2 * i}" for i in range(1, levels)}
    first = torch.einsum("ni,oihw->nohw", norm(z), he("layer0").flip(2, 3))
    x = norm(F.leaky_relu(first + t["layer0.bias"][:, None, None], 0.2))
    images = []
    for i in range(levels):
        if i:
            if fused:  # a transposed convolution whose kernel is the sum of four shifted ones
                kernel = F.conv_transpose2d(he(f"layer{2 * i}"), torch.ones(he(f"layer{2 * i}").shape[1], 1, 2, 2),
                                            groups=he(f"layer{2 * i}").shape[1])  # fmt: skip
                x = F.conv_transpose2d(x, kernel, t[f"layer{2 * i}.bias"], stride=2, padding=1)
            else:
                x = F.conv2d(double(x), he(f"layer{2 * i}"), t[f"layer{2 * i}.bias"], padding=1)
            x = norm(F.leaky_relu(x, 0.2))
        x = F.conv2d(x, he(f"layer{2 * i + 1}"), t[f"layer{2 * i + 1}.bias"], padding=1)
        x = norm(F.leaky_relu(x, 0.2))
        images.append(F.conv2d(x, he(f"output{i}", 1.0), t[f"output{i}.bias"]))
    return blended(images, lod)


def tensorflow(parts: dict[str, Tensors], fused: bool, levels: int, **options: Any) -> Contents:
    """The same tensors as NVIDIA's TensorFlow code keeps them."""

    def variables(part: str) -> dict[str, np.ndarray[Any, Any]]:
        made: dict[str, np.ndarray[Any, Any]] = {}
        top, critic = levels - 1, part == "discriminator"
        for name, tensor in parts[part].items():
            kind, _, last = name.partition(".")
            value = tensor
            if name == "lod":
                made["lod"] = tensor.numpy()
                continue
            word, number = kind.rstrip("0123456789"), int("".join(c for c in kind if c.isdigit()))
            side = 4 << max(top - number // 2 if critic else number // 2, 0)
            if word != "layer":
                ours = f"{'From' if critic else 'To'}RGB_lod{number if critic else top - number}"
            elif critic and number >= 2 * top:
                ours = ("4x4/Conv", "4x4/Dense0", "4x4/Dense1")[number - 2 * top]
            elif critic:
                ours = f"{side}x{side}/" + ("Conv0", "Conv1_down" if fused else "Conv1")[number % 2]
            elif number < 2:
                ours = ("4x4/Dense", "4x4/Conv")[number]
            else:
                ours = f"{side}x{side}/" + ("Conv0_up" if fused else "Conv0", "Conv1")[number % 2]
            if last == "weight" and ours == "4x4/Dense":
                value = value.flip(2, 3).permute(1, 0, 2, 3).flatten(1)
            elif last == "weight" and value.dim() == 4:
                value = value.permute(2, 3, 1, 0)
            elif last == "weight":
                value = value.T
            made[f"{ours}/{last}"] = value.contiguous().numpy()
        return made

    names = {"G": "generator", "D": "discriminator", "Gs": "generator_smooth"}
    networks = [Network(n, 2, {"label_size": 0, **options}, {}, variables(part), "") for n, part in names.items()]
    return Contents(Path("x.pkl"), "tensorflow", None, networks=tuple(networks))


@pytest.mark.parametrize("container", ["genforce", "tensorflow"])
@pytest.mark.parametrize(
    ("widths", "latent", "channels", "fused", "lod"),
    [
        ([7], 5, 1, False, 0.0),
        ([7, 6, 5], 9, 3, False, 0.0),
        ([7, 6, 6], 9, 1, True, 0.0),
        ([6, 6, 5, 4], 5, 4, False, 1.25),
        ([6, 5, 4], 8, 3, True, 2.0),
    ],
)
def test_other_sizes_levels_and_fused_layers(
    container: str, widths: list[int], latent: int, channels: int, fused: bool, lod: float
) -> None:
    parts = genforce(widths, latent, channels, fused, lod, dense=11)
    levels = len(widths)
    file = contents(parts) if container == "genforce" else tensorflow(parts, fused, levels)
    made = recognise(file, "progan").convert(file)
    ema, live = build(made)
    expected = {"size": 4 << (levels - 1), "channels": channels, "latent": latent, "widths": widths, "dense": 11}
    assert made.arguments.items() >= (expected | {"group": 16 if container == "genforce" else 4}).items()
    assert made.arguments["start"] == made.arguments["size"] >> math.ceil(lod)
    assert made.arguments.get("fused", fused) == fused
    z = torch.randn(3, latent)
    with torch.no_grad():
        for game, part in ((ema, "generator_smooth"), (live, "generator")):
            assert distance(game.generator(z), genforce_images(parts[part], z, levels, fused, lod)) < LIMIT
    assert float(live.discriminator.lod) == lod
    critic, top = live.discriminator, levels - 1
    assert torch.equal(critic.score.weight, parts["discriminator"][f"layer{2 * top + 2}.weight"])
    assert torch.equal(critic.dense.weight, parts["discriminator"][f"layer{2 * top + 1}.weight"])


def gan_zoo(widths: list[int], latent: int, channels: int) -> dict[str, Tensors]:
    """A checkpoint with pytorch_GAN_zoo's names and shapes."""
    first = widths[0]
    generator: dict[str, tuple[int, ...]] = {"formatLayer": (16 * first, latent), "groupScale0.0": (first, first, 3, 3)}
    critic: dict[str, tuple[int, ...]] = {
        "groupScaleZero.0": (first, first + 1, 3, 3),
        "groupScaleZero.1": (first, 16 * first),
        "decisionLayer": (1, first),
    }
    for i, width in enumerate(widths):
        generator[f"toRGBLayers.{i}"], critic[f"fromRGBLayers.{i}"] = (channels, width, 1, 1), (width, channels, 1, 1)
        if i:
            generator[f"scaleLayers.{i - 1}.0"] = (width, widths[i - 1], 3, 3)
            generator[f"scaleLayers.{i - 1}.1"] = critic[f"scaleLayers.{i - 1}.0"] = (width, width, 3, 3)
            critic[f"scaleLayers.{i - 1}.1"] = (widths[i - 1], width, 3, 3)
    parts = {"netG": generator, "avgG": generator, "netD": critic}
    made = {}
    for i, (part, layers) in enumerate(parts.items()):
        weights = {f"{name}.module.weight": shape for name, shape in layers.items()}
        made[part] = draw(weights | {f"{name}.module.bias": shape[:1] for name, shape in layers.items()}, i)
    return made


def gan_zoo_layer(t: Tensors, name: str, x: Tensor, equal: bool) -> Tensor:
    weight, bias = t[f"{name}.module.weight"], t[f"{name}.module.bias"]
    y = F.linear(x, weight, bias) if weight.dim() == 2 else F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
    return y * math.sqrt(2 / weight[0].numel()) if equal else y


def gan_zoo_images(t: Tensors, z: Tensor, levels: int, alpha: float, equal: bool) -> Tensor:
    x = norm(F.leaky_relu(gan_zoo_layer(t, "formatLayer", norm(z), equal), 0.2).reshape(len(z), -1, 4, 4))
    x = norm(F.leaky_relu(gan_zoo_layer(t, "groupScale0.0", x, equal), 0.2))
    images = [gan_zoo_layer(t, "toRGBLayers.0", x, equal)]
    for i in range(1, levels):
        x = double(x)
        for j in range(2):
            x = norm(F.leaky_relu(gan_zoo_layer(t, f"scaleLayers.{i - 1}.{j}", x, equal), 0.2))
        images.append(gan_zoo_layer(t, f"toRGBLayers.{i}", x, equal))
    return images[-1] if levels == 1 else (1 - alpha) * images[-1] + alpha * double(images[-2])


def gan_zoo_scores(t: Tensors, images: Tensor, levels: int, alpha: float, equal: bool) -> Tensor:
    def layer(name: str, x: Tensor) -> Tensor:
        return F.leaky_relu(gan_zoo_layer(t, name, x, equal), 0.2)

    x = layer(f"fromRGBLayers.{levels - 1}", images)
    for i in range(levels - 1, 0, -1):
        x = F.avg_pool2d(layer(f"scaleLayers.{i - 1}.1", layer(f"scaleLayers.{i - 1}.0", x)), 2)
        if i == levels - 1 and levels > 2:  # a network of two resolutions does not blend
            x = (1 - alpha) * x + alpha * layer(f"fromRGBLayers.{i - 1}", F.avg_pool2d(images, 2))
    spread = (x.var(0) + 1e-8).sqrt().mean().expand(len(x), 1, 4, 4)
    x = layer("groupScaleZero.1", layer("groupScaleZero.0", torch.cat([x, spread], 1)).flatten(1))
    return gan_zoo_layer(t, "decisionLayer", x, equal)


@pytest.mark.parametrize(
    ("widths", "latent", "channels", "alpha", "equal"),
    [([8], 5, 3, 0.5, True), ([8, 9], 12, 1, 0.6, True), ([9, 8, 10], 7, 3, 0.3, True), ([8, 8, 6], 7, 3, 1.0, False)],
)
def test_other_sizes_and_alphas_of_gan_zoo(
    widths: list[int], latent: int, channels: int, alpha: float, equal: bool
) -> None:
    parts, levels = gan_zoo(widths, latent, channels), len(widths)
    if not equal:
        parts = {part: {name: 0.1 * value for name, value in tensors.items()} for part, tensors in parts.items()}
    file = contents(parts, config={"alpha": alpha, "equalizedlR": equal, "lossCriterion": "WGANGP"})
    ema, live = build(recognise(file).convert(file))
    z, images = torch.randn(3, latent), torch.randn(3, channels, 2 << levels, 2 << levels)
    with torch.no_grad():
        for game, part in ((ema, "avgG"), (live, "netG")):
            assert distance(game.generator(z), gan_zoo_images(parts[part], z, levels, alpha, equal)) < LIMIT
        theirs = gan_zoo_scores(parts["netD"], images, levels, alpha, equal)
        assert distance(live.discriminator(images), theirs) < LIMIT


# ---------------------------------------------------------------------------------------------------- files that lie


def refused(file: Contents, said: str) -> None:
    with pytest.raises(BadCheckpoint, match=said) as error:
        made = recognise(file, "progan").convert(file)
        build(made)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_every_tensor_is_accounted_for() -> None:
    for part in ("generator", "generator_smooth", "discriminator"):
        for name in ("layer1.weight", "layer3.bias", "lod"):
            parts = genforce([6, 5], 5, 3, False, 0.0, 7)
            del parts[part][name]
            refused(contents(parts), f"{part} lacks .*{name}")
        parts = genforce([6, 5], 5, 3, False, 0.0, 7)
        parts[part]["layer9.extra"] = torch.zeros(1)
        refused(contents(parts), f"{part} holds tensors .*layer9.extra")
    parts = gan_zoo([6, 5], 5, 3)
    del parts["avgG"]["scaleLayers.0.1.module.bias"]
    refused(contents(parts), "avgG lacks .*scaleLayers.0.1.module.bias")


def test_shapes_and_options_that_do_not_fit() -> None:
    parts = genforce([6, 5], 5, 3, False, 0.0, 7)
    parts["generator"]["layer3.weight"] = torch.zeros(5, 4, 3, 3)
    refused(contents(parts), r"layer3.weight' is \[5, 4, 3, 3\]; expected \[5, 5, 3, 3\]")
    refused(contents(genforce([6, 5], 5, 3, False, 1.5, 7)), r"level of detail of \[1.5\]; expected 0 to 1")
    refused(contents(genforce([6, 5], 5, 3, False, float("nan"), 7)), "level of detail of")
    parts = genforce([6, 5], 5, 3, False, 0.0, 7)
    parts["discriminator"] = genforce([6, 4], 5, 3, False, 0.0, 7)["discriminator"]
    refused(contents(parts), r"feature maps \[6, 4\]; expected the generator's, 3 and \[6, 5\]")
    parts = genforce([6, 5], 5, 3, False, 0.0, 7)
    for option, value in (("use_pixelnorm", False), ("pixelnorm_epsilon", 1e-4), ("mbstd_group_size", "four")):
        refused(tensorflow(parts, False, 2, **{option: value}), f"was made with {option} = ")
    refused(tensorflow(parts, False, 2, label_size=5), "has 5 inputs and labels of length 5")
    for option, value in (("leakyReluLeak", 0.1), ("lossCriterion", "DCGAN"), ("alpha", "half")):
        refused(contents(gan_zoo([6, 5], 5, 3), config={option: value}), option)


def test_what_does_not_belong_to_the_networks() -> None:
    parts = genforce([6, 5], 5, 3, False, 0.0, 7)
    run = {"models": parts, "optimizers": {"generator": {}}, "running_metadata": {"iter": 3}}
    file = unwrapped(Path("run.pth"), run)
    assert recognise(file).convert(file).arguments["size"] == 8, "a run's checkpoint"
    refused(unwrapped(Path("x.pth"), {**parts, "encoder": {}}), "holds 'encoder', which this layout does not")
    refused(unwrapped(Path("x.pth"), {**run, "models": {**parts, "encoder": {}}}), "holds 'encoder'")
    parts["discriminator"]["epoch"] = 3  # type: ignore[assignment]
    file = contents(parts)
    assert file.modules["D"].constants == {"epoch": 3} and "epoch" not in file.modules["D"].tensors
    assert recognise(file).convert(file).players is not None
    several = tensorflow(genforce([6, 5], 5, 3, False, 0.0, 7), False, 2).networks
    refused(Contents(Path("x.pkl"), "tensorflow", None, networks=(*several, several[0])), "expected G, D and Gs")


def test_a_generator_alone_can_be_drawn_from() -> None:
    parts = genforce([6, 5], 5, 3, False, 0.0, 7)
    file = contents({"generator_smooth": parts["generator_smooth"]})
    made = recognise(file).convert(file)
    assert made.players is None and "dense" not in made.arguments
    assert build(made)[0].sample(1).shape == (1, 3, 8, 8)
