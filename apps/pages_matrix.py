"""Page: how much of every source encoder is found again in every target encoder."""

import streamlit as st

from apps import cache, charts, data
from apps.layout import STORE, choose_compare_run, described, escaped, read
from benchmark import report
from benchmark.metrics.describe import AGGREGATES, CEILING, CELL_COLUMNS

st.title("Matrix")
run = choose_compare_run()
cells = read(cache.cells, run)
try:
    kinds = data.encoder_kinds(cache.saes(st.session_state[STORE], run["run_id"], run["status"]))
except ValueError:
    kinds = {}  # only the order of the encoders is lost

left, middle, right = st.columns([1, 1, 2])
recorded_on = left.selectbox("Samples", data.choices(cells, "recorded_on"), help="Which samples were compared.")
aggregate = middle.selectbox(
    "Layers",
    data.choices(cells, "aggregate"),
    format_func=lambda name: AGGREGATES[name][0] if name in AGGREGATES else name,
    help="\n\n".join(f"**{title}**: {text}" for title, text in AGGREGATES.values()),
)
measures = data.measures(cells)
measure = right.segmented_control(
    "Measure", list(measures), default="crossfit", required=True, wrap=True, format_func=lambda name: measures[name][0]
)

shown = data.selection(cells, recorded_on, aggregate)
if shown.empty:
    st.info("This run compared no layers in this way on these samples; choose another combination.")
    st.stop()
for caveat in data.warnings(shown):
    st.warning(caveat, icon=":material/warning:")

groups = data.by_kind(shown, kinds)
order = [encoder for members in groups.values() for encoder in members]
form = f"%.{data.digits(shown)}f"
chart, words = st.columns([3, 1], gap="large")
with chart:
    st.altair_chart(charts.heatmap(shown, measure, order, data.digits(shown)), key="matrix")
with words:
    st.markdown(f"**{measures[measure][0]}**")
    st.markdown(measures[measure][1])
    st.markdown(f"**{CEILING[0]}**")
    st.markdown(CEILING[1])
    if kinds:
        st.markdown("**Order**")
        st.markdown("\n".join(f"- {escaped(kind or 'other')}: {escaped(', '.join(m))}" for kind, m in groups.items()))
    with st.expander("The other measures"):
        for name, (title, text) in measures.items():
            if name != measure:
                st.markdown(f"**{title}.** {text}")

st.subheader("Cells")
st.dataframe(
    shown.drop(columns=["suite", "dataset", "aggregate", "recorded_on"]),
    hide_index=True,
    placeholder="–",
    column_order=["source", "target", *(CELL_COLUMNS | measures)],
    column_config={
        **described(CELL_COLUMNS | measures, form),
        **described({name: CELL_COLUMNS[name] for name in ("n_samples", "n_groups", "seed_pairs")}, "localized"),
    },
)
st.download_button(
    "Download as CSV", report.csv(shown), f"cells-{run['run_id'][:8]}.csv", "text/csv", icon=":material/download:"
)
