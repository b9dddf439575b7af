"""A run's folder after kills, damage, full disks and signals: what goes on is the run, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from helpers import tiny, trainer
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import ganzoo
from ganzoo import cli
from ganzoo.families.dcgan import DCGAN
from ganzoo.folder import PLAYERS, ModelFolder
from ganzoo.training import checkpoints
from ganzoo.training.checkpoints import LAST, PREVIOUS
from ganzoo.types import BadArgument, Batch, GanzooError

RECIPE = """
seed_everything: 3
model: {class_path: DCGAN, init_args: {size: 8, channels: 1, latent: 8, width: 4}}
data: {class_path: Digits, init_args: {batch_size: 8}}
trainer: {max_steps: 8, accelerator: cpu, devices: 1}
engine: {average: 200, log_every: 1}
run: {save_every: 2, preview_every: 100}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 8 steps that nobody interrupted, and beside it the same run at step 4."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "tiny.yaml").write_text(RECIPE)
    for name, steps in (("at4", 4), ("run", 8)):
        ganzoo.train(folder / "tiny.yaml", folder=folder / name, max_steps=steps)
    return folder


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of the whole run."""
    return Path(shutil.copytree(whole / "run", tmp_path / "run"))


def players(folder: Path) -> dict[str, torch.Tensor]:
    return ModelFolder(folder / "last").tensors(PLAYERS)


def assert_is(run: Path, whole: Path, steps: int = 8) -> None:
    """The run has come to what the whole one has."""
    assert ModelFolder(run / "last").config["steps"] == checkpoints.read(run / LAST)["global_step"] == steps
    assert all(torch.equal(value, players(whole / "run")[key]) for key, value in players(run).items())
    found = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert found == list(range(1, steps + 1))


# ------------------------------------------------------------------------------------------------------------- kills


def killed_between(run: Path, whole: Path) -> None:
    """The folder as a kill between the last checkpoint and the exchange of the model folder leaves it."""
    shutil.rmtree(run / "last")
    shutil.copytree(whole / "at4" / "last", run / "last")
    (run / ".last.x1.part").mkdir()
    (run / ".last.x1.part" / "model.safetensors").write_bytes(b"half")
    (run / f".{LAST}.x2.part").write_bytes(b"half")
    (run / ".best.x3.part").mkdir()


@pytest.mark.parametrize("steps", [8, 9])
def test_a_folder_behind_its_checkpoint_is_written(
    steps: int, run: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_between(run, whole)
    assert ModelFolder(run / "last").config["steps"] == 4
    assert cli.main(["train", str(run), "--resume", "--trainer.max_steps", str(steps)]) == 0
    assert f"trained {steps} steps on {8 * steps} images" in capsys.readouterr().out
    assert ModelFolder(run / "last").config["steps"] == steps
    if steps == 8:
        assert_is(run, whole)
        one, other = ganzoo.load(run), ganzoo.load(whole / "run")
        assert torch.equal(one.sample(4, seed=1), other.sample(4, seed=1))
    assert not [path for path in run.iterdir() if path.name.endswith(".part")]


def test_a_missing_or_damaged_folder_is_written_again(run: Path, whole: Path) -> None:
    (run / "last" / "config.json").write_text("{")
    assert ganzoo.train(run, resume=True).steps == 8
    assert_is(run, whole)
    shutil.rmtree(run / "last")
    ganzoo.train(run, resume=True)
    assert_is(run, whole)


# ------------------------------------------------------------------------------------------------------------ damage


@pytest.mark.parametrize("kind", ["half", "empty", "pickle", "flipped", "gone"])
def test_a_damaged_checkpoint_costs_what_came_after_the_one_before(
    kind: str, run: Path, whole: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = (run / LAST).read_bytes()
    damaged = {
        "half": content[: len(content) // 2],
        "empty": b"",
        "pickle": b"\x80\x04cposix\nsystem\n(X\x05\x00\x00\x00falsetR.",
        "flipped": content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
    }
    if kind == "gone":
        (run / LAST).unlink()
    else:
        (run / LAST).write_bytes(damaged[kind])
    assert checkpoints.read(run / PREVIOUS)["global_step"] == 6
    assert cli.main(["train", str(run), "--resume"]) == 0
    out, err = capfd.readouterr()
    if kind != "gone":
        assert f"{LAST}: damaged" in err and f"going on from {PREVIOUS}, of step 6" in err and err.count("\n") == 1
    assert "weights_only" not in out + err
    assert_is(run, whole)
    assert checkpoints.read(run / PREVIOUS)["global_step"] == 6, "the damaged one is not kept in its place"


def test_two_damaged_checkpoints_are_one_line(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in (LAST, PREVIOUS):
        (run / name).write_bytes((run / name).read_bytes()[:2000])
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert cli.main(["train", str(run), "--resume"]) == 1
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and f"{LAST}: damaged" in err and "no sound" in err and "weights_only" not in err
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


# --------------------------------------------------------------------------------------------------------- full disks


@pytest.fixture
def limit() -> Iterator[Any]:
    """Sets the length at which the system refuses to write on, as a full disk does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (before[1] if size is None else size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Full(L.Callback):
    """Fills the disk at one step, and empties it at another."""

    def __init__(self, limit: Any, full: int, free: int | None, size: int = 4000) -> None:
        self.limit, self.full, self.free, self.size = limit, full, free, size

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        if trainer.global_step == self.full:
            self.limit(self.size)
        if trainer.global_step == self.free:
            self.limit(None)


@pytest.mark.parametrize("size", [100, 4000])
def test_a_full_disk_costs_one_save(size: int, whole: Path, tmp_path: Path, limit: Any) -> None:
    with pytest.warns(UserWarning, match=r"step 4 was not saved in .*File too large"):
        ganzoo.train(whole / "tiny.yaml", folder=tmp_path / "run", callbacks=[Full(limit, 3, 5, size)])
    assert_is(tmp_path / "run", whole)
    assert checkpoints.read(tmp_path / "run" / PREVIOUS)["global_step"] == 6


def test_a_full_disk_costs_the_best_model_a_chance(
    whole: Path, tmp_path: Path, limit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of three measurements is the best: its model is lost, and the next that can be kept is."""
    key, values = "fd100_digits_cnn", iter([1.0, 3.0, 2.0])
    found = "ganzoo.training.scores.measure"
    monkeypatch.setattr(found, lambda *args, **options: [SimpleNamespace(key=key, value=next(values))])
    run = tmp_path / "run"
    options: dict[str, Any] = {"score": key, "score_every": 24, "preview_every": 2}
    with pytest.warns() as said:
        trained = ganzoo.train(whole / "tiny.yaml", folder=run, callbacks=[Full(limit, 1, 6, 100)], **options)
    lines = {str(warning.message).removeprefix(f"{run}/") for warning in said if warning.category is UserWarning}
    assert "best was not written (File too large); the next better model is kept" in lines
    assert "scores.png was not written (File too large); the next measurement draws it" in lines
    assert "previews/00000004.png was not written (File too large); it is left out" in lines
    assert trained.model == run / "best" and ModelFolder(run / "best").config["steps"] == 8
    assert (run / "scores.png").is_file() and ModelFolder(run / "last").config["steps"] == 8


def test_a_last_save_that_fails_ends_with_1(
    whole: Path, tmp_path: Path, limit: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step, run = DCGAN.training_step, tmp_path / "run"

    def filling(self: Any, batch: Any, batch_idx: int) -> None:
        if self.global_step == 5:
            limit(4000)
        step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(DCGAN, "training_step", filling)
        assert cli.main(["train", str(whole / "tiny.yaml"), "--run.folder", str(run)]) == 1
    limit(None)
    err = capsys.readouterr().err
    assert "the last save failed (File too large); make room" in err and "Traceback" not in err
    assert checkpoints.read(run / LAST)["global_step"] == 4, "what was saved before stays"
    assert cli.main(["train", str(run), "--resume"]) == 0
    assert_is(run, whole)


# ------------------------------------------------------------------------------------------------------------ signals


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sends this process a signal, once or twice, in the middle of the third batch."""

    def arrange(number: int, times: int = 1) -> None:
        step = DCGAN.training_step

        def sent(self: Any, batch: Any, batch_idx: int) -> None:
            for _ in range(times if self.batches_seen == 3 else 0):
                os.kill(os.getpid(), number)
            step(self, batch, batch_idx)

        monkeypatch.setattr(DCGAN, "training_step", sent)

    return arrange


@pytest.mark.skipif(os.name != "posix", reason="signals are the system's")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_a_signal_saves_and_the_run_goes_on(
    name: str, whole: Path, tmp_path: Path, signalled: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    number, run = getattr(signal, name), tmp_path / "run"
    if signal.getsignal(number) == signal.SIG_IGN:  # as nohup and a shell's background have it
        pytest.skip(f"{name} is ignored by whoever started the tests")
    before = signal.getsignal(number)
    signalled(number)
    assert cli.main(["train", str(whole / "tiny.yaml"), "--run.folder", str(run)]) == 130
    assert signal.getsignal(number) == before
    assert f"interrupted at step 3, saved; go on with: ganzoo train {run} --resume\n" in capsys.readouterr().out
    assert checkpoints.read(run / LAST)["global_step"] == 3
    assert cli.main(["train", str(run), "--resume"]) == 0
    assert_is(run, whole)


@pytest.mark.skipif(os.name != "posix", reason="signals are the system's")
def test_a_hangup_that_nohup_ignores_stays_ignored(whole: Path, tmp_path: Path, signalled: Any) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signalled(signal.SIGHUP)
        assert ganzoo.train(whole / "tiny.yaml", folder=tmp_path / "run").steps == 8
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_ctrl_c_ends_at_once_with_130(
    whole: Path, tmp_path: Path, signalled: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before, run = signal.getsignal(signal.SIGINT), tmp_path / "run"
    signalled(signal.SIGINT, times=2)
    try:
        assert cli.main(["train", str(whole / "tiny.yaml"), "--run.folder", str(run)]) == 130
        assert signal.getsignal(signal.SIGINT) == before
    finally:
        signal.signal(signal.SIGINT, before)
    out, err = capsys.readouterr()
    assert err == "ganzoo: interrupted\n" and "saved" not in out
    assert checkpoints.read(run / LAST)["global_step"] == 2


def test_python_hears_of_ctrl_c_after_the_run_was_saved(whole: Path, tmp_path: Path, signalled: Any) -> None:
    run = tmp_path / "run"
    signalled(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=r"at step 3, saved; ganzoo\.train\(.*resume=True\) goes on"):
        ganzoo.train(whole / "tiny.yaml", folder=run)
    assert ganzoo.train(run, resume=True).steps == 8
    assert_is(run, whole)


# ---------------------------------------------------------------------------------------------- data of other kinds


def test_three_pictures_are_enough_to_train_preview_score_and_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: Any
) -> None:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    (tmp_path / "few").mkdir()
    for i in range(3):
        pixels = np.random.RandomState(i).randint(0, 256, (8, 8)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "few" / f"{i}.png")
    (tmp_path / "few.yaml").write_text(
        RECIPE.replace("Digits, init_args: {", f"Folder, init_args: {{root: {tmp_path / 'few'}, size: 8, channels: 1, ")
    )
    key = "kid3_digits_cnn"
    words = ["--run.score", key, "--run.score_every", "16", "--run.protocols", f"[{key}]", "--run.preview_every", "4"]
    for share in ("null", "0.0"):
        run = tmp_path / f"run {share}"
        given = ["--run.folder", str(run), "--data.init_args.test_share", share]
        assert cli.main(["train", str(tmp_path / "few.yaml"), *given, *words]) == 0
        assert key in capsys.readouterr().out
        assert share == "0.0" or "all 3 pictures are for training" in caplog.text
        assert (run / "best" / "samples.png").is_file() and len(list((run / "previews").iterdir())) == 3
        assert ganzoo.load(run).sample(1).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("size", [8, 16])
def test_a_loader_from_python_gives_batches_of_the_models_shape(size: int) -> None:
    game = ganzoo.create("dcgan", size=size, channels=1, width=4, latent=4)
    plain: Any = DataLoader(TensorDataset(torch.zeros(8, 1, 8, 8)), batch_size=4)
    with pytest.raises(BadArgument, match=r"trained on ganzoo\.types\.Batch, and the data gave a list"):
        trainer(2).fit(game, plain)
    batches: Any = [Batch(torch.zeros(4, 1, 8, 8))] * 4
    own: Any = DataLoader(batches, batch_size=None)
    if size == 8:
        trainer(2).fit(game, own)
        assert game.images_seen == 8
    else:
        with pytest.raises(BadArgument, match=r"the data are \(1, 8, 8\) and DCGAN expects \(1, 16, 16\)"):
            trainer(2).fit(game, own)


@pytest.mark.parametrize(
    ("family", "labels", "said"),
    [
        ("acgan", torch.tensor([0, 1, 2, 0]), "a label 2, and ACGAN has 2 classes, 0 to 1; set classes"),
        ("cgan", torch.tensor([0, 1, -1, 0]), "a label -1, and CGAN has 2 classes"),
        ("conditional_dcgan", torch.zeros(4), r"labels are \(4,\) of float32; class indices \(4,\) are expected"),
        ("acgan", torch.zeros(3, dtype=torch.long), r"labels are \(3,\) of int64; class indices \(4,\) are expected"),
        ("improved_gan", torch.tensor([0, 1, -1, 5]), "a label 5, and ImprovedGAN has 2 classes"),
        ("stylegan2", torch.zeros(4, 3), r"labels are \(4, 3\) of float32"),
        ("stylegan2", torch.tensor([0, 3, 1, 0]), "a label 3, and StyleGAN2 has 2 classes"),
        ("acgan", None, "ACGAN learns from labels, and the data have none"),
    ],
)
def test_labels_of_a_loader_from_python_are_held_against_the_classes(family: str, labels: Any, said: str) -> None:
    batches: Any = [Batch(torch.zeros(4, 1, 8, 8), labels)] * 4
    with pytest.raises(GanzooError, match=said) as caught:
        trainer(2).fit(tiny(family, classes=2), DataLoader(batches, batch_size=None))
    assert "\n" not in str(caught.value)
