"""One process at a time works on what the cache shall hold; the others wait, and then find the work done."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.errors import WorkError

LOG = logging.getLogger("benchmark")


@contextlib.contextmanager
def locked(path: Path, work: str) -> Iterator[None]:
    """Wait until no other process holds the lock of a path in the cache, then hold it.

    `work` completes the sentence "another process is ...". The lock is a file beside the path that stays there:
    removing it could give two processes a lock each. Raises WorkError where no file can be written.
    """
    lock = FileLock(f"{path}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            LOG.warning("another process is %s; waiting for it.", work)
            lock.acquire(poll_interval=0.5)
    except OSError as error:
        reason = error.strerror or str(error)
        raise WorkError(
            f"the cache folder {path.parent} cannot be written ({reason}); make it writable, or work in another folder."
        ) from None
    try:
        yield
    finally:
        lock.release()
