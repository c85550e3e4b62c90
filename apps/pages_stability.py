"""Page: what depends on the seed, and which differences can be trusted."""

import streamlit as st

from apps import charts_stability
from apps.layout import choose_measure, choose_run, described, download_buttons, escaped, optional_table, read_table
from apps.plots import draw
from benchmark.metrics.caveats import decimals

VARIES = {
    "both": "initial weights and order of samples", "init": "initial weights alone", "order": "order of samples alone",
}  # fmt: skip
MEASURES = {
    "crossfit": ("Cross-fitted wMPPC", "How much of one seed's features is found again in the other's."),
    "decoder_shared_live": (
        "Decoder shared", "Share of the live latents with a one-to-one partner at a cosine above 0.7 (Hungarian)."
    ),
    "both_shared_live": ("Both shared", "The same, asked of encoder and decoder weights both (arXiv 2501.16615)."),
    "mcc": ("PW-MCC", "Mean cosine of one-to-one partners (arXiv 2505.20254)."),
    "naive": ("Naive wMPPC", "The published measure."),
    "chance": ("Chance level", "The naive value of shuffled samples."),
}  # fmt: skip
DECILES = {
    "correlation": "held-out correlation", "decoder_cosine": "decoder cosine", "decoder_shared": "decoder shared",
    "both_shared": "both shared",
}  # fmt: skip

AGREEMENT = {
    "tau": ("Kendall's tau", "Between the orders under two seeds, mean over pairs of seeds."),
    "low": ("Low", "2.5 % point."), "high": ("High", "97.5 % point."),
    "same_order": ("Same order", "Share of pairs of entries that all seeds put in one order."),
}  # fmt: skip
COMPONENTS = {
    "variance": ("Variance", "Component of the variance of a cell's cross-fitted value."),
    "sd": ("Deviation", "Its square root, in units of wMPPC."), "share": ("Share", "Of the whole variance."),
}  # fmt: skip
SMALLEST = {
    "sd_of_a_cell": ("Noise of a cell", "Standard deviation of a cell that is a mean over so many seeds."),
    "smallest_difference": ("Smallest difference", "Between two cells that can be told from noise (95 %)."),
    "low": ("Low", "2.5 % point."), "high": ("High", "97.5 % point."),
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
measure = choose_measure(MEASURES)


def chosen(frame):  # noqa: ANN001, ANN201 - a table in, its rows out
    """Return the rows of the chosen encoder, layer and kind of seeds."""
    return frame[(frame.encoder == encoder) & (frame.layer == layer) & (frame.varies == varies)]


shown = chosen(pairs)
digits = decimals(shown.n_groups)
left, right = st.columns(2, gap="large")
with left:
    st.subheader("Seed against seed")
    draw(charts_stability.seeds, shown, measure, MEASURES[measure][0], digits, key="seeds",
         alt=f"{MEASURES[measure][0]} of every pair of seeds of {encoder}.")  # fmt: skip
    st.caption(MEASURES[measure][1])
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
st.dataframe(table, hide_index=True, placeholder="–", column_config=described(MEASURES, "%.3f"))
download_buttons(table, "stability", 3)
components, smallest = (optional_table(run, f"{name}.parquet") for name in ("components", "smallest_difference"))
if components is not None and smallest is not None:
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Where a cell's variance comes from")
        st.dataframe(components, hide_index=True, placeholder="–", column_config=described(COMPONENTS, "%.4f"))
        download_buttons(components, "variance components", 5)
    with right:
        st.subheader("Smallest difference to trust")
        st.dataframe(smallest, hide_index=True, placeholder="–", column_config=described(SMALLEST, "%.4f"))
        download_buttons(smallest, "smallest difference", 4)
ranks, agreement = (optional_table(run, f"{name}.parquet") for name in ("cell_ranks", "rank_agreement"))
if ranks is not None:
    st.subheader("Ranks under every seed")
    draw(charts_stability.ranks, ranks, key="ranks", alt="Rank of every cell under every seed.")
    st.caption("Each line is a cell of the matrix, source and target; lines that cross are a matter of the seed.")
if agreement is not None:
    st.dataframe(agreement, hide_index=True, placeholder="–", column_config=described(AGREEMENT, "%.3f"))
    download_buttons(agreement, "agreement of ranks", 3)
top = optional_table(run, "top_features.parquet")
if top is not None:
    st.subheader("The same distinguishing features?")
    st.caption(escaped("How far the top 1 % of Comparative Sharedness agree between seeds, beside chance."))
    st.dataframe(top, hide_index=True, placeholder="–")
    download_buttons(top, "agreement of top features", 3)
