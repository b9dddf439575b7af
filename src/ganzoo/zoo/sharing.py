"""Before others get a model: checking it whole, and uploading what was checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import folder as folders
from ganzoo.folder import build
from ganzoo.schema import checked
from ganzoo.types import BadModelFolder
from ganzoo.zoo.loading import locate

if TYPE_CHECKING:
    from ganzoo.game.game import Game
    from ganzoo.zoo.loading import Model


@checked
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
        levels = game.check_golden(folder.check(folders.GOLDEN))
    return {"files": folder.hashes(), "tensors": len(game.state_dict()), "golden": levels}


@checked
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
        license: of the weights, such as `apache-2.0`; the model's own where it has one, which need not be given.
        private: whether a new repository is private.
        tag: a new name for the commit.
        dry_run: say what would be uploaded, and open no connection.
        message: of the commit.

    Returns:
        `repo`, `license`, `private`, `tag`, `files` (bytes by name) and, unless it was a dry run, `commit` and `url`.

    Raises:
        BadArgument: without a license, with an unknown one or another than the model's, or for weights that must not
            be passed on.
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
    """Loads a folder and holds its tensors against a model's."""
    import torch

    model = folders.ModelFolder(folder)
    again = build(model, model.has(folders.PLAYERS), None)
    loaded, kept = again.state_dict(), game.state_dict()
    for key, tensor in kept.items():
        if not torch.equal(loaded[key].float(), tensor.float().cpu()):
            raise BadModelFolder(f"{folder.name}: {key} is not what it was after being written and read back")
