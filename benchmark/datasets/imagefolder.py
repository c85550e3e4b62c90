"""Folders of images with a metadata.jsonl or metadata.csv (the image folders of Hugging Face).

The metadata is read here rather than by the `datasets` library, because its builders guess: its image folder takes a
file named `...train.jpg` as a split and drops the rest, its CSV reader turns the caption "None" into nothing, and its
JSON reader turns captions that look like dates into time stamps.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from benchmark.catalog import DatasetCard
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
    texts,
)
from benchmark.errors import InputError

METADATA = ("metadata.jsonl", "metadata.csv")


class FolderSource(Source):
    """A folder of image files; its metadata names each file (column file_name) and gives its caption."""

    def __init__(self, folder: Path, card: DatasetCard) -> None:
        """Describe `folder`. Raises InputError unless it holds exactly one metadata file."""
        present = [name for name in METADATA if (folder / name).is_file()]
        if len(present) != 1:
            problem = "holds both {} and {}" if present else "holds neither {} nor {}"
            raise InputError(
                f"the image folder {folder} {problem.format(*METADATA)}; it needs one of them, with the columns "
                "file_name and text."
            )
        super().__init__(folder / present[0], card)

    def rows(self) -> Rows:
        """Read the metadata; see `Source.rows`. Ids are the file names, with `#n` where one occurs several times."""
        card = self.card
        records = _read_csv(self.path) if self.path.suffix == ".csv" else _read_jsonl(self.path)
        columns = list(dict.fromkeys(column for record in records for column in record))
        if not records:
            return Rows([], [], [], [])
        if card.image and card.image not in columns or not card.image and "file_name" not in columns:
            raise missing_column(self.path, columns, "image", card.image or "file_name")
        caption = find_column(self.path, columns, "caption", card.caption, CAPTIONS)
        group = optional_column(self.path, columns, "group", card.group, GROUPS)
        files = keys(record.get(card.image or "file_name") for record in records)
        check_inside(self.folder, files, self.path)
        if card.id:
            find_column(self.path, columns, "id", card.id, ())
            ids = check_ids(keys(record.get(card.id) for record in records), self.path, card.id)
        else:
            ids = check_ids(_file_ids(files), self.path, "file_name")
        return Rows(
            ids=ids,
            captions=texts((record.get(caption) for record in records), self.path, caption),
            groups=keys(record.get(group) if group else None for record in records),
            files=[file or "" for file in files],
        )


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
