"""What a source of samples is, whatever its file format: rows without images, and one image's bytes."""

import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

from benchmark.catalog import DatasetCard
from benchmark.datasets.hashing import digest_all
from benchmark.errors import InputError

CAPTIONS = ("text", "caption", "captions", "sentence", "description", "txt")
GROUPS = ("group", "image_id")


@dataclass
class Rows:
    """The rows of a source, before any image is read; the lists are aligned and hold None where there is nothing."""

    ids: list[str]
    captions: list[list[str]]
    """All captions of each row in their order, none of them blank; [] where there is none."""
    groups: list[str | None]
    """Key of each row's group; None: rows with the same image bytes form a group."""
    files: list[str | None]
    """Where the row's image lies, relative to the source's folder; None: in the table itself, or nowhere."""
    has_captions: bool = True
    """False: the source has no captions at all, so no row lacks one."""
    has_images: bool = True
    """False: the source has no images at all, so no row lacks one."""
    problems: list[str] = field(default_factory=list)
    """Why each row cannot be used, as far as is known without its image ("": nothing known); []: none of any row."""
    columns: tuple[str, ...] = ()
    """Names of what the source does hold, for the error about captions or images that it does not."""

    def __len__(self) -> int:
        return len(self.ids)


class Columns(NamedTuple):
    """Which column of a table plays which role; None: no column does."""

    image: str | None
    caption: str | None
    group: str | None
    id: str | None


class Source(ABC):
    """Something whose rows are samples; its files are opened when they are needed."""

    def __init__(self, path: Path, card: DatasetCard, tables: Sequence[Path] = ()) -> None:
        """Describe the table, or the folder of images, at `path`; `tables` are the files that rows are read from."""
        self.path = path
        self.place = os.path.abspath(path)
        """What names the source among all others."""
        self.shown = str(path)
        """What messages call it."""
        self.card = card
        self.tables = tuple(tables)
        self.folder = path if path.is_dir() else path.parent

    def stamps(self) -> str:
        """Return what tells one state of the tables from another."""
        return stamps(self.tables)

    def state(self) -> str:
        """Return what tells one state of the whole source from another."""
        return self.stamps()

    @abstractmethod
    def rows(self) -> Rows:
        """Read all rows but their images. Raises InputError for a malformed table or a missing column."""

    def read(self, row: int, file: str | None) -> bytes:
        """Return the encoded image of row `row`, which lies in `file`. Raises OSError."""
        return (self.folder / (file or "")).read_bytes()

    def stamp(self, file: str) -> str:
        """Return the state of the file behind one row's `file`, "" if there is no such file."""
        return stamp(self.folder / file)


def stamp(path: Path) -> str:
    """Return size and times of the regular file at `path`, "" if there is none.

    A copy that keeps the modification time of what it replaces (cp -p, rsync -t) still has another time of change.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}" if S_ISREG(status.st_mode) else ""


def stamps(paths: Sequence[Path]) -> str:
    """Return one text for the states of several files: of a single one its stamp, of more a hash of all."""
    found = [stamp(path) for path in paths]
    return found[0] if len(found) == 1 else digest_all(found)


def check_inside(folder: Path, files: Iterable[str | None], table: Path | str) -> None:
    """Raise InputError unless every one of `files` lies inside `folder`, symbolic links followed.

    In the Hugging Face cache a link may leave `folder` for the blobs of the same repository: a snapshot there is
    nothing but links into `../../blobs`, which hold this repository's own files and no others.
    """
    real = os.path.realpath(folder)
    roots = tuple(os.path.join(root, "") for root in (real, cached_repository(real)) if root)
    for file in files:
        if file is None:
            continue
        inside = not os.path.isabs(file) and ".." not in Path(file).parts and "\0" not in file
        if not inside or not os.path.join(os.path.realpath(folder / file), "").startswith(roots):
            raise InputError(
                f"{table} names the image {file!r}, which lies outside the table's folder; "
                "use paths relative to that folder, without '..' and without links that leave it."
            )


def cached_repository(folder: str) -> str:
    """Return the repository of the Hugging Face cache whose snapshot `folder` lies in, "" if it lies in none."""
    found = re.match(
        r"(.*/(?:datasets|models|spaces)--[^/]+)/snapshots/", os.path.join(folder, "").replace(os.sep, "/")
    )
    return found.group(1) if found else ""


def find_column(
    path: Path | str, columns: Sequence[str], role: str, wanted: str, defaults: Sequence[str]
) -> str | None:
    """Return the column called `wanted`, or else the first of `defaults` that exists in any case of letters.

    Returns None where none of the defaults exists. Raises InputError, naming the columns that exist, if `wanted` is
    given and does not.
    """
    if wanted:
        if wanted not in columns:
            raise missing_column(path, columns, role, wanted)
        return wanted
    lower = {column.lower(): column for column in reversed(columns)}
    return next((lower[name] for name in defaults if name in lower), None)


def assign(
    path: Path | str, names: Sequence[str], card: DatasetCard, image: str | None, ids: Sequence[str] = ()
) -> Columns:
    """Return the roles of the columns `names`: those that `card` names, and else those that are called as usual.

    `image` is the image column, which each kind of source finds in its own way; `ids` are usual names of an id column.
    Raises InputError where a named column does not exist.
    """
    return Columns(
        image,
        find_column(path, names, "caption", card.caption, CAPTIONS),
        find_column(path, names, "group", card.group, GROUPS),
        find_column(path, names, "id", card.id, ids),
    )


def missing_column(path: Path | str, columns: Sequence[str], role: str, wanted: str) -> InputError:
    """Return the error for a table without a column for `role`."""
    named = f" '{wanted}'" if wanted else ""
    return InputError(
        f"{path} has no {role} column{named} (its columns: {', '.join(columns) or 'none'}); name the right one in a "
        f"dataset card (field `{role}`, see docs/cards.md) and give that file's path instead."
    )


def texts(values: Iterable[Any], path: Path | str, column: str) -> list[list[str]]:
    """Return the captions of each row: a value is a text or a list of them; blank ones are dropped.

    Raises InputError for values of other types.
    """
    captions: list[list[str]] = []
    for row, value in enumerate(values):
        several = value if isinstance(value, list) else [value]
        wrong = next((item for item in several if item is not None and not isinstance(item, str)), None)
        if wrong is not None:
            raise InputError(
                f"{path}, row {row}: the caption column '{column}' holds {type(wrong).__name__}, not text; "
                "name another one in a dataset card (field `caption`)."
            )
        captions.append([item for item in several if item and item.strip()])
    return captions


def unicode(text: str) -> str:
    """Return `text` with halves of characters, which JSON can hold and no file, replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def keys(values: Iterable[Any]) -> list[str | None]:
    """Return values of an id or group column as strings, None where there is nothing."""
    return [None if value is None or value == "" else str(value) for value in values]


def check_ids(ids: Sequence[str | None], path: Path | str, column: str) -> list[str]:
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
