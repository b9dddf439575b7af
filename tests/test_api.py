"""The Python functions: load, create, fine-tuning, verify. Evaluation is tested with the metrics."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import Noise, fit, make, tiny
from parity_files import fixture
from PIL import Image

import ganzoo
from ganzoo import cli, files
from ganzoo import folder as checkpoint
from ganzoo.folder import write_model
from ganzoo.game.engine import Engine
from ganzoo.layouts import listing
from ganzoo.types import BadArgument, BadModelFolder, GanzooError, UnknownName
from ganzoo.zoo import catalogue
from ganzoo.zoo.converting import convert
from ganzoo.zoo.evaluating import score
from ganzoo.zoo.transfer import start_from

SHIPPED = checkpoint.shipped_folders()


# -------------------------------------------------------------------------------------------------- what is given


def calls(tmp_path: Path) -> dict[str, Callable[[], object]]:
    """Every public function with something of a wrong type, or without what it needs."""
    door: Any = ganzoo
    game, name = tiny("gan"), "dcgan-digits"
    return {
        "model is a str: 'x'; a model is expected": lambda: door.save("x", tmp_path / "m"),
        "folder is a int: 3; text or a path is expected": lambda: door.save(game, 3),
        "path is a int: 3; text or a path": lambda: door.save_grid(torch.zeros(1, 1, 8, 8), 3),
        "columns is a str: '3'; a whole number": lambda: door.save_grid(torch.zeros(1, 1, 8, 8), "a.png", "3"),
        "protocol is a int: 3; text or a list": lambda: door.evaluate(protocol=3),
        "3 is no protocol; write <metric>": lambda: door.evaluate(name, protocol=[3]),
        "evaluate: missing a required argument: 'model'": lambda: door.evaluate(),
        "model is a float: 0.5; a model or a name, a folder or hf": lambda: door.info(0.5),
        "pattern is a int: 3; text is": lambda: door.list_models(3),
        "task is a bool: True; text is": lambda: door.list_models(task=True),
        "file is a int: 3; text or a path": lambda: door.convert(3),
        "more is a int: 3; a list": lambda: door.convert("x.pt", to="y", more=3),
        "data is a int: 3; a data source or text or a path": lambda: door.train(game, 3),
        "game_or_run is a NoneType: None; a model or text": lambda: door.train(None),
        "resume is a str: 'no'; True or False": lambda: door.train(game, "Digits", resume="no"),
        "model is a int: 3; text is": lambda: door.pull(3),
        "players is a str: 'yes'; True or False": lambda: door.load(name, players="yes"),
        "model is a list: [3]; a model or a name, a folder or hf": lambda: door.load([3]),
        "load: got an unexpected keyword argument 'player'": lambda: door.load(name, player=True),
        "repo_id is a int: 3; text": lambda: door.push(name, 3),
        "model is a int: 4; text or a path": lambda: door.verify(4),
        "file is a int: 5; text or a path": lambda: door.export(name, 5),
    }


def test_what_is_of_a_wrong_type_is_one_line(tmp_path: Path) -> None:
    for said, call in calls(tmp_path).items():
        with pytest.raises(BadArgument, match=re.escape(said)) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir()) and not Path("runs").is_dir()


# --------------------------------------------------------------------------------------------------------------- load


def test_a_loaded_model_is_handed_through() -> None:
    game = tiny("dcgan")
    assert ganzoo.load(game) is game and ganzoo.load(game, players=True) is game


def precision(game: Any) -> torch.dtype:
    return game.generator.main[0].weight.dtype


def test_what_is_asked_for_of_a_loaded_model_is_done_or_refused(tmp_path: Path) -> None:
    write_model(tiny("dcgan"), tmp_path / "m", {})
    game: Any = ganzoo.load(tmp_path / "m", dtype=torch.float64)
    assert ganzoo.load(game) is game and precision(game) == torch.float64, "what is not asked for"
    assert ganzoo.load(game, dtype=torch.bfloat16, device="cpu") is game
    assert precision(game) == torch.bfloat16 and game.sample(1).dtype == torch.float32
    for asked, said in (
        ({"players": True}, "DCGAN was loaded without its players; load it by name with players=True"),
        ({"revision": "v1"}, "revision is 'v1' of a model that is loaded already"),
        ({"device": "tpu9"}, "device is tpu9; "),
        ({"dtype": "float16"}, "dtype is float16; a type of floating-point numbers"),
        ({"dtype": torch.int8}, "dtype is torch.int8; a type of floating-point numbers is expected"),
    ):
        with pytest.raises(BadArgument, match=said):
            ganzoo.load(game, **asked)
        assert game.sample(1).shape == (1, 1, 8, 8), "and the model is what it was"
    with pytest.raises(BadArgument, match=r"dtype is torch\.int8"):
        ganzoo.load(tmp_path / "m", dtype=torch.int8)


def test_a_number_is_an_accelerator(tmp_path: Path) -> None:
    write_model(tiny("dcgan"), tmp_path / "m", {})
    if torch.accelerator.is_available():
        assert ganzoo.load(tmp_path / "m", device=0).device == torch.device(0)
    else:
        for model in (tmp_path / "m", tiny("dcgan")):
            with pytest.raises(BadArgument, match="device is 0; cpu, cuda or mps is expected, where there is one"):
                ganzoo.load(model, device=0)
    with pytest.raises(BadArgument, match="device is 99; "):
        ganzoo.load(tmp_path / "m", device=99)


def test_a_move_that_fails_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("dcgan")
    images = game.sample(2)

    def fails(*_: Any) -> None:  # on a machine that has the device, too
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.nn.Module, "_apply", fails)
    for asked in (("cuda",), ("cuda", torch.float16), (torch.device("cuda", 3),)):
        with pytest.raises((RuntimeError, AssertionError)):
            game.to(*asked)
        assert game.device.type == "cpu" and torch.equal(game.sample(2), images)


def test_a_file_says_what_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    game: Any = tiny("dcgan")
    run = tmp_path / "run"
    ganzoo.train(game, Noise((1, 8, 8)), folder=run, max_steps=1, accelerator="cpu")
    (tmp_path / "epoch=1.ckpt").write_bytes((run / "last.ckpt").read_bytes())
    (tmp_path / "own.yaml").write_text("model: DCGAN")
    (tmp_path / "last").mkdir()  # another's model beside somebody's file, which is none of it
    (tmp_path / "last" / "manifest.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    for name, said in {
        "run/last.ckpt": "a file of the model or run run; load that folder",
        "run/recipe.yaml": "a file of the model or run run; load that folder",
        "run/last/model.safetensors": "a file of the model or run run/last; load that folder",
        "run/last/config.json": "a file of the model or run run/last; load that folder",
        "epoch=1.ckpt": "`ganzoo convert epoch=1.ckpt --to FOLDER` makes a model of an author's checkpoint, and the "
        "family's load_from_checkpoint one of your own",
        "own.yaml": "a recipe perhaps; `ganzoo train own.yaml` makes a model of one",
        "run/best": "there is no such folder",
    }.items():
        with pytest.raises(ganzoo.GanzooError, match=re.escape(said)):
            ganzoo.load(name)
    for name in ("run/last.ckpt", "run/last/model.safetensors"):
        with pytest.raises(ganzoo.GanzooError, match=r"ganzoo's own; load that folder"):
            ganzoo.convert(name, to=tmp_path / "made")
    with pytest.raises(ganzoo.GanzooError, match=r"holds a checkpoint of ganzoo's own, which its family's load_from_"):
        ganzoo.convert("epoch=1.ckpt", to=tmp_path / "made")
    with pytest.raises(ganzoo.GanzooError, match=r"`ganzoo train run --resume` goes on with its run"):
        ganzoo.train("run/last.ckpt", resume=True)
    assert type(ganzoo.load("run")).load_from_checkpoint("epoch=1.ckpt").images_seen == game.images_seen


def test_what_is_no_name_at_all_is_one_line() -> None:
    wrongs: list[Any] = [None, 3, 1.5]
    for wrong in wrongs:
        with pytest.raises(BadArgument, match="a name, a folder or hf://org/repo is expected"):
            ganzoo.load(wrong)
        with pytest.raises(GanzooError, match="there is no family"):
            ganzoo.create(wrong)


def test_a_runs_folder_holds_its_models(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for name, width in (("last", 4), ("best", 5)):
        write_model(tiny("dcgan", width=width), run / name, {"name": name})
        loaded = ganzoo.load(run)
        assert loaded.card is not None and loaded.card.name == name, "the best where there is one"
    assert ganzoo.load(str(run / "last")).arguments["width"] == 4
    assert ganzoo.load(run / "last").provenance == {
        "from": "folder",
        "path": str(run / "last"),
        "sha256": ganzoo.verify(run / "last")["files"],
        "weights_sha256": hashlib.sha256((run / "last" / "model.safetensors").read_bytes()).hexdigest(),
    }


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype: torch.dtype, tmp_path: Path) -> None:
    write_model(tiny("dcgan"), tmp_path / "m", {})
    game: Any = ganzoo.load(tmp_path / "m", dtype=dtype)
    plain = ganzoo.load(tmp_path / "m")
    assert {p.dtype for p in game.generator.parameters()} == {dtype}
    images = game.sample(3)
    assert images.dtype == torch.float32 and torch.allclose(images, plain.sample(3), atol=0.02)


def test_a_device_that_is_none(tmp_path: Path) -> None:
    write_model(tiny("dcgan"), tmp_path / "m", {})
    with pytest.raises(BadArgument, match=r"device is tpu9; cpu, cuda or mps is expected"):
        ganzoo.load(tmp_path / "m", device="tpu9")
    with pytest.raises(BadArgument, match=r"device is cuda:99; "):
        ganzoo.load(tmp_path / "m", device="cuda:99")
    assert ganzoo.load(tmp_path / "m", device=torch.device("cpu")).device.type == "cpu"


def test_names_that_are_not_there() -> None:
    with pytest.raises(UnknownName, match=r"no model 'dcgan-fashion-mnits'; did you mean dcgan-fashion-mnist"):
        ganzoo.load("dcgan-fashion-mnits")
    with pytest.raises(UnknownName, match=r"no family 'wgan_pg'; did you mean wgan_gp or wgan"):
        ganzoo.create("wgan_pg")
    with pytest.raises(UnknownName, match="no family 'quux'; `ganzoo list` shows what there is"):
        ganzoo.create("quux")
    with pytest.raises(UnknownName):
        ganzoo.info("quux")
    assert ganzoo.list_models("quux") == []


def test_create_takes_the_name_with_hyphens_and_tuples() -> None:
    game = ganzoo.create("wgan-gp", size=8, channels=1, width=2, betas=(0.1, 0.9))
    assert type(game).__name__ == "WGANGP" and game.arguments["betas"] == [0.1, 0.9]
    assert not torch.equal(game.sample(1), ganzoo.create("wgan-gp", size=8, channels=1, width=2).sample(1))


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("DCGAN", "dcgan"),
        ("wgan-gp", "wgan_gp"),
        ("WGANGP", "wgan_gp"),
        ("pix-2-pix", "pix2pix"),
        ("UnrolledGAN", "unrolled"),
        ("cgan-PD", "cgan_pd"),
        ("CGANPD", "cgan_pd"),
    ],
)
def test_a_family_is_found_by_its_file_or_class(said: str, name: str) -> None:
    assert catalogue.family_name(said) == name
    assert type(ganzoo.create(said)).__module__ == f"ganzoo.families.{name}"
    assert ganzoo.list_models(family=said) == ganzoo.list_models(family=name) != []


def test_a_model_whose_weights_nobody_published_says_which_recipe_trains_it() -> None:
    recipes = [entry["name"] for entry in ganzoo.list_models() if entry["status"] == "recipe"]
    for name in recipes[:3]:
        with pytest.raises(ganzoo.GanzooError, match=r"ganzoo train "):
            ganzoo.load(name)


# ------------------------------------------------------------------------------------------------------ shipped models


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_whole_and_draws_its_golden_pictures(name: str) -> None:
    found = ganzoo.verify(name)
    config = json.loads((SHIPPED[name] / checkpoint.CONFIG).read_text())
    assert config["name"] == name and config["license"]
    assert {"model.safetensors", "config.json", "results.json", "samples.png"} <= set(found["files"])
    assert (found["golden"] is not None) == (len(config["shape"]) == 3)
    entry: dict[str, Any] = ganzoo.info(name)
    assert (entry["status"], entry["family"]) == ("shipped", config["family"])
    game = ganzoo.load(name)
    images = make(game, 4, seed=10)
    assert torch.equal(images, make(game, 4, seed=10)) and images.std() > 0.1
    assert game.provenance is not None and game.provenance["from"] == "shipped"


def test_what_ships_fits_into_a_wheel() -> None:
    """Each model has 12 MB at most, all together 90, so that the wheel stays below an index's 100."""
    sizes = [sum(path.stat().st_size for path in folder.iterdir()) for folder in SHIPPED.values()]
    assert max(sizes) <= 12_000_000 and sum(sizes) <= 90_000_000


