"""Tables of images and captions as memory-mapped Arrow: what Parquet files and datasets of the hub have in common."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from benchmark.catalog import DatasetCard
from benchmark.datasets.source import (
    Columns,
    Rows,
    Source,
    assign,
    check_ids,
    check_inside,
    find_column,
    keys,
    missing_column,
    row_number,
    texts,
)
from benchmark.errors import InputError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

IMAGES = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo")


def choose_columns(path: Path | str, schema: "pa.Schema", card: DatasetCard) -> Columns:
    """Return the columns that `card` names, and else those whose names or types fit.

    Raises InputError where a named column does not exist or holds something else, and where there is neither an image
    column nor a caption column.
    """
    names = schema.names
    image = _image_column(path, schema, card.image)
    roles = assign(path, names, card, image, ids=("id",))
    if roles.image is None and roles.caption is None:
        raise missing_column(path, names, "image or caption", "")
    return roles


def _image_column(path: Path | str, schema: "pa.Schema", wanted: str) -> str | None:
    import pyarrow as pa

    def holds_images(kind: pa.DataType) -> bool:
        if pa.types.is_struct(kind):  # as the `datasets` library stores images
            return {field.name for field in kind} <= {"bytes", "path"}
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    usable = [field.name for field in schema if holds_images(field.type)]
    if wanted:
        column = find_column(path, schema.names, "image", wanted, ())
        if column not in usable:
            raise InputError(
                f"{path}: column '{column}' holds {schema.field(column).type}, not images; an image column is binary "
                f"or a struct of bytes and path (found: {', '.join(usable) or 'none'})."
            )
        return column
    return find_column(path, usable, "image", "", IMAGES) or next(iter(usable), None)


class ArrowSource(Source):
    """A table with a column of images, a column of captions (text, or lists of text), or both.

    Images are struct<bytes, path>, as the `datasets` library writes them, or binary.
    """

    @property
    @abstractmethod
    def schema(self) -> "pa.Schema":
        """The table's Arrow schema. Raises InputError if there is none to read."""

    @property
    @abstractmethod
    def table(self) -> "datasets.Dataset":
        """The table, memory-mapped. Raises InputError if it cannot be read, WorkError if it cannot be kept."""

    @cached_property
    def columns(self) -> Columns:
        """The role of each column. Raises InputError; see `choose_columns`."""
        return choose_columns(self.shown, self.schema, self.card)

    @cached_property
    def _images(self) -> "datasets.Dataset":
        import datasets

        name = self.columns.image or ""
        images = self.table.select_columns([name])
        if isinstance(images.features[name], datasets.Image):
            images = images.cast_column(name, datasets.Image(decode=False))
        return images

    def rows(self) -> Rows:
        """Read all rows but their images; see `Source.rows`."""
        roles, count = self.columns, len(self.table)
        ids: list[str] | None = None
        if roles.id is not None:
            found = keys(self._column(roles.id))
            if self.card.id or (None not in found and len(set(found)) == count):
                ids = check_ids(found, self.shown, roles.id)
        nothing: list[str | None] = [None] * count
        files = self._files() if roles.image else nothing
        self.check_files(files)
        return Rows(
            ids=ids or [row_number(row) for row in range(count)],
            captions=texts(self._column(roles.caption), self.shown, roles.caption)
            if roles.caption
            else [[] for _ in range(count)],
            groups=keys(self._column(roles.group)) if roles.group else nothing,
            files=files,
            has_captions=roles.caption is not None,
            has_images=roles.image is not None,
            columns=tuple(self.schema.names),
        )

    def check_files(self, files: Sequence[str | None]) -> None:
        """Raise InputError unless all image files that the table names without holding them may be read."""
        check_inside(self.folder, files, self.shown)

    def _column(self, name: str) -> list:
        return self.table.data.column(name).to_pylist()

    def _files(self) -> list[str | None]:
        """Return the path of each image that the table names without holding it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self.table.data.column(self.columns.image)
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
        return image_bytes(self._images[row][self.columns.image]) or b""


def image_bytes(value: "dict | bytes | None") -> bytes | None:
    """Return the bytes in one cell of an image column, None if it holds none."""
    return value.get("bytes") if isinstance(value, dict) else value


@contextmanager
def library(progress: bool) -> Iterator[ModuleType]:
    """Yield the `datasets` library, its bars hidden unless `progress`, and without its habit of calling home.

    Whatever it loads, a local Parquet file included, the library reports it to the hub first.
    """
    import datasets

    hide = not progress and not datasets.are_progress_bars_disabled()
    reports, datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = datasets.config.HF_UPDATE_DOWNLOAD_COUNTS, False
    if hide:
        datasets.disable_progress_bars()
    try:
        yield datasets
    finally:
        datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = reports
        if hide:
            datasets.enable_progress_bars()
