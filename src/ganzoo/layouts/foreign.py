"""Networks that people have and ganzoo does not read: what they are known by, so that an error can name them.

A row leaves when its layout comes. A network is known by names of its tensors, whatever file it is in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ganzoo.layouts.containers import Contents

# What it is, and patterns of which each must be the whole name of a tensor of one network
_KNOWN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("pix2pixHD", (r"model\.1\.weight", r"model\.16\.conv_block\.1\.weight", r"model\.1[03]\.weight")),
    ("SPADE", (r"head_0\.norm_0\.mlp_shared\.0\.weight",)),
    ("MUNIT or its kin", (r"enc_content\.model\.0\.conv\.weight",)),
    ("AnimeGANv2", (r"block_a\.0\.1\.weight", r"out_layer\.0\.weight")),
    ("StyleGAN-XL", (r"synthesis\.input\.freqs", r"mapping\.embed_proj\.weight")),
    ("StyleGAN-XL's discriminator", (r"feature_networks\..*",)),
    ("FastGAN (lightweight GAN)", (r"init\.init\.0\.weight_orig", r"se_64\.main\.1\.weight_orig")),
    ("HiFi-GAN, which makes sound", (r"conv_pre\.weight_v", r"ups\.0\.weight_v", r"conv_post\.weight_v")),
    ("HiFi-GAN's discriminators, which judge sound", (r"discriminators\.0\.convs\.0\.weight_(v|orig)",)),
    ("GFPGAN", (r"stylegan_decoder\..*",)),
    ("a diffusion model, no GAN", (r"(.*\.)?(input_blocks\.0\.0\.weight|down_blocks\.0\.resnets\.0\.conv1\.weight)",)),
    ("VQGAN", (r"(.*\.)?quantize\.embedding\.weight",)),
    ("a classifier, no GAN", (r"(layer1\.0\.conv1\.weight|features\.0\.weight)", r"(fc|classifier\.\d+)\.weight")),
)  # fmt: skip


def named(contents: Contents) -> str:
    """What a file is known to hold, where ganzoo does not read it; else nothing."""
    for what, patterns in _KNOWN:
        if any(_has(module.tensors, patterns) for module in contents.modules.values()):
            return what
    return ""


def _has(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return all(any(re.fullmatch(pattern, name) for name in names) for pattern in patterns)
