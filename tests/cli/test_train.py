"""`ganzoo train`: recipes with faults, and one that trains."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from emoji_files import FILES, prepared
from toys import TRANSLATION, installed

import ganzoo
from ganzoo import cli
from ganzoo.types import BadArgument
from ganzoo.zoo.recipes import find

RECIPE: dict[str, Any] = {
    "model": {"class_path": "DCGAN", "init_args": {"size": 8, "channels": 1, "latent": 4, "width": 4}},
    "data": {"class_path": "Digits", "init_args": {"batch_size": 8}},
    "trainer": {"max_steps": 4, "accelerator": "cpu", "devices": 1},
    "run": {"license": "apache-2.0"},
}


def write(tmp_path: Path, **changes: Any) -> Path:
    """A recipe with changes, whose keys are paths such as `model__init_args__width`."""
    recipe = yaml.safe_load(yaml.safe_dump(RECIPE))
    for key, value in changes.items():
        *head, last = key.split("__")
        at = recipe
        for each in head:
            at = at.setdefault(each, {})
        at[last] = value
    path = tmp_path / "dcgan" / "digits.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(recipe))
    return path


def said(capsys: pytest.CaptureFixture[str], path: Path, *words: str, status: int = 2) -> str:
    assert cli.main(["train", str(path), *words]) == status
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and len(err) < 600, err
    assert err.startswith(f"ganzoo: {path}: "), err
    return err.removeprefix(f"ganzoo: {path}: ").strip()


# ------------------------------------------------------------------------------------------------------ faulty recipes

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"modle": 3}, "there is no key modle; did you mean model?"),
    ({"model__init_args__width": "abc"}, "model.width is abc; a whole number is expected"),
    ({"model__init_args__width": 1.5}, "model.width is 1.5; a whole number is expected"),
    ({"model__init_args__width": 0}, "model.width is 0; at least 1 is expected"),
    ({"model__init_args__widht": 4}, "model.widht: DCGAN has no argument 'widht'; did you mean width?"),
    ({"model__init_args__lr": "fast"}, "model.lr is fast; a number is expected"),
    ({"model__init_args__lr": -1}, "model.lr is -1; at least 0 is expected"),
    ({"model__init_args__betas": 3}, "model.betas is 3; a list is expected"),
    ({"model__init_args__betas": [0.5]}, "model.betas is [0.5]; a list of 2 is expected"),
    ({"model__init_args__size": 9},
     "image size is 9; 4 to 7 times a power of two is expected, such as 8, 28, 32 or 64"),
    ({"model__init_args__size": 16},
     "the data are (1, 8, 8) and DCGAN expects (1, 16, 16); give both the same size and channels"),
    ({"model__class_path": "DCGNA"}, "model: there is no family 'DCGNA'; did you mean DCGAN"),
    ({"model__class_path": "dcgan"}, "model: there is no family 'dcgan'; did you mean DCGAN"),
    ({"model": 3}, "not a recipe; it has no key `model`, which says what to train"),
    ({"data__class_path": "Digit"}, "data: there is no data source 'Digit'; did you mean Digits"),
    ({"data__init_args__batchsize": 8}, "data.batchsize: Digits has no argument 'batchsize'; did you mean batch_size?"),
    ({"data__init_args__batch_size": 0}, "data.batch_size is 0; at least 1 is expected"),
    ({"data__class_path": "Data"}, "data is the base class; there are AvatarOutlines, AvatarRain, Avatars, DigitEdges"),
    ({"trainer__max_stesp": 3}, "there is no key trainer.max_stesp; did you mean max_steps"),
    ({"trainer__max_steps": "many"}, "trainer.max_steps is many; a whole number is expected"),
    ({"engine__averge": 3}, "there is no key engine.averge; did you mean average?"),
    ({"engine__average": "foo"}, "engine.average is foo; a number or paper or null is expected"),
    ({"engine__clip": -1}, "engine.clip is -1; more than 0 or null is expected"),
    ({"engine__seed": 4}, "engine.seed is 4; set a run's seed by seed_everything"),
    ({"run__logger": "mlflow"}, "run.logger is mlflow; wandb or tensorboard or null is expected"),
    ({"run__save_every": 0}, "run.save_every is 0; at least 1 is expected"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "line"), FAULTS)
def test_a_fault_in_a_recipe_is_one_line(
    change: dict[str, Any], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, write(tmp_path, **change), "--dry-run").startswith(line)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--model.init_args.width", "abc"], "model.width is abc; a whole number is expected"),
        (["--model.widht", "4"], "model.widht: DCGAN has no argument 'widht'; did you mean width?"),
        (["--modle", "x"], "there is no key modle; did you mean model?"),
        (["--trainer.max_step", "4"], "there is no key trainer.max_step; did you mean max_steps"),
        (["--model", "DCGNA"], "model: there is no family 'DCGNA'; did you mean DCGAN"),
        (["stray"], "there is no place for stray; keys are set by --KEY VALUE"),
        (["--config", "/no/such/file"], "config: File does not exist: '/no/such/file'"),
    ],
)
def test_a_fault_in_an_override_is_one_line(
    words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, write(tmp_path), *words).startswith(line)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "not a recipe; it has no key `model`"),
        (b"hello", "not a recipe; it has no key `model`"),
        (b"- a\n- b\n", "not a recipe; it has no key `model`"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "not a text file, and a recipe is YAML"),
        (b"model: [\n a: {", "not YAML: line 2: "),
        (b"model: !!python/object/apply:os.system ['true']", "not YAML: line 1: could not determine a constructor"),
        (b"model: " + b"[" * 5_000, "nested too deeply to be a recipe"),
    ],
)
def test_a_file_that_is_no_recipe(
    content: bytes, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    assert said(capsys, path).startswith(line)


def test_a_recipe_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "dcgan/digit"]) == 2
    assert "there is no recipe dcgan/digit; did you mean dcgan/digits" in capsys.readouterr().err
    with pytest.raises(BadArgument, match=r"there is no recipe quux; `ganzoo list --recipes` shows"):
        find("quux")
    for name in ("dcgan/digits", "recipes/dcgan/digits.yaml", "dcgan/digits.yaml"):
        assert find(name).parts[-2:] == ("dcgan", "digits.yaml")


# ------------------------------------------------------------------------------------- nothing foreign is ever imported

EVIL = "raise SystemExit('it was imported')\n"


@pytest.mark.parametrize(
    "change",
    [
        {"model__class_path": "evil_module.Evil"},
        {"data__class_path": "evil_module.Evil"},
        {"trainer__callbacks": [{"class_path": "evil_module.Evil"}]},
        {"trainer__callbacks": "evil_module.Evil"},
        {"trainer__logger": {"class_path": "evil_module.Evil"}},
        {"trainer__strategy": {"class_path": "evil_module.Evil"}},
        {"trainer__plugins": {"class_path": "evil_module.Evil"}},
        {"trainer__profiler": {"class_path": "evil_module.Evil"}},
        {"model__class_path": "os.system", "model__init_args": {"command": "false"}},
        {"trainer__callbacks": [{"class_path": "subprocess.Popen", "init_args": {"args": ["false"]}}]},
        {"trainer__callbacks": [{"class_path": "lightning.pytorch.callbacks.LambdaCallback",
                                 "init_args": {"on_fit_start": "evil_module.evil"}}]},
        {"model__class_path": "ganzoo.families.dcgan.partial"},
    ],
)  # fmt: skip
def test_a_recipe_imports_nothing_foreign(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil_module.py").write_text(EVIL)
    monkeypatch.syspath_prepend(tmp_path)
    line = said(capsys, write(tmp_path, **change), "--dry-run")
    assert "GANZOO_IMPORT" in line
    assert "evil_module" not in sys.modules


OWN = """
import numpy as np
from ganzoo.data.batch import Data, Images

