"""Tables as files for papers and other programs: CSV, LaTeX and Markdown."""

import re
from collections.abc import Callable
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


def downloads(frame: pd.DataFrame, title: str, digits: int = 3) -> list[Download]:
    """Return a table as CSV (all digits) and as LaTeX (booktabs) and Markdown with so many decimals."""

    def table() -> Table:
        return _table(frame, title, digits)

    name = stem(title)
    return [
        Download("CSV", f"{name}.csv", "text/csv", lambda: report.csv(frame)),
        Download("LaTeX", f"{name}.tex", "application/x-tex", lambda: (latex.table(table()) + "\n").encode()),
        Download("Markdown", f"{name}.md", "text/markdown", lambda: (markdown.table(table()) + "\n").encode()),
    ]


def stem(title: str) -> str:
    """Return the name of a file, without its ending, for something with this title."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80] or "table"


def _table(frame: pd.DataFrame, title: str, digits: int) -> Table:
    numeric = set(frame.select_dtypes("number"))
    names = list(takewhile(lambda column: column not in numeric, frame))
    if not names:  # they come first
        names = [column for column in frame if column not in numeric]
        frame = frame[[*names, *(column for column in frame if column in numeric)]]
    rows = [[Cell(_text(value, digits)) for value in row] for row in frame.itertuples(index=False)]
    return Table(title, [str(column) for column in frame], [("", rows)], stubs=max(len(names), 1))


def _text(value: Any, digits: int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return NONE
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return str(value)
