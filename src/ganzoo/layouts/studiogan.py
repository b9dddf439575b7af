"""StudioGAN's residual networks, its cGAN-PD (which it calls SNGAN), SAGAN, SNGAN, WGAN-GP and ACGAN, and its DCGAN.

A network is a `.pth`. A generator's tensors tell widths, classes, spectral normalization and where self-attention
stands. A discriminator without spectral normalization has batch normalization, also before its shortcuts, and is
WGAN-GP's, or with classes ACGAN's. BigGAN's are in biggan.py.
"""

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger, marked
from ganzoo.layouts.mimicry import Maker
from ganzoo.types import BadCheckpoint

_DEEP_CONV = ("linear0.bias", "blocks.0.0.deconv0.bias", "conv4.bias")
_ATTENTION = ("conv1x1_theta", "conv1x1_phi", "conv1x1_g", "conv1x1_attn", "sigma")


def _family(contents: Contents) -> str | None:
    """Whose generator a file holds."""
    for key in contents.having("bn4.running_mean", "blocks.0.0.conv2d1.bias", "conv2d5.bias", "linear0.bias"):
        names = contents.modules[key].tensors.keys()
        if "shared.weight" in names or "info_mix_linear.weight" in names:
            return None
        attentive = any(re.fullmatch(r"blocks\.\d+\.0\.sigma", name) for name in names)
        conditional = any(name.startswith("blocks.0.0.bn1.gain.") for name in names)
        spectral = "linear0.weight_orig" in names
        kinds = {(True, True, True): "sagan", (False, True, False): "cgan_pd", (False, False, False): "sngan"}
        return kinds.get((attentive, conditional, spectral))
    return None


def _norm(make: Maker, theirs: str, ours: str, width: int, classes: int, spectral: bool) -> int:
    """Takes a block's batch normalization; gives the number of classes."""
    if f"{theirs}.bn.running_mean" not in make.ledger:
        return make.norm(theirs, ours, width)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        value = make.ledger.take(f"{theirs}.bn.{name}", () if name == "num_batches_tracked" else (width,))
        make.made[f"{ours}.norm.{name}"] = value
    for name in ("gain", "bias"):
        weight = make.layer(f"{theirs}.{name}", f"{ours}.{name}", (width, classes), spectral=spectral, bias=False)
        classes = weight.shape[1]
    return classes


def _places(ledger: Ledger) -> tuple[list[str], int | None]:
    """The blocks, and before which of them self-attention stands."""
    numbers = sorted(int(name.split(".")[1]) for name in ledger.names(r"blocks\.\d{1,3}\.0\.(conv2d1\.bias|sigma)"))
    attentive = [i for i in numbers if f"blocks.{i}.0.sigma" in ledger]
    if numbers != [*range(len(numbers))] or len(attentive) > 1 or len(numbers) - len(attentive) < 1:
        raise ledger.error("has blocks that are not counted from 0, or several of self-attention; expected one at most")
    return [f"blocks.{i}.0" for i in numbers if i not in attentive], attentive[0] if attentive else None


def _open(contents: Contents, part: str) -> Ledger:
    return Ledger(contents, part, contents.alone(f"StudioGAN's {part}").tensors)


