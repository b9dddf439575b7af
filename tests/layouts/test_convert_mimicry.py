"""mimicry's SNGAN, SSGAN, InfoMax-GAN, cGAN-PD and SAGAN: parity, both files, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from parity_files import answers, distance, fixture
from torch import Tensor

import ganzoo
from ganzoo.layouts import open_file, recognise
from ganzoo.nn.spectral import Normalized
from ganzoo.types import BadCheckpoint
from ganzoo.zoo.converting import convert

LIMIT = 1e-4  # of the fixtures' README


def whole(generator: Path, discriminator: Path, family: str | None = None) -> Any:
    """Both files as one game."""
    contents = open_file(generator)
    layout = recognise(contents, family)
    assert layout.join is not None
    made = layout.join(open_file(discriminator), layout.convert(contents))
    assert made.players is not None and made.inference.keys() <= made.players.keys()
    with torch.device("meta"):
        game: Any = ganzoo.create(made.family, **made.arguments)
    for name in ("generator", "discriminator"):
        own = {k.removeprefix(f"{name}."): v for k, v in made.players.items() if k.startswith(f"{name}.")}
        getattr(game, name).load_state_dict(own, assign=True)
    return game.eval()


@pytest.mark.parametrize("family", ["sngan", "ssgan", "cgan_pd", "sagan"])
def test_parity_with_the_authors_code(family: str, tmp_path: Path) -> None:
    arrays, _ = answers(f"mimicry.{family}_32")
    file = fixture(f"mimicry.{family}_32.pth")
    given = [torch.from_numpy(arrays[key]) for key in ("z", "y") if key in arrays]
    convert(file, family, to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model")
    with torch.no_grad():
        assert distance(game.averaged(*given), arrays["img"]) < LIMIT
    game = whole(file, fixture(f"mimicry.{family}_32.pth.D.pth"))
    with torch.no_grad():
        assert distance(game.generator(*given), arrays["img"]) < LIMIT
        scores = game.discriminator(torch.from_numpy(arrays["img"]), *given[1:])
    if family == "ssgan":
        assert distance(scores[1], arrays["d_out1"]) < LIMIT
    scores = scores[0] if isinstance(scores, tuple) else scores
    assert distance(scores[:, None], arrays["d_out" if "d_out" in arrays else "d_out0"]) < LIMIT


# Files as mimicry writes them, from our own networks: names and layouts read backwards


def theirs(network: Any, suffix: str = "_orig", start: int = 2) -> dict[str, Tensor]:
    """A network's tensors under mimicry's names, spectral norms in torch's layout, or (`suffix=""`) in its own."""
    made: dict[str, Tensor] = {}
    normalized = {name for name, module in network.named_modules() if isinstance(module, Normalized)}
    count = len(network.blocks)
    heads = {"linear": "l1", "conv": f"c{count + 2}", "norm": f"b{count + 2}", "first": "block1", "score": "l5"}
    heads |= {"rotation": "l_y"}
    inner = {"conv1": "c1", "conv2": "c2", "shortcut": "c_sc", "norm1": "b1", "norm2": "b2", "projection": "l_y"}
    inner |= {"attention": "attn_block", "query": "theta", "key": "phi", "value": "g", "out": "o"}
    for name, value in network.state_dict().items():
        *path, last = name.split(".")
        layer = ".".join(path)
        if path[-2:] and path[-1] == "gain":
            continue
        if len(path) > 1 and path[-1] == "bias":
            table = torch.cat([network.get_parameter(name.replace("bias.weight", "gain.weight")), value], 1)
            path, last, value = [*path[:-1], "embed"], "weight", table
        if path[0] == "blocks":
            path = [f"block{int(path[1]) + start}", *path[2:]]
        path = [heads.get(p, p) if i == 0 else "bn" if p == "norm" else inner.get(p, p) for i, p in enumerate(path)]
        path = [inner.get(p, p) for p in path]
        if hasattr(network, "local_projection"):
            path = informed(path, count)
        if layer in normalized and last != "bias":
            if suffix:
                last = {"weight": "weight_orig", "u": "weight_u", "v": "weight_v"}[last]
            elif last == "v":
                last, value = "sn_sigma", torch.ones(1)
            else:
                last, value = ("sn_u", value[None]) if last == "u" else (last, value)
        made[".".join([*path, last])] = value
    return made


