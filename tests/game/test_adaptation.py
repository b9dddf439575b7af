"""`adapt`: what it changes in a loss, short runs of three families each, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import close, data_for, fit, make, same, tensors, tiny

import ganzoo
from ganzoo.cli import main
from ganzoo.folder import write_model
from ganzoo.game import registry
from ganzoo.game.adaptation import Adapt, Adaptation
from ganzoo.objectives import limited, penalties
from ganzoo.types import BadArgument

ADVERSARIAL = [name for name in registry.list_families() if "adversarial" in tiny(name).abilities]
OPTIONS: dict[str, dict[str, Any]] = {
    "apa": {"apa": True, "p": 0.5},
    "lecam": {"lecam": 0.1},
    "CR": {"consistency": 1.0},
    "bCR": {"consistency": 1.0, "fake_consistency": 1.0},
    "zCR": {"latent": 1.0, "latent_generator": 0.1},
    "top-k": {"top_k": 0.5},
    "adapters": {"rank": 1},
    "FreezeD": {"freeze_critic": 1},
    "ADA": {"augment": "ada", "p": 0.5},
    "DiffAugment": {"augment": "diff"},
}
THREE = ("dcgan", "cgan_pd", "stylegan2")


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", THREE)
def test_three_families_train_with_each_and_not_as_without(name: str, options: dict[str, Any]) -> None:
    plain, game = tiny(name), tiny(name)
    game.adapt_to(Adapt(**options))
    game.images_seen = plain.images_seen = 5_000_000  # where top-k keeps a half
    fit(plain, 2)
    fit(game, 2)
    found = tensors(game)
    assert all(value.isfinite().all() for value in found.values() if value.is_floating_point())
    assert same(game.player_tensors(), plain.player_tensors())


@pytest.mark.parametrize("options", [{"r1": 1.0}, {"r2": 1.0}])
@pytest.mark.parametrize("name", ["sngan", "wgan_gp", "stylegan2"])
def test_approximate_penalties_train(name: str, options: dict[str, Any]) -> None:
    plain, game = tiny(name), tiny(name)
    game.adapt_to(Adapt(**options))
    fit(plain, 2)
    fit(game, 2)
    assert same(game.player_tensors(), plain.player_tensors())


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_nothing_asked_for_changes_nothing(name: str) -> None:
    plain, game = tiny(name), tiny(name)
    game.adapt_to(Adapt())
    fit(plain, 2)
    fit(game, 2)
    assert not same(tensors(plain), tensors(game))


@pytest.mark.parametrize("name", registry.list_families())
def test_every_family_s_critic_is_shown_what_adapt_says_or_it_is_refused(name: str) -> None:
    """DiffAugment, which needs no scores: what every critic sees is other than without it."""
    plain, game = tiny(name), tiny(name)
    try:
        game.adapt_to(Adapt(augment="diff"))
        fit(game, 3)
    except BadArgument as error:
        assert "\n" not in str(error) and str(error).startswith("adapt.augment"), error
        assert game.augments or game.arguments.get("augment") or len(game.shape) != 3 or name == "ddgan"  # pairs
        return
    fit(plain, 3)
    assert same(game.player_tensors(), plain.player_tensors())


class _Linear:
    """A game whose critic is a fixed linear map, so that every term has a closed form."""

    def __init__(self, **options: Any) -> None:
        torch.manual_seed(3)
        game: Any = tiny("lsgan" if "r1" not in options else "sngan")
        self.game, self.w = game, torch.randn(64)
        game.realness = lambda images, labels: images.flatten(1).float() @ self.w
        game.adapt_to(Adapt(**options))
        self.real, self.fake = torch.randn(6, 1, 8, 8), torch.randn(6, 1, 8, 8)

    def added(self) -> torch.Tensor:
        scores = [self.game.realness(x, None) for x in (self.real, self.fake)]
        torch.manual_seed(7)
        return self.game.regularizers(self.real, self.fake, *scores)


def test_what_is_added_is_the_weighted_sum_of_the_terms() -> None:
    for key, images in (("consistency", "real"), ("fake_consistency", "fake")):
        weights = {"consistency": 3.0 if key == "consistency" else 1e-12, key: 3.0}
        one = _Linear(**weights)
        torch.manual_seed(7)
        if key == "fake_consistency":
            limited.flip_and_shift(one.real)
        x = getattr(one, images)
        wanted = 3 * ((limited.flip_and_shift(x) - x).flatten(1) @ one.w).square().mean()
        assert close(one.added(), wanted, 1e-4)
    one = _Linear(r1=2.0, penalty_noise=0.1)
    torch.manual_seed(7)
    n = torch.randn(one.real.shape)
    assert close(one.added(), (n.flatten(1) @ one.w).square().mean(), 1e-3), "2 · 1/2 (w n)^2"


def test_lecam_s_means_follow_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("dcgan")
    game.adapt_to(Adapt(lecam=2.0))
    state = game.adaptation
    state.remember(torch.tensor([1.0, 3.0]), torch.tensor([-1.0]), lambda means: means)
    assert (float(state.real_mean), float(state.fake_mean)) == (2.0, -1.0), "at first the batch's own"
    state.remember(torch.tensor([12.0]), torch.tensor([9.0]), lambda means: means)
    assert float(state.real_mean) == pytest.approx(2.1) and float(state.fake_mean) == pytest.approx(-0.9)
    state.remember(torch.tensor([float("nan")]), torch.tensor([9.0]), lambda means: means)
    assert float(state.real_mean) == pytest.approx(2.1), "what is not finite is forgotten"
    for _ in range(4):  # slices of a batch move the means as one batch does
        state.remember(torch.tensor([12.1]), torch.tensor([-0.9]), lambda means: means, 1 / 4)
    assert float(state.real_mean) == pytest.approx(2.2)
    fresh = Adaptation(Adapt(lecam=2.0))
    fresh.remember(torch.tensor([float("nan")]), torch.tensor([9.0]), lambda means: means)
    fresh.remember(torch.tensor([10.0]), torch.tensor([9.0]), lambda means: means)
    assert float(fresh.real_mean) == 10, "the first finite ones begin"


def test_apa_replaces_that_share_of_the_real_images() -> None:
    game: Any = tiny("dcgan")
    game.adapt_to(Adapt(apa=True, p=0.25))
    batch = next(iter(data_for(game, 400).train_dataloader()))
    torch.manual_seed(0)
    real = game.real(batch)
    kept = (real == batch.images).flatten(1).all(1)
    assert abs(float(kept.float().mean()) - 0.75) < 5 * (0.25 * 0.75 / 400) ** 0.5
    assert not real.requires_grad


@pytest.mark.parametrize("options", [{"augment": "ada"}, {"apa": True}], ids=["ada", "apa"])
def test_the_probability_rises_where_the_critic_is_sure(options: dict[str, Any]) -> None:
    game: Any = tiny("sngan")
    game.adapt_to(Adapt(**options, images=64))
    with torch.no_grad():
        game.discriminator.score.bias.fill_(1e4)  # real or not, it says real
    game.adams["discriminator"].keywords["lr"] = 0.0
    fit(game, 4)
    assert float(game.adaptation.control.p) == pytest.approx(8 * 4 / 64), "of 8 batches of 4 images"
    assert game.latest["overfitting"] == 1.0


def test_adapters_learn_alone_and_are_merged_where_the_model_is_saved(tmp_path: Path) -> None:
    game: Any = tiny("dcgan", width=16)
    names = set(game.inference_tensors())
    before = {name: value.clone() for name, value in game.inference_tensors().items()}
    game.adapt_to(Adapt(rank=2))
    fit(game, 3)
    found = game.inference_tensors()
    assert set(found) == names and set(game.player_tensors()) >= names
    write_model(game, tmp_path / "m", {})
    again = ganzoo.load(tmp_path / "m", players=True)
    assert close(make(again, 4), make(game, 4))
    adapted = [name.removesuffix(".original") for name, _ in game.named_parameters() if name.endswith(".original")]
    for name in adapted:
        weight = name.replace("parametrizations.", "")
        change = (found[weight] - before[weight]).flatten(1)
        assert min(change.shape) > 2 and torch.linalg.matrix_rank(change, rtol=1e-4) == 2
    assert adapted


def test_adapters_stand_beside_an_average_that_came_with_the_model() -> None:
    game: Any = tiny("stylegan2")
    game.start_averages()
    with torch.no_grad():
        for value in game.averaged.parameters():
            value.add_(0.01)
    before = make(game, 2)
    game.adapt_to(Adapt(rank=1))
    assert close(make(game, 2), before)
    live, average = game.generator.state_dict(), game.averaged.state_dict()
    assert all(torch.equal(live[key], average[key]) for key in live if key.endswith((".up", ".down")))
    fit(game, 2)


def test_a_frozen_weight_gets_no_adapter() -> None:
    game: Any = tiny("dcgan")
    large = [name for name, value in game.generator.named_parameters() if value.dim() > 1][1]
    game.adapt_to(Adapt(rank=1, freeze=(f"generator.{large}",)))
    names = {name for name, _ in game.generator.named_parameters()}
    assert large in names and any(name.endswith(".up") for name in names)
    still = game.generator.get_parameter(large)
    before = still.detach().clone()
    fit(game, 2)
    assert torch.equal(still, before)


@pytest.mark.parametrize("options", [Adapt(freeze=("generator.*",)), Adapt(freeze_critic=1, rank=10_000)])
def test_what_is_refused_changes_nothing(options: Adapt) -> None:
    game: Any = tiny("dcgan")
    with pytest.raises(BadArgument):
        game.adapt_to(options)
    assert all(value.requires_grad for value in (*game.generator.parameters(), *game.discriminator.parameters()))


def test_a_run_goes_on_as_it_would_have(tmp_path: Path) -> None:
    def made() -> Any:
        game: Any = tiny("sngan")
        torch.manual_seed(0)
        game.adapt_to(Adapt(rank=1, lecam=0.1, apa=True, top_k=0.5))
        return game

    fit(made(), 2).save_checkpoint(tmp_path / "c.ckpt")
    whole, resumed = made(), made()
    fit(whole, 4)
    fit(resumed, 4, ckpt=tmp_path / "c.ckpt")
    assert not same(tensors(whole), tensors(resumed))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"augment": "ada", "apa": True}, "choose one"),
        ({"p": 0.5}, "neither augment ada nor apa"),
        ({"augment": "diff", "p": 0.5}, "neither augment ada nor apa"),
        ({"augment": "diff", "consistency": 1.0}, "choose one"),
        ({"fake_consistency": 1.0}, "without consistency"),
        ({"top_k": 0.0}, "nothing to learn from"),
        ({"lecam": -1.0}, "adapt.lecam"),
    ],
)
def test_what_contradicts_itself(options: dict[str, Any], text: str) -> None:
    with pytest.raises(BadArgument, match=text) as error:
        Adapt(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("unrolled", {"augment": "diff"}, "no critic of images"),
        ("gan", {"lecam": 1.0}, "does not name its critic's scores"),
        ("pix2pix", {"apa": True, "p": 0.1}, "does not name its critic's scores"),
        ("pix2pix", {"freeze_critic": 1}, "no single critic"),
        ("wgan_gp", {"augment": "ada"}, "no sign to adjust"),
        ("bigan", {"augment": "ada"}, "no sign to adjust"),
        ("dcgan", {"r1": 1.0}, "normalizes over the batch"),
        ("fastgan", {"augment": "diff"}, "augments by itself"),
        ("dcgan", {"rank": 999}, "no weight of the generator is larger"),
    ],
)
def test_what_a_family_cannot_do(name: str, options: dict[str, Any], text: str) -> None:
    game = tiny(name)
    before = {key: value.requires_grad for key, value in game.named_parameters()}
    with pytest.raises(BadArgument, match=text) as error:
        game.adapt_to(Adapt(**options))
    assert "\n" not in str(error.value) and str(error.value).startswith("adapt")
    assert {key: value.requires_grad for key, value in game.named_parameters()} == before


@pytest.mark.parametrize(("name", "first"), [("sngan", "discriminator.first"), ("cgan_pd", "discriminator.first")])
def test_a_layer_that_is_computed_with_another_counts_where_it_stands(name: str, first: str) -> None:
    """The second convolution of a block and the averaging after it are one: it is called by nobody."""
    game = tiny(name)
    game.adapt_to(Adapt(freeze_critic=3))
    frozen = {key for key, value in game.named_parameters() if not value.requires_grad}
    layers = ("conv1", "conv2", "shortcut")
    assert frozen == {f"{first}.{layer}.{part}" for layer in layers for part in ("weight", "bias")}


RECIPE = """
model: {class_path: DCGAN, init_args: {size: 8, channels: 1, latent: 8, width: 4}}
data: {class_path: Digits, init_args: {batch_size: 8}}
trainer: {max_steps: 4, accelerator: cpu, devices: 1}
adapt: {rank: 1, lecam: 0.3, augment: ada, freeze_critic: 1}
"""


def test_a_recipe_with_adapt_trains_resumes_and_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    words = ["train", str(tmp_path / "r.yaml"), "--run.folder", str(tmp_path / "run")]
    assert main([*words, "--adapt.apa", "true"]) == 2
    assert "choose one" in capsys.readouterr().err and not (tmp_path / "run").exists()
    assert main(words) == 0
    assert main(["train", str(tmp_path / "run"), "--resume", "--trainer.max_steps", "6"]) == 0
    assert main(["train", str(tmp_path / "run"), "--resume", "--adapt.lecam", "0.5"]) == 2
    assert "adapt.lecam is 0.5" in capsys.readouterr().err
    model: Any = ganzoo.load(tmp_path / "run")
    assert model.sample(2).shape == (2, 1, 8, 8)
    facts = json.loads((tmp_path / "run" / "last" / "config.json").read_text())
    assert facts["training"]["adapt"] == {"freeze_critic": 1, "rank": 1, "augment": "ada", "lecam": 0.3}


def test_a_recipe_of_before_says_what_is_frozen_in_engine(tmp_path: Path) -> None:
    from ganzoo.zoo import recipes

    (tmp_path / "r.yaml").write_text(RECIPE.split("adapt:")[0] + "engine: {freeze: ['discriminator.features.0.*']}\n")
    table = recipes.resolve(recipes.read(tmp_path / "r.yaml"))
    assert table["adapt"]["freeze"] == ["discriminator.features.0.*"] and "freeze" not in table["engine"]


def test_exact_and_approximate_r1_agree_in_a_family() -> None:
    game: Any = tiny("sngan").eval()
    torch.manual_seed(0)
    x = torch.randn(1, 1, 8, 8).repeat(4000, 1, 1, 1)
    exact = float(penalties.r1(game.discriminator, x[:1]))
    found = float(limited.approximate_penalty(game.discriminator, x, 0.001))
    assert abs(found / exact - 1) < 5 * (2 / 4000) ** 0.5 + 0.05
