"""What a family reaches on Fashion-MNIST in minutes of one core: `docs/speedrun.md`.

    python benchmarks/speedrun.py --out runs/speedrun dcgan sngan --minutes 3 10 --seeds 0 1 2
    python benchmarks/speedrun.py --out runs/speedrun --table docs/speedrun.md

An entry is a family's recipe `recipes/FAMILY/fashion-mnist.yaml`, or `--recipe FILE`, which makes a record replayable.
It is trained in this process, with one thread, until its processor time is spent: that of training, from the first
batch on, so that a busy machine changes nothing. Learning rates are constant for two fifths of the budget and then fall
linearly to a twentieth. What comes out is measured afterwards, against 10,000 training pictures, in two feature
networks, with precision and recall of the test pictures in one of them. Entries that `OUT/results.jsonl` holds are left
out, so that a run that was stopped goes on with the next one; `--table` writes the page's table from that file, and its
curve beside it. `docs/speedrun.jsonl` holds all that the page shows: a copy of it is where another machine goes on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import measured
import torch

import ganzoo
from ganzoo.game.game import Game

PROTOCOLS = ("fd10k_mobilenet_v2", "fd10k_fashion_mnist_cnn", "pr10k_mobilenet_v2_test_k3")
COLUMNS = {  # a score's head and its digits
    "fd10k_mobilenet_v2": ("`fd10k_mobilenet_v2`", 1),
    "fd10k_fashion_mnist_cnn": ("`fd10k_fashion_mnist_cnn`", 1),
    "pr10k_mobilenet_v2_test_k3/precision": ("precision", 3),
    "pr10k_mobilenet_v2_test_k3/recall": ("recall", 3),
}
RESULTS = "results.jsonl"


class Budget(L.Callback):
    """Ends a run when its processor time is spent, and lets its rates fall by then.

    Args:
        seconds: of processor time.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.begun = seconds, 0.0

    @property
    def spent(self) -> float:
        """The share of it, from 0 on."""
        return (time.process_time() - self.begun) / self.seconds

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begins to count."""
        self.begun = time.process_time()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Slows the rates down, and stops."""
        assert isinstance(pl_module, Game)
        pl_module.engine.slowed = rate(self.spent)
        trainer.should_stop = self.spent >= 1


def rate(spent: float) -> float:
    """The factor on learning rates after a share of the budget: 1 until 0.4, then linear to 0.05 at 1."""
    return 1.0 if spent <= 0.4 else max(0.05, 1 - 0.95 * (spent - 0.4) / 0.6)


def entries(folder: Path) -> Iterator[dict[str, Any]]:
    """What was measured already."""
    path = folder / RESULTS
    yield from (json.loads(line) for line in path.read_text().splitlines()) if path.exists() else ()


def run(out: Path, family: str, recipe: Path, minutes: float, seed: int) -> dict[str, Any]:
    """Trains and measures an entry."""
    folder = out / f"{family}-{minutes:g}-{seed}"
    budget = Budget(60 * minutes)
    never = 10**9
    trained = ganzoo.train(
        recipe,
        folder=folder,
        resume=False,
        engine={"seed": seed, "decay": None},
        max_steps=never,
        callbacks=[budget],
        accelerator="cpu",
        devices=1,
        precision="32-true",
        preview_every=never,
        save_every=never,
        protocols=[],
    )
    seconds = time.process_time() - budget.begun
    scores = ganzoo.evaluate(trained.model, protocol=PROTOCOLS)
    return {
        "family": family,
        "recipe": recipe.parent.name + "/" + recipe.name,
        "minutes": minutes,
        "seed": seed,
        "steps": trained.steps,
        "images": trained.images_seen,
        "seconds": round(seconds, 1),
        **{key: round(scores[key], 4) for key in COLUMNS},
        "hardware": hardware(),
        "torch": torch.__version__,
        "ganzoo": ganzoo.__version__,
    }


