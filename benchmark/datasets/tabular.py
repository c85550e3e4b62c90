"""Parquet files of images and captions, read by the `datasets` library into memory-mapped Arrow."""

import glob
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.catalog import DatasetCard
from benchmark.datasets.arrow import ArrowSource, library
from benchmark.datasets.hashing import digest_all
from benchmark.datasets.source import Rows
from benchmark.errors import InputError, WorkError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

BATCH = 500
"""Rows read at once; the library's default, the size of the first row group, may be all of the file or nothing."""


class ParquetSource(ArrowSource):
    """One Parquet file, or the Parquet files of one folder in the order of their names."""

    def __init__(self, path: Path, card: DatasetCard, cache: Path, progress: bool) -> None:
        """Describe the file or folder at `path`; its Arrow copy is kept under `cache`.

        Raises InputError if the folder holds no Parquet file.
        """
        shards = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not shards:
            raise InputError(f"dataset '{card.name}': the folder {path} holds no .parquet file.")
        super().__init__(path, card, shards)
        # The library's own cache key ignores the files' sizes, so each state of them gets a folder.
        self._arrow = cache / "datasets" / f"arrow-{digest_all((*map(str, shards), self.stamps()))}"
        self._progress = progress

    @cached_property
    def schema(self) -> "pa.Schema":
        """The Arrow schema of the first file. Raises InputError if one is not Parquet or has other columns."""
        return self._schemas[0]

    @cached_property
    def _schemas(self) -> "list[pa.Schema]":
        import pyarrow.parquet as pq

        schemas = []
        for shard in self.tables:
            try:
                schemas.append(pq.read_schema(shard))
            except (OSError, ValueError) as error:
                raise InputError(f"{shard} is not a readable Parquet file: {' '.join(str(error).split())}.") from None
            if sorted(schemas[-1].names) != sorted(schemas[0].names):
                raise InputError(
                    f"{shard} has the columns {', '.join(schemas[-1].names)}, but {self.tables[0].name} beside it has "
                    f"{', '.join(schemas[0].names)}; the files of one dataset must have the same columns."
                )
        return schemas

    def _check_types(self, names: Iterable[str]) -> None:
        """Raise InputError where a column has values of another type in one file than in the first.

        The library would cast them, for instance numbers to captions.
        """
        first = self._schemas[0]
        for shard, schema in zip(self.tables, self._schemas, strict=True):
            for name in names:
                kinds = {_family(found.field(name).type) for found in (first, schema)} - {"null"}
                if len(kinds) > 1:
                    raise InputError(
                        f"{shard}: column '{name}' holds {schema.field(name).type}, but {self.tables[0].name} beside "
                        f"it has {first.field(name).type} there; the files of one dataset must hold the same."
                    )

    @cached_property
    def table(self) -> "datasets.Dataset":
        """The rows of all files; see `ArrowSource.table`."""
        from datasets.exceptions import DatasetsError

        try:
            with library(self._progress) as datasets:
                return datasets.load_dataset(
                    "parquet",
                    data_files=[glob.escape(str(shard)) for shard in self.tables],
                    split="train",
                    cache_dir=str(self._arrow),
                    batch_size=BATCH,
                )
        except (DatasetsError, OSError) as error:
            cause = error.__cause__ or error
            reason = " ".join(str(cause).split())
            if isinstance(cause, OSError) and cause.errno is not None:  # the disk's own error, not the parser's
                raise WorkError(f"cannot copy {self.path} into the cache {self._arrow}: {reason}.") from error
            self._check_types(self.schema.names)
            raise InputError(f"{self.path} is not a readable Parquet file: {reason}.") from error

    def rows(self) -> Rows:
        """Read all rows but their images; see `Source.rows`."""
        import pyarrow.parquet as pq

        self.schema  # noqa: B018 - complain of a file that is none before it is counted
        if not any(pq.read_metadata(shard).num_rows for shard in self.tables):
            return Rows([], [], [], [])  # without rows a column need not have a type
        self._check_types([name for name in self.columns if name is not None])
        return super().rows()


def _family(kind: "pa.DataType") -> str:
    """Return the name that types share whose values the library may cast into each other."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _family(kind.value_type)
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_struct(kind):
        return "struct"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list of {_family(kind.value_type)}"
    return str(kind).removeprefix("large_").removesuffix("_view")
