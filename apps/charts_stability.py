"""Charts of the seed audit."""

from typing import Any

import altair as alt
import pandas as pd

from apps.colours import BLUE, GREEN, GREY, ORANGE, PINK, SKY

CROSSING = 60
"""Most cells whose ranks are drawn as lines from seed to seed."""


def seeds(pairs: pd.DataFrame, measure: str, title: str, digits: int) -> alt.LayerChart | alt.FacetChart:
    """Return seed against seed of one encoder and layer, one measure as colour (`seed_pairs.parquet`)."""
    top = max(float(pairs[measure].max()), 1e-9)
    base = alt.Chart(pairs).encode(
        x=alt.X("target_seed:O", title="seed of the target", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("source_seed:O", title="seed of the source"),
        tooltip=["source_seed:O", "target_seed:O", alt.Tooltip(f"{measure}:Q", title=title, format=f".{digits}f")],
    )
    colour = alt.Color(
        f"{measure}:Q", title=title, legend=alt.Legend(orient="top", titleLimit=0),
        scale=alt.Scale(scheme="blues", domain=[0, top]),
    )  # fmt: skip
    texts = base.mark_text(fontSize=12).encode(
        text=alt.Text(f"{measure}:Q", format=".2f"),
        color=alt.condition(alt.datum[measure] > 0.6 * top, alt.value("white"), alt.value("#222")),
    )
    return alt.layer(base.mark_rect(stroke="white").encode(color=colour), texts).properties(
        height=120 + 44 * pairs["source_seed"].nunique()
    )


def deciles(table: pd.DataFrame, columns: dict[str, str]) -> alt.Chart:
    """Return how stable features are by how often they fire: lines over deciles of frequency, one a column."""
    long = table.melt("decile", list(columns), "what", "value").assign(what=lambda found: found["what"].map(columns))
    return (
        alt.Chart(long)
        .mark_line(point=True)
        .encode(
            x=alt.X("decile:O", title="decile of activation frequency, 1 the rarest", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", title="share, cosine or correlation", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("what:N", title=None, sort=list(columns.values()),
                            legend=alt.Legend(orient="top", columns=2, labelLimit=0),
                            scale=alt.Scale(range=[BLUE, ORANGE, GREEN, PINK])),
            tooltip=["decile:O", "what:N", alt.Tooltip("value:Q", format=".3f")],
        )
        .properties(height=300)
    )  # fmt: skip


def thresholds(table: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Return the share of latents with a partner against the cosine that makes two latents one, with a rule at 0.7."""
    lines = {"decoder_shared_live": "trained", "untrained": "before training"}
    known = [name for name in lines if name in table]  # an older audit has no untrained latents
    long = table.melt("threshold", known, "what", "share").dropna(subset=["share"])
    shares = (
        alt.Chart(long.assign(what=long["what"].map(lines)))
        .mark_line(point=True)
        .encode(
            x=alt.X("threshold:Q", title="cosine above which two latents count as one", scale=alt.Scale(zero=False),
                    axis=alt.Axis(tickCount=8)),
            y=alt.Y("share:Q", title="share of the latents", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("what:N", title=None, legend=alt.Legend(orient="top"),
                            scale=alt.Scale(domain=list(lines.values()), range=[BLUE, GREY])),
            tooltip=["what:N", "threshold:Q", alt.Tooltip("share:Q", format=".3f")],
        )
    )  # fmt: skip
    usual = alt.Chart(pd.DataFrame({"x": [0.7]})).mark_rule(color=GREY, strokeDash=[4, 4]).encode(x="x:Q")
    return alt.layer(usual, shares).properties(height=260)


def ranks(table: pd.DataFrame) -> alt.Chart | alt.LayerChart | alt.FacetChart:
    """Return the rank of every cell under every seed: lines that cross show where the seed decides the order.

    Of more than `CROSSING` cells, whose lines would be one stain, the range of each cell's ranks.
    """
    chosen = [name for name in table if str(name).startswith("rank_")]
    if len(table) > CROSSING:
        return _ranges(table, table[chosen])
    long = table.assign(cell=table["source"] + " → " + table["target"]).melt("cell", chosen, "seed", "rank")
    long["seed"] = long["seed"].str.removeprefix("rank_")
    return (
        alt.Chart(long)
        .mark_line(point=True, opacity=0.8)
        .encode(
            x=alt.X("seed:O", title="seed", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("rank:Q", title="rank of the cell, 1 the highest",
                    scale=alt.Scale(reverse=True, zero=False, nice=False)),
            detail="cell:N", color=alt.value(BLUE), tooltip=["cell:N", "seed:O", "rank:Q"],
        )
        .properties(height=360)
    )  # fmt: skip


def _ranges(table: pd.DataFrame, ranked: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Return the lowest, mean and highest rank of every cell over the seeds, cells in the order of their means."""
    shown = pd.DataFrame({
        "cell": table["source"] + " → " + table["target"], "best": ranked.min(axis=1), "mean": ranked.mean(axis=1),
        "worst": ranked.max(axis=1),
    }).sort_values("mean", kind="stable")  # fmt: skip
    shown["place"] = range(1, len(shown) + 1)
    base = alt.Chart(shown).encode(
        x=alt.X("place:Q", title="cells, in the order of their mean ranks", scale=alt.Scale(zero=False, nice=False)),
        tooltip=["cell:N", "best:Q", alt.Tooltip("mean:Q", format=".1f"), "worst:Q"],
    )
    rank: dict[str, Any] = {
        "title": "rank over the seeds, 1 the highest", "scale": alt.Scale(reverse=True, zero=False, nice=False)
    }  # fmt: skip
    spans = base.mark_rule(color=SKY, strokeWidth=1.5).encode(y=alt.Y("best:Q", **rank), y2="worst:Q")
    dots = base.mark_point(filled=True, size=9, opacity=1, color=BLUE).encode(y=alt.Y("mean:Q", **rank))
    return alt.layer(spans, dots).properties(height=360)
