"""The memory of the page on runs, bounded."""

import streamlit as st

import registry
from apps import cache, run_diff


@st.cache_data(max_entries=64, show_spinner="Reading the run ...")
def details(store: str, run_id: str, status: str) -> registry.RunDetails:
    """Return `registry.run_details` of a run with this status; a running one is read anew every few seconds."""
    return registry.run_details(run_id)


@st.cache_data(max_entries=32, show_spinner="Reading the error ...")
def error_text(store: str, run_id: str) -> str:
    """Return `registry.error_text` of a run that failed."""
    return registry.error_text(run_id)


def noise_of_cells(store: str, run_id: str, status: str) -> dict[str, float]:
    """Return `run_diff.noise_of_cells` of a compare run, none where it has no table of cells."""
    try:
        return run_diff.noise_of_cells(cache.table(store, run_id, status, "matrix.parquet"))
    except ValueError:
        return {}
