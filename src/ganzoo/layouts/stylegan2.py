"""StyleGAN2's published checkpoints: NVIDIA's PyTorch and TensorFlow pickles, and rosinality's `.pt`.

All three are first brought to the names that NVIDIA's PyTorch code gives (synthesis.b8.conv0.weight), and from there to
ganzoo's. Sizes are read off the tensors; what no tensor tells (bounds, learning-rate multipliers, group sizes) from the
attributes or arguments that are saved beside them.

In TensorFlow's files a convolution is (height, width, in, out) and a dense layer (in, out), the styles' biases lack the
1 that is added to them, and the kernels of the upsampling convolutions are mirrored. Configurations B to D grew; what
only served that (the images of the lower resolutions) is left out once they have.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.layouts.containers import Contents, Module, Network
from ganzoo.layouts.layout import Converted, Layout, Ledger, marked, marked_variables, open_ledger
from ganzoo.layouts.pickles import quoted
from ganzoo.nn.resampling import TAPS
from ganzoo.nn.style import Mapping as MappingNetwork
from ganzoo.types import BadCheckpoint

_FAMILY = "stylegan2"
_LARGEST = 2**13  # pixels of a side


@dataclass(frozen=True)
class Traits:
    """What a network's tensors do not tell.

    Args:
        clamp: bound of the convolutions' outputs.
        rate: learning-rate multiplier of the mapping network.
        decay: of the running mean of w.
        group: of the minibatch standard deviation; None for the whole batch.
    """

    clamp: float | None = None
    rate: float = 0.01
    decay: float = 0.995
    group: int | None = 4


Made = tuple[dict[str, Any], dict[str, Tensor]]  # arguments of the family, and tensors under its names


# ---------------------------------------------------------------- from NVIDIA's names to ganzoo's


def generator(ledger: Ledger, traits: Traits) -> Made:
    """Converts a generator whose tensors have the names of NVIDIA's PyTorch code.

    Returns:
        The family's arguments, and the tensors under the names of ganzoo's generator.
    """
    check_filters(ledger)
    sizes = _sizes(ledger, r"synthesis\.b(\d{1,6})\.conv1\.weight")
    style = ledger.sides("synthesis.b4.conv1.affine.weight", 2)[1]
    widths = [ledger.sides(f"synthesis.b{size}.conv1.weight", 4)[0] for size in sizes]
    channels = ledger.sides(f"synthesis.b{sizes[-1]}.torgb.weight", 4)[0]
    shows = {size for size in sizes if f"synthesis.b{size}.torgb.weight" in ledger}
    residual = any(f"synthesis.b{size}.skip.weight" in ledger for size in sizes)
    architecture = "skip" if shows == {*sizes} else "resnet" if residual else "orig"
    arguments, made = mapping(ledger, "mapping.")
    made["mapping.mean"] = ledger.take("mapping.w_avg", (style,))
    for i, (size, width) in enumerate(zip(sizes, widths, strict=True)):
        source, target = f"synthesis.b{size}", f"synthesis.blocks.{i}"
        below = widths[i - 1] if i else 0
        if not i:
            made[f"{target}.constant"] = ledger.take(f"{source}.const", (width, size, size))
        else:
            _styled(ledger, made, f"{source}.conv0", f"{target}.up", (width, below, style, size))
        _styled(ledger, made, f"{source}.conv1", f"{target}.conv", (width, width, style, size))
        if size in shows:
            made[f"{target}.to_rgb.weight"] = ledger.take(f"{source}.torgb.weight", (channels, width, 1, 1))
            made[f"{target}.rgb_bias"] = ledger.take(f"{source}.torgb.bias", (channels,))
            made |= ledger.layer(f"{source}.torgb.affine", f"{target}.to_rgb.affine", (width, style))
        if i and architecture == "resnet":
            made[f"{target}.shortcut.weight"] = ledger.take(f"{source}.skip.weight", (width, below, 1, 1))
    arguments |= {
        "size": sizes[-1],
        "channels": channels,
        "style": style,
        "widths": widths,
        "architecture": architecture,
        "mapping_rate": traits.rate,
        "decay": traits.decay,
        "clamp": traits.clamp,
    }
    ledger.close()
    return arguments, made


def _styled(
    ledger: Ledger, made: dict[str, Tensor], source: str, target: str, sides: tuple[int, int, int, int]
) -> None:
    """Takes the tensors of one layer with noise."""
    outputs, inputs, style, size = sides
    weight = ledger.take(f"{source}.weight", (outputs, inputs, 3, 3))
    made[f"{target}.conv.weight"] = weight.transpose(0, 1).contiguous() if target.endswith(".up") else weight
    made |= ledger.layer(f"{source}.affine", f"{target}.conv.affine", (inputs, style))
    made[f"{target}.bias"] = ledger.take(f"{source}.bias", (outputs,))
    if f"{source}.noise_const" in ledger:
        made[f"{target}.noise"] = ledger.take(f"{source}.noise_const", (size, size))
        made[f"{target}.strength"] = ledger.take(f"{source}.noise_strength", ())
    else:  # a network without noise inputs
        made[f"{target}.noise"], made[f"{target}.strength"] = torch.zeros(size, size), torch.zeros(())


def mapping(ledger: Ledger, prefix: str, *, latent: bool = True) -> Made:
    """Converts a mapping network: the layers `fc0`, `fc1`, ... and `embed`.

    Args:
        ledger: the tensors.
        prefix: of the mapping network's names, such as "mapping.".
        latent: whether it has a latent beside the label.

    Returns:
        The arguments `latent`, `classes`, `mapping_layers`, `mapping_width`, `mapping_embedding`, and the tensors.
    """
    made: dict[str, Tensor] = {}
    name = re.escape(prefix)
    layers = len(ledger.names(rf"{name}fc\d+\.weight"))
    embedding = classes = 0
    if f"{prefix}embed.weight" in ledger:
        embedding, classes = ledger.sides(f"{prefix}embed.weight", 2)
        made |= ledger.layer(f"{prefix}embed", "mapping.embed", (embedding, classes))
    if latent and not layers:
        raise ledger.error("has a mapping network without layers")
    first = ledger.sides(f"{prefix}fc0.weight", 2)[1] if layers else embedding
    inputs, widths = first, []
    for i in range(layers):
        made |= ledger.layer(f"{prefix}fc{i}", f"mapping.layers.{i}", (-1, inputs))
        inputs = len(made[f"mapping.layers.{i}.weight"])
        widths.append(inputs)
    style = inputs
    arguments = {
        "latent": first - embedding,
        "classes": classes,
        "mapping_layers": layers,
        "mapping_width": mapping_width(ledger, widths or [style]),
        "mapping_embedding": None if embedding in (0, style) else embedding,
    }
    return arguments, made


def mapping_width(ledger: Ledger, widths: list[int]) -> int | None:
    """The width of a mapping network's layers between, where it is not that of w, the last."""
    between = {*widths[:-1]}
    if len(between) > 1:
        raise ledger.error(f"has mapping layers of {len(between)} widths, {sorted(between)}; one is expected")
    width = next(iter(between), widths[-1])
    return None if width == widths[-1] else width


