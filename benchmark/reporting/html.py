"""A report as one HTML page that needs nothing else: no network, no scripts, light and dark."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from benchmark.metrics.describe import EXTRAS, MEASURES
from benchmark.reporting.content import AGGREGATES, SETS, Comparison, Concept, Example, titles
from benchmark.reporting.health import health_lines, health_table
from benchmark.reporting.heatmap import VIRIDIS, heatmap
from benchmark.reporting.style import STYLE
from benchmark.reporting.tables import Cell, Table, kinds_table, matrix_table, pairs_table, sae_table, side_by_side

FIGURES = ("crossfit", "naive", "chance", "calibrated", "untrained", "paper_code")
"""Measures with a heatmap of their own; the tables have all that matter."""
MANY = 9
"""Encoders from which a heatmap takes the whole width."""


def page(comparisons: Sequence[Comparison], title: str, subtitle: str) -> str:
    """Return the page of one or several comparisons."""
    names = titles(comparisons)
    contents = [("reading", "How to read this")]
    body = []
    if len(comparisons) > 1:
        contents.append(("together", "All suites side by side"))
        body.append(_together(comparisons))
    for number, (name, item) in enumerate(zip(names, comparisons, strict=True)):
        contents.append((f"run{number}", name))
        body.append(_comparison(item, name, f"run{number}"))
    links = "".join(f'<li><a href="#{anchor}">{escape(text)}</a></li>' for anchor, text in contents)
    return "".join([
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">",
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        f'<header><h1>{escape(title)}</h1><p class="soft">{escape(subtitle)}</p></header>',
        f'<nav aria-label="Contents"><ul>{links}</ul></nav><main>', _reading(comparisons), *body,
        "</main></body></html>\n",
    ])  # fmt: skip


def table(item: Table) -> str:
    """Return a table with its notes."""
    head = ""
    if any(title for title, _ in item.heads):
        cells = "".join(
            f'<th class="group" scope="colgroup" colspan="{width}">{escape(title)}</th>' if title
            else f'<th class="stub" colspan="{width}"></th>'
            for title, width in item.heads
        )  # fmt: skip
        head = f"<tr>{cells}</tr>"
    stub = ' class="stub"'
    head += "<tr>" + "".join(
        f'<th scope="col"{stub if i < item.stubs else ""}>{escape(name)}</th>' for i, name in enumerate(item.columns)
    )
    rows = []
    for title, block in item.blocks:
        if title:
            rows.append(f'<tr class="block"><th colspan="{len(item.columns)}">{escape(title)}</th></tr>')
        for row in block:
            rows.append("<tr>" + "".join(_cell(cell, i < item.stubs) for i, cell in enumerate(row)) + "</tr>")
    notes = f'<p class="note">{escape(" ".join(item.notes))}</p>' if item.notes else ""
    shape = ' class="square"' if item.square else ""
    return (
        f'<div class="scroll"><table{shape} aria-label="{escape(item.title)}"><thead>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{notes}"
    )


def _cell(cell: Cell, stub: bool) -> str:
    spread = f" <small>{escape(cell.spread)}</small>" if cell.spread else ""
    return f'<td class="{"stub" if stub else "number"}">{escape(cell.text)}{spread}</td>'


def _reading(comparisons: Sequence[Comparison]) -> str:
    found = {name: words for name, words in {**MEASURES, **EXTRAS}.items()
             if any(name in item.measures() for item in comparisons)}  # fmt: skip
    entries = "".join(f"<dt>{escape(title)}</dt><dd>{escape(words)}</dd>" for title, words in found.values())
    return (
        '<section id="reading"><h2>How to read this</h2>'
        "<p>A cell says how much of the source encoder (row) is found again in the target encoder (column), from 0 to "
        "1. It is not symmetric. On the diagonal an encoder meets itself under another seed: the ceiling. Believe the "
        "cross-fitted values first; the naive ones, which the paper reports, are read against their chance level.</p>"
        f"<details><summary>The measures</summary><dl>{entries}</dl></details></section>"
    )


def _together(comparisons: Sequence[Comparison]) -> str:
    parts = ['<section id="together"><h2>All suites side by side</h2>']
    for aggregate, words in AGGREGATES.items():
        if not any(aggregate in item.aggregates for item in comparisons):
            continue
        parts += [f"<h3>{words}, cross-fitted</h3>", table(matrix_table(comparisons, aggregate, "crossfit"))]
        parts += ["<h3>Between classes of encoders</h3>", table(kinds_table(comparisons, aggregate))]
        both = table(side_by_side(comparisons, aggregate))
        parts.append(f"<details><summary>Every pair, with naive values and chance levels</summary>{both}</details>")
    return "".join([*parts, "</section>"])


def _comparison(item: Comparison, name: str, anchor: str) -> str:
    parts = [
        f'<section id="{anchor}"><h2>{escape(name)}</h2>',
        f'<p class="soft">Run {escape(item.run_id)}, {escape(item.date)}; {len(item.encoders)} encoders, '
        f"{item.saes.seed.nunique()} seeds.</p>",
        *(f'<div class="caution">{escape(sentence)}</div>' for sentence in item.caveats),
    ]
    for aggregate in item.aggregates:
        parts += [f"<h3>{AGGREGATES[aggregate]}</h3>", _figures(item, aggregate)]
        for i, recorded_on in enumerate(item.sets):
            pairs = table(pairs_table(item, aggregate, recorded_on))
            where = escape(SETS.get(recorded_on, recorded_on))
            parts.append(
                f"<details{' open' if i == 0 and len(item.encoders) < MANY else ''}><summary>Every pair, both "
                f"directions ({where})</summary>{pairs}</details>"
            )
        if len(set(item.kinds.values())) > 1:
            parts += ["<h4>Between classes of encoders</h4>", table(kinds_table([item], aggregate))]
    parts.append(_concepts(item.concepts))
    parts.append(_health(item))
    parts += [f"<details><summary>Sparse autoencoders</summary>{table(sae_table(item))}</details>"]
    if item.settings:
        entries = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in item.settings.items())
        parts.append(f"<details><summary>Settings</summary><dl>{entries}</dl></details>")
    return "".join([*parts, "</section>"])


def _health(item: Comparison) -> str:
    checked, lines = health_table(item), "".join(f"<li>{escape(line)}</li>" for line in health_lines(item))
    shown = table(checked) if checked is not None else ""
    return f"<h3>Can it be trusted?</h3>{shown}{f'<ul>{lines}</ul>' if lines else ''}"


def _figures(item: Comparison, aggregate: str) -> str:
    part = item.part(aggregate)
    wide = " wide" if len(item.encoders) >= MANY else ""
    figures = []
    for measure in (name for name in FIGURES if name in item.measures()):
        title, words = {**MEASURES, **EXTRAS}[measure]
        drawing = heatmap(part, measure, item.kinds, f"{title}, {AGGREGATES[aggregate].lower()}", item.digits)
        figures.append(f"<figure><h4>{escape(title)}</h4><figcaption>{escape(words)}</figcaption>{drawing}</figure>")
    return (
        f'<div class="figures{wide}">{"".join(figures)}</div><p class="soft">Colours: 0 '
        f'<svg class="scale" role="img" aria-label="scale from 0 to 1">{_scale()}</svg> 1. Sources in rows, targets in '
        "columns; rest the pointer on a cell for its spread.</p>"
    )


def _scale() -> str:
    width = 100 / len(VIRIDIS)
    return "".join(
        f'<rect x="{i * width:.1f}%" width="{width + 0.5:.1f}%" height="100%" fill="{code}"/>'
        for i, code in enumerate(VIRIDIS)
    )


def _concepts(concepts: Sequence[Concept]) -> str:
    if not concepts:
        return ""
    shown = []
    for item in concepts:
        shown.append(
            f'<div class="concept"><p><b>{escape(item.source)}</b> layer {item.layer}, feature {item.feature}'
            f"{_named(item.name)} → <b>{escape(item.target)}</b> layer {item.partner_layer}, feature {item.partner}"
            f"{_named(item.partner_name)} "
            f'<span class="soft">(held-out correlation {item.held_out_rho:.2f}; active on {item.density:.1%} of the '
            f"samples)</span></p>{_samples(item.examples)}{_samples(item.partner_examples)}</div>"
        )
    return (
        "<h3>Features that are found again</h3><p>For every encoder, its features with the highest held-out "
        "correlation with any feature of another encoder, among features that are active on at least 20 samples and "
        "on at most a fifth of all, and partners that are. Left: the samples that activate the feature most; right: "
        "those of its partner. Names are words of captions that tell the feature (command <code>name</code>). Being "
        "the highest of thousands, these correlations are a little too high.</p>"
        f"{''.join(shown)}"
    )


def _named(name: str) -> str:
    return f" <i>“{escape(name)}”</i>" if name else ""


def _samples(examples: Sequence[Example]) -> str:
    figures = []
    for example in examples:
        image = ""
        if example.jpeg is not None:
            data = b64encode(example.jpeg).decode()
            image = f'<img alt="" src="data:image/jpeg;base64,{data}">'
        figures.append(f"<figure>{image}<figcaption>{escape(example.caption)}</figcaption></figure>")
    return f'<div class="samples">{"".join(figures)}</div>'
