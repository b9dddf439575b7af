"""Lightning's options and callbacks: each works, or is refused by name before anything is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch import callbacks, loggers

import ganzoo
from ganzoo import cli
from ganzoo.training import options, precision
from ganzoo.training.options import checked
from ganzoo.types import BadArgument

RECIPE = """
model: {class_path: DCGAN, init_args: {size: 8, channels: 1, latent: 8, width: 4}}
data: {class_path: Digits, init_args: {batch_size: 8}}
trainer: {max_steps: 4, accelerator: cpu, devices: 1}
run: {save_every: 2, preview_every: 100}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    return tmp_path / "tiny.yaml"


REFUSED: list[tuple[list[str], str]] = [
    (["--trainer.precision", "bf16-true"], "trainer.precision is bf16-true; 32-true, bf16-mixed, 16-mixed or auto"),
    (["--trainer.precision", "64-true"], "trainer.precision is 64-true; 32-true, bf16-mixed, 16-mixed or auto"),
    (["--trainer.precision", "16-mixed", "--trainer.accelerator", "cpu"], "trainer.precision is 16-mixed, which is of"),
    (["--trainer.precision", "16-true"], "trainer.precision is 16-true; 32-true, bf16-mixed, 16-mixed or auto"),
    (["--trainer.precision", "transformer-engine"], "trainer.precision is transformer-engine; "),
    (["--trainer.overfit_batches", "1"], "trainer.overfit_batches is 1; the data give batches without end"),
    (["--trainer.max_steps", "0"], "trainer.max_steps is 0; at least 1 is expected, or -1"),
    (["--trainer.max_steps", "-2"], "trainer.max_steps is -2; at least 1 is expected, or -1"),
    (["--trainer.max_epochs", "3"], "trainer.max_epochs is 3; training has no epochs"),
    (["--trainer.min_steps", "3"], "trainer.min_steps is 3; "),
    (["--trainer.accumulate_grad_batches", "2"], "trainer.accumulate_grad_batches is 2; "),
    (["--trainer.gradient_clip_val", "1"], "trainer.gradient_clip_val is 1; each player's gradient"),
    (["--trainer.fast_dev_run", "true"], "trainer.fast_dev_run is true; "),
    (["--trainer.barebones", "true"], "trainer.barebones is true; "),
    (["--trainer.use_distributed_sampler", "true"], "trainer.use_distributed_sampler is true; "),
    (["--trainer.accelerator", "gpu"], "trainer.accelerator is gpu, which is not there; auto or cpu is expected"),
    (["--trainer.accelerator", "tpu"], "trainer.accelerator is tpu, which there is not; auto or cpu is expected"),
    (["--trainer.strategy", "ddp"], "trainer.strategy is ddp; auto is expected, or ddp_game"),
    (["--trainer.strategy", "fsdp"], "trainer.strategy is fsdp; auto is expected, or ddp_game"),
    (["--trainer.logger", "true"], "trainer.logger is true; give run.logger wandb or tensorboard"),
    (["--trainer.devices", "[a]"], "trainer: `devices` selected with `CPUAccelerator` should be an int > 0"),
    (["--trainer.devices", "4096"], "trainer.devices is 4096, each of them a process; at most "),
    (["--trainer.logger", "[3]"], "trainer.logger has 3, which is no logger"),
    (["--trainer.callbacks", "[{class_path: EarlyStopping, init_args: {monitor: x}}]"],
     "trainer.callbacks has EarlyStopping: a game's losses do not say when it is done; run.score keeps the best model"),
    (["--trainer.callbacks", "[{class_path: StochasticWeightAveraging, init_args: {swa_lrs: 0.1}}]"],
     "trainer.callbacks has StochasticWeightAveraging: the generator's moving average is engine.average"),
    (["--trainer.callbacks", "EMAWeightAveraging"], "the generator's moving average is engine.average"),
    (["--trainer.callbacks", "LearningRateFinder"], "trainer.callbacks has LearningRateFinder: it was made for one"),
    (["--trainer.callbacks", "[{class_path: ModelCheckpoint, init_args: {monitor: loss}}]"],
     "trainer.callbacks has ModelCheckpoint with monitor loss; losses are no scores"),
    (["--trainer.callbacks", "[{class_path: Timer, init_args: {duraton: 3}}]"],
     "trainer.callbacks.duraton: Timer has no argument 'duraton'; did you mean duration?"),
    (["--trainer.callbacks", "[{class_path: Timer, init_args: {duration: soon}}]"], "trainer.callbacks: Timer: "),
    (["--trainer.callbacks", "Tmer"], "trainer.callbacks: there is no callback 'Tmer'; did you mean Timer?"),
    (["--trainer.callbacks", "[3]"], "trainer.callbacks has 3, which is no callback"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "says"), REFUSED)
