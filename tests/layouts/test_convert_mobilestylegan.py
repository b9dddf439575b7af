"""MobileStyleGAN converted: parity with the author's code and with the graphs in his package, and files that lie."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from graph_files import GraphWriter
from helpers import tiny
from parity_files import answers, distance, fixture
from torch import Tensor

import ganzoo
from ganzoo.layouts import open_file, recognise
from ganzoo.layouts.containers import unwrapped
from ganzoo.types import BadCheckpoint
from ganzoo.zoo.converting import convert

LIMIT = 1e-4  # of the fixtures' README
RUNTIME = 1e-3  # between runtimes, at 1024 pixels


def tensor(array: Any) -> Tensor:
    return torch.from_numpy(array)


# ---------------------------------------------------------------- the author's own answers


def test_parity_of_a_checkpoint_with_the_authors_code(tmp_path: Path) -> None:
    arrays, _ = answers("mobilestylegan.student")
    convert(fixture("mobilestylegan.student.ckpt"), "mobilestylegan", to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model")
    w, wp = game.map(tensor(arrays["z"])), tensor(arrays["wp"])
    assert distance(w[:, 0], arrays["w"]) < LIMIT and torch.equal(w[:, 0], w[:, -1])
    assert torch.equal(game.generator.mapping.mean, tensor(arrays["style_mean"])[0, 0])
    assert distance(game.synthesize(w, noise="none"), arrays["img_noise0"]) < LIMIT
    noise = [tensor(arrays["noise_0"]), *(tensor(arrays[f"noise_{i}"])[j] for i in (1, 2, 3) for j in (0, 1))]
    with torch.no_grad():
        for ws, name in ((w, "img"), (wp, "img_wp"), (game.map(tensor(arrays["z"]), truncation=0.5), "img_psi05")):
            assert distance(game.generator.synthesis(ws, noise), arrays[name]) < LIMIT
        for i, wavelets in enumerate(game.generator.synthesis.pyramid(w, noise)):
            assert distance(wavelets, arrays[f"freq_{i}"]) < LIMIT
    assert not torch.equal(game.synthesize(w, noise="const"), game.synthesize(w, noise="none"))


def test_parity_of_small_graphs_with_their_runtime(tmp_path: Path) -> None:
    arrays, _ = answers("random_face.ir_small")
    files = [fixture(f"random_face.ir_small.{part}Network.xml") for part in ("Synthesis", "Mapping")]
    convert(files[0], "mobilestylegan", more=files[1:], to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model")
    w = game.map(tensor(arrays["z"]))
    assert distance(w[:, 0], arrays["w"]) < RUNTIME
    assert distance(game.synthesize(w), arrays["img"]) < RUNTIME


def test_parity_of_the_package_with_its_runtime() -> None:
    """At 1024 pixels, by its name; the pictures that OpenVINO made were averaged over squares of 8, and cut out."""
    try:
        importlib.metadata.distribution("random-face")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("random-face is not installed; `pip install --no-deps random-face==2021.7.21.1` brings its weights")
    arrays, _ = answers("mobilestylegan.random_face")
    game: Any = ganzoo.load("mobilestylegan-ffhq")
    terms = game.card.facts["terms"]
    assert not terms["commercial"] and terms["redistribute"] == "no" and "Apache-2.0" in terms["title"]
    w = game.map(tensor(arrays["z"]))
    assert distance(w[:, 0], arrays["w"]) < RUNTIME
    image = game.synthesize(w[:1])
    assert distance(F.avg_pool2d(image, 8), arrays["img8"][:1]) < RUNTIME
    assert distance(image[:, :, 448:576, 448:576], arrays["crop"][:1]) < RUNTIME
    pulled = game.synthesize(tensor(arrays["w_psi05"])[:, None].expand(-1, game.generator.synthesis.count, -1))
    assert distance(pulled[:, :, 448:576, 448:576], arrays["crop_psi05"]) < RUNTIME
    # The author draws the mean of w anew at each start, of as many z; w's own spread is of about 0.4
    assert (game.generator.mapping.mean - game.map(torch.randn(4096, 512))[:, 0].mean(0)).abs().max() < 0.06


# ---------------------------------------------------------------- the same, written here


def student(**arguments: Any) -> Any:
    """A small generator with weights of its own, as the graphs have it."""
    given = {"size": 32, "widths": [8, 8, 5], "channels": 3, "demodulate": False, "multiscale": False, **arguments}
    game: Any = tiny("mobilestylegan", **given).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in game.generator.state_dict().items():
            if name.endswith(("bias", "strength")):
                value.add_(torch.rand_like(value) + 0.1)
        for layer in game.generator.synthesis.modules():
            if hasattr(layer, "strength"):  # as large as it is meant to be: that is all that a graph tells
                layer.noise.div_(layer.noise.square().mean().sqrt())
    return game


def named(game: Any) -> dict[str, Tensor]:
    """The tensors of a synthesis network under the author's names, in the shapes of the graphs."""
    table: dict[str, Tensor] = {}
    rules = [("blocks.", "layers."), (".first.", ".conv1."), (".second.", ".conv2."), ("affine", "modulation")]
    rules += [("depthwise", "weight_dw"), ("pointwise", "weight_permute"), ("constant", "style_inv")]
    blocks = len(game.generator.synthesis.blocks)
    for name, value in game.generator.synthesis.state_dict().items():
        key = name.replace("input", "input.input") if name == "input" else name
        key = f"{key}.".replace("first.", "conv1.", 1).removesuffix(".") if key.startswith("first.") else key
        for ours, theirs in rules:
            key = key.replace(ours, theirs)
        if key.startswith("layers.") and key.split(".")[2] == "modulation":
            key = key.replace("modulation", "up.modulation")
        if key.startswith("heads."):
            _, number, rest = key.split(".", 2)
            level = int(number) if game.arguments["multiscale"] else blocks
            key = f"layers.{level - 1}.to_img.{rest}" if level else f"to_img1.{rest}"
        table[key] = value
    return table


