"""A hundred pictures: fine-tuning a model that never saw their kind, beside training from scratch: `docs/few.md`.

    ganzoo data emoji --style google
    OMP_NUM_THREADS=1 python benchmarks/few.py --out runs/few --seeds 0 1 2
    python benchmarks/few.py --out runs/few --page docs/few.md

A category of the emoji is held out (another by `--category`, in a folder of its own): a hundred of its pictures are
trained on, the others are kept to compare with. One model is trained on all the other categories. Then, a seed each: it
is fine-tuned on the hundred with `adapt`, and without; and the same networks are trained from scratch on the hundred,
with the same augmentation, at the same rates, on ten times as many images. At a tenth, a quarter, a half and all of a
run's images the kernel distance is measured, to the pictures kept apart and to the hundred. All of them are runs of
`recipes/dcgan/few.yaml`.

A run that was stopped goes on, and points that `OUT/results.jsonl` holds are not measured again; `--page` writes the
page's table behind the category's mark, such as `<!-- objects -->`, and its pictures, from that file and the runs'
models.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import measured
import numpy as np
import torch
from PIL import Image
from speedrun import RESULTS, entries, hardware

import ganzoo
from ganzoo.data.emoji import Emoji
from ganzoo.game.game import Game
from ganzoo.media.levels import to_uint8
from ganzoo.metrics.features.network import feature_network
from ganzoo.metrics.functional.kernel import kernel_distance_full
from ganzoo.zoo.runs import plan_of

RECIPE = Path(__file__).parents[1] / "recipes" / "dcgan" / "few.yaml"
TARGET, SIZE, BATCH, SAMPLES, NETWORK = 100, 32, 32, 500, "mobilenet_v2"
SHARES = (0.1, 0.25, 0.5, 1.0)  # of a run's images, at which it is measured
NEVER = 10**9


class Kind(NamedTuple):
    """How the hundred pictures are trained on.

    Args:
        title: for people.
        colour: of its line.
        tuned: whether the model of the other pictures is the start.
        images: that it sees, in those of fine-tuning.
        given: what differs from the recipe, whose `adapt` is DiffAugment.
    """

    title: str
    colour: str
    tuned: bool
    images: int
    given: dict[str, Any]


KINDS = {
    "adapted": Kind("fine-tuned with adapt", "#1f5f8b", True, 1, {}),
    "plain": Kind("fine-tuned without", "#b3541e", True, 1, {"adapt.augment": None}),
    "scratch": Kind("from scratch", "#3a7d44", False, 10, {}),
}


class Points(L.Callback):
    """Measures a run at numbers of images seen.

    Args:
        out: where the results are.
        facts: of the run, for each of its lines.
        at: images.
        network: gives features.
        references: features of the real pictures, by name.
    """

    def __init__(self, out: Path, facts: dict[str, Any], at: Iterable[int], network: Any, references: Any) -> None:
        known = {row["images"] for row in entries(out) if all(row[key] == facts[key] for key in ("kind", "seed"))}
        self.left = sorted(set(at) - known)
        self.out, self.facts, self.network, self.references = out, facts, network, references

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A run that begins from weights may be measured before it trains."""
        self._look(pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """When it is time."""
        self._look(pl_module)

    def _look(self, game: L.LightningModule) -> None:
        assert isinstance(game, Game)
        if self.left and game.images_seen >= self.left[0]:
            found = distances(game, self.network, self.references)
            line = {**self.facts, "images": self.left.pop(0), **{k: round(v, 4) for k, v in found.items()}}
            with (self.out / RESULTS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)


def distances(game: Any, network: Any, references: dict[str, torch.Tensor]) -> dict[str, float]:
    """The kernel distance of samples to each of the references: `kid` with all of them as its one subset."""
    features = network(to_uint8(game.sample(SAMPLES, seed=0)))
    return {name: kernel_distance_full(real, features) for name, real in references.items()}


def prepare(out: Path, category: str) -> dict[str, Path]:
    """Writes the pictures of three folders, which ones being settled by a seed: target, kept and others."""
    source = Emoji("google", SIZE)
    images, rows = source.open("all"), source.table("all")
    of = np.flatnonzero([row["category"] == category for row in rows])
    if len(of) <= TARGET:
        found = ", ".join(sorted({str(row["category"]) for row in rows}))
        raise SystemExit(f"{len(of)} pictures are of {category!r}; more than {TARGET} are needed. There are {found}")
    of = of[np.random.RandomState(0).permutation(len(of))]
    chosen = {"target": of[:TARGET], "kept": of[TARGET:], "others": np.setdiff1d(np.arange(len(rows)), of)}
    folders = {name: out / "pictures" / name for name in chosen}
    for name, places in chosen.items():
        folders[name].mkdir(parents=True, exist_ok=True)
        for place in places:
            Image.fromarray(images.values[place].transpose(1, 2, 0)).save(
                folders[name] / f"{rows[place]['code'].lower()}.png"
            )
    return folders


def pictures(folder: Path) -> torch.Tensor:
    """`(N, 3, size, size)` uint8."""
    files = sorted(folder.glob("*.png"))
    return torch.from_numpy(np.stack([np.array(Image.open(path)).transpose(2, 0, 1) for path in files]))


def train(folder: Path, root: Path, images: int, seed: int, given: dict[str, Any], points: list[Points]) -> None:
    """A run of the recipe, or what is left of one."""
    going_on = (folder / "last.ckpt").exists()
    begun = {
        **given,
        "data.init_args.root": str(root),
        "seed_everything": seed,
        "engine.average": images / 40,
        "run.preview_every": NEVER,
        "run.save_every": 500,
        "run.folder": str(folder),
        "trainer.max_steps": -(-images // BATCH),
        "trainer.accelerator": "cpu",
    }
    target, words = (folder, {}) if going_on else (RECIPE, begun)
    plan_of(target, words, going_on, objects={"trainer.callbacks": points} if points else {}).train()


def run(out: Path, category: str, images: int, before: int, seeds: Sequence[int], kinds: Sequence[str]) -> None:
    """All runs, those that are done already left out."""
    folders = prepare(out, category)
    network = feature_network(NETWORK)
    references = {name: network(pictures(folders[name])) for name in ("kept", "target")}
    (out / "floor.json").write_text(
        json.dumps({"floor": kernel_distance_full(references["target"], references["kept"])})
    )
    first = out / "first"
    if not (out / "first.done").exists():
        train(first, folders["others"], before, 0, {}, [])
        (out / "first.done").touch()
    for seed in seeds:
        for name in kinds:
            kind = KINDS[name]
            whole = images * kind.images
            at = [round(share * whole) for share in SHARES] + [0] * kind.tuned
            facts = {"kind": name, "seed": seed, "hardware": hardware(), "torch": torch.__version__}
            points = Points(out, facts, at, network, references)
            if points.left:
                start = {"init_from": str(first)} if kind.tuned else {}
                train(out / f"{name}-{seed}", folders["target"], whole, seed, {**kind.given, **start}, [points])


def table(rows: Sequence[dict[str, Any]], floor: float) -> str:
    """A row a kind and a number of images: the mean over the seeds, and their range."""
    lines = ["| training | images | to the kept pictures | to the hundred | seeds |", "|---" * 5 + "|"]
    for name, kind in KINDS.items():
        for images in sorted({row["images"] for row in rows if row["kind"] == name}):
            same = [row for row in rows if (row["kind"], row["images"]) == (name, images)]
            cells = [_spread([row[key] for row in same]) for key in ("kept", "target")]
            lines.append(f"| {kind.title} | {images:,} | {' | '.join(cells)} | {len(same)} |")
    machines = sorted({f"{row['hardware']}, torch {row['torch']}" for row in rows})
    return "\n".join([*lines, "", f"The hundred to the kept pictures: {floor:.3f}. Measured on {'; '.join(machines)}."])


def _spread(values: list[float]) -> str:
    several = f" ({min(values):.3f} to {max(values):.3f})" if len(set(values)) > 1 else ""
    return f"{statistics.mean(values):.3f}{several}"


def draw(rows: Sequence[dict[str, Any]], floor: float, path: Path) -> None:
    """The distances over the images seen, a line each kind through the mean of the seeds."""
    from ganzoo.media.charts import drawn, panels

    figure, axes = panels(1, 2, (960, 400), sharey=True)
    for plot, key, title in zip(axes, ("kept", "target"), ("kept apart", "trained on"), strict=True):
        for name, kind in KINDS.items():
            own = [row for row in rows if row["kind"] == name and row["images"]]
            at = sorted({row["images"] for row in own})
            each = [[row[key] for row in own if row["images"] == images] for images in at]
            plot.plot(at, [statistics.mean(v) for v in each], marker="o", color=kind.colour, label=kind.title)
            plot.fill_between(at, [min(v) for v in each], [max(v) for v in each], color=kind.colour, alpha=0.2)
        plot.set(xscale="log", xlabel="images seen", title=f"to the pictures {title}")
        plot.axhline(floor, color="#888888", linestyle=":", label="the hundred to those kept apart")
        plot.grid(alpha=0.3)
    axes[0].set_ylabel("kernel distance")
    axes[0].legend(frameon=False, fontsize=8)
    drawn(figure).save(path, optimize=True)


def sheet(out: Path, path: Path, columns: int = 16) -> None:
    """Rows of pictures: of the hundred, of the first model, and of each kind at its end, of the first seed."""
    real = pictures(out / "pictures" / "target")
    rows = [real[:: len(real) // columns][:columns]]
    names = ["first", *(f"{name}-0" for name in KINDS)]
    rows += [to_uint8(ganzoo.load(out / name).sample(columns, seed=0)) for name in names]
    ganzoo.save_grid(torch.cat(rows), path, columns)


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and of their results")
    parser.add_argument("--category", default="Smileys & Emotion", help="of the emoji, that is held out")
    parser.add_argument("--images", type=int, default=5_000, help="that fine-tuning sees; from scratch ten times")
    parser.add_argument("--before", type=int, default=240_000, help="that the first model sees, of the others")
    parser.add_argument("--seeds", type=int, nargs="*", default=[])
    parser.add_argument("--kinds", nargs="+", choices=[*KINDS], default=[*KINDS])
    parser.add_argument("--page", type=Path, help="whose table is written, and its pictures in pictures/ beside it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.seeds:
        run(given.out, given.category, given.images, given.before, given.seeds, given.kinds)
    if given.page is not None:
        rows, floor = [*entries(given.out)], json.loads((given.out / "floor.json").read_text())["floor"]
        short, folder = given.category.partition(" ")[0].lower(), given.page.parent / "pictures"
        measured.show(f"\n{table(rows, floor)}\n", given.page, f"<!-- {short} -->\n")
        draw(rows, floor, folder / f"few-{short}.png")
        sheet(given.out, folder / f"few-{short}-samples.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
