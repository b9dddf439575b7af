"""NVIDIA's pickles of StyleGAN3 converted: parity with the authors' code, the published sizes, and files that lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity_files import answers, distance, fixture, from_table, keys, write_nvidia
from torch import Tensor

import ganzoo
from ganzoo.families.stylegan3 import StyleGAN3
from ganzoo.layouts import open_file, recognise
from ganzoo.types import BadCheckpoint
from ganzoo.zoo.converting import convert

LIMIT = 1e-4  # of the fixtures' README


def loaded(path: Path, folder: Path) -> Any:
    convert(path, "stylegan3", to=folder)
    return ganzoo.load(folder, players=True)


@pytest.mark.parametrize("name", ["stylegan3.t", "stylegan3.r"])
def test_parity_with_the_authors_code(name: str, tmp_path: Path) -> None:
    arrays, _ = answers(name)
    game = loaded(fixture(f"{name}.pkl"), tmp_path / "model")
    z, c = torch.from_numpy(arrays["z"]), None
    w = game.map(z, c)
    assert distance(w, arrays["w"]) < LIMIT
    assert distance(game.map(z, c, truncation=0.7, truncation_cutoff=3), arrays["w_psi07_cut3"]) < LIMIT
    for noise in ("const", "none", "random"):  # there are no noise inputs
        assert distance(game.synthesize(w, noise=noise), arrays["img_const"]) < LIMIT
    truncated = game.synthesize(game.map(z, c, truncation=0.5))
    assert distance(truncated, arrays["img_const_psi05"]) < LIMIT
    assert distance(game.synthesize(w[:1]), arrays["per_sample_batch1"]) < LIMIT, "the styles' mean is the batch's"
    placed = game.averaged.synthesis.input.transform
    before = placed.clone()
    placed.copy_(torch.from_numpy(arrays["transform"]))
    assert distance(game.synthesize(w), arrays["img_transform"]) < LIMIT
    placed.copy_(before)
    with torch.no_grad():
        assert distance(game.discriminator(torch.from_numpy(arrays["d_in"])), arrays["d_out"]) < LIMIT
    # What the sums above do not see: the live generator is the file's G, the averaged one its G_ema
    contents = open_file(fixture(f"{name}.pkl"))
    for key, ours in (("G", game.generator), ("G_ema", game.averaged)):
        theirs = contents.modules[key].tensors
        assert torch.equal(ours.synthesis.layers[3].weight, next(v for k, v in theirs.items() if ".L3_" in k))
        for buffer in ("transform", "freqs", "phases"):
            assert torch.equal(getattr(ours.synthesis.input, buffer), theirs[f"synthesis.input.{buffer}"])


def published(tmp_path: Path) -> tuple[Any, dict[str, Tensor]]:
    """A state dict of the published 256 px network's names and shapes, converted and loaded."""
    table = keys("stylegan3.t256")
    generator, critic = (sound(from_table(table[key])) for key in ("G_ema", "D"))
    arguments = {"z_dim": 512, "c_dim": 0, "w_dim": 512, "img_resolution": 256, "img_channels": 3}
    write_nvidia(
        tmp_path / "t256.pkl",
        {
            "D": ("Discriminator", {"c_dim": 0, "img_resolution": 256, "img_channels": 3}, critic),
            "G_ema": ("Generator", arguments, generator),
        },
    )
    return loaded(tmp_path / "t256.pkl", tmp_path / "model"), generator


def test_the_published_size_loads_strictly(tmp_path: Path) -> None:
    game, generator = published(tmp_path)
    taken = game.averaged.state_dict()
    assert len(taken) == len(generator)
    assert sum(v.numel() for v in taken.values()) == sum(v.numel() for v in generator.values())
    assert game.averaged.synthesis.count == 16 and game.shape == (3, 256, 256)
    assert game.map(game.draw([3])[0]).shape == (1, 16, 512)


