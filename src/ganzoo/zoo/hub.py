"""The Hub: fetching models, from it and from their authors' own addresses, and pushing them.

Fetched models lie in the Hub's own cache (`HF_HOME`, which `hf cache` manages) and are read where they lie. A revision
is resolved to a commit once, and everything is fetched by that commit, so a branch that moves meanwhile cannot mix two
of its states. Of a repository only the files that a model folder can have are ever asked for, whatever else it holds.

What is fetched is held against the Hub's own record of it and against the manifest before anything parses it. A file
that was read once is hashed again only when its size or time changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.folder import CARD, CONFIG, LISTED, MANIFEST, MODEL, PLAYERS, ModelFolder, belongs
from ganzoo.schema import checked
from ganzoo.types import BadArgument, BadModelFolder, HubError, nearest, quoted
from ganzoo.zoo import cards, catalogue, download
from ganzoo.zoo.authors import from_authors
from ganzoo.zoo.cache import Damaged, Fetched, Hashes, lock, offline_wanted
from ganzoo.zoo.catalogue import Entry
from ganzoo.zoo.errors import Unreachable, making_sense, speaking

log = logging.getLogger("ganzoo")

_ADDRESS = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>\w[\w./-]*))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_T = TypeVar("_T")


# ------------------------------------------------------------------------------------------------------- fetching


def locate(
    model: str,
    *,
    revision: str | None = None,
    offline: bool | None = None,
    players: bool = False,
    newest: bool = False,
) -> tuple[ModelFolder, dict[str, Any]]:
    """Finds a model by its name or `hf://` address, fetching what is not there yet.

    Args:
        model: a name of the catalogue, or `hf://org/name[@revision]`.
        revision: of a repository: a branch, a tag or a commit.
        offline: True to use only what is there; None for what `HF_HUB_OFFLINE` says.
        players: whether the players' weights are needed too.
        newest: whether an unreachable Hub is an error even where a branch or tag was fetched before.

    Returns:
        The folder, and where it came from: `from` (`shipped`, `hub` or `authors`) and what belongs to it.

    Raises:
        UnknownName: if the catalogue has no such model.
        BadArgument: for an address that is none, or a model without weights.
        HubError: if the model cannot be fetched; the text says why, and what to do.
        BadModelFolder: if what was fetched is no sound model.
    """
    if model.startswith("hf://"):
        repo, inside = parse_address(model)
        if inside and revision and inside != revision:
            raise BadArgument(f"{model} and revision={revision!r} say different things; give one of them")
        return _from_hub(model, repo, inside or revision or "main", {}, players, offline, newest)
    entry = catalogue.find(model)
    if entry.status == "shipped" and entry.folder is not None:
        return ModelFolder(entry.folder), {"from": "shipped", "name": entry.name}
    if entry.status == "hosted":
        pinned = {} if revision else {name: file.sha256 for name, file in entry.files.items() if len(file.sha256) == 64}
        return _from_hub(entry.name, entry.repo, revision or entry.revision, pinned, players, offline, newest)
    if entry.status == "convert":
        return from_authors(entry, offline)
    raise BadArgument(_without_weights(entry))


@checked
def pull(model: str, *, revision: str | None = None, players: bool = False) -> Path:
    """Fetches a model into the cache, hashes every file of it anew, and gives its folder.

    What turns out to be damaged is fetched again.

    Args:
        model: a name of the catalogue, or `hf://org/name[@revision]`.
        revision: of a repository.
        players: whether to fetch the players' weights too.

    Raises:
        GanzooError: as `locate`.
    """

    def once() -> Path:
        folder, _ = locate(model, revision=revision, players=players, newest=True)
        if isinstance(folder, Fetched):
            folder.check_anew()
        else:
            for name in folder.hashes():
                folder.check(name)
        return folder.path

    try:
        return once()
    except Damaged as damage:
        log.warning("%s: damaged in the cache; fetching it again", model)
        damage.remove()
        return once()


def parse_address(address: str) -> tuple[str, str | None]:
    """Takes `hf://org/name[@revision]` apart."""
    match = _ADDRESS.fullmatch(address)
    if match is None or ".." in address:
        raise BadArgument(
            f"{address[:200]!r} is no address on the Hub; expected hf://org/name or hf://org/name@revision"
        )
    return match["repo"], match["revision"]


def _without_weights(entry: Entry) -> str:
    if entry.recipe is not None:
        return f"{entry.name} has no published weights; `ganzoo train {catalogue.recipe_name(entry.recipe)}` trains it"
    return f"{entry.name} cannot be loaded yet: ganzoo does not read its authors' file ({entry.where()}) so far"


# -------------------------------------------------------------------------------------------------------- the Hub


def _from_hub(
    label: str, repo: str, revision: str, pinned: dict[str, str], players: bool, offline: bool | None, newest: bool
) -> tuple[ModelFolder, dict[str, Any]]:
    offline = offline_wanted() if offline is None else offline
    commit: str | None = revision
    if not _COMMIT.fullmatch(revision):
        commit = _remembered_commit(repo, revision) if offline else _resolve(label, repo, revision, newest)
    folder = None if commit is None else _snapshot(repo, commit)
    if commit is None or folder is None or not _complete(folder, players):
        if offline or commit is None or folder is None:
            raise HubError(
                f"{label} is not in the cache, and this is offline; run `ganzoo pull {label}` where there is a network"
            )
        with speaking(label), lock(f"{repo.replace('/', '--')}@{commit}"):
            if not _complete(folder, players):  # another process may have been faster
                _download(label, repo, commit, players)
    if commit != revision and not offline:
        _remember_commit(repo, revision, commit)
    where = {"from": "hub", "repo": repo, "revision": revision, "commit": commit}
    return Fetched(folder, label, pinned), where


def _complete(folder: Path, players: bool) -> bool:
    """Whether the cache holds all that the manifest lists; whether it is sound turns out when it is opened."""
    if not all((folder / name).is_file() for name in (MANIFEST, CONFIG, MODEL)):
        return False
    try:
        listed = set(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return True  # there, and damaged
    wanted = (name for name in listed if belongs(name) and (players or name != PLAYERS))
    return all((folder / name).is_file() for name in wanted)


def _resolve(label: str, repo: str, revision: str, newest: bool) -> str:
    """The commit that a branch or tag stands for: the Hub's word, or without it what is remembered."""
    try:
        with speaking(label), making_sense(label):
            commit = download.ask(f"models/{repo}/revision/{quote(revision, safe='')}")["sha"]
            if not _COMMIT.fullmatch(commit):
                raise ValueError("no commit")
            return str(commit)
    except Unreachable as error:
        commit = _remembered_commit(repo, revision)
        if commit is None or newest:
            raise
        log.warning("%s; using the state of %s that was fetched last (%s)", error, label, commit[:12])
        return commit


