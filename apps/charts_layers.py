"""Charts of layers against layers."""

import altair as alt
import pandas as pd

from apps.charts import roomy
from apps.colours import ORANGE

NUMBERED = 14
"""Most layers of either encoder whose cells have room for a number."""


def layer_heatmap(
    cells: pd.DataFrame, measure: str, title: str, digits: int, top: float
) -> alt.LayerChart | alt.FacetChart:
    """Return source layers against target layers, shallow to deep, with a line through each source layer's best target.

    Args:
        cells: one row per source and target layer of one pair of encoders (`layers.parquet` of a layers run).
        measure: column that is the colour.
        title: its name.
        digits: decimals of texts and tooltips.
        top: value of the darkest colour, so that charts side by side can share a scale.
    """
    form = f".{digits}f"
    told = ("crossfit", "low", "high", "naive", "chance", "calibrated")
    source, target = str(cells["source"].iloc[0]), str(cells["target"].iloc[0])
    base = alt.Chart(cells).encode(
        x=alt.X("target_layer:O", title=f"layer of {target}, shallow to deep", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("source_layer:O", title=f"layer of {source}, shallow to deep", sort="descending"),
        tooltip=[
            "source_layer:O", "target_layer:O",
            alt.Tooltip("source_depth:Q", format=".2f", title="source depth"),
            alt.Tooltip("target_depth:Q", format=".2f", title="target depth"),
            *(alt.Tooltip(f"{name}:Q", format=form) for name in told),
        ],
    )  # fmt: skip
    colour = alt.Color(
        f"{measure}:Q", title=title, scale=alt.Scale(scheme="blues", domain=[0, top], clamp=True),
        legend=alt.Legend(orient="top", gradientLength=180, titleLimit=0),
    )  # fmt: skip
    layers = [base.mark_rect(stroke="white").encode(color=colour)]
    rows, count = cells["source_layer"].nunique(), cells["target_layer"].nunique()
    if max(rows, count) <= NUMBERED:
        # Beside the line where there is room, else above its points.
        place = {"align": "right", "dx": -8} if count <= 6 else {"dy": -11}
        layers.append(base.mark_text(fontSize=11, opacity=roomy(count, 24), **place).encode(
            text=alt.Text(f"{measure}:Q", format=".2f"),
            color=alt.condition(alt.datum[measure] > 0.6 * top, alt.value("white"), alt.value("#222")),
        ))  # fmt: skip
    best = cells.loc[cells.groupby("source_layer")[measure].idxmax()]
    line = alt.Chart(best).encode(
        x="target_layer:O", y=alt.Y("source_layer:O", sort="descending"), order="source_layer:Q"
    )  # fmt: skip
    layers.append(line.mark_line(color=ORANGE, strokeWidth=2, point=alt.OverlayMarkDef(color=ORANGE, size=45)))
    return alt.layer(*layers).properties(height=130 + rows * (56 if rows <= 6 else 40 if rows <= NUMBERED else 18))