def discriminator(ledger: Ledger, traits: Traits, rate: float = 0.01) -> Made:
    """Converts a discriminator whose tensors have the names of NVIDIA's PyTorch code (StyleGAN3's too).

    Returns:
        The arguments `size`, `channels`, `classes`, `discriminator_widths`, `discriminator_architecture`,
        `discriminator_layers`, `discriminator_embedding`, `group`, `statistics`, `discriminator_clamp`; and the tensors
        under the names of ganzoo's discriminator.
    """
    check_filters(ledger)
    made: dict[str, Tensor] = {}
    sizes = [4, *_sizes(ledger, r"b(\d{1,6})\.conv0\.weight", 8)]
    widths = [ledger.sides("b4.conv.weight", 4)[0]]
    widths += [ledger.sides(f"b{size}.conv0.weight", 4)[0] for size in sizes[1:]]
    channels = ledger.sides(f"b{sizes[-1]}.fromrgb.weight", 4)[1]
    residual = any(f"b{size}.skip.weight" in ledger for size in sizes)
    architecture = "skip" if "b4.fromrgb.weight" in ledger else "resnet" if residual else "orig"
    for i in reversed(range(1, len(sizes))):
        source, target = f"b{sizes[i]}", f"blocks.{len(sizes) - 1 - i}"
        here, below = widths[i], widths[i - 1]
        if architecture == "skip" or i == len(sizes) - 1:
            made |= ledger.layer(f"{source}.fromrgb", f"{target}.from_rgb", (here, channels, 1, 1))
        made |= ledger.layer(f"{source}.conv0", f"{target}.first", (here, here, 3, 3))
        made |= ledger.layer(f"{source}.conv1", f"{target}.second", (below, here, 3, 3))
        if architecture == "resnet":
            made[f"{target}.shortcut.weight"] = ledger.take(f"{source}.skip.weight", (below, here, 1, 1))
    width = widths[0]
    if architecture == "skip":
        made |= ledger.layer("b4.fromrgb", "head.from_rgb", (width, channels, 1, 1))
    statistics = ledger.sides("b4.conv.weight", 4)[1] - width
    if statistics < 0:
        raise ledger.error(f"reads {width + statistics} feature maps at 4 pixels, where there are {width}")
    made |= ledger.layer("b4.conv", "head.conv", (width, width + statistics, 3, 3))
    made |= ledger.layer("b4.fc", "head.dense", (width, width * 16))
    outputs = ledger.sides("b4.out.weight", 2)[0]
    made |= ledger.layer("b4.out", "head.out", (outputs, width))
    label, mapped = mapping(ledger, "mapping.", latent=False)
    if label["classes"]:
        _check_label(ledger, mapped, outputs, label["mapping_layers"])
    elif outputs != 1:
        raise ledger.error(f"gives {outputs} scores an image; 1 is expected where there are no classes")
    # What a layer computes depends on the product of its weights and the multiplier
    made |= {k: v * (traits.rate / rate) if ".layers." in k and traits.rate != rate else v for k, v in mapped.items()}
    ledger.close()
    arguments = {
        "size": sizes[-1],
        "channels": channels,
        "classes": label["classes"],
        "discriminator_widths": widths,
        "discriminator_architecture": architecture,
        "discriminator_layers": label["mapping_layers"] if label["classes"] else 8,
        "discriminator_embedding": None if outputs == width or not label["classes"] else outputs,
        "group": traits.group,
        "statistics": statistics,
        "discriminator_clamp": traits.clamp,
    }
    return arguments, made


