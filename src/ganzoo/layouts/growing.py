"""What the checkpoints of ProGAN and StyleGAN have in common: the growing discriminator, and how far it has grown.

TensorFlow keeps kernels as (height, width, in, out) and matrices as (in, out); everything comes out as (out, in, ...).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganzoo.layouts.containers import Contents, Network
from ganzoo.layouts.layout import Ledger
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


def kernel(weight: Tensor) -> Tensor:
    """TensorFlow's `(height, width, in, out)` to `(out, in, height, width)`."""
    return weight.permute(3, 2, 0, 1)


def mirrored(weight: Tensor) -> Tensor:
    """The kernel of a transposed convolution as that of a convolution."""
    return weight.flip(2, 3)


def laid_out(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors under a network's name, in float32 and contiguous."""
    return {f"{prefix}.{name}": value.to(torch.float32).contiguous() for name, value in tensors.items()}


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
    """Refuses options that compute something else than the family does.

    Args:
        ledger: for the error's text.
        given: arguments of the network's function, as the file has them.
        known: values of each option with which the family agrees.
    """
    for name, values in known.items():
        if name in given and not any(given[name] == value for value in values):
            raise ledger.error(f"was made with {name} = {quoted(given[name])}; expected {values[0]}")


def whole(ledger: Ledger, given: Mapping[str, Any], name: str, default: int, least: int = 0) -> int:
    """An option that is a whole number."""
    value = given.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**24:
        raise ledger.error(f"was made with {name} = {quoted(value)}; expected a number from {least} on")
    return value


def square(ledger: Ledger, name: str, inputs: int, outputs: int = -1, side: int = 3) -> Tensor:
    """Takes a kernel in TensorFlow's order: `(outputs, inputs, side, side)`."""
    return kernel(ledger.take(name, (side, side, inputs, outputs)))


def tensorflow_critic(ledger: Ledger) -> Critic:
    """The discriminator of `D_paper` (ProGAN) and `D_basic` (StyleGAN)."""
    levels = count_levels(ledger, r"FromRGB_lod\d+/weight")
    made: dict[str, Tensor] = {"lod": level_of_detail(ledger, ledger.take("lod"), levels)}
    _, _, channels, _ = _four(ledger, "FromRGB_lod0/weight")
    widths = [_four(ledger, f"FromRGB_lod{levels - 1 - level}/weight")[3] for level in range(levels)]
    fused: bool | None = None
    for level, width in enumerate(widths):
        name = f"FromRGB_lod{levels - 1 - level}"
        made[f"from_rgb.{level}.weight"] = square(ledger, f"{name}/weight", channels, width, 1)
        made[f"from_rgb.{level}.bias"] = ledger.take(f"{name}/bias", (width,))
        if not level:
            continue
        place, block = f"{4 << level}x{4 << level}", f"blocks.{level - 1}"
        down = "Conv1_down" if f"{place}/Conv1_down/weight" in ledger else "Conv1"
        if fused is not None and fused != (down == "Conv1_down"):
            raise ledger.error("has both fused and other reductions: expected one kind")
        fused = down == "Conv1_down"
        made[f"{block}.conv.weight"] = square(ledger, f"{place}/Conv0/weight", width, width)
        made[f"{block}.conv.bias"] = ledger.take(f"{place}/Conv0/bias", (width,))
        made[f"{block}.down.weight"] = square(ledger, f"{place}/{down}/weight", width, widths[level - 1])
        made[f"{block}.down.bias"] = ledger.take(f"{place}/{down}/bias", (widths[level - 1],))
    first = widths[0]
    statistics = _four(ledger, "4x4/Conv/weight")[2] - first
    made["conv.weight"] = square(ledger, "4x4/Conv/weight", first + max(statistics, 0), first)
    made["conv.bias"] = ledger.take("4x4/Conv/bias", (first,))
    made["dense.weight"] = ledger.take("4x4/Dense0/weight", (16 * first, -1)).T
    dense = len(made["dense.weight"])
    made["dense.bias"] = ledger.take("4x4/Dense0/bias", (dense,))
    made["score.weight"] = ledger.take("4x4/Dense1/weight", (dense, -1)).T
    outputs = len(made["score.weight"])
    made["score.bias"] = ledger.take("4x4/Dense1/bias", (outputs,))
    return Critic(made, channels, widths, dense, outputs, statistics, fused)


def genforce_critic(ledger: Ledger, blurred: bool) -> Critic:
    """The discriminator of genforce's `PGGANDiscriminator` and `StyleGANDiscriminator`."""
    levels = count_levels(ledger, r"input\d+\.weight")
    made: dict[str, Tensor] = {"lod": level_of_detail(ledger, ledger.take("lod"), levels)}
    channels = _four(ledger, "input0.weight")[1]
    widths = [_four(ledger, f"input{levels - 1 - level}.weight")[0] for level in range(levels)]
    for level, width in enumerate(widths):
        block = levels - 1 - level
        made[f"from_rgb.{level}.weight"] = ledger.take(f"input{block}.weight", (width, channels, 1, 1))
        made[f"from_rgb.{level}.bias"] = ledger.take(f"input{block}.bias", (width,))
        if not level:
            continue
        below = widths[level - 1]
        for name, layer, outputs in (("conv", 2 * block, width), ("down", 2 * block + 1, below)):
            made[f"blocks.{level - 1}.{name}.weight"] = ledger.take(f"layer{layer}.weight", (outputs, width, 3, 3))
            made[f"blocks.{level - 1}.{name}.bias"] = ledger.take(f"layer{layer}.bias", (outputs,))
        if blurred:
            check_blur(ledger, f"layer{2 * block + 1}.blur.kernel", width)
    first, last = widths[0], 2 * (levels - 1)
    statistics = _four(ledger, f"layer{last}.weight")[1] - first
    made["conv.weight"] = ledger.take(f"layer{last}.weight", (first, first + max(statistics, 0), 3, 3))
    made["conv.bias"] = ledger.take(f"layer{last}.bias", (first,))
    made["dense.weight"] = ledger.take(f"layer{last + 1}.weight", (-1, 16 * first))
    dense = len(made["dense.weight"])
    made["dense.bias"] = ledger.take(f"layer{last + 1}.bias", (dense,))
    made["score.weight"] = ledger.take(f"layer{last + 2}.weight", (-1, dense))
    outputs = len(made["score.weight"])
    made["score.bias"] = ledger.take(f"layer{last + 2}.bias", (outputs,))
    return Critic(made, channels, widths, dense, outputs, statistics, None)


def check_blur(ledger: Ledger, name: str, channels: int) -> None:
    """Takes a filter that the family makes for itself, and refuses another one."""
    if not torch.allclose(ledger.take(name, (channels, 1, 3, 3)).float(), BLUR, atol=1e-4):
        raise ledger.error(f"has another filter in {quoted(name)}; expected that of [1, 2, 1]")


def _four(ledger: Ledger, name: str) -> tuple[int, int, int, int]:
    shape = ledger.shape(name)
    if len(shape) != 4:
        raise ledger.error(f"has {quoted(name)} of shape {list(shape)}; expected four sides")
    return shape[0], shape[1], shape[2], shape[3]
