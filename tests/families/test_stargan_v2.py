"""StarGAN v2: parity, its losses, who learns when, styles by seed and by reference, and bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import Noise, close, fit, pictures, stirred, tensors, tiny
from parity_files import answers, distance, fixture

import ganzoo
from ganzoo.cli import main
from ganzoo.folder import write_model
from ganzoo.media.images import to_pil
from ganzoo.metrics.evaluate import measure
from ganzoo.metrics.functional.pairs import diversity
from ganzoo.training.scores import subject_of
from ganzoo.types import BadArgument, BadCheckpoint, Batch, Condition
from ganzoo.zoo.converting import convert


def test_parity_of_all_networks(tmp_path: Path) -> None:
    arrays, _ = answers("stargan_v2.afhq_like")
    more = [fixture("stargan_v2.afhq_like.ckpt.nets.pth")]
    convert(fixture("stargan_v2.afhq_like.ckpt"), to=tmp_path / "model", more=more, pictures=False)
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    assert game.shape == (3, 64, 64) and game.classes == 3
    x, reference, y, z = (torch.from_numpy(arrays[key]) for key in ("x", "ref", "y", "z"))
    mapping, encoder = (game.average_module(name) for name in ("mapping_network", "style_encoder"))
    with torch.no_grad():
        for found, wanted in (
            (mapping.all(z), "s_latent_all"),
            (encoder.all(reference), "s_ref_all"),
            (game.averaged(x, mapping(z, y)), "img_latent"),
            (game.averaged(x, encoder(reference, y)), "img_ref"),
            (game.generator(x, game.mapping_network(z, y)), "img_G_latent"),
            (game.discriminator(x, y), "d_out"),
        ):
            assert distance(found, arrays[wanted]) < 1e-4, wanted


def test_a_file_of_live_networks_alone_trains_on(tmp_path: Path) -> None:
    convert(fixture("stargan_v2.afhq_like.ckpt.nets.pth"), to=tmp_path / "model", pictures=False)
    assert ganzoo.load(tmp_path / "model", players=True).networks()[-1] == "discriminator"
    torch.save({"generator": torch.load(fixture("stargan_v2.afhq_like.ckpt"))["generator"]}, tmp_path / "G.ckpt")
    with pytest.raises(BadCheckpoint, match="StarGAN v2's mapping_network is expected beside"):
        convert(tmp_path / "G.ckpt", to=tmp_path / "other")


def test_a_high_pass_brings_the_edges_that_masks_let_through() -> None:
    """Against the 3 x 3 kernel written out, on a generator that makes nothing else of x."""
    game: Any = tiny("stargan_v2", size=64, channels=3, high_pass=2.0)
    plain: Any = tiny("stargan_v2", size=64, channels=3)
    assert game.stride == 2 * plain.stride, "one halving more"
    x, s = pictures(2, (3, 64, 64)), torch.randn(2, 6)
    masks = [torch.rand(2, 1, 64, 64) for _ in range(2)]
    none = [torch.zeros(2, 1, 64, 64)] * 2
    with torch.no_grad():
        assert torch.equal(game.generator(x, s, none), game.generator(x, s))
        assert not close(game.generator(x, s, masks), game.generator(x, s), 1e-3)
        wanted = F.unfold(x, 3, padding=1).unflatten(1, (3, 9)).sum(2).unflatten(2, (64, 64))
        assert close(game.generator.edges(x), (9 * x - wanted) / 2)


def test_the_losses_are_those_of_the_paper() -> None:
    game: Any = stirred(
        tiny("stargan_v2", channels=3, classes=2, diversity=0.7, cycle=2.0, style_weight=3.0, penalty=5.0)
    )
    x, y = pictures(4, (3, 8, 8)), torch.tensor([0, 1, 1, 0])
    data = Batch(x, y)
    torch.manual_seed(0)
    found = game.generator_latent_loss(data)
    torch.manual_seed(0)
    wanted = y[torch.rand(4).argsort()]
    one, other = (game.mapping_network(torch.randn(4, 6), wanted) for _ in range(2))
    fake = game.generator(x, one)
    adversarial = -game.discriminator(fake, wanted).sigmoid().log().mean()
    style = (one - game.style_encoder(fake, wanted)).abs().mean()
    diversity = (fake - game.generator(x, other)).abs().mean()
    cycle = (game.generator(fake, game.style_encoder(x, y)) - x).abs().mean()
    assert close(found, adversarial + 3 * style - 0.7 * diversity + 2 * cycle)
    game.images_seen = 200_000
    torch.manual_seed(0)
    assert close(found - game.generator_latent_loss(data), -0.25 * 0.7 * diversity), "a quarter of the way to 0"
    game.images_seen = 10**9
    torch.manual_seed(0)
    assert close(game.generator_latent_loss(data), adversarial + 3 * style + 2 * cycle)

    torch.manual_seed(0)
    found = game.discriminator_latent_loss(data)
    real = x.clone().requires_grad_()
    scores = game.discriminator(real, y)
    (slope,) = torch.autograd.grad(scores.sum(), real)
    aim = -scores.sigmoid().log().mean() - (1 - game.discriminator(fake, wanted).sigmoid()).log().mean()
    assert close(found, aim + 5 * 0.5 * slope.square().sum((1, 2, 3)).mean())


def test_references_are_two_others_of_the_wanted_domain() -> None:
    game: Any = tiny("stargan_v2", classes=2)
    x, y = pictures(5, (1, 8, 8)), torch.tensor([0, 1, 1, 0, 0])
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def encode(images: torch.Tensor, domains: torch.Tensor) -> torch.Tensor:
        seen.append((images, domains))
        return torch.zeros(len(images), 6)

    for _ in range(20):
        seen.clear()
        wanted, *_ = game.reference_styles(Batch(x, y), encode)
        places = [[int((x == image).flatten(1).all(1).nonzero()[0, 0]) for image in images] for images, _ in seen]
        assert all(torch.equal(y[at], wanted) for at in places) and sorted(places[0]) == list(range(5))
        assert all(a != b for a, b in zip(*places, strict=True)), "there are two of each domain"
    wanted, *_ = game.reference_styles(Batch(x[:2], y[:2]), encode)
    assert torch.equal(seen[-1][0], seen[-2][0]), "one that is alone is both"


def test_by_references_the_generator_alone_learns() -> None:
    game: Any = tiny("stargan_v2", classes=2)
    data = Batch(pictures(4, (1, 8, 8)), torch.tensor([0, 1, 0, 1]))
    game.generator_reference_loss(data).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in game.generator.decode[0].conv1.parameters())
    assert all(
        p.grad is None for name in ("style_encoder", "mapping_network") for p in getattr(game, name).parameters()
    )
    game.generator_latent_loss(data).backward()
    assert all(
        p.grad is not None for name in ("style_encoder", "mapping_network") for p in getattr(game, name).parameters()
    )


def test_the_mapping_network_has_its_own_rate_and_three_averages() -> None:
    game: Any = tiny("stargan_v2", classes=2, lr=1e-2, mapping_lr=0.0, weight_decay=0.0)
    before = tensors(game)
    fit(game, 3)
    after = tensors(game)
    moved = {n for n, value in before.items() if not torch.equal(value, after[n])}
    assert not any(n.startswith("mapping_network.") for n in moved)
    assert {n.split(".")[0] for n in moved} == {"generator", "style_encoder", "discriminator"}
    assert set(game._averages) == {"generator", "mapping_network", "style_encoder"}
    assert game.global_step == 3 and game.latest["diversity"] > 0


def test_styles_by_seed_and_by_reference() -> None:
    game: Any = stirred(tiny("stargan_v2", classes=2, names=["cat", "dog"]))
    x, others = pictures(3, (1, 8, 8)), pictures(3, (1, 8, 8), 10)
    by_seed = game.translate(x, to="dog", seed=5)
    assert close(game.translate(x[1:2], to="dog", seed=6), by_seed[1:2], 1e-4)
    assert not close(game.translate(x, to="dog", seed=7), by_seed, 1e-4)
    condition = Condition(reference=others)
    guided = game.translate(x, to=["dog", "cat", "dog"], condition=condition)
    assert close(game.translate(x[1:2], to="cat", condition=condition.part(1, 2)), guided[1:2], 1e-4)
    assert not close(guided, game.translate(x, to=["dog", "cat", "dog"]), 1e-4)
    assert torch.equal(guided, game.translate(x, to=["dog", "cat", "dog"], seed=9, condition=condition))
    for given, said in (
        (Condition(reference=others[:2]), "condition has 2 rows for 3 images"),
        (Condition(reference=others[:, :, :4]), r"references are \(1, 4, 8\); \(1, 8, 8\)"),
    ):
        with pytest.raises(BadArgument, match=said):
            game.translate(x, to="dog", condition=given)
    with pytest.raises(BadArgument, match="CUT translates by the image alone"):
        tiny("cut").translate(x, condition=condition)


def test_diversity_is_the_distance_of_styles_of_one_picture() -> None:
    rows = torch.randn(6, 4)
    each = [torch.cdist(part, part).sum() / 6 for part in rows.split(3)]
    assert abs(diversity(rows, styles=3).value - float(sum(each)) / 2) < 1e-5
    game: Any = stirred(tiny("stargan_v2", classes=2))
    data = Noise((1, 8, 8), classes=2)
    (found,) = measure(subject_of(game), data, ["diversity60_digits_cnn_test"])
    assert found.floor is not None and found.floor > found.value > 0, "noise differs more"
    seen: list[tuple[torch.Tensor, Any, int]] = []

    def translate(x: torch.Tensor, *, to: Any, seed: int, **more: Any) -> torch.Tensor:
        seen.append((x, to, seed))
        return x

    (same,) = measure(replace(subject_of(game), translate=translate), data, ["diversity60_digits_cnn_test"])
    assert abs(same.value) < 1e-4, "no styles"
    x, to = torch.cat([s[0] for s in seen]), [domain for s in seen for domain in s[1]]
    assert torch.equal(x[:10], x[:1].expand(10, -1, -1, -1)) and not torch.equal(x[0], x[10])
    assert to == ["class-0"] * 10 + ["class-1"] * 10 + ["class-0"] * 10 + ["class-1"] * 10 + to[40:] and len(x) == 60
    with pytest.raises(BadArgument, match="translates a picture in one way alone"):
        measure(subject_of(tiny("stargan", classes=2)), data, ["diversity60_digits_cnn_test"])


def test_the_pictures_are_a_grid_of_references() -> None:
    game: Any = tiny("stargan_v2", classes=2)
    shown = game.pictures(Noise((1, 8, 8), classes=2).open("test"))
    assert shown["references"].shape == (5, 7, 1, 8, 8) and shown["styles"].shape == (4, 7, 1, 8, 8)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": 12}, "size is 12; a power of 2"),
        ({"size": 4}, "size is 4"),
        ({"names": ["a"]}, "1 names for 2 domains"),
    ],
)
def test_wrong_arguments(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        tiny("stargan_v2", **{"classes": 2, **given})


def test_the_command_takes_a_reference_and_a_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    game: Any = stirred(tiny("stargan_v2", channels=3, classes=2))
    write_model(game, Path("model"), {"name": "toy"})
    for i, picture in enumerate(to_pil(pictures(2, (3, 8, 8)))):
        picture.save(f"{i}.png")
    words = ["translate", "model", "0.png", "--device", "cpu", "--to", "class-1"]
    for out, more in (("a", []), ("b", ["--seed", "3"]), ("c", ["--reference", "1.png"])):
        assert main([*words, "--out", out, *more]) == 0
    assert len({Path(f"{out}/0.png").read_bytes() for out in "abc"}) == 3
    write_model(tiny("cut", channels=3), Path("plain"), {"name": "toy"})
    for model, more, said in (
        ("plain", ["--reference", "1.png"], "CUT translates by the picture alone"),
        ("model", ["--reference", "none.png"], "--reference none.png: it is no file"),
        ("model", ["--seed", "-1"], "--seed is -1"),
    ):
        assert main(["translate", model, "0.png", "--device", "cpu", *more]) == 2
        assert said in capsys.readouterr().err
