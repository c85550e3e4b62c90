"""The metadata file of an image folder: one record per image, as metadata.jsonl, metadata.csv or metadata.parquet.

They are read here rather than by the `datasets` library, because its builders guess: its image folder takes a file
named `...train.jpg` as a split and drops the rest, its CSV reader turns the caption "None" into nothing, and its JSON
reader turns captions that look like dates into time stamps.
"""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from benchmark.errors import InputError

METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a metadata file: column -> value. Raises InputError, naming a line, if it is malformed."""
    return {".csv": _read_csv, ".parquet": _read_parquet}.get(path.suffix, _read_jsonl)(path)


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    records = []
    with _opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
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


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    try:
        # Not `read_table`, which takes a folder called key=value above the file for a column of it.
        return pq.ParquetFile(path).read().to_pylist()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {' '.join(str(error).split())}.") from None


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield lines
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from None
