"""Saving, whenever the process is killed or interrupted."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from helpers import data_for, fit, tiny, trainer
from PIL import Image
from safetensors.torch import load_file
from toys import Toy

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.folder import ModelFolder, write_model
from ganzoo.training.checkpoints import LAST, AtomicIO
from ganzoo.training.saving import FOLDER, Saver
from ganzoo.types import BadModelFolder

fork = multiprocessing.get_context("fork")


# -------------------------------------------------------------------------------------------------- one save


def test_a_checkpoint_reads_back_as_tensors_and_plain_values(tmp_path: Path) -> None:
    made = fit(Toy(), 2, plugins=[AtomicIO()])
    made.save_checkpoint(tmp_path / LAST)
    assert torch.load(tmp_path / LAST, weights_only=True)["ganzoo"]["images_seen"] == 8
    assert AtomicIO().load_checkpoint(tmp_path / LAST)["global_step"] == 2
    assert [path.name for path in tmp_path.iterdir()] == [LAST]


def test_nothing_of_a_failed_save_stays(tmp_path: Path) -> None:
    (tmp_path / LAST).write_bytes(b"before")
    with pytest.raises(Exception, match="pickle"):
        AtomicIO().save_checkpoint({"cannot": lambda: None}, tmp_path / LAST)
    assert [path.name for path in tmp_path.iterdir()] == [LAST]
    assert (tmp_path / LAST).read_bytes() == b"before"


class Runs:
    """Would make a folder if a checkpoint that holds it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_what_is_no_checkpoint_is_refused_in_one_line_and_runs_nothing(tmp_path: Path) -> None:
    made = fit(Toy(), 1, plugins=[AtomicIO()])
    made.save_checkpoint(tmp_path / "good.ckpt")
    good = (tmp_path / "good.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.ckpt").write_bytes(b"")
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    torch.save({"state_dict": {}, "global_step": 3}, tmp_path / "foreign.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    torch.save({"state_dict": {}, "ganzoo": Runs(tmp_path / "ran")}, tmp_path / "hostile.ckpt")
    for name in ("cut", "empty", "text", "foreign", "list", "hostile", "missing"):
        with pytest.raises(BadModelFolder, match=f"{name}.ckpt: ") as found:
            AtomicIO().load_checkpoint(tmp_path / f"{name}.ckpt", weights_only=False)
        assert "\n" not in str(found.value)
    assert not (tmp_path / "ran").exists()


def test_the_model_folder_holds_the_average_and_every_live_player(tmp_path: Path) -> None:
    game: Any = tiny("dcgan")
    game.engine.average = 10.0
    made = fit(game, 2, Saver(tmp_path, 2, {"license": "mit"}), plugins=[AtomicIO()])
    folder = ModelFolder(tmp_path / FOLDER)
    model, players = folder.tensors(folders.MODEL), folder.tensors(folders.PLAYERS)
    for key, value in game.averaged.state_dict().items():
        assert torch.equal(model[f"generator.{key}"], value)
    for key, value in game.generator.state_dict().items():
        assert torch.equal(players[f"generator.{key}"], value)
    assert not torch.equal(model["generator.main.0.weight"], players["generator.main.0.weight"])
    assert {key.split(".")[0] for key in players} == {"generator", "discriminator"}
    assert folder.config["steps"] == made.global_step == 2
    assert folder.config["images_seen"] == 8 and folder.config["license"] == "mit"
    assert folder.config["images_per_second"] > 0


def test_a_familys_own_pictures_are_written_listed_and_handed_the_test_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = tiny("dcgan")
    handed: list[Any] = []

    def pictures(real: Any) -> dict[str, torch.Tensor]:
        handed.append(real)
        return {"two-rows": torch.stack([torch.full((3, 1, 8, 8), value) for value in (-1.0, 1.0)])}

    monkeypatch.setattr(game, "pictures", pictures)
    fit(game, 1, Saver(tmp_path, 2, {}), plugins=[AtomicIO()])
    assert handed[-1].split == "test" and handed[-1].shape == (1, 8, 8)
    folder = ModelFolder(tmp_path / FOLDER)
    with Image.open(folder.check("two-rows.png")) as picture:  # the manifest lists it, with its hash
        assert picture.width > picture.height
        upper, lower = (picture.convert("L").getpixel((picture.width // 2, picture.height * k // 4)) for k in (1, 3))
    assert (upper, lower) == (0, 255)
    (folder.path / "two-rows.png").write_bytes(b"")
    with pytest.raises(BadModelFolder, match="two-rows"):
        ModelFolder(folder.path).check("two-rows.png")


def broken(real: Any) -> dict[str, torch.Tensor]:
    raise RuntimeError("no\nluck")


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        (broken, "DCGAN draws no further pictures: no luck"),
        (lambda real: {"../up": torch.zeros(1, 1, 1, 8, 8)}, "no name of a picture"),
        (lambda real: {"samples": torch.zeros(1, 1, 1, 8, 8)}, "no name of a picture"),
        (lambda real: {"loud": torch.full((1, 1, 1, 8, 8), 2.0)}, "DCGAN draws no picture loud"),
    ],
)
def test_a_picture_that_fails_does_not_lose_the_model(
    pictures: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = tiny("dcgan")
    monkeypatch.setattr(game, "pictures", pictures)
    with pytest.warns(UserWarning, match=re.escape(said)):
        write_model(game, tmp_path / "model", {})
    assert set(ModelFolder(tmp_path / "model").hashes()) == set(folders.LISTED)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["model"]


def test_saves_come_at_multiples_and_at_the_end(tmp_path: Path) -> None:
    saved: list[int] = []

    class Noting(Saver):
        def _save(self, trainer: L.Trainer, game: Any) -> None:
            super()._save(trainer, game)
            saved.append(trainer.global_step)

    fit(tiny("gan", updates=2), 7, Noting(tmp_path, 3, {}), plugins=[AtomicIO()])
    assert saved == [3, 6, 7]
    fit(tiny("gan", updates=2), 10, Noting(tmp_path, 3, {}), ckpt=tmp_path / LAST, plugins=[AtomicIO()])
    assert saved == [3, 6, 7, 9, 10]


def test_what_killed_saves_left_behind_is_swept(tmp_path: Path) -> None:
    (tmp_path / f".{LAST}.x1.part").write_bytes(b"half")
    (tmp_path / f".{FOLDER}.x2.part").mkdir()
    (tmp_path / f".{FOLDER}.x2.part" / "model.safetensors").write_bytes(b"half")
    (tmp_path / "mine.part").write_bytes(b"kept")
    fit(tiny("gan"), 1, Saver(tmp_path, 1, {}), plugins=[AtomicIO()])
    left = {path.name for path in tmp_path.iterdir()} - {f".{FOLDER}.lock"}
    assert left == {LAST, FOLDER, "mine.part"}


# -------------------------------------------------------------------------------------------------- exchanging


def fill(folder: Path, number: int) -> None:
    files.write_json(folder / folders.CONFIG, {"format": 1, "family": "dcgan", "arguments": {}, "number": number})


def number(folder: Path) -> int:
    return int(ModelFolder(folder).config["number"])


@pytest.mark.parametrize("atomic", [True, False])
def test_folders_are_exchanged_whole(tmp_path: Path, atomic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not atomic:
        monkeypatch.setattr(folders, "_swap", lambda one, other: False)
    target = tmp_path / "last"
    for i in range(3):
        with folders.writing(target) as fresh:
            fill(fresh, i)
        assert number(target) == i
    with pytest.raises(RuntimeError), folders.writing(target) as fresh:
        fill(fresh, 3)
        raise RuntimeError
    assert number(target) == 2
    assert {path.name for path in tmp_path.iterdir()} <= {"last", ".last.lock"}


def test_a_kill_between_two_renames_is_settled(tmp_path: Path) -> None:
    target = tmp_path / "last"
    with folders.writing(target) as fresh:
        fill(fresh, 1)
    target.rename(tmp_path / ".last.old")
    assert number(target) == 1
    # And after the second rename the next writer clears up
    target.rename(tmp_path / ".last.old")
    with folders.writing(target) as fresh:
        fill(fresh, 2)
    assert number(target) == 2
    assert not (tmp_path / ".last.old").exists()


def test_reading_a_model_leaves_what_lies_beside_it(tmp_path: Path) -> None:
    for name in ("last", "last.old", ".last.old"):
        with folders.writing(tmp_path / name) as fresh:
            fill(fresh, len(name))
    assert number(tmp_path / "last") == 4
    assert number(tmp_path / "last.old") == 8
    assert (tmp_path / ".last.old").is_dir()


def test_settling_nothing_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (Path("."), Path(".."), Path("/"), Path("absent"), tmp_path / "absent" / "deeper"):
        folders.settle(path)
    assert list(tmp_path.iterdir()) == []


def exchange_for_ever(target: Path, atomic: bool) -> None:
    if not atomic:
        folders._swap = lambda one, other: False
    folders.sync_folder = lambda folder: None  # type: ignore[attr-defined]  # faster turns; the disk's state is not what is looked at
    os.fsync = lambda descriptor: None  # type: ignore[assignment]
    for i in range(10**9):
        with folders.writing(target) as fresh:
            fill(fresh, i)


@pytest.mark.parametrize("atomic", [True, False])
def test_readers_and_two_writers_do_not_break_each_other(tmp_path: Path, atomic: bool) -> None:
    if atomic and sys.platform != "linux":
        pytest.skip("this system cannot exchange two names in one step")
    target = tmp_path / "last"
    with folders.writing(target) as fresh:
        fill(fresh, -1)
    first = target.stat().st_ino
    writers = [fork.Process(target=exchange_for_ever, args=(target, atomic), daemon=True) for _ in range(2)]
    for writer in writers:
        writer.start()
    found, absent, stop = 0, 0, time.monotonic() + 3
    turns = set()
    while time.monotonic() < stop:
        folders.settle(target)
        try:
            turns.add(os.stat(target).st_ino)
            found += 1
        except FileNotFoundError:
            absent += 1
    assert all(writer.is_alive() for writer in writers), "a reader broke a writer"
    for writer in writers:
        writer.kill()
        writer.join()
    assert found > 100 and turns - {first}, "the writers must have exchanged folders meanwhile"
    assert absent == 0 or not atomic
    assert isinstance(number(target), int)


# -------------------------------------------------------------------------------------------------- kill -9


def save_for_ever(folder: Path) -> None:
    torch.set_num_threads(1)
    game = tiny("gan")
    for step in range(10**9):
        with torch.no_grad():
            for parameter in game.parameters():
                parameter.fill_(step)
        state = {"state_dict": game.state_dict(), "ganzoo": {"step": step}}
        AtomicIO().save_checkpoint(state, folder / LAST)
        write_model(game, folder / FOLDER, {"steps": step})


def kill_many(folder: Path, kills: int, seed: int) -> None:
    """Kills saves at random moments; after each, checkpoint and model folder must be there, whole."""
    rng = random.Random(seed)
    first = fork.Process(target=save_for_ever, args=(folder,))
    first.start()
    while not (folder / FOLDER / folders.MANIFEST).exists():
        time.sleep(0.01)
        assert first.is_alive()
    first.kill()
    first.join()
    cut, steps = 0, set()
    for _ in range(kills):
        before = (folder / LAST).stat().st_ino
        process = fork.Process(target=save_for_ever, args=(folder,))
        process.start()
        # At random, or soon after the checkpoint was replaced, when the folder's turn comes
        if rng.random() < 0.5:
            time.sleep(rng.uniform(0, 0.12))
        else:
            stop = time.monotonic() + 2
            while (folder / LAST).stat().st_ino == before and time.monotonic() < stop:
                time.sleep(0.0005)
            time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.join()
        cut += any(path.name.endswith(".part") for path in folder.iterdir())
        steps.add(check(folder))
        folders.sweep(folder / LAST, folder / FOLDER)
    assert cut >= kills // 10, f"only {cut} of {kills} kills met a save under way"


def check(folder: Path) -> int:
    saved = torch.load(folder / LAST, weights_only=True)
    step = int(saved["ganzoo"]["step"])
    assert all(bool((value == step).all()) for value in saved["state_dict"].values())
    found = ModelFolder(folder / FOLDER)
    wanted = int(found.config["steps"])
    for name in (folders.MODEL, folders.PLAYERS):
        assert all(bool((value == wanted).all()) for value in found.tensors(name).values())
    for name in found.hashes():
        found.check(name)
    return step


def other_filesystem() -> Path | None:
    path = Path("/dev/shm")
    writable = path.is_dir() and os.access(path, os.W_OK)
    return path if writable and path.stat().st_dev != Path(tempfile.gettempdir()).stat().st_dev else None


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_kill_at_any_moment_leaves_the_last_save(
    tmp_path: Path, elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = other_filesystem() if elsewhere else None
    if elsewhere and staging is None:
        pytest.skip("there is no second filesystem for temporary files")
    if staging is not None:
        monkeypatch.setattr(tempfile, "tempdir", str(staging))
        monkeypatch.setenv("TMPDIR", str(staging))
    kill_many(tmp_path, 20, seed=int(elsewhere))


@pytest.mark.nightly
def test_three_hundred_kills_leave_the_last_save(tmp_path: Path) -> None:
    kill_many(tmp_path, 300, seed=2)


# -------------------------------------------------------------------------------------------------- ctrl-C


RECIPE = """
seed_everything: 3
model: {class_path: DCGAN, init_args: {size: 8, channels: 1, latent: 8, width: 4}}
data: {class_path: Digits, init_args: {batch_size: 8}}
trainer: {max_steps: 60, accelerator: cpu, devices: 1}
engine: {average: 200, log_every: 1}
run: {save_every: 25, preview_every: 30}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, and with the run `a`, which nobody interrupted."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "tiny.yaml").write_text(RECIPE)
    assert train(folder, "a") == 0
    return folder


def train(folder: Path, name: str, *words: str) -> int:
    from ganzoo.cli import main

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    status = main(["train", str(folder / "tiny.yaml"), "--run.folder", str(folder / name), *words])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    return status


def assert_same_run(folder: Path, whole: str, name: str, steps: int) -> None:
    for file in (folders.MODEL, folders.PLAYERS):
        one, other = (load_file(folder / run / FOLDER / file) for run in (whole, name))
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in one.items()), file
        assert (folder / whole / FOLDER / file).read_bytes() == (folder / name / FOLDER / file).read_bytes()
    logs = []
    for run in (whole, name):
        lines = [json.loads(line) for line in (folder / run / "log.jsonl").read_text().splitlines()]
        logs.append([{**line, "images_per_second": 0, "waiting": 0} for line in lines])
    written = [
        line["step"] for line in logs[1] if "batches_seen" in line
    ]  # a preview's diversity has a line of its own
    assert written == list(range(1, steps + 1)), "steps are missing or doubled"
    assert logs[0] == logs[1]


def test_ctrl_c_saves_says_how_to_go_on_and_the_resumed_run_is_the_run(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "ganzoo", "train", str(runs / "tiny.yaml"), "--run.folder", str(runs / "b")]
    # As many threads as this process has, because sums are divided among them: their last bits depend on the number
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    environment = {**os.environ, **threads, "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        [*command, "--trainer.max_steps", "100000"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what runs in the background with SIGINT ignored, and that is inherited
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    log, stop = runs / "b" / "log.jsonl", time.monotonic() + 400
    while not (log.exists() and log.read_text().count("\n") >= 5):
        assert process.poll() is None and time.monotonic() < stop, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 130, err[-2000:]
    assert "Traceback" not in err
    at = torch.load(runs / "b" / LAST, weights_only=True)["global_step"]
    again = shlex.join(["ganzoo", "train", str(runs / "b"), "--resume"])
    assert f"interrupted at step {at}, saved; go on with: {again}\n" in out
    assert ModelFolder(runs / "b" / FOLDER).config["steps"] == at
    assert train(runs, "b", "--resume", "--trainer.max_steps", str(at + 20)) == 0
    assert train(runs, "whole", "--trainer.max_steps", str(at + 20)) == 0
    assert_same_run(runs, "whole", "b", at + 20)


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Arranges for a signal to this process in the middle of a batch."""

    def arrange(number: int, batch: int) -> None:
        from ganzoo.families.dcgan import DCGAN

        step = DCGAN.training_step

        def signalled(self: Any, data: Any, batch_idx: int) -> None:
            if self.batches_seen == batch:
                os.kill(os.getpid(), number)
            step(self, data, batch_idx)

        monkeypatch.setattr(DCGAN, "training_step", signalled)

    return arrange


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_save_and_the_resumed_run_is_the_run(
    runs: Path, number: signal.Signals, signal_at: Callable[[int, int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    signal_at(number, 37)
    assert train(runs, number.name) == 130
    assert "interrupted at step 37, saved" in capsys.readouterr().out
    assert torch.load(runs / number.name / LAST, weights_only=True)["global_step"] == 37
    assert train(runs, number.name, "--resume") == 0
    assert_same_run(runs, "a", number.name, 60)


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    game = tiny("gan")
    step = game.training_step

    def twice(batch: Any, batch_idx: int) -> None:
        step(batch, batch_idx)
        if game.batches_seen == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    game.training_step = twice  # type: ignore[method-assign]
    made = trainer(9, Saver(tmp_path, 2, {}), plugins=[AtomicIO()])
    try:
        with pytest.raises(SystemExit) as ended:  # Lightning's answer to KeyboardInterrupt
            made.fit(game, data_for(game))
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning ignores further ones from then on
    assert isinstance(ended.value.__context__, KeyboardInterrupt)
    assert torch.load(tmp_path / LAST, weights_only=True)["global_step"] == 2


def test_signals_are_given_back_when_training_fails(tmp_path: Path) -> None:
    class Fails(Toy):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            raise RuntimeError("on purpose")

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(RuntimeError, match="on purpose"):
        fit(Fails(), 2, Saver(tmp_path, 2, {}), plugins=[AtomicIO()])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


# -------------------------------------------------------------------------------------------------- overwriting


def test_a_run_is_not_overwritten_unless_it_goes_on(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in (runs / "a").rglob("*") if path.is_file()}
    assert train(runs, "a") == 2
    assert "already holds a run; go on with --resume" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (runs / "a").rglob("*") if path.is_file()} == before


def test_what_never_began_cannot_go_on(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(runs, "never", "--resume") == 2
    assert f"holds no {LAST} to go on from; leave --resume out" in capsys.readouterr().err
    assert not (runs / "never").exists()


def test_a_dry_run_prints_the_recipe_the_sizes_and_the_time_and_writes_nothing(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    before = sorted(path.name for path in runs.iterdir())
    assert train(runs, "dry", "--dry-run") == 0
    out = capsys.readouterr().out
    game = tiny("dcgan", latent=8)
    for name in ("generator", "discriminator"):
        assert f"# {name}: {sum(p.numel() for p in getattr(game, name).parameters()):,} parameters" in out
    assert "# batch: 8 a process on 1 process, 8 in all" in out
    assert "# time: " in out and "for 60 steps" in out
    assert "width: 4" in out and "accumulate: 1" in out, "the recipe must be resolved, defaults and all"
    assert sorted(path.name for path in runs.iterdir()) == before
