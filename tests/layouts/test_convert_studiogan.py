"""StudioGAN's networks: parity with the authors' code, generators alone, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from parity_files import answers, distance, fixture

import ganzoo
from ganzoo.layouts import open_file, recognise
from ganzoo.types import BadCheckpoint

LIMIT = 1e-4  # of the fixtures' README
FILES = {
    "studiogan.sngan_resnet32": "cgan_pd",
    "studiogan.sagan_resnet32": "sagan",
    "studiogan.wgan_gp_resnet32": "wgan_gp",
    "studiogan.dcgan_deep_conv32": "dcgan",
}


def converted(name: str, part: str, folder: Path, *more: str, family: str | None = None) -> Any:
    files = [fixture(f"{name}.pth{suffix}") for suffix in (part, *more)]
    ganzoo.convert(files[0], family, to=folder / "model", more=files[1:], pictures=False)
    return ganzoo.load(folder / "model", players=bool(more))


@pytest.mark.parametrize("name", FILES)
def test_parity_with_the_authors_code(name: str, tmp_path: Path) -> None:
    arrays, meta = answers(name)
    given = {key: torch.from_numpy(value) for key, value in arrays.items()}
    labels = [given["y"]] if meta["g_cond_mtd"] == "cBN" else []
    for part, answer in (("", "img"), (".G.pth", "img_G")):
        game = converted(name, part, tmp_path / f"alone{part}")
        with torch.no_grad():
            assert distance(game.averaged(given["z"], *labels), given[answer]) < LIMIT
            if not part:
                assert distance(game.averaged.train()(given["z"], *labels), given["img_batch_stats"]) < LIMIT
    game = converted(name, "", tmp_path / "both", ".D.pth")
    critic = game.critic if FILES[name] == "wgan_gp" else game.discriminator
    assert game.card.facts["family"] == FILES[name]
    with torch.no_grad():
        assert distance(critic.eval()(given["x"], *labels), given["d_out"]) < LIMIT
        assert distance(critic.train()(given["x"], *labels), given["d_out_train"]) < LIMIT


def test_a_generator_without_classes_is_whose_it_is_asked_for(tmp_path: Path) -> None:
    name = "studiogan.wgan_gp_resnet32"
    arrays, _ = answers(name)
    z = torch.from_numpy(arrays["z"])
    for family, asked in (("sngan", None), ("sngan", "sngan"), ("wgan_gp", "wgan-gp")):
        game = converted(name, "", tmp_path / f"{family}{asked}", family=asked)
        with torch.no_grad():
            assert game.card.facts["family"] == family and distance(game.averaged(z), arrays["img"]) < LIMIT


def test_a_critic_joins_the_generator_that_was_asked_for(tmp_path: Path) -> None:
    name = "studiogan.wgan_gp_resnet32"
    arrays, _ = answers(name)
    game = converted(name, "", tmp_path, ".D.pth", family="wgan-gp")
    with torch.no_grad():
        assert distance(game.critic.eval()(torch.from_numpy(arrays["x"])), arrays["d_out"]) < LIMIT


def test_acgans_discriminator_names_classes_beside_the_source(tmp_path: Path) -> None:
    """WGAN-GP's with one more layer (models/resnet.py); its weights are multiples of the other's, and so its logits."""
    (generated, _), (judged, _) = answers("studiogan.sngan_resnet32"), answers("studiogan.wgan_gp_resnet32")
    tree = torch.load(fixture("studiogan.wgan_gp_resnet32.pth.D.pth"), weights_only=True)
    state = tree["state_dict"]
    times = torch.arange(1.0, 6.0)[:, None]  # five classes
    state["linear2.weight"] = times * state["linear1.weight"]
    torch.save(tree, tmp_path / "D.pth")
    for asked in (None, "acgan"):
        folder = tmp_path / str(asked)
        ganzoo.convert(fixture("studiogan.sngan_resnet32.pth"), asked, to=folder, more=[tmp_path / "D.pth"])
        game: Any = ganzoo.load(folder, players=True)
        assert game.card.facts["family"] == "acgan"
        z, y, x = (torch.from_numpy(arrays[key]) for arrays, key in ((generated, "z"), (generated, "y"), (judged, "x")))
        with torch.no_grad():
            source, classes = game.discriminator.eval()(x)
            assert distance(game.averaged(z, y), generated["img"]) < LIMIT
        assert distance(source, judged["d_out"]) < LIMIT
        theirs = times.T * (torch.from_numpy(judged["d_out"])[:, None] - state["linear1.bias"])
        assert distance(classes, theirs) < LIMIT


def test_what_does_not_belong_is_refused(tmp_path: Path) -> None:
    def refusal(generator: str, discriminator: str, family: str | None = None) -> str:
        contents, other = (open_file(fixture(f"studiogan.{name}")) for name in (generator, discriminator))
        layout = recognise(contents, family)
        assert layout.join is not None
        with pytest.raises(BadCheckpoint) as caught:
            layout.join(other, layout.convert(contents))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "is a generator" in refusal("sngan_resnet32.pth", "sngan_resnet32.pth.G.pth")
    assert "is not under spectral normalization" in refusal("sngan_resnet32.pth", "wgan_gp_resnet32.pth.D.pth")
    assert "[6, 16]; expected [5, 16]" in refusal("sngan_resnet32.pth", "sagan_resnet32.pth.D.pth")
    assert "is under spectral normalization" in refusal("sngan_resnet32.pth", "sngan_resnet32.pth.D.pth", "acgan")
    assert "does not know: 'embedding.weight_" in refusal("wgan_gp_resnet32.pth", "sngan_resnet32.pth.D.pth")
    state = torch.load(fixture("studiogan.sagan_resnet32.pth"), weights_only=True)["state_dict"]
    for change, says in (
        ({"blocks.0.0.bn1.gain.weight_v": torch.ones(5)}, r"\[5\]; expected \[6\]"),
        ({"blocks.0.0.sigma": torch.ones(1)}, "several of self-attention"),
        ({"blocks.2.0.sigma": torch.ones(2)}, "expected one number"),
        ({"conv2d9.weight": torch.ones(2)}, "does not know: 'conv2d9.weight'"),
    ):
        torch.save({"state_dict": {**state, **change}}, tmp_path / "changed.pth")
        contents = open_file(tmp_path / "changed.pth")
        with pytest.raises(BadCheckpoint, match=says):
            recognise(contents).convert(contents)
