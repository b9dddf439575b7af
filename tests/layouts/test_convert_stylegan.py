"""StyleGAN's checkpoints converted: parity with the authors' code, other sizes, labels and levels, files that lie.

Sizes that no fixture has are compared with the networks' formulas, written here once for genforce's names.
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
BLUR = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
Tensors = dict[str, Tensor]


@pytest.mark.parametrize("file", ["genforce.stylegan.pth", "genforce.stylegan.pth.tf.pkl"])
def test_parity_with_the_authors_code(file: str, tmp_path: Path) -> None:
    arrays, _ = answers("genforce.stylegan")
    convert(fixture(file), "stylegan", to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    z, images = torch.from_numpy(arrays["z"]), torch.from_numpy(arrays["d_in"])
    ws = game.map(z)
    assert distance(ws[:, 0], arrays["w"]) < LIMIT and torch.equal(ws[:, 0], ws[:, -1])
    assert distance(game.synthesize(ws), arrays["img_smooth"]) < LIMIT
    pulled = game.map(z, truncation=0.7, truncation_cutoff=8)
    assert distance(game.synthesize(pulled), arrays["img_smooth_psi07_l8"]) < LIMIT
    with torch.no_grad():
        assert distance(game.generator(z, noise="const"), arrays["img_G"]) < LIMIT
        assert distance(game.discriminator(images), arrays["d_out"]) < LIMIT


# ------------------------------------------------------------------------------------------------- the same, by formula


def double(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def blur(x: Tensor) -> Tensor:
    return F.conv2d(x, BLUR.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


def he(weight: Tensor, gain: float = 2.0) -> Tensor:
    return weight * math.sqrt(gain / weight[0].numel())


def genforce(
    widths: list[int], latent: int, style: int, hidden: int, layers: int, classes: int, lod: float
) -> dict[str, Tensors]:
    """A checkpoint with genforce's names and shapes."""
    sizes = [latent * (2 if classes else 1), *[hidden] * (layers - 1), style]
    generator: dict[str, tuple[int, ...]] = {"truncation.w_avg": (style,)}
    if classes:
        generator["mapping.label_weight"] = (classes, latent)
    for i in range(layers):
        generator |= {f"mapping.dense{i}.weight": (sizes[i + 1], sizes[i]), f"mapping.dense{i}.bias": (sizes[i + 1],)}
    critic: dict[str, tuple[int, ...]] = {}
    top, first = len(widths) - 1, widths[0]
    for i, width in enumerate(widths):
        below, b = widths[max(i - 1, 0)], top - i
        for n in (2 * i, 2 * i + 1):
            ours = f"synthesis.layer{n}"
            generator |= {f"{ours}.bias": (width,), f"{ours}.apply_noise.weight": (width,)}
            generator |= {f"{ours}.style.weight": (2 * width, style), f"{ours}.style.bias": (2 * width,)}
            generator[f"{ours}.apply_noise.noise"] = (1, 1, 4 << i, 4 << i)
            if n:
                generator[f"{ours}.weight"] = (width, below if n == 2 * i else width, 3, 3)
        generator |= {f"synthesis.output{i}.weight": (3, width, 1, 1), f"synthesis.output{i}.bias": (3,)}
        critic |= {f"input{b}.weight": (width, 3, 1, 1), f"input{b}.bias": (width,)}
        if i:
            critic |= {f"layer{2 * b}.weight": (width, width, 3, 3), f"layer{2 * b}.bias": (width,)}
            critic |= {f"layer{2 * b + 1}.weight": (below, width, 3, 3), f"layer{2 * b + 1}.bias": (below,)}
    generator["synthesis.layer0.const"] = (1, first, 4, 4)
    for n, shape in enumerate([(first, first + 1, 3, 3), (9, 16 * first), (max(classes, 1), 9)]):
        critic |= {f"layer{2 * top + n}.weight": shape, f"layer{2 * top + n}.bias": shape[:1]}
    made: dict[str, Tensors] = {}
    for seed, (part, shapes) in enumerate({"generator": generator, "generator_smooth": generator}.items()):
        made[part] = draw(shapes, seed) | {"synthesis.lod": torch.tensor(lod)}
        for i in range(1, top + 1):
            made[part][f"synthesis.layer{2 * i}.blur.kernel"] = BLUR.expand(widths[i], 1, 3, 3).clone()
        for i in range(layers):
            made[part][f"mapping.dense{i}.weight"] *= 100  # the authors divide them by the learning rate's multiplier
    made["discriminator"] = draw(critic, 2) | {"lod": torch.tensor(lod)}
    for i in range(1, top + 1):
        name = f"layer{2 * (top - i) + 1}.blur.kernel"
        made["discriminator"][name] = BLUR.expand(widths[i], 1, 3, 3).clone()
    return made


