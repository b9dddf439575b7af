"""PPGN steered by captions: eq. 11 with a captioning network's log p(caption | image) in the classifier's place.

    OMP_NUM_THREADS=1 python benchmarks/ppgn_captions.py --model runs/ppgn-avatars/last --out docs/ppgn.md

Two networks are trained here on avatars, of other widths, first weights and batches than the one that PPGN inverts: one
writes captions, a GRU over words behind a small network of convolutions, and steers; the other tells all attributes,
and says which of those that a held-out caption names its drawn picture shows. Retrieval is that of the metric `match`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import measured
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ganzoo
from ganzoo.data.avatars import Avatars
from ganzoo.data.batch import Images
from ganzoo.media.levels import to_float
from ganzoo.media.medium import save_grid
from ganzoo.media.provenance import made_by
from ganzoo.metrics.features.classifiers import AVATAR_ATTRIBUTES, SmallClassifier
from ganzoo.metrics.features.network import feature_network
from ganzoo.metrics.functional.pairs import matches
from ganzoo.types import Condition

COUNTS = [len(words) for words in AVATAR_ATTRIBUTES.values()]
NETWORKS = ("mobilenet_v2", "avatars_hair_colour")  # the latter has the weights that PPGN inverts
SHOWN = 8  # captions of the picture, each a column: their own picture, and one of each chain
CHAINS: dict[str, dict[str, Any]] = {
    "all terms": {},
    "no prior (epsilon_1 = 0)": {"epsilon1": 0.0},
    "no caption (epsilon_2 = 0)": {"epsilon2": 0.0},
}


class Captioner(nn.Module):
    """p(caption | image), word by word: a GRU that is shown at each what a small network sees, as LRCN is.

    Args:
        captions: of which the words are known.
        hidden: length of the GRU's state.
    """

    def __init__(self, captions: Sequence[str], hidden: int = 128) -> None:
        super().__init__()
        self.words = ["", *sorted({word for caption in captions for word in split(caption)})]  # "" begins and ends
        self.longest = 1 + max(len(split(caption)) for caption in captions)
        self.eye = SmallClassifier(((12,), (32,), (64,), (96,)), channels=3, classes=hidden)
        self.embedding = nn.Embedding(len(self.words), 32)
        self.gru, self.out = nn.GRU(32 + hidden, hidden, batch_first=True), nn.Linear(hidden, len(self.words))

    def following(self, seen: Tensor, before: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits `(n, words, known)` of the words behind others `(n, words)`, and the state."""
        eyes = seen[:, None].expand(-1, before.shape[1], -1)
        said, state = self.gru(torch.cat([self.embedding(before), eyes], 2), state)
        return self.out(said), state

    def read(self, captions: Sequence[str]) -> Tensor:
        """The numbers of words `(n, longest)`, as floats, which end with zeros."""
        numbers = [[self.words.index(word) for word in split(caption)] for caption in captions]
        return torch.tensor([each + [0] * (self.longest - len(each)) for each in numbers]).float()

    def forward(self, images: Tensor, words: Tensor) -> Tensor:
        """log p `(n,)` of captions `(n, longest)`: a sum over their words and the end."""
        words = words.long()
        said, _ = self.following(self.eye(images)[1].relu(), F.pad(words[:, :-1], (1, 0)))
        each = -F.cross_entropy(said.transpose(1, 2), words, reduction="none")
        return (each * (F.pad(words[:, :-1], (1, 0), value=1) > 0)).sum(1)

    def log_probability(self, images: Tensor, condition: Condition) -> Tensor:
        """The same, as a chain asks for it."""
        assert condition.text is not None
        return self(images, condition.text)

    @torch.no_grad()
    def write(self, images: Tensor) -> Tensor:
        """The likeliest words `(n, longest)`, one after the other."""
        seen, state, written = self.eye(images)[1].relu(), None, [torch.zeros(len(images), 1, dtype=torch.long)]
        for _ in range(self.longest):
            said, state = self.following(seen, written[-1], state)
            ended = written[-1] == 0 if written[1:] else torch.zeros_like(written[-1], dtype=torch.bool)
            written.append(said.argmax(2).masked_fill(ended, 0))
        return torch.cat(written[1:], 1).float()


def split(caption: str) -> list[str]:
    """Its words."""
    return re.findall(r"\w+", caption)


def attributes(rows: Sequence[dict[str, str]]) -> Tensor:
    """The classes `(n, attributes)` of avatars."""
    keys = {key.replace("_", "-"): words for key, words in AVATAR_ATTRIBUTES.items()}
    return torch.tensor([[words.index(row[key]) for key, words in keys.items()] for row in rows])


