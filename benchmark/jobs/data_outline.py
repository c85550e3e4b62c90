"""How many samples a dataset will have and what it takes on the disk, found out without fetching or converting it."""

from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.catalog import DatasetCard, local_path
from benchmark.datasets.hub import is_fetched
from benchmark.datasets.load import PROCEDURAL, open_source
from benchmark.datasets.source import Rows
from benchmark.errors import InputError, WorkError
from benchmark.jobs.results import CACHE

DRAWN_BYTES = 7180
"""Of a procedural sample in its Parquet file: 48 x 48 x 3 pixels, caption, hash and factors (measured)."""
INDEXED_BYTES = 1 << 28
"""Of tar shards: after so many bytes the rest is estimated from what was indexed."""


@dataclass(frozen=True)
class DataOutline:
    """A dataset as a plan sees it; sizes in bytes, None: unknown."""

    samples: int
    """0: unknown."""
    download: int | None
    """Still to be fetched."""
    disk: int | None
    """What it will take here beyond what lies here already: the download and the copies made of the data."""
    problem: str = ""
    """Why the samples could not be counted and the card's `size` stands for them; "" if nothing went wrong."""


def data_outline(card: DatasetCard, max_samples: int = 0) -> DataOutline:
    """Return the outline of a dataset of which at most `max_samples` (0: all) are used.

    Samples are counted where the data is here and that takes seconds: every usable caption with `captions: all`, of
    large folders of tar shards an estimate. Images are not read, so unreadable ones count. Otherwise they are the
    card's `size`. Raises InputError or WorkError where the data cannot be counted and the card states no size.
    """
    count, problem = card.size, ""
    try:
        count = _counted(card) or card.size
    except (InputError, WorkError, OSError) as error:
        if not card.size:
            raise
        problem = str(error)
    limits = [limit for limit in (card.max_samples, max_samples) if limit > 0]
    samples = min([count, *limits]) if count else min(limits, default=0)
    download = _download(card)
    copies = _copies(card, samples, download)
    return DataOutline(samples, download, None if download is None or copies is None else download + copies, problem)


def _counted(card: DatasetCard) -> int:
    """Return the number of samples of data that lies here, 0 where that cannot be told at once."""
    path = local_path(card.source, card.base) if card.source else None
    if card.kind in PROCEDURAL or "://" in card.source:
        return 0
    if card.kind == "hub":
        if card.streaming or path is not None or not is_fetched(card):
            return 0  # nothing to count before the library has made its own copy
    elif card.kind == "webdataset":
        return _count_shards(card)
    elif card.kind == "parquet" and path is not None:
        return _count_parquet(path, card)
    return _usable(open_source(card, CACHE, progress=False).rows(), card)


def _count_parquet(path: Path, card: DatasetCard) -> int:
    import pyarrow.parquet as pq

    from benchmark.datasets.arrow import choose_columns
    from benchmark.datasets.source import texts
    from benchmark.datasets.tabular import ParquetSource

    source = ParquetSource(path, card, CACHE, False)
    name = choose_columns(path, source.schema, card).caption
    if card.captions != "all" or name is None:
        return sum(pq.read_metadata(table).num_rows for table in source.tables)
    columns = (pq.read_table(table, columns=[name]).column(name).to_pylist() for table in source.tables)
    return sum(len(captions) for column in columns for captions in texts(column, path, name))


def _count_shards(card: DatasetCard) -> int:
    from benchmark.datasets.locations import local_shards
    from benchmark.datasets.webdataset import ShardSource

    folder, shards = local_shards(card)
    sizes = [shard.stat().st_size for shard in shards]
    few = next((i + 1 for i in range(len(sizes)) if sum(sizes[: i + 1]) >= INDEXED_BYTES), len(sizes))
    source = ShardSource(folder, shards[:few], replace(card, streaming=False), progress=False)
    return round(_usable(source.rows(), card) * sum(sizes) / max(sum(sizes[:few]), 1))


def _usable(rows: Rows, card: DatasetCard) -> int:
    problems = rows.problems or [""] * len(rows)
    whole = [captions for captions, problem in zip(rows.captions, problems, strict=True) if not problem]
    if not rows.has_captions:
        return len(whole)
    return sum(len(captions) if card.captions == "all" else bool(captions) for captions in whole)


def _download(card: DatasetCard) -> int | None:
    """Return the bytes still to be fetched: of a stream, the share that its card takes of it."""
    remote = "://" in card.source
    if is_fetched(card) or card.kind == "webdataset" and not remote and _has_shards(card):
        return 0
    streamed = card.kind == "hub" and card.streaming or remote
    share = min(card.max_samples / card.size, 1) if streamed and card.max_samples and card.size else 1
    return round(card.download_mb * 1e6 * share) if card.download_mb else None


def _copies(card: DatasetCard, samples: int, download: int | None) -> int | None:
    """Return the bytes of the copies that loading makes, beside the download."""
    if card.kind in PROCEDURAL:
        return samples * DRAWN_BYTES
    path = local_path(card.source, card.base)
    if card.kind == "parquet" and path is not None:
        return sum(file.stat().st_size for file in (path.glob("*.parquet") if path.is_dir() else [path]))
    if card.kind == "hub" and path is not None:
        whole = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return round(whole * min(samples / card.size, 1)) if card.streaming and card.size else whole
    # The hub's client keeps the files, and the `datasets` library keeps them again as Arrow; a stream is kept once.
    return download if card.kind == "hub" and not card.streaming else 0


def _has_shards(card: DatasetCard) -> bool:
    from benchmark.datasets.locations import local_shards

    try:
        return bool(local_shards(card))
    except InputError:
        return False
