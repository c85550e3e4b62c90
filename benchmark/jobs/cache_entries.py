"""What lies in the cache: its parts, how large each entry is, when it was used, and whether a process holds it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

LOCKED = ("activations", "training")
"""Parts whose folders have a lock beside them (see `locks`)."""
PARTS = (*LOCKED, "datasets", "artifacts")
LEFT = ("*.part", "*.partial")
"""Files that a process which died was writing."""


class Entry(NamedTuple):
    """One thing in the cache that can go alone."""

    path: Path
    part: str
    bytes: int
    used: float
    """When anything of it was last written or read, in seconds since 1970."""
    lock: Path | None
    """File whose lock a process holds while it works on it."""


def entries(cache: Path) -> Iterator[Entry]:
    """Yield the entries of a cache: a pass over the data, a training or a dataset each, and what was never finished."""
    for part in PARTS:
        for folder in _folders(cache / part):
            lock = folder.with_name(f"{folder.name}.lock") if part in LOCKED else None
            for path in _folders(folder) if part == "activations" else [folder]:
                bytes_, used = usage(path)
                yield Entry(path, part, bytes_, used, lock)
            if part == "datasets":
                for path in (found for pattern in LEFT for found in folder.glob(pattern)):
                    bytes_, used = usage(path)
                    yield Entry(path, "left over", bytes_, used, None)


def usage(path: Path) -> tuple[int, float]:
    """Return the bytes of a file or folder and when it was last written or read; links are not followed."""
    total, used = 0, 0.0
    for file in [path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else [])]:
        with contextlib.suppress(OSError):  # another process may remove it at any moment
            found = file.lstat()
            is_file = not file.is_dir() or file.is_symlink()
            total += found.st_size if is_file else 0
            # Listing a folder, as this does, counts as reading it.
            used = max(used, found.st_mtime, found.st_atime if is_file else 0.0)
    return total, used


@contextlib.contextmanager
def held(lock: Path | None) -> Iterator[bool]:
    """Hold a lock while the block works; False where another process holds it. None: there is no lock to hold."""
    if lock is None:
        yield True
        return
    own = FileLock(lock)
    try:
        own.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        own.release()


def is_held(lock: Path | None) -> bool:
    """Whether a process holds a lock now."""
    if lock is None or not lock.exists():
        return False
    with held(lock) as ours:
        return not ours


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(inner for inner in path.iterdir() if inner.is_dir() and not inner.is_symlink())
    except OSError:  # not there
        return []
