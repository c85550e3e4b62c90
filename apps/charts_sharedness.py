"""Chart of Comparative Sharedness."""

import altair as alt
import pandas as pd

from apps.colours import FAINT, GREY, ORANGE

ABOVE, BELOW, CHANCE = "Delta above 0", "Delta 0 or below", "chance (mean over all splits)"
HUES = {ABOVE: ORANGE, BELOW: FAINT, CHANCE: GREY}


def distribution(bins: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Return the histogram of the difference of squared correlations, above 0 in another colour, with that of chance.

    `bins` is the histogram of `apps.sharedness.sharedness`.
    """
    bars = bins.assign(side=bins.low.gt(-1e-12).map({True: ABOVE, False: BELOW}))
    hue = alt.Color(
        "side:N", title=None, legend=alt.Legend(orient="top", labelLimit=0, columns=2),
        scale=alt.Scale(domain=list(HUES), range=list(HUES.values())),
    )  # fmt: skip
    x = alt.X("low:Q", title="lowest rho² in G minus highest rho² in H")
    # A root shows the few features above 0 beside the many at 0.
    y = alt.Y("features:Q", title="features (root scale)", scale=alt.Scale(type="sqrt"), axis=alt.Axis(tickCount=5))
    observed = (
        alt.Chart(bars)
        .mark_bar(opacity=0.85, binSpacing=0)
        .encode(
            x=x, x2="high:Q", y=y, y2=alt.datum(0), color=hue,
            tooltip=[
                alt.Tooltip("low:Q", title="above", format=".3f"), alt.Tooltip("high:Q", title="up to", format=".3f"),
                alt.Tooltip("features:Q", title="features"),
                alt.Tooltip("chance:Q", title="features by chance", format=".1f"),
            ],
        )
    )  # fmt: skip
    outline = (
        alt.Chart(bins.assign(side=CHANCE))
        .mark_line(strokeWidth=2, interpolate="step-after")
        .encode(x="low:Q", y=alt.Y("chance:Q", title="features (root scale)"), color=hue)
    )
    zero = alt.Chart().mark_rule(color=GREY, strokeDash=[4, 3]).encode(x=alt.datum(0))
    return alt.layer(observed, outline, zero).properties(height=320)
