"""The Hub: fetching models, from it and from their authors' own addresses, and pushing them.

Fetched models lie in the Hub's own cache (`HF_HOME`, which `hf cache` manages) and are read where they lie. A revision
is resolved to a commit once, and everything is fetched by that commit, so a branch that moves meanwhile cannot mix two
of its states. Of a repository only the files that a model folder can have are ever asked for, whatever else it holds.

What is fetched is held against the Hub's own record of it and against the manifest before anything parses it. A file
that was read once is hashed again only when its size or time changed.

Authors' files are fetched the same way, converted once, and kept converted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.types import BadArgument, BadModelFolder, GanzooError, HubError
from ganzoo.zoo import cards, catalogue, checkpoint
from ganzoo.zoo.catalogue import UNPINNED, Entry, File
from ganzoo.zoo.checkpoint import CARD, CONFIG, LISTED, MANIFEST, MODEL, PLAYERS, ModelFolder

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

log = logging.getLogger("ganzoo")

Convert = Callable[[Path, Entry, Path], object]  # an authors' file, what the catalogue says of it, the folder to write

_ADDRESS = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>\w[\w./-]*))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SMALL = 64 * 2**20  # bytes; every file but weights is smaller
_LARGEST = 64 * 2**30  # bytes; no file of weights is larger
_PATIENCE = 10.0  # seconds until the Hub must have answered
_ATTEMPTS = 3  # to fetch an authors' file


# ------------------------------------------------------------------------------------------------------- fetching


class Unreachable(HubError):
    """The Hub does not answer at all."""


class Damaged(BadModelFolder):
    """A fetched folder whose files changed since, or never fitted; `remove` clears it away.

    Args:
        text: one line that says what is wrong and what to do.
        folder: the folder in the cache.
    """

    def __init__(self, text: str, folder: Path) -> None:
        super().__init__(text)
        self.folder = folder

    def remove(self) -> None:
        """Removes the folder's files, and what they link to in the Hub's cache, so that they are fetched again."""
        _Hashes(self.folder).path.unlink(missing_ok=True)
        for name in (MANIFEST, *LISTED):
            path = self.folder / name
            target = path.resolve()
            path.unlink(missing_ok=True)
            if target.parent == self.folder.parent.parent.resolve() / "blobs":
                target.unlink(missing_ok=True)


def locate(
    model: str,
    *,
    revision: str | None = None,
    offline: bool | None = None,
    players: bool = False,
    convert: Convert | None = None,
    newest: bool = False,
) -> tuple[ModelFolder, dict[str, Any]]:
    """Finds a model by its name or `hf://` address, fetching what is not there yet.

    Args:
        model: a name of the catalogue, or `hf://org/name[@revision]`.
        revision: of a repository: a branch, a tag or a commit.
        offline: True to use only what is there; None for what `HF_HUB_OFFLINE` says.
        players: whether the players' weights are needed too.
        convert: makes a model folder of an authors' file.
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
        pinned = {} if revision else {name: file.sha256 for name, file in entry.files.items() if file.pinned}
        return _from_hub(entry.name, entry.repo, revision or entry.revision, pinned, players, offline, newest)
    if entry.status == "convert":
        return _from_authors(entry, convert, offline)
    raise BadArgument(_without_weights(entry))


def pull(model: str, *, revision: str | None = None, players: bool = False, convert: Convert | None = None) -> Path:
    """Fetches a model into the cache, hashes every file of it anew, and gives its folder.

    What turns out to be damaged is fetched again.

    Args:
        model: a name of the catalogue, or `hf://org/name[@revision]`.
        revision: of a repository.
        players: whether to fetch the players' weights too.
        convert: makes a model folder of an authors' file.

    Raises:
        GanzooError: as `locate`.
    """

    def once() -> Path:
        folder, _ = locate(model, revision=revision, players=players, convert=convert, newest=True)
        if isinstance(folder, _Fetched):
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
    """Takes `hf://org/name[@revision]` apart.

    Raises:
        BadArgument: if it is something else.
    """
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


