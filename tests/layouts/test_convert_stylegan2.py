"""StyleGAN2 converted: parity with the authors' code, other configurations, the published size, and files that lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity_files import answers, distance, fixture, from_table, keys, write_nvidia
from torch import Tensor

import ganzoo
from ganzoo.families.stylegan2 import StyleGAN2
from ganzoo.layouts import Contents, Converted, Module, Network, open_file, recognise
from ganzoo.layouts.containers import unwrapped
from ganzoo.types import BadCheckpoint
from ganzoo.zoo.converting import convert

LIMIT = 1e-4  # of the fixtures' README
Tensors = dict[str, Tensor]

# ------------------------------------------------------------------------------------------- the authors' own answers

FILES = [
    "stylegan2_ada.uncond.pkl",
    "stylegan2_ada.cond.pkl",
    "stylegan2_tf_pickle.config_f.pkl",
    "rosinality_stylegan2.uncond.pt",
]


@pytest.mark.parametrize("file", FILES)
def test_parity_with_the_authors_code(file: str, tmp_path: Path) -> None:
    path = fixture(file)
    arrays, _ = answers(file.rsplit(".", 1)[0])
    given = {key: torch.from_numpy(value) for key, value in arrays.items()}
    convert(path, "stylegan2", to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    z, c, seen = given["z"], given.get("c"), given.get("d_c")
    c, seen = (None if each is None or not each.shape[1] else each for each in (c, seen))
    w = game.map(z, c)
    assert distance(w if given["w"].dim() == 3 else w[:, 0], given["w"]) < LIMIT
    assert distance(game.synthesize(w), given["img_const"]) < LIMIT
    assert distance(game.synthesize(game.map(z, c, truncation=0.5)), given["img_const_psi05"]) < LIMIT
    with torch.no_grad():
        assert distance(game.discriminator(given["d_in"], seen), given["d_out"]) < LIMIT
    if "img_none" in given:
        assert distance(game.synthesize(w, noise="none"), given["img_none"]) < LIMIT
        cut = game.map(z, c, truncation=0.7, truncation_cutoff=4)
        assert distance(cut, given["w_psi07_cut4"]) < LIMIT
        assert distance(game.synthesize(cut), given["img_const_psi07_cut4"]) < LIMIT
    if "img_G_const" in given:
        with torch.no_grad():
            assert distance(game.generator(z, c, noise="const"), given["img_G_const"]) < LIMIT
    if "img_mix3" in given:
        mixed = torch.cat([w[:, :3], game.map(given["z2"])[:, 3:]], 1)
        assert distance(game.synthesize(mixed), given["img_mix3"]) < LIMIT


def test_parity_of_genforces_with_the_authors_code(tmp_path: Path) -> None:
    arrays, _ = answers("genforce.stylegan2")
    given = {key: torch.from_numpy(value) for key, value in arrays.items()}
    convert(fixture("genforce.stylegan2.pth"), to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    w = game.map(given["z"])
    assert distance(w[:, 0], given["w"]) < LIMIT
    assert distance(game.synthesize(w), given["img_smooth"]) < LIMIT
    cut = game.map(given["z"], truncation=0.6, truncation_cutoff=4)
    assert distance(game.synthesize(cut), given["img_smooth_psi06_l4"]) < LIMIT
    with torch.no_grad():
        assert distance(game.generator(given["z"], noise="const"), given["img_G"]) < LIMIT
        assert distance(game.discriminator(given["d_in"]), given["d_out"]) < LIMIT


def equal(tensors: Tensors, others: Tensors) -> bool:
    return tensors.keys() == others.keys() and all(torch.equal(tensors[key], others[key]) for key in tensors)


@pytest.mark.parametrize("name", ["stylegan2_ada.uncond.pkl", "stylegan2_ada.cond.pkl"])
def test_state_dicts_of_nvidias_names(name: str, tmp_path: Path) -> None:
    """G, D and G_ema as state dicts in one file; G_ema alone; StudioGAN's, with the discriminator in another file."""
    whole = open_file(fixture(name))
    expected = recognise(whole).convert(whole)
    states = {key: whole.modules[key].tensors for key in ("G", "D", "G_ema")}
    torch.save(states, tmp_path / "all.pt")
    torch.save(states["G_ema"], tmp_path / "bare.pth")
    torch.save({"state_dict": states["G_ema"], "step": 3}, tmp_path / "model=G_ema-best.pth")
    torch.save({"state_dict": states["D"], "step": 3}, tmp_path / "model=D-best.pth")
    both = open_file(tmp_path / "all.pt")
    made = recognise(both).convert(both)
    assert made.players is not None and expected.players is not None
    assert equal(made.players, expected.players) and equal(made.inference, expected.inference)
    untold = {"clamp", "discriminator_clamp", "decay"}  # which no tensor tells
    assert {k: v for k, v in made.arguments.items() if k not in untold} == {
        k: v for k, v in expected.arguments.items() if k not in untold
    }
    for file in ("bare.pth", "model=G_ema-best.pth"):
        alone = open_file(tmp_path / file)
        made = recognise(alone).convert(alone)
        assert made.players is None and equal(made.inference, expected.inference)
        layout = recognise(alone)
        assert layout.join is not None
        joined = layout.join(open_file(tmp_path / "model=D-best.pth"), made).players
        own = {key: value for key, value in expected.players.items() if key.startswith("discriminator.")}
        assert joined is not None and equal(joined, expected.inference | own)


