"""The scan: which samples of a source are readable, decided once, before any encoder runs.

The result is a manifest, a Parquet file in the cache with one line per row of the source: id, group, caption, the
image's hash, and whether it is readable or why not. While source, card and code stay the same, no image is decoded
again.
"""

import json
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from PIL import __version__ as pillow_version
from tqdm import tqdm

from benchmark.datasets.caching import replacing
from benchmark.datasets.decode import UnreadableError, decode
from benchmark.datasets.hashing import digest, digest_all
from benchmark.datasets.paired import Entry
from benchmark.datasets.source import Rows, Source, stamp
from benchmark.errors import InputError, WorkError

VERSION = 1
CHUNK = 64


class Verdict(NamedTuple):
    """What the scan found out about one row."""

    hash: str
    stamp: str
    """Size and time of the image's own file, if it has one."""
    reason: str
    """Why the sample cannot be used; "" if it can."""


@dataclass
class Scan:
    """The manifest of a source."""

    source: Source
    path: Path
    """The manifest's file."""
    state: str
    """Size and time of the source at the scan."""
    rows: Rows
    verdicts: list[Verdict]

    def entries(self) -> list[Entry]:
        """Return the readable samples, in order; the group of a sample without a key of its own is its image."""
        rows = self.rows
        return [
            Entry(row, rows.ids[row], group or verdict.hash, rows.captions[row] or "", verdict.hash)
            for row, (group, verdict) in enumerate(zip(rows.groups, self.verdicts, strict=True))
            if not verdict.reason
        ]

    def left_out(self) -> list[tuple[str, str]]:
        """Return (id, reason) of every other sample."""
        return [(id_, v.reason) for id_, v in zip(self.rows.ids, self.verdicts, strict=True) if v.reason]

    def image(self, row: int) -> Image.Image:
        """Return the RGB image of row `row`. Raises WorkError if it is not the one that was scanned."""
        file, changed = self.rows.files[row], stamp(self.source.path) != self.state
        try:
            data = b"" if changed else self.source.read(row, file)
        except (OSError, LookupError):
            data = b""
        if digest(data) != self.verdicts[row].hash:
            raise WorkError(
                f"the image of sample {self.rows.ids[row]!r} changed after {self.source.path} was scanned; "
                "load the dataset again."
            )
        return decode(data)


def scan(source: Source, cache: Path, progress: bool) -> Scan:
    """Return the manifest of `source`, from the cache if it is still true, else by decoding every image.

    Raises InputError for a malformed source, WorkError if the manifest cannot be written.
    """
    state = stamp(source.path)
    card = asdict(source.card) | {"base": ""}
    parts = [VERSION, pillow_version, Image.MAX_IMAGE_PIXELS, os.path.abspath(source.path), state, card]
    path = cache / "datasets" / digest_all([json.dumps(parts)]) / "manifest.parquet"
    known = _read(path, source.folder)
    if known is None:
        rows = source.rows()
        if not rows:
            raise InputError(f"{source.path} holds no samples; it needs at least one row.")
        if not any(rows.captions):
            raise InputError(f"{source.path}: no row has a caption; name another caption column in a dataset card.")
        known = rows, list(_verdicts(source, rows, progress))
        if stamp(source.path) != state:
            raise WorkError(f"{source.path} changed while it was scanned; load it again when it is complete.")
        with replacing(path) as part:
            _write(part, *known)
    return Scan(source, path, state, *known)


def _verdicts(source: Source, rows: Rows, progress: bool) -> Iterator[Verdict]:
    def judge(start: int) -> list[Verdict]:
        return [_judge(source, rows, row) for row in range(start, min(start + CHUNK, len(rows)))]

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pool = ThreadPoolExecutor(cpus)
    bar = tqdm(total=len(rows), desc=f"scan {source.path.name}", unit="image", disable=not progress)
    try:
        # Pillow reports bombs as warnings first; they become reasons, not lines on the terminal.
        with bar, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for verdicts in pool.map(judge, range(0, len(rows), CHUNK)):
                bar.update(len(verdicts))
                yield from verdicts
    finally:
        pool.shutdown(cancel_futures=True)


def _judge(source: Source, rows: Rows, row: int) -> Verdict:
    file = rows.files[row]
    state = "" if file is None else stamp(source.folder / file)
    if file is not None and not state:
        return Verdict("", "", f"no image file {file!r}")
    try:
        data = source.read(row, file)
    except OSError as error:
        return Verdict("", state, f"cannot read the image file: {error.strerror}")
    try:
        decode(data)
        reason = "" if rows.captions[row] else "no caption"
    except UnreadableError as error:
        reason = str(error)
    return Verdict(digest(data), state, reason)


def _write(path: Path, rows: Rows, verdicts: Iterable[Verdict]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    hashes, stamps, reasons = zip(*verdicts, strict=True)
    columns = {
        "id": rows.ids,
        "group": rows.groups,
        "caption": rows.captions,
        "file": rows.files,
        "stamp": stamps,
        "hash": hashes,
        "readable": [not reason for reason in reasons],
        "reason": reasons,
    }
    text = {
        name: pa.array(column, pa.bool_() if name == "readable" else pa.string()) for name, column in columns.items()
    }
    pq.write_table(pa.table(text), path, compression="zstd")


def _read(path: Path, folder: Path) -> tuple[Rows, list[Verdict]] | None:
    """Return a manifest, None if there is no whole one or if an image file changed since it was written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        column = {name: table.column(name).to_pylist() for name in table.column_names}
        rows = Rows(column["id"], column["caption"], column["group"], column["file"])
        verdicts = [Verdict(*row) for row in zip(column["hash"], column["stamp"], column["reason"], strict=True)]
    except (OSError, KeyError, pa.ArrowException):
        return None
    for file, verdict in zip(rows.files, verdicts, strict=True):
        if file is not None and stamp(folder / file) != verdict.stamp:
            return None
    return rows, verdicts
