r"""A report's tables as LaTeX (booktabs, graphicx, longtable), to be read by `\input`, and a document with them."""

import re
from collections.abc import Sequence
from dataclasses import replace

from benchmark.reporting.tables import Cell, Table

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    '"': r"\textquotedbl{}", "`": r"\textasciigrave{}", "|": r"\textbar{}", "[": "{[}", "]": "{]}", "*": "{*}",
    "±": r"$\pm$", "–": r"\textendash{}", "−": "$-$", "→": r"$\to$",
    "×": r"$\times$", "…": r"\dots{}", "·": r"$\cdot$",
}  # fmt: skip
LONG = 30
"""Rows from which a table may break over pages."""


def document(title: str, tables: str, date: str) -> str:
    r"""Return a document that reads the tables from the file called `tables`."""
    return "\n".join([
        "% Compile with pdflatex or any other LaTeX.", r"\documentclass[a4paper,landscape]{article}",
        r"\usepackage[T1]{fontenc}", r"\usepackage[utf8]{inputenc}", r"\usepackage[margin=15mm]{geometry}",
        r"\usepackage{booktabs}", r"\usepackage{graphicx}", r"\usepackage{longtable}",
        rf"\title{{{escape(title)}}}", rf"\date{{{escape(date)}}}", r"\begin{document}", r"\maketitle",
        rf"\input{{{tables}}}", r"\end{document}", "",
    ])  # fmt: skip


def tables(sections: Sequence[tuple[str, Sequence[str], Sequence[Table]]]) -> str:
    r"""Return the file of tables; its preamble needs T1 fonts, booktabs, graphicx and longtable."""
    parts = [r"% Needs \usepackage[T1]{fontenc} and the packages booktabs, graphicx and longtable."]
    for heading, paragraphs, items in sections:
        parts.append(rf"\section*{{{escape(heading)}}}")
        parts += [escape(text) + "\n" for text in paragraphs]
        parts += [table(item) for item in items]
        parts.append(r"\clearpage")
    return "\n".join(parts) + "\n"


def table(item: Table) -> str:
    """Return one table: floating, or over several pages if it has many rows; of matrices one table a block then."""
    rows = sum(len(rows) for _, rows in item.blocks)
    if rows > LONG and item.square and len(item.blocks) > 1:
        return "\n".join(table(replace(item, blocks=[block])) for block in item.blocks)
    caption = rf"\caption{{{escape(item.title)}. {escape(' '.join(item.notes))}}}"
    columns = "@{}" + "l" * item.stubs + "r" * (len(item.columns) - item.stubs) + "@{}"
    size = rf"{_size(item)}\setlength{{\tabcolsep}}{{3pt}}"
    head = [r"\toprule", *_head(item), r"\midrule"]
    if rows > LONG and not item.square:
        return "\n".join([
            rf"{{{size}\setlength{{\LTcapwidth}}{{\linewidth}}", rf"\begin{{longtable}}{{{columns}}}",
            rf"{caption}\\", *head, r"\endfirsthead", *head, r"\endhead", r"\bottomrule", r"\endfoot", *_body(item),
            r"\end{longtable}}",
        ])  # fmt: skip
    return "\n".join([
        r"\begin{table}[htbp]", r"\centering", size, caption, r"\smallskip",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}", *head, *_body(item), r"\bottomrule", r"\end{tabular}}", r"\end{table}",
    ])  # fmt: skip


def escape(text: str) -> str:
    """Return text that LaTeX prints as it is; letters that its common fonts lack become question marks."""
    plain = " ".join(text.split())
    plain = re.sub(r"[^A-Za-z0-9 .,:;!?()/=+@'-]", lambda found: _letter(found[0]), plain)
    return plain.replace("--", "-{}-")


def _letter(letter: str) -> str:
    return SPECIAL.get(letter, letter if 0xC0 <= ord(letter) <= 0xFF else "?")


def _size(item: Table) -> str:
    return r"\small" if len(item.columns) <= 9 else r"\scriptsize" if len(item.columns) <= 14 else r"\tiny"


def _head(item: Table) -> list[str]:
    lines = []
    if any(title for title, _ in item.heads):
        cells, rules, at = [], [], 1
        for title, width in item.heads:
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(title)}}}")
            if title:
                rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
            at += width
        lines += [" & ".join(cells) + r" \\", " ".join(rules)]
    names = [
        rf"\rotatebox{{60}}{{{escape(name)}}}" if item.square and i >= item.stubs else escape(name)
        for i, name in enumerate(item.columns)
    ]
    return [*lines, " & ".join(names) + r" \\"]


def _body(item: Table) -> list[str]:
    lines: list[str] = []
    for number, (title, rows) in enumerate(item.blocks):
        if number:
            lines.append(r"\addlinespace")
        if title:
            lines.append(rf"\multicolumn{{{len(item.columns)}}}{{@{{}}l}}{{\emph{{{escape(title)}}}}} \\*")
        lines += [" & ".join(_cell(cell, stacked=item.square) for cell in row) + r" \\" for row in rows]
    return lines


def _cell(cell: Cell, *, stacked: bool) -> str:
    text = escape(cell.text)
    if not cell.spread:
        return text
    spread = rf"{{\tiny {escape(cell.spread)}}}"
    if not stacked:
        return rf"{text}\,{spread}"
    return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{text}\\[-3pt]{spread}\end{{tabular}}"  # the figure on the row's line