class _Hashes:
    """The hashes of a fetched folder's files, kept beside the cache.

    A file is hashed again when its size or time is not what it was.

    Args:
        folder: the folder in the cache.
    """

    def __init__(self, folder: Path) -> None:
        self.path = _home() / "hashes" / folder.parent.parent.name / f"{folder.name}.json"
        self.manifest = ""  # as it was when it was fetched; what all others must agree with
        self._known: dict[str, list[Any]] = {}
        with contextlib.suppress(OSError, ValueError, RecursionError, TypeError, KeyError):  # none, or a broken one
            read = json.loads(self.path.read_text(encoding="utf-8"))
            self._known = {name: stamp for name, stamp in read["files"].items() if len(stamp) == 3}
            self.manifest = str(read["manifest"])

    def __call__(self, path: Path) -> str:
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        known = self._known.get(path.name)
        if known is not None and known[:2] == stamp:
            return str(known[2])
        self._known[path.name] = [*stamp, checkpoint.sha256(path)]
        self._write()
        return str(self._known[path.name][2])

    def trust(self, folder: ModelFolder) -> None:
        """Takes the folder as it is now for the one that was fetched; its files must have been checked."""
        self.manifest = checkpoint.sha256(folder.path / MANIFEST)
        for name, digest in {**folder.hashes(), MANIFEST: self.manifest}.items():
            if (folder.path / name).is_file():
                status = (folder.path / name).stat()
                self._known[name] = [status.st_size, status.st_mtime_ns, digest]
        self._write()

    def forget(self) -> None:
        """Hashes everything anew from now on."""
        self._known = {}
        self._write()

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # beside a cache that cannot be written, files are hashed every time
            checkpoint.write_json(self.path, {"manifest": self.manifest, "files": self._known})


class _Fetched(ModelFolder):
    """A model folder in a cache: it remembers hashes, and its errors say how to fetch it again.

    Args:
        path: the folder.
        label: what the user called the model.
        pinned: sha256 by file name from the catalogue.
    """

    def __init__(self, path: Path, label: str, pinned: dict[str, str]) -> None:
        self.path, self._label, self._hashes = path, label, _Hashes(path)
        wanted = pinned.get(MANIFEST) or self._hashes.manifest
        try:
            if wanted and (path / MANIFEST).is_file() and self._hashes(path / MANIFEST) != wanted:
                raise BadModelFolder(f"{path / MANIFEST}: damaged or replaced since it was fetched")
            super().__init__(path, pinned)
        except BadModelFolder as error:
            raise self._advised(error) from None
        if not wanted:  # another program fetched it
            for name in self.hashes():
                if (path / name).is_file():
                    self.check(name)
            self._hashes.trust(self)

    def digest(self, path: Path) -> str:
        return self._hashes(path)

    def check(self, name: str) -> Path:
        try:
            return super().check(name)
        except BadModelFolder as error:
            if not self.has(name):
                raise
            raise self._advised(error) from None

    def check_anew(self) -> None:
        """Hashes every file that is there, whatever is remembered of it."""
        self._hashes.forget()
        self._checked.clear()
        if self._hashes(self.path / MANIFEST) != self._hashes.manifest:
            raise self._advised(BadModelFolder(f"{self.path / MANIFEST}: damaged or replaced since it was fetched"))
        for name in self.hashes():
            if (self.path / name).exists():
                self.check(name)

    def _advised(self, error: BadModelFolder) -> Damaged:
        if isinstance(error, Damaged):
            return error
        return Damaged(f"{error}; `ganzoo pull {self._label}` fetches it again", self.path)


# -------------------------------------------------------------------------------------------------------- the Hub


def _from_hub(
    label: str, repo: str, revision: str, pinned: dict[str, str], players: bool, offline: bool | None, newest: bool
) -> tuple[ModelFolder, dict[str, Any]]:
    offline = _offline() if offline is None else offline
    commit: str | None = revision
    if not _COMMIT.fullmatch(revision):
        commit = _remembered_commit(repo, revision) if offline else _resolve(label, repo, revision, newest)
    folder = None if commit is None else _snapshot(repo, commit)
    if commit is None or folder is None or not _complete(folder, players):
        if offline or commit is None or folder is None:
            raise HubError(
                f"{label} is not in the cache, and this is offline; run `ganzoo pull {label}` where there is a network"
            )
        with _speaking(label), _lock(f"{repo.replace('/', '--')}@{commit}"):
            if not _complete(folder, players):  # another process may have been faster
                _download(label, repo, commit, players)
    if commit != revision and not offline:
        _remember_commit(repo, revision, commit)
    where = {"from": "hub", "repo": repo, "revision": revision, "commit": commit}
    return _Fetched(folder, label, pinned), where


