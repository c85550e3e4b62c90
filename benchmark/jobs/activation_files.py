"""The files of one pass over the data: appended to shard by shard, so that a killed extraction can go on.

A folder holds one `.npy` file per array and `progress.json`, which says how many rows of every file are finished and
their checksum (CRC-32: it notices what a disk or a copy changed, at 2 GB a second, and goes on behind a kill). Rows of
a shard are appended to each file and synced to the disk before `progress.json` is replaced; whatever lies behind the
finished rows is cut off when the next process goes on.
"""

import contextlib
import io
import json
import logging
import os
import shutil
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import WorkError
from benchmark.jobs.plan import ALL_TOKENS

LOG = logging.getLogger("benchmark")
PROGRESS = "progress.json"
CHUNK = 2**24
"""Bytes of a file that are read at a time."""


@dataclass(frozen=True)
class Layout:
    """What decides the shape of the files and where their shards end."""

    n_samples: int
    widths: dict[int, int]
    tokens: int
    """Tokens wanted of each sample and layer; ALL_TOKENS: they are counted, and none is stored."""
    slots: dict[int, int]
    """Tokens stored of each sample at most, by layer: those wanted, or all that a layer can have; empty without."""
    shard: int
    """Rows of a shard."""

    @property
    def arrays(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """{name: (shape of one row, type)} of every file."""
        found: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        for layer, width in self.widths.items():
            found[name(layer)] = (width,), np.dtype("<f4")
            if self.slots and self.tokens != ALL_TOKENS:
                found[name(layer, "tokens")] = (self.slots[layer], width), np.dtype("<f4")
            if self.slots:
                found[name(layer, "counts")] = (), np.dtype("<i4")
        return found

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample in all files together."""
        return sum(_bytes(shape, kind) for shape, kind in self.arrays.values())

    def header(self, array: str) -> bytes:
        """Return the first bytes of an array's `.npy` file."""
        shape, kind = self.arrays[array]
        out = io.BytesIO()
        description = {"descr": kind.str, "fortran_order": False, "shape": (self.n_samples, *shape)}
        np.lib.format.write_array_header_1_0(out, description)
        return out.getvalue()

    def end(self, array: str, rows: int) -> int:
        """Return where some rows of an array end in its file."""
        return len(self.header(array)) + rows * _bytes(*self.arrays[array])


def name(layer: int, part: str = "") -> str:
    """Return the name of a layer's array: of its global vectors, or of its `tokens` or `counts`."""
    return f"L{layer:02d}" + (f".{part}" if part else "")


def file_of(folder: Path, array: str) -> Path:
    """Return the path of an array."""
    return folder / f"{array}.npy"


def read_progress(folder: Path) -> tuple[int, Layout] | None:
    """Return the finished rows of a folder and their layout.

    None where there are none, and where anything is damaged: `progress.json`, the header of a file, or its length.
    """
    try:
        found = json.loads((folder / PROGRESS).read_text())
        rows, layout = found["rows"], _layout(found["layout"])
        if not _is_count(rows) or rows > layout.n_samples or (rows % layout.shard and rows < layout.n_samples):
            return None
        for array in layout.arrays:
            path, header = file_of(folder, array), layout.header(array)
            with path.open("rb") as file:
                if file.read(len(header)) != header or path.stat().st_size < layout.end(array, rows):
                    return None
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, RecursionError):
        return None
    return rows, layout


def undamaged(folder: Path, arrays: Iterable[str], rows: int, layout: Layout) -> bool:
    """Whether the finished rows of some arrays are those that were written: reads all of them."""
    try:
        known = json.loads((folder / PROGRESS).read_text())["checksums"]
        return all(known[array] == _checksum(folder, array, rows, layout) for array in arrays)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _checksum(folder: Path, array: str, rows: int, layout: Layout) -> int:
    found, left = 0, layout.end(array, rows) - layout.end(array, 0)
    with file_of(folder, array).open("rb") as file:
        file.seek(layout.end(array, 0))
        while left and (part := file.read(min(left, CHUNK))):
            found, left = zlib.crc32(part, found), left - len(part)
    return found


class Writer:
    """Appends shards to the files of a folder, behind those that an earlier process finished."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        """Open the files; `rows` says how many are finished. Raises WorkError when the rest would not fit the disk.

        Files that are damaged, or whose shards end elsewhere, are written anew.
        """
        self.folder, self.layout = folder, layout
        done = read_progress(folder)
        whole = done is not None and done[1] == layout and undamaged(folder, layout.arrays, *done)
        self.rows = done[0] if done is not None and whole else 0
        self._checksums = dict.fromkeys(layout.arrays, 0)
        if self.rows:
            self._checksums = json.loads((folder / PROGRESS).read_text())["checksums"]
        if not self.rows:
            if (folder / PROGRESS).exists():
                LOG.warning("%s: its files are damaged, or were made in other shards; starting anew.", folder)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        need, free = (layout.n_samples - self.rows) * layout.row_bytes, shutil.disk_usage(folder).free
        if need > free:
            raise WorkError(
                f"the activations take {_size(need)} more and {folder.parent} has {_size(free)} left; "
                "free some space, or use fewer samples, layers or tokens."
            )
        self._files: dict[str, BinaryIO] = {}
        try:
            for array in layout.arrays:
                path, end = file_of(folder, array), layout.end(array, self.rows)
                if not self.rows:
                    path.write_bytes(layout.header(array))
                self._files[array] = path.open("r+b")
                self._files[array].truncate(end)
                self._files[array].seek(end)
        except BaseException:
            self.close()
            raise

    def append(self, shard: Mapping[str, NDArray[Any]]) -> None:
        """Append the next rows of every array; they count as finished when this returns."""
        for array, file in self._files.items():
            rows = np.ascontiguousarray(shard[array]).data.cast("B")
            self._checksums[array] = zlib.crc32(rows, self._checksums[array])
            file.write(rows)
            file.flush()
            os.fsync(file.fileno())
        self.rows += len(next(iter(shard.values())))
        text = json.dumps({"rows": self.rows, "layout": asdict(self.layout), "checksums": self._checksums})
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


def _layout(found: dict[str, Any]) -> Layout:
    """Return a layout as JSON gives it back; raises ValueError, KeyError or TypeError for anything else."""
    values = {field.name: found[field.name] for field in fields(Layout)}
    for part in ("widths", "slots"):
        values[part] = {int(layer): count for layer, count in dict(values[part]).items()}
    layout = Layout(**values)
    if layout.tokens != ALL_TOKENS and not _is_count(layout.tokens):
        raise ValueError("this is not the number of tokens of any pass.")
    counts = [layout.n_samples, layout.shard, *layout.widths.values(), *layout.slots.values()]
    if not all(_is_count(count) for count in counts) or set(layout.slots) != set(
        layout.widths if layout.tokens else ()
    ):
        raise ValueError("these are not the sizes of any pass.")
    return layout


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _bytes(shape: tuple[int, ...], kind: np.dtype[Any]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * kind.itemsize


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
