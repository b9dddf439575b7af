"""Before others get a model: checking it whole, and uploading what was checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import folder as folders
from ganzoo.folder import build
from ganzoo.types import BadModelFolder
from ganzoo.zoo.loading import locate

if TYPE_CHECKING:
    from ganzoo.game.game import Game
    from ganzoo.zoo.loading import Model


def verify(model: str | Path) -> dict[str, Any]:
    """Checks a model folder whole: hashes, configuration, names and shapes of all tensors, and the golden picture.

    The golden picture holds the first four samples, or inputs and their translations; they are made again and must
    agree within two 8-bit levels.

    Returns:
        `files`: sha256 by file; `tensors`: how many; `golden`: the largest difference in 8-bit levels, or None.

    Raises:
        BadModelFolder: for the first thing that is wrong.
    """
    folder, _ = locate(model, None, None, players=True)
    for name in folder.hashes():
        folder.check(name)
    game = build(folder, folder.has(folders.PLAYERS), None).eval().to("cpu")
    levels = None
    if folder.has(folders.GOLDEN):
        from ganzoo.game.translations import compare_golden

        compare = compare_golden if game.only_translates else _compare_golden
        levels = compare(game, folder.check(folders.GOLDEN))
    return {"files": folder.hashes(), "tensors": len(game.state_dict()), "golden": levels}


def _compare_golden(game: Game, path: Path) -> int:
    """The largest difference in 8-bit levels between a row of samples in a picture, and the model's own.

    Raises:
        BadModelFolder: if there is no picture in the file, or one of other samples.
    """
    import numpy as np
    from PIL import Image

    from ganzoo.media.images import grid

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
        BadArgument: without a license, with another one than the model's, or for weights that must not be passed on.
        HubError: if the Hub refuses, or somebody pushed at the same time; then nothing was changed.
    """
    import tempfile

    from ganzoo.game.game import Game
    from ganzoo.zoo import hub

    with tempfile.TemporaryDirectory(prefix="ganzoo-") as temporary:
        if isinstance(model, Game):
            game, path = model, folders.save(model, Path(temporary) / "model")
        else:
            folder, _ = locate(model, None, None, players=True)
            game, path = build(folder, folder.has(folders.PLAYERS), None), folder.path
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


def _compare(game: Game, folder: Path) -> None:
    """Loads a folder and holds its tensors against a model's.

    Raises:
        BadModelFolder: naming the first tensor that differs.
    """
    import torch

    model = folders.ModelFolder(folder)
    again = build(model, model.has(folders.PLAYERS), None)
    loaded, kept = again.state_dict(), game.state_dict()
    for key, tensor in kept.items():
        if not torch.equal(loaded[key].float(), tensor.float().cpu()):
            raise BadModelFolder(f"{folder.name}: {key} is not what it was after being written and read back")
