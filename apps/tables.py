"""Tables as pages show them: every column has the title and the tooltip that its measure gives it."""

from collections.abc import Mapping
from itertools import takewhile
from typing import Any, Literal

import pandas as pd
import streamlit as st

from apps.layout import download_buttons
from benchmark.metrics.describe.names import NAMES

Words = Mapping[str, tuple[str, str]]
"""Column -> title and sentence."""
Width = Literal["small", "medium", "large"]
TIME = "YYYY-MM-DD HH:mm:ss"
MEANING = "meaning"
"""A column with the description of what the row is about; files of the table go without."""
PINNED = ("encoder", "source", "target")
"""Columns that stay in place when a table is scrolled sideways, where a table begins with them."""
MEASURED = 10
"""Rows that the browser surely looks at to find the width of a column."""
NAME = 28
"""Most characters of a name, all of which is to be seen."""
SMALL = ("p", "p_split", "p_value", "q_value")
"""Columns that have two digits however small they are."""


def columns(
    table: pd.DataFrame,
    words: Words,
    digits: int = 3,
    forms: Mapping[str, str] | None = None,
    widths: Mapping[str, Width] | None = None,
) -> dict[str, Any]:
    """Return the configuration of a table's columns, by what they hold.

    Args:
        table: what is shown.
        words: title and tooltip of its columns; those that name things have `names.NAMES` otherwise. A column of which
            nothing is known stands under its own name.
        digits: decimals of numbers that are not whole.
        forms: column -> another format of its numbers.
        widths: column -> the width of its text.
    """
    words = {**NAMES, MEANING: ("What it is", "The first column in words; a click on a cell shows all of it."), **words}
    found: dict[str, Any] = {}
    first = list(takewhile(PINNED.__contains__, table.columns))
    for name in table.columns:
        if name not in words:
            continue
        title, text = words[name]
        kind = table[name].dtype
        if pd.api.types.is_bool_dtype(kind):
            found[name] = st.column_config.CheckboxColumn(title, help=text)
        elif pd.api.types.is_numeric_dtype(kind):
            form = "localized" if pd.api.types.is_integer_dtype(kind) else f"%.{digits}f"
            form = "%.2g" if name in SMALL else "%d" if name in NAMES else form
            found[name] = st.column_config.NumberColumn(title, help=text, format=(forms or {}).get(name, form))
        elif pd.api.types.is_datetime64_any_dtype(kind):
            found[name] = st.column_config.DatetimeColumn(title, help=text, format=TIME, timezone="UTC")
        else:
            width = (widths or {}).get(name) or _width(table[name], title)
            found[name] = st.column_config.TextColumn(title, help=text, width=width, pinned=name in first or None)
    return found


def _width(texts: pd.Series, title: str) -> int | None:
    """Return the pixels that names need, None where the browser finds them: it fits a column to the first rows."""
    lengths = texts.astype(str).str.len()
    first, later = max(lengths.iloc[:MEASURED].max(), len(title)), lengths.iloc[MEASURED:].max()
    return 20 + 7 * int(later) if first < later <= NAME else None


def show(
    table: pd.DataFrame,
    words: Words,
    title: str,
    digits: int = 3,
    forms: Mapping[str, str] | None = None,
    widths: Mapping[str, Width] | None = None,
) -> None:
    """Show a table with its downloads, see `columns`; the CSV keeps the names of columns that the artifacts have."""
    config = columns(table, words, digits, forms, widths)
    st.dataframe(table, hide_index=True, placeholder="–", column_config=config)
    download_buttons(table.drop(columns=MEANING, errors="ignore"), title, digits, titles(words))


def titles(words: Words) -> dict[str, str]:
    """Return the titles of columns, with those that name things."""
    return {name: title for name, (title, _) in {**NAMES, **words}.items()}