def told(judge: SmallClassifier, images: Tensor) -> Tensor:
    """The classes that a network of all attributes takes images for."""
    return torch.stack([each.argmax(1) for each in judge(images)[1].split(COUNTS, 1)], 1)


def fit(network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], real: Images, target: Tensor, steps: int) -> None:
    """Trains on batches of 64 noisy pictures and their rows of a target, and freezes."""
    order = torch.randperm(len(real))
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for i in range(steps):
        rows = order[torch.arange(64 * i, 64 * (i + 1)) % len(order)]
        x = to_float(real.batch(rows.tolist()).images)
        found = loss(x + 0.1 * torch.randn_like(x), target[rows])
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        schedule.step()
    network.eval().requires_grad_(False)


def main() -> None:
    parser = measured.parser(__doc__)
    parser.add_argument("--model", required=True, help="a PPGN of avatars: a name or a folder")
    parser.add_argument("--beside", default="gan-int-cls-avatars", help="a model that learnt from captions")
    parser.add_argument("--captions", type=int, default=500, help="held-out ones")
    parser.add_argument("--steps", type=int, default=1200, help="that either network is trained for, batches of 64")
    parser.add_argument("--epsilon2", type=float, default=1.0, help="of the caption, chosen on 40 training ones")
    arguments = parser.parse_args()
    measured.quiet()
    source = Avatars(size=32)
    real, held = source.open("train"), source.open("test")
    rows = source.table("train")
    captions = [row["caption"] for row in rows]
    torch.manual_seed(1)
    steering = Captioner(captions)
    fit(steering, lambda x, y: -steering(x, y).mean(), real, steering.read(captions), arguments.steps)
    torch.manual_seed(2)
    judge = SmallClassifier(((16, 16), (24,), (48,), (96,)), channels=3, classes=sum(COUNTS))

    def judged(x: Tensor, y: Tensor) -> Tensor:
        return sum((F.cross_entropy(a, b) for a, b in zip(judge(x)[1].split(COUNTS, 1), y.T, strict=True)), x.sum() * 0)

    fit(judge, judged, real, attributes(rows), arguments.steps)
    asked = source.table("test")[: arguments.captions]
    n, captions, wanted = len(asked), [row["caption"] for row in asked], attributes(asked)
    words, true = steering.read(captions), to_float(held.batch(list(range(len(asked)))).images)
    right = float((steering.write(true) == words).all(1).float().mean())
    print(f"of {n} held-out pictures the caption that it writes is true to the word of {right:.3f}", flush=True)
    eyes = {name: feature_network(name) for name in NETWORKS}
    seen = {name: eye(true) for name, eye in eyes.items()}
    model = ganzoo.load(arguments.model)
    beside: Any = ganzoo.load(arguments.beside)
    ways: dict[str, Callable[[], Tensor]] = {"the captions' own pictures": lambda: true}
    for chain, options in CHAINS.items():
        steered = {"log_probability": steering.log_probability, "epsilon2": arguments.epsilon2} | options
        ways[f"PPGN, {chain}"] = partial(model.sample, n, condition=Condition(text=words), batch_size=50, **steered)
    ways[f"{arguments.beside}, which learnt from captions"] = lambda: beside.depict(captions)
    names = [name.replace("_", " ") for name in AVATAR_ATTRIBUTES]
    found = [f"found by {name}" for name in NETWORKS]
    lines = ["| pictures | " + " | ".join([*names, "all", *found]) + " |", "|---|" + "---|" * (len(names) + 3)]
    drawn: dict[str, Tensor] = {}
    for way, draw in ways.items():
        images = drawn[way] = draw()
        shows = told(judge, images) == wanted
        values = [*shows.float().mean(0).tolist(), float(shows.all(1).float().mean())]
        values += [matches(seen[name], eye(images)).value for name, eye in eyes.items()]
        lines.append(f"| {way} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
        print(lines[-1], flush=True)
    said = f"{n} held-out captions; the network that steers writes {right:.1%} of their pictures' captions to the word."
    picture = [true[:SHOWN], *(drawn[way][:SHOWN] for way in ways if way.startswith("PPGN"))]
    shown = [f"{i}. {caption}" for i, caption in enumerate(captions[:SHOWN], 1)]
    if arguments.out is not None:
        with made_by(model, composite=True):
            file = arguments.out.parent / "pictures" / "ppgn-captions.png"
            save_grid(torch.cat(picture), file, columns=SHOWN)
    measured.show("\n".join([said, "", *lines, "", *shown]), arguments.out, "<!-- captions -->\n")


if __name__ == "__main__":
    main()