def draw(shapes: dict[str, tuple[int, ...]], seed: int) -> Tensors:
    rng = np.random.RandomState(seed)
    return {name: torch.from_numpy(rng.randn(*shape).astype(np.float32)) for name, shape in shapes.items()}


def mapped(t: Tensors, z: Tensor, labels: Tensor | None, layers: int) -> Tensor:
    w = z if labels is None else torch.cat([z, labels @ t["mapping.label_weight"]], 1)
    w = w / (w.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for i in range(layers):
        w = F.linear(w, 0.01 * he(t[f"mapping.dense{i}.weight"]), 0.01 * t[f"mapping.dense{i}.bias"])
        w = F.leaky_relu(w, 0.2)
    return w


def images_of(t: Tensors, w: Tensor, levels: int, lod: float, fused: bool) -> Tensor:
    """By the networks' formulas; where they are fused, a kernel is that of a transposed convolution: mirrored."""
    x, images = t["synthesis.layer0.const"].expand(len(w), -1, -1, -1), []
    for n in range(2 * levels):
        name = f"synthesis.layer{n}"
        if n:
            weight, up = he(t[f"{name}.weight"]), n % 2 == 0
            x = F.conv2d(double(x) if up else x, weight.flip(2, 3) if up and fused else weight, padding=1)
            x = blur(x) if up else x
        x = x + t[f"{name}.apply_noise.noise"] * t[f"{name}.apply_noise.weight"][:, None, None]
        x = F.leaky_relu(x + t[f"{name}.bias"][:, None, None], 0.2)
        x = F.instance_norm(x, eps=1e-8)
        scale, shift = F.linear(w, he(t[f"{name}.style.weight"], 1.0), t[f"{name}.style.bias"]).chunk(2, 1)
        x = x * (scale + 1)[:, :, None, None] + shift[:, :, None, None]
        if n % 2:
            rgb = f"synthesis.output{n // 2}"
            images.append(F.conv2d(x, he(t[f"{rgb}.weight"], 1.0), t[f"{rgb}.bias"]))
    upper, lower = images[levels - 1 - math.floor(lod)], images[levels - 1 - math.ceil(lod)]
    image = upper if lod == int(lod) else upper * (1 - lod % 1) + double(lower) * (lod % 1)
    for _ in range(int(lod)):
        image = double(image)
    return image


def scores_of(t: Tensors, images: Tensor, labels: Tensor | None, levels: int, lod: float) -> Tensor:
    def layer(name: str, x: Tensor, gain: float = 2.0) -> Tensor:
        weight, bias = he(t[f"{name}.weight"], gain), t[f"{name}.bias"]
        return F.linear(x, weight, bias) if x.dim() == 2 else F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    top = math.floor(lod)
    images = F.avg_pool2d(images, 1 << top)
    x = F.leaky_relu(layer(f"input{top}", images), 0.2)
    for b in range(top, levels - 1):
        x = F.leaky_relu(layer(f"layer{2 * b}", x), 0.2)
        x = F.leaky_relu(F.avg_pool2d(layer(f"layer{2 * b + 1}", blur(x)), 2), 0.2)
        if b == top and lod % 1:
            x = (1 - lod % 1) * x + lod % 1 * F.leaky_relu(layer(f"input{b + 1}", F.avg_pool2d(images, 2)), 0.2)
    spread = (x.var(0, correction=0) + 1e-8).sqrt().mean().expand(len(x), 1, 4, 4)
    last = 2 * (levels - 1)
    x = F.leaky_relu(layer(f"layer{last}", torch.cat([x, spread], 1)), 0.2)
    x = layer(f"layer{last + 2}", F.leaky_relu(layer(f"layer{last + 1}", x.flatten(1)), 0.2), 1.0)
    return x if labels is None else (x * labels).sum(1, keepdim=True)


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


def contents(parts: dict[str, Any]) -> Contents:
    return unwrapped(Path("x.pth"), parts)


def tensorflow(parts: dict[str, Tensors], levels: int, **options: Any) -> Contents:
    """The same tensors as NVIDIA's TensorFlow code keeps them."""

    def variables(part: str) -> dict[str, np.ndarray[Any, Any]]:
        made: dict[str, np.ndarray[Any, Any]] = {}
        top, critic = levels - 1, part == "discriminator"
        for name, tensor in parts[part].items():
            words = name.split(".")
            if words[-1] == "kernel":
                continue
            number = int("".join(c for c in "".join(words[:2]) if c.isdigit()) or 0)
            level = max(top - number // 2 if critic else number // 2, 0)
            place = f"{4 << level}x{4 << level}/"
            if words[-1] == "lod":
                ours = "lod" if critic else "synthesis/lod"
            elif words[-1] == "w_avg":
                ours = "dlatent_avg"
            elif words[0] == "mapping":
                ours = "mapping/LabelConcat/weight" if len(words) == 2 else f"mapping/Dense{number}/{words[-1]}"
            elif "input" in words[0]:
                ours = f"FromRGB_lod{number}/{words[-1]}"
            elif critic and number >= 2 * top:
                ours = f"4x4/{('Conv', 'Dense0', 'Dense1')[number - 2 * top]}/{words[-1]}"
            elif critic:
                ours = f"{place}{('Conv0', 'Conv1_down')[number % 2]}/{words[-1]}"
            elif "output" in words[1]:
                ours = f"synthesis/ToRGB_lod{top - number}/{words[-1]}"
            elif words[-1] == "noise":
                ours = f"synthesis/noise{number}"
            else:
                layer = (("Const", "Conv") if number < 2 else ("Conv0_up", "Conv1"))[number % 2]
                inner = {"apply_noise": "Noise/", "style": "StyleMod/"}.get(words[2], "")
                ours = f"synthesis/{place}{layer}/{inner}{words[-1]}"
            if words[-1] == "weight" and tensor.dim() > 1:
                tensor = tensor.T if tensor.dim() == 2 else tensor.permute(2, 3, 1, 0)
            made[ours] = tensor.contiguous().numpy()
        return made if critic else {**made, "lod": np.zeros((), np.float32)}

    names = {"G": "generator", "D": "discriminator", "Gs": "generator_smooth"}
    networks = [Network(n, 3, options, {}, variables(part), "") for n, part in names.items()]
    return Contents(Path("x.pkl"), "tensorflow", None, networks=tuple(networks))


@pytest.mark.parametrize("container", ["genforce", "tensorflow", "tensorflow, fused"])
@pytest.mark.parametrize(
    ("widths", "latent", "style", "hidden", "layers", "classes", "lod"),
    [
        ([7, 6], 5, 5, 5, 8, 0, 0.0),
        ([7, 6, 5], 6, 8, 10, 3, 3, 0.0),
        ([6, 5, 4], 8, 6, 6, 1, 1, 1.25),
        ([6, 5, 4], 8, 6, 7, 2, 0, 2.0),
    ],
)
def test_other_sizes_labels_and_levels(
    container: str, widths: list[int], latent: int, style: int, hidden: int, layers: int, classes: int, lod: float
) -> None:
    parts, levels, fused = genforce(widths, latent, style, hidden, layers, classes, lod), len(widths), "," in container
    file = contents(parts) if container == "genforce" else tensorflow(parts, levels, fused_scale=fused or "auto")
    made = recognise(file, "stylegan").convert(file)
    ema, live = build(made)
    assert made.arguments["start"] == made.arguments["size"] >> math.ceil(lod)
    z, images = torch.randn(4, latent), torch.randn(4, 3, 2 << levels, 2 << levels)
    labels = torch.eye(classes)[torch.arange(4) % classes] if classes else None
    for game, part in ((ema, "generator_smooth"), (live, "generator")):
        t, w = parts[part], mapped(parts[part], z, labels, layers)
        assert distance(game.map(z, labels)[:, 0], w) < LIMIT
        assert distance(game.synthesize(game.map(z, labels)), images_of(t, w, levels, lod, fused)) < LIMIT
        assert torch.equal(game.generator.mapping.mean, t["truncation.w_avg"])
    with torch.no_grad():
        theirs = scores_of(parts["discriminator"], images, labels, levels, lod)
        assert distance(live.discriminator(images, labels), theirs) < LIMIT


def test_options_of_the_authors_code_are_taken_over() -> None:
    options = {"mapping_lrmul": 0.02, "dlatent_avg_beta": 0.9, "truncation_psi": 0.6, "mbstd_group_size": 8}
    made = recognise(file := tensorflow(genforce([6, 5], 5, 5, 5, 2, 0, 0.0), 2, **options)).convert(file)
    assert made.arguments.items() >= {"mapping_rate": 0.02, "decay": 0.9, "group": 8}.items()
    assert made.facts == {"truncation_psi": 0.6}


# ---------------------------------------------------------------------------------------------------- files that lie


def refused(file: Contents, said: str) -> None:
    with pytest.raises(BadCheckpoint, match=said) as error:
        build(recognise(file, "stylegan").convert(file))
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_every_tensor_is_accounted_for() -> None:
    missing = {
        "generator": ["mapping.dense1.bias", "truncation.w_avg", "synthesis.layer2.apply_noise.noise"],
        "generator_smooth": ["synthesis.layer1.style.bias", "synthesis.layer2.blur.kernel", "synthesis.lod"],
        "discriminator": ["layer0.weight", "layer1.blur.kernel", "lod"],
    }
    for part, names in missing.items():
        for name in names:
            parts = genforce([6, 5], 5, 5, 5, 2, 0, 0.0)
            del parts[part][name]
            refused(contents(parts), f"{part} lacks .*{name}")
        parts = genforce([6, 5], 5, 5, 5, 2, 0, 0.0)
        parts[part]["synthesis.layer9.extra"] = torch.zeros(1)
        refused(contents(parts), f"{part} holds tensors .*layer9.extra")


def test_shapes_and_options_that_do_not_fit() -> None:
    parts = genforce([6, 5], 5, 5, 5, 2, 0, 0.0)
    parts["generator"]["synthesis.layer3.noise_strength"] = parts["generator"].pop("synthesis.layer3.bias")
    refused(contents(parts), "lacks 'synthesis.layer3.bias'")
    parts = genforce([6, 5], 5, 5, 5, 2, 0, 0.0)
    parts["generator_smooth"]["synthesis.layer2.blur.kernel"] *= 2
    refused(contents(parts), "another filter in 'synthesis.layer2.blur.kernel'")
    parts = genforce([6, 5], 5, 5, 5, 2, 3, 0.0)
    parts["discriminator"] = genforce([6, 5], 5, 5, 5, 2, 0, 0.0)["discriminator"]
    refused(contents(parts), "has 1 outputs .*; expected 3")
    parts = genforce([6, 5], 5, 5, 5, 2, 0, 0.0)
    for option, value in (
        ("use_pixel_norm", True),
        ("nonlinearity", "relu"),
        ("mapping_lrmul", -1),
        ("fused_scale", 2),
    ):
        refused(tensorflow(parts, 2, **{option: value}), f"was made with {option} = ")
    refused(contents(genforce([6, 5], 5, 5, 5, 2, 0, 7.0)), r"level of detail of \[7.0\]; expected 0 to 1")
