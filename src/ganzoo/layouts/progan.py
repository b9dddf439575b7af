"""ProGAN's checkpoints: NVIDIA's TensorFlow pickles, genforce's `.pth`, pytorch_GAN_zoo's `.pth`.

NVIDIA's fused layers double the resolution by a transposed convolution: its kernel is mirrored, and has inputs and
outputs exchanged. Genforce's first layer is a convolution of 4 x 4 over one pixel, which mirrors its kernel as well.
pytorch_GAN_zoo multiplies He's constant after the bias, and uses that of a leaky ReLU where there is none: both are
folded into the tensors. Its alpha, a share of the lower resolution, is the level of detail.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor

from ganzoo.layouts import growing
from ganzoo.layouts.containers import Contents, Network
from ganzoo.layouts.growing import mirrored
from ganzoo.layouts.layout import Converted, Layout, Ledger, marked, open_ledger
from ganzoo.layouts.pickles import Call, quoted

# Options of G_paper and D_paper with which the family agrees
_OPTIONS: dict[str, tuple[Any, ...]] = {
    "normalize_latents": (True,),
    "use_wscale": (True,),
    "use_pixelnorm": (True,),
    "pixelnorm_epsilon": (1e-8,),
    "use_leakyrelu": (True,),
}


# NVIDIA's TensorFlow


def _is_tensorflow(contents: Contents) -> bool:
    return any(
        "4x4/Dense/weight" in network.variables and not network.components and "ToRGB_lod0/weight" in network.variables
        for network in contents.networks
    )


def _from_tensorflow(contents: Contents) -> Converted:
    networks = growing.tensorflow_networks(contents)
    tensors, arguments = _tensorflow_generator(contents, networks.get("Gs") or networks["G"])
    live = _tensorflow_generator(contents, networks["G"])[0] if "G" in networks else None
    found = None
    if "D" in networks:
        network = networks["D"]
        with Ledger(contents, "D", network.variables) as ledger:
            growing.check_options(ledger, network.arguments, _OPTIONS)
            found = growing.tensorflow_critic(ledger)
            group = growing.whole(ledger, network.arguments, "mbstd_group_size", 4) or 1
            arguments |= found.arguments(ledger, arguments["widths"], arguments["channels"], group)
            _check_outputs(ledger, found, arguments)
            if found.fused is not None:
                arguments["fused"] = found.fused
    return growing.assembled("progan", arguments, tensors, live, found)


def _tensorflow_generator(contents: Contents, network: Network) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The generator of `G_paper`, and the arguments that it shows."""
    made: dict[str, Tensor] = {}
    with Ledger(contents, network.name, network.variables) as ledger:
        growing.check_options(ledger, network.arguments, _OPTIONS)
        levels = growing.count_levels(ledger, r"ToRGB_lod\d+/weight")
        made["lod"] = growing.level_of_detail(ledger, ledger.take("lod"), levels)
        widths, channels = [], -1
        for level in range(levels):
            made |= ledger.layer(f"ToRGB_lod{levels - 1 - level}", f"to_rgb.{level}", (channels, -1, 1, 1), True)
            channels, width = made[f"to_rgb.{level}.weight"].shape[:2]
            widths.append(width)
        first = widths[0]
        made["dense.weight"] = ledger.take("4x4/Dense/weight", (-1, 16 * first)).T
        made["bias"] = ledger.take("4x4/Dense/bias", (first,))[:, None, None]
        made |= ledger.layer("4x4/Conv", "conv", (first, first, 3, 3), True)
        for level, (below, width) in enumerate(pairwise(widths)):
            place, block = f"{8 << level}x{8 << level}", f"blocks.{level}"
            if f"{place}/Conv0_up/weight" in ledger:
                weight = ledger.take(f"{place}/Conv0_up/weight", (3, 3, width, below))
                made[f"{block}.up.weight"] = mirrored(weight.permute(2, 3, 0, 1))
                made[f"{block}.up.bias"] = ledger.take(f"{place}/Conv0_up/bias", (width,))
            else:
                made |= ledger.layer(f"{place}/Conv0", f"{block}.up", (width, below, 3, 3), True)
            made |= ledger.layer(f"{place}/Conv1", f"{block}.conv", (width, width, 3, 3), True)
        classes = growing.whole(ledger, network.arguments, "label_size", 0)
    return made, _arguments(ledger, made, widths, channels, classes)


def _arguments(
    ledger: Ledger, made: Mapping[str, Tensor], widths: list[int], channels: int, classes: int
) -> dict[str, Any]:
    size = 4 << (len(widths) - 1)
    latent = made["dense.weight"].shape[1] - classes
    if classes < 0 or latent < 1:
        raise ledger.error(f"has {made['dense.weight'].shape[1]} inputs and labels of length {classes}; expected more")
    return {
        "size": size,
        "channels": channels,
        "latent": latent,
        "widths": widths,
        "classes": classes,
        "start": growing.start(size, made["lod"]),
    }