# --------------------------------------------------------------------------------------------------------- fine-tuning


def player_tensors(game: Any) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in game.player_tensors().items()}


@pytest.mark.parametrize("averaged", [True, False])
@pytest.mark.parametrize("average", [None, 20.0])
def test_fine_tuning_starts_every_player(averaged: bool, average: float | None, tmp_path: Path) -> None:
    trained = tiny("infogan")
    trained.engine = Engine(average=10.0 if averaged else None)
    fit(trained, 3)
    write_model(trained, tmp_path / "m", {})

    fresh = tiny("infogan", lr=5e-4)
    fresh.engine = Engine(average=average)
    before = player_tensors(fresh)
    start_from(fresh, tmp_path / "m")
    for key, value in trained.player_tensors().items():
        assert torch.equal(fresh.player_tensors()[key], value)
    assert any(not torch.equal(before[key], value) for key, value in fresh.player_tensors().items())
    assert bool(fresh._averages) == (average is not None)
    if average is not None:  # samples begin as those of the model to start from
        assert torch.equal(fresh.sample(2), ganzoo.load(tmp_path / "m").sample(2))
    assert fresh.arguments["lr"] == 5e-4 and fresh.batches_seen == 0
    fit(fresh, 2)
    assert all(value.isfinite().all() for value in fresh.player_tensors().values())