@pytest.mark.nightly
def test_the_published_size_samples(tmp_path: Path) -> None:
    image = published(tmp_path)[0].sample(1, seed=3)
    assert image.shape == (1, 3, 256, 256) and image.isfinite().all() and image.std() > 0.01


def sound(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Random tensors, but mean squares that are none below 0, and the filters that are no weights."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    made = {name: torch.outer(taps, taps) if name.endswith("resample_filter") else v for name, v in tensors.items()}
    return {name: value.abs() + 0.5 if name.endswith("magnitude_ema") else value for name, value in made.items()}


# ------------------------------------------------------------------------------------------- other configurations


def authors(game: StyleGAN3) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A game's tensors under NVIDIA's names, by rules of this test's own."""
    ours = game.generator.state_dict()
    made = {"mapping.w_avg": ours.pop("mapping.mean")}
    for key, value in ours.items():
        if key.startswith("synthesis.layers."):
            _, _, i, rest = key.split(".", 3)
            signal = game.generator.synthesis.layers[int(i)]
            size = after_size(game, int(i))
            key = f"synthesis.L{i}_{size}_{signal.weight.shape[0]}.{rest}"  # type: ignore
        key = key.replace("mapping.layers.", "mapping.fc").replace(".magnitude", ".magnitude_ema")
        made[key] = value
    critic = {}
    size = game.shape[1]
    for key, value in game.discriminator.state_dict().items():
        part, rest = key.split(".", 1)
        if part == "blocks":
            i, rest = rest.split(".", 1)
            names = {"from_rgb": "fromrgb", "first": "conv0", "second": "conv1", "shortcut": "skip"}
            layer, kind = rest.split(".")
            critic[f"b{size >> int(i)}.{names[layer]}.{kind}"] = value
        elif part == "head":
            critic[f"b4.{rest.replace('dense', 'fc')}"] = value
        else:
            critic[key.replace("mapping.layers.", "mapping.fc")] = value
    return made, critic


def after_size(game: StyleGAN3, i: int) -> int:
    """The side of a layer's output, found by running it."""
    sizes: list[int] = []
    layer = game.generator.synthesis.layers[i]
    hook = layer.register_forward_hook(lambda module, given, made: sizes.append(made.shape[-1]))
    game.synthesize(torch.zeros(1, game.generator.synthesis.count, game.arguments["style"]))
    hook.remove()
    return sizes[0]


CONFIGURATIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (  # ours, and NVIDIA's names for what no tensor tells
        {"size": 16, "classes": 3, "layers": 4, "critical": 1, "margin": 5, "filter_size": 4, "mapping_layers": 3},
        {"num_critical": 1, "margin_size": 5, "filter_size": 4},
    ),
    (
        {"size": 32, "configuration": "r", "layers": 5, "critical": 3, "upsampling": 4, "scale": 1.0, "channels": 1},
        {"num_critical": 3, "lrelu_upsampling": 4, "output_scale": 1.0, "use_radial_filters": True, "conv_kernel": 1},
    ),
    (
        {"size": 16, "kernel": 5, "radial": True, "layers": 6, "upsampling": 1, "clamp": None, "first_cutoff": 1.5},
        {"conv_kernel": 5, "use_radial_filters": True, "lrelu_upsampling": 1, "conv_clamp": None, "first_cutoff": 1.5},
    ),
    (
        {"size": 8, "critical": 0, "layers": 3, "clamp": 0.5, "last_stopband": 1.5, "first_stopband": 3.0},
        {"num_critical": 0, "conv_clamp": 0.5, "last_stopband_rel": 1.5, "first_stopband": 3.0},
    ),
]


