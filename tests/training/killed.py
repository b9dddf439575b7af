"""A run that is killed at random moments, and each time goes on from its folder; beside one that nobody disturbed.

    python tests/training/killed.py OUT [--kills 40] [--ranks 1] [--seed 0]

Every attempt is a fork of this process, which has imported all there is to import, and dies of SIGKILL: every other
time after a random share of a second of its own processor time, and else as soon as a file is half written in the run's
folder. With two ranks one of them is killed, and the other a moment later, as with a machine that fails. Prints one
line of JSON: how many kills there were, how many of them in a save, and in what the two runs differ.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only

import ganzoo
from ganzoo.data.digits import Digits
from ganzoo.training import checkpoints
from ganzoo.training.doctor import read_log

SAVE_EVERY, LOG_EVERY, TICK = 10, 5, os.sysconf("SC_CLK_TCK")


def run(folder: Path, steps: int, ranks: int = 1) -> None:
    """Trains, from the beginning or on from the folder's checkpoint."""
    torch.manual_seed(0)
    game: Any = ganzoo.create("dcgan", size=8, channels=1, latent=8, width=4)
    game.engine.log_every, game.engine.average = LOG_EVERY, 500
    resume = any((folder / name).exists() for name in (checkpoints.LAST, checkpoints.PREVIOUS))
    options: dict[str, Any] = {"max_steps": steps, "save_every": SAVE_EVERY, "preview_every": 200, "accelerator": "cpu"}
    ganzoo.train(game, Digits(batch_size=8), folder=folder, resume=resume, devices=ranks, **options)


def rank_of(folder: Path, steps: int, rank: int, ranks: int, port: int) -> None:
    """One rank's part of a run."""
    if ranks > 1:
        own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_PORT": port}
        os.environ |= {key: str(value) for key, value in own.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "killed", "GROUP_RANK": "0"}
    vars(rank_zero_only)["rank"] = rank
    with (folder.parent / f"{folder.name}-{rank}.out").open("a") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    run(folder, steps, ranks)


def started(folder: Path, steps: int, ranks: int) -> list[int]:
    """The processes of an attempt, a rank each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(ranks):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                rank_of(folder, steps, rank, ranks, port)
                code = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(code)
        processes.append(pid)
    return processes


def spent(pid: int) -> float:
    """Seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def half_written(folder: Path) -> list[Path]:
    """What is being saved: files and folders with names for as long as they are not whole."""
    return [path for path in folder.glob(".*.part")] if folder.exists() else []


def ended(pid: int) -> bool:
    """Whether a process of ours is gone; it is read then."""
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def attempt(folder: Path, steps: int, ranks: int, chance: random.Random, in_save: bool) -> tuple[bool, bool]:
    """Starts a run and kills it: whether it was killed, and whether in a save."""
    processes, limit = started(folder, steps, ranks), chance.uniform(0.05, 0.6)
    victim = chance.randrange(ranks)
    before = set(half_written(folder))
    skip, seen = chance.randrange(8), 0  # the first file of a run is no more worth killing at than its tenth
    while True:
        if any(ended(pid) for pid in processes[victim : victim + 1]):
            finish(processes[:victim] + processes[victim + 1 :])
            return False, False
        fresh = set(half_written(folder)) - before
        seen, before = seen + len(fresh), set(half_written(folder))
        if (in_save and seen > skip) or (not in_save and spent(processes[victim]) >= limit):
            break
        time.sleep(0.001 if in_save else 0.01)
    for pid in processes[victim:] + processes[:victim]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05 * chance.random())
    finish(processes)
    return True, bool(half_written(folder))


def finish(processes: list[int]) -> None:
    """Waits for processes of ours."""
    for pid in processes:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def whole(folder: Path, steps: int, ranks: int) -> None:
    """Lets a run go to its end."""
    codes = [os.waitpid(pid, 0)[1] for pid in started(folder, steps, ranks)]
    assert not any(codes), (folder.parent / f"{folder.name}-0.out").read_text()[-2000:]


def differences(one: Any, other: Any, name: str = "") -> list[str]:
    """Where two checkpoints differ in any bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(map(str, one.keys() ^ other.keys()))
        return keys + [
            text for key in one.keys() & other.keys() for text in differences(one[key], other[key], f"{name}.{key}")
        ]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        return [
            text for i, pair in enumerate(zip(one, other, strict=True)) for text in differences(*pair, f"{name}.{i}")
        ]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if torch.equal(one, other) else [name]
    return [] if one == other else [name]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    for name, usual in (("kills", 40), ("ranks", 1), ("seed", 0), ("steps", 1500)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    elsewhere = "/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir()  # another filesystem
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(dir=elsewhere)
    with (given.out / "first.out").open("w") as out, contextlib.redirect_stdout(out):
        run(given.out / "first", SAVE_EVERY)  # imports all that a run imports
    chance, folder, kills, in_saves, attempts = random.Random(given.seed), given.out / "killed", 0, 0, 0
    while kills < given.kills and attempts < 3 * given.kills:
        killed, saving = attempt(folder, given.steps, given.ranks, chance, in_save=attempts % 2 == 1)
        kills, in_saves, attempts = kills + killed, in_saves + saving, attempts + 1
        print(f"{kills} kills, {in_saves} in a save", file=sys.stderr, flush=True)
        if not killed:
            break  # it came to its end: more steps are needed for so many kills
    at = checkpoints.newest(folder)
    reached = 0 if at is None else at.step
    whole(folder, given.steps, given.ranks)
    whole(given.out / "whole", given.steps, given.ranks)
    tables = [checkpoints.read(given.out / name / checkpoints.LAST) for name in ("killed", "whole")]
    same = ("state_dict", "optimizer_states", "global_step", "ganzoo")
    one, other = ({key: table[key] for key in same} for table in tables)
    found = differences(one, other)
    steps = [row["step"] for row in read_log(folder)]
    print(
        json.dumps(
            {
                "ranks": given.ranks,
                "kills": kills,
                "in a save": in_saves,
                "step after the last kill": reached,
                "steps": tables[0]["global_step"],
                "differences": found,
                "log in order": steps == sorted(steps),
                "left over": [path.name for path in half_written(folder)],
            }
        )
    )


if __name__ == "__main__":
    main()
