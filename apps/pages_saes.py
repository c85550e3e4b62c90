"""Page: the quality of the sparse autoencoders behind a comparison."""

import streamlit as st

from apps import data, lists
from apps.layout import STORE, choose_compare_run, download_buttons, escaped, read_table
from apps.tables import columns
from benchmark.metrics.describe import QUALITY
from benchmark.metrics.describe.saes import SAES

st.title("SAEs")
run = choose_compare_run()
saes = read_table(run, "saes.parquet")
st.caption(f"{len(saes):,} sparse autoencoders of {saes['encoder'].nunique():,} encoders behind this comparison.")
if gone := data.without_run(saes, lists.by_id(st.session_state[STORE], list(saes["run_id"]))):
    st.warning(f"The train runs of {escaped(', '.join(gone))} are no longer in this store.")
table = saes[["encoder", "kind", "modality", "family", "seed", "layer", *SAES]]
chosen = st.dataframe(
    table,
    hide_index=True,
    placeholder="–",
    on_select="rerun",
    selection_mode=["single-row", "single-cell"],
    key="saes",
    column_config=columns(table, SAES, forms={"l0": "%.1f", "dead": "percent"}),
)["selection"]
st.caption("Click an SAE to see its features.")
download_buttons(table, f"SAEs {run['suite']} {run['dataset']} {run['run_id'][:8]}")
if rows := [*chosen["rows"], *(row for row, _ in chosen["cells"])]:
    sae = table.iloc[rows[0]]
    st.switch_page("pages_features.py", query_params={"run": str(sae["run_id"]), "layer": str(sae["layer"])})
with st.expander("How to read this table"):
    for title, text in QUALITY.values():
        st.markdown(f"**{title}.** {text}")