class MyDots(Data):
    def __init__(self, level: int = 3, batch_size: int = 8) -> None:
        super().__init__(batch_size)
        self.level = level

    def read(self, split: str) -> Images:
        return Images("dots", np.full((16, 1, 8, 8), self.level, np.uint8))
"""


def test_ones_own_data_source_by_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_dots_source.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    path = write(tmp_path, data={"class_path": "my_dots_source.MyDots", "init_args": {"level": 7}})
    assert "GANZOO_IMPORT" in said(capsys, path, "--dry-run")
    monkeypatch.setenv("GANZOO_IMPORT", "my_dots_source")
    try:
        assert cli.main(["train", str(path), "--dry-run"]) == 0
        assert "level: 7" in capsys.readouterr().out
    finally:
        sys.modules.pop("my_dots_source", None)


# -------------------------------------------------------------------------------------------------------- what it does


def test_a_dry_run_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", str(path), "--dry-run", "--model.width", "5"]) == 0
    text = capsys.readouterr().out
    resolved = yaml.safe_load(text)
    assert resolved["engine"]["average"] == "paper" and resolved["trainer"]["max_steps"] == 4
    game = ganzoo.create("dcgan", **RECIPE["model"]["init_args"] | {"width": 5})
    assert resolved["model"]["init_args"] == game.arguments
    assert (game.arguments["lr"], game.arguments["betas"]) == (2e-4, [0.5, 0.999])
    for name in ("generator", "discriminator"):
        count = sum(p.numel() for p in getattr(game, name).parameters())
        assert f"# {name}: {count:,} parameters" in text
    assert "# batch: 8 a process on 1 process, 8 in all" in text and " for 4 steps" in text
    assert [entry.name for entry in tmp_path.iterdir()] == ["dcgan"]


def test_a_run_and_what_is_refused_after_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, run = write(tmp_path), tmp_path / "run"
    words = ["train", str(path), "--run.folder", str(run)]
    assert cli.main([*words, "--resume"]) == 2
    assert "holds no last.ckpt to go on from" in capsys.readouterr().err
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert f"the model is in {run / 'last'}" in out
    assert {"last.ckpt", "last", "log.jsonl", "previews", "reals.png", "recipe.yaml"} <= {p.name for p in run.iterdir()}
    assert cli.main(words) == 2
    assert "already holds a run; go on with --resume, or give another --run.folder" in capsys.readouterr().err
    before = ganzoo.load(run).inference_tensors()
    assert cli.main([*words, "--resume", "--trainer.max_steps", "6"]) == 0
    after = ganzoo.load(run)
    assert any(not torch.equal(before[key], value) for key, value in after.inference_tensors().items())
    assert after.card is not None and after.card.facts["steps"] == 6
    assert after.card.facts["training"]["recipe"] == "dcgan/digits.yaml"


TRAINED_ON_TWO = {"model": {"class_path": "ToyTranslation", "init_args": {"size": 8, "channels": 3}}}


def test_data_that_do_not_suit_a_translation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(prepared(tmp_path / "emoji"))
    with installed(tmp_path / "families", "toytranslation", TRANSLATION):
        path = write(tmp_path, **TRAINED_ON_TWO)
        text = said(capsys, path, status=1)
        assert "ToyTranslation learns two domains, and digits has one; give data with two: Pairs, Unpaired" in text
        emoji = {"class_path": "EmojiPairs", "init_args": {"root": root, "size": 16}}
        path = write(tmp_path, **TRAINED_ON_TWO, data=emoji)
        assert "the data are (3, 16, 16) and ToyTranslation expects (3, 8, 8)" in said(capsys, path)
        path = write(tmp_path, **TRAINED_ON_TWO, data={**emoji, "init_args": {"root": root, "size": 8}})
        words = ["--model.init_args.channels", "1"]
        assert "the data's targets are (3, 8, 8) and ToyTranslation makes (1, 8, 8)" in said(capsys, path, *words)


def test_data_that_do_not_suit_a_family_of_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = {"class_path": "ACGAN", "init_args": {"size": 8, "channels": 1, "classes": 7}}
    text = said(capsys, write(tmp_path, model=model))
    assert text == "digits has 10 classes and the model 7; set classes to 10"
    pairs = {"class_path": "Folder", "init_args": {"root": str(FILES / "google"), "size": 8, "channels": 1}}
    text = said(capsys, write(tmp_path, model=model, data=pairs), status=1)
    assert text == "ACGAN learns from labels, and google has none; give data with classes"


def test_a_dry_run_without_an_end_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", str(write(tmp_path)), "--dry-run", "--trainer.max_steps", "-1"]) == 0
    out = capsys.readouterr().out
    assert "# timing: steps on this machine, for 20 s at most; nothing is written" in out
    assert "ms a step here and now, without end (max_steps is -1)" in out
