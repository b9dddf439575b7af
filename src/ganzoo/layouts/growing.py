"""What the checkpoints of ProGAN and StyleGAN have in common: the growing discriminator, and how far it has grown.

TensorFlow keeps kernels as (height, width, in, out) and matrices as (in, out); everything comes out as (out, in, ...).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ganzoo.layouts.containers import Contents, Network
from ganzoo.layouts.layout import Converted, Ledger
from ganzoo.layouts.pickles import quoted
from ganzoo.types import BadCheckpoint

# What genforce's checkpoints of a run hold beside the networks
GENFORCE_RUN = ("running_metadata", "optimizers", "learning_rates", "running_stats")

BLUR = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16


@dataclass(frozen=True)
class Critic:
    """A discriminator, converted.

    Args:
        tensors: by the names of its state dict.
        channels: of an image.
        widths: feature maps at 4, 8, ... pixels.
        dense: units of the last hidden layer.
        outputs: values for each image.
        statistics: feature maps of the minibatch standard deviation; 0 for none.
        fused: whether reductions are fused with their convolutions, where the file says so.
    """

    tensors: dict[str, Tensor]
    channels: int
    widths: list[int]
    dense: int
    outputs: int
    statistics: int
    fused: bool | None

    def arguments(self, ledger: Ledger, widths: list[int], channels: int, group: int) -> dict[str, Any]:
        """The family's arguments that are the discriminator's, after a check that it fits its generator."""
        if (self.widths, self.channels) != (widths, channels):
            raise ledger.error(
                f"is for {self.channels} channels and feature maps {self.widths}; "
                f"expected the generator's, {channels} and {widths}"
            )
        return {"dense": self.dense, "group": group if self.statistics else 1}


def check_rest(contents: Contents, left_out: Iterable[str]) -> None:
    """Refuses a torch file that holds more than G_ema, G and D, and what is known not to belong to them."""
    over = [*(contents.modules.keys() - {"", "G_ema", "G", "D"}), *(contents.beside.keys() - {*left_out})]
    if over:
        raise BadCheckpoint(f"{contents.path}: holds {quoted(over[0])}, which this layout does not know")


def tensorflow_networks(contents: Contents) -> dict[str, Network]:
    """The networks G, D and Gs of a TensorFlow pickle by their names: a generator at least."""
    networks = {network.name: network for network in contents.networks}
    if (
        len(networks) != len(contents.networks)
        or not {"G", "Gs"} & networks.keys()
        or networks.keys() - {"G", "D", "Gs"}
    ):
        names = ", ".join(quoted(network.name) for network in contents.networks[:6])
        raise BadCheckpoint(f"{contents.path}: holds the networks {names}; expected G, D and Gs")
    return networks


def mirrored(weight: Tensor) -> Tensor:
    """The kernel of a transposed convolution as that of a convolution."""
    return weight.flip(2, 3)


def laid_out(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors under a network's name, in float32 and contiguous."""
    return {f"{prefix}.{name}": value.to(torch.float32).contiguous() for name, value in tensors.items()}


def assembled(
    family: str,
    arguments: dict[str, Any],
    averaged: Mapping[str, Tensor],
    live: Mapping[str, Tensor] | None,
    critic: Critic | None,
    facts: dict[str, Any] | None = None,
) -> Converted:
    """A `Converted` of networks, of which a file may lack the live generator and the discriminator."""
    players = None
    if live is not None and critic is not None:
        players = laid_out(live, "generator") | laid_out(critic.tensors, "discriminator")
    return Converted(family, arguments, laid_out(averaged, "generator"), players, facts or {})


def count_levels(ledger: Ledger, pattern: str) -> int:
    """The number of resolutions, from names that end in 0, 1, ..., such as `output3.weight`."""
    count = len(ledger.names(pattern))
    if count < 1:
        raise ledger.error("has no layers between features and images: expected one at each resolution")
    return count


def level_of_detail(ledger: Ledger, value: Tensor | float, levels: int) -> Tensor:
    """How much of a network is missing, checked against its number of resolutions."""
    lod = torch.as_tensor(value, dtype=torch.float32).reshape(-1)
    if len(lod) != 1 or not bool(torch.isfinite(lod).all()) or not 0 <= float(lod[0]) <= levels - 1:
        raise ledger.error(f"has a level of detail of {lod.tolist()[:3]}; expected 0 to {levels - 1}")
    return lod[0].clone()


def start(size: int, lod: Tensor) -> int:
    """The resolution at which training is to go on."""
    return size >> math.ceil(float(lod))