def informed(path: list[str], count: int) -> list[str]:
    """A layer's name in InfoMax-GAN's discriminator, from SNGAN's with so many blocks after the first."""
    if path[0].endswith("_projection"):
        part = {"hidden": "a", "o": "b", "c_sc": "sc"}[path[1]]
        return [f"{path[0].removesuffix('_projection')}_nrkhs_{part}"]
    if path[0] == "l5":
        return ["linear"]
    k = int(path[0].removeprefix("block")) - 1
    return ["global_feat_blocks.0" if k == count else f"local_feat_blocks.{k}", *path[1:]]


def files(tmp_path: Path, name: str, suffix: str = "_orig", **arguments: Any) -> tuple[Any, Path, Path]:
    """A game and its two files."""
    torch.manual_seed(0)
    sizes = {"latent": 5, "widths": [8] * 4, "discriminator_widths": [8] * 4, "downsamplings": 2, "size": 32}
    variant = {} if name == "infomax_gan" else {"variant": "mimicry"}
    game: Any = ganzoo.create(name, **{**sizes, **variant, **arguments})
    with torch.no_grad():
        for value in game.state_dict().values():
            if value.is_floating_point() and value.dim() < 2:
                value.add_(torch.rand_like(value) * 0.2)
    g, d = tmp_path / "g.pth", tmp_path / "d.pth"
    torch.save({"model_state_dict": theirs(game.generator), "optimizer_state_dict": None, "global_step": 7}, g)
    torch.save({"model_state_dict": theirs(game.discriminator, suffix), "optimizer_state_dict": None}, d)
    return game.eval(), g, d


SAGAN = {"classes": 3, "attention": 16, "discriminator_attention": 8, "wide": False}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("sngan", {}),
        ("sngan", {"discriminator_widths": [6] * 4, "channels": 1}),
        ("ssgan", {}),
        ("ssgan", {"discriminator_widths": [6] * 4, "channels": 1}),
        ("infomax_gan", {"space": 7}),
        ("infomax_gan", {"space": 4, "discriminator_widths": [6] * 4, "channels": 1}),
        ("cgan_pd", {"classes": 3}),
        ("sagan", SAGAN),
    ],
)
def test_both_files_come_back_as_they_were(name: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    game, g, d = files(tmp_path, name, **arguments)
    again = whole(g, d)
    assert type(again) is type(game) and again.arguments == game.arguments
    state = game.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in again.state_dict().items())
    made = recognise(open_file(g)).convert(open_file(g))
    assert made.facts["steps"] == 7 and made.players is None


def test_mimicrys_own_normalization_takes_its_step_once(tmp_path: Path) -> None:
    game, g, d = files(tmp_path, "cgan_pd", suffix="", classes=3)
    again = whole(g, d)
    for module in game.discriminator.modules():
        if isinstance(module, Normalized):
            module.refine = True  # as its layers do in evaluation
    x, y = torch.randn(3, 3, 32, 32), torch.tensor([0, 2, 1])
    with torch.no_grad():
        assert torch.allclose(again.discriminator(x, y), game.discriminator(x, y), atol=1e-5)


def test_a_bare_state_dict_is_read_too(tmp_path: Path) -> None:
    game, g, _ = files(tmp_path, "sngan")
    torch.save(theirs(game.generator), g)
    made = recognise(open_file(g)).convert(open_file(g))
    assert made.family == "sngan" and "steps" not in made.facts


