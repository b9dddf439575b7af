"""lucidrains' StyleGAN2: `model_N.pt`, one state dict of the live and the averaged networks.

How the mapping network learns (`lr_mlp`) is not in it; the code's default is taken. Nor is the mean w, which the code
draws anew at every start, or the noise: both are drawn from a fixed seed. Feature quantization (`fq_layers`) is in the
discriminator alone, which is then left out.
"""

import math
import re
from typing import Any

import torch
from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.layout import Converted, Layout, Ledger, marked, open_ledger
from ganzoo.nn.style import Mapping

_RATE = 0.1
_ATTENTION = {
    r"0\.fn\.norm\.g": "norm.weight",
    r"0\.fn\.norm\.b": "norm.bias",
    r"0\.fn\.fn\.to_q\.weight": "query.weight",
    r"0\.fn\.fn\.to_kv\.net\.0\.weight": "spread.weight",
    r"0\.fn\.fn\.to_kv\.net\.1\.weight": "key_value.weight",
    r"0\.fn\.fn\.to_out\.(\w+)": r"out.\2",
    r"1\.fn\.norm\.g": "norm2.weight",
    r"1\.fn\.norm\.b": "norm2.bias",
    r"1\.fn\.fn\.0\.(\w+)": r"wide.\2",
    r"1\.fn\.fn\.2\.(\w+)": r"narrow.\2",
}
_GENERATOR = {
    r"initial_block": "constant",
    r"to_initial_block\.weight": "start.weight",
    r"initial_conv\.(\w+)": r"conv.\1",
    r"blocks\.(\d+)\.to_style(\d)\.(\w+)": r"blocks.\1.conv\2.conv.style.\3",
    r"blocks\.(\d+)\.to_noise(\d)\.weight": r"blocks.\1.conv\2.strength",
    r"blocks\.(\d+)\.to_noise(\d)\.bias": r"blocks.\1.conv\2.bias",
    r"blocks\.(\d+)\.conv(\d)\.weight": r"blocks.\1.conv\2.conv.weight",
    r"blocks\.(\d+)\.to_rgb\.to_style\.(\w+)": r"blocks.\1.to_rgb.style.\2",
    r"blocks\.(\d+)\.to_rgb\.conv\.weight": r"blocks.\1.to_rgb.weight",
} | {rf"attns\.(\d+)\.{theirs}": rf"blocks.\1.attention.{ours}" for theirs, ours in _ATTENTION.items()}
_DISCRIMINATOR = {
    r"blocks\.(\d+)\.conv_res\.(\w+)": r"blocks.\1.shortcut.\2",
    r"blocks\.(\d+)\.net\.0\.(\w+)": r"blocks.\1.conv1.\2",
    r"blocks\.(\d+)\.net\.2\.(\w+)": r"blocks.\1.conv2.\2",
    r"blocks\.(\d+)\.downsample\.1\.(\w+)": r"blocks.\1.down.\2",
    r"final_conv\.(\w+)": r"conv.\1",
    r"to_logit\.(\w+)": r"score.\1",
} | {rf"attn_blocks\.(\d+)\.{theirs}": rf"blocks.\1.attention.{ours}" for theirs, ours in _ATTENTION.items()}


def _network(ledger: Ledger, prefix: str, rules: dict[str, str]) -> dict[str, Tensor]:
    made = ledger.rename({rf"{prefix}\.{theirs}": ours for theirs, ours in rules.items()})
    flat = re.compile(r".*(strength|norm2?\.(weight|bias))")  # (C, 1) and (1, C, 1, 1) there
    return {
        name: value.flatten() if flat.fullmatch(name) else value[0] if name == "constant" else value
        for name, value in made.items()
    }


def _generator(ledger: Ledger, suffix: str) -> dict[str, Tensor]:
    """The mapping network S and the synthesis network G, or their averages SE and GE."""
    made = {f"mapping.{name}": value for name, value in _mapping(ledger, f"S{suffix}").items()}
    return made | {f"synthesis.{name}": value for name, value in _network(ledger, f"G{suffix}", _GENERATOR).items()}