def _complete(folder: Path, players: bool) -> bool:
    """Whether the cache holds all that the manifest lists; whether it is sound turns out when it is opened."""
    if not all((folder / name).is_file() for name in (MANIFEST, CONFIG, MODEL)):
        return False
    try:
        listed = set(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return True  # there, and damaged
    return all((folder / name).is_file() for name in LISTED if name in listed and (players or name != PLAYERS))


def _resolve(label: str, repo: str, revision: str, newest: bool) -> str:
    """The commit that a branch or tag stands for: the Hub's word, or without it what is remembered."""
    from huggingface_hub import HfApi

    try:
        with _speaking(label), _making_sense(label):
            commit = HfApi().model_info(repo, revision=revision, timeout=_PATIENCE).sha
            if commit is None or not _COMMIT.fullmatch(commit):
                raise ValueError("no commit")
            return commit
    except Unreachable as error:
        commit = _remembered_commit(repo, revision)
        if commit is None or newest:
            raise
        log.warning("%s; using the state of %s that was fetched last (%s)", error, label, commit[:12])
        return commit


def _download(label: str, repo: str, commit: str, players: bool) -> None:
    """Fetches a model folder's files by commit, each checked before the next."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    asked = [MANIFEST, *LISTED]
    with _making_sense(label):
        found = HfApi().get_paths_info(repo, asked, revision=commit)
    files = {file.path: file for file in found if isinstance(file, RepoFile) and file.path in asked}
    for name in (MANIFEST, CONFIG, MODEL):
        if name not in files:
            raise HubError(f"{label} holds no {name} at {commit[:12]}, so it is no model of ganzoo's format")
    _sweep(_snapshot(repo, commit).parent.parent / "blobs")
    for name in (MANIFEST, CONFIG):
        path = _fetch(label, repo, commit, files[name])
    folder = ModelFolder(path.parent)
    for name in sorted(folder.hashes()):
        if name == PLAYERS and not players:
            continue
        if name not in files:
            raise HubError(f"{label}: {MANIFEST} lists {name}, but the repository has no such file at {commit[:12]}")
        _fetch(label, repo, commit, files[name])
        folder.check(name)
    _Hashes(folder.path).trust(folder)


def _fetch(label: str, repo: str, commit: str, file: RepoFile) -> Path:
    """Fetches a file and holds its content against the Hub's record of it; over plain HTTP the client does not."""
    from huggingface_hub import hf_hub_download

    limit = _LARGEST if file.path.endswith(".safetensors") else _SMALL
    if file.size > limit:
        raise HubError(f"{label}: {file.path} has {file.size} bytes; at most {limit} make sense, so it is not fetched")
    for again in (False, True):
        path = Path(hf_hub_download(repo, file.path, revision=commit, force_download=again))
        if _same_content(path, file):
            return path
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    raise HubError(f"{label}: {file.path} arrived twice with another content than the Hub says it has; try again later")


def _same_content(path: Path, file: RepoFile) -> bool:
    if file.lfs is not None:
        return checkpoint.sha256(path) == file.lfs.sha256
    # git's name of a file is the sha1 of a header and the content
    return hashlib.sha1(b"blob %d\0" % file.size + path.read_bytes()).hexdigest() == file.blob_id


def _sweep(blobs: Path) -> None:
    """Removes what a killed download left; one that still runs has written within the hour."""
    for path in blobs.glob("*.incomplete") if blobs.is_dir() else ():
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
        with contextlib.suppress(OSError), checkpoint.atomic(_reference(repo, revision)) as part:
            part.write_text(commit, encoding="utf-8")


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _home() -> Path:
    """Where ganzoo keeps what is its own: locks, hashes, converted models."""
    from huggingface_hub import constants

    return Path(constants.HF_ASSETS_CACHE) / "ganzoo"


@contextmanager
def _lock(name: str) -> Iterator[None]:
    """Holds a lock that the system gives back when its holder dies."""
    from filelock import FileLock

    path = _home() / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


# ---------------------------------------------------------------------------------------------------- the authors


def _from_authors(entry: Entry, convert: Convert | None, offline: bool | None) -> tuple[ModelFolder, dict[str, Any]]:
    offline = _offline() if offline is None else offline
    pins = {name: [file.sha256, file.size] for name, file in entry.files.items()}
    source = json.dumps([entry.address, entry.repo, entry.revision, pins], sort_keys=True)
    home = _home() / "converted" / f"{entry.name}-{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    folder, origin = home / "models" / "converted", home / "origin.json"
    if not (folder / MANIFEST).is_file():
        if offline:
            raise HubError(
                f"{entry.name} is not in the cache, and this is offline; "
                f"run `ganzoo pull {entry.name}` where there is a network"
            )
        if convert is None:
            raise HubError(f"{entry.name} is published in its authors' own format, and nothing here converts it")
        with _speaking(entry.name), _lock(home.name):
            checkpoint.settle(folder)
            if not (folder / MANIFEST).is_file():
                _convert(entry, convert, home, folder, origin)
    where = {"from": "authors", "name": entry.name, "url": entry.where()}
    with contextlib.suppress(OSError, ValueError):
        where["files"] = json.loads(origin.read_text(encoding="utf-8"))
    return _Fetched(folder, entry.name, {}), where


def _convert(entry: Entry, convert: Convert, home: Path, folder: Path, origin: Path) -> None:
    """Fetches an authors' files and converts them; of two kills in a row nothing is left to trip over."""
    if entry.terms is not None and not entry.terms.commercial:
        log.warning("%s: its weights are under %s, no commercial use: %s", entry.name, *_terms(entry))
    fetched = home / "fetched"
    shutil.rmtree(fetched, ignore_errors=True)
    fetched.mkdir(parents=True)
    try:
        hashes = {name: _fetch_authors(entry, name, file, fetched / name) for name, file in entry.files.items()}
        checkpoint.write_json(origin, hashes)
        convert(fetched / next(iter(entry.files)), entry, folder)
        converted = ModelFolder(folder)
        for made in converted.hashes():
            converted.check(made)
        _Hashes(folder).trust(converted)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)


