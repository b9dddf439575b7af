"""Measuring models and folders of pictures, and writing the scores into a model's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.schema import checked
from ganzoo.types import BadArgument
from ganzoo.zoo.loading import load

if TYPE_CHECKING:
    import torch

    from ganzoo.data.batch import Data
    from ganzoo.game.game import Game
    from ganzoo.metrics.evaluate import Progress, Score
    from ganzoo.zoo.loading import Model


@checked
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
    bad: str = "error",
    floors: bool = True,
    write: bool = False,
    progress: Progress | None = None,
) -> list[Score]:
    """Measures a model and tells everything that the scores depend on.

    Args:
        model: as `evaluate`'s.
        data: as `evaluate`'s.
        protocol: as `evaluate`'s.
        device: where to compute.
        batch_size: images at a time.
        bad: what becomes of pictures in a folder that cannot be read: `error` or `skip`.
        floors: whether to measure what stands beside the scores too: real images, noise, ....
        write: whether to write the scores into `results.json` and the card of the model's folder.
        progress: told how far it is.

    Raises:
        BadArgument: for a protocol that does not suit model or data; or where the folder has a score of the same key by
            another protocol, network or data, in which case nothing is written.
    """
    from ganzoo.metrics import evaluate
    from ganzoo.metrics.protocol import protocol as protocol_of
    from ganzoo.training.scores import subject_of

    wanted = [protocol_of(key) for key in ([protocol] if isinstance(protocol, str) else protocol or [])]
    game = load(model, device=device, players=any(p.weights == "live" for p in wanted))
    folder = _home(game) if write else None
    source, subject = source_of(game, data, bad), subject_of(game)
    real = source.open("train")
    shape = tuple(game.input_shape)
    if tuple(real.shape) != shape:
        raise BadArgument(f"{real.name} has samples of shape {tuple(real.shape)}, and the model's are {shape}")
    scores = evaluate.measure(
        subject,
        source,
        wanted or evaluate.usual(subject, source),
        device=game.device,
        batch_size=batch_size,
        floors=floors,
        progress=progress,
    )
    if folder is not None:
        _write(folder, scores, game.device)
    return scores


def measure_folder(
    generated: str | Path,
    data: str | Path | Data,
    protocol: str | Sequence[str] | None = None,
    *,
    size: int | None = None,
    bad: str = "error",
    **options: Any,
) -> list[Score]:
    """Measures a folder of pictures, such as another program's, against real images.

    Args:
        generated: the folder.
        data: the real images: a source's name, a folder, or a source.
        protocol: one or several keys; `fd` and `kid` of as many images as there are in MobileNetV2's features if None.
        size: side to which both are brought; the first generated picture's if None.
        bad: what becomes of pictures that cannot be read: `error` or `skip`.
        options: `device`, `batch_size`, `floors` and `progress`, as `measure`'s.
    """
    from ganzoo.data.folder import Folder
    from ganzoo.metrics import measure_images

    side = size or _first_side(Path(generated))
    made = Folder(str(generated), size=side, test_share=0.0, bad=bad).open("all")
    source = _open(data, {"size": side, "bad": bad})
    asked = [protocol] if isinstance(protocol, str) else protocol
    asked = asked or [f"{metric}{len(made)}_mobilenet_v2_all" for metric in ("fd", "kid")]
    real, values = source.open("train"), made.values
    if real.shape != made.shape and real.shape[1:] == made.shape[1:] and real.shape[0] == 1:
        values = values.mean(1, keepdims=True).round().astype("uint8")  # grey data, and a folder is read in colour
    if tuple(real.shape) != tuple(values.shape[1:]):
        raise BadArgument(
            f"{real.name} has samples of shape {real.shape}, the pictures are {values.shape[1:]}; see --size"
        )
    options["device"] = options.get("device") or "cpu"
    return measure_images(values, source, asked, **options)


def measure_judged(model: Model, judged: str | Path, *, write: bool = False) -> list[Score]:
    """What people's answers say of a model: HYPE, whose keys are its own protocols.

    Args:
        model: as `evaluate`'s.
        judged: the file of JSON lines that `ganzoo explore --judge` wrote; of other models' answers nothing is taken.
        write: as `measure`'s.

    Raises:
        BadArgument: for a file that holds none of this model's finished sessions.
    """
    from ganzoo.latent.latents import generator_hash
    from ganzoo.metrics import hype

    game = load(model)
    folder = _home(game) if write else None
    answers, own = hype.read_judgements(judged), generator_hash(game)
    mine = [each for each in answers if each.generator == own]
    if not mine:
        raise BadArgument(f"{judged}: none of its {len(answers)} answers is of this model's generator, {own[:12]}...")
    scores = hype.score(mine)
    if folder is not None:
        _write(folder, scores, game.device)
    return scores


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


def source_of(game: Game, data: str | Path | Data | None, bad: str = "error") -> Data:
    """The data source that `data` names, or that the model was trained on."""
    if data is None:
        facts = {} if game.card is None else game.card.facts.get("data", {})
        if not isinstance(facts.get("source"), str):
            raise BadArgument("the model does not say what it was trained on; name the data")
        arguments = facts.get("arguments")
        return _open(facts["source"], arguments if isinstance(arguments, dict) else {})
    shape = game.input_shape
    return _open(data, {"size": shape[-1], "channels": shape[0], "bad": bad} if len(shape) == 3 else {})


def _open(data: str | Path | Data, arguments: dict[str, Any]) -> Data:
    """A source, a folder of pictures, or a source by its name, with those of the arguments that it knows."""
    import inspect

    from ganzoo.data import source
    from ganzoo.data.batch import Data
    from ganzoo.data.folder import Folder

    if isinstance(data, Data):
        return data
    if not isinstance(data, (str, Path)):
        raise BadArgument(
            f"data is a {type(data).__name__}; a source's name, a folder of pictures or a source of ganzoo.data is "
            "expected (ganzoo.metrics.measure_images takes arrays)"
        )
    is_folder = Path(data).is_dir()
    if not is_folder and (isinstance(data, Path) or "/" in data):
        raise BadArgument(f"{data}: there is no such folder of pictures")
    cls = Folder if is_folder else source(str(data))
    arguments = {**arguments, "root": str(data)} if is_folder else arguments
    known = inspect.signature(cls).parameters
    return cls(**{key: value for key, value in arguments.items() if key in known})


def score(
    folder: str | Path, protocol: str | Sequence[str] | None = None, progress: Progress | None = None
) -> list[Score]:
    """`measure` of a model's folder, writing what it found."""
    return measure(folder, None, protocol, write=True, progress=progress)