def _check_label(ledger: Ledger, mapped: Mapping[str, Tensor], outputs: int, layers: int) -> None:
    """The label's mapping network has one width in ganzoo: that of the features it is projected on."""
    names = ["embed.weight", *(f"layers.{i}.weight" for i in range(layers))]
    for name in names:
        if len(mapped[f"mapping.{name}"]) != outputs:
            raise ledger.error(f"maps its label through {len(mapped[f'mapping.{name}'])} features to {outputs}")


def check_filters(ledger: Ledger, pattern: str = r".*resample_filter", gain: float = 1.0) -> None:
    """Takes the resampling filters, which the family makes for itself, and refuses others than [1, 3, 3, 1].

    What does not add up to 1 (or to the gain of an upsampling filter) is no filter, as in a table of made-up tensors.
    """
    taps = torch.tensor(TAPS)
    expected = torch.outer(taps, taps) / taps.sum() ** 2
    for name in ledger.names(pattern):
        found = ledger.take(name).float().reshape(-1)
        if len(found) != len(TAPS) ** 2:
            raise ledger.error(f"has a filter of {len(found)} taps in {quoted(name)}; expected that of [1, 3, 3, 1]")
        found = found.reshape(len(TAPS), len(TAPS))
        for factor in (1.0, gain):
            if abs(float(found.sum()) - factor) < 1e-3 and not torch.allclose(found, expected * factor, atol=1e-5):
                raise ledger.error(f"has another filter in {quoted(name)}; expected that of [1, 3, 3, 1]")


def _sizes(ledger: Ledger, pattern: str, smallest: int = 4) -> list[int]:
    """The resolutions in the names, which must be smallest, 2 smallest, ..."""
    found = sorted(int(match[1]) for name in ledger if (match := re.fullmatch(pattern, name)))
    if not found or found != [smallest * 2**i for i in range(len(found))]:
        raise ledger.error(f"has layers for {found} pixels; {smallest}, {2 * smallest}, ... without a gap are expected")
    return found


def joined(
    name: str, averaged: Made, live: Made | None, critic: Made | None, ledger: Ledger, family: str = _FAMILY
) -> Converted:
    """Puts the networks of one file together."""
    arguments = dict(averaged[0])
    if live is not None and live[0] != arguments:
        raise ledger.error("has a live generator of another architecture than the averaged one")
    if critic is not None:
        check_pair(ledger, critic[0], arguments)
        arguments |= critic[0]
        if arguments["discriminator_widths"] == arguments.get("widths"):
            arguments["discriminator_widths"] = None
    inference = {f"generator.{key}": value for key, value in averaged[1].items()}
    players = None
    if critic is not None:
        players = {f"generator.{key}": value for key, value in (live or averaged)[1].items()}
        players |= {f"discriminator.{key}": value for key, value in critic[1].items()}
    return Converted(family, arguments, inference, players, {"converted_from": name})


def check_pair(ledger: Ledger, critic: Mapping[str, Any], generator: Mapping[str, Any]) -> None:
    """Refuses a discriminator that is not for its generator's images."""
    shared = ("size", "channels", "classes")
    theirs, ours = ([made[key] for key in shared] for made in (critic, generator))
    if theirs != ours:
        raise ledger.error(f"has a discriminator for {theirs} (size, channels, classes); its generator: {ours}")


# ---------------------------------------------------------------- NVIDIA, PyTorch