def _mapping(ledger: Ledger, prefix: str) -> dict[str, Tensor]:
    """In StyleGAN2's terms: z of mean square 1, not of length 1, weights over the root of their number, and gains."""
    theirs = ledger.rename({rf"{prefix}\.net\.(\d+)\.(\w+)": r"\1.\2"})
    made: dict[str, Tensor] = {}
    for i in range(len(theirs) // 2):
        if f"{2 * i}.weight" not in theirs or f"{2 * i}.bias" not in theirs:
            raise ledger.error(f"has a mapping network {prefix} whose layers are not 0, 2, 4, ...")
        weight = theirs[f"{2 * i}.weight"]
        made[f"layers.{i}.weight"] = weight / math.sqrt(2) * (math.sqrt(weight.shape[-1]) if i else 1)
        made[f"layers.{i}.bias"] = theirs[f"{2 * i}.bias"] / math.sqrt(2)
    latent = len(made["layers.0.bias"])
    mapping = Mapping(latent, latent, len(made) // 2, rate=_RATE)
    try:
        mapping.load_state_dict({**made, "mean": torch.zeros(latent)})
    except RuntimeError:
        raise ledger.error(f"has a mapping network {prefix} whose layers are not all of {latent} units") from None
    with torch.no_grad():
        z = torch.randn(2000, latent, generator=torch.Generator().manual_seed(0))
        return made | {"mean": mapping.once(z).mean(0)}


def convert(contents: Contents) -> Converted:
    """Reads the sizes from the shapes."""
    (key,) = contents.having(*_MARKS)
    with open_ledger(contents, key) as ledger:
        count = len(ledger.names(r"GE\.blocks\.\d+\.conv2\.weight"))
        last = ledger.shape(f"GE.blocks.{count - 1}.to_rgb.conv.weight")
        attends = {int(name.split(".")[2]) for name in ledger.names(r"GE\.attns\.\d+\.0\.fn\.fn\.to_q\.weight")}
        quantized = bool(ledger.names(r"D\.quantize_blocks\..*"))
        arguments: dict[str, Any] = {
            "size": 2 ** (count + 1),
            "channels": last[0],
            "latent": ledger.shape("SE.net.0.bias")[0],
            "capacity": max(last[1] // 2, 1),
            "mapping_layers": len(ledger.names(r"SE\.net\.\d+\.weight")),
            "attended": sorted(count - i for i in attends),
            "constant": "GE.initial_block" in ledger,
        }
        if last[0] not in (1, 3):
            raise ledger.error(f"makes pictures of {last[0]} channels; 1 or 3 are expected, without transparency")
        ledger.ignore(r"(G|GE|D)\..*\.f", r"D_(aug|cl)\..*", r"D\..*" if quantized else "")  # filters; D once more
        noise = torch.rand(arguments["size"], arguments["size"], generator=torch.Generator().manual_seed(0))
        inference, live = (
            {f"generator.{name}": value for name, value in made.items()}
            for made in (_generator(ledger, suffix) | {"synthesis.noise": noise} for suffix in ("E", ""))
        )
        judge = _network(ledger, "D", _DISCRIMINATOR)
    facts = {"noise": "drawn from seed 0; the file has none"}
    if quantized:
        return Converted("lucidrains_stylegan2", arguments, inference, None, facts)
    for name in ("score.weight", "score.bias"):  # there, real images have low scores
        judge[name] = -judge[name]
    players = live | {f"discriminator.{name}": value for name, value in judge.items()}
    return Converted("lucidrains_stylegan2", arguments, inference, players, facts)


_MARKS = ("GE.blocks.0.to_style1.weight", "SE.net.0.weight")

LAYOUTS = (Layout("lucidrains' stylegan2-pytorch (model_N.pt)", "lucidrains_stylegan2", marked(*_MARKS), convert),)
