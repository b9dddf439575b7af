"""Trains the models that ship, from their recipes, several at once; what was stopped goes on.

    python benchmarks/train_shipped.py --out runs/shipped --jobs 2
    python benchmarks/train_shipped.py --out runs/shipped --jobs 16 --minutes 10 sngan-fashion-mnist dcgan-fashion-mnist
    python benchmarks/train_shipped.py --out runs/shipped --jobs 24 -- --trainer.accelerator gpu

Each model is one process of `ganzoo train`, with one thread, whose run is `OUT/NAME`, its model `OUT/NAME/last`, its
words `OUT/NAME.txt`. The largest budgets begin first. A second call leaves out what is finished and goes on with the
rest; at the end of `--minutes`, and at ctrl-C, the processes are asked to save and stop. `OUT/trained.json` says how
far each came, and the processor's time that it took. What is after `--` goes to every `ganzoo train`.

On a GPU the networks are so small that many of them share one; begin with as many jobs as there are CPU cores.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import ganzoo
from ganzoo import files

LEDGER = "trained.json"


@dataclass
class Job:
    """One model's training.

    Args:
        name: of the model.
        recipe: its file.
        folder: of its run.
        budget: images that the recipe asks for, an estimate of what it costs.
    """

    name: str
    recipe: Path
    folder: Path
    budget: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def begin(self, words: Sequence[str]) -> None:
        """Starts or resumes the process, which leads a group of its own, so that ctrl-C reaches it from here alone."""
        begun = (self.folder / "last.ckpt").exists()
        what = [str(self.folder), "--resume"] if begun else [str(self.recipe), "--run.folder", str(self.folder)]
        with (self.folder.parent / f"{self.name}.txt").open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ganzoo", "train", *what, *words],
                stdout=said,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )

    def ended(self) -> tuple[int, float] | None:
        """The exit status and the processor's seconds, where the process has ended."""
        assert self.process is not None
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if not pid:
            return None
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return self.process.returncode, usage.ru_utime + usage.ru_stime

    def stop(self) -> None:
        """Asks for a save and an end."""
        if self.process is not None and self.process.returncode is None:
            os.kill(self.process.pid, signal.SIGINT)


def shipped(out: Path, names: Sequence[str]) -> list[Job]:
    """The models that ship and were trained from a recipe, or those named; the largest budgets first."""
    known = {entry["name"] for entry in ganzoo.list_models(status="shipped")}
    unknown = sorted(set(names) - known)
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: no shipped model; they are {', '.join(sorted(known))}")
    jobs = []
    for name in names or sorted(known):
        recipe = Path(ganzoo.info(name)["recipe"])
        path = recipe if recipe.is_file() else Path(__file__).resolve().parents[1] / recipe
        table: dict[str, Any] = yaml.safe_load(path.read_text())
        batch = table["data"].get("init_args", {}).get("batch_size", 64)
        critic = table["model"].get("init_args", {}).get("n_critic", 1)
        jobs.append(Job(name, path, out / name, table["trainer"]["max_steps"] * batch * critic))
    return sorted(jobs, key=lambda job: (-job.budget, job.name))


def train(out: Path, jobs: Sequence[Job], at_once: int, minutes: float, words: Sequence[str]) -> int:
    """Runs the jobs; gives the number of those that are not finished."""
    out.mkdir(parents=True, exist_ok=True)
    ledger: dict[str, dict[str, Any]] = json.loads((out / LEDGER).read_text()) if (out / LEDGER).exists() else {}
    waiting = [job for job in jobs if not ledger.get(job.name, {}).get("finished")]
    running: list[Job] = []
    end = time.monotonic() + 60 * minutes if minutes else float("inf")
    try:
        while waiting or running:
            if time.monotonic() > end:
                waiting = []
                for job in running:
                    job.stop()
                end = float("inf")  # once is enough: a second signal would cut the save short
            while waiting and len(running) < at_once:
                running.append(waiting.pop(0))
                running[-1].begin(words)
                print(f"{running[-1].name}: begun", flush=True)
            for job in list(running):
                ended = job.ended()
                if ended is not None:
                    running.remove(job)
                    note(ledger, job, *ended)
                    files.write_json(out / LEDGER, ledger)
            time.sleep(0.5)
    except KeyboardInterrupt:
        for job in running:
            job.stop()
        for job in running:
            while (ended := job.ended()) is None:
                time.sleep(0.5)
            note(ledger, job, *ended)
        files.write_json(out / LEDGER, ledger)
    return sum(not ledger.get(job.name, {}).get("finished") for job in jobs)


def note(ledger: dict[str, dict[str, Any]], job: Job, status: int, seconds: float) -> None:
    """Writes down how far a job came."""
    config = job.folder / "last" / "config.json"
    facts = json.loads(config.read_text()) if config.exists() else {}
    before = ledger.get(job.name, {}).get("cpu_minutes", 0.0)
    ledger[job.name] = {
        "finished": status == 0,
        "steps": facts.get("steps", 0),
        "images": facts.get("images_seen", 0),
        "cpu_minutes": round(before + seconds / 60, 2),
        "model": str(job.folder / "last"),
    }
    how = {0: "finished", 130: "stopped"}.get(status, f"failed with {status}; see {job.name}.txt")
    print(f"{job.name}: {how} at step {ledger[job.name]['steps']}", flush=True)


def main() -> int:
    """Reads the command line; 1 while a model is not finished."""
    words = sys.argv[1:]
    own, theirs = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="models; all that ship if none is given")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--minutes", type=float, default=0.0, help="after which all save and stop; 0 for no limit")
    given = parser.parse_args(own)
    return 1 if train(given.out, shipped(given.out, given.names), given.jobs, given.minutes, theirs) else 0


if __name__ == "__main__":
    sys.exit(main())
