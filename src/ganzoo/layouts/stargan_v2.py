"""StarGAN v2's networks in one file: `NNNNNN_nets_ema.ckpt`, which `NNNNNN_nets.ckpt` joins with what was trained."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger, open_ledger
from ganzoo.types import BadCheckpoint

NAME = "StarGAN v2 (.ckpt)"
_ROLES = {"generator": ("G", "generator"), "discriminator": ("D", "discriminator")}
_MARKS = ("encode.0.conv1.weight", "decode.0.norm1.fc.weight")


def _open(contents: Contents, network: str) -> Ledger:
    key = next((k for k in _ROLES.get(network, (network,)) if k in contents.modules), None)
    if key is None:
        raise BadCheckpoint(f"{contents.path}: holds {contents.describe()}; StarGAN v2's {network} is expected beside")
    return open_ledger(contents, key)


def _network(contents: Contents, network: str) -> dict[str, Tensor]:
    with _open(contents, network) as ledger:
        return {f"{network}.{name}": ledger.take(name) for name in ledger}


def _recognises(contents: Contents) -> bool:
    return bool(contents.having(*_MARKS))


def _read(contents: Contents) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The arguments, and what inference needs; a file of faces also holds the network that found their parts."""
    arguments: dict[str, Any] = {}
    with _open(contents, "generator") as ledger:
        arguments["width"], arguments["channels"] = ledger.sides("from_rgb.weight", 4)[:2]
        if "hpf.filter" in ledger:
            arguments["high_pass"] = 8.0 / float(ledger.take("hpf.filter", (3, 3))[1, 1])
        made = {f"generator.{name}": ledger.take(name) for name in ledger}
    made |= _network(contents, "mapping_network") | _network(contents, "style_encoder")
    halvings = sum(name.endswith("conv1.weight") for name in made if name.startswith("style_encoder."))
    last = made.get(f"style_encoder.shared.{halvings + 2}.weight")
    shared, unshared = (made.get(f"mapping_network.{n}.weight") for n in ("shared.0", "unshared.0.6"))
    if last is None or shared is None or unshared is None or max(t.dim() for t in (shared, unshared)) != 2:
        raise BadCheckpoint(f"{contents.path}: its style encoder or mapping network is not StarGAN v2's")
    arguments |= {"size": 4 << halvings, "max_width": last.shape[0], "hidden": shared.shape[0]}
    arguments |= {"latent": shared.shape[1], "style": unshared.shape[0]}
    arguments["classes"] = sum(name.startswith("style_encoder.unshared") and name.endswith("weight") for name in made)
    return arguments, made


def _convert(contents: Contents) -> Converted:
    arguments, made = _read(contents)
    found = Converted("stargan_v2", arguments, made, None, {"converted_from": NAME})
    if any(key in contents.modules for key in _ROLES["discriminator"]):
        return _join(contents, found)
    return found


def _join(contents: Contents, made: Converted) -> Converted:
    """Adds the networks as they were trained, the discriminator among them."""
    arguments, live = _read(contents)
    if arguments != made.arguments:
        raise BadCheckpoint(f"{contents.path}: its networks have other sizes: {arguments}; expected {made.arguments}")
    return Converted(made.family, arguments, made.inference, live | _network(contents, "discriminator"), made.facts)


LAYOUTS = (Layout(NAME, "stargan_v2", _recognises, _convert, _join),)
