"""The generators of projected GANs' checkpoints: FastGAN's, pickled whole by the authors' code.

`feat_8`, `feat_16`, ... hold a block's layers by their places; those above the image's size are there too, and left
out. The critics look through EfficientNet-lite0, which ganzoo does not have: they are left out as well, so that the
converted model draws and is not trained on.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger, marked, open_ledger

_FAMILY = "projected_gan"
_NAME = "projected GAN with FastGAN (PyTorch)"
_MARK = "synthesis.init.init.0.weight_orig"
_SPECTRAL = {"weight_orig": "weight", "weight_u": "u", "weight_v": "v"}
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def convert(contents: Contents) -> Converted:
    """The generator, averaged where there is such a one."""
    key = contents.generators(_MARK)[0]
    constants = contents.modules[key].constants
    with open_ledger(contents, key) as ledger:
        size = constants.get("img_resolution", constants.get("synthesis.img_resolution"))
        if type(size) is not int or not 8 <= size <= 1024:
            raise ledger.error(f"does not say the side of its images: img_resolution is {size!r}")
        if ledger.names(r"synthesis\.embed\..*"):
            raise ledger.error("is conditional; ganzoo reads the unconditional ones")
        made: dict[str, Tensor] = {}
        _layer(ledger, made, "synthesis.init.init.0", "first")
        _gated(ledger, made, "synthesis.init.init.1", "gated")
        large = bool(ledger.names(r"synthesis\.feat_8\.5\.weight_orig"))
        for level in range(size.bit_length() - 3):
            theirs, ours = f"synthesis.feat_{8 << level}", f"ups.{level}"
            _layer(ledger, made, f"{theirs}.1", f"{ours}.conv1")
            if not large:
                _gated(ledger, made, f"{theirs}.2", f"{ours}.gated1")
                continue
            _gated(ledger, made, f"{theirs}.3", f"{ours}.gated1", f"{theirs}.2")
            _layer(ledger, made, f"{theirs}.5", f"{ours}.conv2")
            _gated(ledger, made, f"{theirs}.7", f"{ours}.gated2", f"{theirs}.6")
        for side in (side for side in (64, 128, 256, 512) if side <= size):
            for place, ours in ((1, "conv1"), (3, "conv2")):
                _layer(ledger, made, f"synthesis.se_{side}.main.{place}", f"excitations.{side}.{ours}")
        _layer(ledger, made, "synthesis.to_big", "to_image")
        made["to_image.bias"] = ledger.take("synthesis.to_big.bias")
        larger = "|".join(str(side) for side in (128, 256) if side > size)
        if larger:
            ledger.ignore(rf"synthesis\.(feat|se)_({larger})\..*")
    weight = made["first.weight"] = made["first.weight"].transpose(0, 1).contiguous()  # of a transposed convolution
    arguments: dict[str, Any] = {
        "size": size,
        "channels": made["to_image.weight"].shape[0],
        "latent": weight.shape[1],
        "width": weight.shape[0] // 32,
        "lite": not large,
    }
    inference = {f"generator.{name}": value for name, value in made.items()}
    return Converted(_FAMILY, arguments, inference, None, {"converted_from": _NAME})


def _layer(ledger: Ledger, made: dict[str, Tensor], theirs: str, ours: str) -> None:
    """A convolution under spectral normalization, with its stored vectors."""
    for name, own in _SPECTRAL.items():
        made[f"{ours}.{own}"] = ledger.take(f"{theirs}.{name}")
    if made[f"{ours}.weight"].dim() != 4:
        raise ledger.error(f"has {theirs!r} of shape {list(made[f'{ours}.weight'].shape)}; 4 sides are expected")


def _gated(ledger: Ledger, made: dict[str, Tensor], theirs: str, ours: str, noise: str = "") -> None:
    """Batch normalization, and the strength of the noise before it."""
    for name in _NORM:
        made[f"{ours}.norm.{name}"] = ledger.take(f"{theirs}.{name}")
    if noise:
        made[f"{ours}.strength"] = ledger.take(f"{noise}.weight", (1,)).reshape(())


LAYOUTS = (Layout(_NAME, _FAMILY, marked(_MARK), convert),)
