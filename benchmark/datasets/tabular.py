"""Parquet files of images and captions, read by the `datasets` library into memory-mapped Arrow."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.catalog import DatasetCard
from benchmark.datasets.hashing import digest_all
from benchmark.datasets.source import (
    CAPTIONS,
    GROUPS,
    Rows,
    Source,
    check_ids,
    check_inside,
    find_column,
    keys,
    missing_column,
    optional_column,
    row_number,
    stamp,
    texts,
)
from benchmark.errors import InputError, WorkError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

IMAGES = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo")
BATCH = 500
"""Rows read at once; the library's default, the size of the first row group, may be all of the file or nothing."""


class ParquetSource(Source):
    """One Parquet file with a column of images: struct<bytes, path>, as the `datasets` library writes it, or binary."""

    def __init__(self, path: Path, card: DatasetCard, cache: Path, progress: bool) -> None:
        """Describe the file at `path`; its Arrow copy is kept under `cache`."""
        super().__init__(path, card)
        # The library's own cache key ignores the file's size, so each state of the file gets a folder.
        self._arrow = cache / "datasets" / f"arrow-{digest_all((str(path), stamp(path)))}"
        self._progress = progress

    @cached_property
    def schema(self) -> "pa.Schema":
        """The file's Arrow schema. Raises InputError if the file is not Parquet."""
        import pyarrow.parquet as pq

        try:
            return pq.read_schema(self.path)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path} is not a readable Parquet file: {' '.join(str(error).split())}.") from None

    @cached_property
    def _image_column(self) -> str:
        import pyarrow as pa

        def holds_images(kind: pa.DataType) -> bool:
            if pa.types.is_struct(kind):
                return {field.name for field in kind} <= {"bytes", "path"}
            return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

        usable = [field.name for field in self.schema if holds_images(field.type)]
        if self.card.image:
            column = find_column(self.path, self.schema.names, "image", self.card.image, ())
            if column not in usable:
                raise InputError(
                    f"{self.path}: column '{column}' holds {self.schema.field(column).type}, not images; an image "
                    f"column is binary or a struct of bytes and path (found: {', '.join(usable) or 'none'})."
                )
            return column
        by_name = optional_column(self.path, usable, "image", "", IMAGES)
        column = by_name or next(iter(usable), "")
        if not column:
            raise missing_column(self.path, self.schema.names, "image", "")
        return column

    @cached_property
    def _table(self) -> "datasets.Dataset":
        import datasets

        try:
            with _progress_bars(self._progress):
                table = datasets.load_dataset(
                    "parquet",
                    data_files=str(self.path),
                    split="train",
                    cache_dir=str(self._arrow),
                    batch_size=BATCH,
                )
        except (datasets.exceptions.DatasetGenerationError, OSError) as error:
            cause = error.__cause__ or error
            reason = " ".join(str(cause).split())
            if isinstance(cause, OSError) and cause.errno is not None:  # the disk's own error, not the parser's
                raise WorkError(f"cannot copy {self.path} into the cache {self._arrow}: {reason}.") from error
            raise InputError(f"{self.path} is not a readable Parquet file: {reason}.") from error
        return table

    @cached_property
    def _images(self) -> "datasets.Dataset":
        import datasets

        images = self._table.select_columns([self._image_column])
        if isinstance(images.features[self._image_column], datasets.Image):
            images = images.cast_column(self._image_column, datasets.Image(decode=False))
        return images

    def rows(self) -> Rows:
        """Read all rows but their images; see `Source.rows`."""
        import pyarrow.parquet as pq

        card, columns = self.card, self.schema.names
        if not pq.read_metadata(self.path).num_rows:
            return Rows([], [], [], [])  # without rows a column need not have a type
        self._image_column  # noqa: B018 - complain of a missing image column before a missing caption column
        caption = find_column(self.path, columns, "caption", card.caption, CAPTIONS)
        group = optional_column(self.path, columns, "group", card.group, GROUPS)
        own_id = optional_column(self.path, columns, "id", card.id, ("id",))
        count = len(self._table)
        ids: list[str] | None = None
        if own_id is not None:
            found = keys(self._column(own_id))
            if card.id or (None not in found and len(set(found)) == count):
                ids = check_ids(found, self.path, own_id)
        files = self._files()
        check_inside(self.folder, files, self.path)
        return Rows(
            ids=ids or [row_number(row) for row in range(count)],
            captions=texts(self._column(caption), self.path, caption),
            groups=keys(self._column(group)) if group else [None] * count,
            files=files,
        )

    def _column(self, name: str) -> list:
        return self._table.data.column(name).to_pylist()

    def _files(self) -> list[str | None]:
        """Return the path of each image that the file names without holding it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self._table.data.column(self._image_column)
        names = {field.name for field in column.type} if pa.types.is_struct(column.type) else set()
        if "path" not in names:
            return [None] * len(column)
        paths = pc.struct_field(column, "path")
        if "bytes" in names:
            held = pc.is_valid(pc.struct_field(column, "bytes"))
            paths = pc.if_else(held, pa.scalar(None, paths.type), paths)
        return paths.to_pylist()

    def read(self, row: int, file: str | None) -> bytes:
        """Return the encoded image of row `row`, b"" where there is none; see `Source.read`."""
        if file is not None:
            return super().read(row, file)
        value = self._images[row][self._image_column]
        return (value.get("bytes") if isinstance(value, dict) else value) or b""


@contextmanager
def _progress_bars(shown: bool) -> Iterator[None]:
    """Hide the bars of the `datasets` library unless `shown`."""
    import datasets

    if shown or datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()
