"""Recipes: LightningCLI's form, keys that somebody may have meant, and what a recipe's help says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ganzoo import cli, data, schema
from ganzoo.data.batch import Data
from ganzoo.game import registry
from ganzoo.game.adaptation import Adapt
from ganzoo.game.engine import Engine
from ganzoo.game.game import Game
from ganzoo.training.doctor import Watching
from ganzoo.training.run import Run
from ganzoo.types import BadArgument
from ganzoo.zoo import recipes

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def test_every_recipe_is_a_file_of_lightning_cli() -> None:
    """Its own parser reads them, with the sections that are ganzoo's declared to it."""
    from jsonargparse import set_parsing_settings
    from lightning.pytorch.cli import LightningArgumentParser

    for name in registry.list_families():
        registry.family(name)
    for source in data.sources():
        data.source(source)
    set_parsing_settings(
        import_path_denylist=["*"], import_path_allowlist=["ganzoo.families", "ganzoo.data", "lightning.pytorch"]
    )
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_argument("--seed_everything", type=int, default=0)
    parser.add_argument("--init_from", type=str, default=None)
    parser.add_subclass_arguments(Game, "model", required=False)
    parser.add_subclass_arguments(Data, "data")
    from lightning import Trainer

    parser.add_class_arguments(Trainer, "trainer")
    for name, of in (("engine", Engine), ("adapt", Adapt), ("watch", Watching), ("run", Run)):
        parser.add_dataclass_arguments(of, name)
    found = sorted(RECIPES.glob("*/*.yaml"))
    assert len(found) > 30
    for path in found:
        table = yaml.safe_load(path.read_text())
        cls = data.source(table["data"]["class_path"])
        for key in schema.required(cls):
            table["data"].setdefault("init_args", {}).setdefault(key, "photos")
        read = parser.parse_object(table)
        assert read.data.class_path == f"{cls.__module__}.{cls.__name__}"
        assert read.run.save_every == table.get("run", {}).get("save_every", Run().save_every)


@pytest.mark.parametrize("name", ["srgan/avatars", "srgan/folder", "esrgan/folder"])
def test_a_second_stage_says_again_what_the_first_one_changed(name: str) -> None:
    """What a recipe leaves out is taken from the model of `init_from`: a first stage's `adversarial: 0`, say."""
    path = recipes.find(name)
    changed = set(re.findall(r"--model\.init_args\.(\w+)", path.read_text(encoding="utf-8")))
    first = path.with_stem(f"{path.stem}-first")
    if first.is_file():
        changed |= recipes.read(first)["model"]["init_args"].keys()
    assert {"adversarial", "perceptual"} <= changed <= recipes.read(path)["model"]["init_args"].keys()


def test_numbers_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("model: {class_path: DCGAN, init_args: {lr: 1e-4, width: 8, betas: [0, 0.9]}}\n")
    table = recipes.read(tmp_path / "r.yaml")
    assert table["model"]["init_args"] == {"lr": 1e-4, "width": 8, "betas": [0, 0.9]}
    assert recipes.parse(["--a", "1e-4", "--b=x=y"]) == {"a": "1e-4", "b": "x=y"}


def base() -> dict[str, Any]:
    return {
        "model": {"class_path": "DCGAN", "init_args": {"size": 8, "channels": 1}},
        "data": {"class_path": "Digits", "init_args": {"batch_size": 8}},
    }


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["--model.lr", "1e-3"], "model.init_args.lr", 1e-3),
        (["--model.init_args.betas", "[0.1, 0.9]"], "model.init_args.betas", [0.1, 0.9]),
        (["--run.name", "007"], "run.name", "007"),
        (["--run.folder", "null"], "run.folder", "runs/run"),
        (["--trainer.devices", "2"], "trainer.devices", 2),
        (["--trainer.max_time", "00:01:00:00"], "trainer.max_time", "00:01:00:00"),
        (["--engine.average", "paper"], "engine.average", "paper"),
        (["--engine.decay", "[1, 2]"], "engine.decay", [1, 2]),
        (["--run.protocols", "[fd100_digits_cnn]"], "run.protocols", ["fd100_digits_cnn"]),
        (["--data", "FashionMNIST"], "data.init_args.batch_size", 8),
        (["--model", "{class_path: WGAN, init_args: {width: 7}}"], "model.init_args.width", 7),
    ],
)
def test_words_become_what_their_keys_take(words: list[str], key: str, value: Any) -> None:
    from ganzoo.training.record import flat

    table = base()
    recipes.overlay(table, recipes.parse(words))
    assert flat(recipes.resolve(table))[key] == value


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("lr", "did you mean --model.init_args.lr?"),
        ("seed", "did you mean --seed_everything?"),
        ("batch_size", "did you mean --data.init_args.batch_size?"),
        ("batch-size", "did you mean --data.init_args.batch_size?"),
        ("max_steps", "did you mean --trainer.max_steps?"),
        ("epochs", "did you mean --trainer.max_steps?"),
        ("devices", "did you mean --trainer.devices?"),
        ("average", "did you mean --engine.average?"),
        ("folder", "did you mean --run.folder?"),
        ("out", "did you mean --run.folder?"),
        ("flip", "did you mean --data.init_args.flip?"),
    ],
)
def test_a_key_without_its_section_is_named_with_it(key: str, says: str) -> None:
    with pytest.raises(BadArgument, match=f"there is no key {key}; ") as caught:
        recipes.overlay(base(), {key: "5"})
    assert says in str(caught.value)


def test_a_root_that_is_missing_is_named_by_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "dcgan/finetune-folder"]) == 2
    err = capsys.readouterr().err
    assert "Folder needs root: give --data.init_args.root" in err and err.count("\n") == 1


def test_the_help_of_a_recipe_is_of_its_family_and_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "dcgan/digits", "--help", "--model.width", "5"]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) < 130 and max(map(len, out.splitlines())) <= 120
    for section in ("model (DCGAN):", "data (Digits):", "engine:", "run:"):
        assert f"\n{section}\n" in out
    for cls, prefix in ((registry.family("dcgan").cls, "model.init_args"), (data.source("digits"), "data.init_args")):
        for name in schema.parameters(cls):
            assert f"--{prefix}.{name} " in out or f"--{prefix}.{name}\n" in out
    assert "[5]" in out and "learning rate of both players" in out and "--run.save_every" in out
    assert "wgan" not in out.lower() and "FashionMNIST" not in out and "--trainer.max_steps" not in out


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("model.init_args.width", "1000000", "model: the networks' weights take "),
        ("model.init_args.width", "10000000", "model: "),
        ("seed_everything", "4294967296", "seed_everything is 4294967296; a whole number from 0 to 4294967295"),
    ],
)
def test_what_no_machine_can_hold(key: str, value: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "dcgan/digits", f"--{key}", value, "--trainer.max_steps", "1"]) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1


def test_a_family_s_name_leads_to_its_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "dcgan"]) == 2
    assert "did you mean dcgan/digits or dcgan/fashion-mnist or dcgan/few?" in capsys.readouterr().err


def test_classes_are_found_and_never_imported() -> None:
    for name in ("DCGAN", "ganzoo.families.dcgan.DCGAN"):
        assert recipes.class_of("model", name) is registry.family("dcgan").cls
    for name in ("os.system", "ganzoo.families.dcgan.partial", "ganzoo.families.wgan.DCGAN", "antigravity.Fly"):
        with pytest.raises(BadArgument, match="GANZOO_IMPORT"):
            recipes.class_of("model", name)
