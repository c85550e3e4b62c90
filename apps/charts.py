"""The app's charts, as Altair objects."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from apps.colours import BLUE, GREEN, ORANGE
from apps.data import measures

HUES = {"vision": BLUE, "vlm": ORANGE, "text": GREEN}
"""Colour of each class of encoders, told apart by all kinds of eyes (Okabe and Ito)."""
SHAPES = {"vision": "circle", "vlm": "diamond", "text": "square"}
"""Shape of each class of encoders, for eyes and printers without colours."""
READABLE = 25
"""Most encoders whose cells have room for a number."""
LARGE = 10
"""Most encoders whose cells are drawn large."""
AROUND = 220
"""Pixels that the legend, the axis labels and the titles take from the chart's height."""


DOWN = alt.Axis(labelLimit=130, labelOverlap=False, ticks=False, domain=False)
"""Axis beside rows of encoders."""
CELL = "cell"
"""Name of the selection of a heatmap: the source and target that were clicked."""


def heatmap(
    cells: pd.DataFrame, measure: str, order: Sequence[str], digits: int, starts: Sequence[str] = ()
) -> alt.LayerChart | alt.FacetChart:
    """Return sources against targets with one measure as colour and all of them in the tooltip; a click selects a cell.

    Args:
        cells: one row per source and target.
        measure: a key of `measures(cells)`.
        order: encoders from top to bottom and from left to right.
        digits: decimals in the tooltip.
        starts: encoders before which a line divides classes or families.
    """
    form = f".{digits}f"
    shown = cells.assign(interval=[f"{low:{form}} to {high:{form}}" for low, high in cells[["low", "high"]].to_numpy()])
    top = max(float(cells[measure].abs().max()), 1e-9) if cells[measure].notna().any() else 1.0
    signed = bool((cells[measure] < -0.005).any())
    described = measures(cells)
    title = described[measure][0]
    # Of layers with data of their own, the order of a scale's domain counts, and that of `sort` does not.
    ordered: dict[str, Any] = {"sort": list(order), "scale": alt.Scale(domain=list(order))}
    columns = {**ordered, "title": "target: where partners are looked for", "axis": across(len(order))}
    rows = {**ordered, "title": "source: whose features are matched", "axis": DOWN}
    base = alt.Chart(shown).encode(
        x=alt.X("target:N", **columns),
        y=alt.Y("source:N", **rows),
        tooltip=[
            alt.Tooltip("source:N"),
            alt.Tooltip("target:N"),
            alt.Tooltip("crossfit:Q", title=described["crossfit"][0], format=form),
            alt.Tooltip("interval:N", title="95 % interval"),
            *(
                alt.Tooltip(f"{name}:Q", title=words, format=form)
                for name, (words, _) in described.items()
                if name != "crossfit"
            ),
            alt.Tooltip("n_samples:Q", title="Samples", format=","),
            alt.Tooltip("seed_pairs:Q", title="Seed pairs"),
        ],
    )
    colour = alt.Color(
        f"{measure}:Q",
        title=title,
        scale=alt.Scale(scheme="purpleorange" if signed else "blues", domain=[-top if signed else 0, top], clamp=True),
        legend=alt.Legend(orient="top", gradientLength=220, titleLimit=0),
    )
    # A cell without a value (no permutations: no chance level) stays visible and keeps its tooltip.
    missing = alt.datum[measure] == None  # noqa: E711
    clicked = alt.selection_point(name=CELL, fields=["source", "target"], on="click", empty=False)
    rects = base.mark_rect(stroke="white", strokeWidth=1, cursor="pointer").encode(
        color=alt.condition(missing, alt.value("lightgrey"), colour)
    )
    layers = [rects.add_params(clicked)]
    if len(order) <= READABLE:
        dark = alt.expr.abs(alt.datum[measure]) > 0.6 * top
        size = 13 if len(order) <= LARGE else 10
        layers.append(
            base.mark_text(fontSize=size, opacity=roomy(len(order), 2.2 * size), cursor="pointer").encode(
                text=alt.Text(f"{measure}:Q", format=".2f"),
                color=alt.condition(dark, alt.value("white"), alt.value("#222")),
            )
        )
    if starts:
        rule = alt.Chart(pd.DataFrame({"start": list(starts)})).mark_rule(color="#444", strokeWidth=1.5)
        layers.append(rule.encode(x=alt.X("start:N", bandPosition=0, **columns)))
        layers.append(rule.encode(y=alt.Y("start:N", bandPosition=0, **rows)))
    return alt.layer(*layers).properties(height=AROUND + len(order) * (52 if len(order) <= LARGE else 30))