def test_what_a_game_cannot_have_is_refused_by_name(
    words: list[str], says: str, recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for dry in ([], ["--dry-run"]):
        assert cli.main(["train", str(recipe), "--run.folder", str(recipe.parent / "run"), *words, *dry]) == 2
        out, err = capsys.readouterr()
        assert says in err and err.count("\n") == 1 and out == "", err
        assert "unexpected" not in err
    assert not (recipe.parent / "run").exists()


WORKING: list[tuple[str, str]] = [
    ("trainer.callbacks", "[{class_path: Timer, init_args: {duration: '00:01:00:00'}}]"),
    ("trainer.callbacks", "[{class_path: ModelCheckpoint, init_args: {every_n_train_steps: 2, save_top_k: -1}}]"),
    ("trainer.callbacks", "RichProgressBar"),
    ("trainer.callbacks", "[TQDMProgressBar]"),
    ("trainer.callbacks", "[{class_path: lightning.pytorch.callbacks.RichModelSummary}]"),
    ("trainer.callbacks", "[{class_path: DeviceStatsMonitor, init_args: {cpu_stats: false}}]"),
    ("trainer.callbacks", "LearningRateMonitor"),
    ("trainer.callbacks", "[{class_path: OnExceptionCheckpoint, init_args: {dirpath: saved}}]"),
    ("trainer.logger", "CSVLogger"),
    ("trainer.profiler", "simple"),
    ("trainer.max_time", "00:01:00:00"),
    ("trainer.detect_anomaly", "true"),
    ("trainer.deterministic", "true"),
    ("trainer.limit_train_batches", "3"),
    ("trainer.enable_model_summary", "true"),
    ("trainer.strategy", "ddp_game"),
    ("trainer.precision", "bf16-mixed"),
]


@pytest.mark.parametrize(("key", "value"), WORKING)
def test_what_works_works_and_goes_on(
    key: str, value: str, recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(recipe.parent)
    run = recipe.parent / "run"
    assert cli.main(["train", str(recipe), "--run.folder", str(run), f"--{key}", value]) == 0
    assert cli.main(["train", str(run), "--resume", "--trainer.max_steps", "6"]) == 0
    assert "trained 6 steps on 48 images" in capsys.readouterr().out
    if "ModelCheckpoint" in value:
        assert any("step=2" in path.name for path in run.rglob("*.ckpt"))
    if key == "trainer.logger":
        assert list(run.rglob("metrics.csv"))


def test_a_run_leaves_no_launch_behind(recipe: Path) -> None:
    before = dict(os.environ)
    ganzoo.train(recipe, folder=recipe.parent / "run", strategy="ddp_game")
    assert {name for name in os.environ.keys() ^ before.keys() if "RANK" in name or "MASTER" in name} == set()


def test_a_timer_ends_a_run_and_the_run_is_saved(recipe: Path) -> None:
    run = recipe.parent / "run"
    trained = ganzoo.train(recipe, folder=run, max_steps=-1, max_time={"seconds": 2})
    assert trained.steps > 0 and ganzoo.load(run).card.facts["steps"] == trained.steps  # type: ignore[union-attr]


class Own(L.Callback):
    """A callback of one's own."""

    seen = 0

    def on_train_batch_end(self, *args: Any) -> None:
        self.seen += 1


def test_objects_from_python(recipe: Path) -> None:
    own, run = Own(), recipe.parent / "run"
    log = loggers.CSVLogger(recipe.parent / "csv")
    ganzoo.train(recipe, folder=run, callbacks=[own, callbacks.Timer()], logger=log)
    assert own.seen == 4 and list((recipe.parent / "csv").rglob("metrics.csv"))
    assert ganzoo.train(run, resume=True, max_steps=5).steps == 5, "without what was made in Python"
    with pytest.raises(BadArgument, match="EarlyStopping"):
        ganzoo.train(recipe, folder=recipe.parent / "other", callbacks=callbacks.EarlyStopping("x"))


def test_two_bars_are_one() -> None:
    made, log = options.for_trainer(checked({"callbacks": [callbacks.TQDMProgressBar()]}), "runs/x")
    assert made["enable_progress_bar"] and not made["enable_checkpointing"] and log == []


# --------------------------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize(
    ("flags", "capability", "accelerator", "expected"),
    [
        ({"avx2"}, None, "cpu", "32-true"),
        ({"avx2"}, None, "auto", "32-true"),
        ({"avx512_bf16"}, None, "cpu", "bf16-mixed"),
        ({"amx_bf16"}, None, "auto", "bf16-mixed"),
        ({"bf16"}, None, "cpu", "bf16-mixed"),
        ({"avx512_bf16"}, (7, 5), "auto", "32-true"),
        ({"avx512_bf16"}, (7, 5), "cpu", "bf16-mixed"),
        ({"avx2"}, (8, 0), "auto", "bf16-mixed"),
        ({"avx2"}, (9, 0), "gpu", "bf16-mixed"),
        ({"avx2"}, (9, 0), "cpu", "32-true"),
    ],
)
def test_auto_is_bf16_where_the_hardware_computes_in_it(
    flags: set[str],
    capability: tuple[int, int] | None,
    accelerator: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "_cpu_flags", lambda: flags)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert precision.resolve("auto", accelerator) == expected
    assert (precision.cost_of("bf16-mixed", accelerator) is None) == (expected == "bf16-mixed")
    assert precision.cost_of("32-true", accelerator) is None


@pytest.mark.parametrize(
    ("asked", "name"),
    [(None, "32-true"), (32, "32-true"), ("32", "32-true"), (16, "16-mixed"), ("bf16", "bf16-mixed")],
)
def test_short_names_of_precisions(asked: Any, name: str) -> None:
    assert precision.resolve(asked, "gpu") == name


def test_flags_are_read_from_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name : X\nflags\t\t: fpu avx512_bf16 amx_bf16\n")
    monkeypatch.setattr(precision, "Path", lambda _: info)
    assert precision._cpu_flags() == {"fpu", "avx512_bf16", "amx_bf16"}
    info.unlink()
    assert precision._cpu_flags() == set()


def test_the_precision_is_said_recorded_and_kept(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = recipe.parent / "run"
    words = ["train", str(recipe), "--run.folder", str(run), "--trainer.precision", "auto"]
    monkeypatch.setattr(precision, "_cpu_flags", lambda: {"avx512_bf16"})
    assert cli.main(words) == 0
    assert "trainer.precision is auto: bf16-mixed here" in capsys.readouterr().out
    assert "precision: bf16-mixed" in (run / "recipe.yaml").read_text()
    assert ganzoo.load(run).card.facts["training"]["precision"] == "bf16-mixed"  # type: ignore[union-attr]
    monkeypatch.setattr(precision, "_cpu_flags", lambda: {"avx2"})
    assert cli.main(["train", str(run), "--resume", "--trainer.precision", "auto", "--trainer.max_steps", "5"]) == 0
    out = capsys.readouterr().out
    assert "this processor does not compute: a step takes up to 15 times as long" in out and out.count("bf16") == 1
    assert ganzoo.load(run).card.facts["training"]["precision"] == "bf16-mixed"  # type: ignore[union-attr]
