"""The folder is the run: what goes on is what began, from the command line and from Python."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import ganzoo
from ganzoo import cli
from ganzoo.data.batch import Data, Images
from ganzoo.folder import PLAYERS, ModelFolder
from ganzoo.training.checkpoints import LAST, PREVIOUS
from ganzoo.types import BadArgument
from ganzoo.zoo.runs import plan_of

RECIPE = """
seed_everything: 3
model: {class_path: DCGAN, init_args: {size: 8, channels: 1, latent: 8, width: 4}}
data: {class_path: Folder, init_args: {root: photos, size: 8, channels: 1, batch_size: 4}}
trainer: {max_steps: 6, accelerator: cpu, devices: 1}
engine: {average: 200, log_every: 1}
run: {save_every: 3, preview_every: 3}
"""
BEGUN = ["--model.init_args.lr", "0.05", "--seed_everything", "7", "--data.init_args.batch_size", "2"]


def draw(folder: Path, count: int = 12) -> Path:
    """A folder of small pictures."""
    folder.mkdir(parents=True)
    rng = np.random.RandomState(0)
    for i in range(count):
        Image.fromarray(rng.randint(0, 256, (8, 8)).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `tiny.yaml` and `photos`, where the process stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    draw(tmp_path / "photos")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def train(*words: str) -> int:
    return cli.main(["train", *words])


def refused(capsys: pytest.CaptureFixture[str], run: Path, *words: str) -> str:
    """The one line of a refusal, which changes nothing on the disk."""
    before = contents(run)
    assert train(*words) == 2
    out, err = capsys.readouterr()
    assert err.startswith("ganzoo: ") and err.count("\n") == 1 and out == "", (out, err)
    assert contents(run) == before
    return err


def test_a_run_goes_on_with_what_it_began_with(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = here / "h 1"
    assert train("tiny.yaml", "--run.folder", "h 1", *BEGUN) == 0
    written = (run / "recipe.yaml").read_bytes()
    recipe = yaml.safe_load(written)
    assert recipe["seed_everything"] == 7 and recipe["model"]["init_args"]["lr"] == 0.05
    assert recipe["data"]["init_args"]["batch_size"] == 2 and recipe["run"]["name"] == "tiny"
    assert recipe["engine"]["rampup"] == 0.05 and recipe["trainer"]["precision"] == "32-true", "resolved and complete"
    assert train("h 1", "--resume", "--trainer.max_steps", "9") == 0
    assert (run / "recipe.yaml").read_bytes() == written, "written once"
    (line,) = [json.loads(line) for line in (run / "changes.jsonl").read_text().splitlines()]
    assert line["step"] == 6 and line["changes"] == {"trainer.max_steps": 9}
    # What was changed stays changed, and the whole is the run that was never interrupted
    assert train("h 1", "--resume") == 0
    assert "trained 9 steps" in capsys.readouterr().out
    assert train("tiny.yaml", "--run.folder", "whole", *BEGUN, "--trainer.max_steps", "9") == 0
    one, other = (ModelFolder(here / name / "last") for name in ("h 1", "whole"))
    assert all(torch.equal(value, other.tensors(PLAYERS)[key]) for key, value in one.tensors(PLAYERS).items())
    training = one.config["training"]
    assert (training["batch_size"], training["max_steps"], training["recipe"]) == (2, 9, f"{here.name}/tiny.yaml")
    assert one.config["arguments"]["lr"] == 0.05
    checkpoint = torch.load(run / LAST, weights_only=True)
    assert [state["param_groups"][0]["initial_lr"] for state in checkpoint["optimizer_states"]] == [0.05, 0.05]


def test_the_command_that_goes_on_is_a_shells(here: Path) -> None:
    from ganzoo.training.run import Interrupted

    stopped = Interrupted(Path("runs/h 1"), 3, True)
    assert shlex.split(shlex.join(["ganzoo", "train", str(stopped.folder), "--resume"]))[2] == "runs/h 1"
    assert "ganzoo.train('runs/h 1', resume=True)" in str(stopped)


def test_a_recipe_goes_on_when_it_names_the_same_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("tiny.yaml", *BEGUN) == 0
    capsys.readouterr()
    assert train("tiny.yaml", "--resume", "--trainer.max_steps", "8") == 0
    out = capsys.readouterr().out
    assert "the run goes on with its own recipe: seed_everything 7, where tiny.yaml has 3" in out
    config = ModelFolder(here / "runs" / "tiny" / "last").config
    assert config["steps"] == 8 and config["arguments"]["lr"] == 0.05
    other = yaml.safe_load(RECIPE)
    other["model"] = {"class_path": "WGAN", "init_args": {"size": 8, "channels": 1, "latent": 8, "width": 4}}
    (here / "other.yaml").write_text(yaml.safe_dump(other))
    line = refused(capsys, here / "runs", "other.yaml", "--resume", "--run.folder", "runs/tiny")
    assert "the run in runs/tiny has model DCGAN, and the recipe WGAN" in line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model.init_args.lr", "0.1"], "model.init_args.lr is 0.1, and 0.0002 in the run"),
        (["--model.lr", "0.1"], "model.init_args.lr is 0.1, and 0.0002 in the run"),
        (["--model", "WGAN"], "model.class_path is WGAN, and DCGAN in the run"),
        (["--data.init_args.batch_size", "8"], "data.init_args.batch_size is 8, and 4 in the run"),
        (["--seed_everything", "4"], "seed_everything is 4, and 3 in the run"),
        (["--engine.average", "null"], "engine.average is None, and 200.0 in the run"),
        (["--trainer.precision", "bf16-mixed"], "trainer.precision is bf16-mixed, and 32-true in the run"),
        (["--run.storage", "float16"], "run.storage is float16, and float32 in the run"),
        (["--init_from", "dcgan-digits"], "init_from is dcgan-digits, and None in the run"),
        (["--model.init_args.size", "16"], "model.init_args.size is 16, and 8 in the run"),
        (["--trainer.max_steps", "many"], "trainer.max_steps is many; a whole number is expected"),
        (["--modle", "x"], "there is no key modle"),
    ],
)
def test_what_may_not_change_is_refused_by_name(
    words: list[str], says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = here / "run"
    ganzoo.train("tiny.yaml", folder="run", max_steps=1)
    capsys.readouterr()
    assert says in refused(capsys, run, "run", "--resume", *words)


def test_what_may_change_is_noted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("tiny.yaml", "--run.folder", "run") == 0
    (here / "photos").rename(here / "moved")
    capsys.readouterr()
    assert train("run", "--resume") == 1
    line = capsys.readouterr().err
    assert "photos" in line
    changes = {
        "trainer.max_steps": 8,
        "engine.log_every": 2,
        "run.save_every": 2,
        "run.preview_every": 4,
        "run.protocols": [],
        "data.init_args.root": "moved",
        "data.init_args.workers": 1,
    }
    words = [word for key, value in changes.items() for word in (f"--{key}", str(value))]
    assert train("run", "--resume", *words) == 0
    changes.pop("run.protocols")  # it is what it was
    (line,) = (here / "run" / "changes.jsonl").read_text().splitlines()
    assert json.loads(line)["changes"] == changes
    assert ModelFolder(here / "run" / "last").config["steps"] == 8
    assert train("run", "--resume") == 0, "from the folder that the data were moved to"


def test_other_data_are_no_continuation(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("tiny.yaml", "--run.folder", "run") == 0
    draw(here / "others", 60)
    capsys.readouterr()
    words = ["run", "--resume", "--trainer.max_steps", "8", "--data.init_args.root", "others"]
    assert "the data others are not those that the run began with" in refused(capsys, here / "run", *words)


def test_a_run_that_was_never_saved_begins_again_from_its_folder(here: Path) -> None:
    assert train("tiny.yaml", "--run.folder", "run") == 0
    for name in (LAST, PREVIOUS):
        (here / "run" / name).unlink()
    assert train("run", "--resume") == 2
    assert train("run", "--trainer.max_steps", "2") == 0
    assert yaml.safe_load((here / "run" / "recipe.yaml").read_text())["trainer"]["max_steps"] == 2
    assert train("run") == 2, "it holds a run now"


# ------------------------------------------------------------------------------------------------------- from Python


class Dots(Data):
    """Grey squares: a source that no recipe can name."""

    def __init__(self, values: Any, batch_size: int = 4) -> None:
        super().__init__(batch_size)
        self.values = values

    def read(self, split: str) -> Images:
        return Images("dots", self.values)


def dots(level: int = 3) -> Dots:
    return Dots(np.full((16, 1, 8, 8), level, np.uint8))


def game(**changes: Any) -> Any:
    torch.manual_seed(0)
    return ganzoo.create("dcgan", **{"size": 8, "channels": 1, "latent": 8, "width": 4, **changes})


def test_a_game_and_a_folder_of_pictures(here: Path) -> None:
    trained = ganzoo.train(game(), "photos", folder="run", max_steps=2, batch_size=4, accelerator="cpu", devices=1)
    assert (trained.steps, trained.images_seen, trained.model) == (2, 8, Path("run/last"))
    recipe = yaml.safe_load((here / "run" / "recipe.yaml").read_text())
    assert recipe["data"]["class_path"] == "Folder" and recipe["data"]["init_args"]["size"] == 8
    assert ganzoo.train("run", resume=True, max_steps=4).steps == 4
    assert ganzoo.load("run").sample(1).shape == (1, 1, 8, 8)


def test_a_source_by_its_name_and_the_engine(here: Path) -> None:
    ganzoo.train(game(), "digits", folder="run", engine={"average": 10.0, "seed": 5}, max_steps=1, save_every=7)
    recipe = yaml.safe_load((here / "run" / "recipe.yaml").read_text())
    assert recipe["engine"]["average"] == 10.0 and recipe["seed_everything"] == 5 and recipe["run"]["save_every"] == 7


def test_what_no_recipe_can_name_goes_on_when_it_is_given_again(here: Path) -> None:
    options: dict[str, Any] = {"folder": "run", "accelerator": "cpu", "devices": 1}
    ganzoo.train(game(), dots(), max_steps=3, **options)
    ganzoo.train(game(), dots(), max_steps=6, resume=True, **options)
    ganzoo.train(game(), dots(), max_steps=6, **{**options, "folder": "whole"})
    one, other = (ModelFolder(here / name / "last").tensors(PLAYERS) for name in ("run", "whole"))
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    for arguments, says in (
        ((game(), dots(9)), "not those that the run began with"),
        ((game(lr=0.1), dots()), "model.init_args.lr is 0.1, and 0.0002"),
        ((game(), None), "it was made in Python: give it again"),
    ):
        before = contents(here / "run")
        with pytest.raises(BadArgument, match=says):
            ganzoo.train(*arguments, max_steps=9, resume=True, **options)
        assert contents(here / "run") == before


def test_data_that_are_missing_or_wrong_are_one_line(here: Path) -> None:
    for arguments, says in (
        ((game(),), "data is missing"),
        ((game(), "digit"), "did you mean Digits"),
        ((game(size=16), dots()), r"the data are \(1, 8, 8\)"),
    ):
        with pytest.raises(ganzoo.GanzooError, match=says):
            ganzoo.train(*arguments, folder="run", max_steps=1)
    with pytest.raises(BadArgument, match=r"there is no key trainer\.max_step; did you mean max_steps"):
        ganzoo.train(game(), dots(), folder="run", max_step=1)
    assert not (here / "run").exists()


# ------------------------------------------------------------------------------------------------------- training on


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    keys = [key for key in one if key.endswith(".weight") and key in other]
    return float(torch.cat([(one[key] - other[key]).flatten() for key in keys]).norm())


@pytest.mark.parametrize("loaded", [False, True])
def test_fine_tuning_keeps_the_average_that_it_began_with(loaded: bool, here: Path) -> None:
    """With a ramp-up β would be 0.5^(4 / 0.2) in the first update, and the average would be the live generator."""
    options: dict[str, Any] = {"max_steps": 1, "accelerator": "cpu", "devices": 1, "folder": "tuned"}
    ganzoo.train(game(), dots(), **{**options, "folder": "source", "max_steps": 30}, engine={"average": 300.0})
    if loaded:
        ganzoo.train(ganzoo.load("source", players=True), dots(), **options)
    else:
        pictures = "{root: photos, size: 8, channels: 1, batch_size: 4}"
        text = f"init_from: source/last\ndata: {{class_path: Folder, init_args: {pictures}}}\n"
        (here / "tune.yaml").write_text(text)
        ganzoo.train("tune.yaml", **options)
    before, after = (ganzoo.load(here / name).inference_tensors() for name in ("source", "tuned"))
    live = ganzoo.load(here / "source", players=True).player_tensors()
    assert distance(after, before) < 0.1 * distance(live, before)
    recipe = yaml.safe_load((here / "tuned" / "recipe.yaml").read_text())
    assert recipe["engine"]["rampup"] is None and "source" in recipe["init_from"]
    # The folder's half-life goes on too, where the recipe says nothing of it: 4 images of 300
    players = ganzoo.load(here / "tuned", players=True)
    assert players.resumed_half_life == 300.0
    beta = 0.5 ** (4 / 300)
    key = "generator.main.0.weight"
    expected = beta * before[key] + (1 - beta) * players.player_tensors()[key]
    assert torch.allclose(after[key], expected, atol=1e-6)


def test_a_ramp_up_that_is_asked_for_is_kept(here: Path) -> None:
    ganzoo.train(game(), dots(), folder="source", engine={"average": 300.0}, max_steps=2)
    model = ganzoo.load("source", players=True)
    ganzoo.train(model, dots(), folder="tuned", engine={"rampup": 0.5, "average": 300.0}, max_steps=1)
    assert yaml.safe_load((here / "tuned" / "recipe.yaml").read_text())["engine"]["rampup"] == 0.5


def test_ada_adjusts_faster_where_a_model_is_trained_on(here: Path) -> None:
    (here / "tune.yaml").write_text(
        "init_from: stylegan2-fashion-mnist\nmodel: {class_path: StyleGAN2, init_args: {augment: ada}}\n"
        "data: {class_path: Folder, init_args: {root: photos, size: 32, channels: 1, batch_size: 4}}\n"
    )
    assert ganzoo.load("stylegan2-fashion-mnist").arguments["augment_images"] == 500_000
    plan = plan_of("tune.yaml", {})
    assert plan.game.arguments["augment_images"] == 100_000
    plan = plan_of("tune.yaml", {"model.init_args.augment_images": 7})
    assert plan.game.arguments["augment_images"] == 7
    fresh: Any = ganzoo.create("stylegan2", size=8, channels=1, augment="ada", channel_base=64, channel_max=8)
    assert fresh.augment.images == 500_000
    fresh.train_on()
    assert fresh.augment.images == fresh.arguments["augment_images"] == 100_000


def test_what_torchrun_begins_again_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r.yaml").write_text(
        "model: {class_path: DCGAN, init_args: {size: 8, channels: 1, latent: 8, width: 4}}\n"
        "data: {class_path: Digits, init_args: {batch_size: 8}}\n"
        f"run: {{folder: {tmp_path / 'run'}}}\ntrainer: {{max_steps: 4, accelerator: cpu, devices: 1}}\n"
    )
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")  # it was lost before it had saved
    assert not plan_of(tmp_path / "r.yaml", {}).resume
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    assert plan_of(tmp_path / "r.yaml", {}).train().steps == 4
    with pytest.raises(BadArgument, match="already holds a run"):
        plan_of(tmp_path / "r.yaml", {}).train()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    assert plan_of(tmp_path / "r.yaml", {"trainer.max_steps": 6}).train().steps == 6
