from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_tools import fresh
from parity_files import answers, distance, fixture
from torch import Tensor

import ganzoo
from ganzoo.layouts import open_file, recognise
from ganzoo.types import BadCheckpoint, Condition

CASES = ("biggan_pytorch.biggan", "biggan_pytorch.deep", "studiogan.biggan32")
SMALL = {"output_dim": 16, "z_dim": 4, "channel_width": 8, "num_classes": 3, "n_stats": 3, "eps": 1e-4}


# -------------------------------------------------------------------------------- the published layout, by our own hand


def published(unit: int, latent: int, classes: int, rows: int, levels: list[int]) -> dict[str, Tensor]:
    """A state dict as `pytorch_pretrained_biggan` writes them, by what is known of its names and shapes.

    Args:
        unit: channel_width.
        latent: z_dim, and the class's.
        classes: num_classes.
        rows: n_stats.
        levels: feature maps at 4, 8, ... pixels, in units.
    """
    generator = torch.Generator().manual_seed(0)
    made: dict[str, Tensor] = {}

    def spectral(name: str, *shape: int, bias: bool = True) -> None:
        weight = torch.randn(shape, generator=generator) * 0.3
        if bias:
            made[f"{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.1
        flat, v = weight.flatten(1), torch.ones(weight[0].numel())
        for _ in range(3):
            u = torch.nn.functional.normalize(flat @ v, dim=0)
            v = torch.nn.functional.normalize(flat.T @ u, dim=0)
        made.update({f"{name}.weight_orig": weight, f"{name}.weight_u": u, f"{name}.weight_v": v})

    def statistics(name: str, width: int) -> None:
        made[f"{name}.running_means"] = torch.randn(rows, width, generator=generator) * 0.2
        made[f"{name}.running_vars"] = torch.rand(rows, width, generator=generator) + 0.5

    made["embeddings.weight"] = torch.randn(latent, classes, generator=generator)
    spectral("generator.gen_z", 16 * levels[0] * unit, 2 * latent)
    place = 0
    for n, (i, o) in enumerate(pairwise(levels), 1):
        for inputs, outputs in ((i * unit, i * unit), (i * unit, o * unit)):
            own, inner = f"generator.layers.{place}", i * unit // 4
            widths = [inputs, inner, inner, inner, outputs]
            for k, (a, b) in enumerate(pairwise(widths)):
                statistics(f"{own}.bn_{k}", a)
                for name in ("scale", "offset"):
                    spectral(f"{own}.bn_{k}.{name}", a, 2 * latent, bias=False)
                spectral(f"{own}.conv_{k}", b, a, *((1, 1) if k in (0, 3) else (3, 3)))
            place += 1
        if n == min(4, len(levels) - 1):
            width, own = o * unit, f"generator.layers.{place}"
            for name, a, b in (("theta", width // 8, width), ("phi", width // 8, width), ("g", width // 2, width)):
                spectral(f"{own}.snconv1x1_{name}", a, b, 1, 1, bias=False)
            spectral(f"{own}.snconv1x1_o_conv", width, width // 2, 1, 1, bias=False)
            made[f"{own}.gamma"] = torch.full((1,), 0.5)
            place += 1
    for name in ("weight", "bias"):
        made[f"generator.bn.{name}"] = torch.randn(levels[-1] * unit, generator=generator)
    statistics("generator.bn", levels[-1] * unit)
    spectral("generator.conv_to_rgb", levels[-1] * unit, levels[-1] * unit, 3, 3)
    return made


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file of the published layout, of 16 pixels, with its configuration beside it."""
    path = tmp_path / "biggan-deep-16-pytorch_model.bin"
    torch.save(published(8, 4, 3, 3, [4, 2, 1]), path)
    layers = [[False, 4, 4], [True, 4, 2], [False, 2, 2], [True, 2, 1]]
    config = {**SMALL, "class_embed_dim": 4, "layers": layers, "attention_layer_position": 4}
    path.with_name("biggan-deep-16-config.json").write_text(json.dumps(config))
    return path


# --------------------------------------------------------------------------------------------- the authors' own answers


def converted(name: str, tmp_path: Path, second: str | None = None) -> Any:
    discriminator = None if second is None else fixture(second)
    ganzoo.convert(fixture(name), to=tmp_path / "m", more=[discriminator] if discriminator else [], pictures=False)
    return ganzoo.load(tmp_path / "m", players=second is not None)


@pytest.mark.parametrize("name", CASES)
def test_both_players_answer_as_in_the_authors_code(name: str, tmp_path: Path) -> None:
    arrays, _ = answers(name)
    game = converted(f"{name}.pth", tmp_path, f"{name}.pth.D.pth")
    z, labels = torch.from_numpy(arrays["z"]), torch.from_numpy(arrays["y"])
    with game.inferring():
        assert distance(game(z, labels), arrays["img"]) < 1e-4
    game.discriminator.eval()
    with torch.no_grad():
        scores = game.discriminator(torch.from_numpy(arrays.get("d_in", arrays["img"])), labels)
    assert distance(scores.reshape(arrays["d_out"].shape), arrays["d_out"]) < 1e-4


def test_statistics_by_truncation_are_carried(tmp_path: Path) -> None:
    arrays, _ = answers("pretrained_biggan.deep")
    fixture("pretrained_biggan.deep.bin.config.json")
    game = converted("pretrained_biggan.deep.bin", tmp_path)
    z, vectors = torch.from_numpy(arrays["z"]), torch.from_numpy(arrays["class_vector"])
    with game.inferring():
        for truncation in (1.0, 0.435, 0.14, 0.58):
            images = game.generate(z * truncation, Condition(vectors), truncation)
            assert distance(images, arrays[f"img_t{truncation}"]) < 1e-4
        assert distance(game(z, vectors.argmax(1)), arrays["img_t1.0"]) < 1e-4, "the running ones are the last"


# ------------------------------------------------------------------------------------------------- the published layout


def test_what_the_tensors_say_becomes_the_arguments(small: Path) -> None:
    contents = open_file(small)
    layout = recognise(contents)
    made = layout.convert(contents)
    assert (layout.name, made.family, made.players) == ("pytorch-pretrained-BigGAN", "biggan", None)
    wanted = {
        **{"widths": [32, 16, 8], "depth": 2, "latent": 4, "embedding": 4, "classes": 3, "channels": 3, "outputs": 8},
        **{"statistics": 3, "attention_after": [2], "eps": 1e-4, "hierarchical": True},
    }
    assert {key: made.arguments[key] for key in wanted} == wanted


def test_columns_rows_and_vectors_change_their_order_together(small: Path) -> None:
    """A layer's spectral norm is what it was, and its first units are a feature map's pixels."""
    source = torch.load(small)
    made = recognise(open_file(small)).convert(open_file(small)).inference
    for theirs, ours in (("gen_z", "linear"), ("layers.0.bn_0.scale", "stages.0.blocks.0.norms.0.gain")):
        weight, u, v = (source[f"generator.{theirs}.weight_{part}"] for part in ("orig", "u", "v"))
        own, own_u, own_v = (made[f"generator.{ours}.{part}"] for part in ("weight", "u", "v"))
        assert torch.allclose(own_u @ own @ own_v, u @ weight @ v) and not torch.equal(own, weight)
    z, y = torch.randn(4), torch.randn(4)
    units = source["generator.gen_z.weight_orig"] @ torch.cat([z, y]) + source["generator.gen_z.bias"]
    own = made["generator.linear.weight"] @ torch.cat([y, z]) + made["generator.linear.bias"]
    assert torch.allclose(own.view(32, 4, 4), units.view(4, 4, 32).permute(2, 0, 1), atol=1e-5)


def edited(path: Path, change: Callable[[dict[str, Tensor]], Any]) -> Path:
    tensors = torch.load(path)
    change(tensors)
    torch.save(tensors, path)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("generator.layers.1.bn_2.scale.weight_orig"), "'generator.layers.1.bn_2.scale' is not there"),
        (lambda t: t.pop("generator.layers.1.bn_2.running_vars"), "lacks .*bn_2.running_vars"),
        (lambda t: t.update(extra=torch.zeros(2)), "does not know: 'extra'"),
        (lambda t: t.update({"generator.bn.running_means": torch.zeros(2, 8)}), r"is \[2, 8\]; expected \[3, 8\]"),
        (lambda t: t.update({"embeddings.weight": torch.zeros(5, 3)}), "conditions of length 8, an embedding of 5"),
        (lambda t: t.update({"generator.layers.4.gamma": torch.zeros(2)}), r"gamma of shape \[2\]; expected one"),
    ],
)
def test_every_tensor_is_accounted_for(change: Any, said: str, small: Path) -> None:
    contents = open_file(edited(small, change))
    with pytest.raises(BadCheckpoint, match=said) as caught:
        recognise(contents).convert(contents)
    assert "\n" not in str(caught.value) and str(small) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"channel_width": 8, "z_dim": 7}', "config says z_dim is 7, and its tensors 4"),
        ('{"channel_width": 8, "eps": "no"}', "config has eps 'no'; expected a small number"),
        ('{"channel_width": 8, "layers": [[true, 4, 4]]}', "config says layers is"),
        ("{", "no readable configuration of BigGAN"),
    ],
)
def test_a_configuration_must_agree(text: str, said: str, small: Path) -> None:
    small.with_name("biggan-deep-16-config.json").write_text(text)
    contents = open_file(small)
    with pytest.raises(BadCheckpoint, match=said):
        recognise(contents).convert(contents)


def test_without_a_configuration_the_usual_epsilon_is_taken(small: Path) -> None:
    small.with_name("biggan-deep-16-config.json").unlink()
    assert recognise(open_file(small)).convert(open_file(small)).arguments["eps"] == 1e-4


# ----------------------------------------------------------------------------------------------------- second files


def test_a_discriminator_that_does_not_belong_is_refused(tmp_path: Path) -> None:
    generator = open_file(fixture("biggan_pytorch.biggan.pth"))
    layout = recognise(generator)
    made = layout.convert(generator)
    assert layout.join is not None
    for name, said in (
        ("biggan_pytorch.deep.pth.D.pth", "has stages of 2 blocks of four, unlike the generator"),
        ("biggan_pytorch.biggan.pth.G.pth", "is a generator; expected a discriminator"),
    ):
        with pytest.raises(BadCheckpoint, match=re.escape(said)):
            layout.join(open_file(fixture(name)), made)
    other = dataclasses.replace(made, arguments=made.arguments | {"classes": 8})
    with pytest.raises(BadCheckpoint, match=r"embed.weight' is \[7, 128\]; expected \[8, 128\]"):
        layout.join(open_file(fixture("biggan_pytorch.biggan.pth.D.pth")), other)


def test_statistics_by_another_name_and_tables_by_class(tmp_path: Path) -> None:
    """BigGAN-PyTorch under its own batch normalization, and under its synchronized one; without a shared embedding."""
    source = torch.load(fixture("biggan_pytorch.biggan.pth"))
    wanted = recognise(open_file(fixture("biggan_pytorch.biggan.pth"))).convert(
        open_file(fixture("biggan_pytorch.biggan.pth"))
    )
    for word, more in (("stored", "accumulation_counter"), ("running", "num_batches_tracked")):
        renamed = {re.sub(r"\.stored_(mean|var)$", rf".bn.{word}_\1", key): value for key, value in source.items()}
        for key in [key for key in renamed if key.endswith(f".bn.{word}_mean")]:
            renamed[f"{key.rpartition('.')[0]}.{more}"] = torch.zeros((), dtype=torch.int64)
        torch.save(renamed, tmp_path / "G.pth")
        made = recognise(open_file(tmp_path / "G.pth")).convert(open_file(tmp_path / "G.pth"))
        assert made.inference.keys() == wanted.inference.keys()
        assert all(torch.equal(value, wanted.inference[key]) for key, value in made.inference.items())
    plain = {k: v for k, v in source.items() if not re.search(r"\.(gain|bias)\.(u0|sv0)|shared", k)}
    for key in [key for key in plain if re.search(r"bn\d\.(gain|bias)\.weight", key)]:
        plain[key] = torch.randn(7, len(plain[key]))
    torch.save(plain, tmp_path / "G.pth")
    ganzoo.convert(tmp_path / "G.pth", to=tmp_path / "m", pictures=False)
    game = ganzoo.load(tmp_path / "m")
    assert game.arguments["embedding"] == 0 and not game.arguments["hierarchical"] and game.classes == 7
    gain = game.generator.stages[1].blocks[0].norms[1].gain.weight
    assert torch.equal(gain, plain["blocks.1.0.bn2.gain.weight"])


def test_what_a_run_says_beside_its_weights(tmp_path: Path) -> None:
    source = torch.load(fixture("biggan_pytorch.biggan.pth"))
    torch.save(source, tmp_path / "G_ema.pth")
    torch.save({"itr": 138000, "config": {"BN_eps": 1e-3}, "x": torch.zeros(1)}, tmp_path / "state_dict.pth")
    contents = open_file(tmp_path / "G_ema.pth")
    made = recognise(contents).convert(contents)
    assert made.arguments["eps"] == 1e-3 and made.facts == {"steps": 138000}
    last = source["output_layer.0.stored_var"] + 1e-5  # whose epsilon is another
    assert torch.allclose(made.inference["generator.norm.running_var"] + 1e-3, last)


# ------------------------------------------------------------------------------------------------ the authors' address


def client_published(folder: str, file: str) -> None:
    """In a process of its own: `load` by the catalogue's name, from a server that stands in for the authors'."""
    import os

    from hub_server import Hub

    hub = Hub(Path(folder) / "hub").start()
    os.environ.update(hub.environment(Path(folder) / "cache", None))
    from ganzoo.zoo import catalogue

    entry = catalogue.find("biggan-deep-128")
    assert entry.status == "convert" and entry.address.startswith("https://s3.amazonaws.com/")
    names = [*entry.files]
    source = Path(file)
    for name, path in zip(names, (source, source.with_name("biggan-deep-16-config.json")), strict=True):
        url = hub.publish(f"biggan/{name}", path.read_bytes())
    catalogue.find = lambda _: dataclasses.replace(entry, address=f"{url.rpartition('/')[0]}/")  # type: ignore[assignment]
    game = ganzoo.load("biggan-deep-128")
    assert game.provenance is not None and [*game.provenance["files"]] == names
    ganzoo.convert(source, to=Path(folder) / "local", pictures=False)
    local = ganzoo.load(Path(folder) / "local")
    assert torch.equal(game.sample(2, truncation=0.4), local.sample(2, truncation=0.4))
    hub.stop()
    assert torch.equal(ganzoo.load("biggan-deep-128").sample(1), local.sample(1)), "kept"
    source.with_name("biggan-deep-16-config.json").write_text('{"channel_width": 8, "z_dim": 7}')
    hub.start()
    catalogue.find = lambda _: dataclasses.replace(  # type: ignore[assignment]
        entry, name="other", address=f"{url.rpartition('/')[0]}/"
    )
    hub.publish(f"biggan/{names[1]}", source.with_name("biggan-deep-16-config.json").read_bytes())
    with pytest.raises(BadCheckpoint, match="config says z_dim is 7"):
        ganzoo.load("other")


def test_the_published_model_loads_from_its_authors_address(small: Path, tmp_path: Path) -> None:
    fresh(__file__, "client_published", tmp_path, small, cache=tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("size", "levels"), [(128, [16, 16, 8, 4, 2, 1]), (256, [16, 16, 8, 8, 4, 2, 1]), (512, [16, 16, 8, 8, 4, 2, 1, 1])]
)
def test_the_published_sizes_convert(size: int, levels: list[int], tmp_path: Path) -> None:
    torch.save(published(128, 128, 1000, 51, levels), tmp_path / "model.bin")
    ganzoo.convert(tmp_path / "model.bin", to=tmp_path / "m", pictures=False)
    game = ganzoo.load(tmp_path / "m")
    assert game.shape == (3, size, size) and game.arguments["attention_after"] == [4]
    images = game.sample(1, truncation=0.4)
    assert images.shape == (1, 3, size, size) and images.isfinite().all() and images.std() > 0.01


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
