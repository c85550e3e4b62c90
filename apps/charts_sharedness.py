"""Chart of Comparative Sharedness."""

import altair as alt
import pandas as pd


def distribution(features: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Return the histogram of the difference of squared correlations, features above 0 in another colour.

    `features` is the table of `apps.sharedness.sharedness`.
    """
    shown = features.assign(side=features.difference.gt(0).map({True: "shared with G", False: "found in H as well"}))
    bars = (
        alt.Chart(shown[["difference", "side"]])
        .mark_bar()
        .encode(
            x=alt.X("difference:Q", bin=alt.Bin(maxbins=60), title="lowest rho² in G minus highest rho² in H"),
            y=alt.Y("count():Q", title="features", scale=alt.Scale(type="sqrt")),
            color=alt.Color(
                "side:N", title=None, legend=alt.Legend(orient="top"),
                scale=alt.Scale(domain=["shared with G", "found in H as well"], range=["#D55E00", "#7f9fbf"]),
            ),
            tooltip=[alt.Tooltip("count():Q", title="features"), alt.Tooltip("difference:Q", bin=alt.Bin(maxbins=60))],
        )
    )  # fmt: skip
    return alt.layer(bars, alt.Chart().mark_rule(color="#444").encode(x=alt.datum(0))).properties(height=240)
