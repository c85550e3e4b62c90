"""The app's memory: `apps.data` behind Streamlit's cache.

A run's tables never change once it has ended, so they are kept by run id and status; the list of runs is read anew
every few seconds. Errors are not remembered.
"""

import threading
import time
from dataclasses import dataclass, field

import pandas as pd
import streamlit as st

import registry
from apps import data, pair

FRESH = 10
"""Seconds that the list of runs is kept."""
PATIENCE = 10
"""The list is kept at least so many times as long as it takes to read."""
NEWEST = 5
"""Comparisons of layers that are searched for a pair, newest first."""


@dataclass
class _Listed:
    """The runs of a store, when they were read and how many seconds that took."""

    runs: pd.DataFrame | None = None
    read: float = 0.0
    taken: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


@st.cache_resource(max_entries=8, show_spinner=False)
def _listed(store: str) -> _Listed:
    return _Listed()


def run_list(store: str) -> pd.DataFrame:
    """Return `data.run_list` of a store, at most `FRESH` seconds old, or `PATIENCE` times what reading it takes.

    A server with thousands of runs takes seconds to list them, which no page is to wait for again and again.
    """
    kept = _listed(store)
    with kept.lock:  # sessions that come while it is read wait for that one
        if kept.runs is None or time.monotonic() - kept.read > max(FRESH, PATIENCE * kept.taken):
            begun = time.monotonic()
            kept.runs = data.run_list()
            kept.read = time.monotonic()
            kept.taken = kept.read - begun
        return kept.runs.copy()


@st.cache_data(max_entries=256, show_spinner="Reading a table ...")
def table(store: str, run_id: str, status: str, name: str) -> pd.DataFrame:
    """Return `data.table` of a run with this status."""
    return data.table(run_id, name)


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