@dataclass(frozen=True)
class _Stored:
    """What the Hub says of a file that it has.

    Args:
        size: in bytes.
        sha256: of a large file's content.
        blob: git's name of a small file's content.
    """

    size: int
    sha256: str = ""
    blob: str = ""

    def same(self, path: Path) -> bool:
        """Whether this is the content of a file."""
        if self.sha256:
            return files.sha256(path) == self.sha256
        # git's name of a file is the sha1 of a header and the content
        return hashlib.sha1(b"blob %d\0" % self.size + path.read_bytes()).hexdigest() == self.blob


def _stored(label: str, repo: str, commit: str, asked: list[str]) -> dict[str, _Stored]:
    """Those of the files that a commit has."""
    found = {}
    with making_sense(label):
        for row in download.ask(f"models/{repo}/paths-info/{commit}", paths=asked, expand=False):
            if row["type"] != "file" or row["path"] not in asked:
                continue
            large = row.get("lfs")
            size, digest = int(row["size"]), str(large["oid"] if large else row["oid"])
            if size < 0 or not re.fullmatch(r"[0-9a-f]{64}" if large else r"[0-9a-f]{40}", digest):
                raise ValueError(f"{row['path']} has no hash")
            found[row["path"]] = _Stored(size, digest) if large else _Stored(size, blob=digest)
    return found


def _download(label: str, repo: str, commit: str, players: bool) -> None:
    """Fetches a model folder's files by commit, each checked before the next."""
    asked = [MANIFEST, *LISTED]
    there = _stored(label, repo, commit, asked)
    for name in (MANIFEST, CONFIG, MODEL):
        if name not in there:
            raise HubError(f"{label} holds no {name} at {commit[:12]}, so it is no model of ganzoo's format")
    _sweep(_snapshot(repo, commit).parent.parent / "blobs")
    for name in (MANIFEST, CONFIG):
        _fetch(label, repo, commit, name, there[name])
    folder = ModelFolder(_snapshot(repo, commit))
    further = [name for name in folder.hashes() if name not in asked]  # the family's own pictures
    there |= _stored(label, repo, commit, further) if further else {}
    for name in sorted(folder.hashes()):
        if name == PLAYERS and not players:
            continue
        if name not in there:
            raise HubError(f"{label}: {MANIFEST} lists {name}, but the repository has no such file at {commit[:12]}")
        _fetch(label, repo, commit, name, there[name])
        folder.check(name)
    Hashes(folder.path).trust(folder)


