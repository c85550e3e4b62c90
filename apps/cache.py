"""The app's memory: `apps.data` behind Streamlit's cache.

A run's tables never change once it has ended, so they are kept by run id and status; the list of runs is read anew
every few seconds. Errors are not remembered.
"""

import pandas as pd
import streamlit as st

from apps import data

FRESH = 10
"""Seconds that the list of runs is kept."""


@st.cache_data(ttl=FRESH, show_spinner=False)
def run_list(store: str) -> pd.DataFrame:
    """Return `data.run_list` of a store."""
    return data.run_list()


@st.cache_data(max_entries=64, show_spinner="Reading the cells ...")
def cells(store: str, run_id: str, status: str) -> pd.DataFrame:
    """Return `data.cells` of a run with this status."""
    return data.cells(run_id)


@st.cache_data(max_entries=64, show_spinner="Reading the SAEs ...")
def saes(store: str, run_id: str, status: str) -> pd.DataFrame:
    """Return `data.saes` of a run with this status."""
    return data.saes(run_id)


@st.cache_data(max_entries=64, show_spinner="Reading the leaderboard ...")
def leaderboard(store: str, run_id: str, status: str) -> pd.DataFrame:
    """Return `data.leaderboard` of a run with this status."""
    return data.leaderboard(run_id)