def damaged(path: Path, change: Any) -> Path:
    tree = torch.load(path, weights_only=True)
    change(tree["model_state_dict"])
    torch.save(tree, path)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("block3.c2.weight"), "generator lacks 'block3.c2.weight'"),
        (lambda t: t.update(extra=torch.zeros(1)), "tensors that this layout does not know: 'extra'"),
        (lambda t: t.update({"block3.c1.weight": torch.zeros(8)}), r"'block3.c1.weight' of shape \[8\]"),
        (lambda t: t.update({"l1.weight": torch.zeros(120, 5), "l1.bias": torch.zeros(120)}), "projects to 120 units"),
        (lambda t: t.update({"l1.weight": torch.zeros(8 * 25, 5), "l1.bias": torch.zeros(200)}), "images of 40 pixels"),
        (lambda t: t.update({"block2.b1.running_var": torch.zeros(9)}), r"is \[9\]; expected \[8\]"),
    ],
)
def test_what_is_wrong_with_a_generator_is_said(change: Any, said: str, tmp_path: Path) -> None:
    _, g, _ = files(tmp_path, "sngan")
    contents = open_file(damaged(g, change))
    with pytest.raises(BadCheckpoint, match=said):
        recognise(contents).convert(contents)


def test_a_file_that_holds_more_is_refused(tmp_path: Path) -> None:
    _, g, _ = files(tmp_path, "sngan")
    torch.save(torch.load(g, weights_only=True) | {"netE": {"weight": torch.zeros(1)}}, g)
    contents = open_file(g)
    with pytest.raises(BadCheckpoint, match="'model_state_dict' and 'netE'; expected one network of mimicry alone"):
        recognise(contents).convert(contents)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("block4.c1.weight_u"), "discriminator lacks 'block4.c1.weight_u'"),
        (lambda t: t.update({"l_y.weight_orig": torch.zeros(4, 8)}), "lacks 'l_y.weight_u'"),  # half of an SSGAN's
        (lambda t: t.update({"block5.c1.weight_orig": torch.zeros(8, 8, 3, 3)}), "has 5 blocks; mimicry has 4"),
        (lambda t: t.update({"block1.c1.weight_orig": torch.zeros(8, 1, 3, 3)}), r"\[8, 3, 1, 1\]|\[27\]"),
        (lambda t: t.update({"l1.weight": torch.zeros(8, 5)}), "is a generator"),
    ],
)
def test_what_is_wrong_with_a_discriminator_is_said(change: Any, said: str, tmp_path: Path) -> None:
    _, g, d = files(tmp_path, "sngan")
    damaged(d, change)
    with pytest.raises(BadCheckpoint, match=said):
        whole(g, d)


@pytest.mark.parametrize("other", ["wgan_gp_32", "dcgan_32"])
def test_discriminators_of_its_other_models_are_not_sngans(other: str) -> None:
    with pytest.raises(BadCheckpoint, match="not under spectral normalization"):
        whole(fixture(f"mimicry.{other}.pth"), fixture(f"mimicry.{other}.pth.D.pth"))


@pytest.mark.parametrize("name", ["ssgan", "infomax_gan"])
def test_the_discriminator_says_whose_a_generator_is_that_three_families_share(name: str, tmp_path: Path) -> None:
    _, g, d = files(tmp_path, name)
    assert recognise(open_file(g)).family == "sngan" and recognise(open_file(g), name).family == name
    convert(g, to=tmp_path / "model", more=[d], pictures=False)
    loaded: Any = ganzoo.load(tmp_path / "model", players=True)
    assert loaded.card.family == name
    convert(g, name, to=tmp_path / "alone", pictures=False)
    alone: Any = ganzoo.load(tmp_path / "alone")
    assert alone.card.family == name and torch.equal(alone.sample(1), loaded.sample(1))
    with pytest.raises(BadCheckpoint, match=f"is of the family {name}; expected one of sngan"):
        convert(g, "sngan", to=tmp_path / "model", more=[d])
    other = {"ssgan": "infomax_gan", "infomax_gan": "ssgan"}[name]
    with pytest.raises(BadCheckpoint, match=r"is the discriminator of mimicry .*; expected that of mimicry"):
        convert(g, other, to=tmp_path / "model", more=[d])


def test_a_discriminator_alone_is_no_model(tmp_path: Path) -> None:
    _, _, d = files(tmp_path, "sngan")
    with pytest.raises(BadCheckpoint):
        recognise(open_file(d))
