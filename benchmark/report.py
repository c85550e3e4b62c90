"""Tables as files that other programs read, and tables, sizes and times as text for a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def csv(table: pd.DataFrame) -> bytes:
    """Return a table as UTF-8 CSV in which no text is taken for a formula by a spreadsheet."""

    def harmless(value: Any) -> Any:
        return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value

    text = table.select_dtypes(exclude=[np.number, "bool"])
    return table.assign(**{str(name): text[name].map(harmless) for name in text}).to_csv(index=False).encode()


def write(table: pd.DataFrame, stem: Path) -> None:
    """Write a table beside each other as `stem`.csv and `stem`.parquet."""
    stem.with_suffix(".csv").write_bytes(csv(table))
    table.to_parquet(stem.with_suffix(".parquet"), index=False)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of texts under a header, in aligned columns."""
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)


def size(count: float) -> str:
    """Return a number of bytes in decimal units: `512 bytes`, `605 MB`, `1.7 GB`."""
    for unit, factor, decimals in (("TB", 1e12, 1), ("GB", 1e9, 1), ("MB", 1e6, 0), ("kB", 1e3, 0)):
        if count >= 0.9995 * factor:  # what would be rounded to 1000 of the next smaller unit
            return f"{count / factor:.{decimals}f} {unit}"
    return f"{count:.0f} bytes"


def duration(seconds: float) -> str:
    """Return an estimated time with the digits that an estimate deserves: `<1 s`, `12 s`, `3.9 h`, `26 d`."""
    if seconds <= 0:
        return "0 s"
    for unit, factor in (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        value = seconds / factor
        if value >= 9.95 or unit == "s" and value >= 1:
            return f"{value:.0f} {unit}"
        if value >= 0.995:
            return f"{value:.1f} {unit}"
    return "<1 s"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an -s unless the number is one: `1 pair`, `1,200 pairs`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