def _check_outputs(ledger: Ledger, critic: growing.Critic, arguments: Mapping[str, Any]) -> None:
    if critic.outputs != 1 + arguments["classes"] or critic.statistics not in (0, 1):
        raise ledger.error(
            f"has {critic.outputs} outputs and {critic.statistics} feature maps of statistics; "
            f"expected {1 + arguments['classes']} and 1"
        )


# genforce


def _from_genforce(contents: Contents) -> Converted:
    growing.check_rest(contents, growing.GENFORCE_RUN)
    critic, classes = None, 0
    if "D" in contents.modules:
        with open_ledger(contents, "D") as ledger:
            critic = growing.genforce_critic(ledger, blurred=False)
        classes = critic.outputs - 1
    made = {key: _genforce_generator(contents, key, classes) for key in contents.generators("output0.weight")}
    tensors, arguments = next(iter(made.values()))
    if critic is not None:
        arguments |= critic.arguments(ledger, arguments["widths"], arguments["channels"], 16)
        _check_outputs(ledger, critic, arguments)
    arguments["variant"] = "genforce"
    return growing.assembled("progan", arguments, tensors, made["G"][0] if "G" in made else None, critic)


def _genforce_generator(contents: Contents, key: str, classes: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The generator of `PGGANGenerator`, and the arguments that it shows."""
    made: dict[str, Tensor] = {}
    with open_ledger(contents, key) as ledger:
        levels = growing.count_levels(ledger, r"output\d+\.weight")
        made["lod"] = growing.level_of_detail(ledger, ledger.take("lod"), levels)
        widths, channels = [], -1
        for level in range(levels):
            made |= ledger.layer(f"output{level}", f"to_rgb.{level}", (channels, -1, 1, 1))
            channels, width = made[f"to_rgb.{level}.weight"].shape[:2]
            widths.append(width)
        first = widths[0]
        weight = mirrored(ledger.take("layer0.weight", (first, -1, 4, 4)))
        made["dense.weight"] = weight.permute(0, 2, 3, 1).reshape(16 * first, -1)
        made["bias"] = ledger.take("layer0.bias", (first,))[:, None, None]
        made |= ledger.layer("layer1", "conv", (first, first, 3, 3))
        pairs = list(pairwise(widths))
        fused = _is_fused(ledger, pairs)
        for level, (below, width) in enumerate(pairs, 1):
            name, block = f"layer{2 * level}", f"blocks.{level - 1}"
            weight = ledger.take(f"{name}.weight", (below, width, 3, 3) if fused else (width, below, 3, 3))
            made[f"{block}.up.weight"] = mirrored(weight.transpose(0, 1)) if fused else weight
            made[f"{block}.up.bias"] = ledger.take(f"{name}.bias", (width,))
            made |= ledger.layer(f"layer{2 * level + 1}", f"{block}.conv", (width, width, 3, 3))
    return made, _arguments(ledger, made, widths, channels, classes) | {"fused": fused}


def _is_fused(ledger: Ledger, pairs: list[tuple[int, int]]) -> bool:
    """Whether inputs and outputs are exchanged, which shows where they differ in number; the default is not to fuse."""
    return any(
        below != width and ledger.shape(f"layer{2 * level}.weight")[:2] == (below, width)
        for level, (below, width) in enumerate(pairs, 1)
    )


# pytorch_GAN_zoo


def _config(contents: Contents) -> dict[str, Any]:
    """The configuration, which is an object of the authors' class, or a dictionary."""
    config = contents.beside.get("config")
    config = config.state if isinstance(config, Call) else config
    return config if isinstance(config, dict) else {}


def _from_gan_zoo(contents: Contents) -> Converted:
    growing.check_rest(contents, ("config", "tmp"))
    config = _config(contents)
    alpha, equal = config.get("alpha", 0.0), config.get("equalizedlR", True)
    with Ledger(contents, "config", {}) as ledger:
        classes = growing.whole(ledger, config, "categoryVectorDim", 0)
        if not isinstance(alpha, (int, float)) or not isinstance(equal, bool):
            raise ledger.error(
                f"has alpha {quoted(alpha)} and equalizedlR {quoted(equal)}; expected a number and a bool"
            )
        known = {
            "leakyReluLeak": (0.2,),
            "perChannelNormalization": (True,),
            "lossCriterion": ("WGANGP", "Logistic"),  # the others end in tanh
        }
        growing.check_options(ledger, config, known)
    keys = contents.generators("formatLayer.module.weight")
    made = {key: _gan_zoo_generator(contents, key, classes, alpha, equal) for key in keys}
    tensors, arguments = next(iter(made.values()))
    critic = None
    if "D" in contents.modules:
        with open_ledger(contents, "D") as ledger:
            critic = _gan_zoo_critic(ledger, alpha, equal)
        arguments |= critic.arguments(ledger, arguments["widths"], arguments["channels"], 4)
        _check_outputs(ledger, critic, arguments)
    arguments |= {"fused": False, "variant": "gan_zoo"}
    return growing.assembled("progan", arguments, tensors, made["G"][0] if "G" in made else None, critic)


def _gan_zoo_layer(
    ledger: Ledger, name: str, shape: tuple[int, ...], equal: bool, gain: float = math.sqrt(2.0)
) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer whose constant multiplies both; `gain` is what the family has in its place."""
    weight = ledger.take(f"{name}.module.weight", shape)
    bias = ledger.take(f"{name}.module.bias", (weight.shape[0],))
    fan = math.prod(weight.shape[1:])
    theirs = math.sqrt(2.0 / fan) if equal else 1.0
    return weight * (theirs * math.sqrt(fan) / gain), bias * theirs


def _gan_zoo_generator(
    contents: Contents, key: str, classes: int, alpha: float, equal: bool
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The generator of `GNet`, and the arguments that it shows."""
    made: dict[str, Tensor] = {}

    def add(ours: str, layer: tuple[Tensor, Tensor]) -> None:
        made[f"{ours}.weight"], made[f"{ours}.bias"] = layer

    with open_ledger(contents, key) as ledger:
        levels = growing.count_levels(ledger, r"toRGBLayers\.\d+\.module\.weight")
        made["lod"] = growing.level_of_detail(ledger, alpha if levels > 1 else 0.0, max(levels, 2))
        widths, channels = [], -1
        for level in range(levels):
            layer = _gan_zoo_layer(ledger, f"toRGBLayers.{level}", (channels, -1, 1, 1), equal, 1.0)
            add(f"to_rgb.{level}", layer)
            channels, width = layer[0].shape[:2]
            widths.append(width)
        first = widths[0]
        weight, bias = _gan_zoo_layer(ledger, "formatLayer", (16 * first, -1), equal, math.sqrt(2.0) / 4)
        made["dense.weight"], made["bias"] = weight, bias.reshape(first, 4, 4)
        add("conv", _gan_zoo_layer(ledger, "groupScale0.0", (first, first, 3, 3), equal))
        for level in range(1, levels):
            width, scale, block = widths[level], f"scaleLayers.{level - 1}", f"blocks.{level - 1}"
            add(f"{block}.up", _gan_zoo_layer(ledger, f"{scale}.0", (width, widths[level - 1], 3, 3), equal))
            add(f"{block}.conv", _gan_zoo_layer(ledger, f"{scale}.1", (width, width, 3, 3), equal))
    return made, _arguments(ledger, made, widths, channels, classes)


def _gan_zoo_critic(ledger: Ledger, alpha: float, equal: bool) -> growing.Critic:
    """The discriminator of `DNet`."""
    made: dict[str, Tensor] = {}

    def add(ours: str, name: str, shape: tuple[int, ...], gain: float = math.sqrt(2.0)) -> Tensor:
        made[f"{ours}.weight"], made[f"{ours}.bias"] = _gan_zoo_layer(ledger, name, shape, equal, gain)
        return made[f"{ours}.weight"]

    levels = growing.count_levels(ledger, r"fromRGBLayers\.\d+\.module\.weight")
    # With two resolutions it does not blend them, other than its generator
    made["lod"] = growing.level_of_detail(ledger, alpha if levels > 2 else 0.0, max(levels, 2))
    widths, channels = [], -1
    for level in range(levels):
        width, channels = add(f"from_rgb.{level}", f"fromRGBLayers.{level}", (-1, channels, 1, 1)).shape[:2]
        widths.append(width)
        if level:
            scale, block = f"scaleLayers.{level - 1}", f"blocks.{level - 1}"
            add(f"{block}.conv", f"{scale}.0", (width, width, 3, 3))
            add(f"{block}.down", f"{scale}.1", (widths[level - 1], width, 3, 3))
    first = widths[0]
    statistics = add("conv", "groupScaleZero.0", (first, -1, 3, 3)).shape[1] - first
    dense = len(add("dense", "groupScaleZero.1", (-1, 16 * first)))
    outputs = len(add("score", "decisionLayer", (-1, dense), 1.0))
    return growing.Critic(made, channels, widths, dense, outputs, statistics, False)


TENSORFLOW = "NVIDIA ProGAN (TensorFlow)"
GENFORCE = "genforce PGGAN"
GAN_ZOO = "pytorch_GAN_zoo PGAN"

LAYOUTS = (
    Layout(TENSORFLOW, "progan", _is_tensorflow, _from_tensorflow),
    Layout(GENFORCE, "progan", marked("layer0.weight", "layer1.weight", "output0.weight", "lod"), _from_genforce),
    Layout(GAN_ZOO, "progan", marked("formatLayer.module.weight", "toRGBLayers.0.module.weight"), _from_gan_zoo),
)
