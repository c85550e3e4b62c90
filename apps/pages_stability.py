"""Page: what depends on the seed, and which differences can be trusted."""

import pandas as pd
import streamlit as st

from apps import charts_stability, tables
from apps.layout import choose_measure, choose_run, optional_table, read_table
from apps.plots import draw
from benchmark.metrics.caveats import decimals
from benchmark.metrics.describe import stability
from benchmark.metrics.describe.stability import PAIRS

VARIES = {
    "both": "initial weights and order of samples", "init": "initial weights alone", "order": "order of samples alone",
}  # fmt: skip
DECILES = {
    "correlation": "held-out correlation", "decoder_cosine": "decoder cosine", "decoder_shared": "decoder shared",
    "both_shared": "both shared",
}  # fmt: skip

st.title("Stability audit")
run = choose_run("stability", "seed audit", "python -m benchmark stability")
table, pairs, deciles = (read_table(run, f"{name}.parquet") for name in ("stability", "seed_pairs", "deciles"))
row = st.container(horizontal=True)
encoder = row.selectbox("Encoder", list(table.encoder.unique()), key="audit_encoder", bind="query-params")
layers = [int(layer) for layer in table.layer[table.encoder == encoder].unique()]
layer = row.selectbox("Layer", layers[::-1], key="audit_layer", bind="query-params")
kinds = list(table.varies.unique())
varies = row.selectbox(
    "Seeds vary", kinds, key="varies", bind="query-params", format_func=lambda name: VARIES.get(name, name)
)  # fmt: skip
measure = choose_measure(PAIRS)


def chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the chosen encoder, layer and kind of seeds."""
    return frame[(frame.encoder == encoder) & (frame.layer == layer) & (frame.varies == varies)]


shown = chosen(pairs)
digits = decimals(shown.n_groups)
left, right = st.columns(2, gap="large")
with left:
    st.subheader("Seed against seed")
    draw(charts_stability.seeds, shown, measure, PAIRS[measure][0], digits, key="seeds",
         alt=f"{PAIRS[measure][0]} of every pair of seeds of {encoder}.")  # fmt: skip
    st.caption(PAIRS[measure][1])
with right:
    st.subheader("Rare and frequent features")
    draw(charts_stability.deciles, chosen(deciles), DECILES, key="deciles",
         alt="Stability by decile of activation frequency; the table below has the values.")  # fmt: skip
thresholds = optional_table(run, "thresholds.parquet")
if thresholds is not None:
    st.subheader("Matched share against the threshold")
    draw(charts_stability.thresholds, chosen(thresholds), key="thresholds",
         alt="Share of the live latents with a partner, by the least cosine.")  # fmt: skip
    st.caption("One-to-one partners of the decoder's rows under another seed: live latents once trained, all latents "
               "before. Dashed: 0.7, as elsewhere on this page.")  # fmt: skip

st.subheader("All encoders")
tables.show(table, stability.TABLE, "stability")
components, smallest = (optional_table(run, f"{name}.parquet") for name in ("components", "smallest_difference"))
if components is not None and smallest is not None:
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Where a cell's variance comes from")
        tables.show(components, stability.COMPONENTS, "variance components", 5, {"variance": "%.1e"})
    with right:
        st.subheader("Smallest difference to trust")
        tables.show(smallest, stability.SMALLEST, "smallest difference", 4)
ranks, agreement = (optional_table(run, f"{name}.parquet") for name in ("cell_ranks", "rank_agreement"))
if ranks is not None:
    st.subheader("Ranks under every seed")
    draw(charts_stability.ranks, ranks, key="ranks", alt="Rank of every cell under every seed.")
    if len(ranks) <= charts_stability.CROSSING:
        st.caption("Each line is a cell of the matrix, source and target; lines that cross are a matter of the seed.")
    else:
        st.caption("Each line spans a cell's ranks over the seeds, the dot is their mean: cells whose lines overlap in "
                   "height are put in order by the seed.")  # fmt: skip
if agreement is not None:
    tables.show(agreement, stability.RANKS, "agreement of ranks")
top = optional_table(run, "top_features.parquet")
if top is not None:
    st.subheader("The same distinguishing features?")
    st.caption("How far the top 1 % of Comparative Sharedness agree between seeds, beside chance.")
    tables.show(top, stability.TOP, "agreement of top features")