def test_what_cannot_be_started_from_changes_nothing(tmp_path: Path) -> None:
    for name, arguments in (("wgan", {}), ("dcgan", {"width": 5})):
        write_model(tiny(name, **arguments), tmp_path / f"{name}{len(arguments)}{arguments.get('width', '')}", {})
    cases = [
        ("wgan0", r"wgan0 is a WGAN, and the recipe trains a DCGAN"),
        ("dcgan15", r"generator\.main\.0\.weight has shape \(6, 10, 2, 2\) in .* and \(6, 8, 2, 2\) in the recipe"),
    ]
    for folder, said in cases:
        game = tiny("dcgan")
        before = player_tensors(game)
        with pytest.raises(BadArgument, match="init_from: .*" + said):
            start_from(game, tmp_path / folder)
        assert all(torch.equal(before[key], value) for key, value in game.player_tensors().items())
    (tmp_path / "wgan0" / checkpoint.PLAYERS).unlink()
    checkpoint.write_manifest(tmp_path / "wgan0")
    with pytest.raises(BadModelFolder, match=r"holds no players\.safetensors"):
        start_from(tiny("wgan"), tmp_path / "wgan0")


@pytest.mark.skipif("dcgan-fashion-mnist" not in SHIPPED, reason="the model to start from is not in checkpoints/")
def test_the_recipe_that_fine_tunes_on_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """50 pictures of discs in all sizes and modes, and one that is no picture: a few steps from the shipped model."""
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    rng = np.random.RandomState(0)
    (tmp_path / "photos").mkdir()
    for i in range(50):
        side = int(rng.randint(30, 90))
        y, x = np.mgrid[:side, : side + 10]
        disc = (np.hypot(y - side / 2, x - side / 2) < rng.uniform(0.2, 0.5) * side) * 255
        picture = Image.fromarray(disc.astype(np.uint8)).convert(("L", "RGB", "RGBA", "P")[i % 4])
        picture.save(tmp_path / "photos" / f"{i}.png")
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    words = ["--trainer.accelerator", "cpu", "--trainer.max_steps", "3", "--run.folder", str(tmp_path / "run")]
    recipe = ["train", "dcgan/finetune-folder", "--data.init_args.root", str(tmp_path / "photos"), *words]
    assert cli.main(recipe) == 0
    tuned, start = ganzoo.load(tmp_path / "run", players=True), ganzoo.load("dcgan-fashion-mnist", players=True)
    assert tuned.card is not None and tuned.card.facts["training"]["init_from"] == "dcgan-fashion-mnist"
    near = [(tuned.player_tensors()[key] - value).abs().max().item()
            for key, value in start.player_tensors().items() if key.endswith(".weight")]  # fmt: skip
    assert 0 < max(near) < 0.05, "three steps of 1e-4 away from where it started"
    assert np.abs(tuned.sample(4).numpy() - start.sample(4).numpy()).mean() < 0.2

    capsys.readouterr()
    assert cli.main([*recipe[:4], "--model.init_args.width", "16", *words[:-1], str(tmp_path / "other")]) == 2
    err = capsys.readouterr().err
    assert "init_from: generator.main.0.weight has shape" in err and err.count("\n") == 1
    assert cli.main(["train", "dcgan/finetune-folder", "--trainer.accelerator", "cpu"]) == 2
    err = capsys.readouterr().err
    assert "root" in err and err.count("\n") == 1 and "unexpected" not in err, err
    shutil.rmtree(tmp_path / "cache")


