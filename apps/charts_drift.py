"""Charts of how results move from a dataset to its variants."""

import altair as alt
import pandas as pd

from apps.colours import BLUE, FAINT, GREEN, GREY, ORANGE, PINK, SKY
from apps.drift import FIXED, MOVED, NOISE, UNTESTED

OUTCOMES = {MOVED: ORANGE, NOISE: FAINT, UNTESTED: "#aaaaaa", FIXED: "#aaaaaa"}
COLOURS = [GREY, BLUE, ORANGE, GREEN, PINK, "#E69F00", SKY, "#F0E442"]
"""Of the plain data, then of the variants (Okabe and Ito)."""


def changes(told: pd.DataFrame, top: float, digits: int) -> alt.LayerChart | alt.FacetChart:
    """Return how every cell changed on one variant: a dot with its 95 % interval, moved ones in another colour.

    Args:
        told: rows of `apps.drift.told` of one variant and aggregate.
        top: end of the axis on both sides, so that charts side by side share a scale.
        digits: decimals of tooltips.
    """
    form = f".{digits}f"
    axis = alt.Axis(labelLimit=260, labelOverlap=False)
    base = alt.Chart(told).encode(
        y=alt.Y("cell:N", sort=list(told["cell"]), title=None, axis=axis),
        color=alt.Color("outcome:N", legend=None,
                        scale=alt.Scale(domain=list(OUTCOMES), range=list(OUTCOMES.values()))),
        tooltip=["cell:N", "outcome:N", *(alt.Tooltip(f"{name}:Q", format=form) for name in ("plain", "value")),
                 *(alt.Tooltip(f"{name}:Q", format=f"+{form}") for name in ("change", "low", "high")),
                 alt.Tooltip("q_value:Q", format=".2g", title="q")],
    )  # fmt: skip
    scale = alt.Scale(domain=[-top, top])
    dots = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=alt.X("change:Q", title="change of wMPPC, 95 % interval", scale=scale)
    )
    lines = base.mark_rule(strokeWidth=2).transform_filter("isValid(datum.low)").encode(x="low:Q", x2="high:Q")
    zero = alt.Chart(pd.DataFrame({"x": [0.0]})).mark_rule(color=GREY, strokeDash=[4, 4]).encode(x="x:Q")
    return alt.layer(zero, lines, dots).properties(height=alt.Step(17))


def correspondence(table: pd.DataFrame, digits: int) -> alt.LayerChart | alt.FacetChart:
    """Return how much of each encoder's features a variant's dictionaries hold, beside other seeds of the plain data.

    `table` is a drift run's table of that name.
    """
    form, variants = f".{digits}f", list(dict.fromkeys(table["variant"]))
    labels = {name: "plain, other seeds (ceiling)" if name == "plain" else name for name in variants}
    shown = table.assign(variant=table["variant"].map(labels), seeds=table["pairs"] + " seeds")
    base = alt.Chart(shown).encode(
        y=alt.Y("encoder:N", sort=None, title=None, axis=alt.Axis(labelLimit=160)),
        yOffset=alt.YOffset("variant:N", sort=list(labels.values())),
        color=alt.Color("variant:N", title=None, sort=list(labels.values()),
                        legend=alt.Legend(orient="top", columns=2, labelLimit=0),
                        scale=alt.Scale(domain=list(labels.values()), range=COLOURS)),
        tooltip=["encoder:N", "variant:N", "seeds:N", *(
            alt.Tooltip(f"{name}:Q", format=form) for name in ("value", "low", "high", "back", "chance")
        )],
    )  # fmt: skip
    # Beside the other legend there is no room on a narrow screen.
    grey = alt.Legend(orient="bottom", symbolFillColor=GREY, symbolStrokeColor=GREY)
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=alt.X("value:Q", title="cross-fitted wMPPC from plain to variant", scale=alt.Scale(domain=[0, 1])),
        shape=alt.Shape("seeds:N", title=None, legend=grey,
                        scale=alt.Scale(domain=["other seeds", "same seeds"], range=["circle", "triangle-up"])),
    )  # fmt: skip
    lines = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    height = shown["encoder"].nunique() * (len(variants) * 13 + 14)
    return alt.layer(lines, dots).properties(height=height)