def graph_of(game: Any, change: Callable[[str, Tensor], Tensor] = lambda name, value: value) -> GraphWriter:
    """A synthesis network as the author's package has it, for what its conversion looks at."""
    graph, table = GraphWriter("SynthesisNetwork"), named(game)
    w = graph.add("Parameter")

    def constant(name: str, value: Any, names: str = "") -> int:
        return graph.constant(change(name, torch.as_tensor(value, dtype=torch.float32)), names)

    def parameter(name: str, *shape: int) -> int:
        return constant(name, table[name].reshape(shape), f"m.{name}")

    def modulated(x: int, source: str, factor: float | None) -> int:
        weight = table[f"{source}.weight"]
        product = graph.add("MatMul", w, parameter(f"{source}.weight", *weight.shape), transpose_b="true")
        style = graph.add("Reshape", graph.add("Add", product, parameter(f"{source}.bias", 1, len(weight))))
        if factor is not None:
            style = graph.add("Multiply", style, constant(f"{source}.factor", [[[[factor]]]]))
        return graph.add("Multiply", style, x)

    def inverse(x: int, channels: int) -> int:
        for shape in ((channels, 1, 1, 2, 1), (channels, 1, 1, 1, 2)):
            for high in (1.0, -1.0):
                taps = torch.tensor([1.0, high]).repeat(channels) / math.sqrt(2)
                x = graph.add("GroupConvolutionBackpropData", x, constant("filter", taps.reshape(shape)))
        return x

    def styled(x: int, source: str) -> int:
        depthwise = table.get(f"{source}.conv.weight_dw")
        inputs = table[f"{source}.conv.modulation.bias"].numel()
        x = modulated(x, f"{source}.conv.modulation", 1 / math.sqrt(9 * inputs))
        if depthwise is None:
            weight = table[f"{source}.conv.weight"]
            x = graph.add("Convolution", x, parameter(f"{source}.conv.weight", *weight.shape))
        else:
            x = graph.add("GroupConvolution", x, parameter(f"{source}.conv.weight_dw", inputs, 1, 1, 3, 3))
            weight = table[f"{source}.conv.weight_permute"]
            x = graph.add("Convolution", x, parameter(f"{source}.conv.weight_permute", *weight.shape))
        noise = table[f"{source}.noise"] * table[f"{source}.strength"]
        x = graph.add("Add", x, constant(f"{source}.noise", noise[None, None]))
        x = graph.add("Add", x, parameter(f"{source}.bias", 1, len(weight), 1, 1))
        return graph.add("PReLU", x, constant("slope", [0.2]))

    x = styled(graph.add("Broadcast", parameter("input.input", 1, *table["input.input"].shape)), "conv1")
    blocks = len(game.generator.synthesis.blocks)
    for i in range(blocks):
        x = inverse(modulated(x, f"layers.{i}.up.modulation", None), game.arguments["widths"][i] // 4)
        x = styled(styled(x, f"layers.{i}.conv1"), f"layers.{i}.conv2")
    head = f"layers.{blocks - 1}.to_img"
    weight = table[f"{head}.conv.weight"]
    x = modulated(x, f"{head}.conv.modulation", 1 / math.sqrt(weight.shape[1]))
    x = graph.add("Convolution", x, parameter(f"{head}.conv.weight", *weight.shape))
    inverse(graph.add("Add", x, parameter(f"{head}.bias", 1, len(weight), 1, 1)), 3)
    return graph


def mapping_of(game: Any, gain: float = math.sqrt(2), slope: float = 0.2) -> GraphWriter:
    """A mapping network as the author's package has it, with the constants of the equalized learning rate in it."""
    graph = GraphWriter("MappingNetwork")
    x = graph.add("Parameter")
    for layer in game.generator.mapping.layers:
        weight = layer.weight * (0.01 / math.sqrt(layer.weight.shape[1]))
        product = graph.add("MatMul", x, graph.constant(weight, "17"), transpose_b="true")
        bias = graph.add("Reshape", graph.constant(layer.bias * 0.01, "18"))
        activated = graph.add("PReLU", graph.add("Add", bias, product), graph.constant(np.array([slope])))
        x = graph.add("Multiply", activated, graph.constant(np.array([[gain]])))
    return graph


def written(folder: Path, synthesis: GraphWriter, mapping: GraphWriter) -> tuple[Path, Path]:
    return synthesis.write(folder / "SynthesisNetwork.xml"), mapping.write(folder / "MappingNetwork.xml")


@pytest.mark.parametrize("arguments", [{}, {"start": 1, "size": 8}, {"size": 16, "widths": [8, 4], "mapping_width": 9}])
def test_graphs_of_other_sizes(arguments: dict[str, Any], tmp_path: Path) -> None:
    game = student(**arguments)
    synthesis, mapping = written(tmp_path, graph_of(game), mapping_of(game))
    convert(synthesis, more=[mapping], to=tmp_path / "model")
    made: Any = ganzoo.load(tmp_path / "model")
    z = torch.randn(2, 6)
    assert distance(made.map(z), game.map(z)) < LIMIT
    for noise in ("const", "none"):
        assert distance(made.synthesize(made.map(z), noise=noise), game.synthesize(game.map(z), noise=noise)) < LIMIT
    assert distance(made.sample(2), game.sample(2)) < LIMIT, "noise drawn anew is as strong"
    assert made.card is not None and "the mean of w is that of 4096 z" in str(made.card.facts)
    draws = torch.from_numpy(np.random.RandomState(0).randn(4096, 6)).float()
    assert torch.allclose(made.generator.mapping.mean, game.map(draws)[:, 0].mean(0), atol=1e-5)


def test_a_graph_without_its_mapping_network_or_with_another(tmp_path: Path) -> None:
    game = student()
    synthesis, mapping = written(tmp_path, graph_of(game), mapping_of(game))
    with pytest.raises(BadCheckpoint, match=r"SynthesisNetwork.xml: converted, it lacks generator.mapping"):
        convert(synthesis, to=tmp_path / "model")
    for other, said in (
        (synthesis, "is no mapping network of MobileStyleGAN"),
        (fixture("mobilestylegan.student.ckpt"), "is no mapping network of MobileStyleGAN"),
        (
            mapping_of(student(style=7)).write(tmp_path / "a.xml"),
            "maps z to 7 numbers, and the synthesis network takes 6",
        ),
        (mapping_of(game, gain=1.0).write(tmp_path / "b.xml"), "otherwise than the author's mapping network"),
        (mapping_of(game, slope=0.1).write(tmp_path / "c.xml"), "otherwise than the author's mapping network"),
    ):
        with pytest.raises(BadCheckpoint, match=said):
            convert(synthesis, more=[other], to=tmp_path / "model")
    with pytest.raises(BadCheckpoint, match="holds the OpenVINO graph 'MappingNetwork'"):
        convert(mapping, to=tmp_path / "model")
    assert not (tmp_path / "model").exists()


def refused(graph: GraphWriter, folder: Path, said: str) -> None:
    contents = open_file(graph.write(folder / "x.xml"))
    with pytest.raises(BadCheckpoint, match=said) as error:
        recognise(contents, "mobilestylegan").convert(contents)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("slope", 0.1, "for PReLU, which this layout does not know"),
        ("filter", 0.5, "for GroupConvolutionBackpropData, which this layout does not know"),
        ("layers.0.conv1.conv.modulation.factor", 0.5, "for Multiply, which this layout does not know"),
        ("layers.1.to_img.conv.modulation.factor", 0.5, "for Multiply, which this layout does not know"),
    ],
)
def test_graphs_with_other_numbers(name: str, value: float, said: str, tmp_path: Path) -> None:
    changed = graph_of(student(), lambda key, given: torch.full_like(given, value) if key == name else given)
    refused(changed, tmp_path, said)


