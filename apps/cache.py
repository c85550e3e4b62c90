"""The app's memory: `apps.data` behind Streamlit's cache.

A run's tables never change once it has ended, so they are kept by run id and status; lists of runs are in `apps.lists`.
Errors are not remembered.
"""

import pandas as pd
import streamlit as st

import registry
from apps import board, data, pair

NEWEST = 5
"""Comparisons of layers that are searched for a pair, newest first."""


@st.cache_data(max_entries=256, show_spinner="Reading a table ...")
def table(store: str, run_id: str, status: str, name: str) -> pd.DataFrame:
    """Return `data.table` of a run with this status."""
    return data.table(run_id, name)


@st.cache_data(max_entries=64, show_spinner=False)
def wide_board(leaderboard: pd.DataFrame, saes: pd.DataFrame, seed: str = "") -> pd.DataFrame:
    """Return `board.wide` of the tables of a comparison."""
    return board.wide(leaderboard, saes, seed)


@st.cache_data(max_entries=256, show_spinner="Reading the partners ...")
def matches(
    store: str, run_id: str, sides: tuple[pair.Part, pair.Part], limit: int, fewest: int, widest: float
) -> pd.DataFrame:
    """Return `pair.matches` of a compare run, whose tables never change."""
    return pair.matches(run_id, *sides, limit=limit, fewest=fewest, widest=widest)


@st.cache_data(max_entries=512, show_spinner=False)
def examples(
    store: str, run_id: str, layer: int, features: tuple[int, ...], count: int
) -> dict[int, list[registry.Example]]:
    """Return `registry.feature_examples` of a train run, whose artifacts never change."""
    return registry.feature_examples(run_id, layer, features, count)


@st.cache_data(max_entries=256, show_spinner="Reading the partners ...")
def partners(store: str, run_id: str, source: str, target: str) -> pd.DataFrame:
    """Return `registry.feature_partners` of a compare run, whose artifacts never change."""
    return registry.feature_partners(run_id, source, target)


def layers_of_pair(
    store: str, runs: pd.DataFrame, suite: str, dataset: str, source: str, target: str
) -> list[pd.DataFrame]:
    """Return `pair.layer_cells` of the newest comparison of layers that has this pair, [] where none has."""
    for row in pair.layer_runs(runs, suite, dataset).head(NEWEST).to_dict("records"):
        try:
            found = pair.layer_cells(table(store, row["run_id"], row["status"], "layers.parquet"), source, target)
        except ValueError:  # a run that failed to leave its tables
            continue
        if found:
            return found
    return []
