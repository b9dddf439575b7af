"""What the Hub's client and the disk raise, in one line that says what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ganzoo.types import GanzooError, HubError


class Unreachable(HubError):
    """The Hub does not answer at all."""


def network_error() -> type[Exception]:
    """The client's HTTP library's base of errors: httpx's or httpx2's, by the client's release."""
    from huggingface_hub.errors import HfHubHTTPError

    base: type[Exception] = HfHubHTTPError.__bases__[0]
    return base


@contextmanager
def speaking(label: str) -> Iterator[None]:
    """Turns what the client and the disk raise into one line that says what to do."""
    try:
        yield
    except GanzooError:
        raise
    except (OSError, ValueError, RuntimeError, network_error()) as error:
        raise _explained(label, error) from None


@contextmanager
def making_sense(label: str) -> Iterator[None]:
    """Around calls that parse an answer of the Hub."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        from huggingface_hub.errors import HfHubHTTPError

        if isinstance(error, HfHubHTTPError):  # some of the client's refusals are values' errors too
            raise
        raise HubError(f"{label}: the Hub's answer makes no sense ({first_line(error)}); try again later") from None


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
    if isinstance(error, network_error()):
        return Unreachable(
            f"{label}: {endpoint} cannot be reached ({first_line(error) or type(error).__name__}); check the network "
            "and HF_ENDPOINT"
        )
    if isinstance(error, OSError):
        return HubError(_explained_disk(label, error))
    return HubError(f"{label}: {first_line(error)}")


def _explained_status(label: str, status: int, error: BaseException) -> HubError:
    said = {
        401: "the token is not valid; log in anew with `hf auth login`, or correct HF_TOKEN",
        **dict.fromkeys((404, 410), f"what was asked for is gone ({status}); it may have been moved"),
        403: "the token may not do this; use one that may write there, or another namespace",
        409: "the Hub says that it exists already",
        412: "somebody pushed at the same time; nothing was overwritten: look at it, and push again",
        429: "too many requests; wait some minutes",
    }
    if status >= 500:
        return Unreachable(f"{label}: the Hub answered {status}; try again later")
    return HubError(f"{label}: {said.get(status, f'the Hub answered {status}: {first_line(error)}')}")


def _explained_disk(label: str, error: OSError) -> str:
    from huggingface_hub import constants

    where = error.filename or constants.HF_HOME
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{label}: the disk is full ({where}); make room, or set HF_HOME to another place"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{label}: {where} cannot be written; set HF_HOME to a place that can"
    if "Consistency check failed" in str(error):
        return f"{label}: the download was cut; run it again"
    return f"{label}: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """The first line of an error's text that says something, at most 300 characters."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:300]