def test_what_a_recipe_leaves_out_is_as_in_the_model_it_starts_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {class_path: Digits}\ninit_from: dcgan-digits\ntrainer: {max_steps: 1}\n")
    words = ["train", str(recipe), "--run.folder", str(tmp_path / "run"), "--trainer.accelerator", "cpu"]
    assert cli.main([*words, "--dry-run"]) == 0
    width = ganzoo.load("dcgan-digits").arguments["width"]
    assert f"width: {width}" in capsys.readouterr().out
    assert cli.main([*words, "--model.init_args.lr", "1e-5"]) == 0
    tuned = ganzoo.load(tmp_path / "run")
    assert tuned.arguments == {**ganzoo.load("dcgan-digits").arguments, "lr": 1e-5}
    assert cli.main([*words, "--init_from", "dcgan-digit"]) == 2
    assert "did you mean dcgan-digits" in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------------------- verify


def test_verify_counts(tmp_path: Path) -> None:
    game = tiny("dcgan")
    write_model(game, tmp_path / "m", {})
    found = ganzoo.verify(tmp_path / "m")
    assert found["tensors"] == len(game.state_dict()) and found["golden"] == 0
    assert set(found["files"]) == set(checkpoint.LISTED)
    points = tmp_path / "points"
    write_model(tiny("unrolled"), points, {})
    assert ganzoo.verify(points)["golden"] is None


