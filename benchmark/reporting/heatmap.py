"""A matrix as an inline SVG heatmap: figures in the cells, whole names and spreads where the pointer rests."""

from collections.abc import Hashable, Mapping
from html import escape
from itertools import groupby

import numpy as np

from benchmark.reporting.content import Part

VIRIDIS = ("#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
LETTER = 6.6
"""Width of a letter of a name, in pixels."""


def heatmap(part: Part, measure: str, kinds: Mapping[str, str], title: str, digits: int) -> str:
    """Return an SVG element.

    Args:
        part: cells of one aggregate and sample set.
        measure: the column to show, coloured from 0 to 1.
        kinds: class of each encoder, class after class: the order of rows and columns.
        title: says what the figure shows to those who cannot see it.
        digits: decimals in the cells; fewer where there are many cells.
    """
    names = list(kinds)
    n = len(names)
    cell, font = (62, 13) if n <= 8 else (44, 11) if n <= 14 else (34, 9.5)
    digits = digits if n <= 14 else 2
    left = 30 + LETTER * max(map(len, names))
    slant = 0.75 * LETTER * max(map(len, names)) + 18
    top, gap = 24 + slant, 6
    offsets = _offsets(kinds, cell, gap)
    size = offsets[-1] + cell
    parts = [
        f'<svg viewBox="0 0 {left + size + slant:.0f} {top + size + 8:.0f}" role="img" class="heatmap" '
        f'style="max-width:{left + size + slant:.0f}px" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(title)}</title>",
    ]
    for name, at in zip(names, offsets, strict=True):
        middle = at + cell / 2
        parts.append(f'<text x="{left - 8:.1f}" y="{top + middle + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<text transform="translate({left + middle:.1f} {top - 8:.1f}) rotate(-48)">{escape(name)}</text>'
        )
    for source, y in zip(names, offsets, strict=True):
        for target, x in zip(names, offsets, strict=True):
            if (source, target) in part:
                name, place = f"{source} → {target}", (left + x, top + y)
                parts.append(_cell(part[source, target], measure, name, place, cell, font, digits))
            else:
                parts.append(
                    f'<rect class="none" x="{left + x:.1f}" y="{top + y:.1f}" width="{cell - 2}" height="{cell - 2}"/>'
                )
    return "".join([*parts, "</svg>"])


def colour(value: float) -> str:
    """Return the colour of a value of the scale from 0 to 1."""
    at = float(np.clip(value, 0, 1)) * (len(VIRIDIS) - 1)
    low = min(int(at), len(VIRIDIS) - 2)
    ends = [[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in VIRIDIS[low : low + 2]]
    return "#" + "".join(f"{round(a + (b - a) * (at - low)):02x}" for a, b in zip(*ends, strict=True))


def _offsets(kinds: Mapping[str, str], cell: float, gap: float) -> list[float]:
    """Return where each row or column starts: classes of encoders stand a little apart."""
    found, at = [], 0.0
    for _, members in groupby(kinds.values()):
        for _ in members:
            found.append(at)
            at += cell
        at += gap
    return found


def _cell(
    row: Mapping[Hashable, float],
    measure: str,
    name: str,
    place: tuple[float, float],
    cell: float,
    font: float,
    digits: int,
) -> str:
    """Return the cell called `name` whose upper left corner is at `place`."""
    value, (x, y) = float(row[measure]), place
    if np.isnan(value):
        return f'<rect class="none" x="{x:.1f}" y="{y:.1f}" width="{cell - 2}" height="{cell - 2}"/>'
    spread = float(row.get(f"{measure}_sd", np.nan))
    lines = [f"{name}: {value:.3f}" + ("" if np.isnan(spread) else f" ± {spread:.3f}")]
    if measure == "crossfit":
        lines.append(f"95 % interval {row['low']:.3f} to {row['high']:.3f}")
        beside = {other: row[other] for other in ("naive", "chance") if not np.isnan(row[other])}
        lines.append(", ".join(f"{other} {figure:.3f}" for other, figure in beside.items()))
    letters = "#111" if value > 0.6 else "#fff"
    return (
        f'<g><title>{escape(chr(10).join(lines))}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell - 2}" height="{cell - 2}" fill="{colour(value)}"/>'
        f'<text x="{x + (cell - 2) / 2:.1f}" y="{y + cell / 2 + font / 3:.1f}" text-anchor="middle" fill="{letters}" '
        f'style="fill:{letters};font-size:{font}px">{value:.{digits}f}</text></g>'
    )  # fmt: skip
