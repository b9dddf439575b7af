"""StyleGAN3's published checkpoints: NVIDIA's PyTorch pickles of configurations T and R.

A layer's name says its size and its feature maps (synthesis.L3_52_512), and its tensors most of the rest. What no
tensor tells is taken from the attributes saved beside them or, where they lack it, from the constructor's arguments.
The plan that follows from all of it must be the file's in every size and shape. The Fourier features' frequencies and
phases, the user's transform and the filters are the file's own. The discriminator is StyleGAN2's.
"""

import re
from itertools import pairwise
from typing import Any

from torch import Tensor

from ganzoo.layouts.containers import Contents, Module
from ganzoo.layouts.layout import Converted, Layout, Ledger, marked, open_ledger
from ganzoo.layouts.pickles import quoted
from ganzoo.layouts.stylegan2 import joined, mapping, nvidia_discriminator
from ganzoo.nn.signals import Signal, factors, schedule
from ganzoo.types import BadArgument

_FAMILY = "stylegan3"
_NVIDIA = "NVIDIA StyleGAN3 (PyTorch)"
_LARGEST = 2**14  # pixels of a side

Made = tuple[dict[str, Any], dict[str, Tensor]]  # arguments of the family, and tensors under its names


def _from_nvidia(contents: Contents) -> Converted:
    generators = contents.generators("synthesis.input.freqs")
    critics = ["D"] if "D" in contents.modules else contents.having("b4.out.weight")
    key = generators[0]
    averaged = _generator(contents, key)
    live = _generator(contents, "G") if "G" in generators and key != "G" else None
    critic = _critic(contents, critics[0]) if critics else None
    return joined(_NVIDIA, averaged, live, critic, Ledger(contents, "the file", {}), _FAMILY)


def _critic(contents: Contents, key: str) -> Made:
    """The discriminator; what its attributes do not say may stand in its arguments."""
    arguments, made = nvidia_discriminator(contents, key)
    module = contents.modules[key]
    head = module.arguments.get("epilogue_kwargs")
    if "b4.mbstd.group_size" not in module.constants and isinstance(head, dict):
        arguments["group"] = head.get("mbstd_group_size", arguments["group"])
    return arguments, made


# ---------------------------------------------------------------- the generator


class _Facts:
    """What the attributes of a generator say, or else its arguments, or else NVIDIA's defaults."""

    def __init__(self, ledger: Ledger, module: Module) -> None:
        self.ledger, self.module = ledger, module

    def number(self, attribute: str, argument: str, default: float, part: str = "") -> float:
        """One number; `part` is the group of arguments that it stands in."""
        given = self.module.arguments.get(part, {}) if part else self.module.arguments
        value = self.module.constants.get(attribute)
        if value is None:
            value = given.get(argument, default) if isinstance(given, dict) else default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**31:
            raise self.ledger.error(f"has {argument} {quoted(value)}; a number is expected")
        return value

    def whole(self, attribute: str, argument: str, default: int, least: int = 0) -> int:
        """One whole number."""
        value = self.number(attribute, argument, default)
        if value != int(value) or value < least:
            raise self.ledger.error(f"has {argument} {value}; a whole number of at least {least} is expected")
        return int(value)

    def clamp(self, layer: str) -> float | None:
        """The bound of the values, which may be none."""
        attribute = f"synthesis.{layer}.conv_clamp"
        if attribute in self.module.constants:
            value = self.module.constants[attribute]
        else:
            value = self.module.arguments.get("conv_clamp", 256)
        return None if value is None else float(self.number(attribute, "conv_clamp", 256))