def test_graphs_with_something_missing_or_over(tmp_path: Path) -> None:
    graph = graph_of(student())
    for name, said in (
        ("m.layers.0.conv2.bias", "lacks 'layers.0.conv2.bias'"),
        ("m.layers.1.up.modulation.weight", "lacks 'layers.1.up.modulation.weight'"),
        ("m.layers.1.to_img.conv.weight", "lacks 'layers.1.to_img.conv.weight'"),
        ("m.layers.0.conv1.conv.weight_dw", "lacks 'layers.0.conv1.conv.weight'"),
    ):
        layer = next(layer for layer in graph.layers if layer["names"] == name)
        layer["names"] = ""
        refused(graph, tmp_path, f"which this layout does not know|is no convolution of its own|{said}")
        layer["names"] = name
    layer = next(layer for layer in graph.layers if layer["names"] == "m.layers.0.conv2.bias")
    layer["names"] = "m.layers.0.conv2.bais"
    refused(graph, tmp_path, "lacks 'layers.0.conv2.bias'")
    layer["names"] = "m.layers.0.conv2.bias"
    graph.constant(torch.zeros(3), "m.extra")
    refused(graph, tmp_path, "holds tensors that this layout does not know: 'extra'")
    graph.layers.pop()
    convolution = next(layer["id"] for layer in graph.layers if layer["type"] == "Convolution")
    graph.edges = [edge for edge in graph.edges if edge[1] != convolution]
    refused(graph, tmp_path, "adds a constant in 'Add_.*' to what is no convolution|leads from .* to nothing")


