"""Floor 6: the few functions that join catalogue, families and metrics; the only door that the command line uses.

`model` is everywhere the same: a name from the catalogue, `hf://org/repo[@revision]`, a folder, or a loaded model.
Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ganzoo.types import BadArgument, BadModelFolder, Card, GanzooError, UnknownName
from ganzoo.zoo import checkpoint as folders
from ganzoo.zoo import registry

if TYPE_CHECKING:
    import torch

    from ganzoo.convert import Contents, Converted
    from ganzoo.data.batch import Data
    from ganzoo.metrics.measuring import Progress, Score
    from ganzoo.training.game import Game
    from ganzoo.zoo.catalogue import Entry

    Model = str | Path | Game


def families() -> list[str]:
    """The names of all families, sorted."""
    return registry.families()


def models(pattern: str = "*") -> list[dict[str, Any]]:
    """What the zoo offers, sorted by name.

    Args:
        pattern: a shell pattern on the name, such as `style*`.

    Returns:
        A dict a model with at least `name`, `family`, `status`, `task`, `resolution` and `license`.
    """
    from ganzoo.zoo import catalogue

    return catalogue.models(pattern)


def info(name: str) -> dict[str, Any]:
    """All that is known of one model, without loading it.

    Raises:
        UnknownName: if there is none of this name.
    """
    from ganzoo.zoo import catalogue

    return catalogue.info(name)


def create(family: str, **arguments: Any) -> Game:
    """A family with fresh random weights.

    Args:
        family: its name, such as `wgan_gp`.
        **arguments: of the family's constructor.

    Raises:
        UnknownName: if there is no such family.
        BadArgument: for an argument that the family does not have, or of the wrong type.
    """
    entry = registry.family(family.replace("-", "_"))
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in arguments.items()}
    return entry.cls(**registry.check_arguments(entry, plain))  # type: ignore[no-any-return]


def load(
    model: Model,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    players: bool = False,
    revision: str | None = None,
    offline: bool | None = None,
) -> Game:
    """Loads a model in evaluation mode, ready to sample.

    Args:
        model: a name, `hf://org/repo[@revision]`, a folder, or a loaded model.
        device: where to; the CPU by default.
        dtype: of the weights; float32 by default.
        players: whether to load every player with its live weights, for training on.
        revision: of a repository on the Hub: a branch, a tag or a commit.
        offline: True to use the cache only; None for what `HF_HUB_OFFLINE` says.

    Returns:
        The model; `.card` says what it is, `.provenance` where it came from.

    Raises:
        UnknownName: if there is no model of this name; the text names the nearest.
        BadArgument: if there is no such device.
        BadModelFolder: if a file is missing, damaged or does not fit the family; nothing is half-loaded.
    """
    import torch

    from ganzoo.training.game import Game

    if isinstance(model, Game):
        return model
    folder, provenance = _locate(model, revision, offline, players)
    game = _build(folder, players, dtype)
    game.provenance = {**provenance, "sha256": folder.hashes()}
    game.card = _card(folder)
    game.eval()
    try:
        # Lightning took the meta device, on which the family was made, for the module's own
        return game.to(torch.device(device or "cpu"), dtype or torch.float32)
    except (RuntimeError, AssertionError) as error:  # torch's, for a device that is none or not there
        reason = str(error).split("\n")[0]
        raise BadArgument(f"device is {device}; cpu, cuda or mps is expected, where there is one ({reason})") from None


def _locate(
    model: str | Path, revision: str | None, offline: bool | None, players: bool
) -> tuple[folders.ModelFolder, dict[str, Any]]:
    """The checked folder of a model, and where it came from."""
    text = str(model)
    shipped = folders.shipped_folders()
    if text in shipped:
        return folders.ModelFolder(shipped[text]), {"from": "shipped", "name": text}
    path = Path(text)
    local = path.is_dir() or (path.is_file() and path.suffix in (".pkl", ".pt", ".pth", ".bin"))
    if not text.startswith("hf://") and (isinstance(model, Path) or local or "/" in text or "\\" in text):
        for candidate in (path, path / "best", path / "last"):  # a run's folder holds its models
            folders.settle(candidate)
            if (candidate / folders.MANIFEST).is_file():
                return folders.ModelFolder(candidate), {"from": "folder", "path": str(candidate)}
        if path.is_file():
            raise BadModelFolder(f"{path}: a file; `ganzoo convert {path} --to FOLDER` makes a model of a checkpoint")
        if not path.is_dir():
            raise BadModelFolder(f"{path}: there is no such folder")
        raise BadModelFolder(f"{path}: holds no {folders.MANIFEST}; this is not a model folder of ganzoo")
    from ganzoo.zoo import hub

    return hub.locate(text, revision=revision, offline=offline, players=players, convert=_convert_entry)


def _build(folder: folders.ModelFolder, players: bool, dtype: torch.dtype | None) -> Game:
    """Makes the family on no memory, holds the file's tensors against it, and puts them in."""
    import torch

    from ganzoo.training.engine import Absent, MovingAverage

    config = folder.config
    try:
        entry = registry.family(config["family"])
        arguments = registry.check_arguments(entry, config["arguments"])
    except (UnknownName, BadArgument) as error:
        raise BadModelFolder(f"{folder.path / folders.CONFIG}: {error}") from None
    try:
        with torch.device("meta"):
            game: Game = entry.cls(**arguments)
    except GanzooError as error:
        raise BadModelFolder(f"{folder.path / folders.CONFIG}: {error}") from None
    except (RuntimeError, ValueError, OverflowError, IndexError, ZeroDivisionError, TypeError, AssertionError) as error:
        reason = str(error).split("\n")[0]
        raise BadModelFolder(f"{folder.path / folders.CONFIG}: the arguments make no {entry.name}: {reason}") from None

    if players and not folder.has(folders.PLAYERS):
        raise BadModelFolder(f"{folder.path}: holds no {folders.PLAYERS}, from which training could go on")
    inference = {name: getattr(game, name) for name in game.inference}
    _fill(inference, folder, folders.MODEL, dtype)
    if players:
        live = {name: getattr(game, name) for name in game.networks()}
        if config.get("averaged"):
            for name in game.averages:
                game._averages[name] = MovingAverage(live[name])
        _fill(live, folder, folders.PLAYERS, dtype)
    else:
        for name in game.networks():
            if name not in game.inference:
                setattr(game, name, Absent(name))
    left = [name for name, tensor in game.state_dict().items() if tensor.is_meta]
    if left:
        raise BadModelFolder(f"{folder.path}: {left[0]} is in no file of the folder")
    return game