def _fetch(label: str, repo: str, commit: str, name: str, file: _Stored) -> None:
    """Fetches a file into the Hub's cache, as its own client lays it out: by its hash, with a link of its name."""
    limit = download.LARGEST if name.endswith(".safetensors") else download.SMALL
    if file.size > limit:
        raise HubError(f"{label}: {name} has {file.size} bytes; at most {limit} make sense, so it is not fetched")
    link = _snapshot(repo, commit) / name
    blob = link.parent.parent.parent / "blobs" / (file.sha256 or file.blob)
    if not (blob.is_file() and file.same(blob)):
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(repo, name, revision=commit)
        download.fetch(label, url, blob, file.size, file.sha256, file.blob, token=True)
    if link.exists() and link.samefile(blob):
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}.{secrets.token_hex(4)}.part")
    try:  # beside it first: others may read it at this moment
        fresh.symlink_to(Path("../../blobs") / blob.name)
        fresh.replace(link)
    except OSError:  # where a system has no links
        with files.atomic(link) as part:
            shutil.copyfile(blob, part)
    finally:
        fresh.unlink(missing_ok=True)


def _sweep(blobs: Path) -> None:
    """Removes what a killed download left; one that still runs has written within the hour."""
    for path in blobs.glob(".*.part") if blobs.is_dir() else ():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > 3600:
                path.unlink()


def _snapshot(repo: str, commit: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}" / "snapshots" / commit


def _reference(repo: str, revision: str) -> Path:
    return _snapshot(repo, "0").parent.parent / "refs" / revision


def _remembered_commit(repo: str, revision: str) -> str | None:
    """What a branch or tag stood for when it was last fetched, by ganzoo or by the Hub's own client."""
    try:
        text = _reference(repo, revision).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return text if _COMMIT.fullmatch(text) else None


def _remember_commit(repo: str, revision: str, commit: str) -> None:
    if _remembered_commit(repo, revision) != commit:
        with contextlib.suppress(OSError), files.atomic(_reference(repo, revision)) as part:
            part.write_text(commit, encoding="utf-8")


# -------------------------------------------------------------------------------------------------------- pushing


def push(
    folder: Path,
    repo_id: str,
    *,
    license: str | None = None,
    private: bool = False,
    tag: str | None = None,
    dry_run: bool = False,
    message: str | None = None,
    check: Callable[[Path], object] | None = None,
) -> dict[str, Any]:
    """Uploads a model folder in one commit; arguments, what is returned and errors are those of `sharing.push`.

    `check` is called with the folder as it will be uploaded, and raises when it does not load as it should.
    """
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", str(repo_id)):
        raise BadArgument(f"{repo_id!r} is no repository; expected org/name, such as me/my-gan")
    if tag is not None and not re.fullmatch(r"\w[\w./-]*", tag):
        raise BadArgument(f"tag is {quoted(tag)}; a name without spaces is expected, such as v1")
    model = ModelFolder(folder)
    license = _checked_license(model.config, license)
    with tempfile.TemporaryDirectory(prefix="ganzoo-push-") as temporary:
        staged = Path(temporary) / repo_id.partition("/")[2]
        _stage(model, staged, license)
        if check is not None:
            check(staged)
        plan: dict[str, Any] = {
            "repo": repo_id,
            "license": license,
            "private": private,
            "tag": tag,
            "files": {path.name: path.stat().st_size for path in sorted(staged.iterdir())},
        }
        if dry_run:
            return plan
        with speaking(repo_id):
            return plan | _upload(staged, repo_id, private, tag, message)