_NVIDIA = "NVIDIA StyleGAN2 (PyTorch)"
# The layers with a bound on their output: shortcuts have none, nor what reads the image at 4 pixels
_BOUNDED = r"synthesis\.b\d+\.(conv\d|torgb)\.conv_clamp|b\d+\.conv\d?\.conv_clamp"


def _from_nvidia(contents: Contents) -> Converted:
    keys = contents.generators("synthesis.b4.const")
    critics = ["D"] if "D" in contents.modules else contents.having("b4.out.weight")
    ledger, averaged = _module(contents, keys[0], generator)
    live = _module(contents, "G", generator)[1] if "G" in keys[1:] else None
    critic = nvidia_discriminator(contents, critics[0], averaged[0]["mapping_rate"]) if critics else None
    return joined(_NVIDIA, averaged, live, critic, ledger)


def _join_nvidia(contents: Contents, made: Converted) -> Converted:
    """Adds the discriminator of a file of its own, as StudioGAN keeps it."""
    module = contents.alone("a discriminator of StyleGAN2")
    key = next(iter(contents.modules))
    arguments, critic = nvidia_discriminator(contents, key, made.arguments["mapping_rate"])
    check_pair(Ledger(contents, "the discriminator", module.tensors), arguments, made.arguments)
    return made.joined("discriminator", critic, **arguments)


def nvidia_discriminator(contents: Contents, key: str = "D", rate: float = 0.01) -> Made:
    """Converts the discriminator of one of NVIDIA's PyTorch pickles, StyleGAN2's or StyleGAN3's.

    Returns:
        As `discriminator`.
    """
    return _module(contents, key, lambda ledger, traits: discriminator(ledger, traits, rate))[1]


def _module(contents: Contents, key: str, convert: Callable[[Ledger, Traits], Made]) -> tuple[Ledger, Made]:
    module = contents.modules[key]
    ledger = open_ledger(contents, key)
    for name, value in module.constants.items():
        linear = re.search(r"(^|\.)(affine|embed|out|skip|torgb)\.activation$", name)
        if name.endswith(".activation") and value != ("linear" if linear else "lrelu"):
            raise ledger.error(f"has the activation {quoted(value)} in {quoted(name)}; expected lrelu")
    # Attributes say it; where a container has none, the arguments may
    clamp = _one(ledger, module, _BOUNDED, _given(module, "conv_clamp", _given(module, "synthesis_kwargs.conv_clamp")))
    rate = _one(ledger, module, r"mapping\.fc\d+\.bias_gain", _given(module, "mapping_kwargs.lr_multiplier", 0.01))
    decay = _one(ledger, module, r"mapping\.w_avg_beta", _given(module, "mapping_kwargs.w_avg_beta", 0.995))
    group = _one(ledger, module, r"b4\.mbstd\.group_size", _given(module, "epilogue_kwargs.mbstd_group_size", 4))
    traits = _traits(ledger, clamp, rate, decay, group)
    return ledger, convert(ledger, traits)


def _traits(ledger: Ledger, clamp: Any = None, rate: Any = 0.01, decay: Any = None, group: Any = 4) -> Traits:
    """Checks what a file says beside its tensors, which may be anything."""
    for name, value in {"bound": clamp, "learning-rate multiplier": rate, "decay": decay, "group": group}.items():
        sound = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e6
        if not sound and not (value is None and name != "learning-rate multiplier"):
            raise ledger.error(f"has the {name} {quoted(value)}; a number above 0 is expected")
    if decay is not None and decay >= 1:
        raise ledger.error(f"has the decay {quoted(decay)}; a number below 1 is expected")
    return Traits(
        None if clamp is None else float(clamp),
        float(rate),
        0.995 if decay is None else float(decay),
        None if group is None else int(group),
    )


def _one(ledger: Ledger, module: Module, pattern: str, default: Any) -> Any:
    """The one value that all attributes of these names have."""
    found = [value for name, value in module.constants.items() if re.fullmatch(pattern, name)]
    if any(value != found[0] for value in found):
        raise ledger.error(f"has different values in {pattern}; one is expected")
    return found[0] if found else default


def _given(module: Module, name: str, default: Any = None) -> Any:
    """An argument of the constructor; `a.b` is the entry b of the argument a."""
    value: Any = module.arguments
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return default
        value = value[part]
    return value


# ---------------------------------------------------------------- NVIDIA, TensorFlow

_TENSORFLOW = "NVIDIA StyleGAN2 (TensorFlow)"