def _fill(
    modules: dict[str, torch.nn.Module], folder: folders.ModelFolder, name: str, dtype: torch.dtype | None
) -> None:
    """Puts a file's tensors into modules, strictly."""
    import torch

    path = folder.check(name)
    wanted = {f"{m}.{key}": tuple(v.shape) for m, module in modules.items() for key, v in module.state_dict().items()}
    folders.check_strict(folders.shapes(path), wanted, path)
    tensors = folder.tensors(name)
    for m, module in modules.items():
        state = {key: tensors[f"{m}.{key}"] for key in module.state_dict()}
        for key, own in module.state_dict().items():
            given = state[key].dtype
            if not (given == own.dtype or (given.is_floating_point and own.is_floating_point())):
                raise BadModelFolder(f"{path}: tensor {m}.{key} is {given} where the family has {own.dtype}")
        floats = {key: v.to(dtype or torch.float32) if v.is_floating_point() else v for key, v in state.items()}
        module.load_state_dict(floats, strict=True, assign=True)


def _card(folder: folders.ModelFolder) -> Card:
    """What a model says of itself, from its configuration; a foreign folder may leave everything but the family out."""
    config = folder.config
    given = config.get("paper")
    paper: dict[str, Any] = given if isinstance(given, dict) else {}
    family = registry.family(config["family"])
    return Card(
        name=str(config.get("name", folder.path.name)),
        family=family.name,
        title=family.title,
        task=family.task,
        paper=str(paper.get("title", family.paper)),
        year=family.year,
        url=family.url,
        idea=family.idea,
        facts={**config, "results": folder.json(folders.RESULTS) if folder.has(folders.RESULTS) else []},
    )


