"""Page: every run of the store, with what became of it."""

import streamlit as st

from apps import data
from apps.layout import STORE, all_runs

COLUMNS = [
    "kind",
    "suite",
    "dataset",
    "encoder",
    "seed",
    "status",
    "start",
    "seconds",
    "message",
    "link",
    "run_id",
    "name",
]

st.title("Runs")
runs = all_runs()
if runs.empty:
    st.info("There is no run in this store yet. This command makes some:")
    st.code("make compare", language="bash")
    st.stop()
counts = runs["status"].value_counts()
st.caption(
    f"{len(runs):,} runs: " + ", ".join(f"{count:,} {str(status).lower()}" for status, count in counts.items()) + "."
)
links = data.run_links(st.session_state[STORE], runs)
config = {
    "start": st.column_config.DatetimeColumn("start (UTC)", format="YYYY-MM-DD HH:mm:ss", timezone="UTC"),
    "seconds": st.column_config.NumberColumn("duration (s)", format="%.1f"),
    "run_id": st.column_config.TextColumn("run id", width="medium"),
    "message": st.column_config.TextColumn("error", width="medium"),
}
if links is not None:
    runs = runs.assign(link=links)
    config["link"] = st.column_config.LinkColumn("MLflow", display_text="open")
st.dataframe(
    runs, hide_index=True, column_order=[name for name in COLUMNS if name in runs], column_config=config, placeholder=""
)
if links is None:
    st.caption("To look into a run, start the MLflow interface and search for its id:")
    st.code("make ui", language="bash")
