"""Measuring models and folders of pictures, and writing the scores into a model's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.types import BadArgument
from ganzoo.zoo.loading import load

if TYPE_CHECKING:
    import torch

    from ganzoo.data.batch import Data, Images
    from ganzoo.game.game import Game
    from ganzoo.metrics.measuring import Progress, Score
    from ganzoo.metrics.protocol import Protocol
    from ganzoo.zoo.loading import Model


def evaluate(
    model: Model,
    data: str | Path | Data | None = None,
    protocol: str | Sequence[str] | None = None,
    *,
    device: str | torch.device | None = None,
    batch_size: int | None = None,
) -> dict[str, float]:
    """Measures a model.

    Args:
        model: a name, `hf://org/repo[@revision]`, a folder, or a loaded model.
        data: the real images: a source's name, a folder of pictures, or a source; the training data if None.
        protocol: one or several keys, such as `fd10k_mobilenet_v2`; those that suit the data if None.
        device: where to compute.
        batch_size: images at a time.

    Returns:
        The scores by key. A key names its protocol, and where that gives several numbers, which one.
    """
    scores = measure(model, data, protocol, device=device, batch_size=batch_size, floors=False)
    return {score.key: score.value for score in scores}


def measure(
    model: Model,
    data: str | Path | Data | None = None,
    protocol: str | Sequence[str] | None = None,
    *,
    device: str | torch.device | None = None,
    batch_size: int | None = None,
    floors: bool = True,
    progress: Progress | None = None,
) -> list[Score]:
    """Measures a model and tells everything that the scores depend on; see `evaluate`.

    Args:
        model: as `evaluate`'s.
        data: as `evaluate`'s.
        protocol: as `evaluate`'s.
        device: where to compute.
        batch_size: images at a time.
        floors: whether to measure real images against real ones, and noise, as well.
        progress: told how far it is.
    """
    from ganzoo.metrics import protocol as protocols
    from ganzoo.metrics.tasks import measure_tasks
    from ganzoo.training.scores import abilities_of

    keys = [protocol] if isinstance(protocol, str) else protocol
    wanted = None if keys is None else [protocols.protocol(key) for key in keys]
    live = wanted is not None and any(p.weights == "live" for p in wanted)
    game = load(model, device=device, players=live)
    source, able = _source(game, data), abilities_of(game)
    name = source.open("train").name
    chosen = protocols.protocols_for(name, able.names(), able.directions) if wanted is None else wanted
    found: dict[str, list[Score]] = {p.key: [] for p in chosen}
    for split in dict.fromkeys(p.split for p in chosen):
        real = source.open(split)
        own = [p for p in chosen if p.split == split]
        tasks, sampled = ([p for p in own if (p.metric in protocols.TASKS) == is_task] for is_task in (True, False))
        _check_shapes(game, real)
        scores = [] if not sampled else _from_samples(game, source, real, sampled, batch_size, floors, progress)
        if tasks:
            scores += measure_tasks(
                able,
                real,
                tasks,
                train=source.open("train"),
                device=game.device,
                batch_size=batch_size or 64,
                references=floors,
                progress=progress,
            )
        for score in scores:
            found[score.protocol["key"]].append(score)
    return [score for scores in found.values() for score in scores]


def _check_shapes(game: Game, real: Images) -> None:
    """Holds the images of a data set against those that a model makes or takes."""
    wanted = game.input_shape
    if tuple(real.shape) != tuple(wanted):
        raise BadArgument(f"{real.name} has samples of shape {tuple(real.shape)}, and the model's are {tuple(wanted)}")


def _from_samples(
    game: Game,
    source: Data,
    real: Images,
    protocols: list[Protocol],
    batch_size: int | None,
    floors: bool,
    progress: Progress | None,
) -> list[Score]:
    """The scores that are measured from samples."""
    from ganzoo.metrics.measuring import measure as measure_samples
    from ganzoo.training.scores import paths_of

    return measure_samples(
        game.sample,
        real,
        protocols,
        holdout=source.open("test") if real.split == "train" and len(source.open("test")) > 1 else None,
        live=_live_sampler(game) if any(p.weights == "live" for p in protocols) else None,
        paths=paths_of(game) if any(p.metric == "ppl" for p in protocols) else None,
        classes=game.classes,
        device=game.device,
        batch_size=batch_size,
        floors=floors,
        progress=progress,
    )


def measure_folder(
    generated: str | Path,
    data: str | Path | Data,
    protocol: str | Sequence[str] | None = None,
    *,
    size: int | None = None,
    device: str | torch.device | None = None,
    batch_size: int | None = None,
    floors: bool = True,
    progress: Progress | None = None,
) -> list[Score]:
    """Measures a folder of pictures, such as another program's, against real images.

    Args:
        generated: the folder.
        data: the real images: a source's name, a folder, or a source.
        protocol: one or several keys; `fd` and `kid` of as many images as there are in MobileNetV2's features if None.
        size: side to which both are brought; the first generated picture's if None.
        device: where to compute.
        batch_size: images at a time.
        floors: whether to measure real images against real ones, and noise, as well.
        progress: told how far it is.
    """
    from ganzoo.data.batch import Data
    from ganzoo.data.folder import Folder
    from ganzoo.metrics import measuring
    from ganzoo.metrics import protocol as protocols

    side = size or _first_side(Path(generated))
    made = Folder(str(generated), size=side, test_share=0.0).open("all")
    if isinstance(data, Data):
        source = data
    elif Path(data).is_dir():
        source = Folder(str(data), size=side)
    else:
        source = _open_source(str(data), {"size": side})
    keys = [protocol] if isinstance(protocol, str) else protocol
    asked = keys or [f"{metric}{len(made)}_mobilenet_v2_all" for metric in ("fd", "kid")]
    wanted = [protocols.protocol(key) for key in asked]
    splits = {p.split for p in wanted}
    if len(splits) > 1:
        raise BadArgument(f"protocols on several splits ({', '.join(sorted(splits))}) at once; measure them one by one")
    real, values = source.open(splits.pop()), made.values
    if real.shape != made.shape and real.shape[1:] == made.shape[1:] and real.shape[0] == 1:
        values = values.mean(1, keepdims=True).round().astype("uint8")  # grey data, and a folder is read in colour
    if tuple(real.shape) != tuple(values.shape[1:]):
        raise BadArgument(
            f"{real.name} has samples of shape {real.shape}, the pictures are {values.shape[1:]}; see --size"
        )
    return measuring.measure_images(
        values, real, wanted, device=device or "cpu", batch_size=batch_size, floors=floors, progress=progress
    )


def _first_side(folder: Path) -> int:
    """The shorter side of the first picture in a folder."""
    from PIL import Image, UnidentifiedImageError

    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        try:
            with Image.open(path) as picture:
                return min(picture.size)
        except (UnidentifiedImageError, OSError):  # not a picture, or a folder: the next file may be one
            continue
    raise BadArgument(f"{folder}: holds no picture that Pillow reads")


def _live_sampler(game: Game) -> Any:
    """`sample` of the live weights."""
    import copy

    twin = copy.deepcopy(game)
    twin._averages.clear()
    return twin.sample


def _source(game: Game, data: str | Path | Data | None) -> Data:
    """The data source that `data` names, or that the model was trained on."""
    from ganzoo.data.batch import Data

    if isinstance(data, Data):
        return data
    if data is None:
        facts = game.card.facts.get("data") if game.card is not None else None
        if not isinstance(facts, dict) or not isinstance(facts.get("source"), str):
            raise BadArgument("the model does not say what it was trained on; name the data")
        return _open_source(facts["source"], facts.get("arguments"))
    if Path(data).is_dir():
        return _open_source("Folder", {"root": str(data), "size": game.shape[-1], "channels": game.shape[0]})
    return _open_source(str(data), {"size": game.shape[-1]} if len(game.shape) == 3 else {})


def _open_source(name: str, arguments: Any) -> Data:
    """A data source with the arguments that it knows; plain values only, checked by its own constructor."""
    import inspect

    from ganzoo.data import source

    cls = source(name)
    known = inspect.signature(cls).parameters
    given = arguments if isinstance(arguments, dict) else {}
    return cls(**{key: value for key, value in given.items() if key in known})


def score(
    folder: str | Path, protocol: str | Sequence[str] | None = None, progress: Progress | None = None
) -> list[Score]:
    """Measures the model of a folder, from its files, and writes the scores into its `results.json` and card.

    Args:
        folder: of the model.
        protocol: one or several keys; those that suit the data if None.
        progress: told how far it is.

    Raises:
        BadArgument: if the folder has a score of the same key by another protocol, network or data; nothing is written.
    """
    from ganzoo.metrics.measuring import check_comparable
    from ganzoo.zoo import cards

    path = Path(folder)
    if not (path / folders.MANIFEST).is_file() and (path / "last").is_dir():
        path = path / "last"
    opened = folders.ModelFolder(path)
    found = measure(path, None, protocol, progress=progress)
    rows = [{**entry.to_dict(), **_circumstances(opened)} for entry in found]
    old = opened.json(folders.RESULTS) if opened.has(folders.RESULTS) else []
    new = {row["key"] for row in rows}
    check_comparable([*(row for row in old if row.get("key") in new), *rows])
    files.write_json(path / folders.RESULTS, [row for row in old if row.get("key") not in new] + rows)
    folders.write_manifest(path)
    text = cards.render_card(path, previous=_text(path / folders.CARD))
    with files.atomic(path / folders.CARD) as part:
        part.write_text(text, encoding="utf-8")
    return found


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _circumstances(folder: folders.ModelFolder) -> dict[str, Any]:
    """Under what a score was measured: versions, hardware, the weights' hash and the recipe."""
    import platform

    import torch

    from ganzoo.types import VERSION

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    training = folder.config.get("training")
    return {
        "weights_sha256": folder.hashes()[folders.MODEL],
        "ganzoo": VERSION,
        "commit": _commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "hardware": device,
        "recipe": training.get("recipe") if isinstance(training, dict) else None,
    }


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    import os
    import platform

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return f"{name}, {os.cpu_count()} cores"


def _commit() -> str | None:
    """The commit of the checkout that this is, if it is one."""
    import subprocess

    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
