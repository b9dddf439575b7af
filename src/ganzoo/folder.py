"""The model folder: what training writes and `load` reads.

    model.safetensors    what inference needs: the averaged generator, and what else the family names
    players.safetensors  every player with its live weights, for training on
    config.json          format, family, its resolved arguments, and facts about the run
    results.json         scores, each with its protocol
    samples.png          the first pictures
    golden.png           four pictures at their own size, against which `ganzoo verify` renders
    <name>.png           what else the family shows, such as reconstructions
    README.md            the card
    manifest.json        sha256 and size of the others, the README aside

Every file is checked against the manifest before it is parsed. Tensors are read by safetensors alone; nothing that a
folder holds is imported, resolved or executed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import files
from ganzoo.game import registry
from ganzoo.schema import checked
from ganzoo.types import BadArgument, BadModelFolder, Card, GanzooError, UnknownName, check_strict, quoted, reason

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ganzoo.data.batch import Images
    from ganzoo.game.game import Game

FORMAT = 1
MODEL, PLAYERS, CONFIG, MANIFEST, RESULTS, SAMPLES, CARD, GOLDEN = (
    "model.safetensors",
    "players.safetensors",
    "config.json",
    "manifest.json",
    "results.json",
    "samples.png",
    "README.md",
    "golden.png",
)
LISTED = (MODEL, PLAYERS, CONFIG, RESULTS, SAMPLES, GOLDEN)
_HALF_LIFE = 10_000.0  # images, of an average of which nothing is known
_TABLES = ("converted", "data", "origin", "paper", "parameters", "terms", "training")  # of a configuration
_PICTURE = re.compile(r"[a-z][a-z0-9-]{0,39}\.png")  # what a family may call a picture
_RUN = ("last.ckpt", "previous.ckpt", "recipe.yaml", "log.jsonl", "changes.jsonl")  # files of a run
_JSON_LIMIT = 8 * 2**20  # bytes; the largest configuration or table of results that is read
_HEADER_LIMIT = 32 * 2**20  # bytes of a safetensors header


def shipped_folders() -> dict[str, Path]:
    """The folders of the models that travel with the package, by model name."""
    root = files.resource_folder("checkpoints")
    if root is None:
        return {}
    return {folder.name: folder for folder in sorted(root.iterdir()) if (folder / CONFIG).is_file()}


def find(model: str | Path) -> Path | None:
    """The model folder that a path names: the folder itself, or the best or last model of a run's.

    Returns:
        None for what is no path, such as a name of the zoo or an address on the Hub.

    Raises:
        BadModelFolder: for a path that names no model; the text says what to load, or what makes a model of it.
    """
    if not isinstance(model, (str, Path)):
        raise BadArgument(f"model is a {type(model).__name__}; a name, a folder or hf://org/repo is expected")
    path, text = Path(model), str(model)
    if text in (shipped := shipped_folders()):
        return shipped[text]
    local = path.is_dir() or (path.is_file() and path.suffix)
    if text.startswith("hf://") or not (isinstance(model, Path) or local or "/" in text or "\\" in text):
        return None
    for candidate in (path, path / "best", path / "last"):
        settle(candidate)
        if (candidate / MANIFEST).is_file():
            return candidate
    if path.is_file():
        raise BadModelFolder(f"{path}: a file{_instead(path)}")
    if not path.is_dir():
        raise BadModelFolder(f"{path}: there is no such folder")
    raise BadModelFolder(f"{path}: holds no {MANIFEST}; this is not a model folder of ganzoo")


def home_of(file: Path) -> Path | None:
    """The folder of the model or the run that a file of ganzoo's own belongs to; None for others' files."""
    home, name = file.parent, file.name
    if name in (MANIFEST, *LISTED):
        return home if (home / MANIFEST).is_file() else None
    run = name in _RUN and any((home / model / MANIFEST).is_file() for model in ("best", "last"))
    return home if run else None


def _instead(file: Path) -> str:
    """What to do with a file that is no folder, for an error."""
    if home := home_of(file):
        return f" of the model or run {home}; load that folder"
    if file.suffix in (".yaml", ".yml"):
        return f", a recipe perhaps; `ganzoo train {file}` makes a model of one"
    own = ", and the family's load_from_checkpoint one of your own" if file.suffix == ".ckpt" else ""
    return f"; `ganzoo convert {file} --to FOLDER` makes a model of an author's checkpoint{own}"


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes a state dict as safetensors, whole or not at all; copies only tensors that share their memory."""
    from collections import Counter

    from safetensors.torch import save_file

    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    shared = Counter(value.untyped_storage().data_ptr() for value in plain.values())
    owned = {k: v.clone() if shared[v.untyped_storage().data_ptr()] > 1 else v for k, v in plain.items()}
    with files.atomic(path) as part:
        save_file(owned, str(part), metadata={"format": "pt"})