@pytest.mark.parametrize("bare", [False, True])
def test_rosinalitys_without_noise_and_without_wrapper(bare: bool, tmp_path: Path) -> None:
    """The author's own published file lacks the constant noise: it is drawn from a fixed seed, and that is said."""
    arrays, _ = answers("rosinality_stylegan2.uncond")
    tree = torch.load(fixture("rosinality_stylegan2.uncond.pt"), weights_only=True)
    state = {key: value for key, value in tree["g_ema"].items() if not key.startswith("noises.")}
    center = {"latent_avg": tree["latent_avg"]}
    torch.save(state if bare else {"g_ema": state, **center}, tmp_path / "file.pt")
    convert(tmp_path / "file.pt", to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model")
    w = game.map(torch.from_numpy(arrays["z"]))
    assert distance(w[:, 0], arrays["w"]) < LIMIT
    assert game.card is not None and "drawn from seed 0" in game.card.facts["noise"]
    noise = [layer.noise for layer in game.averaged.modules() if hasattr(layer, "strength")]
    assert torch.equal(noise[0], torch.from_numpy(np.random.RandomState(0).randn(4, 4)).float())
    assert all(0.7 < each.std() < 1.3 for each in noise)
    image = game.synthesize(w)
    assert torch.equal(image, game.synthesize(w)) and distance(image, arrays["img_const"]) > LIMIT
    mean = game.averaged.mapping.mean
    assert torch.equal(mean, tree["latent_avg"]) if not bare else distance(mean, tree["latent_avg"]) < 30


def test_the_generator_in_an_encoders_file(tmp_path: Path) -> None:
    """pSp and e4e: the encoder is left out, and the mean of w stands once a layer."""
    arrays, _ = answers("rosinality_stylegan2.uncond")
    tree = torch.load(fixture("rosinality_stylegan2.uncond.pt"), weights_only=True)
    state = {f"decoder.{key}": value for key, value in tree["g_ema"].items()} | {
        "encoder.input_layer.0.weight": torch.ones(3)
    }
    torch.save(
        {"state_dict": state, "latent_avg": tree["latent_avg"].repeat(8, 1), "opts": {"n": 1}}, tmp_path / "e.pt"
    )
    convert(tmp_path / "e.pt", "stylegan2", to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model")
    z = torch.from_numpy(arrays["z"])
    assert distance(game.synthesize(game.map(z)), arrays["img_const"]) < LIMIT
    assert distance(game.synthesize(game.map(z, truncation=0.5)), arrays["img_const_psi05"]) < LIMIT
    torch.save({"state_dict": state, "latent_avg": torch.randn(8, 40)}, tmp_path / "other.pt")
    contents = open_file(tmp_path / "other.pt")
    with pytest.raises(BadCheckpoint, match="a mean of w for each layer"):
        recognise(contents).convert(contents)


def test_the_published_size_fits() -> None:
    table = keys("stylegan2_ada.ffhq1024")
    modules = {
        name: Module("", {}, {key: torch.zeros(shape) for key, (shape, _) in tensors.items()}, {}, {})
        for name, tensors in table.items()
    }
    contents = Contents(Path("made.pkl"), "nvidia", None, modules)
    found = recognise(contents).convert(contents)
    with torch.device("meta"):
        game: Any = StyleGAN2(**found.arguments)
    assert found.players is not None
    assert {k: v.shape for k, v in found.players.items()} == {k: v.shape for k, v in game.player_tensors().items()}
    assert {k: v.shape for k, v in found.inference.items()} == {k: v.shape for k, v in game.inference_tensors().items()}
    assert sum(p.numel() for p in game.generator.parameters()) == 30_370_060
    assert game.shape == (3, 1024, 1024) and game.averaged.synthesis.count == 18


@pytest.mark.nightly
def test_the_published_size_loads_strictly_and_samples(tmp_path: Path) -> None:
    table = keys("stylegan2_ada.ffhq1024")
    networks = {name: from_table(tensors) for name, tensors in table.items()}
    path = tmp_path / "ffhq.pkl"
    made: Any = {
        name: ("Discriminator" if name == "D" else "Generator", {}, tensors) for name, tensors in networks.items()
    }
    write_nvidia(path, made)
    convert(path, to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model")
    assert sum(p.numel() for p in game.generator.parameters()) == 30_370_060
    assert game.shape == (3, 1024, 1024) and game.averaged.synthesis.count == 18
    assert torch.equal(game.averaged.mapping.mean, networks["G_ema"]["mapping.w_avg"])
    image = game.sample(1, seed=0, noise="const")
    assert image.shape == (1, 3, 1024, 1024) and image.isfinite().all()


# ------------------------------------------------------------------------------------------- other configurations


def nvidia(game: StyleGAN2) -> tuple[Tensors, Tensors]:
    """A game's tensors under the names of NVIDIA's PyTorch code, by rules of this test's own."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    made: Tensors = {"synthesis.b4.resample_filter": torch.outer(taps, taps)}
    for key, value in game.generator.state_dict().items():
        if key.startswith("synthesis.blocks."):
            _, _, i, last = key.split(".", 3)
            last = last.replace("rgb_bias", "torgb.bias").replace("to_rgb", "torgb")
            last = last.replace("shortcut", "skip").replace("constant", "const").replace("strength", "noise_strength")
            last = last.removesuffix("noise") + "noise_const" if last.endswith(".noise") else last
            if last.startswith("up."):
                value = value.transpose(0, 1) if last == "up.conv.weight" else value
                last = last.replace("up.conv.", "conv0.").replace("up.", "conv0.")
            elif last.startswith("conv."):
                last = last.replace("conv.conv.", "conv1.").replace("conv.", "conv1.")
            key = f"synthesis.b{4 * 2 ** int(i)}.{last}"
        made[key.replace("mapping.layers.", "mapping.fc").replace("mapping.mean", "mapping.w_avg")] = value
    critic: Tensors = {}
    names = {"from_rgb": "fromrgb", "first": "conv0", "second": "conv1", "shortcut": "skip"}
    for key, value in game.discriminator.state_dict().items():
        part, rest = key.split(".", 1)
        if part == "blocks":
            i, layer, kind = rest.split(".")
            critic[f"b{game.shape[1] >> int(i)}.{names[layer]}.{kind}"] = value
        elif part == "head":
            critic[f"b4.{rest.replace('dense', 'fc').replace('from_rgb', 'fromrgb')}"] = value
        else:
            critic[key.replace("mapping.layers.", "mapping.fc")] = value
    return made, critic


def tensorflow(game: StyleGAN2, grown: bool = False, **options: Any) -> Contents:
    """The same under the names and in the layouts of the TensorFlow code; `grown` as in configurations B to D."""
    generator, critic = nvidia(game)
    size = game.shape[1]

    def array(name: str, value: Tensor) -> np.ndarray[Any, Any]:
        if value.dim() == 4:
            value = value.permute(2, 3, 1, 0)
            value = value.flip(0, 1) if "Conv0_up" in name else value
        elif value.dim() == 2:
            value = value.t()
        return value.contiguous().numpy()

    def place(key: str) -> str:
        parts = key.split(".")
        kind = {"affine.weight": "mod_weight", "affine.bias": "mod_bias"}.get(".".join(parts[2:]), parts[-1])
        side = parts[0][1:]
        first = {"conv0": "Conv0_up", "conv1": "Conv" if side == "4" else "Conv1", "torgb": "ToRGB", "skip": "Skip"}
        if parts[1] == "torgb" and grown:
            return f"ToRGB_lod0/{kind}"
        return f"{side}x{side}/{first[parts[1]]}/{kind}"

    variables: dict[str, np.ndarray[Any, Any]] = {"lod": np.zeros((), np.float32)}
    for key, value in generator.items():
        if key == "mapping.w_avg":
            variables["dlatent_avg"] = value.numpy()
        elif key.startswith("mapping."):
            _, layer, kind = key.split(".")
            variables[f"mapping/{layer.replace('fc', 'Dense').replace('embed', 'LabelEmbed')}/{kind}"] = array(
                "", value
            )
        elif key.endswith("noise_const"):
            side, layer = key.split(".")[1:3]
            i = 2 * int(np.log2(int(side[1:]))) - (5 if layer == "conv0" else 4)
            variables[f"synthesis/noise{i}"] = value[None, None].numpy()
        elif key.endswith(".const"):
            variables["synthesis/4x4/Const/const"] = value[None].numpy()
        elif "resample_filter" not in key:
            name = f"synthesis/{place(key.removeprefix('synthesis.'))}"
            variables[name] = array(name, value - 1 if name.endswith("mod_bias") else value)
    if grown:
        variables["synthesis/lod"] = np.zeros((), np.float32)
        variables["synthesis/ToRGB_lod1/weight"] = np.ones((1, 1, 4, 3), np.float32)  # no longer used
    seen: dict[str, np.ndarray[Any, Any]] = {}
    for key, value in critic.items():
        side, layer, kind = (key if key.count(".") == 2 else f"b0.{key}").split(".")[-3:]
        if key.startswith("mapping."):
            name = f"LabelEmbed/{kind}" if layer == "embed" else f"Mapping{layer[2:]}/{kind}"
        else:
            names = {"conv": "Conv", "conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip", "fromrgb": "FromRGB"}
            name = f"{side[1:]}x{side[1:]}/{names.get(layer, 'Dense0')}/{kind}" if layer != "out" else f"Output/{kind}"
            name = name.replace(f"{size}x{size}/FromRGB", "FromRGB_lod0") if grown else name
        seen[name] = array("", value)
    shared = {"label_size": game.classes or 0, **options}
    networks = (
        Network("G", 4, shared, {}, variables, "G_main"),
        Network("D", 4, {"mbstd_group_size": 2, "mapping_lrmul": 0.01, **shared}, {}, seen, "D_stylegan2"),
        Network("Gs", 4, shared, {}, variables, "G_main"),
    )
    return Contents(Path("made.pkl"), "tensorflow", None, networks=networks)


def rosinality(game: StyleGAN2, center: bool = True) -> Contents:
    """The same under the names of rosinality's code."""
    generator, critic = nvidia(game)
    g: Tensors = {}
    for key, value in generator.items():
        if key.startswith("mapping.fc"):
            number, kind = key.removeprefix("mapping.fc").split(".")
            g[f"style.{int(number) + 1}.{kind}"] = value
        elif key.endswith(".const"):
            g["input.input"] = value[None]
        elif key.startswith("synthesis.") and "resample" not in key:
            side, layer, *rest = key.removeprefix("synthesis.b").split(".")
            i = int(np.log2(int(side))) - 3
            name = f"to_rgbs.{i}" if layer == "torgb" else f"convs.{2 * i + int(layer[-1])}"
            if side == "4":
                name = "to_rgb1" if layer == "torgb" else "conv1"
            kind = ".".join(rest)
            if kind == "noise_const":
                g[f"noises.noise_{2 * i + 1 + int(layer[-1])}"] = value[None, None]
            elif kind == "weight":
                g[f"{name}.conv.weight"] = value[None]
            elif kind == "noise_strength":
                g[f"{name}.noise.weight"] = value[None]
            elif kind == "bias":
                g[f"{name}.bias" if layer == "torgb" else f"{name}.activate.bias"] = (
                    value[None, :, None, None] if layer == "torgb" else value
                )
            else:
                g[f"{name}.conv.{kind.replace('affine', 'modulation')}"] = value
    d: Tensors = {}
    blocks = len(game.discriminator.blocks)
    for key, value in critic.items():
        side, layer, kind = key.split(".")
        i = blocks + 3 - int(np.log2(int(side[1:])))
        slot = 0 if kind == "weight" else 1
        names = {"fromrgb": f"convs.0.{slot}", "conv0": f"convs.{i}.conv1.{slot}", "skip": f"convs.{i}.skip.1"}
        names |= {"conv1": f"convs.{i}.conv2.{slot + 1}", "conv": f"final_conv.{slot}"}
        names |= {"fc": "final_linear.0", "out": "final_linear.1"}
        d[f"{names[layer]}.{kind}"] = value
    tree: dict[str, Any] = {"g": g, "g_ema": g, "d": d, "args": None}
    return unwrapped(Path("made.pt"), tree | ({"latent_avg": generator["mapping.w_avg"]} if center else {}))


def made(**arguments: Any) -> StyleGAN2:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"latent": 9, "style": 7, "mapping_layers": 2, "discriminator_layers": 2, "group": 2}
    if not arguments.get("classes"):
        sizes["discriminator_layers"] = 8  # of no label: nothing in a file says how many
    game = StyleGAN2(**{**sizes, "size": 16, "widths": [6, 5, 4], **arguments}).eval()
    with torch.no_grad():
        for network in (game.generator, game.discriminator):
            for value in network.state_dict().values():
                value.add_(torch.randn_like(value) * 0.1)
    return game


CHECKED = [
    *("size", "channels", "latent", "style", "classes", "widths", "architecture", "mapping_layers", "mapping_width"),
    *("mapping_embedding", "mapping_rate", "clamp", "discriminator_widths", "discriminator_architecture", "group"),
    *("statistics", "discriminator_clamp", "discriminator_layers", "discriminator_embedding"),
]


def same(found: Converted, game: StyleGAN2) -> None:
    """The conversion is the game again, to the bit but for a 1 taken off and added."""
    for name in CHECKED:
        assert found.arguments[name] == game.arguments[name], name
    again: Any = ganzoo.create("stylegan2", **found.arguments)
    assert found.players is not None
    assert {k: v.shape for k, v in found.players.items()} == {k: v.shape for k, v in again.player_tensors().items()}
    for key, value in game.inference_tensors().items():
        assert torch.allclose(found.inference[key], value, atol=1e-6), key
    for key, value in game.player_tensors().items():
        assert torch.allclose(found.players[key], value, atol=1e-6), key


CONFIGURATIONS: list[dict[str, Any]] = [
    {"architecture": "resnet", "discriminator_architecture": "skip", "channels": 1, "group": 4},
    {"architecture": "orig", "classes": 3, "discriminator_widths": [8, 5, 3], "mapping_embedding": 4},
    {"size": 32, "widths": [6, 5, 4, 3], "classes": 2, "clamp": 256.0, "discriminator_clamp": 256.0, "statistics": 2},
    {"mapping_width": 11, "mapping_rate": 0.02, "discriminator_architecture": "orig", "classes": 1, "group": None},
    {"discriminator_embedding": 10, "classes": 4, "statistics": 0, "size": 8, "widths": [5, 6], "mapping_layers": 1},
]


@pytest.mark.parametrize("arguments", CONFIGURATIONS)
def test_other_configurations_of_nvidias_pickles(arguments: dict[str, Any], tmp_path: Path) -> None:
    game = made(**arguments)
    generator, critic = nvidia(game)
    kwargs = {"synthesis_kwargs": {"conv_clamp": game.arguments["clamp"], "num_fp16_res": 4}}
    inner = {"lr_multiplier": game.arguments["mapping_rate"]}
    seen: dict[str, Any] = {"epilogue_kwargs": {"mbstd_group_size": game.arguments["group"]}, "mapping_kwargs": inner}
    networks = {
        "G": ("Generator", {**kwargs, "mapping_kwargs": inner}, generator),
        "D": ("Discriminator", {**seen, "conv_clamp": game.arguments["discriminator_clamp"]}, critic),
        "G_ema": ("Generator", {**kwargs, "mapping_kwargs": inner}, generator),
    }
    write_nvidia(tmp_path / "made.pkl", networks, augment_pipe=None)
    contents = open_file(tmp_path / "made.pkl")
    layout = recognise(contents)
    assert layout.name == "NVIDIA StyleGAN2 (PyTorch)"
    same(layout.convert(contents), game)


TENSORFLOW: list[dict[str, Any]] = [
    {"architecture": "skip", "mapping_width": 5},
    {"architecture": "resnet", "discriminator_architecture": "skip", "classes": 3},
    {"architecture": "orig", "discriminator_architecture": "orig", "size": 32, "widths": [6, 5, 4, 3]},
]


@pytest.mark.parametrize("arguments", TENSORFLOW)
def test_other_configurations_of_tensorflows_pickles(arguments: dict[str, Any]) -> None:
    game = made(**arguments)
    contents = tensorflow(game)
    assert recognise(contents).name == "NVIDIA StyleGAN2 (TensorFlow)"
    same(recognise(contents).convert(contents), game)


def test_networks_that_grew() -> None:
    game = made(architecture="orig", discriminator_architecture="orig")
    contents = tensorflow(game, grown=True)
    same(recognise(contents).convert(contents), game)
    contents.networks[0].variables["lod"] = np.full((), 1.5, np.float32)
    with pytest.raises(BadCheckpoint, match=r"is still growing \(lod is 1.5\)"):
        recognise(contents).convert(contents)


def test_rosinalitys_files() -> None:
    game = made(size=32, widths=[6, 5, 4, 3], discriminator_widths=[7, 5, 4, 3], group=4)
    contents = rosinality(game)
    assert recognise(contents).name == "rosinality StyleGAN2"
    same(recognise(contents).convert(contents), game)
    # Without its mean of w, the mean over many latents
    bare = recognise(contents).convert(rosinality(game, center=False))
    w = game.map(torch.from_numpy(np.random.RandomState(5).randn(20_000, 9)).float())[:, 0]
    assert torch.allclose(bare.inference["generator.mapping.mean"], w.mean(0), atol=4 * float(w.std()) / 100)


def test_a_discriminators_multiplier_is_brought_to_the_generators() -> None:
    game = made(classes=3)
    contents = tensorflow(game)
    contents.networks[1].arguments["mapping_lrmul"] = 0.1
    found = recognise(contents).convert(contents)
    assert found.players is not None
    key = "discriminator.mapping.layers.1.bias"
    assert torch.allclose(found.players[key], game.player_tensors()[key] * 10)


# ------------------------------------------------------------------------------------------- files that lie


def altered(change: str) -> Contents:
    contents = tensorflow(made())
    variables, arguments = contents.networks[0].variables, contents.networks[0].arguments
    if change == "missing":
        del variables["synthesis/8x8/Conv1/mod_bias"]
    elif change == "over":
        variables["synthesis/8x8/Conv2/weight"] = np.zeros((3, 3, 5, 5), np.float32)
    elif change == "shape":
        variables["synthesis/8x8/Conv1/bias"] = np.zeros(9, np.float32)
    elif change == "gap":
        for name in [name for name in variables if "/8x8/" in name]:
            del variables[name]
    elif change == "activation":
        arguments["nonlinearity"] = "relu"
    elif change == "filter":
        arguments["resample_kernel"] = [1, 2, 1]
    elif change == "multiplier":
        arguments["mapping_lrmul"] = "fast"
    elif change == "bound":
        arguments["conv_clamp"] = [1]
    elif change == "noise":
        variables["synthesis/noise99999999999"] = np.zeros((1, 1, 4, 4), np.float32)
    elif change == "label":
        variables["mapping/LabelConcat/weight"] = np.zeros((3, 9), np.float32)
    elif change == "sizes":
        other = tensorflow(made(channels=1)).networks[0]
        contents = Contents(contents.path, "tensorflow", None, networks=(*tensorflow(made()).networks[:2], other))
    return contents


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("missing", "lacks 'synthesis.b8.conv1.affine.bias'"),
        ("over", "does not know: 'synthesis/8x8/Conv2/weight'"),
        ("shape", r"'synthesis.b8.conv1.bias' is \[9\]; expected \[5\]"),
        ("gap", r"has layers for \[4, 16\] pixels"),
        ("activation", "has the nonlinearity 'relu'; expected lrelu"),
        ("filter", "has the filter list; expected"),
        ("multiplier", "has the learning-rate multiplier 'fast'"),
        ("bound", "has the bound list; a number above 0"),
        ("noise", "does not know: 'synthesis/noise99999999999'"),
        ("label", "z and the label are normalised together"),
        ("sizes", "has a live generator of another architecture"),
    ],
)
def test_what_does_not_fit_is_named(change: str, said: str) -> None:
    contents = altered(change)
    with pytest.raises(BadCheckpoint, match=said) as error:
        recognise(contents).convert(contents)
    assert str(error.value).startswith("made.pkl: ") and "\n" not in str(error.value)


def test_another_filter_is_refused(tmp_path: Path) -> None:
    generator, _ = nvidia(made())
    generator["synthesis.b4.resample_filter"] = torch.full((4, 4), 1 / 16)
    write_nvidia(tmp_path / "made.pkl", {"G_ema": ("Generator", {}, generator)})
    contents = open_file(tmp_path / "made.pkl")
    with pytest.raises(BadCheckpoint, match="has another filter"):
        recognise(contents).convert(contents)


def test_a_generator_alone_has_no_players(tmp_path: Path) -> None:
    game = made()
    write_nvidia(tmp_path / "made.pkl", {"G_ema": ("Generator", {}, nvidia(game)[0])})
    contents = open_file(tmp_path / "made.pkl")
    found = recognise(contents).convert(contents)
    assert found.players is None and found.arguments["widths"] == [6, 5, 4]
