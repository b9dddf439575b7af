"""MobileStyleGAN's published networks: the author's Lightning checkpoints, and the graphs in his package random_face.

A checkpoint holds the student that learns (`student.layers.0.conv1...`) beside its mapping network and the mean of w;
its teacher, discriminator and feature networks are left out. The graphs, OpenVINO's, were made for use alone: the
student under the same names (`m.layers.0.conv1...`), with the demodulation in its weights, without the images at the
lower resolutions, and with the noise of each convolution, times its strength, as a constant without a name; and the
mapping network as products with constants without names. Its factors, slopes and filters are constants too; where they
are others than the author's, a graph is refused.
"""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger, marked, open_ledger
from ganzoo.layouts.openvino import Layer
from ganzoo.layouts.pickles import quoted
from ganzoo.layouts.stylegan2 import mapping_width
from ganzoo.nn.style import Mapping
from ganzoo.types import BadCheckpoint

_FAMILY = "mobilestylegan"
_LARGEST = 2**12  # pixels: noise is made as large
_RATE = 0.01  # the mapping network's learning-rate multiplier, as the author has it
_MEAN_OF = 4096  # w's, as in the author's package


# ---------------------------------------------------------------- the student


def _student(ledger: Ledger) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The arguments and tensors of a synthesis network whose tensors have the student's names."""
    blocks = len(ledger.names(r"layers\.\d+\.conv1\.conv\.weight_dw"))
    _, first, start, _ = ledger.sides("input.input", 4)
    style = ledger.sides("conv1.conv.modulation.weight", 2)[1]
    widths = [first, *(ledger.sides(f"layers.{i}.conv1.conv.weight_permute", 4)[0] for i in range(blocks))]
    channels = ledger.sides(f"layers.{blocks - 1}.to_img.conv.weight" if blocks else "to_img1.conv.weight", 4)[0] // 4
    if start << blocks > _LARGEST or any(width % 4 for width in widths[:-1]):
        raise ledger.error(f"makes feature maps of {start << blocks} pixels from {widths}: impossible")
    multiscale = "to_img1.conv.weight" in ledger
    demodulate = "conv1.conv.style_inv" in ledger
    made = {"input": _taken(ledger, "input.input", first, start, start)}
    rng = np.random.RandomState(0)

    def modulation(source: str, target: str, inputs: int) -> None:
        made[f"{target}.affine.weight"] = _taken(ledger, f"{source}.weight", inputs, style)
        made[f"{target}.affine.bias"] = _taken(ledger, f"{source}.bias", inputs)

    def styled(source: str, target: str, inputs: int, outputs: int, side: int) -> None:
        modulation(f"{source}.conv.modulation", f"{target}.conv", inputs)
        if f"{source}.conv.weight_dw" in ledger:
            made[f"{target}.conv.depthwise"] = _taken(ledger, f"{source}.conv.weight_dw", inputs, 1, 3, 3)
            made[f"{target}.conv.pointwise"] = _taken(ledger, f"{source}.conv.weight_permute", outputs, inputs, 1, 1)
        else:
            made[f"{target}.conv.weight"] = _taken(ledger, f"{source}.conv.weight", outputs, inputs, 3, 3)
        if demodulate:
            made[f"{target}.conv.constant"] = _taken(ledger, f"{source}.conv.style_inv", inputs)
        made[f"{target}.bias"] = _taken(ledger, f"{source}.bias", outputs)
        if f"{source}.noise" in ledger:  # times its strength, which is the size that it has
            noise = _taken(ledger, f"{source}.noise", side, side)
            strength = noise.square().mean().sqrt()
            made[f"{target}.noise"] = noise / strength if strength > 0 else noise
        else:
            strength = _taken(ledger, f"{source}.noise.weight")
            made[f"{target}.noise"] = torch.from_numpy(rng.randn(side, side)).float()
        made[f"{target}.strength"] = strength

    def to_image(source: str, target: str, inputs: int) -> None:
        modulation(f"{source}.conv.modulation", f"{target}.conv", inputs)
        made[f"{target}.conv.weight"] = _taken(ledger, f"{source}.conv.weight", 4 * channels, inputs, 1, 1)
        made[f"{target}.bias"] = _taken(ledger, f"{source}.bias", 4 * channels)

    styled("conv1", "first", first, first, start)
    heads = ["to_img1", *(f"layers.{i}.to_img" for i in range(blocks))]
    for i in range(blocks):
        below, width, side = widths[i], widths[i + 1], start << (i + 1)
        modulation(f"layers.{i}.up.modulation", f"blocks.{i}", below)
        styled(f"layers.{i}.conv1", f"blocks.{i}.first", below // 4, width, side)
        styled(f"layers.{i}.conv2", f"blocks.{i}.second", width, width, side)
    for i, (head, width) in enumerate([*zip(heads, widths, strict=True)][0 if multiscale else -1 :]):
        to_image(head, f"heads.{i}", width)
    arguments: dict[str, Any] = {
        "size": 2 * start << blocks,
        "channels": channels,
        "style": style,
        "widths": widths,
        "start": start,
        "demodulate": demodulate,
        "multiscale": multiscale,
    }
    return arguments, {f"generator.synthesis.{name}": value for name, value in made.items()}


def _taken(ledger: Ledger, name: str, *sides: int) -> Tensor:
    """A tensor in the shape that it has here; sides of 1 come and go between the author's files."""
    if [n for n in ledger.shape(name) if n != 1] != [n for n in sides if n != 1]:
        raise ledger.error(f"{quoted(name)} is {list(ledger.shape(name))}; expected {list(sides)}")
    return ledger.take(name).float().reshape(sides)


# ---------------------------------------------------------------- the checkpoint

_MARKS = ("student.conv1.conv.modulation.weight", "student.input.input", "mapping_net.layers.1.weight")


def _from_checkpoint(contents: Contents) -> Converted:
    ledger = open_ledger(contents, contents.having(*_MARKS)[0])
    # What the author trained it with
    ledger.ignore(r"(synthesis_net|loss|inception|kid)\..*", r".*\.idwt\..*", r"(.*\.)?device_info")
    tensors: dict[str, Tensor] = {}
    layers = len(ledger.names(r"mapping_net\.layers\.\d+\.weight"))
    inputs = latent = ledger.sides("mapping_net.layers.1.weight", 2)[1]
    for i in range(layers):
        outputs = ledger.sides(f"mapping_net.layers.{i + 1}.weight", 2)[0]
        tensors[f"layers.{i}.weight"] = _taken(ledger, f"mapping_net.layers.{i + 1}.weight", outputs, inputs)
        tensors[f"layers.{i}.bias"] = _taken(ledger, f"mapping_net.layers.{i + 1}.bias", outputs)
        inputs = outputs
    means = ledger.take("style_mean", (1, -1, inputs))[0]
    if not len(means) or (means != means[0]).any():
        raise ledger.error("has another mean of w for each layer, in 'style_mean'; one is expected")
    tensors["mean"] = means[0]
    student = Ledger(contents, "student", {name.removeprefix("student."): ledger.take(name) for name in ledger})
    arguments, made = _student(student)
    student.close()
    if arguments["style"] != inputs:
        raise ledger.error(f"maps z to {inputs} numbers, and its student takes {arguments['style']}")
    made |= {f"generator.mapping.{name}": value for name, value in tensors.items()}
    arguments |= {"latent": latent, "mapping_layers": layers, "mapping_rate": _RATE}
    arguments["mapping_width"] = mapping_width(ledger, [len(tensors[f"layers.{i}.bias"]) for i in range(layers)])
    return Converted(_FAMILY, arguments, made, None, {"noise": "drawn from seed 0; the file has none"})


# ---------------------------------------------------------------- the graphs


def _is_graph(contents: Contents) -> bool:
    return contents.kind == "openvino" and bool(contents.having("m.input.input", "m.conv1.conv.modulation.weight"))


def _from_graph(contents: Contents) -> Converted:
    """The synthesis network; its mapping network is in another file."""
    named = {name[2:]: value for name, value in contents.modules[""].tensors.items() if name.startswith("m.")}
    ledger = Ledger(contents, "its graph", named)
    constants: list[Layer] = contents.tree.of("Const")
    factors: dict[int, float] = {}  # of the modulations, by their constants' identity
    for layer in constants:
        name = next((name[2:] for name in layer.outputs if name.startswith("m.")), "")
        if name.endswith(".conv.modulation.bias"):
            weight = name.replace("modulation.bias", "weight")
            kernel = 3 if f"{weight}_dw" in ledger else ledger.sides(weight, 4)[2]
            factor = _constant(ledger, _after(ledger, layer, "Add", "Reshape", "Multiply"))
            factors[id(factor)] = 1 / math.sqrt(math.prod(ledger.shape(name)) * kernel**2)
    for layer in constants:
        value = layer.value
        if any(name.startswith("m.") for name in layer.outputs) or value is None or not value.is_floating_point():
            continue
        kind = layer.users[0].type if layer.users else "nothing"
        if kind == "Add" and value.dim() == 4 and value.shape[:2] == (1, 1):
            ledger.left[f"{_convolution(ledger, layer.users[0])}.noise"] = value
            continue
        if kind == "GroupConvolutionBackpropData":  # a filter of db1, along a column or a row
            right = value.dim() == 5 and any(
                _near(value.flatten(1) * math.sqrt(2), torch.tensor([1.0, high])) for high in (1, -1)
            )
        else:
            right = _near(value, {"PReLU": 0.2}.get(kind, factors.get(id(value), math.nan)))
        if not right:
            raise ledger.error(f"has the constant {quoted(layer.name)} for {kind}, which this layout does not know")
    arguments, made = _student(ledger)
    ledger.close()
    return Converted(_FAMILY, arguments, made)


def _convolution(ledger: Ledger, added: Layer) -> str:
    """The name of the layer whose convolution's output something is added to."""
    weights = [source.inputs[1] for source in added.inputs if source.type == "Convolution" and len(source.inputs) == 2]
    names = [name for weight in weights for name in weight.outputs]
    found = re.fullmatch(r"m\.(.*)\.conv\.weight(_permute)?", names[0]) if len(names) == 1 else None
    if found is None:
        raise ledger.error(f"adds a constant in {quoted(added.name)} to what is no convolution of its own")
    return found[1]


def _after(ledger: Ledger, layer: Layer, *kinds: str) -> Layer:
    """What comes of a layer's output after operations of these types, each of which is the only one to use it."""
    for kind in kinds:
        users = [user for user in layer.users if user.type != "ShapeOf"]
        if len(users) != 1 or users[0].type != kind:
            found = ", ".join(user.type for user in users[:4]) or "nothing"
            raise ledger.error(f"leads from {quoted(layer.name)} to {found}; expected {kind}")
        layer = users[0]
    return layer


def _constant(ledger: Ledger, layer: Layer) -> Tensor:
    """The constant that goes into a layer."""
    for source in layer.inputs:
        if source.value is not None:
            return source.value
    raise ledger.error(f"has no constant for {quoted(layer.name)}")


def _near(value: Tensor, expected: Tensor | float) -> bool:
    """Whether all numbers are those expected, and there are some; shapes may be any that broadcast."""
    try:
        return value.numel() > 0 and bool(((value - expected).abs() < 1e-6).all())
    except RuntimeError:
        return False


def _add_mapping(contents: Contents, made: Converted) -> Converted:
    """The same with the mapping network of the other graph, and the mean of w, which is in neither."""
    if contents.kind != "openvino" or not contents.tree.of("MatMul") or _is_graph(contents):
        raise BadCheckpoint(f"{contents.path}: is no mapping network of MobileStyleGAN, a graph of OpenVINO")
    ledger = Ledger(contents, "its graph", {})
    tensors: dict[str, Tensor] = {}
    widths: list[int] = []
    for i, product in enumerate(contents.tree.of("MatMul")):
        added = _after(ledger, product, "Add")
        shaped = next((source for source in added.inputs if source.type == "Reshape"), added)
        ledger.left |= {f"{i}.weight": _constant(ledger, product), f"{i}.bias": _constant(ledger, shaped)}
        activated = _after(ledger, added, "PReLU")
        slope, gain = _constant(ledger, activated), _constant(ledger, _after(ledger, activated, "Multiply"))
        if product.data.get("transpose_b") != "true" or not (_near(slope, 0.2) and _near(gain, math.sqrt(2))):
            raise ledger.error(f"goes on after {quoted(product.name)} otherwise than the author's mapping network")
        outputs, inputs = ledger.sides(f"{i}.weight", 2)
        widths = widths or [inputs]
        # The constants of the equalized learning rate are in them
        weight = _taken(ledger, f"{i}.weight", outputs, widths[-1]).double() * (math.sqrt(inputs) / _RATE)
        tensors[f"layers.{i}.weight"] = weight.float()
        tensors[f"layers.{i}.bias"] = (_taken(ledger, f"{i}.bias", outputs).double() / _RATE).float()
        widths.append(outputs)
    ledger.close()
    latent, style, layers = widths[0], widths[-1], len(widths) - 1
    if style != made.arguments["style"]:
        raise ledger.error(f"maps z to {style} numbers, and the synthesis network takes {made.arguments['style']}")
    width = mapping_width(ledger, widths[1:])
    tensors["mean"] = torch.zeros(style)
    mapping = Mapping(latent, style, layers, width=width, rate=_RATE)
    mapping.load_state_dict(tensors)
    with torch.no_grad():
        z = torch.from_numpy(np.random.RandomState(0).randn(_MEAN_OF, latent)).float()
        tensors["mean"] = mapping(z).mean(0)
    arguments = {"latent": latent, "mapping_layers": layers, "mapping_width": width, "mapping_rate": _RATE}
    return replace(
        made,
        arguments=made.arguments | arguments,
        inference=made.inference | {f"generator.mapping.{name}": value for name, value in tensors.items()},
        facts=made.facts | {"truncation": f"the mean of w is that of {_MEAN_OF} z from seed 0; the files have none"},
    )


LAYOUTS = (
    Layout("MobileStyleGAN.pytorch (Lightning)", _FAMILY, marked(*_MARKS), _from_checkpoint),
    Layout("MobileStyleGAN in random_face (OpenVINO)", _FAMILY, _is_graph, _from_graph, _add_mapping),
)