def _terms(entry: Entry) -> tuple[str, str]:
    assert entry.terms is not None
    return entry.terms.title, entry.terms.url


def _fetch_authors(entry: Entry, name: str, file: File, target: Path) -> str:
    """Fetches one of the authors' files, gives its sha256, and says so where nobody knew it before."""
    if entry.repo:
        from huggingface_hub import hf_hub_download

        revision = None if entry.revision == UNPINNED else entry.revision
        shutil.copyfile(hf_hub_download(entry.repo, name, revision=revision), target)
        digest = checkpoint.sha256(target)
        _check_pin(entry.name, name, file, digest, target.stat().st_size)
    else:
        digest = _fetch_address(entry.name, entry.address + name, file, target)
    if not file.pinned:
        plain = ", and it came over plain HTTP" if entry.address.startswith("http:") else ""
        log.warning("%s: nobody published the whole sha256 of %s; it is %s%s", entry.name, name, digest, plain)
    return digest


def _fetch_address(label: str, url: str, file: File, target: Path) -> str:
    """Fetches a plain address, from the start each time, until it arrives whole."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with checkpoint.atomic(target) as part:
                digest, size = _stream(label, url, file, part)
                _check_pin(label, target.name, file, digest, size)
                return digest
        except (_network_error(), HubError) as error:
            if attempt == _ATTEMPTS or isinstance(error, _Refused):
                raise
            log.info("%s: %s; trying again", label, error)
            time.sleep(attempt - 1)
    raise AssertionError  # the loop returns or raises


class _Refused(HubError):
    """What trying again would not change."""


def _stream(label: str, url: str, file: File, part: Path) -> tuple[str, int]:
    from huggingface_hub import get_session
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    digest, size, limit = hashlib.sha256(), 0, file.size or _LARGEST
    # Compression would hide the size, and so a cut.
    with get_session().stream("GET", url, headers={"Accept-Encoding": "identity"}, timeout=30) as answer:
        if url.startswith("https:") and answer.url.scheme != "https":
            raise _Refused(f"{label}: {url} leads to plain HTTP ({answer.url}); it is not fetched")
        if answer.status_code in (404, 410):
            raise _Refused(f"{label}: {url} is gone ({answer.status_code}); its authors may have moved it")
        if answer.status_code != 200:
            raise HubError(f"{label}: {url} answered {answer.status_code}; try again later")
        total = int(answer.headers.get("Content-Length") or 0) or None
        bar = tqdm(total=total, unit="B", unit_scale=True, desc=url.rpartition("/")[2])  # type: ignore[no-untyped-call]
        with part.open("wb") as out, bar:
            for chunk in answer.iter_bytes(2**20):
                size += len(chunk)
                if size > limit:
                    raise _Refused(f"{label}: {url} sends more than the {limit} bytes that the file has")
                digest.update(chunk)
                out.write(chunk)
                bar.update(len(chunk))
    return digest.hexdigest(), size


def _check_pin(label: str, name: str, file: File, digest: str, size: int) -> None:
    if file.size is not None and size != file.size:
        raise HubError(f"{label}: {name} has {size} bytes where the catalogue says {file.size}")
    if not digest.startswith(file.sha256):
        raise HubError(
            f"{label}: {name} is not the file that the catalogue names: its sha256 is {digest[:12]}..., not "
            f"{file.sha256[:12]}...; try again, and report it if it stays so"
        )


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
    """Uploads a model folder in one commit.

    Args:
        folder: the model folder.
        repo_id: `org/name`; the repository is made when it does not exist.
        license: of the weights; always to be given. It must be the one in `config.json`, where there is one.
        private: whether a new repository is private.
        tag: a name for the commit, which must be new.
        dry_run: say what would be uploaded, and open no connection.
        message: of the commit.
        check: is called with the folder as it will be uploaded, and raises when it does not load as it should.

    Returns:
        `repo`, `license`, `private`, `tag`, `files` (bytes by name) and, unless it was a dry run, `commit` and `url`.

    Raises:
        BadArgument: without a licence, with another one than the model's, or for weights that must not be passed on.
        BadModelFolder: if the folder is not sound.
        HubError: if the Hub refuses, or somebody pushed at the same time; then nothing was changed.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id):
        raise BadArgument(f"{repo_id!r} is no repository; expected org/name, such as me/my-gan")
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
        with _speaking(repo_id):
            return plan | _upload(staged, repo_id, private, tag, message)


