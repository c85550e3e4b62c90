"""Page: one pair of encoders, both directions, and the features that are found again most surely."""

from shlex import quote

import streamlit as st

from apps import cache, charts, charts_layers, data, pair, tables
from apps.gallery import feature_link, gallery, named
from apps.layout import (
    STORE,
    choose_compare_run,
    choose_part,
    escaped,
    paged,
    read_table,
    runs_of,
    sentence,
)
from apps.plots import draw
from benchmark.metrics.describe import MEASURES
from benchmark.metrics.describe.features import MATCHES

SHOWN, SAMPLES = 5, 4  # best-matched features at a time, and samples of each side

st.title("Pair")
run = choose_compare_run()
cells, saes = read_table(run, "cells.parquet"), read_table(run, "saes.parquet")
parts = pair.parts(saes)
row = st.container(horizontal=True)
source = row.selectbox("Source", list(parts), key="source", bind="query-params", help="Whose features are matched.")
others = [name for name in parts if name != source]
target = row.selectbox(
    "Target", list(parts), index=list(parts).index(others[0]) if others else 0, key="target", bind="query-params",
    help="Where partners are looked for.",
)  # fmt: skip
shown = data.with_derived(choose_part(cells, row))
digits = data.digits(shown)
for caveat in data.warnings(shown):
    st.warning(caveat, icon=":material/warning:")

table = pair.both_ways(shown, source, target)
left, right = st.columns(2, gap="large")
with left:
    st.subheader("Measures")
    words = {
        "measure": ("Measure", "What was measured between both encoders; the last column says what it is."),
        f"{target} → {source}": ("Target → source", escaped(f"How much of {target} is found again in {source}.")),
        f"{source} → {target}": ("Source → target", escaped(f"How much of {source} is found again in {target}.")),
    }
    tables.show(table, words, f"{source} and {target}", digits)
with right:
    st.subheader("Seeds")
    matrix = read_table(run, "matrix.parquet")
    first = shown.iloc[0]
    matrix = matrix[(matrix.recorded_on == first.recorded_on) & (matrix["aggregate"] == first["aggregate"])]
    seeds = pair.seed_pairs(matrix, source, target)
    draw(
        charts.seed_pairs, seeds, digits, key="seeds",
        alt="Cross-fitted value of every pair of seeds with its interval, both ways.",
    )  # fmt: skip
    st.caption("Each line is a pair of seeds: the cross-fitted value and its 95 % interval over groups of samples.")

st.subheader("Layers")
place = run["suite"], run["dataset"]
by_layer = cache.layers_of_pair(st.session_state[STORE], runs_of("layers", *place), *place, source, target)
if by_layer:
    top = max(max(float(part["crossfit"].max()) for part in by_layer), 1e-9)
    for column, part in zip(st.columns(2, gap="large"), by_layer, strict=False):
        way = f"{part['source'].iloc[0]} → {part['target'].iloc[0]}"
        with column:
            draw(
                charts_layers.layer_heatmap, part, "crossfit", MEASURES["crossfit"][0], digits, top,
                key=f"layers {way}",
                alt=f"Cross-fitted value of every layer of {way}; the page on layers has the same values as a table.",
            )  # fmt: skip
    st.caption("Orange: the best target layer of each source layer, of the newest comparison of layers with this pair.")
else:
    st.info("No comparison of layers of this suite and dataset has this pair; this command makes one.")
    st.code(f"python -m benchmark layers --suite {quote(run['suite'])} --dataset {quote(run['dataset'])} "
            f"--encoders {quote(','.join(dict.fromkeys([source, target])))}", language="bash")  # fmt: skip

st.subheader("Best-matched features")
if source == target:
    st.info("Partners are recorded between different encoders only.")
    st.stop()
rare, wide = st.columns(2)
fewest = rare.slider("Active on at least so many samples", 1, 500, 20, key="fewest", bind="query-params")
widest = wide.slider("Active on at most this share of them", 0.01, 1.0, 0.2, key="widest", bind="query-params")
try:
    found = cache.matches(
        st.session_state[STORE], run["run_id"], (parts[source], parts[target]), 200, fewest, widest
    )  # fmt: skip
except ValueError as error:
    sentence(st.info, str(error))
    st.stop()
if found.empty:
    st.info("No feature and partner fire this often; widen the limits.")
    st.stop()
row = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
row.caption(
    f"{len(found)} matches, the surest first. Held-out correlation: partners are chosen without the samples that it is "
    "taken on.",
    width="content",
)
now = paged(found, SHOWN, row, f"matches-{source}-{target}")


def side(part: pair.Part, layer: int, feature: int, density: float) -> None:
    """Show one side of a match: a link to the feature, how often it is active, and what activates it most."""
    label = f"**{escaped(part.encoder)}** layer {layer}, feature {feature}{named(part.run_id, layer, feature)}"
    feature_link(st, label, part.run_id, layer, feature)
    st.markdown(f"Active on {density:.1%} of the samples")
    try:
        examples = cache.examples(st.session_state[STORE], part.run_id, layer, (feature,), SAMPLES).get(feature, [])
    except ValueError as error:
        sentence(st.caption, str(error))
        return
    gallery(examples)


for match in now.to_dict("records"):
    with st.container(border=True):
        st.markdown(f"Held-out correlation **{match['held_out_rho']:.2f}**")
        left, right = st.columns(2)
        with left:
            side(parts[source], match["layer"], match["feature"], match["density"])
        with right:
            side(parts[target], match["partner_layer"], match["partner"], match["partner_density"])
with st.expander(f"The {len(found)} best matches as a table"):
    tables.show(found, MATCHES, f"best matches {source} in {target}")
