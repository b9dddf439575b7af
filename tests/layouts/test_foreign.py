"""What ganzoo does not read is named, and is not taken for what it resembles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import parity_files
import pytest
import torch

from ganzoo.layouts import Contents, open_file, recognise
from ganzoo.layouts.containers import unwrapped
from ganzoo.layouts.foreign import _KNOWN, named
from ganzoo.types import BadCheckpoint


def made(*shapes: tuple[str, tuple[int, ...]]) -> Contents:
    return unwrapped(Path("file.pth"), {name: torch.zeros(shape) for name, shape in shapes})


def cycle(blurred: bool) -> dict[str, tuple[int, ...]]:
    """CUT's generator, which is CycleGAN's but for its blurs."""
    table: dict[str, tuple[int, ...]] = {"model.1.weight": (4, 3, 7, 7), "model.10.conv_block.1.weight": (16, 16, 3, 3)}
    return table | ({"model.7.filt": (8, 1, 3, 3)} if blurred else {})


FILES: dict[str, dict[str, tuple[int, ...]]] = {
    "StyleGAN-XL": {"synthesis.input.freqs": (8, 2), "mapping.embed_proj.weight": (8, 8)},
    "FastGAN": {"init.init.0.weight_orig": (8, 8, 4, 4), "se_64.main.1.weight_orig": (8, 8, 4, 4)},
    "pix2pixHD": {
        "model.1.weight": (4, 3, 7, 7),
        "model.13.weight": (8, 8, 3, 3),
        "model.16.conv_block.1.weight": (8,),
    },
    "a diffusion model, no GAN": {"model.diffusion_model.input_blocks.0.0.weight": (4, 4, 3, 3)},
}


@pytest.mark.parametrize("what", FILES)
def test_foreign_networks_are_named(what: str) -> None:
    with pytest.raises(BadCheckpoint, match=f"^file.pth: holds .*{what}.*, which ganzoo does not read; ") as caught:
        recognise(made(*FILES[what].items()))
    assert "\n" not in str(caught.value) and "eye" not in str(caught.value)


def test_a_foreign_network_is_not_taken_for_what_it_resembles() -> None:
    assert recognise(made(*cycle(blurred=False).items())).family == "cyclegan"
    assert recognise(made(*cycle(blurred=True).items())).family == "cut"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("hifigan.v1_small.pth", "HiFi-GAN"),
        ("hifigan.v1_small.pth.do.pth", "HiFi-GAN"),
    ],
)
def test_the_authors_files_are_named(name: str, what: str) -> None:
    with pytest.raises(BadCheckpoint, match=f"holds .*{what}.*, which ganzoo does not read"):
        recognise(open_file(parity_files.fixture(name)))


def read_fixtures() -> list[str]:
    known: Any = ("biggan", "cyclegan", "dcgan_example", "genforce.", "mimicry", "pgan", "pretrained", "rosinality")
    found = {path.name for folder in parity_files._FOLDERS if folder.is_dir() for path in folder.iterdir()}
    found = {
        name
        for name in found
        if name.startswith((*known, "studiogan", "stylegan", "r3gan", "lucidrains", "projected", "ddgan"))
    }
    found = {name for name in found if "state_dict" not in name}
    return sorted(name for name in found if name.endswith((".pth", ".pt", ".pkl")))


@pytest.mark.parametrize("name", read_fixtures())
def test_what_is_read_is_not_foreign(name: str) -> None:
    assert not named(open_file(parity_files.fixture(name)))


def test_every_row_is_one_line_and_its_own() -> None:
    assert len({what for what, _ in _KNOWN}) == len(_KNOWN)
    assert all(what.isascii() and len(what) < 60 and patterns for what, patterns in _KNOWN)
