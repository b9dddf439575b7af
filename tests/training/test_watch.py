"""One of two ranks is killed: the other ends soon, says which it was, and the checkpoint is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ganzoo.training import checkpoints
from ganzoo.training.checkpoints import LAST
from ganzoo.training.watch import Watch, _runs

RECIPE = """
seed_everything: 3
model: {class_path: DCGAN, init_args: {size: 8, channels: 1, latent: 8, width: 4}}
data: {class_path: Digits, init_args: {batch_size: 8}}
trainer: {max_steps: 1000000, accelerator: cpu}
run: {save_every: 5, preview_every: 1000000}
"""
LIMIT = 60  # seconds

proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="ranks are told apart by /proc")


@contextmanager
def started(folder: Path, launcher: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[int, int]]]:
    """Two ranks of a run that would last for days, and a table for their processes, which are ended at last."""
    (folder / "tiny.yaml").write_text(RECIPE)
    words = ["ganzoo", "train", str(folder / "tiny.yaml"), "--run.folder", str(folder / "run")]
    command = [sys.executable, "-m", *words, "--trainer.devices", "2"]
    if launcher == "torchrun":
        run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        command = [sys.executable, *run, "-m", *words]
    told = (
        "MASTER_ADDR",
        "MASTER_PORT",
        "LOCAL_RANK",
        "NODE_RANK",
        "RANK",
        "WORLD_SIZE",
    )  # by a test before, in this process
    inherited = {name: value for name, value in os.environ.items() if name not in told}
    environment = {**inherited, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": "1"}
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        found: dict[int, int] = {}
        try:
            yield process, found
        finally:
            for each in (process.pid, *found.values()):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            process.wait()


def ranks(above: int) -> dict[int, int]:
    """The processes that train, by rank: those that were started by one, or this one itself."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_bytes().split(b"\0")
            variables = (entry / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if above in (parent, int(entry.name)) and b"train" in words and b"torch.distributed.run" not in words:
            environment = dict(each.split(b"=", 1) for each in variables if b"=" in each)
            found[int(environment.get(b"LOCAL_RANK", b"0"))] = int(entry.name)
    return found


def until(condition: object, seconds: float, what: str) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


NIGHTLY = pytest.mark.nightly


@proc
@pytest.mark.parametrize(
    ("launcher", "moment", "rank"),
    [
        ("devices", "middle", 1),
        ("torchrun", "middle", 1),
        pytest.param("devices", "start", 1, marks=NIGHTLY),
        pytest.param("devices", "start", 0, marks=NIGHTLY),
        pytest.param("devices", "middle", 0, marks=NIGHTLY),
        pytest.param("torchrun", "start", 1, marks=NIGHTLY),
        pytest.param("torchrun", "start", 0, marks=NIGHTLY),
        pytest.param("torchrun", "middle", 0, marks=NIGHTLY),
    ],
)
def test_the_others_end_and_say_which_rank_is_gone(launcher: str, moment: str, rank: int, tmp_path: Path) -> None:
    with started(tmp_path, launcher) as (process, found):
        last = tmp_path / "run" / LAST
        until(lambda: len(ranks(process.pid)) == 2, 120, "two ranks start")
        if moment == "middle":
            until(last.exists, 240, "something is saved")
        found.update(ranks(process.pid))
        other = found[1 - rank]
        os.kill(found[rank], signal.SIGKILL)
        until(lambda: process.poll() is not None or not _runs(other), LIMIT, f"rank {1 - rank} ends")
        until(lambda: not _runs(other), LIMIT, f"rank {1 - rank} ends")
        status = process.wait(LIMIT)
    text = (tmp_path / "out").read_text()
    assert status != 0
    lines = [line for line in text.splitlines() if f"rank {rank} is gone" in line]
    if (launcher, moment) == ("torchrun", "start"):  # they had not met: torchrun says it
        assert "rank      : " + str(rank) in text
    else:
        assert len(lines) == 1 and lines[0].startswith("ganzoo: ") and "unexpected" not in text, text[-3000:]
    if moment == "middle":
        assert checkpoints.read(last)["global_step"] >= 5


def test_a_zombie_runs_no_more() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    until(lambda: not _runs(child.pid), 30, "it ends, and nobody has asked for its status")
    child.wait()
    assert not _runs(child.pid)
    assert _runs(os.getpid())


def test_nothing_is_said_while_all_are_there(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "h 1")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    watch._processes = {1: os.getpid(), 3: child.pid}
    assert watch.lost() is None
    child.kill()
    again = f"ganzoo train '{tmp_path / 'h 1'}' --resume"
    assert watch.lost(patience=20) == f"rank 3 is gone, so this one ends; what was saved stays, and {again} goes on"
    child.wait()
