"""Unfinished work in the cache that nobody has gone on with for long goes; younger work is gone on with."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock, Timeout

ABANDONED_DAYS = 30


def remove_abandoned(
    folders: Iterable[Path], locked: Callable[[Path], Path], is_finished: Callable[[Path], bool] | None = None
) -> None:
    """Remove folders to which nobody has written for 30 days, and that are not finished.

    locked: the path beside which a folder's lock lies; a folder whose lock somebody holds stays. is_finished: None if
    none of them is.
    """
    for folder in folders:
        # Another process may finish or remove a folder at any moment.
        with contextlib.suppress(OSError, Timeout):
            written = max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
            if time.time() - written > ABANDONED_DAYS * 86400:
                with FileLock(f"{locked(folder)}.lock", timeout=0):
                    if is_finished is None or not is_finished(folder):
                        shutil.rmtree(folder, ignore_errors=True)