def roomy(columns: int, pixels: float) -> alt.ExprRef:
    """Return the opacity of the numbers in so many columns: none where the screen leaves each fewer pixels."""
    return alt.ExprRef(f"width < {columns * pixels:.0f} ? 0 : 1")


def across(columns: int) -> alt.Axis:
    """Return the axis below so many named columns, whose labels get smaller rather than overlap on a narrow screen."""
    few = columns <= LARGE
    size = alt.ExprRef(f"clamp({0.6 if few else 0.85} * width / {columns}, 5, 12)")
    return alt.Axis(labelAngle=-40 if few else -60, labelLimit=130, labelOverlap=False, labelFontSize=size,
                    ticks=False, domain=False)  # fmt: skip


def forest(intervals: pd.DataFrame, title: str, digits: int) -> alt.LayerChart | alt.FacetChart:
    """Return the encoders from top to bottom with one measure: value as a dot, 95 % interval as a line.

    `intervals` holds the rows of one column of a table of `apps.board.intervals`, best encoder first; `title` names it.
    """
    form = f".{digits}f"
    base = alt.Chart(intervals).encode(
        y=alt.Y("encoder:N", sort=list(dict.fromkeys(intervals["encoder"])), title=None,
                axis=alt.Axis(labelLimit=160)),
        color=alt.Color("kind:N", legend=None, scale=alt.Scale(domain=list(HUES), range=list(HUES.values()))),
        tooltip=[
            "encoder:N", "kind:N", "dataset:N", alt.Tooltip("value:Q", title=title, format=form),
            alt.Tooltip("low:Q", format=form), alt.Tooltip("high:Q", format=form), "group:N",
        ],
    )  # fmt: skip
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("value:Q", title="wMPPC", axis=alt.Axis(tickCount=5)),
        shape=alt.Shape("kind:N", legend=None, scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values()))),
    )
    lines = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    step = 22 if intervals["encoder"].nunique() <= LARGE else 17
    return alt.layer(lines, dots).properties(height=alt.Step(step))


def seed_pairs(pairs: pd.DataFrame, digits: int) -> alt.LayerChart | alt.FacetChart:
    """Return the cross-fitted value of every pair of seeds with its interval, coloured by direction.

    `pairs` is a table of `apps.pair.seed_pairs`.
    """
    form = f".{digits}f"
    shown = pairs.assign(seeds=[f"{s} → {t}" for s, t in zip(pairs.source_seed, pairs.target_seed, strict=True)])
    ways = list(dict.fromkeys(pairs.way))
    base = alt.Chart(shown).encode(
        y=alt.Y("seeds:N", title="seeds, source → target", sort=None),
        yOffset=alt.YOffset("way:N", sort=ways),
        color=alt.Color("way:N", title=None, legend=alt.Legend(orient="top", columns=1, labelLimit=0),
                        scale=alt.Scale(domain=ways, range=[BLUE, ORANGE])),
        tooltip=["way:N", "source_seed:Q", "target_seed:Q", *(
            alt.Tooltip(f"{name}:Q", format=form) for name in ("crossfit", "low", "high")
        )],
    )  # fmt: skip
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("crossfit:Q", title="cross-fitted wMPPC", scale=alt.Scale(zero=False)),
        shape=alt.Shape("way:N", title=None, scale=alt.Scale(domain=ways, range=["circle", "diamond"])),
    )
    return alt.layer(base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q"), dots).properties(height=alt.Step(13))