def _generator(contents: Contents, key: str) -> Made:
    """Converts a generator.

    Returns:
        The family's arguments, and the tensors under the names of ganzoo's generator.
    """
    module = contents.modules[key]
    ledger = open_ledger(contents, key)
    facts = _Facts(ledger, module)
    names = _layers(ledger)
    arguments, made = mapping(ledger, "mapping.")
    for name in ("mapping_width", "mapping_embedding"):
        if arguments.pop(name) is not None:
            raise ledger.error("has a mapping network whose layers differ in width; one width is expected")
    arguments |= _plan(facts, names)
    style = arguments["style"]
    made["mapping.mean"] = ledger.take("mapping.w_avg", (style,))
    signals = _signals(ledger, arguments, names)
    maps = signals[0].channels
    shapes = {"weight": (maps, maps), "transform": (3, 3), "freqs": (maps, 2), "phases": (maps,)}
    shapes |= {"affine.weight": (4, style), "affine.bias": (4,)}
    for name, shape in shapes.items():
        made[f"synthesis.input.{name}"] = ledger.take(f"synthesis.input.{name}", shape)
    for i, (before, after) in enumerate(pairwise([signals[0], *signals])):
        _take_layer(ledger, made, arguments, names[i], i, before, after)
    ledger.close()
    return arguments, made


def _layers(ledger: Ledger) -> list[str]:
    """The layers' names, such as L3_52_512, in their order."""
    found: dict[int, str] = {}
    for name in ledger.names(r"synthesis\.L\d{1,3}_\d{1,6}_\d{1,6}\.weight"):
        layer = name.split(".")[1]
        found[int(re.split(r"[L_]", layer)[1])] = layer
    if len(found) < 2 or sorted(found) != [*range(len(found))]:
        raise ledger.error(f"has the layers {sorted(found)}; 0, 1, 2, ... without a gap are expected")
    return [found[i] for i in range(len(found))]


def _sides(layer: str) -> tuple[int, int]:
    """The size and the feature maps in a layer's name."""
    _, size, channels = layer.split("_")
    return int(size), int(channels)


def _plan(facts: _Facts, names: list[str]) -> dict[str, Any]:
    """The arguments of the synthesis network."""
    ledger, first = facts.ledger, names[0]
    size, channels = _sides(names[-1])
    if size > _LARGEST or size < 8 or size & (size - 1):
        raise ledger.error(f"makes images of {size} pixels; a power of two from 8 to {_LARGEST} is expected")
    weight, place = (ledger.shape(f"synthesis.{name}.weight") for name in (first, "input.affine"))
    if len(weight) != 4 or len(place) != 2:
        raise ledger.error(f"has weights of the shapes {list(weight)} and {list(place)}; 4 and 2 sides are expected")
    radial = any(len(ledger.shape(name)) == 2 for name in ledger.names(r"synthesis\.L\w+\.down_filter"))
    arguments: dict[str, Any] = {
        "size": size,
        "channels": channels,
        "style": place[1],
        "configuration": "r" if weight[3] == 1 and radial else "t",
        "kernel": weight[3],
        "radial": radial,
        "layers": len(names) - 1,
        "critical": facts.whole("synthesis.num_critical", "num_critical", 2),
        "first_cutoff": float(facts.number("synthesis.input.bandwidth", "first_cutoff", 2.0)),
        "first_stopband": float(facts.number("", "first_stopband", 2**2.1)),
        "last_stopband": float(facts.number("", "last_stopband_rel", 2**0.3)),
        "margin": facts.whole("synthesis.margin_size", "margin_size", 10),
        "scale": float(facts.number("synthesis.output_scale", "output_scale", 0.25)),
        "clamp": facts.clamp(first),
        "mapping_rate": float(facts.number("mapping.fc0.bias_gain", "lr_multiplier", 0.01, "mapping_kwargs")),
        "decay": float(facts.number("mapping.w_avg_beta", "w_avg_beta", 0.998, "mapping_kwargs")),
        "blur": 0.0,  # it is for the beginning of a training, which lies behind
    }
    arguments["upsampling"] = _upsampling(facts, first)
    arguments["filter_size"] = _filter_size(facts, names)
    widths = [_sides(name)[1] for name in names[:-1]]
    if {"channel_base", "channel_max"} & facts.module.arguments.keys():
        arguments["channel_base"] = facts.whole("", "channel_base", 32768, 1)
        arguments["channel_max"] = facts.whole("", "channel_max", 512, 1)
    else:
        arguments["channel_base"], arguments["channel_max"] = _channels(arguments, widths)
    return arguments


