"""Downloads that end: bounded in size by what is known, in time by the clock, and never decompressed.

A server, or whoever stands between, may send without end, nothing at all, or a byte a minute; and the Hub's own client
takes one of its headers for the name of a file to write. What is fetched here is named by whoever asks for it.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from ganzoo import files
from ganzoo.types import HubError
from ganzoo.zoo.errors import Unreachable, network_error

log = logging.getLogger("ganzoo")

_T = TypeVar("_T")
LARGEST = 64 * 2**30  # bytes; no file of weights is larger
SMALL = 64 * 2**20  # bytes; every other file is smaller
_PATIENCE = 10.0  # seconds until a server must have answered, and between two pieces of what it sends
_GRACE = 60.0  # seconds; later a server must have sent
_SLOWEST = 16 * 2**10  # bytes a second, on average
_ATTEMPTS = 3  # to fetch a file


class Refused(HubError):
    """What trying again would not change."""


def ask(question: str, **form: Any) -> Any:
    """What the Hub's interface answers, parsed."""
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    url = f"{constants.ENDPOINT}/api/{question}"
    with _answer(url, build_hf_headers(), form or None) as answer:
        return json.loads(b"".join(_pieces(answer, SMALL)))


def fetch(
    label: str, url: str, target: Path, size: int | None, sha256: str = "", blob: str = "", token: bool = False
) -> str:
    """Fetches a file, from the start each time, until it arrives whole; it is written whole or not at all.

    Args:
        label: what to call the model in messages.
        url: where the file is.
        target: where to write it.
        size: in bytes; None where nobody knows it.
        sha256: of the content, or its start, where it is known.
        blob: git's name of the content, where that is known.
        token: whether to send the user's token along.

    Returns:
        The sha256 of what arrived.

    Raises:
        HubError: if it is not to be had, or arrives with another size or content.
    """
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    headers = build_hf_headers() if token else {}
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with files.atomic(target) as part:
                found = _write(url, part, size, headers)
                _check(f"{label}: {url}", found, size, sha256, blob)
                return found[1]
        except (network_error(), HubError) as error:
            status = getattr(getattr(error, "response", None), "status_code", 503)
            final = isinstance(error, (Refused, Unreachable)) or (status < 500 and status not in (408, 429))
            if final or attempt == _ATTEMPTS:
                raise
            log.info("%s: %s; trying again", label, error)
            time.sleep(attempt - 1)
    raise AssertionError  # the loop returns or raises


def _write(url: str, part: Path, size: int | None, headers: dict[str, str]) -> tuple[int, str, str]:
    """Writes what comes, and gives its size, its sha256, and git's name of it."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    got, sha256, blob = 0, hashlib.sha256(), hashlib.sha1(b"blob %d\0" % (size or 0))
    with _answer(url, headers) as answer, part.open("wb") as out:
        total = size or int(answer.headers.get("Content-Length") or 0) or None
        with tqdm(total=total, unit="B", unit_scale=True, desc=url.rpartition("/")[2]) as bar:  # type: ignore[no-untyped-call]
            for piece in _pieces(answer, LARGEST if size is None else size):
                got += len(piece)
                sha256.update(piece)
                blob.update(piece)
                out.write(piece)
                bar.update(len(piece))
    return got, sha256.hexdigest(), blob.hexdigest()


def _check(what: str, found: tuple[int, str, str], size: int | None, sha256: str, blob: str) -> None:
    """Holds what arrived against what is known of it."""
    got, digest, name = found
    if size is not None and got != size:
        raise HubError(f"{what} has {got} bytes where {size} are expected; it was cut, or replaced")
    if not digest.startswith(sha256) or blob not in ("", name):
        raise HubError(
            f"{what} is not the file that was named: its hash is {(digest if sha256 else name)[:12]}..., not "
            f"{(sha256 or blob)[:12]}...; try again, and report it if it stays so"
        )


@contextmanager
def _answer(url: str, headers: dict[str, str], form: dict[str, Any] | None = None) -> Iterator[Any]:
    """A server's answer whose body has not been read, or the error that it is."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

    client = get_session()
    # Compression would hide the size, and so a cut
    headers = {**headers, "Accept-Encoding": "identity"}
    method = "GET" if form is None else "POST"
    request = client.build_request(method, url, headers=headers, data=form, timeout=_PATIENCE)
    answer = in_time(url, lambda: client.send(request, stream=True, follow_redirects=True))
    try:
        ways = [str(each.url) for each in (*answer.history, answer)]
        if url.startswith("https:") and any(way.startswith("http:") for way in ways):
            raise Refused(f"{url} leads to plain HTTP ({ways[-1]}); it is not fetched")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused(f"{url} sends what it was not asked for, compressed; it is not fetched")
        if answer.status_code >= 400:
            said = b"".join(_pieces(answer, SMALL))
            head = {key: value for key, value in answer.headers.items() if key.lower().startswith("x-")}
            hf_raise_for_status(type(answer)(answer.status_code, headers=head, content=said, request=answer.request))
        yield answer
    finally:
        answer.close()


def in_time(what: str, call: Callable[[], _T], sent: int = 0) -> _T:
    """What a call gives, in time; the thread of one that does not return is left behind, and ends with the process.

    Args:
        what: is asked, for the error.
        call: to be made.
        sent: bytes that it sends.

    Raises:
        Unreachable: after a minute, and as long as `sent` takes at the slowest.
    """
    limit = _GRACE + sent / _SLOWEST
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit)
    if not found:
        raise Unreachable(f"{what} gives no answer in {limit:.0f} s; try again later")
    if isinstance(found[0], BaseException):
        raise found[0]
    return cast(_T, found[0])


def _pieces(answer: Any, limit: int) -> Iterator[bytes]:
    """The body as it comes, up to a limit of bytes and of time."""
    started, got = time.monotonic(), 0
    for piece in answer.iter_raw():
        got += len(piece)
        if got > limit:
            raise Refused(f"{answer.url} sends more than the {limit} bytes that it has")
        if got < (time.monotonic() - started - _GRACE) * _SLOWEST:
            raise Refused(f"{answer.url} sends too slowly, {got} bytes in {_GRACE:g} s and more; try again later")
        yield piece