def convert(
    file: str | Path,
    family: str | None = None,
    *,
    to: str | Path,
    generator: Literal["ema", "live"] = "ema",
    facts: dict[str, Any] | None = None,
) -> Path:
    """Makes a model folder of an authors' checkpoint, reading it symbolically: nothing in it is imported or executed.

    Args:
        file: the checkpoint, such as NVIDIA's `.pkl`, rosinality's `.pt` or genforce's `.pth`.
        family: refuse other families than this.
        to: the folder to write; a model folder that stands there is exchanged as a whole.
        generator: which generator `load` gives: the moving average, or the live one.
        facts: what `config.json` says beside what the file does: `licence`, `data`, `name`.

    Returns:
        The folder.

    Raises:
        BadCheckpoint: if the file cannot be read, is of no known layout, or lacks or has too many tensors. Nothing is
            written then.
        BadArgument: if there is no live generator in the file, or `to` is no model folder.
    """
    from ganzoo.convert import open_file, recognise
    from ganzoo.training.saving import describe

    target = Path(to)
    if target.is_dir() and any(target.iterdir()) and not (target / folders.MANIFEST).is_file():
        raise BadArgument(f"{target}: holds other things than a model; name a new folder")
    if target.exists() and not target.is_dir():
        raise BadArgument(f"{target}: a file stands there; name a new folder")
    contents = open_file(Path(file))
    layout = recognise(contents, None if family is None else registry.family(family.replace("-", "_")).name)
    made = layout.convert(contents)
    game = _check_converted(made, contents)
    inference = made.inference
    if generator == "live":
        if made.players is None:
            raise BadArgument(f"{file}: holds no live generator beside the averaged one; leave generator out")
        inference = {key: made.players[key] for key in made.inference}
    with folders.writing(target) as fresh:
        folders.write_tensors(fresh / folders.MODEL, inference)
        if made.players is not None:
            folders.write_tensors(fresh / folders.PLAYERS, made.players)
        source = {"layout": layout.name, "file": Path(file).name, "generator": generator}
        config = describe(game, {**made.facts, "converted": source, **(facts or {})})
        averaged = config["averaged"] and generator == "ema"
        folders.write_json(fresh / folders.CONFIG, {**config, "averaged": averaged})
        folders.write_json(fresh / folders.RESULTS, [])
    return target


def _check_converted(made: Converted, contents: Contents) -> Game:
    """The family, on no memory, into which the converted tensors fit strictly."""
    import torch

    from ganzoo.convert import check_shapes
    from ganzoo.types import BadCheckpoint

    entry = registry.family(made.family)
    try:
        arguments = registry.check_arguments(entry, made.arguments)
        with torch.device("meta"):
            game: Game = entry.cls(**arguments)
    except BadArgument as error:
        raise BadCheckpoint(f"{contents.path}: its sizes make no {entry.name}: {error}") from None
    check_shapes(contents, made.inference, game.inference_tensors())
    if made.players is not None:
        check_shapes(contents, made.players, game.player_tensors())
    return game


def _convert_entry(file: Path, entry: Entry, folder: Path) -> Path:
    """Converts the file of a model in the catalogue, with what the catalogue says of it."""
    facts: dict[str, Any] = {"name": entry.name, "data": {"name": entry.data}, "licence": entry.license or None}
    if entry.terms is not None:
        facts["terms"] = {k: getattr(entry.terms, k) for k in ("title", "url", "commercial", "redistribute")}
    return convert(file, entry.family, to=folder, facts=facts)


def initialise(game: Game, model: Model) -> None:
    """Starts every player of a fresh model from another model: fine-tuning.

    Args:
        game: the fresh model, which is changed in place.
        model: of the same family, with all its players.

    Raises:
        BadArgument: naming the tensor that is missing or of another shape; nothing is changed then.
    """
    source = load(model, players=True)
    if type(source) is not type(game):
        raise BadArgument(
            f"init_from: {model} is a {type(source).__name__}, and the recipe trains a {type(game).__name__}"
        )
    wanted = {f"{n}.{k}": v for n in game.networks() for k, v in getattr(game, n).state_dict().items()}
    given = {f"{n}.{k}": v for n in source.networks() for k, v in getattr(source, n).state_dict().items()}
    for key in dict.fromkeys([*wanted, *given]):
        if key not in given or key not in wanted:
            raise BadArgument(f"init_from: {key} is only in {'the recipe' if key in wanted else model}'s networks")
        if wanted[key].shape != given[key].shape:
            raise BadArgument(
                f"init_from: {key} has shape {tuple(given[key].shape)} in {model} and {tuple(wanted[key].shape)} in "
                "the recipe; give the recipe the model's sizes"
            )
    for name in game.networks():
        getattr(game, name).load_state_dict(getattr(source, name).state_dict())
    game.start_averages()
    for name in game._averages:
        game._averages[name].module.load_state_dict(source.average_module(name).state_dict())  # type: ignore[union-attr]


def recipe_of(model: str | Path) -> tuple[str, dict[str, Any]]:
    """The class and the constructor's arguments of a model, as a recipe names them; plain values, checked.

    Raises:
        BadModelFolder: if its configuration is of no family, or its arguments are not the family's.
    """
    folder, _ = _locate(model, None, None, players=True)
    try:
        entry = registry.family(folder.config["family"])
        registry.check_arguments(entry, folder.config["arguments"])
    except (UnknownName, BadArgument) as error:
        raise BadModelFolder(f"{folder.path / folders.CONFIG}: {error}") from None
    return entry.title, dict(folder.config["arguments"])


