"""Charts of the pages on features, as Altair objects."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from apps.colours import BLUE, GREY, ORANGE


def activations(bins: pd.DataFrame, quarters: Sequence[float]) -> alt.LayerChart | alt.FacetChart:
    """Return how many samples have activations in each interval of `bins`, with the quartiles as dashed lines.

    The axis of counts is linear near 0 and logarithmic above, as most activations are weak.
    """
    most = max(int(bins["samples"].max()), 1)
    # Vega drops labels that are not even near each other when some of the values lie outside of the axis.
    values = [0, *(10**power for power in range(len(str(most))))]
    counts = (
        alt.Chart(bins)
        .mark_bar(color=BLUE, binSpacing=1)
        .encode(
            x=alt.X("low:Q", bin="binned", title="activation"),
            x2="high:Q",
            y=alt.Y("samples:Q", title="samples (log scale)", scale=alt.Scale(type="symlog"),
                    axis=alt.Axis(values=values, format="~s", labelOverlap="greedy")),
            tooltip=[
                alt.Tooltip("low:Q", title="from", format=".3f"), alt.Tooltip("high:Q", title="to", format=".3f"),
                alt.Tooltip("samples:Q", format=","),
            ],
        )
    )  # fmt: skip
    lines = pd.DataFrame({"value": list(quarters), "name": ["25 %", "median", "75 %"][: len(quarters)]})
    rules = (
        alt.Chart(lines)
        .mark_rule(color=ORANGE, strokeDash=[6, 3], strokeWidth=2.5)
        .encode(x="value:Q", tooltip=["name:N", alt.Tooltip("value:Q", format=".3f")])
    )
    return alt.layer(counts, rules).properties(height=220)


def partners(table: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Return the correlations of a feature with its best match in every encoder, in the order of the rows.

    `table` is one of `apps.feature.partners`.
    """
    names = {"held_out_rho": "held-out correlation", "rho": "correlation"}
    # What lies on top of the other is drawn last.
    long = table.melt(["encoder", "partner_layer", "partner"], list(names)[::-1], "what", "value")
    base = alt.Chart(long.assign(what=long["what"].map(names))).encode(
        y=alt.Y("encoder:N", sort=list(table["encoder"]), title=None, axis=alt.Axis(labelLimit=160)),
        tooltip=["encoder:N", "partner_layer:Q", "partner:Q", "what:N", alt.Tooltip("value:Q", format=".3f")],
    )
    order = list(names.values())
    marks = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=alt.X("value:Q", title="correlation with the best match", axis=alt.Axis(tickCount=8)),
        color=alt.Color("what:N", title=None, sort=order, legend=alt.Legend(orient="top", labelLimit=0),
                        scale=alt.Scale(domain=order, range=[BLUE, GREY])),
        shape=alt.Shape("what:N", title=None, sort=order, scale=alt.Scale(domain=order, range=["circle", "diamond"])),
    )  # fmt: skip
    lines = base.mark_line(color=GREY).encode(x="value:Q", detail="encoder:N")
    return alt.layer(lines, marks).properties(height=alt.Step(17))
