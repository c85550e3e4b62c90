"""Entry point of the app: `streamlit run apps/app.py`."""

import os

import streamlit as st

from apps.address import arrive
from apps.layout import STORE, sentence
from registry import StoreError, connect

# MLflow asks a server that does not answer for minutes; whoever looks at a page wants to be told.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

# Streamlit loads the pictures of its own icons from the network.
ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><g fill-opacity="0.8">
<circle cx="11" cy="16" r="10" fill="#0072B2"/><circle cx="21" cy="16" r="10" fill="#D55E00"/></g></svg>"""

st.set_page_config(page_title="Shared concepts", page_icon=ICON, layout="wide")
page = st.navigation(
    [
        st.Page("pages_leaderboard.py", title="Leaderboard", icon=":material/leaderboard:", default=True),
        st.Page("pages_matrix.py", title="Matrix", url_path="matrix", icon=":material/grid_on:"),
        st.Page("pages_pair.py", title="Pair", url_path="pair", icon=":material/compare_arrows:"),
        st.Page("pages_layers.py", title="Layers", url_path="layers", icon=":material/layers:"),
        st.Page("pages_sharedness.py", title="Sharedness", url_path="sharedness", icon=":material/join_inner:"),
        st.Page("pages_features.py", title="Features", icon=":material/lightbulb:", url_path="features"),
        st.Page("pages_stability.py", title="Stability", url_path="stability", icon=":material/casino:"),
        st.Page("pages_datasets.py", title="Datasets", url_path="datasets", icon=":material/dataset:"),
        st.Page("pages_saes.py", title="SAEs", url_path="saes", icon=":material/compress:"),
        st.Page("pages_runs.py", title="Runs", url_path="runs", icon=":material/list:"),
    ]
)
arrive(page.url_path)
opened = False
try:
    with st.spinner("Opening the store ..."):
        st.session_state[STORE] = connect(read_only=True)
    opened = True
    page.run()
except StoreError as error:  # also of a server that goes away while a page reads
    if not opened:
        st.title(page.title)
    sentence(st.error, str(error))
    st.button("Try again", icon=":material/refresh:")