def verify(model: str | Path) -> dict[str, Any]:
    """Checks a model folder whole: hashes, configuration, names and shapes of all tensors, and the golden picture.

    The golden picture holds the first four samples; they are drawn again and must agree within two 8-bit levels.

    Returns:
        `files`: sha256 by file; `tensors`: how many; `golden`: the largest difference in 8-bit levels, or None.

    Raises:
        BadModelFolder: for the first thing that is wrong.
    """
    folder, _ = _locate(model, None, None, players=True)
    for name in folder.hashes():
        folder.check(name)
    game = _build(folder, folder.has(folders.PLAYERS), None).eval().to("cpu")
    levels = _compare_golden(game, folder.check(folders.GOLDEN)) if folder.has(folders.GOLDEN) else None
    return {"files": folder.hashes(), "tensors": len(game.state_dict()), "golden": levels}


def _compare_golden(game: Game, path: Path) -> int:
    """The largest difference in 8-bit levels between a row of samples in a picture, and the model's own.

    Raises:
        BadModelFolder: if there is no picture in the file, or one of other samples.
    """
    import numpy as np
    from PIL import Image

    from ganzoo.data.pictures import grid

    if len(game.shape) != 3:
        raise BadModelFolder(f"{path}: a picture, where the model makes no pictures")
    _, height, width = game.shape
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            columns = round(picture.width / picture.height * height / width)  # one row, which may be magnified
            if not 1 <= columns <= 64:
                raise BadModelFolder(f"{path}: {picture.width}x{picture.height} pixels are no row of samples")
            kept = np.asarray(picture.convert("RGB"), dtype=np.int16)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's, for a bad file
        raise BadModelFolder(f"{path}: no readable picture: {error}") from None
    drawn = np.asarray(grid(game.sample(columns, seed=0), columns=columns, padding=0).convert("RGB"), dtype=np.int16)
    if drawn.shape != kept.shape:
        raise BadModelFolder(f"{path}: {kept.shape[1]}x{kept.shape[0]} pixels where the model draws {drawn.shape}")
    levels = int(np.abs(drawn - kept).max())
    if levels > 2:
        raise BadModelFolder(f"{path}: the model draws other pictures than the golden ones, by {levels} levels of 255")
    return levels


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
    from ganzoo.metrics import measuring
    from ganzoo.metrics import protocol as protocols
    from ganzoo.training.scores import paths_of

    keys = [protocol] if isinstance(protocol, str) else protocol
    wanted = None if keys is None else [protocols.protocol(key) for key in keys]
    live = wanted is not None and any(p.weights == "live" for p in wanted)
    game = load(model, device=device, players=live)
    source = _source(game, data)
    chosen = protocols.protocols_for(source.open("train").name) if wanted is None else wanted
    splits = {p.split for p in chosen}
    if len(splits) > 1:
        raise BadArgument(f"protocols on several splits ({', '.join(sorted(splits))}) at once; measure them one by one")
    split = splits.pop()
    real = source.open(split)
    if tuple(real.shape) != tuple(game.shape):
        raise BadArgument(f"{real.name} has samples of shape {tuple(real.shape)}, and the model's are {game.shape}")
    return measuring.measure(
        game.sample,
        real,
        chosen,
        holdout=source.open("test") if split == "train" and len(source.open("test")) > 1 else None,
        live=_live_sampler(game) if live else None,
        paths=paths_of(game) if any(p.metric == "ppl" for p in chosen) else None,
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
    folders.write_json(path / folders.RESULTS, [row for row in old if row.get("key") not in new] + rows)
    folders.write_manifest(path)
    text = cards.render_card(path, previous=_text(path / folders.CARD))
    with folders.atomic(path / folders.CARD) as part:
        part.write_text(text, encoding="utf-8")
    return found


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _circumstances(folder: folders.ModelFolder) -> dict[str, Any]:
    """Under what a score was measured: versions, hardware, the weights' hash and the recipe."""
    import platform

    import torch

    from ganzoo import __version__

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    training = folder.config.get("training")
    return {
        "weights_sha256": folder.hashes()[folders.MODEL],
        "ganzoo": __version__,
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

    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def pull(name: str, *, revision: str | None = None, players: bool = False) -> Path:
    """Fetches a model into the cache and gives its folder; every file is hashed anew, and a damaged one fetched again.

    Args:
        name: of the catalogue, or `hf://org/repo[@revision]`.
        revision: of a repository on the Hub: a branch, a tag or a commit.
        players: whether to fetch the players' weights too, for training on.

    Raises:
        UnknownName: if there is no such model.
        HubError: if it cannot be fetched; the text says why, and what to do.
    """
    from ganzoo.zoo import hub

    return hub.pull(name, revision=revision, players=players, convert=_convert_entry)


def push(
    model: Model,
    repo_id: str,
    *,
    license: str | None = None,
    private: bool = False,
    tag: str | None = None,
    dry_run: bool = False,
    message: str | None = None,
) -> dict[str, Any]:
    """Uploads a model to the Hub in one commit, having loaded back what it is about to upload.

    Args:
        model: a name, a folder, or a loaded model.
        repo_id: `org/name`; made when it does not exist.
        license: of the weights, such as `apache-2.0`; always to be given, and the model's own where it has one.
        private: whether a new repository is private.
        tag: a new name for the commit.
        dry_run: say what would be uploaded, and open no connection.
        message: of the commit.

    Returns:
        `repo`, `license`, `private`, `tag`, `files` (bytes by name) and, unless it was a dry run, `commit` and `url`.

    Raises:
        BadArgument: without a licence, with another one than the model's, or for weights that must not be passed on.
        HubError: if the Hub refuses, or somebody pushed at the same time; then nothing was changed.
    """
    import tempfile

    from ganzoo.training.game import Game
    from ganzoo.zoo import hub

    with tempfile.TemporaryDirectory(prefix="ganzoo-") as temporary:
        if isinstance(model, Game):
            game, path = model, Path(temporary) / "model"
            _write(game, path)
        else:
            folder, _ = _locate(model, None, None, players=True)
            game, path = _build(folder, folder.has(folders.PLAYERS), None), folder.path
        return hub.push(
            path,
            repo_id,
            license=license,
            private=private,
            tag=tag,
            dry_run=dry_run,
            message=message,
            check=lambda staged: _compare(game, staged),
        )


def _write(game: Game, path: Path) -> None:
    """Writes a loaded model as a folder, with its scores where its weights are still those that were scored."""
    import torch

    from ganzoo.training.saving import describe, draw_pictures, narrowed

    facts = {} if game.card is None else {key: v for key, v in game.card.facts.items() if key != "results"}
    own = game.inference_tensors()
    kept = narrowed(own, facts)
    if not all(torch.equal(kept[name].to(value.dtype), value) for name, value in own.items()):
        kept, facts["storage"] = own, "float32"  # the weights have moved on since they were stored in 16 bits
    with folders.writing(path) as fresh:
        folders.write_tensors(fresh / folders.MODEL, kept)
        if _whole(game):
            folders.write_tensors(fresh / folders.PLAYERS, game.player_tensors())
        config = {**describe(game, {}), **facts, "averaged": bool(game._averages)}
        folders.write_json(fresh / folders.CONFIG, config)
        before = (game.provenance or {}).get("sha256", {}).get(folders.MODEL)
        scored = game.card is not None and folders.sha256(fresh / folders.MODEL) == before
        folders.write_json(fresh / folders.RESULTS, game.card.facts["results"] if scored and game.card else [])
        draw_pictures(game, fresh)


def _whole(game: Game) -> bool:
    """Whether all players are there, rather than what inference needs."""
    from ganzoo.training.engine import Absent

    return not any(isinstance(getattr(game, name), Absent) for name in game.networks())


def _compare(game: Game, folder: Path) -> None:
    """Loads a folder and holds its tensors against a model's.

    Raises:
        BadModelFolder: naming the first tensor that differs.
    """
    import torch

    model = folders.ModelFolder(folder)
    again = _build(model, model.has(folders.PLAYERS), None)
    pairs = [(again.inference_tensors(), game.inference_tensors())]
    if model.has(folders.PLAYERS):
        pairs.append((again.player_tensors(), game.player_tensors()))
    for loaded, kept in pairs:
        for key, tensor in kept.items():
            if not torch.equal(loaded[key].float(), tensor.detach().float().cpu()):
                raise BadModelFolder(f"{folder.name}: {key} is not what it was after being written and read back")


def cards(*, check: bool = False) -> list[str]:
    """Renders MODEL_CARDS.md and the shipped models' README.md, in a checkout.

    Args:
        check: compare and write nothing.

    Returns:
        The files that were out of date or are missing, relative to the checkout.

    Raises:
        BadArgument: if ganzoo does not run from a checkout.
    """
    from ganzoo.zoo import cards as rendering

    return rendering.update(check=check)
