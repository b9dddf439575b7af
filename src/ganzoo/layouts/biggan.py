"""BigGAN's checkpoints: BigGAN-PyTorch's, pytorch-pretrained-BigGAN's, and StudioGAN's, BigGAN-deep's among them.

All sizes are read off the tensors. BigGAN-PyTorch keeps one singular vector a layer and takes a step of the power
method in evaluation mode too: here that step is taken once. pytorch-pretrained-BigGAN gives its layers the class after
z, has its first layer's units by pixel, and holds statistics for a series of truncations. What tensors do not tell, the
epsilon of batch normalization, is what each of them uses, unless a file beside says otherwise.

How many stages of a discriminator halve the side shows where a shortcut without need of a convolution has one; in
BigGAN-deep it is what BigGAN-PyTorch has at that size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger, marked
from ganzoo.layouts.pickles import quoted, read_container
from ganzoo.nn.spectral import power_iteration
from ganzoo.types import BadCheckpoint

_OUTPUT_EPS = 1e-5  # of BigGAN-PyTorch's last batch normalization, whatever the others have
_LARGEST_CONFIG = 2**16  # bytes

Order = Callable[[Tensor], Tensor]


class _Names(NamedTuple):
    """How a codebase names what all have."""

    blocks: str  # before the numbers of the blocks
    convs: tuple[str, ...]
    shortcut: str
    norms: tuple[str, ...]
    gain: str
    bias: str
    attention: tuple[str, str, str, str, str]  # query, key, value, out, gamma


def _four(name: str, first: int = 1) -> tuple[str, ...]:
    return tuple(f"{name}{number}" for number in range(first, first + 4))


_PYTORCH = _Names(
    *("blocks", _four("conv"), "conv_sc", _four("bn"), "gain", "bias"),
    attention=("theta", "phi", "g", "o", "gamma"),
)
_PRETRAINED = _Names(
    *("generator.layers", _four("conv_", 0), "", _four("bn_", 0), "scale", "offset"),
    attention=("snconv1x1_theta", "snconv1x1_phi", "snconv1x1_g", "snconv1x1_o_conv", "gamma"),
)
_STUDIOGAN = _Names(
    *("blocks", _four("conv2d"), "conv2d0", _four("bn"), "gain", "bias"),
    attention=("conv1x1_theta", "conv1x1_phi", "conv1x1_g", "conv1x1_attn", "sigma"),
)


def _same(tensor: Tensor) -> Tensor:
    return tensor


class _Maker:
    """Takes layers out of a ledger and keeps them under new names."""

    def __init__(self, ledger: Ledger, names: _Names, network: str) -> None:
        self.ledger, self.names, self.network = ledger, names, network
        self.made: dict[str, Tensor] = {}

    def keep(self, ours: str, tensor: Tensor) -> Tensor:
        """Keeps a tensor, as float32 where it is of floats."""
        kept = (tensor.float() if tensor.is_floating_point() else tensor).contiguous()
        self.made[f"{self.network}.{ours}"] = kept
        return kept

    def layer(
        self,
        theirs: str,
        ours: str,
        shape: tuple[int, ...],
        *,
        bias: bool = True,
        rows: Order = _same,
        columns: Order = _same,
    ) -> Tensor:
        """A layer under spectral normalization; gives its weight.

        Args:
            theirs: name in the file.
            ours: name in the family.
            shape: of the weight.
            bias: whether it has one.
            rows: what becomes of the order of outputs.
            columns: what becomes of the order of inputs.
        """
        take = self.ledger.take
        if f"{theirs}.weight_orig" in self.ledger:
            weight = take(f"{theirs}.weight_orig", shape).float()
            u = take(f"{theirs}.weight_u", (len(weight),)).float()
            v = take(f"{theirs}.weight_v", (weight[0].numel(),)).float()
        elif f"{theirs}.u0" in self.ledger:
            weight = take(f"{theirs}.weight", shape).float()
            u, v = power_iteration(weight, take(f"{theirs}.u0", (1, len(weight))).float()[0])
            take(
                f"{theirs}.sv0", (1,)
            )  # the last estimate, and further singular vectors and values, which nothing uses
            self.ledger.ignore(rf"{re.escape(theirs)}\.(u|sv)[1-9]\d*")
        else:
            found = "is not under spectral normalization" if f"{theirs}.weight" in self.ledger else "is not there"
            raise self.ledger.error(f"has another architecture: the layer {theirs!r} {found}; expected BigGAN's")
        if bias:
            self.keep(f"{ours}.bias", rows(take(f"{theirs}.bias", (len(weight),))))
        self.keep(f"{ours}.u", rows(u))
        self.keep(f"{ours}.v", columns(v[None])[0] if weight.dim() == 2 else v)
        return self.keep(f"{ours}.weight", rows(columns(weight) if weight.dim() == 2 else weight))

    def statistics(self, theirs: str, ours: str, width: int, rows: int = 0) -> None:
        """What batch normalization has gathered, by whatever name; gives the running ones, and a table's rows."""
        take, steps = self.ledger.take, torch.zeros((), dtype=torch.int64)
        if rows:
            means, variances = (take(f"{theirs}.running_{name}", (rows, width)) for name in ("means", "vars"))
            self.keep(f"{ours}.means", means)
            self.keep(f"{ours}.variances", variances)
            mean, variance = means[-1], variances[-1]
        else:
            pairs = ((f"{theirs}.{inner}", word) for inner in ("", "bn.") for word in ("stored", "running"))
            inner, word = next((pair for pair in pairs if "{}{}_mean".format(*pair) in self.ledger), (f"{theirs}.", ""))
            mean, variance = (take(f"{inner}{word or 'stored'}_{name}", (width,)) for name in ("mean", "var"))
            if f"{inner}num_batches_tracked" in self.ledger:
                steps = take(f"{inner}num_batches_tracked", ())
            self.ledger.ignore(rf"{re.escape(inner)}accumulation_counter")  # evaluation does not look at it
        self.keep(f"{ours}.running_mean", mean)
        self.keep(f"{ours}.running_var", variance)
        self.keep(f"{ours}.num_batches_tracked", steps)

    def norm(self, theirs: str, ours: str, width: int, steering: _Steering) -> None:
        """Conditional batch normalization."""
        for name, own in ((self.names.gain, "gain"), (self.names.bias, "bias")):
            if steering.condition:
                shape = (width, steering.condition)
                self.layer(f"{theirs}.{name}", f"{ours}.{own}", shape, bias=False, columns=steering.columns)
            else:
                table = self.ledger.take(f"{theirs}.{name}.weight", (steering.classes, width))
                self.keep(f"{ours}.{own}.weight", table)
        self.statistics(theirs, f"{ours}.norm", width, steering.rows)

    def attention(self, theirs: str, ours: str, width: int) -> None:
        """Self-attention over feature maps of a width."""
        narrow, half = width // 8, width // 2
        shapes = ((narrow, width), (narrow, width), (half, width), (width, half))
        for name, own, shape in zip(self.names.attention, ("query", "key", "value", "out"), shapes, strict=False):
            self.layer(f"{theirs}.{name}", f"{ours}.{own}", (*shape, 1, 1), bias=False)
        gamma = self.ledger.take(f"{theirs}.{self.names.attention[4]}")
        if gamma.numel() != 1:
            raise self.ledger.error(f"has {theirs}.{self.names.attention[4]} of shape {[*gamma.shape]}; expected one")
        self.keep(f"{ours}.gamma", gamma.reshape(()))

    def stages(self) -> tuple[list[list[str]], list[str | None]]:
        """The names of each stage's blocks, and of its self-attention.

        Codebases number stages, or whatever comes, and within that again; a block is a stage, or two bottlenecks are.
        """
        first, gamma = f"{self.names.convs[0]}.bias", self.names.attention[4]
        pattern = re.compile(rf"({re.escape(self.names.blocks)}\.(\d{{1,4}})(?:\.(\d{{1,4}}))?)\.({first}|{gamma})")
        found = [match for name in self.ledger if (match := pattern.fullmatch(name))]
        stages: list[list[str]] = []
        attention: list[str | None] = []
        for match in sorted(found, key=lambda match: (int(match[2]), int(match[3] or 0))):
            own, last = match[1], stages[-1] if stages else []
            if match[4] != gamma:
                if len(last) == 1 and self.is_deep(own):
                    last.append(own)
                else:
                    stages.append([own])
                    attention.append(None)
            elif not stages or attention[-1] is not None:
                raise self.ledger.error(f"has self-attention at {own!r}, which ends no stage")
            else:
                attention[-1] = own
        if not stages:
            raise self.ledger.error(f"has no blocks; expected {self.names.blocks}.0 and on")
        if len({len(stage) for stage in stages}) > 1:
            raise self.ledger.error(f"has {sum(map(len, stages))} bottlenecks; expected two for each resolution")
        return stages, attention

    def is_deep(self, block: str) -> bool:
        """Whether a block is a bottleneck."""
        return f"{block}.{self.names.convs[3]}.bias" in self.ledger

    def width(self, name: str, side: int) -> int:
        """A side of a convolution's weight."""
        given = f"{name}.weight_orig" if f"{name}.weight_orig" in self.ledger else f"{name}.weight"
        shape = self.ledger.shape(given)
        if len(shape) != 4:
            raise self.ledger.error(f"has {quoted(given)} of shape {[*shape]}; expected that of a convolution")
        return shape[side]


