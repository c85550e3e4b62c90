"""Samples that come as a stream: the first ones are kept as one Parquet file of the cache, and read from there."""

import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from tqdm import tqdm

from benchmark.catalog import DatasetCard
from benchmark.datasets.caching import replacing
from benchmark.datasets.source import Columns, Rows, check_ids, missing_column
from benchmark.datasets.tabular import ParquetSource
from benchmark.datasets.urls import public
from benchmark.errors import InputError

Item = TypeVar("Item")
BUFFER = 1000
"""Samples that are drawn from when a stream is shuffled; all of them are in memory."""
BATCH = 100
ABANDONED = 24 * 3600.0
"""Seconds without a write after which an unfinished file is taken for that of a process that is gone."""


class Streamed(NamedTuple):
    """One sample of a stream."""

    id: str
    group: str | None
    image: bytes | None
    captions: list[str]
    problem: str = ""
    """Why it cannot be used; "" if nothing is known against it."""


class Stream(Protocol):
    """Samples in a fixed order; what they hold is known when they have been read."""

    has_images: bool
    has_captions: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what the samples hold."""
        ...

    def __iter__(self) -> Iterator[Streamed]: ...


class StreamedSource(ParquetSource):
    """The Parquet file that `keep` wrote."""

    def __init__(self, path: Path, card: DatasetCard, cache: Path, progress: bool) -> None:
        """Describe the file at `path`; `card` is the card of the stream."""
        super().__init__(path, card, cache, progress)
        self.shown = public(card.source)

    @cached_property
    def columns(self) -> Columns:
        """The role of each column; the ids are taken as they are, those of unusable samples too."""
        return Columns("image", "captions", "group", None)

    def rows(self) -> Rows:
        """Read all rows but their images; see `Source.rows`."""
        import pyarrow.parquet as pq

        about = json.loads(pq.read_metadata(self.tables[0]).metadata[b"about"])
        rows = super().rows()
        rows.ids = self._column("id")
        rows.has_images, rows.has_captions = about["has_images"], about["has_captions"]
        rows.columns = tuple(about["columns"])
        rows.problems = self._column("problem")
        name_bare(rows, self.table.data.column("image").is_null().to_pylist())
        check_named(rows, self.shown, self.card)
        return rows


def keep(stream: Stream, path: Path, card: DatasetCard, progress: bool) -> None:
    """Write the first `card.max_samples` samples of `stream` to a Parquet file at `path`, whole or not at all.

    Raises InputError for an empty stream, WorkError if the cache cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        {
            "id": pa.string(),
            "group": pa.string(),
            "image": pa.binary(),
            "captions": pa.list_(pa.string()),
            "problem": pa.string(),
        }
    )
    for left in path.parent.glob(f"{path.name}.*.part"):  # of processes that were killed
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()
    bar = tqdm(total=card.max_samples, desc=f"fetch {card.name}", unit="sample", disable=not progress)
    with replacing(path) as part, bar, pq.ParquetWriter(part, schema, compression="none") as writer:
        samples, written = islice(stream, card.max_samples), 0
        while batch := list(islice(samples, BATCH)):
            writer.write_table(pa.Table.from_pylist([sample._asdict() for sample in batch], schema))
            written += len(batch)
            bar.update(len(batch))
        if not written:
            raise InputError(f"dataset '{card.name}': {public(card.source)} holds no samples.")
        about = {"has_images": stream.has_images, "has_captions": stream.has_captions, "columns": stream.columns}
        writer.add_key_value_metadata({"about": json.dumps(about)})


def name_bare(rows: Rows, bare: Sequence[bool]) -> None:
    """Note of every row without an image (`bare`) that it has none, if others have one and no more is known."""
    rows.problems = [
        problem or ("no image" if rows.has_images and nothing else "")
        for problem, nothing in zip(rows.problems, bare, strict=True)
    ]


def check_named(rows: Rows, path: Path | str, card: DatasetCard) -> None:
    """Raise InputError where `card` names a member or field that no sample of a stream has, or ids that come twice."""
    usable = [not problem for problem in rows.problems]
    found = {
        "image": rows.has_images,
        "caption": rows.has_captions,
        "group": any(rows.groups),
        "id": any(usable) or without_id(card) not in rows.problems,
    }
    for role, holds in found.items():
        wanted = getattr(card, role)
        if wanted and not holds and wanted not in rows.columns and f"json.{wanted}" not in rows.columns:
            raise missing_column(path, rows.columns, role, wanted)
    if card.id:
        check_ids([id_ for id_, use in zip(rows.ids, usable, strict=True) if use], path, card.id)


def without_id(card: DatasetCard) -> str:
    """Return the reason that leaves out a sample of a stream whose id is to come from a field that it lacks."""
    return f"no id in the field '{card.id}'"


def needed(card: DatasetCard) -> int:
    """Return how many samples of a stream `card` asks for. Raises InputError unless it does."""
    if card.max_samples < 1:
        raise InputError(
            f"dataset '{card.name}' is streamed and needs `max_samples`: how many samples to fetch (not 0, all)."
        )
    return card.max_samples


def shuffled(items: Iterable[Item], seed: int) -> Iterator[Item]:
    """Yield all of `items`, each drawn at random from a buffer of the next `BUFFER`; the same for the same seed."""
    draw = random.Random(seed)
    buffer: list[Any] = []
    for item in items:
        if len(buffer) < BUFFER:
            buffer.append(item)
            continue
        place = draw.randrange(BUFFER)
        yield buffer[place]
        buffer[place] = item
    draw.shuffle(buffer)
    yield from buffer
