"""Shards opened for reading: files of this machine, or of a server through fsspec."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from benchmark.catalog import DatasetCard
from benchmark.errors import InputError, WorkError
from benchmark.offline import PROBE_SECONDS, hub_reachable


@contextmanager
def opened(place: str, card: DatasetCard, local: bool) -> Iterator[tuple[IO[bytes], int | None]]:
    """Yield the file at `place`, a path or a URL, and its size in bytes (None: it can be read only once, in order).

    Raises InputError for a URL of an unknown kind, WorkError if the file cannot be opened or read to its end.
    """
    if local:
        try:
            with open(place, "rb") as shard:
                yield shard, os.fstat(shard.fileno()).st_size
        except OSError as error:
            raise WorkError(f"cannot read the shard {place}: {error.strerror or error}.") from error
        return
    import fsspec

    if place.startswith("hf://") and not hub_reachable():
        raise WorkError(unreachable(card, place))
    try:
        with fsspec.open(place, "rb", **_options(place)) as shard:
            yield shard, None
    except (InputError, WorkError):
        raise
    except (ImportError, ValueError) as error:
        raise InputError(f"dataset '{card.name}': cannot open {place}: {' '.join(str(error).split())}.") from error
    except Exception as error:  # each protocol has errors of its own
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise WorkError(f"dataset '{card.name}': reading the shard {place} failed ({reason}); try again.") from error


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