def hardware() -> str:
    """The processor's name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The page's table: the mean over the seeds, and their range, the best first."""
    found = []
    for family, minutes in sorted({(row["family"], row["minutes"]) for row in rows}):
        same = [row for row in rows if (row["family"], row["minutes"]) == (family, minutes)]
        cells = []
        for key, (_, digits) in COLUMNS.items():
            values = [row[key] for row in same]
            spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.{digits}f}{spread}")
        images = statistics.mean(row["images"] for row in same)
        first = statistics.mean(row[PROTOCOLS[0]] for row in same)
        found.append(
            (minutes, first, f"| {minutes:g} | {family} | {' | '.join(cells)} | {images:,.0f} | {len(same)} |")
        )
    heads = ["minutes", "family", *(head for head, _ in COLUMNS.values()), "images", "seeds"]
    head = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    machines = sorted({f"{row['hardware']}, torch {row['torch']}" for row in rows})
    return "\n".join([*head, *(line for *_, line in sorted(found)), "", f"Measured on {'; '.join(machines)}."])


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """The scores over the minutes: a line each family through the mean of its seeds, and their range."""
    from ganzoo.media.charts import COLOURS, drawn, panels

    figure, axes = panels(1, 2, (960, 400))
    best = {row["family"]: row[PROTOCOLS[0]] for row in sorted(rows, key=lambda row: -row[PROTOCOLS[0]])}
    minutes = sorted({row["minutes"] for row in rows})
    for plot, key in zip(axes, PROTOCOLS[:2], strict=True):
        for family, colour in zip(sorted(best, key=lambda name: best[name]), itertools.cycle(COLOURS)):
            each = {m: [r[key] for r in rows if (r["family"], r["minutes"]) == (family, m)] for m in minutes}
            at = [m for m in minutes if each[m]]
            means = [statistics.mean(each[m]) for m in at]
            spread = [
                [mean - min(each[m]) for m, mean in zip(at, means, strict=True)],
                [max(each[m]) - mean for m, mean in zip(at, means, strict=True)],
            ]
            plot.errorbar(at, means, spread, marker="o", color=colour, capsize=3, label=family)
        plot.set(yscale="log", xlabel="minutes of a core", title=key, xticks=minutes)
        limits = plot.get_ylim()
        plot.set_yticks([n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if limits[0] < n < limits[1]])
        plot.minorticks_off()
        plot.grid(alpha=0.3)
    axes[1].legend(frameon=False, fontsize=8)
    drawn(figure).save(path, optimize=True)


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and of their results")
    parser.add_argument("--minutes", type=float, nargs="+", default=[3.0, 10.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--recipe", type=Path, help="of the one family, where it is not the shipped model's")
    parser.add_argument("--table", type=Path, help="a page, whose table is written from the results")
    given = parser.parse_args()
    torch.set_num_threads(1)
    wanted = [(f, m, s) for m in given.minutes for s in given.seeds for f in given.families]
    for family, minutes, seed in wanted:
        if any((row["family"], row["minutes"], row["seed"]) == (family, minutes, seed) for row in entries(given.out)):
            continue
        if len(wanted) > 1:  # a process of its own, whose time is its own
            words = ["--minutes", str(minutes), "--seeds", str(seed), "--out", str(given.out)]
            words += ["--recipe", str(given.recipe)] if given.recipe else []
            subprocess.run([sys.executable, __file__, family, *words], check=True)
            continue
        recipe = given.recipe or Path(__file__).parents[1] / "recipes" / family / "fashion-mnist.yaml"
        found = run(given.out, family, recipe, minutes, seed)
        with (given.out / RESULTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        print(json.dumps(found), flush=True)
    if given.table is not None:
        rows = [*entries(given.out)]
        measured.show(f"\n{table(rows)}\n", given.table)
        draw(rows, given.table.parent / "pictures" / "speedrun.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