def _from_tensorflow(contents: Contents) -> Converted:
    critics = [n for n in contents.networks if n.name == "D" or "Output/weight" in n.variables]
    generators = [n for n in contents.networks if not any(n is critic for critic in critics)]
    if not generators:
        raise BadCheckpoint(f"{contents.path}: holds no generator beside its discriminator")
    # G, D, Gs: the last generator is the averaged one
    ledger, averaged = _tf_generator(contents, generators[-1])
    live = _tf_generator(contents, generators[0])[1] if len(generators) > 1 else None
    critic = _tf_discriminator(contents, critics[0], averaged[0]["mapping_rate"]) if critics else None
    return joined(_TENSORFLOW, averaged, live, critic, ledger)


def _tf_generator(contents: Contents, network: Network) -> tuple[Ledger, Made]:
    arguments, ledger = network.arguments, Ledger(contents, network.name, network.variables)
    _check_tf(ledger, arguments, ("nonlinearity", "mapping_nonlinearity"))
    if "mapping/LabelConcat/weight" in ledger:
        raise ledger.error("is conditional as StyleGAN2's first code was: z and the label are normalised together")
    if arguments.get("normalize_latents", True) is not True:
        raise ledger.error("does not normalise its latents")
    _grown(ledger, "lod", "synthesis/lod")
    made: dict[str, Tensor] = {"mapping.w_avg": ledger.take("dlatent_avg")}
    made |= ledger.rename({r"mapping/Dense(\d+)/weight": r"mapping.fc\1.weight"}, _dense)
    made |= ledger.rename({r"mapping/Dense(\d+)/bias": r"mapping.fc\1.bias"})
    made |= ledger.rename({r"mapping/LabelEmbed/weight": "mapping.embed.weight"}, _dense)
    made |= ledger.rename({r"mapping/LabelEmbed/bias": "mapping.embed.bias"})
    made["synthesis.b4.const"] = ledger.take("synthesis/4x4/Const/const", (1, -1, 4, 4))[0]
    largest = max((int(m[1]) for n in ledger if (m := re.match(r"synthesis/(\d{1,6})x\1/", n))), default=4)
    # Of the networks that grew, only the image of the last resolution counts
    ledger.ignore(r"synthesis/ToRGB_lod[1-9]\d*/\w+")
    layers = {r"(\d+)x\1/Conv": r"b\1.conv1", r"(\d+)x\1/Conv0_up": r"b\1.conv0", r"(\d+)x\1/Conv1": r"b\1.conv1"}
    layers |= {r"(\d+)x\1/ToRGB": r"b\1.torgb", "ToRGB_lod0": f"b{largest}.torgb", r"(\d+)x\1/Skip": r"b\1.skip"}
    for theirs, ours in layers.items():
        mirrored = theirs.endswith(("Conv0_up", "Skip"))
        kinds: list[tuple[str, str, Callable[[Tensor], Tensor] | None]] = [
            ("weight", "weight", _mirrored if mirrored else _convolution),
            ("bias", "bias", None),
            ("noise_strength", "noise_strength", lambda strength: strength.reshape(())),
            ("mod_weight", "affine.weight", _dense),
            ("mod_bias", "affine.bias", lambda bias: bias + 1),
        ]
        for kind, name, change in kinds:
            made |= ledger.rename({rf"synthesis/{theirs}/{kind}": f"synthesis.{ours}.{name}"}, change)
    for name in ledger.names(r"synthesis/noise\d{1,2}"):
        size, layer = _place(int(name.removeprefix("synthesis/noise")))
        made[f"synthesis.b{size}.{layer}.noise_const"] = ledger.take(name, (1, 1, size, size))[0, 0]
    ledger.close()
    decay = arguments.get("dlatent_avg_beta", arguments.get("w_avg_beta"))
    traits = _traits(ledger, arguments.get("conv_clamp"), arguments.get("mapping_lrmul", 0.01), decay)
    named = Ledger(contents, network.name, made)
    return named, generator(named, traits)