def test_verify_notices_other_weights_behind_the_same_picture(tmp_path: Path) -> None:
    game: Any = tiny("dcgan")
    write_model(game, tmp_path / "m", {})
    with torch.no_grad():
        for parameter in game.generator.parameters():
            parameter.mul_(3)
    write_model(game, tmp_path / "other", {})
    shutil.copy(tmp_path / "m" / checkpoint.GOLDEN, tmp_path / "other" / checkpoint.GOLDEN)
    checkpoint.write_manifest(tmp_path / "other")
    with pytest.raises(BadModelFolder, match=r"golden\.png: the model makes other pictures"):
        ganzoo.verify(tmp_path / "other")


def test_path_lengths_are_measured_by_their_key(tmp_path: Path) -> None:
    key = "ppl20_digits_cnn_z_eps0.01"
    assert ganzoo.evaluate("dcgan-digits", protocol=key)[key] > 0
    with pytest.raises(BadArgument, match="no latents w"):
        ganzoo.evaluate("dcgan-digits", protocol="ppl20_digits_cnn_w")
    with pytest.raises(BadArgument, match="InfoGAN has classes"):
        ganzoo.evaluate("infogan-fashion-mnist", protocol="ppl20_fashion_mnist_cnn_z")


def test_a_score_replaces_only_one_of_the_same_protocol_network_and_data(tmp_path: Path) -> None:
    folder, key = tmp_path / "model", "fd100_digits_cnn"
    shutil.copytree(SHIPPED["dcgan-digits"], folder)
    before = len(checkpoint.ModelFolder(folder).json(checkpoint.RESULTS))
    first = score(folder, key)
    again = score(folder, key)
    assert [s.value for s in first] == [s.value for s in again]
    rows = checkpoint.ModelFolder(folder).json(checkpoint.RESULTS)
    assert len(rows) == before + len(first)
    changes: dict[str, dict[str, Any]] = {
        "network_sha256": {"network_sha256": "0" * 64},
        "seed": {"protocol": {**rows[-1]["protocol"], "seed": 7}},
    }
    for word, change in changes.items():
        files.write_json(folder / checkpoint.RESULTS, [*rows[:-1], {**rows[-1], **change}])
        checkpoint.write_manifest(folder)
        kept = (folder / checkpoint.RESULTS).read_bytes()
        with pytest.raises(BadArgument, match=rf"called {key} differ in {word}"):
            score(folder, key)
        assert (folder / checkpoint.RESULTS).read_bytes() == kept