def _home(game: Game) -> Path:
    """The folder that a model was loaded from."""
    origin = game.provenance or {}
    if origin.get("from") != "folder":
        raise BadArgument("scores are written into a model's folder on this machine; name that folder")
    return Path(origin["path"])


def _write(path: Path, scores: Sequence[Score], device: torch.device) -> None:
    """Writes scores into a model's folder, beside those of other protocols."""
    from ganzoo.metrics import check_comparable
    from ganzoo.zoo import cards

    opened = folders.ModelFolder(path)
    rows = [{**entry.to_dict(), **_circumstances(opened, device)} for entry in scores]
    old = opened.json(folders.RESULTS) if opened.has(folders.RESULTS) else []
    new = {row["key"] for row in rows}
    check_comparable([*(row for row in old if row.get("key") in new), *rows])
    files.write_json(path / folders.RESULTS, [row for row in old if row.get("key") not in new] + rows)
    folders.write_manifest(path)
    card = path / folders.CARD
    text = cards.render_card(path, previous=card.read_text(encoding="utf-8") if card.is_file() else None)
    with files.atomic(card) as part:
        part.write_text(text, encoding="utf-8")


def _circumstances(folder: folders.ModelFolder, device: torch.device) -> dict[str, Any]:
    """Under what a score was measured: versions, hardware, the weights' hash and the recipe."""
    import platform

    import torch

    from ganzoo.types import VERSION

    return {
        "weights_sha256": folder.hashes()[folders.MODEL],
        "ganzoo": VERSION,
        "commit": _commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "recipe": folder.config.get("training", {}).get("recipe"),
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
