r"""Translation without pairs: what each family finds of the counterparts, and what a step of it costs.

    OMP_NUM_THREADS=1 python benchmarks/unpaired.py cyclegan-emoji runs/cut-emoji/last runs/discogan-emoji/last \\
        runs/dualgan-emoji/last --out docs/translation.md --picture docs/pictures/unpaired.png

The models are of one task, have learned it without pairs, and are measured with pairs, by named protocols: the share of
held-out pictures to whose translation the own counterpart is nearest of all, beside a copy of the picture and a network
with fresh weights; the mean absolute difference to the counterpart; the kernel distance to pictures of the domain. A
family's images a second are those of training with the model's arguments and batch, on random pictures, by the
processor time of this process, Lightning and the engine included.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import measured
import torch
from beside import Random, by_turns

import ganzoo
from ganzoo.data.emoji import EmojiPairs
from ganzoo.media.levels import to_float
from ganzoo.media.medium import save_grid
from ganzoo.zoo.evaluating import measure

KEYS = ("top1k_mobilenet_v2_test", "mae1k_pixels_test", "kid1k_mobilenet_v2_test")
HEADS = ("model", "retrieval", "fresh weights", "difference", "KID", "images seen", "images/s", "minutes")


def rate(model: Any, arguments: dict[str, Any], batch_size: int, steps: int) -> float:
    """Images a second of a fresh game with a model's arguments.

    Steps are timed by sixes, since some families' are not all alike.
    """
    torch.manual_seed(0)
    game = type(model)(**arguments)
    (times,) = by_turns(game, Random(game.shape, batch_size, targets=True), steps=6 * steps, warmup=6, every=6)
    return 6 * batch_size / statistics.median(times)


def rows(name: str, steps: int) -> list[list[str]]:
    """The cells of a model, and of the copy that stands beside all."""
    model: Any = ganzoo.load(name)
    facts = model.card.facts
    top, mae, kid = measure(model, protocol=[*KEYS])
    batch_size, seen = facts["training"]["batch_size"], facts["images_seen"]
    fast = rate(model, facts["arguments"], batch_size, steps)
    copies = [score.references["copy of the input"] for score in (top, mae, kid)]
    own = [f"{top.value:.3f}", f"{top.references['untrained network']:.3f}", f"{mae.value:.3f}", f"{kid.value:.4f}"]
    spent = [f"{seen:,}", f"{fast:.0f}", f"{seen / fast / 60:.0f}"]
    copy = ["a copy of the picture", f"{copies[0]:.3f}", "", f"{copies[1]:.3f}", f"{copies[2]:.4f}", "", "", ""]
    return [copy, [facts["name"], *own, *spent]]


def sheet(names: list[str], file: Path, count: int = 10) -> None:
    """Draws held-out pictures, a row of translations a model, and the counterparts."""
    held = EmojiPairs().open("test")
    batch = held.batch([i * len(held) // count for i in range(count)])
    assert batch.targets is not None
    images = to_float(batch.images)
    made = [ganzoo.load(name).translate(images) for name in names]
    save_grid(torch.cat([images, *made, to_float(batch.targets)]), file, columns=count)


def main() -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("models", nargs="+", help="names or folders of models of one task")
    parser.add_argument("--steps", type=int, default=4, help="sixes of steps that are timed, after one")
    parser.add_argument("--picture", type=Path, help="where held-out pictures, translations and the truth go")
    given = parser.parse_args()
    measured.quiet()
    lines = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    for name in given.models:
        for cells in rows(name, given.steps):
            line = f"| {' | '.join(cells)} |"
            if line not in lines:
                lines.append(line)
                print(line, flush=True)
    if given.picture is not None:
        sheet(given.models, given.picture)
    measured.show("\n".join(lines), given.out)


if __name__ == "__main__":
    main()
