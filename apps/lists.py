"""Lists of runs, behind a cache: all runs of a database, and of a server no more than a page needs.

A database lists thousands of runs within a second, a server takes milliseconds for every run and metric: of a server,
runs of one kind, or of one kind, suite and dataset, are asked for, the newest of them first.
"""

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd
import streamlit as st

import registry
from apps import data

FRESH = 10
"""Seconds that a list is kept."""
PATIENCE = 10
"""A list is kept at least so many times as long as it takes to read."""
SLOW = 0.5
"""Seconds of reading from which on nobody waits for a list that is already known, within `STALE` seconds."""
STALE = 300
LIMIT = 100
"""Runs of one kind that are asked of a server at first, as comparisons have hundreds of metrics."""


class Asked(NamedTuple):
    """Which runs of a store are asked for; None: any."""

    kind: str | None = None
    suite: str | None = None
    dataset: str | None = None
    limit: int | None = None
    ids: tuple[str, ...] | None = None


class Found(NamedTuple):
    """Runs, newest first, and whether they are all that there are."""

    runs: pd.DataFrame
    whole: bool


@dataclass
class _Kept:
    """A list of runs, when it was read and how many seconds that took."""

    runs: pd.DataFrame | None = None
    read: float = 0.0
    taken: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_fresh(self) -> bool:
        """Whether the list was read lately."""
        return time.monotonic() - self.read <= max(FRESH, PATIENCE * self.taken)


@st.cache_resource(max_entries=32, show_spinner=False)
def _kept(store: str, asked: Asked) -> _Kept:
    return _Kept()


def _listed(store: str, asked: Asked) -> pd.DataFrame:
    """Return `data.run_list` of a store, at most `FRESH` seconds old, or `PATIENCE` times what reading it takes.

    A list that took long to read is read anew in the background, while the old one is shown, for up to `STALE` seconds.
    """
    kept = _kept(store, asked)
    if kept.runs is not None and kept.is_fresh():
        return kept.runs.copy()
    old = kept.runs
    if old is not None and kept.taken > SLOW and time.monotonic() - kept.read < STALE:
        if kept.lock.acquire(blocking=False):  # else somebody reads it already
            threading.Thread(target=_read_behind, args=(kept, asked), daemon=True).start()
        return old.copy()
    with kept.lock:  # sessions that come while it is read wait for that one
        if kept.runs is None or not kept.is_fresh():
            with st.spinner("Listing the runs ..."):
                _read(kept, asked)
        assert kept.runs is not None
        return kept.runs.copy()


def _read(kept: _Kept, asked: Asked) -> None:
    begun = time.monotonic()
    tags = {"kind": asked.kind, "suite": asked.suite, "dataset": asked.dataset}
    # MLflow's search cannot ask for a value with a quote: those runs are found among the others.
    kept.runs = data.run_list(
        limit=asked.limit, ids=asked.ids, **{key: tag for key, tag in tags.items() if tag and "'" not in tag}
    )
    kept.read = time.monotonic()
    kept.taken = kept.read - begun


def _read_behind(kept: _Kept, asked: Asked) -> None:
    try:
        with contextlib.suppress(registry.StoreError):  # every page asks whether the store is there, and says so
            _read(kept, asked)
    finally:
        kept.lock.release()


def run_list(
    store: str, kind: str | None = None, suite: str | None = None, dataset: str | None = None, limit: int = LIMIT
) -> Found:
    """Return the runs of a kind, suite and dataset (None: any): of a database all, of a server the newest `limit`."""
    if registry.lists_quickly():
        found, whole = _listed(store, Asked()), True
    else:
        found = _listed(store, Asked(kind, suite, dataset, limit + 1))
        found, whole = found.head(limit), len(found) <= limit
    for column, value in (("kind", kind), ("suite", suite), ("dataset", dataset)):
        if value is not None:
            found = found[found[column] == value]
    return Found(found.reset_index(drop=True), whole)


def by_id(store: str, ids: list[str]) -> pd.DataFrame:
    """Return those of some runs that are there."""
    wanted = tuple(sorted(set(ids)))
    found = _listed(store, Asked() if registry.lists_quickly() else Asked(ids=wanted))
    return found[found["run_id"].isin(wanted)].reset_index(drop=True)
