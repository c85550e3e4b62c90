"""The files of one encoder's activations: appended to shard by shard, so that a killed extraction can go on.

A folder holds one `.npy` file per array and `progress.json`, which says how many rows of every file are finished. A
shard's rows are appended to each file and synced to the disk before `progress.json` is replaced; whatever lies behind
the finished rows is cut off when the next process goes on.
"""

import contextlib
import io
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from benchmark.errors import WorkError

LOG = logging.getLogger("benchmark")
PROGRESS = "progress.json"
ABANDONED_DAYS = 30


@dataclass(frozen=True)
class Activations:
    """One encoder's activations over N samples, memory-mapped; keys are layers, shallow to deep."""

    pooled: dict[int, NDArray[np.float32]]
    """(N, d): every sample's global vector."""
    tokens: dict[int, NDArray[np.float32]]
    """(N, S, d): up to S of every sample's other real tokens, zeros behind them; empty without stored tokens."""
    counts: dict[int, NDArray[np.int32]]
    """(N,): how many tokens of each sample are stored; empty without stored tokens."""


@dataclass(frozen=True)
class Layout:
    """What decides the shape of the files and where their shards end."""

    n_samples: int
    widths: dict[int, int]
    tokens: int
    """Tokens stored of each sample at most."""
    shard: int
    """Rows of a shard."""

    @property
    def arrays(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """{name: (shape of one row, type)} of every file."""
        found: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        for layer, width in self.widths.items():
            found[name(layer)] = (width,), np.dtype("<f4")
            if self.tokens:
                found[name(layer, "tokens")] = (self.tokens, width), np.dtype("<f4")
                found[name(layer, "counts")] = (), np.dtype("<i4")
        return found

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample in all files together."""
        return sum(_bytes(shape, kind) for shape, kind in self.arrays.values())

    def identity(self) -> dict[str, Any]:
        """Return what must agree for one process to go on where another stopped, as JSON gives it back."""
        return json.loads(json.dumps(asdict(self)))


def name(layer: int, part: str = "") -> str:
    """Return the name of a layer's array: of its global vectors, or of its `tokens` or `counts`."""
    return f"L{layer:02d}" + (f".{part}" if part else "")


def read_activations(folder: Path, layers: list[int], n_samples: int, tokens: int = 0) -> Activations | None:
    """Return the finished activations of a folder, memory-mapped, or None."""
    done = _progress(folder)
    if done.get("rows") != n_samples or done.get("layout", {}).get("tokens") != tokens:
        return None
    found: dict[str, dict[int, Any]] = {"": {}, "tokens": {}, "counts": {}}
    try:
        for part in found if tokens else [""]:
            for layer in layers:
                found[part][layer] = np.load(_path(folder, name(layer, part)), mmap_mode="r")
    except (OSError, ValueError):
        return None
    if not all(len(array) == n_samples for arrays in found.values() for array in arrays.values()):
        return None
    return Activations(found[""], found["tokens"], found["counts"])


class Writer:
    """Appends shards to the files of a folder, behind those that an earlier process finished."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        """Open the files; `rows` says how many are finished. Raises WorkError when the rest would not fit the disk."""
        self.folder, self.layout = folder, layout
        done = _progress(folder)
        self.rows = int(done["rows"]) if done.get("layout") == layout.identity() and self._holds(done["rows"]) else 0
        if not self.rows:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        need, free = (layout.n_samples - self.rows) * layout.row_bytes, shutil.disk_usage(folder).free
        if need > free:
            raise WorkError(
                f"the activations take {need / 1e9:.1f} GB more and {folder.parent} has {free / 1e9:.1f} GB left; "
                "free some space, or use fewer samples, layers or tokens."
            )
        self._files: dict[str, BinaryIO] = {}
        try:
            for array in layout.arrays:
                path, end = _path(folder, array), self._end(array, self.rows)
                if not self.rows:
                    path.write_bytes(self._header(array))
                self._files[array] = path.open("r+b")
                self._files[array].truncate(end)
                self._files[array].seek(end)
        except BaseException:
            self.close()
            raise

    def append(self, shard: Mapping[str, NDArray[Any]]) -> None:
        """Append the next rows of every array; they count as finished when this returns."""
        for array, file in self._files.items():
            file.write(np.ascontiguousarray(shard[array]).data)
            file.flush()
            os.fsync(file.fileno())
        self.rows += len(next(iter(shard.values())))
        text = json.dumps({"rows": self.rows, "layout": self.layout.identity()})
        temporary = self.folder / f"{PROGRESS}.part"
        with temporary.open("w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(self.folder / PROGRESS)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            with contextlib.suppress(OSError):  # what a full disk refused is refused again
                file.close()

    def _header(self, array: str) -> bytes:
        shape, kind = self.layout.arrays[array]
        out = io.BytesIO()
        description = {"descr": kind.str, "fortran_order": False, "shape": (self.layout.n_samples, *shape)}
        np.lib.format.write_array_header_1_0(out, description)
        return out.getvalue()

    def _end(self, array: str, rows: int) -> int:
        return len(self._header(array)) + rows * _bytes(*self.layout.arrays[array])

    def _holds(self, rows: int) -> bool:
        """Whether every file is at least as long as its finished rows."""
        try:
            return all(_path(self.folder, a).stat().st_size >= self._end(a, rows) for a in self.layout.arrays)
        except OSError:
            return False


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other process writes to a folder, then keep others out.

    The lock is a file beside the folder that stays there: removing it could give two processes a lock each.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        LOG.warning("another process is extracting %s; waiting for it.", folder.name)
        lock.acquire(poll_interval=0.5)
    try:
        yield
    finally:
        lock.release()


def remove_abandoned(parent: Path) -> None:
    """Remove unfinished extractions that nobody has written to for 30 days; younger ones can still be gone on with."""
    for folder in parent.iterdir():
        # Another process may finish or remove a folder at any moment.
        with contextlib.suppress(OSError, Timeout):
            if not folder.is_dir() or time.time() - _written(folder) < ABANDONED_DAYS * 86400:
                continue
            with FileLock(f"{folder}.lock", timeout=0):
                done = _progress(folder)
                if not done or done.get("rows") != done.get("layout", {}).get("n_samples"):
                    shutil.rmtree(folder, ignore_errors=True)


def _written(folder: Path) -> float:
    return max(path.stat().st_mtime for path in [folder, *folder.iterdir()])


def _progress(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / PROGRESS).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("layout"), dict) else {}


def _path(folder: Path, array: str) -> Path:
    return folder / f"{array}.npy"


def _bytes(shape: tuple[int, ...], kind: np.dtype[Any]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * kind.itemsize