def _tf_discriminator(contents: Contents, network: Network, rate: float) -> Made:
    arguments, ledger = network.arguments, Ledger(contents, network.name, network.variables)
    _check_tf(ledger, arguments, ("nonlinearity",))
    _grown(ledger, "lod")
    largest = max((int(m[1]) for n in ledger if (m := re.match(r"(\d{1,6})x\1/", n))), default=4)
    ledger.ignore(r"FromRGB_lod[1-9]\d*/\w+")
    layers = {"FromRGB_lod0": f"b{largest}.fromrgb", r"(\d+)x\1/FromRGB": r"b\1.fromrgb", "4x4/Conv": "b4.conv"}
    layers |= {
        rf"(\d+)x\1/{n}": rf"b\1.{k}" for n, k in (("Conv0", "conv0"), ("Conv1_down", "conv1"), ("Skip", "skip"))
    }
    made: dict[str, Tensor] = {}
    for theirs, ours in layers.items():
        made |= ledger.rename({f"{theirs}/weight": f"{ours}.weight"}, _convolution)
        made |= ledger.rename({f"{theirs}/bias": f"{ours}.bias"})
    dense = {"4x4/Dense0": "b4.fc", "Output": "b4.out", "LabelEmbed": "mapping.embed", r"Mapping(\d+)": r"mapping.fc\1"}
    for theirs, ours in dense.items():
        made |= ledger.rename({f"{theirs}/weight": f"{ours}.weight"}, _dense)
        made |= ledger.rename({f"{theirs}/bias": f"{ours}.bias"})
    ledger.close()
    if arguments.get("label_size", 0) and "mapping.embed.weight" not in made:
        raise ledger.error("is conditional as StyleGAN2's first code was: one score a class")
    group = arguments.get("mbstd_group_size", 4) or None  # 0 is for no such statistics
    traits = _traits(ledger, arguments.get("conv_clamp"), arguments.get("mapping_lrmul", 0.1), None, group)
    return discriminator(Ledger(contents, network.name, made), traits, rate)


def _check_tf(ledger: Ledger, arguments: Mapping[str, Any], activations: tuple[str, ...]) -> None:
    for name in activations:
        if arguments.get(name, "lrelu") != "lrelu":
            raise ledger.error(f"has the {name} {quoted(arguments[name])}; expected lrelu")
    kernel = arguments.get("resample_kernel", [1, 3, 3, 1])
    if not isinstance(kernel, (list, tuple)) or list(kernel) != list(TAPS):
        raise ledger.error(f"has the filter {quoted(kernel)}; expected [1, 3, 3, 1]")


def _grown(ledger: Ledger, *names: str) -> None:
    """Takes the level of detail that a growing network is at, which must be the last."""
    for name in names:
        if name in ledger and (level := float(ledger.take(name, ()))) != 0:
            raise ledger.error(f"is still growing ({name} is {level:g}); only a network at its full size is converted")


def _place(i: int) -> tuple[int, str]:
    """The resolution and the layer that have the noise input i."""
    return 1 << (i + 5) // 2, "conv0" if i % 2 else "conv1"


def _dense(weight: Tensor) -> Tensor:
    return weight.t().contiguous()


def _convolution(weight: Tensor) -> Tensor:
    return weight.permute(3, 2, 0, 1).contiguous()


def _mirrored(weight: Tensor) -> Tensor:
    return _convolution(weight).flip(2, 3)


# ---------------------------------------------------------------- genforce

_GENFORCE = "genforce StyleGAN2"


def _from_genforce(contents: Contents) -> Converted:
    keys = contents.generators("synthesis.early_layer.const")
    made = {key: _g_generator(contents, key) for key in keys}
    critic = _g_discriminator(contents) if "D" in contents.modules else None
    ledger, averaged = made[keys[0]]
    return joined(_GENFORCE, averaged, made["G"][1] if "G" in keys[1:] else None, critic, ledger)


def _g_generator(contents: Contents, key: str) -> tuple[Ledger, Made]:
    """Layers are counted as in TensorFlow, whose kernels the upsampling ones still have, mirrored."""
    ledger = open_ledger(contents, key)
    if "mapping.label_weight" in ledger:
        raise ledger.error("is conditional as StyleGAN2's first code was: z and the label are normalised together")
    check_filters(ledger, r"synthesis\.(layer\d+\.filter|upsample)\.kernel", gain=4.0)
    made = ledger.rename(
        {r"mapping\.dense(\d+)\.(weight|bias)": r"mapping.fc\1.\2", r"truncation\.w_avg": "mapping.w_avg"}
    )
    made["synthesis.b4.const"] = ledger.take("synthesis.early_layer.const", (1, -1, 4, 4))[0]
    layers = {f"layer{i}": _place(i) for i in range(len(ledger.names(r"synthesis\.layer\d+\.weight")))}
    layers |= {f"output{i}": (4 << i, "torgb") for i in range(len(ledger.names(r"synthesis\.output\d+\.weight")))}
    for theirs, (size, layer) in layers.items():
        source, target = f"synthesis.{theirs}", f"synthesis.b{size}.{layer}"
        weight = ledger.take(f"{source}.weight", (-1, -1, -1, -1))
        made[f"{target}.weight"] = weight.flip(2, 3) if layer == "conv0" else weight
        made[f"{target}.bias"] = ledger.take(f"{source}.bias")
        made[f"{target}.affine.weight"] = ledger.take(f"{source}.style.weight")
        made[f"{target}.affine.bias"] = ledger.take(f"{source}.style.bias") + 1
        if layer != "torgb":
            made[f"{target}.noise_const"] = ledger.take(f"{source}.noise", (1, 1, size, size))[0, 0]
            made[f"{target}.noise_strength"] = ledger.take(f"{source}.noise_strength", ())
    ledger.close()
    named = Ledger(contents, contents.modules[key].name, made)
    return named, generator(named, Traits())


