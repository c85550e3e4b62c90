"""What a table of image-caption pairs is, whatever its file format: rows without images, and one image's bytes."""

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.catalog import DatasetCard
from benchmark.errors import InputError

CAPTIONS = ("text", "caption", "captions", "sentence", "description")
GROUPS = ("group", "image_id")


@dataclass
class Rows:
    """The rows of a source, before any image is read; the lists are aligned and hold None where there is nothing."""

    ids: list[str]
    captions: list[str | None]
    groups: list[str | None]
    """Key of each row's group; None: rows with the same image bytes form a group."""
    files: list[str | None]
    """The image file's path relative to the source's folder; None: the image lies in the table itself."""

    def __len__(self) -> int:
        return len(self.ids)


class Source(ABC):
    """A table whose rows are image-caption pairs; its files are opened when they are needed."""

    def __init__(self, path: Path, card: DatasetCard) -> None:
        """Describe the table file at `path`."""
        self.path = path
        self.card = card
        self.folder = path.parent

    @abstractmethod
    def rows(self) -> Rows:
        """Read all rows but their images. Raises InputError for a malformed table or a missing column."""

    def read(self, row: int, file: str | None) -> bytes:
        """Return the encoded image of row `row`, which lies in `file`. Raises OSError."""
        return (self.folder / (file or "")).read_bytes()


def stamp(path: Path) -> str:
    """Return size and modification time of the regular file at `path`, "" if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}" if os.path.isfile(path) else ""


def check_inside(folder: Path, files: Iterable[str | None], table: Path) -> None:
    """Raise InputError unless every one of `files` lies inside `folder`, symbolic links followed."""
    root = os.path.join(os.path.realpath(folder), "")
    for file in files:
        if file is None:
            continue
        inside = not os.path.isabs(file) and ".." not in Path(file).parts and "\0" not in file
        if not inside or not os.path.join(os.path.realpath(folder / file), "").startswith(root):
            raise InputError(
                f"{table} names the image {file!r}, which lies outside the table's folder; "
                "use paths relative to that folder, without '..' and without links that leave it."
            )


def find_column(path: Path, columns: Sequence[str], role: str, wanted: str, defaults: Sequence[str]) -> str:
    """Return the column called `wanted`, or else the first of `defaults` that exists in any case of letters.

    Raises InputError, naming the columns that exist, if there is none.
    """
    found = optional_column(path, columns, role, wanted, defaults)
    if found is None:
        raise missing_column(path, columns, role, wanted)
    return found


def optional_column(path: Path, columns: Sequence[str], role: str, wanted: str, defaults: Sequence[str]) -> str | None:
    """Return what `find_column` returns, or None where only defaults were looked for."""
    if wanted:
        if wanted not in columns:
            raise missing_column(path, columns, role, wanted)
        return wanted
    lower = {column.lower(): column for column in reversed(columns)}
    return next((lower[name] for name in defaults if name in lower), None)


def missing_column(path: Path, columns: Sequence[str], role: str, wanted: str) -> InputError:
    """Return the error for a table without a column for `role`."""
    named = f" '{wanted}'" if wanted else ""
    return InputError(
        f"{path} has no {role} column{named} (its columns: {', '.join(columns) or 'none'}); name the right one in a "
        f"dataset card (field `{role}`, see docs/cards.md) and give that file's path instead."
    )


def texts(values: Iterable[Any], path: Path, column: str) -> list[str | None]:
    """Return captions: the first one of a list of them, None for a blank one. Raises InputError for other types."""
    captions: list[str | None] = []
    for row, value in enumerate(values):
        first = next(iter(value), None) if isinstance(value, list) else value
        if first is not None and not isinstance(first, str):
            raise InputError(
                f"{path}, row {row}: the caption column '{column}' holds {type(first).__name__}, not text; "
                "name another one in a dataset card (field `caption`)."
            )
        captions.append(first if first and first.strip() else None)
    return captions


def keys(values: Iterable[Any]) -> list[str | None]:
    """Return values of an id or group column as strings, None where there is nothing."""
    return [None if value is None or value == "" else str(value) for value in values]


def check_ids(ids: Sequence[str | None], path: Path, column: str) -> list[str]:
    """Return `ids` if every row has its own, else raise InputError."""
    if None in ids:
        raise InputError(f"{path}, row {ids.index(None)}: no id in column '{column}'; give every row its own id.")
    whole = [str(value) for value in ids]
    if len(set(whole)) < len(whole):
        common, count = Counter(whole).most_common(1)[0]
        raise InputError(f"{path}: the id {common!r} occurs {count} times in column '{column}'; ids must be unique.")
    return whole


def row_number(row: int) -> str:
    """Return the id of a row that has no other: its number in the source, zero-padded."""
    return f"{row:08d}"