def written(
    folder: Path, ours: dict[str, Any], theirs: dict[str, Any], drop: str = "", add: str = ""
) -> tuple[StyleGAN3, Path]:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"latent": 9, "style": 7, "channel_base": 100, "channel_max": 12}
    game = StyleGAN3(**{**sizes, **ours}).eval()
    with torch.no_grad():
        for value in game.generator.state_dict().values():
            value.add_(torch.rand_like(value) * 0.1)
    generator, critic = authors(game)
    if drop:
        del generator[next(name for name in generator if drop in name)]
    if add:
        generator[add] = torch.zeros(3)
    given = {"channel_base": 100, "channel_max": 12, "mapping_kwargs": {"num_layers": 2}, **theirs}
    networks = {
        "G": ("Generator", given, generator),
        "D": ("Discriminator", {"epilogue_kwargs": {"mbstd_group_size": 2}}, critic),
        "G_ema": ("Generator", given, generator),
    }
    write_nvidia(folder / "made.pkl", networks)
    return game, folder / "made.pkl"


@pytest.mark.parametrize(("ours", "theirs"), CONFIGURATIONS)
def test_other_configurations(ours: dict[str, Any], theirs: dict[str, Any], tmp_path: Path) -> None:
    """A file with a game's own tensors becomes that game: its arguments are found, and its pictures are the same."""
    game, path = written(tmp_path, ours, theirs)
    again = loaded(path, tmp_path / "model")
    asked = ("size", "channels", "classes", "layers", "critical", "margin", "upsampling", "scale", "clamp")
    for name in (*asked, "first_cutoff", "first_stopband", "last_stopband", "latent", "style", "mapping_layers"):
        assert again.arguments[name] == game.arguments[name], name
    assert again.arguments["group"] == 2
    z = torch.from_numpy(np.random.RandomState(0).randn(3, 9)).float()
    labels = torch.tensor([0, 2, 1]) if game.classes else None
    assert torch.equal(again.synthesize(again.map(z, labels)), game.synthesize(game.map(z, labels)))
    images = torch.randn(2, *game.shape)
    with torch.no_grad():
        chosen = None if labels is None else labels[:2]
        assert torch.equal(again.discriminator(images, chosen), game.discriminator(images, chosen))


def test_feature_maps_that_no_argument_says(tmp_path: Path) -> None:
    ours, theirs = CONFIGURATIONS[0]
    game, _ = written(tmp_path, {**ours, "channel_base": 64, "channel_max": 12}, theirs)
    generator, _ = authors(game)
    write_nvidia(tmp_path / "bare.pkl", {"G_ema": ("Generator", theirs, generator)})
    contents = open_file(tmp_path / "bare.pkl")
    converted = recognise(contents).convert(contents)
    assert (converted.arguments["channel_base"], converted.arguments["channel_max"]) == (64, 12)
    assert converted.players is None


@pytest.mark.parametrize(
    ("theirs", "changes", "said"),
    [
        ({"num_critical": 2}, {}, "has the layer|is .*; expected"),
        ({"num_critical": 7}, {}, "cannot be: 7 of 4 layers"),
        ({"margin_size": 6}, {}, r"has the layer L0_26_12; by its arguments 28_12 is expected"),
        ({"margin_size": "5"}, {}, "margin_size '5'; a number is expected"),
        ({"margin_size": 5.5}, {}, "margin_size 5.5; a whole number"),
        ({"filter_size": 6}, {}, r"up_filter.* is \[8\]; expected \[12\]"),
        ({"channel_base": 10**6}, {}, "has the layer"),
        ({"first_cutoff": float("nan")}, {}, "first_cutoff nan; a number is expected"),
        ({}, {"drop": "synthesis.input.phases"}, "lacks .*phases"),
        ({}, {"drop": "L2_"}, "lacks|layers"),
        ({}, {"drop": "mapping.w_avg"}, "lacks .*w_avg"),
        ({}, {"add": "synthesis.input.noise"}, "does not know: .*synthesis.input.noise"),
    ],
)
def test_files_that_do_not_fit_are_named(
    theirs: dict[str, Any], changes: dict[str, str], said: str, tmp_path: Path
) -> None:
    ours, given = CONFIGURATIONS[0]
    _, path = written(tmp_path, ours, {**given, **theirs}, **changes)
    with pytest.raises(BadCheckpoint, match=said) as error:
        convert(path, to=tmp_path / "model")
    assert "\n" not in str(error.value) and not (tmp_path / "model").exists()