def check_options(ledger: Ledger, given: Mapping[str, Any], known: Mapping[str, tuple[Any, ...]]) -> None:
    """Refuses options that compute something else than the family does."""
    for name, values in known.items():
        if name in given and not any(given[name] == value for value in values):
            raise ledger.error(f"was made with {name} = {quoted(given[name])}; expected {values[0]}")


def whole(ledger: Ledger, given: Mapping[str, Any], name: str, default: int) -> int:
    """An option that is a whole number."""
    value = given.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**24:
        raise ledger.error(f"was made with {name} = {quoted(value)}; expected a number from 0 on")
    return value


def square(ledger: Ledger, name: str, inputs: int, outputs: int) -> Tensor:
    """Takes a kernel of 3 x 3 in TensorFlow's order: `(outputs, inputs, 3, 3)`."""
    return ledger.take(name, (3, 3, inputs, outputs)).permute(3, 2, 0, 1)


def tensorflow_critic(ledger: Ledger) -> Critic:
    """The discriminator of `D_paper` (ProGAN) and `D_basic` (StyleGAN)."""
    levels = count_levels(ledger, r"FromRGB_lod\d+/weight")
    fused = {"Conv1_down" if f"{4 << level}x{4 << level}/Conv1_down/weight" in ledger else "Conv1"
             for level in range(1, levels)}  # fmt: skip
    if len(fused) > 1:
        raise ledger.error("has both fused and other reductions: expected one kind")
    down = next(iter(fused), "Conv1")
    rgb = [f"FromRGB_lod{levels - 1 - level}" for level in range(levels)]
    blocks = [tuple(f"{4 << level}x{4 << level}/{name}" for name in ("Conv0", down)) for level in range(1, levels)]
    made = _critic(ledger, rgb, blocks, ("4x4/Conv", "4x4/Dense0", "4x4/Dense1"), tensorflow=True)
    return replace(made, fused=down == "Conv1_down" if fused else None)


def genforce_critic(ledger: Ledger, blurred: bool) -> Critic:
    """The discriminator of genforce's `PGGANDiscriminator` and `StyleGANDiscriminator`."""
    last = count_levels(ledger, r"input\d+\.weight") - 1
    blocks = [(f"layer{2 * (last - level)}", f"layer{2 * (last - level) + 1}") for level in range(1, last + 1)]
    ends = (f"layer{2 * last}", f"layer{2 * last + 1}", f"layer{2 * last + 2}")
    made = _critic(ledger, [f"input{last - level}" for level in range(last + 1)], blocks, ends, tensorflow=False)
    for (_, name), width in zip(blocks if blurred else (), made.widths[1:], strict=False):
        check_blur(ledger, f"{name}.blur.kernel", width)
    return made


def _critic(
    ledger: Ledger, rgb: list[str], blocks: Sequence[tuple[str, ...]], ends: tuple[str, str, str], tensorflow: bool
) -> Critic:
    """A discriminator by the names of its layers, each at 4, 8, ... pixels, and those at its end."""
    made: dict[str, Tensor] = {"lod": level_of_detail(ledger, ledger.take("lod"), len(rgb))}
    widths, channels = [], -1
    for level, name in enumerate(rgb):
        made |= ledger.layer(name, f"from_rgb.{level}", (-1, channels, 1, 1), tensorflow)
        width, channels = made[f"from_rgb.{level}.weight"].shape[:2]
        widths.append(width)
    for level, (conv, down) in enumerate(blocks):
        below, width = widths[level], widths[level + 1]
        made |= ledger.layer(conv, f"blocks.{level}.conv", (width, width, 3, 3), tensorflow)
        made |= ledger.layer(down, f"blocks.{level}.down", (below, width, 3, 3), tensorflow)
    first = widths[0]
    made |= ledger.layer(ends[0], "conv", (first, -1, 3, 3), tensorflow)
    made |= ledger.layer(ends[1], "dense", (-1, 16 * first), tensorflow)
    dense = len(made["dense.weight"])
    made |= ledger.layer(ends[2], "score", (-1, dense), tensorflow)
    statistics = made["conv.weight"].shape[1] - first
    return Critic(made, channels, widths, dense, len(made["score.weight"]), statistics, None)


def check_blur(ledger: Ledger, name: str, channels: int) -> None:
    """Takes a filter that the family makes for itself, and refuses another one."""
    if not torch.allclose(ledger.take(name, (channels, 1, 3, 3)).float(), BLUR, atol=1e-4):
        raise ledger.error(f"has another filter in {quoted(name)}; expected that of [1, 2, 1]")
