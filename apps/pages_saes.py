"""Page: the quality of the sparse autoencoders behind a comparison."""

import streamlit as st

from apps import data
from apps.layout import all_runs, choose_compare_run, described, download_buttons, escaped, read_table
from benchmark.metrics.describe import QUALITY

st.title("SAEs")
run = choose_compare_run()
saes = read_table(run, "saes.parquet")
st.caption(f"{len(saes):,} sparse autoencoders of {saes['encoder'].nunique():,} encoders behind this comparison.")
if gone := data.without_run(saes, all_runs()):
    st.warning(f"The train runs of {escaped(', '.join(gone))} are no longer in this store.")
columns = ["encoder", "kind", "modality", "family", "seed", "layer", *QUALITY, "d", "n_latents", "k"]
table = saes[[*columns, "run_id", "model_uri"]]
chosen = st.dataframe(
    table,
    hide_index=True,
    placeholder="–",
    on_select="rerun",
    selection_mode=["single-row", "single-cell"],
    key="saes",
    column_config={
        **described(QUALITY, "%.3f"),
        "l0": st.column_config.NumberColumn(QUALITY["l0"][0], help=QUALITY["l0"][1], format="%.1f"),
        "dead": st.column_config.NumberColumn(QUALITY["dead"][0], help=QUALITY["dead"][1], format="percent"),
        "d": st.column_config.NumberColumn("Width", help="Width of the layer that was decomposed."),
        "n_latents": st.column_config.NumberColumn("Latents", help="Size of the dictionary."),
        "k": st.column_config.NumberColumn("k", help="Most latents that may be active at once."),
        "run_id": "Train run",
        "model_uri": "Registered model",
    },
)["selection"]
st.caption("Click an SAE to see its features.")
download_buttons(table, f"SAEs {run['suite']} {run['dataset']} {run['run_id'][:8]}")
if rows := [*chosen["rows"], *(row for row, _ in chosen["cells"])]:
    sae = table.iloc[rows[0]]
    st.switch_page("pages_features.py", query_params={"run": str(sae["run_id"]), "layer": str(sae["layer"])})
with st.expander("How to read this table"):
    for title, text in QUALITY.values():
        st.markdown(f"**{title}.** {text}")
