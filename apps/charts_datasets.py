"""Charts of comparisons across datasets."""

import altair as alt
import pandas as pd

from apps.charts import DOWN, LARGE, across, roomy
from apps.colours import FAINT, GREY, ORANGE


def scatter(differences: pd.DataFrame, first: str, second: str, digits: int) -> alt.LayerChart | alt.FacetChart:
    """Return every cell's value on one dataset against its value on another, those that differ in another colour.

    `differences` holds the rows of one pair of datasets of a consistency run's table of that name.
    """
    form = f".{digits}f"
    shown = differences.assign(
        cell=differences["source"] + " → " + differences["target"],
        side=differences["resolved"].map({True: "differs", False: "within noise"}),
    )
    top = float(max(shown.first_value.max(), shown.second_value.max())) * 1.05
    dots = (
        alt.Chart(shown)
        .mark_point(filled=True, size=75 if len(shown) <= LARGE**2 else 40, opacity=0.9)
        .encode(
            x=alt.X("first_value:Q", title=f"cross-fitted wMPPC on {first}", scale=alt.Scale(domain=[0, top])),
            y=alt.Y("second_value:Q", title=f"cross-fitted wMPPC on {second}", scale=alt.Scale(domain=[0, top])),
            color=alt.Color("side:N", title=None, legend=alt.Legend(orient="top"),
                            scale=alt.Scale(domain=["differs", "within noise"], range=[ORANGE, FAINT])),
            shape=alt.Shape("side:N", title=None,
                            scale=alt.Scale(domain=["differs", "within noise"], range=["diamond", "circle"])),
            tooltip=["cell:N", *(alt.Tooltip(f"{name}:Q", format=form)
                                 for name in ("first_value", "second_value", "difference", "low", "high"))],
        )
    )  # fmt: skip
    ends = pd.DataFrame({"x": [0.0, top], "y": [0.0, top]})
    diagonal = alt.Chart(ends).mark_line(color=GREY, strokeDash=[4, 4]).encode(x="x:Q", y="y:Q")
    return alt.layer(diagonal, dots).properties(height=420)


def difference_matrix(differences: pd.DataFrame, title: str, digits: int) -> alt.LayerChart | alt.FacetChart:
    """Return sources against targets with the signed difference as colour; differences within noise have no number."""
    top = max(float(differences.difference.abs().max()), 1e-9)
    form = f".{digits}f"
    order = list(dict.fromkeys([*differences["source"], *differences["target"]]))
    few = len(order) <= LARGE
    base = alt.Chart(differences).encode(
        x=alt.X("target:N", title="target", sort=order, axis=across(len(order))),
        y=alt.Y("source:N", title="source", sort=order, axis=DOWN),
        tooltip=["source:N", "target:N", *(alt.Tooltip(f"{name}:Q", format=form)
                                           for name in ("difference", "low", "high"))],
    )  # fmt: skip
    colour = alt.Color(
        "difference:Q", title=title, legend=alt.Legend(orient="top", titleLimit=0),
        scale=alt.Scale(scheme="purpleorange", domain=[-top, top]),
    )  # fmt: skip
    size = 12 if few else 10
    numbers = base.mark_text(fontSize=size, opacity=roomy(len(order), 2.8 * size))
    texts = numbers.transform_filter(alt.datum.resolved).encode(
        text=alt.Text("difference:Q", format="+.2f"),
        color=alt.condition(alt.expr.abs(alt.datum.difference) > 0.6 * top, alt.value("white"), alt.value("#222")),
    )  # fmt: skip
    return alt.layer(base.mark_rect(stroke="white").encode(color=colour), texts).properties(
        height=200 + (46 if few else 28) * len(order)
    )
