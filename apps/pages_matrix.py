"""Page: how much of every source encoder is found again in every target encoder."""

import streamlit as st

from apps import charts, data, tables
from apps.layout import choose_compare_run, choose_measure, choose_part, escaped, optional_table, read_table
from apps.plots import draw
from benchmark.metrics.describe import CEILING, CELL_COLUMNS, DERIVED

ORDERS = {"class": "By class", "family": "By family", "clustered": "Clustered"}

st.title("Matrix")
run = choose_compare_run()
cells = read_table(run, "cells.parquet")
saes = optional_table(run, "saes.parquet")  # without it only the order of the encoders is lost

row = st.container(horizontal=True)
shown = data.with_derived(choose_part(cells, row))
by = row.selectbox("Order", list(ORDERS), format_func=lambda name: ORDERS[name], key="order", bind="query-params")
measures = data.measures(shown)
measure = choose_measure(measures)
for caveat in data.warnings(shown):
    st.warning(caveat, icon=":material/warning:")

groups = data.by_kind(shown, {} if saes is None else data.encoder_column(saes, "kind"))
order = [encoder for members in groups.values() for encoder in members]
if by == "family" and saes is not None:
    families = data.encoder_column(saes, "family")
    order.sort(key=lambda encoder: families.get(encoder, ""))
    groups = {}
    for encoder in order:
        groups.setdefault(families.get(encoder, ""), []).append(encoder)
elif by == "clustered":
    order, groups = data.clustered(shown, order), {}
digits = data.digits(shown)
chart, words = st.columns([2 if len(order) <= charts.LARGE else 3, 1], gap="large")  # the words need the same height
with chart:
    event = draw(
        charts.heatmap, shown, measure, order, digits, [members[0] for members in groups.values()][1:], key="matrix",
        selection=charts.CELL,
        alt=f"{measures[measure][0]} of {len(order)} encoders as a heatmap; the table below has the same values.",
    )  # fmt: skip
    st.caption("Click a cell to see the pair: both directions, layers and the features that match best.")
if clicked := event["selection"][charts.CELL]:
    pair = {"run": run["run_id"], "source": clicked[0]["source"], "target": clicked[0]["target"]}
    st.switch_page("pages_pair.py", query_params=pair)
with words:
    st.markdown(f"**{measures[measure][0]}**")
    st.markdown(measures[measure][1])
    if measure not in DERIVED:  # whose diagonal is 0 or 1
        st.markdown(f"**{CEILING[0]}**")
        st.markdown(CEILING[1])
    if by == "class" and saes is not None:
        st.markdown("**Order**")
        st.markdown("\n".join(f"- {escaped(kind or 'other')}: {escaped(', '.join(m))}" for kind, m in groups.items()))
    with st.expander("The other measures"):
        for name, (title, text) in measures.items():
            if name != measure:
                st.markdown(f"**{title}.** {text}")

st.subheader("Cells")
known = CELL_COLUMNS | measures
table = shown[["source", "target", *(name for name in known if name in shown)]]
tables.show(table, known, f"cells {run['suite']} {run['dataset']} {run['run_id'][:8]}", digits)
