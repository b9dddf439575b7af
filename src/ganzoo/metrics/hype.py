"""HYPE: how often people take generated pictures for real ones, and how short a look it takes to be taken in.

Zhou et al. 2019, "HYPE: A Benchmark for Human eYe Perceptual Evaluation of Generative Models", arXiv:1904.01121.
HYPE_infinity is the share of a person's judgements, without limits of time, that are wrong: 0.5 where nobody can tell.
HYPE_time shows each picture for a moment, 500 ms at first; a right answer takes 30 ms off the next exposure, a wrong
one adds 10. The exposure that occurs most often is the threshold, in ms: the longer, the better the model.

Section 2.1 has the constants: exposures from 100 to 1000 ms; three blocks of 150 pictures, each of which begins at 500
ms, and whose thresholds are averaged; four masks of 30 ms; a countdown of three times 500 ms; and whoever answers is
told at once whether it was right. Section 2.2 has the 100 pictures of HYPE_infinity, section 3 the intervals.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from ganzoo.metrics.evaluate import Score
from ganzoo.types import BadArgument

FIRST, RIGHT, WRONG, SHORTEST, LONGEST = 500, -30, 10, 100, 1000  # of exposures, in ms
BLOCKS: Final = 3  # staircases that a person climbs
PICTURES: Final = {"time": 450, "infinity": 100}  # that a person judges, half of them real
MASKS, MASK = 4, 30  # pictures that wipe out what was seen, and for how many ms each
_DRAWS: Final = 10_000
_LARGEST: Final = 2**26  # bytes of a file of judgements


@dataclass(frozen=True)
class Judgement:
    """One answer of one person, and all that it depends on: a line of the file.

    Args:
        session: of one person and one model.
        number: of the picture in the session, from 0.
        of: pictures in the session.
        mode: `time` or `infinity`.
        model: its name.
        generator: sha256 of the weights that it samples with.
        data: the real pictures,
        data_digest: a hash of them,
        split: and of which part they are.
        seed: of a generated picture; None for a real one.
        index: of a real picture in its split; None for a generated one.
        exposure: ms that the picture was to be seen; None without a limit.
        shown: ms that it was, as the browser measured.
        took: ms from the question to the answer.
        real: whether it was real.
        said: what the person said.
    """

    session: str
    number: int
    of: int
    mode: str
    model: str
    generator: str
    data: str
    data_digest: str
    split: str
    seed: int | None
    index: int | None
    exposure: int | None
    shown: float | None
    took: float
    real: bool
    said: bool

    @property
    def right(self) -> bool:
        """Whether the answer was."""
        return self.real == self.said


def next_exposure(last: int, right: bool) -> int:
    """The exposure after an answer, in ms: shorter after a right one."""
    return min(LONGEST, max(SHORTEST, last + (RIGHT if right else WRONG)))


def threshold(exposures: Sequence[int]) -> float:
    """A staircase's exposure in ms: that which occurs most often; the mean of those where several do."""
    counts = Counter(exposures)
    most = max(counts.values())
    return float(np.mean([exposure for exposure, n in counts.items() if n == most]))


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """The 95 % interval of the mean, by 10,000 draws with replacement, and the standard deviation of these means."""
    rng, given = np.random.RandomState(seed), np.asarray(values, np.float64)
    means = np.concatenate(
        [given[rng.randint(len(given), size=(100, len(given)))].mean(1) for _ in range(_DRAWS // 100)]
    )
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high), float(means.std())


def score(judgements: Iterable[Judgement]) -> list[Score]:
    """The scores of finished sessions of one model, under a key for each mode and number of pictures.

    `hype_infinity100` is the share of answers that were wrong, with those of real and of generated pictures apart;
    `hype_time450` the threshold in ms. People are drawn with replacement for the interval, as in the paper; where there
    was one, its answers or staircases are, which says nothing of other people.

    Raises:
        BadArgument: if no session was finished, or the real pictures are not the same in all.
    """
    sessions: dict[tuple[str, int, str], dict[int, Judgement]] = defaultdict(dict)
    for each in judgements:
        sessions[each.mode, each.of, each.session][each.number] = each
    whole = {key: [part[i] for i in range(key[1])] for key, part in sessions.items() if len(part) == key[1]}
    if not whole:
        raise BadArgument(f"no session was finished; {len(sessions)} were begun")
    groups: dict[tuple[str, int], list[list[Judgement]]] = defaultdict(list)
    for (mode, of, _), session in sorted(whole.items()):
        groups[mode, of].append(session)
    found = []
    for (mode, of), people in groups.items():
        if len({(each.data_digest, each.split) for person in people for each in person}) > 1:
            raise BadArgument(f"hype_{mode}{of}: the real pictures are not the same in all sessions; score them apart")
        found += _scores(mode, of, people)
    return found


def _scores(mode: str, of: int, people: list[list[Judgement]]) -> list[Score]:
    """A mode's score, and its parts."""
    parts: dict[str, list[list[float]]]
    if mode == "time":
        size = of // BLOCKS
        blocks = [[person[b * size : (b + 1) * size] for b in range(BLOCKS)] for person in people]
        parts = {"": [[threshold([each.exposure or 0 for each in block]) for block in person] for person in blocks]}
    else:
        kinds = {"": (True, False), "real": (True,), "generated": (False,)}
        parts = {
            part: [[float(not each.right) for each in person if each.real in kind] for person in people]
            for part, kind in kinds.items()
        }
    first, answers = people[0][0], [each for person in people for each in person]
    settings = {"metric": "hype", "mode": mode, "pictures": of, "first": FIRST, "right": RIGHT, "wrong": WRONG}
    settings |= {"shortest": SHORTEST, "longest": LONGEST, "blocks": BLOCKS, "masks": MASKS, "mask": MASK}
    scores = []
    for part, values in parts.items():
        alone = len(values) == 1
        low, high, spread = interval(values[0] if alone else [float(np.mean(each)) for each in values])
        resampled = "people" if not alone else "staircases of one person" if mode == "time" else "answers of one person"
        scores.append(
            Score(
                key=f"hype_{mode}{of}" + (f"/{part}" if part else ""),
                value=float(np.mean([np.mean(each) for each in values])),
                spread=spread,
                n=sum(not each.real for each in answers),
                n_real=sum(each.real for each in answers),
                seed=None,
                network="people",
                network_sha256="",
                size=0,
                resizer="",
                data=first.data,
                data_digest=first.data_digest,
                split=first.split,
                floor=None,
                floor_of=None,
                ceiling=None,
                ceiling_of=None,
                seconds=round(sum(each.took for each in answers) / 1000, 3),
                protocol=settings if mode == "time" else {key: settings[key] for key in ("metric", "mode", "pictures")},
                details={"interval": [low, high], "people": len(people), "resampled": resampled},
                references={} if mode == "time" or part else {"chance": 0.5},
            )
        )
    return scores


# ---------------------------------------------------------------- the file


def write_judgement(path: str | Path, judgement: Judgement) -> None:
    """Appends a line."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(judgement), allow_nan=False) + "\n")


def read_judgements(path: str | Path) -> list[Judgement]:
    """Reads the lines of a file.

    Raises:
        BadArgument: naming the first line that is none.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST:
            raise BadArgument(f"{path}: has over {_LARGEST} bytes; a file of judgements has less")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror or error if isinstance(error, OSError) else "it is no text"
        raise BadArgument(f"{path}: no judgements can be read ({reason})") from None
    found = []
    for i, line in enumerate(lines):
        try:
            found.append(_judgement(json.loads(line)))
        except (ValueError, TypeError, RecursionError) as error:
            raise BadArgument(f"{path}: line {i + 1} is no judgement ({' '.join(str(error).split())[:120]})") from None
    return found


def _judgement(facts: Any) -> Judgement:
    """One of plain JSON, with types and ranges held."""
    wanted = {each.name: str(each.type) for each in fields(Judgement)}
    if not isinstance(facts, dict) or facts.keys() != wanted.keys():
        raise ValueError("it has other fields")
    kinds: dict[str, Any] = {"str": str, "int": int, "bool": bool, "float": (int, float), "None": type(None)}
    for name, told in wanted.items():
        value, allowed = facts[name], [kinds[each] for each in told.split(" | ")]
        if not any(isinstance(value, kind) for kind in allowed) or (isinstance(value, bool) and bool not in allowed):
            raise ValueError(f"{name} is {value!r:.40}")
        if isinstance(value, (int, float)) and not 0 <= value < 2**53:
            raise ValueError(f"{name} is {value!r:.40}")
    made = Judgement(**facts)
    if made.mode not in PICTURES or not made.number < made.of <= 10_000 or (made.seed is None) != made.real:
        raise ValueError("its mode, number or seed cannot be")
    if (made.exposure is None) != (made.mode == "infinity") or made.of % (2 * BLOCKS if made.mode == "time" else 2):
        raise ValueError("its exposure or number of pictures cannot be")
    return made