def _checked_license(config: dict[str, Any], license: str | None) -> str:
    if not license:
        raise BadArgument("which licence the weights get is for you to say; give one, such as license='apache-2.0'")
    terms = config.get("terms")
    if config.get("licence") == "none" or (isinstance(terms, dict) and terms.get("redistribute") == "no"):
        raise BadArgument("the authors of these weights state no licence, so they must not be passed on")
    known = config.get("licence")
    if known and known != license:
        raise BadArgument(
            f"the model's config.json says that its weights are under {known}, not {license}; push it with "
            f"license={known!r}, or change config.json if they are yours to license"
        )
    return license


def _stage(model: ModelFolder, staged: Path, license: str) -> None:
    """Copies what is uploaded, with the licence in it and without the paths of this machine."""
    with checkpoint.writing(staged) as fresh:
        for name in model.hashes():
            path = model.check(name)
            if name != CONFIG:
                shutil.copyfile(path, fresh / name)
        try:
            checkpoint.write_json(fresh / CONFIG, {**_without_paths(model.config), "licence": license})
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
    from huggingface_hub.hf_api import RepoFile

    api = HfApi()
    api.create_repo(repo_id, private=private, exist_ok=True)
    known = [MANIFEST, CARD, *LISTED]
    with _making_sense(repo_id):
        info = api.model_info(repo_id, timeout=_PATIENCE)
        tags = [] if tag is None else [other.name for other in api.list_repo_refs(repo_id).tags]
        parent = str(info.sha)
        found = api.get_paths_info(repo_id, known, revision=parent)
    if private and not info.private:
        raise HubError(f"{repo_id} exists and is public; make it private first, or push without --private")
    if tag in tags:
        raise HubError(f"{repo_id} has a tag {tag} already; choose another")
    there = {file.path: file for file in found if isinstance(file, RepoFile)}
    card = cards.render_card(
        staged, address=f"hf://{repo_id}", previous=_remote_card(repo_id, parent) if CARD in there else None
    )
    (staged / CARD).write_text(card, encoding="utf-8")
    files = sorted(path.name for path in staged.iterdir())
    operations: list[Any] = [CommitOperationAdd(name, str(staged / name)) for name in files]
    operations += [CommitOperationDelete(name) for name in sorted(there) if name not in files]
    config = json.loads((staged / CONFIG).read_text(encoding="utf-8"))
    title = message or f"{config.get('name') or config['family']}, after {config.get('images_seen', '?')} images"
    commit = str(api.create_commit(repo_id, operations, commit_message=title, parent_commit=parent).oid)
    with _making_sense(repo_id):
        found = api.get_paths_info(repo_id, files, revision=commit)
    _compare(repo_id, commit, staged, found)
    if tag is not None:
        api.create_tag(repo_id, tag=tag, revision=commit)
    return {"commit": commit, "url": f"{api.endpoint}/{repo_id}/tree/{commit}"}


