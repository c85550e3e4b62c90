"""A report's tables as Markdown, which GitHub, MLflow's viewer and pandoc read."""

import re
from collections.abc import Sequence

from benchmark.reporting.tables import Cell, Table


def document(title: str, sections: Sequence[tuple[str, Sequence[str], Sequence[Table]]]) -> str:
    """Return a document: sections of a title, paragraphs and tables."""
    parts = [f"# {escape(title)}"]
    for heading, paragraphs, tables in sections:
        parts.append(f"## {escape(heading)}")
        parts += [escape(text) for text in paragraphs]
        parts += [table(item) for item in tables]
    return "\n\n".join(parts) + "\n"


def table(item: Table) -> str:
    """Return one table under its title; grouped columns carry their group's title."""
    groups = [title for title, width in item.heads for _ in range(width)] if item.heads and not item.square else []
    names = [
        f"{column} ({group})" if group else column
        for column, group in zip(item.columns, groups or [""] * len(item.columns), strict=True)
    ]
    lines = [_row(map(escape, names)), _row(["---" if i < item.stubs else "---:" for i in range(len(names))])]
    for title, rows in item.blocks:
        if title:
            lines.append(_row([f"**{escape(title)}**", *[""] * (len(names) - 1)]))
        lines += [_row(map(_cell, row)) for row in rows]
    notes = "\n\n".join(escape(note) for note in item.notes)
    return f"### {escape(item.title)}\n\n" + "\n".join(lines) + (f"\n\n{notes}" if notes else "")


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|~#$])", r"\\\1", " ".join(text.split())).replace("&", "&amp;")


def _cell(cell: Cell) -> str:
    return escape(f"{cell.text} {cell.spread.replace('±', '± ')}".strip())


def _row(cells) -> str:
    return "| " + " | ".join(cells) + " |"
