"""Tables as files for papers and other programs: CSV, LaTeX and Markdown."""

import re
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any, NamedTuple

import pandas as pd

from benchmark import report
from benchmark.reporting import latex, markdown
from benchmark.reporting.tables import NONE, Cell, Table


class Download(NamedTuple):
    """A file that a page offers."""

    label: str
    name: str
    mime: str
    write: Callable[[], bytes]
    """Makes the file, which takes a second for thousands of rows: on the click, not with the page."""


def downloads(
    frame: pd.DataFrame, title: str, digits: int = 3, titles: Mapping[str, str] | None = None
) -> list[Download]:
    """Return a table as CSV (all digits, the columns as they are) and as LaTeX (booktabs) and Markdown to be read.

    The latter two have so many decimals, and `titles` over their columns where there are any.
    """

    def table() -> Table:
        return _table(frame, title, digits, titles or {})

    name = stem(title)
    return [
        Download("CSV", f"{name}.csv", "text/csv", lambda: report.csv(frame)),
        Download("LaTeX", f"{name}.tex", "application/x-tex", lambda: (latex.table(table()) + "\n").encode()),
        Download("Markdown", f"{name}.md", "text/markdown", lambda: (markdown.table(table()) + "\n").encode()),
    ]


def stem(title: str) -> str:
    """Return the name of a file, without its ending, for something with this title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80] or "table"


def _table(frame: pd.DataFrame, title: str, digits: int, titles: Mapping[str, str]) -> Table:
    numeric = set(frame.select_dtypes("number"))
    names = list(takewhile(lambda column: column not in numeric, frame))
    if not names:  # they come first
        names = [column for column in frame if column not in numeric]
        frame = frame[[*names, *(column for column in frame if column in numeric)]]
    rows = [[Cell(_text(value, digits)) for value in row] for row in frame.itertuples(index=False)]
    heads = [titles.get(str(column), str(column)) for column in frame]
    return Table(title, heads, [("", rows)], stubs=max(len(names), 1))


def _text(value: Any, digits: int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return NONE
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return str(value)