def _upsampling(facts: _Facts, layer: str) -> int:
    """The sampling rate at the non-linearity, relative to the layer's."""
    constants = facts.module.constants
    rates = [constants.get(f"synthesis.{layer}.{which}_sampling_rate") for which in ("tmp", "in", "out")]
    whole = [rate for rate in rates if isinstance(rate, int) and rate > 0]
    if len(whole) == 3 and whole[0] >= max(whole[1:]):
        return whole[0] // max(whole[1:])
    return facts.whole("", "lrelu_upsampling", 2, 1)


def _filter_size(facts: _Facts, names: list[str]) -> int:
    """Taps of a filter in samples of the lower rate."""
    constants = facts.module.constants
    for layer in names:
        taps, factor = (constants.get(f"synthesis.{layer}.{name}") for name in ("up_taps", "up_factor"))
        if type(taps) is int and type(factor) is int and factor > 1 and taps > 1:
            return taps // factor
    return facts.whole("", "filter_size", 6, 1)


def _channels(arguments: dict[str, Any], widths: list[int]) -> tuple[int, int]:
    """The base and the maximum of the feature maps where the file does not say them: the paper's or a power of two."""
    most = max(widths)
    for base, maximum in ((32768, 512), *((2**i, most) for i in range(4, 24))):
        try:
            signals = schedule(**_frequencies(arguments), base=base, most=maximum)
        except BadArgument:
            break
        if [signal.channels for signal in signals[:-1]] == widths:
            return base, maximum
    return 32768, 512


def _frequencies(arguments: dict[str, Any]) -> dict[str, Any]:
    names = ("size", "channels", "layers", "critical", "first_cutoff", "first_stopband", "last_stopband", "margin")
    return {name: arguments[name] for name in names}


def _signals(ledger: Ledger, arguments: dict[str, Any], names: list[str]) -> list[Signal]:
    """The plan that follows from the arguments, which must be that of the names."""
    try:
        signals = schedule(**_frequencies(arguments), base=arguments["channel_base"], most=arguments["channel_max"])
    except BadArgument as wrong:
        raise ledger.error(f"cannot be: {wrong}") from None
    for name, signal in zip(names, signals, strict=True):
        if _sides(name) != (signal.size, signal.channels):
            raise ledger.error(f"has the layer {name}; by its arguments {signal.size}_{signal.channels} is expected")
    return signals


def _take_layer(
    ledger: Ledger,
    made: dict[str, Tensor],
    arguments: dict[str, Any],
    name: str,
    i: int,
    before: Signal,
    after: Signal,
) -> None:
    """Takes the tensors of one layer; a filter is there where the rate changes."""
    rgb, style = i == arguments["layers"], arguments["style"]
    kernel = 1 if rgb else arguments["kernel"]
    _, *changes = factors(before, after, 1 if rgb else arguments["upsampling"])
    taps = [1 if rgb or factor == 1 else arguments["filter_size"] * factor for factor in changes]
    radial = arguments["radial"] and i < arguments["layers"] - arguments["critical"]
    shapes: dict[str, tuple[int, ...]] = {
        "affine.weight": (before.channels, style),
        "affine.bias": (before.channels,),
        "weight": (after.channels, before.channels, kernel, kernel),
        "bias": (after.channels,),
        "magnitude_ema": (),
    }
    if taps[0] > 1:
        shapes["up_filter"] = (taps[0],)
    if taps[1] > 1:
        shapes["down_filter"] = (taps[1], taps[1]) if radial else (taps[1],)
    for key, shape in shapes.items():
        ours = f"synthesis.layers.{i}.{key.replace('magnitude_ema', 'magnitude')}"
        made[ours] = ledger.take(f"synthesis.{name}.{key}", shape)


LAYOUTS = (Layout(_NVIDIA, _FAMILY, marked("synthesis.input.freqs"), _from_nvidia),)