def _convert(contents: Contents, family: str) -> Converted:
    spectral = family == "sagan"
    suffix = "weight_orig" if spectral else "weight"
    with _open(contents, "generator") as ledger:
        make, (blocks, attended) = Maker(ledger), _places(ledger)
        widths = [_side(ledger, f"{block}.conv2d1.{suffix}", 1) for block in blocks]
        widths.append(_side(ledger, f"{blocks[-1]}.conv2d2.{suffix}", 0))
        latent = make.layer("linear0", "linear", (16 * widths[0], -1), spectral=spectral).shape[1]
        classes = -1
        for i, (theirs, (inputs, outputs)) in enumerate(zip(blocks, pairwise(widths), strict=True)):
            ours = f"blocks.{i}"
            layers = {
                "conv2d0": ("shortcut", inputs, 1),
                "conv2d1": ("conv1", inputs, 3),
                "conv2d2": ("conv2", outputs, 3),
            }
            for name, (own, width, side) in layers.items():
                make.layer(f"{theirs}.{name}", f"{ours}.{own}", (outputs, width, side, side), spectral=spectral)
            classes = _norm(make, f"{theirs}.bn1", f"{ours}.norm1", inputs, classes, spectral)
            classes = _norm(make, f"{theirs}.bn2", f"{ours}.norm2", outputs, classes, spectral)
        make.norm("bn4", "norm", widths[-1])
        channels = len(make.layer("conv2d5", "conv", (-1, widths[-1], 3, 3), spectral=spectral))
        size = 4 << len(blocks)
        arguments: dict[str, Any] = {"size": size, "channels": channels, "latent": latent, "widths": widths}
        arguments |= {"classes": classes} if classes else {}
        if attended is not None:
            make.attention(widths[attended], [f"blocks.{attended}.0.{name}" for name in _ATTENTION])
            arguments |= {"attention": 4 << attended, "discriminator_attention": size // 2}
    # Until its file says: StudioGAN's at that size
    halving = 2 if size == 32 else len(blocks)
    arguments |= {"discriminator_widths": widths[:0:-1] + widths[:1], "downsamplings": halving, "variant": "studiogan"}
    facts = {"converted_from": _NAMES[family]} | _steps(contents)
    return Converted(family, arguments, make.named("generator"), None, facts)


def _steps(contents: Contents) -> dict[str, Any]:
    steps = contents.beside.get("step")
    return {"steps": steps} if type(steps) is int else {}


def _side(ledger: Ledger, name: str, side: int, sides: int = 4) -> int:
    shape = ledger.shape(name)
    if len(shape) != sides:
        raise ledger.error(f"has {name!r} of shape {[*shape]}; expected {sides} sides")
    return shape[side]


def _join(contents: Contents, converted: Converted) -> Converted:
    """Adds the discriminator of a second file; without spectral normalization it is WGAN-GP's critic, or ACGAN's."""
    arguments = converted.arguments
    with _open(contents, "discriminator") as ledger:
        if "linear0.bias" in ledger:
            raise ledger.error("is a generator; expected a discriminator")
        make, (blocks, attended) = Maker(ledger), _places(ledger)
        spectral = "linear1.weight_orig" in ledger
        suffix = "weight_orig" if spectral else "weight"
        channels = _side(ledger, f"{blocks[0]}.conv2d1.{suffix}", 1)
        if channels != arguments["channels"]:
            raise ledger.error(f"takes {channels} channels, the generator makes {arguments['channels']}")
        if not spectral and converted.family != ("cgan_pd" if "linear2.weight" in ledger else "sngan"):
            raise ledger.error("is not under spectral normalization; expected that of its generator's kind")
        widths = [_side(ledger, f"{block}.conv2d2.{suffix}", 0) for block in blocks]
        halving = min(len(blocks) - 1, sum(f"{block}.conv2d0.bias" in ledger for block in blocks))
        for i, (theirs, (inputs, outputs)) in enumerate(zip(blocks, pairwise([channels, *widths]), strict=True)):
            ours = f"blocks.{i - 1}" if i else "first"
            make.layer(f"{theirs}.conv2d1", f"{ours}.conv1", (outputs, inputs, 3, 3), spectral=spectral)
            make.layer(f"{theirs}.conv2d2", f"{ours}.conv2", (outputs, outputs, 3, 3), spectral=spectral)
            changes = f"{theirs}.conv2d0.bias" in ledger
            if changes:
                make.layer(f"{theirs}.conv2d0", f"{ours}.shortcut", (outputs, inputs, 1, 1), spectral=spectral)
            if not spectral:
                norms = {
                    "bn1": ("norm1", inputs if i else outputs),
                    "bn2": ("norm2", outputs),
                    "bn0": ("beside", inputs),
                }
                for name, (own, width) in norms.items():
                    if (name != "bn2" or i) and (name != "bn0" or changes):
                        make.norm(f"{theirs}.{name}", f"{ours}.{own}", width)
        make.layer("linear1", "score", (1, widths[-1]), spectral=spectral)
        if "classes" in arguments:
            shape = arguments["classes"], widths[-1]
            name, ours = ("embedding", "projection") if spectral else ("linear2", "head")
            make.layer(name, ours, shape, spectral=spectral, bias=False)
        found: dict[str, Any] = {"discriminator_widths": widths, "downsamplings": halving}
        if attended is not None:
            make.attention(widths[attended - 1], [f"blocks.{attended}.0.{name}" for name in _ATTENTION])
            found["discriminator_attention"] = arguments["size"] >> min(attended, halving)
    if spectral:
        return converted.joined("discriminator", make.made, **found)
    made = _plain(converted, critic_widths=widths, downsamplings=halving)
    if made.family == "wgan_gp":
        return made.joined("critic", make.made)
    found = {name if name.startswith("head.") else f"main.{name}": value for name, value in make.made.items()}
    return made.joined("discriminator", found)


def _plain(made: Converted, **arguments: Any) -> Converted:
    """A generator as that of a family without spectral normalization: ACGAN with classes, else WGAN-GP."""
    family = "acgan" if "classes" in made.arguments else "wgan_gp"
    kept = {key: value for key, value in made.arguments.items() if key in ("size", "channels", "latent", "classes")}
    kept |= {"resnet_widths": made.arguments["widths"], **arguments}
    kept |= {} if "classes" in kept else {"variant": "studiogan"}
    facts = {**made.facts, "converted_from": _NAMES[family]}
    return replace(made, family=family, arguments=kept, facts=facts)


def _from_plain(contents: Contents, family: str) -> Converted:
    """The generator alone, which is that of a family with spectral normalization."""
    made = _convert(contents, _ALIKE[family])
    widths, halving = (made.arguments[key] for key in ("discriminator_widths", "downsamplings"))
    return _plain(made, critic_widths=widths, downsamplings=halving)


def _join_plain(contents: Contents, converted: Converted) -> Converted:
    arguments = {**converted.arguments, "widths": converted.arguments["resnet_widths"]}
    made = _join(contents, replace(converted, family=_ALIKE[converted.family], arguments=arguments))
    if made.family != converted.family:
        raise BadCheckpoint(f"{contents.path}: is under spectral normalization; expected that of {converted.family}")
    return made


# The plain convolutions (deep_conv) of its DCGAN; of LSGAN and GGAN, which differ in the loss


def _from_deep_conv(contents: Contents) -> Converted:
    rules = {
        r"linear0\.(\w+)": r"generator.project.\1",
        r"blocks\.(\d+)\.0\.deconv0\.(\w+)": r"generator.blocks.\1.0.\2",
        r"blocks\.(\d+)\.0\.bn0\.(\w+)": r"generator.blocks.\1.1.\2",
        r"conv4\.(\w+)": r"generator.conv.\1",
    }
    with _open(contents, "generator") as ledger:
        channels, width = (_side(ledger, "conv4.weight", side) for side in (0, 1))
        size = 4 << len(ledger.names(r"blocks\.\d+\.0\.deconv0\.weight"))
        latent = _side(ledger, "linear0.weight", 1, 2)
        made = ledger.rename(rules)
    arguments = {"size": size, "channels": channels, "latent": latent, "prior": "normal", "width": width}
    facts = {"converted_from": _NAMES["dcgan"]} | _steps(contents)
    return Converted("dcgan", {**arguments, "variant": "studiogan"}, made, None, facts)


def _join_deep_conv(contents: Contents, converted: Converted) -> Converted:
    places = {"conv0": 0, "bn0": 1, "conv1": 3, "bn1": 4}
    rules = {rf"blocks\.(\d+)\.0\.{name}\.(\w+)": rf"blocks.\1.{i}.\2" for name, i in places.items()}
    rules |= {r"conv1\.(\w+)": r"last.0.\1", r"bn1\.(\w+)": r"last.1.\1", r"linear1\.(\w+)": r"score.\1"}
    with _open(contents, "discriminator") as ledger:
        width = _side(ledger, "blocks.0.0.conv0.weight", 0)
        made = ledger.rename(rules)
    return converted.joined("discriminator", made, discriminator_width=width)


# Families without spectral normalization, and those that have it and the same generator
_ALIKE = {"wgan_gp": "sngan", "acgan": "cgan_pd"}
_NAMES = {
    "sngan": "StudioGAN SNGAN without classes",
    "cgan_pd": "StudioGAN SNGAN with classes",
    "sagan": "StudioGAN SAGAN",
    "wgan_gp": "StudioGAN WGAN-GP",
    "acgan": "StudioGAN ACGAN",
    "dcgan": "StudioGAN DCGAN",
}


def _layout(family: str) -> Layout:
    return Layout(_NAMES[family], family, lambda c: _family(c) == family, lambda c: _convert(c, family), _join)


def _plain_layout(family: str) -> Layout:
    name, alike = _NAMES[family], _ALIKE[family]
    return Layout(name, family, lambda c: _family(c) == alike, lambda c: _from_plain(c, family), _join_plain)


LAYOUTS = (
    *map(_layout, ("sngan", "cgan_pd", "sagan")),
    *map(_plain_layout, _ALIKE),
    Layout(_NAMES["dcgan"], "dcgan", marked(*_DEEP_CONV), _from_deep_conv, _join_deep_conv),
)