# ------------------------------------------------------------------------------------------------------------ convert


@pytest.mark.parametrize("name", ["pgan_zoo.pgan.pth", "stylegan3.r.pkl"])
def test_an_authors_checkpoint_becomes_a_model_that_loads_and_can_be_trained_on(name: str, tmp_path: Path) -> None:
    folder = convert(fixture(name), to=tmp_path / "model", facts={"license": "mit"})
    model = ganzoo.load(folder)
    assert model.card is not None and model.card.facts["license"] == "mit"
    assert model.card.facts["converted"]["file"] == name
    images = model.sample(2, seed=3)
    assert images.shape == (2, *model.shape) and images.std() > 0
    again = ganzoo.load(convert(fixture(name), to=tmp_path / "model"))  # in place of the first
    assert torch.equal(again.sample(2, seed=3), images)
    assert ganzoo.verify(folder)["tensors"] > 0
    players = ganzoo.load(folder, players=True)
    live = ganzoo.load(convert(fixture(name), to=tmp_path / "live", generator="live"))
    own, now = players.player_tensors(), live.inference_tensors()
    assert all(torch.equal(value, own[key]) for key, value in now.items())
    assert not torch.equal(live.sample(2, seed=3), images), "the fixtures' average differs from the live generator"


def test_what_cannot_be_converted_leaves_nothing_behind(tmp_path: Path) -> None:
    file, target = fixture("pgan_zoo.pgan.pth"), tmp_path / "model"
    for content, says in ((b"", "empty"), (file.read_bytes()[:5000], "truncated"), (b"cos\nsystem\n(S'true'\ntR.", "")):
        (tmp_path / "bad.pth").write_bytes(content)
        with pytest.raises(GanzooError) as caught:
            convert(tmp_path / "bad.pth", to=target)
        assert "bad.pth" in str(caught.value) and says in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(GanzooError, match=r"of the family progan; expected one of the family stylegan2"):
        convert(file, "stylegan2", to=target)
    with pytest.raises(UnknownName, match="no family 'stylegan9'"):
        convert(file, "stylegan9", to=target)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pth"]
    with pytest.raises(BadArgument, match="holds other things"):
        convert(file, to=tmp_path)
    with pytest.raises(BadModelFolder, match="ganzoo convert"):
        ganzoo.load(tmp_path / "bad.pth")


def test_the_convert_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["convert", str(fixture("pgan_zoo.pgan.pth")), "--to", str(tmp_path / "model")]
    assert cli.main([*words, "--family", "progan", "--license", "bsd-3-clause"]) == 0
    assert ganzoo.load(tmp_path / "model").card.facts["license"] == "bsd-3-clause"  # type: ignore[union-attr]
    assert "samples.png shows" in capsys.readouterr().out
    with Image.open(tmp_path / "model" / checkpoint.SAMPLES) as picture:
        assert picture.width == picture.height == 4 * (64 + 2) + 2  # 16 samples
    assert ganzoo.verify(tmp_path / "model")["golden"] == 0
    card = (tmp_path / "model" / checkpoint.CARD).read_text()
    assert "pytorch_GAN_zoo" in card and "not selected" in card and "(samples.png)" in card
    assert cli.main([*words, "--generator", "best"]) == 2
    assert cli.main(["convert", str(tmp_path / "none.pkl"), "--to", str(tmp_path / "other")]) == 1
    error = capsys.readouterr().err
    assert "ema or live is expected" in error and "none.pkl" in error and "Traceback" not in error


