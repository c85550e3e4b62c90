"""Samples that come as a stream: the first ones are kept as one Parquet file of the cache, and read from there."""

import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from tqdm import tqdm

from benchmark.catalog import DatasetCard
from benchmark.datasets.caching import replacing
from benchmark.datasets.source import Rows, missing_column
from benchmark.datasets.tabular import ParquetSource
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
        names = replace(card, image="image", caption="captions", id="id", group="group")
        super().__init__(path, names, cache, progress)
        self.shown = card.source
        self._asked = card

    def rows(self) -> Rows:
        """Read all rows but their images; see `Source.rows`."""
        import pyarrow.parquet as pq

        about = json.loads(pq.read_metadata(self.tables[0]).metadata[b"about"])
        rows = super().rows()
        rows.has_images, rows.has_captions = about["has_images"], about["has_captions"]
        rows.columns = tuple(about["columns"])
        rows.problems = self._column("problem")
        name_bare(rows, self.table.data.column("image").is_null().to_pylist())
        check_named(rows, self.shown, self._asked)
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
            raise InputError(f"dataset '{card.name}': {card.source} holds no samples.")
        about = {"has_images": stream.has_images, "has_captions": stream.has_captions, "columns": stream.columns}
        writer.add_key_value_metadata({"about": json.dumps(about)})


def name_bare(rows: Rows, bare: Sequence[bool]) -> None:
    """Note of every row without an image (`bare`) that it has none, if others have one and no more is known."""
    rows.problems = [
        problem or ("no image" if rows.has_images and nothing else "")
        for problem, nothing in zip(rows.problems, bare, strict=True)
    ]


def check_named(rows: Rows, path: Path | str, card: DatasetCard) -> None:
    """Raise InputError where `card` names an image or caption member that no sample of a stream has."""
    for role, wanted, found in (("image", card.image, rows.has_images), ("caption", card.caption, rows.has_captions)):
        if wanted and not found:
            raise missing_column(path, rows.columns, role, wanted)


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