class _Steering(NamedTuple):
    """What conditional batch normalization is given.

    Args:
        condition: its length; 0 for tables by class.
        classes: of them.
        rows: of statistics by truncation.
        columns: puts the class first.
    """

    condition: int
    classes: int
    rows: int
    columns: Order


def _open(contents: Contents, part: str) -> Ledger:
    return Ledger(contents, part, contents.alone(f"BigGAN's {part}").tensors)


def _blocks(make: _Maker, stages: list[list[str]], attention: list[str | None], widths: list[int], block: Any) -> None:
    """Takes the blocks of all stages, each by `block`, and what self-attention there is."""
    for n, ((inputs, outputs), stage) in enumerate(zip(pairwise(widths), stages, strict=True)):
        for k, theirs in enumerate(stage):
            block(theirs, f"stages.{n}.blocks.{k}", inputs, outputs, k, len(stage))
        theirs_attention = attention[n]
        if theirs_attention is not None:
            make.attention(theirs_attention, f"stages.{n}.attention", outputs)


# ------------------------------------------------------------------------------------------------------- generators


class _Ends(NamedTuple):
    """The names of a generator's ends."""

    linear: str
    shared: str
    norm: tuple[str, str, str]  # the normalization, its gain and its bias
    image: str


def _generator(contents: Contents, names: _Names, ends: _Ends, eps: float) -> Converted:
    with _open(contents, "generator") as ledger:
        make = _Maker(ledger, names, "generator")
        stages, attention = make.stages()
        first, deep = stages[0][0], make.is_deep(stages[0][0])
        widths = [make.width(f"{first}.{names.convs[0]}", 1)]
        widths += [make.width(f"{stage[-1]}.{names.convs[3 if deep else 1]}", 0) for stage in stages]
        steering, arguments = _steering(make, ends, first, len(widths), deep)
        make.layer(
            ends.linear,
            "linear",
            (16 * widths[0], arguments.pop("inputs")),
            rows=(lambda t: _by_pixel(t, widths[0])) if names is _PRETRAINED else _same,
            columns=steering.columns if deep else _same,
        )

        def block(theirs: str, ours: str, inputs: int, outputs: int, k: int, count: int) -> None:
            outputs = outputs if k == count - 1 else inputs
            inner = max(inputs // 4, 1)
            sizes = [inputs, inner, inner, inner, outputs] if deep else [inputs, outputs, outputs]
            for i, (i_width, o_width) in enumerate(pairwise(sizes)):
                side = 1 if deep and i in (0, 3) else 3
                make.layer(f"{theirs}.{names.convs[i]}", f"{ours}.convs.{i}", (o_width, i_width, side, side))
                make.norm(f"{theirs}.{names.norms[i]}", f"{ours}.norms.{i}", i_width, steering)
            if not deep:
                make.layer(f"{theirs}.{names.shortcut}", f"{ours}.shortcut", (outputs, inputs, 1, 1))

        _blocks(make, stages, attention, widths, block)
        norm, gain, bias = ends.norm
        for theirs, ours in ((gain, "weight"), (bias, "bias")):
            make.keep(f"norm.{ours}", ledger.take(theirs, (widths[-1],)))
        make.statistics(norm, "norm", widths[-1], steering.rows)
        if names is _PYTORCH:  # its last normalization has an epsilon of its own
            make.made["generator.norm.running_var"] += _OUTPUT_EPS - eps
        outputs = len(make.layer(ends.image, "to_image", (-1, widths[-1], 3, 3)))
        channels = 3 if names is _PRETRAINED else outputs
        if outputs < channels:
            raise ledger.error(f"has {outputs} outputs; expected at least {channels}")
    after = [n for n, there in enumerate(attention, 1) if there is not None]
    arguments |= {
        "widths": widths,
        "channels": channels,
        "depth": len(stages[0]) if deep else 0,
        "attention_after": after,
        "outputs": outputs if outputs > channels else 0,
        "eps": eps,
        "statistics": steering.rows,
        # Until a second file says: the generator's mirror image
        "discriminator_widths": widths[::-1],
        "discriminator_attention_after": [len(stages) - n for n in after if n < len(stages)],
    }
    return Converted("biggan", arguments, make.made)


def _by_pixel(tensor: Tensor, width: int) -> Tensor:
    """Rows by pixel and then feature map, in the other order."""
    return tensor.reshape(16, width, *tensor.shape[1:]).transpose(0, 1).flatten(0, 1)


def _exchanged(tensor: Tensor, at: int) -> Tensor:
    """Columns from `at` on first."""
    return torch.cat([tensor[:, at:], tensor[:, :at]], 1)


def _steering(make: _Maker, ends: _Ends, first: str, count: int, deep: bool) -> tuple[_Steering, dict[str, Any]]:
    """How the class and z come in: the shared table is taken here."""
    ledger, names = make.ledger, make.names
    stored = f"{ends.linear}.weight" + ("" if f"{ends.linear}.weight" in ledger else "_orig")
    shape, rows = ledger.shape(stored), 0
    columns: Order = _same
    if len(shape) != 2:
        raise ledger.error(f"has {quoted(stored)} of shape {[*shape]}; expected that of a linear map")
    inputs = shape[1]
    gain = f"{first}.{names.norms[0]}.{names.gain}.weight"
    if not ends.shared or ends.shared not in ledger:
        classes = ledger.shape(gain)[0]
        arguments = {"classes": classes, "latent": inputs, "embedding": 0, "hierarchical": False, "inputs": inputs}
        return _Steering(0, classes, 0, _same), arguments
    shared = ledger.take(ends.shared, (-1, -1)).float()
    if names is _PRETRAINED:
        shared, found = shared.T, ledger.shape(f"{first}.{names.norms[0]}.running_means")
        rows = found[0]
    make.keep("shared.weight", shared)
    classes, embedding = shared.shape
    condition = ledger.shape(gain if gain in ledger else f"{gain}_orig")[-1]
    part = condition - embedding
    if names is _PRETRAINED:
        columns = partial(_exchanged, at=part)
    sound = (part > 0 and inputs == condition) if deep else (part in (0, inputs))
    halves = names is not _PRETRAINED or (part == embedding and rows > 1)  # z and the class are of one length there
    if not sound or not halves:
        raise ledger.error(
            f"has conditions of length {condition}, an embedding of {embedding} and {inputs} inputs, which do not fit"
        )
    latent = part if deep else inputs * count if part else inputs
    arguments = {"classes": classes, "latent": latent, "embedding": embedding, "inputs": inputs}
    return _Steering(condition, classes, rows, columns), arguments | {"hierarchical": deep or part > 0}


# --------------------------------------------------------------------------------------------------- discriminators


def _discriminator(contents: Contents, converted: Converted, names: _Names, linear: str, embedding: str) -> Converted:
    arguments = converted.arguments
    with _open(contents, "discriminator") as ledger:
        make = _Maker(ledger, names, "discriminator")
        if any(name.startswith(("shared.", "output_layer.", "bn4.")) for name in ledger):
            raise ledger.error("is a generator; expected a discriminator")
        stages, attention = make.stages()
        deep, size = make.is_deep(stages[0][0]), 4 << (len(arguments["widths"]) - 1)
        last = names.convs[3 if deep else 1]
        widths = [make.width(f"{stage[0]}.{last}", 0) for stage in stages]
        if deep != (arguments["depth"] > 0) or (deep and len(stages[0]) != arguments["depth"]):
            raise ledger.error(f"has stages of {len(stages[0])} blocks{' of four' * deep}, unlike the generator")
        if deep:
            inner, channels = make.layer("input_conv", "stem", (-1, -1, 3, 3)).shape[:2]
            widths = [inner, *widths]
            halvings = 2 if size == 32 else len(stages)
        else:
            channels = make.width(f"{stages[0][0]}.{names.convs[0]}", 1)
            shortcuts = sum(f"{stage[0]}.{names.shortcut}.bias" in ledger for stage in stages)
            halvings = min(len(stages) - 1, shortcuts)
        inner = make.width(f"{stages[0][0]}.{names.convs[0]}", 0)
        wide = deep or inner == widths[0]
        if channels != arguments["channels"]:
            raise ledger.error(f"takes {channels} channels, the generator makes {arguments['channels']}")
        if size >> halvings < 1:
            raise ledger.error(f"halves the side {halvings} times, the generator makes images of {size} pixels")

        def block(theirs: str, ours: str, inputs: int, outputs: int, k: int, count: int) -> None:
            inputs = inputs if k == 0 else outputs
            inner = max(outputs // 4, 1) if deep else outputs if wide else inputs
            sizes = [inputs, inner, inner, inner, outputs] if deep else [inputs, inner, outputs]
            for i, (i_width, o_width) in enumerate(pairwise(sizes)):
                side = 1 if deep and i in (0, 3) else 3
                make.layer(f"{theirs}.{names.convs[i]}", f"{ours}.convs.{i}", (o_width, i_width, side, side))
            if inputs != outputs or (not deep and int(ours.split(".")[1]) < halvings):
                shape = (outputs - inputs if deep else outputs, inputs, 1, 1)
                make.layer(f"{theirs}.{names.shortcut}", f"{ours}.shortcut", shape)

        _blocks(make, stages, attention, widths if deep else [channels, *widths], block)
        make.layer(linear, "linear", (1, widths[-1]))
        make.layer(embedding, "embedding", (arguments["classes"], widths[-1]), bias=False)
    found = {
        "discriminator_widths": widths,
        "discriminator_attention_after": [n for n, there in enumerate(attention, 1) if there is not None],
        "bottom": size >> halvings,
        "wide": wide,
        "activated": names is _STUDIOGAN,  # whose rectifiers work in place
    }
    made = {name.removeprefix("discriminator."): value for name, value in make.made.items()}
    return converted.joined("discriminator", made, **found)


# ---------------------------------------------------------------------------------------------------------- layouts


def _beside(path: Path, *names: str) -> Path | None:
    """The first of several files that lies beside another."""
    return next((path.with_name(name) for name in names if name != path.name and path.with_name(name).is_file()), None)


def _from_pytorch(contents: Contents) -> Converted:
    path, eps = contents.path, 1e-5
    run = _beside(path, f"{path.name}.state_dict.pth", re.sub(r"^G(_ema)?", "state_dict", path.name))
    facts: dict[str, Any] = {}
    if run is not None:
        _, tree = read_container(run)
        config = tree.get("config") if isinstance(tree, dict) else None
        given = config.get("BN_eps") if isinstance(config, dict) else None
        eps = given if type(given) is float and 0 < given < 1 else eps
        steps = tree.get("itr") if isinstance(tree, dict) else None
        facts = {"steps": steps} if type(steps) is int else {}
    norm = ("output_layer.0", "output_layer.0.gain", "output_layer.0.bias")
    made = _generator(contents, _PYTORCH, _Ends("linear", "shared.weight", norm, "output_layer.2"), eps)
    return Converted(made.family, made.arguments, made.inference, None, facts)


def _from_studiogan(contents: Contents) -> Converted:
    made = _generator(
        contents, _STUDIOGAN, _Ends("linear0", "shared.weight", ("bn4", "bn4.weight", "bn4.bias"), "conv2d5"), 1e-4
    )
    steps = contents.beside.get("step")
    return Converted(made.family, made.arguments, made.inference, None, {"steps": steps} if type(steps) is int else {})


def _from_pretrained(contents: Contents) -> Converted:
    config, eps = _config(contents.path), 1e-4
    if config is not None:
        given = config.get("eps", eps)
        if not isinstance(given, float) or not 0 < given < 1:
            raise BadCheckpoint(f"{contents.path}: its config has eps {quoted(given)}; expected a small number")
        eps = given
    norm = ("generator.bn", "generator.bn.weight", "generator.bn.bias")
    ends = _Ends("generator.gen_z", "embeddings.weight", norm, "generator.conv_to_rgb")
    made = _generator(contents, _PRETRAINED, ends, eps)
    if config is not None:
        _check_config(contents, config, made.arguments)
    return made


def _config(path: Path) -> dict[str, Any] | None:
    """The configuration that pytorch-pretrained-BigGAN keeps beside its weights."""
    found = _beside(
        path, f"{path.name}.config.json", path.name.replace("pytorch_model.bin", "config.json"), "config.json"
    )
    if found is None:
        return None
    try:
        if found.stat().st_size > _LARGEST_CONFIG:
            raise ValueError("it is too large")
        config = json.loads(found.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadCheckpoint(
            f"{found}: no readable configuration of BigGAN: {' '.join(str(error).split())[:120]}"
        ) from None
    return config if isinstance(config, dict) and "channel_width" in config else None


def _check_config(contents: Contents, config: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Holds what the configuration says against what the tensors say."""
    widths, unit = arguments["widths"], arguments["widths"][-1]
    layers = [[up, a // unit, b // unit] for a, o in pairwise(widths) for up, b in ((False, a), (True, o))]
    position = (
        2 * arguments["attention_after"][0] if arguments["attention_after"] else config.get("attention_layer_position")
    )
    wanted = {
        "output_dim": 4 << (len(widths) - 1),
        "z_dim": arguments["latent"],
        "channel_width": unit,
        "num_classes": arguments["classes"],
        "layers": layers,
        "attention_layer_position": position,
        "n_stats": arguments["statistics"],
    }
    for key, value in wanted.items():
        if key in config and config[key] != value:
            raise BadCheckpoint(
                f"{contents.path}: its config says {key} is {quoted(config[key])}, and its tensors {quoted(value)}"
            )


PYTORCH = "BigGAN-PyTorch"
PRETRAINED = "pytorch-pretrained-BigGAN"
STUDIOGAN = "StudioGAN BigGAN"

LAYOUTS = (
    Layout(
        PYTORCH,
        "biggan",
        marked("output_layer.0.gain", "output_layer.2.u0", "linear.u0", "blocks.0.0.conv1.u0"),
        _from_pytorch,
        lambda contents, made: _discriminator(contents, made, _PYTORCH, "linear", "embed"),
    ),
    Layout(PRETRAINED, "biggan", marked("embeddings.weight", "generator.gen_z.weight_orig"), _from_pretrained),
    Layout(
        STUDIOGAN,
        "biggan",
        marked("shared.weight", "linear0.weight_orig", "conv2d5.weight_orig", "blocks.0.0.conv2d1.weight_orig"),
        _from_studiogan,
        lambda contents, made: _discriminator(contents, made, _STUDIOGAN, "linear1", "embedding"),
    ),
)