def _g_discriminator(contents: Contents) -> Made:
    ledger = open_ledger(contents, "D")
    check_filters(ledger, r"(skip_)?layer\d+\.filter\.kernel")
    levels = len(ledger.names(r"skip_layer\d+\.weight"))
    names = {"input0": f"b{4 << levels}.fromrgb"}
    for i in range(levels):
        block = f"b{4 << levels - i}"
        names |= {
            f"layer{2 * i}": f"{block}.conv0",
            f"layer{2 * i + 1}": f"{block}.conv1",
            f"skip_layer{i}": f"{block}.skip",
        }
    names |= {f"layer{2 * levels + i}": f"b4.{name}" for i, name in enumerate(("conv", "fc", "out"))}
    made = ledger.rename({rf"{theirs}\.(weight|bias)": rf"{ours}.\1" for theirs, ours in names.items()})
    ledger.close()
    return discriminator(Ledger(contents, "discriminator", made), Traits())


# ---------------------------------------------------------------- rosinality

_ROSINALITY = "rosinality StyleGAN2"
_PSP = "pixel2style2pixel's StyleGAN2 (pSp, e4e and kin)"


def _from_rosinality(contents: Contents) -> Converted:
    keys, center = contents.generators("conv1.conv.modulation.weight"), contents.beside.get("latent_avg")
    made = [_r_generator(contents, key, contents.modules[key].tensors, center) for key in keys[:2]]
    critic = _r_discriminator(contents) if "D" in contents.modules else None
    (ledger, averaged, drawn), live = made[0], made[1][1] if keys[1:] == ["G"] else None
    return _noted(joined(_ROSINALITY, averaged, live, critic, ledger), drawn)


def _join_rosinality(contents: Contents, made: Converted) -> Converted:
    """Adds the discriminator of a file of its own."""
    arguments, critic = _r_discriminator(contents, next(iter(contents.modules), ""))
    check_pair(Ledger(contents, "the discriminator", {}), arguments, made.arguments)
    return made.joined("discriminator", critic, **arguments)


def _from_psp(contents: Contents) -> Converted:
    """The generator in an encoder's checkpoint; the encoder is left out."""
    tensors = contents.alone("an encoder with its generator").tensors
    inside = {name.removeprefix("decoder."): t for name, t in tensors.items() if name.startswith("decoder.")}
    ledger, averaged, drawn = _r_generator(contents, "decoder", inside, contents.beside.get("latent_avg"))
    return _noted(joined(_PSP, averaged, None, None, ledger), drawn)


def _noted(made: Converted, drawn: bool) -> Converted:
    """Says where the constant noise is from, if not from the file."""
    return replace(made, facts={**made.facts, "noise": "drawn from seed 0; the file has none"}) if drawn else made