def test_the_layouts_that_are_read_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    rows = listing()
    assert {"progan", "stylegan2"} <= {row["family"] for row in rows}
    assert cli.main(["convert", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(row["family"] in out for row in rows)
    assert cli.main(["convert"]) == cli.main(["convert", "file.pth"]) == 2
    error = capsys.readouterr().err
    assert "file is missing" in error and "--to is missing" in error


def two_files(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Any:
    """A layout whose authors keep the players in two files, and a model of theirs in `g.pth` and `d.pth`."""
    from ganzoo.layouts import Contents, Converted, Layout, Ledger, layouts
    from ganzoo.types import BadCheckpoint

    game = tiny("dcgan")
    arguments = {name: game.arguments[name] for name in ("size", "channels", "latent", "width")}

    def state(contents: Contents, part: str) -> dict[str, torch.Tensor]:
        role = {"generator": "G", "discriminator": "D"}[part]
        if contents.modules.keys() != {role}:
            raise BadCheckpoint(f"{contents.path}: {contents.describe()}; expected Ada's {part}")
        with Ledger(contents, part, contents.modules[role].tensors) as ledger:
            return ledger.rename({r"(.*)": rf"{part}.\1"})

    def first(contents: Contents) -> Converted:
        return Converted("dcgan", arguments, state(contents, "generator"))

    def second(contents: Contents, made: Converted) -> Converted:
        return replace(made, players={**made.inference, **state(contents, "discriminator")})

    known = Layout("Ada's DCGAN", "dcgan", lambda c: c.modules.keys() == {"G"}, first, second)
    found = (known, *layouts())
    monkeypatch.setattr("ganzoo.layouts.layouts", lambda: found)
    for name, part in (("g", "generator"), ("d", "discriminator")):
        torch.save({part: getattr(game, part).state_dict()}, folder / f"{name}.pth")
    return game


def test_a_discriminator_in_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    game = two_files(monkeypatch, tmp_path)
    words = ["convert", str(tmp_path / "g.pth"), "--to", str(tmp_path / "model")]
    assert cli.main(words) == 0
    with pytest.raises(BadModelFolder, match=r"holds no players\.safetensors"):
        ganzoo.load(tmp_path / "model", players=True)
    assert cli.main(["convert", str(tmp_path / "g.pth"), str(tmp_path / "d.pth"), *words[2:]]) == 0
    model = ganzoo.load(tmp_path / "model", players=True)
    assert all(torch.equal(value, model.player_tensors()[key]) for key, value in game.player_tensors().items())
    assert model.card is not None and model.card.facts["converted"]["more"] == ["d.pth"]

    before = (tmp_path / "model" / checkpoint.MANIFEST).read_bytes()
    wide = tiny("dcgan", channels=2).discriminator.state_dict()  # of other images; another width would be fine
    torch.save({"discriminator": wide}, tmp_path / "wide.pth")
    shutil.copy(fixture("pgan_zoo.pgan.pth"), tmp_path / "one.pth")
    capsys.readouterr()
    for file, second, status, says in (
        ("g.pth", "g.pth", 1, "g.pth: a torch file with the keys 'generator'"),
        ("g.pth", "wide.pth", 1, "wide.pth: discriminator."),
        ("g.pth", "none.pth", 1, "none.pth: cannot be read"),
        ("one.pth", "d.pth", 2, "lies in one file; leave this one out"),
    ):
        words = ["convert", str(tmp_path / file), str(tmp_path / second)]
        assert cli.main([*words, "--to", str(tmp_path / "model")]) == status
        error = capsys.readouterr().err
        assert says in error and error.count("\n") == 1, error
    assert (tmp_path / "model" / checkpoint.MANIFEST).read_bytes() == before, "what was there has stayed"


def test_a_model_whose_pictures_fail_or_take_too_long_is_converted_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_files(monkeypatch, tmp_path)
    folder = convert(tmp_path / "g.pth", to=tmp_path / "model", pictures=False)
    without = set(checkpoint.ModelFolder(folder).hashes())
    assert checkpoint.SAMPLES not in without
    monkeypatch.setattr("ganzoo.zoo.converting._SECONDS", 0.0)
    assert set(checkpoint.ModelFolder(convert(tmp_path / "g.pth", to=folder)).hashes()) == without
    monkeypatch.setattr("ganzoo.game.abilities.Samples.sample", lambda *_, **__: torch.zeros(1)[3])
    with pytest.warns(UserWarning, match=r"g\.pth: converted, but no samples could be drawn"):
        convert(tmp_path / "g.pth", to=folder)
    assert set(checkpoint.ModelFolder(folder).hashes()) == without
