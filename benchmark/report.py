"""Tables as files that other programs read, and as text for a terminal."""

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
