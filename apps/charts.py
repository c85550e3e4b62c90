"""The app's charts, as Altair objects."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from apps.data import measures

HUES = {"vision": "#0072B2", "vlm": "#D55E00", "text": "#009E73"}
"""Colour of each class of encoders, told apart by all kinds of eyes (Okabe and Ito)."""
READABLE = 25
"""Most encoders whose cells have room for a number."""
LARGE = 10
"""Most encoders whose cells are drawn large."""
AROUND = 220
"""Pixels that the legend, the axis labels and the titles take from the chart's height."""


CELL = "cell"
"""Name of the selection of a heatmap: the source and target that were clicked."""


def heatmap(cells: pd.DataFrame, measure: str, order: Sequence[str], digits: int) -> alt.LayerChart | alt.FacetChart:
    """Return sources against targets with one measure as colour and all of them in the tooltip; a click selects a cell.

    Args:
        cells: one row per source and target.
        measure: a key of `measures(cells)`.
        order: encoders from top to bottom and from left to right.
        digits: decimals in the tooltip.
    """
    form = f".{digits}f"
    shown = cells.assign(interval=[f"{low:{form}} to {high:{form}}" for low, high in cells[["low", "high"]].to_numpy()])
    top = max(float(cells[measure].abs().max()), 1e-9) if cells[measure].notna().any() else 1.0
    signed = bool((cells[measure] < -0.005).any())
    described = measures(cells)
    title = described[measure][0]
    base = alt.Chart(shown).encode(
        x=alt.X("target:N", sort=list(order), title="target: where partners are looked for", axis=_axis(-40)),
        y=alt.Y("source:N", sort=list(order), title="source: whose features are matched", axis=_axis(0)),
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
        layers.append(
            base.mark_text(fontSize=13 if len(order) <= LARGE else 10, cursor="pointer").encode(
                text=alt.Text(f"{measure}:Q", format=".2f"),
                color=alt.condition(dark, alt.value("white"), alt.value("#222")),
            )
        )
    return alt.layer(*layers).properties(height=AROUND + len(order) * (52 if len(order) <= LARGE else 30))


def _axis(angle: int) -> alt.Axis:
    return alt.Axis(labelAngle=angle, labelLimit=130, labelOverlap=False, ticks=False, domain=False)


def forest(intervals: pd.DataFrame, title: str, digits: int) -> alt.LayerChart | alt.FacetChart:
    """Return the encoders from top to bottom with one measure: value as a dot, 95 % interval as a line.

    `intervals` holds the rows of one column of a table of `apps.board.intervals`, best encoder first; `title` names it.
    """
    form = f".{digits}f"
    base = alt.Chart(intervals).encode(
        y=alt.Y("encoder:N", sort=list(dict.fromkeys(intervals["encoder"])), title=None,
                axis=alt.Axis(labelLimit=160, labelFlush=False)),
        color=alt.Color("kind:N", legend=None, scale=alt.Scale(domain=list(HUES), range=list(HUES.values()))),
        tooltip=[
            "encoder:N", "kind:N", "dataset:N", alt.Tooltip("value:Q", title=title, format=form),
            alt.Tooltip("low:Q", format=form), alt.Tooltip("high:Q", format=form), "group:N",
        ],
    )  # fmt: skip
    ends = alt.Axis(labelFlush=True, tickCount=5)
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(x=alt.X("value:Q", title="wMPPC", axis=ends))
    lines = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    return alt.layer(lines, dots).properties(height=alt.Step(22))


def seed_pairs(pairs: pd.DataFrame, digits: int) -> alt.LayerChart | alt.FacetChart:
    """Return the cross-fitted value of every pair of seeds with its interval, coloured by direction.

    `pairs` is a table of `apps.pair.seed_pairs`.
    """
    form = f".{digits}f"
    shown = pairs.assign(
        seeds=[
            f"{way}, seeds {s} and {t}"
            for way, s, t in zip(pairs.way, pairs.source_seed, pairs.target_seed, strict=True)
        ]
    )
    base = alt.Chart(shown).encode(
        y=alt.Y("seeds:N", title=None, sort=None, axis=alt.Axis(labelLimit=330, labelFlush=False)),
        color=alt.Color("way:N", title=None, legend=None, scale=alt.Scale(range=["#0072B2", "#D55E00"])),
        tooltip=["way:N", "source_seed:Q", "target_seed:Q", *(
            alt.Tooltip(f"{name}:Q", format=form) for name in ("crossfit", "low", "high")
        )],
    )  # fmt: skip
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("crossfit:Q", title="cross-fitted wMPPC", scale=alt.Scale(zero=False))
    )
    return alt.layer(base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q"), dots).properties(height=alt.Step(24))