def _remote_card(repo_id: str, commit: str) -> str:
    from huggingface_hub import hf_hub_download

    path = Path(hf_hub_download(repo_id, CARD, revision=commit))
    return path.read_text(encoding="utf-8", errors="replace") if path.stat().st_size <= _SMALL else ""


def _compare(repo_id: str, commit: str, staged: Path, found: Iterable[Any]) -> None:
    """Holds what the Hub says it has now against what was sent."""
    there = {file.path: file for file in found}
    for path in sorted(staged.iterdir()):
        if path.name not in there or not _same_content(path, there[path.name]):
            raise HubError(f"{repo_id}: {path.name} is not on the Hub as it was sent (commit {commit}); push again")


# --------------------------------------------------------------------------------------------------------- errors


def _network_error() -> type[Exception]:
    """The client's HTTP library's base of errors: httpx's or httpx2's, by the client's release."""
    from huggingface_hub.errors import HfHubHTTPError

    base: type[Exception] = HfHubHTTPError.__bases__[0]
    return base


@contextmanager
def _speaking(label: str) -> Iterator[None]:
    """Turns what the client and the disk raise into one line that says what to do."""
    try:
        yield
    except GanzooError:
        raise
    except (OSError, ValueError, RuntimeError, _network_error()) as error:
        raise _explained(label, error) from None


@contextmanager
def _making_sense(label: str) -> Iterator[None]:
    """Around calls that parse an answer of the Hub."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        from huggingface_hub.errors import HfHubHTTPError

        if isinstance(error, HfHubHTTPError):  # some of the client's refusals are values' errors too
            raise
        raise HubError(f"{label}: the Hub's answer makes no sense ({_first_line(error)}); try again later") from None


def _explained(label: str, error: BaseException) -> HubError:
    from huggingface_hub import constants, errors

    while isinstance(error, (errors.LocalEntryNotFoundError, RuntimeError)) and error.__cause__ is not None:
        error = error.__cause__
    endpoint = constants.ENDPOINT
    unseen = "it does not exist, or it is private and your token may not see it"
    known: list[tuple[type[BaseException], str]] = [
        (errors.GatedRepoError, f"{label}: gated; accept its terms on {endpoint} and log in with `hf auth login`"),
        (errors.RepositoryNotFoundError, f"{label}: {unseen}; check the name, HF_TOKEN or `hf auth login`"),
        (
            errors.RevisionNotFoundError,
            f"{label}: the repository has no such revision; check the branch, tag or commit",
        ),
        (errors.EntryNotFoundError, f"{label}: the repository lacks a file of the model"),
    ]
    for kind, text in known:
        if isinstance(error, kind):
            return HubError(text)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return HubError(f"{label}: this is offline (HF_HUB_OFFLINE is set); nothing can be fetched or pushed")
    if isinstance(error, errors.HfHubHTTPError):
        return _explained_status(label, error.response.status_code, error)
    if isinstance(error, _network_error()):
        return Unreachable(
            f"{label}: {endpoint} cannot be reached ({_first_line(error) or type(error).__name__}); check the network "
            "and HF_ENDPOINT"
        )
    if isinstance(error, OSError):
        return HubError(_explained_disk(label, error))
    return HubError(f"{label}: {_first_line(error)}")


def _explained_status(label: str, status: int, error: BaseException) -> HubError:
    said = {
        401: "the token is not valid; log in anew with `hf auth login`, or correct HF_TOKEN",
        403: "the token may not do this; use one that may write there, or another namespace",
        409: "the Hub says that it exists already",
        412: "somebody pushed at the same time; nothing was overwritten: look at it, and push again",
        429: "too many requests; wait some minutes",
    }
    if status >= 500:
        return Unreachable(f"{label}: the Hub answered {status}; try again later")
    return HubError(f"{label}: {said.get(status, f'the Hub answered {status}: {_first_line(error)}')}")


def _explained_disk(label: str, error: OSError) -> str:
    from huggingface_hub import constants

    where = error.filename or constants.HF_HOME
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{label}: the disk is full ({where}); make room, or set HF_HOME to another place"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{label}: {where} cannot be written; set HF_HOME to a place that can"
    if "Consistency check failed" in str(error):
        return f"{label}: the download was cut; run it again"
    return f"{label}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:300]
