"""The scan: which samples of a source are readable, decided once, before any encoder runs.

The result is a manifest, a Parquet file in the cache with one line per row of the source: id, group, captions, the
image's hash, and whether it is readable or why not. While source, columns and code stay the same, no image is decoded
again, whatever else the card says.
"""

import json
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from PIL import __version__ as pillow_version
from tqdm import tqdm

from benchmark.datasets import choose
from benchmark.datasets.caching import replacing
from benchmark.datasets.decode import UnreadableError, decode
from benchmark.datasets.hashing import digest, digest_all
from benchmark.datasets.paired import Entry
from benchmark.datasets.source import Rows, Source, unicode
from benchmark.errors import InputError, WorkError

VERSION = 2
KEYED = ("kind", "image", "caption", "id", "group")
"""The card's fields that the rows depend on; the rest of what they depend on is the source's state."""
CHUNK = 64


class Verdict(NamedTuple):
    """What the scan found out about one row."""

    hash: str
    stamp: str
    """State of the image's own file, if it has one."""
    reason: str
    """Why the sample cannot be used; "" if it can."""


@dataclass
class Scan:
    """The manifest of a source."""

    source: Source
    path: Path
    """The manifest's file."""
    rows: Rows
    verdicts: list[Verdict]

    def entries(self) -> list[Entry]:
        """Return the readable samples, in order, with the captions that the card chooses."""
        return choose.entries(self.rows, self.verdicts, self.source.card)

    def left_out(self) -> list[tuple[str, str]]:
        """Return (id, reason) of every other sample."""
        return [(id_, v.reason) for id_, v in zip(self.rows.ids, self.verdicts, strict=True) if v.reason]

    def image(self, row: int) -> Image.Image:
        """Return the RGB image of row `row`. Raises WorkError if it is not the one that was scanned.

        The bytes' hash tells, so the tables need not be looked at for every image; what was copied into the cache from
        a table that changed meanwhile is what was scanned.
        """
        try:
            data = self.source.read(row, self.rows.files[row])
        except (OSError, LookupError, InputError):  # InputError: the table is none any more
            data = b""
        if digest(data) != self.verdicts[row].hash:
            raise WorkError(
                f"the image of sample {self.rows.ids[row]!r} changed after {self.source.shown} was scanned; "
                "load the dataset again."
            )
        return decode(data)


def scan(source: Source, cache: Path, progress: bool) -> Scan:
    """Return the manifest of `source`, from the cache if it is still true, else by decoding every image.

    Raises InputError for a malformed source, WorkError if the manifest cannot be written.
    """
    state = source.state()
    card = {name: getattr(source.card, name) for name in KEYED}
    parts = [VERSION, pillow_version, Image.MAX_IMAGE_PIXELS, source.place, state, card]
    path = cache / "datasets" / digest_all([json.dumps(parts)]) / "manifest.parquet"
    known = _read(path, source)
    if known is None:
        rows = source.rows()
        if not rows:
            raise InputError(f"{source.shown} holds no samples; it needs at least one row.")
        if not rows.has_images and not rows.has_captions:
            found = [", ".join(rows.columns) or "nothing", *_first_problem(rows)]
            raise InputError(f"{source.shown} holds neither images nor captions (found: {'; '.join(found)}).")
        if rows.has_captions and not any(rows.captions):
            raise InputError(f"{source.shown}: no row has a caption; name another caption column in a dataset card.")
        _check_unicode(source, rows)
        known = rows, list(_verdicts(source, rows, progress))
        if source.state() != state:
            raise WorkError(f"{source.shown} changed while it was scanned; load it again when it is complete.")
        with replacing(path) as part:
            _write(part, *known)
    return Scan(source, path, *known)


def _first_problem(rows: Rows) -> list[str]:
    return [f"{id_!r}: {problem}" for id_, problem in zip(rows.ids, rows.problems, strict=False) if problem][:1]


def _check_unicode(source: Source, rows: Rows) -> None:
    """Mend captions that are not valid Unicode; raise InputError for ids, groups and file names that are not."""
    rows.captions = [[unicode(text) for text in captions] for captions in rows.captions]
    for names in (rows.ids, rows.groups, rows.files):
        bad = next((name for name in names if name is not None and unicode(name) != name), None)
        if bad is not None:
            raise InputError(f"{source.shown}: the name {bad!r} is not valid Unicode; rename that sample.")


def _verdicts(source: Source, rows: Rows, progress: bool) -> Iterator[Verdict]:
    def judge(start: int) -> list[Verdict]:
        return [_judge(source, rows, row) for row in range(start, min(start + CHUNK, len(rows)))]

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pool = ThreadPoolExecutor(cpus)
    bar = tqdm(total=len(rows), desc=f"scan {source.card.name}", unit="image", disable=not progress)
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
    if rows.problems and rows.problems[row]:
        return Verdict("", "", rows.problems[row])
    uncaptioned = "no caption" if rows.has_captions and not rows.captions[row] else ""
    if not rows.has_images:
        return Verdict("", "", uncaptioned)
    file = rows.files[row]
    state = "" if file is None else source.stamp(file)
    if file is not None and not state:
        return Verdict("", "", f"no image file {file!r}")
    try:
        data = source.read(row, file)
    except OSError as error:
        return Verdict("", state, f"cannot read the image file: {error.strerror or error}")
    try:
        decode(data)
    except UnreadableError as error:
        return Verdict(digest(data), state, str(error))
    return Verdict(digest(data), state, uncaptioned)


def _write(path: Path, rows: Rows, verdicts: Iterable[Verdict]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    hashes, stamps, reasons = zip(*verdicts, strict=True)
    texts = {"id": rows.ids, "group": rows.groups, "file": rows.files, "stamp": stamps, "hash": hashes}
    columns = {name: pa.array(column, pa.string()) for name, column in texts.items()}
    columns["captions"] = pa.array(rows.captions, pa.list_(pa.string()))
    columns["readable"] = pa.array([not reason for reason in reasons], pa.bool_())
    columns["reason"] = pa.array(reasons, pa.string())
    about = {"has_captions": rows.has_captions, "has_images": rows.has_images, "columns": rows.columns}
    table = pa.table(columns).replace_schema_metadata({"source": json.dumps(about)})
    pq.write_table(table, path, compression="zstd")


def _read(path: Path, source: Source) -> tuple[Rows, list[Verdict]] | None:
    """Return a manifest, None if there is no whole one or if an image file changed since it was written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[b"source"])
        column = {name: table.column(name).to_pylist() for name in table.column_names}
        rows = Rows(
            ids=column["id"],
            captions=column["captions"],
            groups=column["group"],
            files=column["file"],
            has_captions=about["has_captions"],
            has_images=about["has_images"],
            columns=tuple(about["columns"]),
        )
        verdicts = [Verdict(*row) for row in zip(column["hash"], column["stamp"], column["reason"], strict=True)]
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return None
    for file, verdict in zip(rows.files, verdicts, strict=True):
        if file is not None and source.stamp(file) != verdict.stamp:
            return None
    return rows, verdicts