def _r_generator(contents: Contents, key: str, tensors: Mapping[str, Tensor], center: Any) -> tuple[Ledger, Made, bool]:
    """Converts a generator; the last value says whether its constant noise was drawn here."""
    ledger = Ledger(contents, key or "the generator", tensors)
    check_filters(ledger, r".*\.kernel", gain=4.0)
    made: dict[str, Tensor] = {}
    for name in ledger.names(r"style\.\d{1,3}\.(weight|bias)"):
        _, number, kind = name.split(".")
        made[f"mapping.fc{int(number) - 1}.{kind}"] = ledger.take(name)
    made["synthesis.b4.const"] = ledger.take("input.input", (1, -1, 4, 4))[0]
    blocks = {"conv1": (4, "conv1"), "to_rgb1": (4, "torgb")}
    for i in range(len(ledger.names(r"convs\.\d+\.conv\.weight"))):
        blocks[f"convs.{i}"] = (8 << i // 2, f"conv{i % 2}")
    for i in range(len(ledger.names(r"to_rgbs\.\d+\.conv\.weight"))):
        blocks[f"to_rgbs.{i}"] = (8 << i, "torgb")
    drawn = not ledger.names(r"noises\..*")  # the author's own published file lacks them
    rng = np.random.RandomState(0)
    for source, (size, layer) in blocks.items():
        target = f"synthesis.b{size}.{layer}"
        made[f"{target}.weight"] = ledger.take(f"{source}.conv.weight", (1, -1, -1, -1, -1))[0]
        for kind in ("weight", "bias"):
            made[f"{target}.affine.{kind}"] = ledger.take(f"{source}.conv.modulation.{kind}")
        if layer == "torgb":
            made[f"{target}.bias"] = ledger.take(f"{source}.bias", (1, -1, 1, 1)).flatten()
            continue
        made[f"{target}.bias"] = ledger.take(f"{source}.activate.bias")
        made[f"{target}.noise_strength"] = ledger.take(f"{source}.noise.weight", (1,))[0]
        if drawn and size <= _LARGEST:
            made[f"{target}.noise_const"] = torch.from_numpy(rng.randn(size, size)).float()
    for name in ledger.names(r"noises\.noise_\d{1,2}"):
        size, layer = _place(int(name.removeprefix("noises.noise_")))
        made[f"synthesis.b{size}.{layer}.noise_const"] = ledger.take(name, (1, 1, size, size))[0, 0]
    ledger.close()
    made["mapping.w_avg"] = _center(ledger, center) if isinstance(center, Tensor) else _estimated(contents, made)
    named = Ledger(contents, key or "the generator", made)
    return named, generator(named, Traits()), drawn


def _center(ledger: Ledger, center: Tensor) -> Tensor:
    """The mean of w; some files have it once a layer."""
    rows = center.reshape(-1, center.shape[-1]) if center.dim() else center.reshape(1, 1)
    if not bool((rows == rows[:1]).all()):
        raise ledger.error("has a mean of w for each layer; expected one for all")
    return rows[0]


def _estimated(contents: Contents, made: Mapping[str, Tensor]) -> Tensor:
    """The mean of w over 10,000 latents, where a file lacks it: that code takes it anew whenever it truncates."""
    layers = {name: value for name, value in made.items() if name.startswith("mapping.")}
    arguments, tensors = mapping(Ledger(contents, "style", layers), "mapping.")
    style = len(tensors[f"mapping.layers.{arguments['mapping_layers'] - 1}.bias"])
    if max(arguments["latent"], style, arguments["mapping_width"] or 0) > 8192:
        raise BadCheckpoint(f"{contents.path}: maps {arguments['latent']} values to {style}; 512 are usual")
    network = MappingNetwork(
        arguments["latent"], style, arguments["mapping_layers"], width=arguments["mapping_width"], decay=None
    )
    network.load_state_dict({name.removeprefix("mapping."): value for name, value in tensors.items()})
    rng = np.random.RandomState(0)
    with torch.no_grad():
        parts = [network(torch.from_numpy(rng.randn(1000, arguments["latent"])).float()).mean(0) for _ in range(10)]
    return torch.stack(parts).mean(0)


def _r_discriminator(contents: Contents, key: str = "D") -> Made:
    ledger = Ledger(contents, key or "the discriminator", contents.modules[key].tensors if contents.modules else {})
    check_filters(ledger, r".*\.kernel")
    count = len(ledger.names(r"convs\.\d+\.conv1\.0\.weight"))
    pairs = {"convs.0.0.weight": f"b{4 << count}.fromrgb.weight", "convs.0.1.bias": f"b{4 << count}.fromrgb.bias"}
    for i in range(1, count + 1):
        source, target = f"convs.{i}", f"b{8 << count - i}"
        pairs |= {
            f"{source}.conv1.0.weight": f"{target}.conv0.weight",
            f"{source}.conv1.1.bias": f"{target}.conv0.bias",
        }
        pairs |= {
            f"{source}.conv2.1.weight": f"{target}.conv1.weight",
            f"{source}.conv2.2.bias": f"{target}.conv1.bias",
        }
        pairs |= {f"{source}.skip.1.weight": f"{target}.skip.weight"}
    pairs |= {"final_conv.0.weight": "b4.conv.weight", "final_conv.1.bias": "b4.conv.bias"}
    for i, target in enumerate(("b4.fc", "b4.out")):
        pairs |= {f"final_linear.{i}.{kind}": f"{target}.{kind}" for kind in ("weight", "bias")}
    made = {ours: ledger.take(theirs) for theirs, ours in pairs.items()}
    ledger.close()
    return discriminator(Ledger(contents, key or "the discriminator", made), Traits())


LAYOUTS = (
    Layout(_NVIDIA, _FAMILY, marked("synthesis.b4.const"), _from_nvidia, _join_nvidia),
    Layout(_TENSORFLOW, _FAMILY, marked_variables("synthesis/4x4/Conv/mod_weight"), _from_tensorflow),
    Layout(_ROSINALITY, _FAMILY, marked("conv1.conv.modulation.weight"), _from_rosinality, _join_rosinality),
    Layout(_GENFORCE, _FAMILY, marked("synthesis.early_layer.const"), _from_genforce),
    Layout(_PSP, _FAMILY, marked("decoder.conv1.conv.modulation.weight"), _from_psp),
)