def test_graphs_of_shapes_that_do_not_fit(tmp_path: Path) -> None:
    def turned(name: str) -> GraphWriter:
        return graph_of(student(), lambda key, value: value.mT.contiguous() if key == name else value)

    refused(turned("layers.0.conv2.conv.modulation.weight"), tmp_path, r"is \[6, 8\]; expected \[8, 6\]")
    smaller = graph_of(student(), lambda key, value: value[..., :3] if key == "layers.1.conv2.noise" else value)
    refused(smaller, tmp_path, r"'layers.1.conv2.noise' is \[1, 1, 16, 3\]; expected \[16, 16\]")


# ---------------------------------------------------------------- checkpoints


def checkpoint() -> dict[str, Any]:
    return dict(torch.load(fixture("mobilestylegan.student.ckpt"), weights_only=True)["state_dict"])


def test_what_the_author_trained_with_is_left_out(tmp_path: Path) -> None:
    table = checkpoint()
    plain = recognise(contents := unwrapped(tmp_path, {"state_dict": dict(table)})).convert(contents)
    table |= {
        "synthesis_net.conv1.weight": torch.zeros(3),
        "loss.gan_loss.m.x": torch.zeros(1),
        "kid.x": torch.zeros(1),
    }
    table |= {"inception.Conv2d_1a_3x3.conv.weight": torch.zeros(1)}
    contents = unwrapped(tmp_path, {"state_dict": table, "epoch": 3})
    made = recognise(contents).convert(contents)
    assert made.inference.keys() == plain.inference.keys() and made.players is None
    assert made.facts == {"noise": "drawn from seed 0; the file has none"}


@pytest.mark.parametrize(
    "name",
    ["student.conv1.bias", "student.layers.1.conv2.conv.style_inv", "style_mean", "student.layers.2.to_img.bias"],
)
def test_every_tensor_of_a_checkpoint_is_accounted_for(name: str, tmp_path: Path) -> None:
    table = checkpoint()
    value = table.pop(name)
    contents = unwrapped(tmp_path, {"state_dict": table})
    with pytest.raises(BadCheckpoint, match="lacks"):
        recognise(contents).convert(contents)
    contents = unwrapped(tmp_path, {"state_dict": table | {name: value, "student.layers.0.more": value}})
    with pytest.raises(BadCheckpoint, match=r"holds tensors that this layout does not know: 'layers.0.more'"):
        recognise(contents).convert(contents)


def test_checkpoints_that_lie(tmp_path: Path) -> None:
    for name, value, said in (
        ("style_mean", torch.randn(1, 11, 32), "has another mean of w for each layer"),
        ("student.input.input", torch.zeros(1, 64, 2**13, 1), r"makes feature maps of 65536 pixels .*: impossible"),
        ("student.conv1.noise.weight", torch.zeros(2), r"'conv1.noise.weight' is \[2\]; expected \[\]"),
        ("mapping_net.layers.3.weight", torch.zeros(32, 31), r"is \[32, 31\]; expected \[32, 32\]"),
        ("mapping_net.layers.2.weight", torch.zeros(9, 32), r"is \[32\]; expected \[9\]"),
        ("student.conv1.conv.modulation.weight", torch.zeros(64), r"of shape \[64\]; 2 sides are expected"),
    ):
        contents = unwrapped(tmp_path, {"state_dict": checkpoint() | {name: value}})
        with pytest.raises(BadCheckpoint, match=said):
            recognise(contents).convert(contents)
