"""Shards opened for reading: files of this machine, or of a server through fsspec."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from benchmark.catalog import DatasetCard
from benchmark.datasets.urls import public
from benchmark.errors import InputError, WorkError
from benchmark.offline import PROBE_SECONDS, hub_reachable

PASSING = (408, 425, 429)
"""Answers of a server that may be another one later, beside those from 500 on."""


class BrokenOffError(WorkError):
    """A server did not answer, or not to the end; it may the next time."""


@contextmanager
def opened(place: str, card: DatasetCard, local: bool) -> Iterator[tuple[IO[bytes], int | None]]:
    """Yield the file at `place`, a path or a URL, and its size in bytes (None: it can be read only once, in order).

    Raises InputError for a URL of an unknown kind, WorkError if the file cannot be opened or read to its end
    (BrokenOffError where that may pass). No message holds a password or a token of the URL.
    """
    if local:
        try:
            with open(place, "rb") as shard:
                yield shard, os.fstat(shard.fileno()).st_size
        except OSError as error:
            raise WorkError(f"cannot read the shard {place}: {error.strerror or error}.") from error
        return
    import fsspec

    shown = public(place)
    if place.startswith("hf://") and not hub_reachable():
        raise WorkError(unreachable(card, shown))
    try:
        with fsspec.open(place, "rb", **_options(place)) as shard:
            yield shard, None
    except (InputError, WorkError):
        raise
    except (ImportError, ValueError) as error:
        raise InputError(f"dataset '{card.name}': cannot open {shown}: {_text(error)}.") from None
    except Exception as error:  # each protocol has errors of its own
        cause = _innermost(error)
        failed = f"dataset '{card.name}': reading the shard {shown} failed"
        if isinstance(cause, FileNotFoundError) or _status(cause) == 404:  # the texts are of fsspec's own options
            raise WorkError(f"{failed}: there is no such file; correct the card's `source`.") from None
        kind = BrokenOffError if _may_pass(cause) else WorkError
        raise kind(f"{failed} ({type(cause).__name__}: {_text(cause)}); try again.") from None


def _innermost(error: BaseException) -> BaseException:
    """Return what an error was raised from: fsspec calls every failure to connect a file that is not found."""
    while isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _text(error: BaseException) -> str:
    return public(" ".join(str(error).split())).rstrip(".")


def _status(error: Any) -> int | None:
    """Return the status with which a server answered: of aiohttp's errors, or of the hub client's."""
    return getattr(error, "status", None) or getattr(getattr(error, "response", None), "status_code", None)


def _may_pass(error: BaseException) -> bool:
    status = _status(error)
    return status is None or status >= 500 or status in PASSING


def unreachable(card: DatasetCard, what: str) -> str:
    """Return the sentence about a dataset that is neither here nor to be had."""
    return (
        f"dataset '{card.name}': the Hugging Face hub is out of reach or HF_HUB_OFFLINE is set, and {what} is not in "
        "its cache; go online, fill that cache (HF_HOME), or name a local copy in a card (source: PATH)."
    )


def _options(place: str) -> dict:
    if place.startswith("hf://"):
        return {"block_size": 0}  # one request for the whole file instead of many for its blocks
    if place.startswith(("http://", "https://")):
        import aiohttp

        # The client's default gives a whole shard five minutes.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=PROBE_SECONDS, sock_read=30)
        return {"block_size": 0, "client_kwargs": {"timeout": timeout}}
    return {}
