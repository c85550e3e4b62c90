"""Folders of images, with a metadata.jsonl or metadata.csv (the image folders of Hugging Face) or without.

The metadata is read here rather than by the `datasets` library, because its builders guess: its image folder takes a
file named `...train.jpg` as a split and drops the rest, its CSV reader turns the caption "None" into nothing, and its
JSON reader turns captions that look like dates into time stamps.
"""

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

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
    row_number,
    texts,
)
from benchmark.errors import InputError

METADATA = ("metadata.jsonl", "metadata.csv")
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif")
"""Endings of the files that count as images where no metadata says so."""


class FolderSource(Source):
    """A folder of image files, and a metadata file that names each one (column file_name) and gives its captions.

    Without a metadata file the source is every image file in the folder and the folders below, without captions.
    """

    def __init__(self, folder: Path, card: DatasetCard) -> None:
        """Describe `folder`. Raises InputError if it holds two metadata files."""
        present = [folder / name for name in METADATA if (folder / name).is_file()]
        if len(present) == 2:
            raise InputError(f"the image folder {folder} holds both {' and '.join(METADATA)}; remove one of them.")
        super().__init__(present[0] if present else folder, card, present)
        self._listed = bool(present)

    def state(self) -> str:
        """Return what tells one state of the folder from another; see `Source.state`."""
        return self.stamps() if self._listed else digest_all(self._found())

    def rows(self) -> Rows:
        """Read the metadata; see `Source.rows`. Ids are the file names, with `#n` where one occurs several times."""
        if not self._listed:
            return self._unlisted()
        card = self.card
        records = _read_csv(self.path) if self.path.suffix == ".csv" else _read_jsonl(self.path)
        columns = list(dict.fromkeys(column for record in records for column in record))
        if not records:
            return Rows([], [], [], [])
        name = find_column(self.path, columns, "image", card.image or "file_name", ()) or ""
        caption = find_column(self.path, columns, "caption", card.caption, CAPTIONS)
        group = find_column(self.path, columns, "group", card.group, GROUPS)
        files = keys(record.get(name) for record in records)
        check_inside(self.folder, files, self.path)
        if find_column(self.path, columns, "id", card.id, ()):
            ids = check_ids(keys(record.get(card.id) for record in records), self.path, card.id)
        else:
            ids = check_ids(_file_ids(files), self.path, "file_name")
        return Rows(
            ids=ids,
            captions=texts((record.get(caption) for record in records), self.path, caption)
            if caption
            else [[] for _ in records],
            groups=keys(record.get(group) if group else None for record in records),
            files=[file or "" for file in files],
            has_captions=caption is not None,
            columns=tuple(columns),
        )

    def _unlisted(self) -> Rows:
        for role in ("image", "caption", "id", "group"):
            if getattr(self.card, role):
                raise InputError(
                    f"dataset '{self.card.name}' names the {role} column '{getattr(self.card, role)}', but {self.path} "
                    f"holds neither {' nor '.join(METADATA)}; add one of them, or remove the field from the card."
                )
        files = self._found()
        if not files:
            raise InputError(
                f"the image folder {self.path} holds neither {' nor '.join(METADATA)} (with the columns file_name and "
                "text) nor any image file."
            )
        check_inside(self.folder, files, self.path)
        return Rows(
            ids=list(files),
            captions=[[] for _ in files],
            groups=[None] * len(files),
            files=list(files),
            has_captions=False,
            columns=("file_name",),
        )

    def _found(self) -> list[str]:
        """Return the paths of all image files below the folder, sorted; hidden files and folders are skipped."""
        found = []
        for folder, folders, names in os.walk(self.path):
            folders[:] = [name for name in folders if not name.startswith(".")]
            inner = Path(folder).relative_to(self.path)
            found += [
                (inner / name).as_posix()
                for name in names
                if name.lower().endswith(IMAGES) and not name.startswith(".")
            ]
        return sorted(found)


def _file_ids(files: list[str | None]) -> list[str | None]:
    times = Counter(files)
    seen: Counter[str | None] = Counter()
    ids: list[str | None] = []
    for row, file in enumerate(files):
        if not file:
            ids.append(row_number(row))
        else:
            ids.append(f"{file}#{seen[file]}" if times[file] > 1 else file)
            seen[file] += 1
    return ids


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    records = []
    with _opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}, line {number} is not valid JSON: {error}.") from None
            if not isinstance(record, dict):
                raise InputError(f'{path}, line {number} is not a JSON object ({{"file_name": ..., "text": ...}}).')
            records.append(record)
    return records


def _read_csv(path: Path) -> list[dict[str, Any]]:
    with _opened(path) as lines:
        reader = csv.DictReader(lines, strict=True)
        records = []
        try:
            for record in reader:
                if None in record or None in record.values():
                    raise InputError(
                        f"{path}, line {reader.line_num} has not as many fields as the header; put quotes around "
                        "captions that contain commas."
                    )
                records.append(record)
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num} is not valid CSV: {error}.") from None
    return records


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield lines
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from None