def _checked_license(config: dict[str, Any], license: str | None) -> str:
    """The license that the weights get: the one that they are under, or else the one that is given."""
    terms, known = config.get("terms"), config.get("license")
    if known == "none" or (isinstance(terms, dict) and terms.get("redistribute") == "no"):
        raise BadArgument("the authors of these weights state no license, so they must not be passed on")
    if known and license not in (known, None):
        raise BadArgument(
            f"the model's {CONFIG} says that its weights are under {known}, not {quoted(license)}; leave the license "
            f"out, or change {CONFIG} if they are yours to license"
        )
    chosen = known or license
    if not isinstance(chosen, str) or not chosen:
        advice = "--license apache-2.0, or license='apache-2.0' in Python"
        raise BadArgument(f"which license the weights get is for you to say; give one: {advice}")
    if not known and chosen.lower() not in catalogue.licenses():
        hint = nearest(
            chosen.lower(), catalogue.licenses(), "an SPDX identifier such as apache-2.0 is expected, or other"
        )
        raise BadArgument(f"license is {quoted(chosen)}, which the Hub does not know{hint}")
    return chosen


def _stage(model: ModelFolder, staged: Path, license: str) -> None:
    """Copies what is uploaded, with the license in it and without the paths of this machine."""
    with folders.writing(staged) as fresh:
        for name in model.hashes():
            path = model.check(name)
            if name != CONFIG:
                shutil.copyfile(path, fresh / name)
        try:
            files.write_json(fresh / CONFIG, {**_without_paths(model.config), "license": license})
        except RecursionError:
            raise BadModelFolder(f"{model.path / CONFIG}: nested too deeply") from None


def _without_paths(value: Any) -> Any:
    """Shortens absolute paths to their last part: they say more of a machine than of a model."""
    if isinstance(value, dict):
        return {key: _without_paths(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_paths(entry) for entry in value]
    if isinstance(value, str) and re.match(r"(/|~|[A-Za-z]:[\\/])[^\n]*[\\/]", value):
        return re.split(r"[\\/]", value.rstrip("\\/"))[-1]
    return value


def _upload(staged: Path, repo_id: str, private: bool, tag: str | None, message: str | None) -> dict[str, Any]:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    def asked(call: Callable[..., _T], *args: Any, sent: int = 0, **options: Any) -> _T:
        return download.in_time(f"{repo_id}: {api.endpoint}", partial(call, repo_id, *args, **options), sent)

    api = HfApi()
    asked(api.create_repo, private=private, exist_ok=True)
    known = [MANIFEST, CARD, *LISTED]
    with making_sense(repo_id):
        info = download.ask(f"models/{repo_id}")
        tags = [] if tag is None else [other["name"] for other in download.ask(f"models/{repo_id}/refs")["tags"]]
        parent, public = str(info["sha"]), not info["private"]
    there = _stored(repo_id, repo_id, parent, known)
    if private and public:
        raise HubError(f"{repo_id} exists and is public; make it private first, or push without --private")
    if tag in tags:
        raise HubError(f"{repo_id} has a tag {tag} already; choose another")
    card = cards.render_card(
        staged,
        address=f"hf://{repo_id}",
        previous=_remote_card(repo_id, parent, there[CARD]) if CARD in there else None,
    )
    (staged / CARD).write_text(card, encoding="utf-8")
    files = sorted(path.name for path in staged.iterdir())
    operations: list[Any] = [CommitOperationAdd(name, str(staged / name)) for name in files]
    operations += [CommitOperationDelete(name) for name in sorted(there) if name not in files]
    config = json.loads((staged / CONFIG).read_text(encoding="utf-8"))
    title = message or f"{config.get('name') or config['family']}, after {config.get('images_seen', '?')} images"
    size = sum((staged / name).stat().st_size for name in files)
    made = asked(api.create_commit, operations, commit_message=title, parent_commit=parent, sent=size)
    commit = str(made.oid)
    there = _stored(repo_id, repo_id, commit, files)
    for name in files:
        if name not in there or not there[name].same(staged / name):
            raise HubError(f"{repo_id}: {name} is not on the Hub as it was sent (commit {commit}); push again")
    if tag is not None:
        asked(api.create_tag, tag=tag, revision=commit)
    return {"commit": commit, "url": f"{api.endpoint}/{repo_id}/tree/{commit}"}


def _remote_card(repo_id: str, commit: str, file: _Stored) -> str:
    from huggingface_hub import hf_hub_url

    if file.size > download.SMALL:
        return ""
    with tempfile.TemporaryDirectory(prefix="ganzoo-") as temporary:
        path, url = Path(temporary) / CARD, hf_hub_url(repo_id, CARD, revision=commit)
        download.fetch(repo_id, url, path, file.size, file.sha256, file.blob, token=True)
        return path.read_text(encoding="utf-8", errors="replace")