def write_manifest(folder: Path) -> None:
    """Writes manifest.json for the files that are in the folder now."""
    names = [*(name for name in LISTED if (folder / name).is_file()), *further_pictures(folder)]
    listed = {name: {"sha256": files.sha256(folder / name), "size": (folder / name).stat().st_size} for name in names}
    files.write_json(folder / MANIFEST, {"format": FORMAT, "files": listed})


def belongs(name: str) -> bool:
    """Whether a manifest may list a file of this name: one that every folder has, or a family's own picture."""
    return name in LISTED or _PICTURE.fullmatch(name) is not None


def further_pictures(folder: Path) -> list[str]:
    """The names of the family's own pictures in a folder, sorted."""
    return sorted(path.name for path in folder.glob("*.png") if path.name not in LISTED and belongs(path.name))


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """Gives an empty folder beside `folder` to fill, and exchanges the two when all went well.

    A kill leaves the old folder or the new one under the name. Where the system cannot exchange two names in one step,
    the old folder stands hidden beside the name between two renames, from where `settle` restores it. The exchange is
    made under a lock, so that neither a reader that settles nor another writer comes between.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=files.part_prefix(folder.name), suffix=".part"))
    old = _aside(folder)
    try:
        yield fresh
        write_manifest(fresh)
        fresh.chmod(0o777 & ~files.umask())
        with _exchanging(folder):
            if not folder.exists():
                fresh.rename(folder)
            elif not _swap(fresh, folder):
                _remove(old)  # what a kill left behind
                folder.rename(old)
                fresh.rename(folder)
            files.sync_folder(folder.parent)
            _remove(old)
    finally:
        _remove(fresh)


def settle(folder: Path) -> None:
    """Finishes an exchange of folders that a kill cut, and waits for one that is under way.

    Where `folder` stands nothing is touched, so that reading a model never changes what lies beside it.
    """
    if folder.exists() or not folder.name or not _aside(folder).exists():
        return
    with _exchanging(folder):
        if not folder.exists():
            _aside(folder).rename(folder)


def _swap(one: Path, other: Path) -> bool:
    """Exchanges two names in one step, so that a reader never finds nothing; False where the system cannot."""
    import ctypes

    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def sweep(*paths: Path) -> None:
    """Removes what killed writers of these files and folders left half-written beside them.

    Nobody else may be writing them now.
    """
    for path in paths:
        for part in path.parent.glob(f"{files.part_prefix(path.name)}*.part"):
            if part.is_dir():
                _remove(part)
            else:
                part.unlink(missing_ok=True)


def _aside(folder: Path) -> Path:
    """Where the old folder stands between the two renames."""
    return folder.with_name(f".{folder.name}.old")


@contextmanager
def _exchanging(folder: Path) -> Iterator[None]:
    """Holds a lock that the system gives back when its holder dies."""
    from filelock import FileLock

    with FileLock(folder.with_name(f".{folder.name}.lock")):
        yield


def _remove(folder: Path) -> None:
    import shutil

    if folder.exists():
        shutil.rmtree(folder)


class ModelFolder:
    """A model folder on disk, read with every check.

    Args:
        path: the folder.
        pinned: sha256 by file name from the catalogue; where given, it must agree with the manifest as well.

    Raises:
        BadModelFolder: on opening or reading, for a file that is missing, of the wrong size, altered or malformed.
    """

    def __init__(self, path: Path, pinned: dict[str, str] | None = None) -> None:
        self.path = path
        settle(path)
        if not path.is_dir():
            raise BadModelFolder(f"{path}: there is no such folder")
        manifest = _parse(path / MANIFEST)
        if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
            raise BadModelFolder(f"{path / MANIFEST}: not a manifest; it has no table of files")
        if manifest.get("format") != FORMAT:
            raise BadModelFolder(
                f"{path / MANIFEST}: format {manifest.get('format')!r}; this ganzoo reads format {FORMAT}"
            )
        foreign = next((name for name in manifest["files"] if not belongs(name)), None)
        if foreign is not None:
            raise BadModelFolder(f"{path / MANIFEST}: lists {quoted(foreign)}, which is no file of a model folder")
        self._listed: dict[str, dict[str, Any]] = manifest["files"]
        self._pinned = pinned or {}
        self._checked: set[str] = set()
        config = _sound(self.json(CONFIG))
        if not isinstance(config, dict) or not isinstance(config.get("family"), str):
            raise BadModelFolder(f"{path / CONFIG}: names no family")
        if config.get("format") != FORMAT:
            raise BadModelFolder(f"{path / CONFIG}: format {config.get('format')!r}; this ganzoo reads format {FORMAT}")
        if not isinstance(config.get("arguments"), dict):
            raise BadModelFolder(f"{path / CONFIG}: has no table of arguments")
        self.config: dict[str, Any] = config

    def has(self, name: str) -> bool:
        """Whether the manifest lists a file of this name."""
        return name in self._listed

    def hashes(self) -> dict[str, str]:
        """The sha256 of each listed file, as the manifest says."""
        return {name: str(entry.get("sha256")) for name, entry in self._listed.items() if isinstance(entry, dict)}

    def check(self, name: str) -> Path:
        """Checks a file's size and sha256 against the manifest and the catalogue's pin, and gives its path."""
        path = self.path / name
        entry = self._listed.get(name)
        if not isinstance(entry, dict):
            raise BadModelFolder(f"{path}: not listed in {MANIFEST}; the folder is incomplete")
        if not path.is_file():
            raise BadModelFolder(f"{path}: missing, though {MANIFEST} lists it")
        if name in self._checked:
            return path
        size = path.stat().st_size
        if size != entry.get("size"):
            raise BadModelFolder(
                f"{path}: {size} bytes where {MANIFEST} says {quoted(entry.get('size'))}; truncated or replaced"
            )
        digest = self.digest(path)
        if digest != entry.get("sha256"):
            raise BadModelFolder(
                f"{path}: content differs from {MANIFEST} (sha256 {digest[:12]}...); damaged or replaced"
            )
        if self._pinned.get(name, digest) != digest:
            raise BadModelFolder(f"{path}: not the file that the catalogue names (sha256 {digest[:12]}...)")
        self._checked.add(name)
        return path

    def digest(self, path: Path) -> str:
        """The sha256 of a file's content; folders that remember what they hashed override this."""
        return files.sha256(path)

    def json(self, name: str) -> Any:
        """Checks and parses a JSON file of the folder."""
        return _parse(self.check(name))

    def tensors(self, name: str, wanted: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Checks a safetensors file and reads it onto the CPU.

        Args:
            name: of the file.
            wanted: tensors, which may be on no memory, with whose names, shapes and kinds of numbers the file's must
                agree; whatever is there where None.
        """
        import torch
        from safetensors import SafetensorError, safe_open

        path = self.check(name)
        length, size = _header_length(path), path.stat().st_size
        limit = _HEADER_LIMIT if wanted is None else 2**16 + 2**10 * len(wanted)
        if size < 8 or not 2 <= length <= min(limit, size - 8):
            raise BadModelFolder(f"{path}: not a safetensors file of this model; its header would be {length} bytes")
        try:
            with safe_open(str(path), framework="pt") as file:
                if wanted is not None:
                    found = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
                    check_strict(found, {key: tuple(value.shape) for key, value in wanted.items()}, path)
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                # What is empty would share its place in the file with its neighbor, and torch.save refuses that
                tensors = {key: value if value.numel() else value.clone() for key, value in tensors.items()}
        except (SafetensorError, ValueError, OSError) as error:
            raise BadModelFolder(f"{path}: not readable as safetensors: {reason(error)}") from None
        for key, value in tensors.items():
            own = value if wanted is None else wanted[key]
            if not (value.dtype == own.dtype or (value.is_floating_point() and own.is_floating_point())):
                raise BadModelFolder(f"{path}: tensor {key} is {value.dtype} where the family has {own.dtype}")
            # The sum of what holds something that is not finite is not finite, and costs a pass without a copy
            if value.is_floating_point() and not torch.isfinite(value.sum(dtype=torch.float32)):
                raise BadModelFolder(f"{path}: tensor {key} holds values that are not finite")
        return tensors


def _header_length(path: Path) -> int:
    """Of a safetensors file's header, as its first eight bytes say."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(8), "little")


def _parse(path: Path) -> Any:
    if not path.is_file():
        raise BadModelFolder(f"{path}: missing; this is not a model folder of ganzoo")
    if path.stat().st_size > _JSON_LIMIT:
        raise BadModelFolder(f"{path}: {path.stat().st_size} bytes; at most {_JSON_LIMIT} are read")
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadModelFolder(f"{path}: not readable as JSON: {why}") from None


def _sound(config: Any) -> Any:
    """A configuration as this ganzoo writes it, without what is no table where one belongs, or no shape of samples.

    Folders of ganzoo 0.1 say `licence`.
    """
    if isinstance(config, dict):
        for name in _TABLES:
            if name in config and not isinstance(config[name], dict):
                del config[name]
        shape = config.get("shape")
        if not isinstance(shape, list) or not all(type(side) is int for side in shape):
            config.pop("shape", None)
        for table in (config, config.get("data", {})):
            if "licence" in table:
                table["license"] = table.pop("licence")
    return config


def peek(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The configuration of a model folder and its scores, with no file held against the manifest."""
    config = _sound(_parse(folder / CONFIG))
    results = _parse(folder / RESULTS) if (folder / RESULTS).is_file() else []
    if not isinstance(config, dict) or not isinstance(results, list):
        raise BadModelFolder(f"{folder}: {CONFIG} is no table, or {RESULTS} is no list")
    return config, [score for score in results if isinstance(score, dict) and "key" in score and "value" in score]


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


# ------------------------------------------------------------------------------------------------- writing a model


def describe(game: Game, facts: dict[str, Any]) -> dict[str, Any]:
    """The table of `config.json`: the family, its resolved arguments, and facts about the run."""
    from statistics import median

    from ganzoo.media.medium import medium_of
    from ganzoo.nn.low_rank import size

    family, module = registry.family_of(type(game)), type(game).__module__
    return {
        "format": FORMAT,
        "family": family.name,
        **({} if module.startswith("ganzoo.") else {"module": module}),
        "title": family.title,
        "task": family.task_of(game.classes),
        "paper": {"title": family.paper, "year": family.year, "url": family.url},
        "arguments": game.arguments,
        "shape": list(game.shape),
        "value_range": medium_of(game.shape).value_range,
        "latent": game.latent,
        "classes": game.classes,
        **({} if game.class_names is None else {"class_names": list(game.class_names)}),
        "averaged": bool(game._averages),
        **({"half_life": game.half_life} if game._averages and game.half_life else {}),
        "parameters": {n: size(getattr(game, n)) for n in game.networks()},
        **({"images_per_second": round(median(game.speeds), 1)} if game.speeds else {}),  # while training
        **facts,
    }


@checked
def save(model: Game, folder: str | Path) -> Path:
    """Saves a model as a folder that `load` reads, as training does; all of its players where they are there.

    Args:
        model: a loaded, fresh or trained model.
        folder: where to; a model that stands there is exchanged as a whole.

    Returns:
        The folder.

    Raises:
        BadArgument: if other things than a model stand there.
    """
    import torch

    path = Path(folder)
    check_free(path)
    known = {} if model.card is None else model.card.facts
    facts = {key: value for key, value in known.items() if key not in ("averaged", "results")}
    if model.images_seen:  # since it was made or loaded: what was known of its weights is known no more
        facts = {key: value for key, value in facts.items() if key in ("license", "terms")}
        facts |= {} if model.card is None else {"training": {"init_from": model.card.name}}
        facts |= {"images_seen": model.images_seen, "steps": model.global_step}
    own = model.inference_tensors()
    if not all(torch.equal(narrowed(own, facts)[name].to(value.dtype), value) for name, value in own.items()):
        facts["storage"] = "float32"  # the weights have moved on since they were stored in 16 bits
    scored = (model.provenance or {}).get("sha256", {}).get(MODEL)
    # Without the data: a folder of somebody else's may name any folder of this machine as its data
    write_model(model, path, facts, known.get("results"), scored=scored)
    return path


def check_free(folder: Path) -> None:
    """Whether a model may be written there."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise BadArgument(f"{folder}: holds other things than a model; name a new folder")
    if folder.exists() and not folder.is_dir():
        raise BadArgument(f"{folder}: a file stands there; name a new folder")


def write_model(
    game: Game,
    folder: Path,
    facts: dict[str, Any],
    results: list[dict[str, Any]] | None = None,
    real: Images | None = None,
    count: int = 64,
    scored: str | None = None,
) -> None:
    """Writes a model folder; on several ranks all call it and rank 0 writes.

    Args:
        game: the model; players that were not loaded are not written.
        folder: where to; what stands there is exchanged as a whole.
        facts: what `config.json` says beside what the family knows: `license`, `data`, `images_seen`, `steps`; with
            `storage` being `float16`, what inference needs is stored in 16 bits, and the pictures are drawn with that.
        results: the table of `results.json`; none yet where None.
        real: the opened test split, for the pictures that need one.
        count: samples in the picture; 0 for no pictures.
        scored: sha256 of the weights that the results are of; those of other weights are not written.
    """
    game.finalize()
    with game.synchronized():
        if game.global_rank != 0:
            return
        with writing(folder) as fresh:
            kept = narrowed(game.inference_tensors(), facts)
            write_tensors(fresh / MODEL, kept)
            if whole(game):
                write_tensors(fresh / PLAYERS, game.player_tensors())
            files.write_json(fresh / CONFIG, describe(game, facts))
            files.write_json(
                fresh / RESULTS, results if results and scored in (None, files.sha256(fresh / MODEL)) else []
            )
            if count:
                with _holding(game, kept):
                    draw_pictures(game, fresh, real, count)
                    draw_further(game, fresh, real)


def narrowed(tensors: dict[str, Tensor], facts: dict[str, Any]) -> dict[str, Tensor]:
    """Tensors in the type that `facts` names as `storage`; as they are where it names none."""
    if facts.get("storage") != "float16":
        return tensors
    return {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}


@contextmanager
def _holding(game: Game, tensors: dict[str, Tensor]) -> Iterator[None]:
    """Puts narrowed tensors in the place of those that inference uses, for a while."""
    from ganzoo.nn.low_rank import holding

    with ExitStack() as stack:
        for n in game.inference:
            state = {k.removeprefix(f"{n}."): v for k, v in tensors.items() if k.startswith(f"{n}.")}
            stack.enter_context(holding(game.average_module(n), state))
        yield


def draw_pictures(game: Game, folder: Path, real: Images | None = None, count: int = 64) -> None:
    """Draws `samples.png`, of about `count` pictures, and `golden.png`, which a whole model makes again."""
    from ganzoo.media.medium import save_grid
    from ganzoo.media.provenance import made_by

    shown = game.preview(real, count)
    with made_by(game, family=True):
        save_grid(shown.images, folder / SAMPLES, columns=shown.columns)
    golden = game.golden(real)
    if golden is not None:
        with files.atomic(folder / GOLDEN) as part:
            golden.save(part, format="PNG")


def draw_further(game: Game, folder: Path, real: Images | None) -> None:
    """Draws what else the family shows (`Game.pictures`), each table as a file of its name.

    A picture that cannot be drawn is left out with a warning: a model is worth more than its pictures.
    """
    from ganzoo.media.medium import save_grid
    from ganzoo.media.provenance import made_by

    try:
        tables = game.pictures(real)
    except Exception as error:  # a family's own code, after hours of training
        _warn(game, "draws no further pictures", error)
        return
    for name, table in tables.items():
        try:
            if not belongs(f"{name}.png") or f"{name}.png" in LISTED:
                raise BadArgument(f"{name!r} is no name of a picture; give small letters, digits and hyphens")
            with made_by(game, family=True):
                save_grid(table.flatten(0, 1), folder / f"{name}.png", columns=table.shape[1])
        except Exception as error:
            _warn(game, f"draws no picture {name}", error)


def _warn(game: Game, what: str, error: Exception) -> None:
    import warnings

    warnings.warn(f"{type(game).__name__} {what}: {reason(error)}", stacklevel=3)


# ------------------------------------------------------------------------------------------------- reading a model


def build(folder: ModelFolder, players: bool, dtype: torch.dtype | None = None) -> Game:
    """Makes the family on no memory, holds the files' tensors against it, and puts them in."""
    game = _empty(folder)
    if players and not folder.has(PLAYERS):
        raise BadModelFolder(
            f"{folder.path}: holds no {PLAYERS}, from which training could go on; networks that samples are drawn with "
            "can be had alone, such as init_from: {generator: MODEL}"
        )
    inference = folder.tensors(MODEL, game.inference_tensors())
    live = folder.tensors(PLAYERS, game.player_tensors()) if players else None
    assemble(game, inference, live, bool(folder.config.get("averaged")), dtype)
    if game._averages:
        game.resumed_half_life = _half_life(folder.config) or game.average_half_life or _HALF_LIFE
    left = [name for name, tensor in game.state_dict().items() if tensor.is_meta]
    if left:
        raise BadModelFolder(f"{folder.path}: {left[0]} is in no file of the folder")
    return game


def _half_life(config: dict[str, Any]) -> float | None:
    """Of a folder's moving average, in images, as far as it says."""
    engine = config.get("training", {}).get("engine")
    for value in (config.get("half_life"), engine.get("average") if isinstance(engine, dict) else None):
        if isinstance(value, (int, float)) and 0 < value < 1e12:
            return float(value)
    return None


def _empty(folder: ModelFolder) -> Game:
    """The family that a configuration names, with its arguments, on no memory."""
    import torch

    path, named = folder.path / CONFIG, folder.config["family"]
    try:
        entry = registry.family(named)
        arguments = registry.check_arguments(entry, folder.config["arguments"])
    except (UnknownName, BadArgument) as error:
        raise BadModelFolder(f"{path}: {error}{_hint(folder)}") from None
    try:
        with torch.device("meta"):
            game: Game = entry.cls(**arguments)
    except GanzooError as error:
        raise BadModelFolder(f"{path}: {error}") from None
    except (RuntimeError, ValueError, OverflowError, IndexError, ZeroDivisionError, TypeError, AssertionError) as error:
        raise BadModelFolder(f"{path}: the arguments make no {entry.name}: {reason(error)}") from None
    names = folder.config.get("class_names")
    if names is not None:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadModelFolder(f"{path}: class_names is no list of names")
        game.class_names = tuple(name[:100] for name in names[:100_000])
    return game


def _hint(folder: ModelFolder) -> str:
    """Where a family of somebody's own was defined: said, and never imported, for the folder may be a stranger's."""
    module = folder.config.get("module")
    if folder.config["family"] in registry.list_families() or not isinstance(module, str):
        return ""
    if not re.fullmatch(r"[A-Za-z_][\w.]{0,99}", module, re.ASCII):
        return ""
    return (
        f"; it was saved with the module {module}: if that is yours, import it first (GANZOO_IMPORT={module} on the "
        "command line)"
    )


def assemble(
    game: Game,
    inference: dict[str, Tensor],
    players: dict[str, Tensor] | None,
    averaged: bool,
    dtype: torch.dtype | None = None,
) -> None:
    """Gives a family on no memory its tensors, whose names and shapes are known to fit.

    Args:
        game: the family; networks that are not given any tensors say so when they are used.
        inference: what inference needs.
        players: every network, live.
        averaged: whether what inference needs is a moving average of the players.
        dtype: of the weights; float32 where None.
    """
    from ganzoo.game.engine import Absent, MovingAverage

    _put_in({name: getattr(game, name) for name in game.inference}, inference, dtype)
    if players is None:
        for name in game.networks():
            if name not in game.inference:
                setattr(game, name, Absent(name))
        return
    live = {name: getattr(game, name) for name in game.networks()}
    for name in game.averages if averaged else ():
        game._averages[name] = MovingAverage(live[name])
    _put_in(live, players, dtype)


def _put_in(modules: dict[str, torch.nn.Module], tensors: dict[str, Tensor], dtype: torch.dtype | None) -> None:
    """Puts tensors into modules, which then hold these very tensors."""
    import torch

    for m, module in modules.items():
        state = {key: tensors[f"{m}.{key}"] for key in module.state_dict()}
        floats = {key: v.to(dtype or torch.float32) if v.is_floating_point() else v for key, v in state.items()}
        module.load_state_dict(floats, strict=True, assign=True)


def card_of(folder: ModelFolder, game: Game) -> Card:
    """What a model says of itself, from its configuration; a foreign folder may leave everything but the family out."""
    config, family = folder.config, registry.family(folder.config["family"])
    return Card(
        name=str(config.get("name", folder.path.name)),
        family=family.name,
        title=family.title,
        task=family.task_of(game.classes),
        paper=str(config.get("paper", {}).get("title", family.paper)),
        year=family.year,
        url=family.url,
        idea=family.idea,
        facts={**config, "results": folder.json(RESULTS) if folder.has(RESULTS) else []},
    )


def whole(game: Game) -> bool:
    """Whether all players are there, rather than what inference needs."""
    from ganzoo.game.engine import Absent

    return not any(isinstance(getattr(game, name), Absent) for name in game.networks())
