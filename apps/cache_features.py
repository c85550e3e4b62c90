"""The memory of the pages on features, all bounded: train runs never change, so their ids are the keys."""

import pandas as pd
import streamlit as st

import registry
from apps import cache, feature, features, lists
from benchmark.features import Features

NEWEST = 20
"""Comparisons of a suite and dataset that are searched for a train run, newest first."""


@st.cache_data(max_entries=256, show_spinner=False)
def layers(store: str, run_id: str) -> list[int]:
    """Return `features.layers` of a train run."""
    return features.layers(run_id)


@st.cache_resource(max_entries=8, show_spinner="Reading the features ...")
def summary(store: str, run_id: str, layer: int) -> pd.DataFrame:
    """Return `features.summary` of a layer; it must not be changed."""
    return features.summary(run_id, layer)


@st.cache_resource(max_entries=8, show_spinner="Reading the captions ...")
def words(store: str, run_id: str, layer: int) -> features.Words:
    """Return `features.words` of a layer; they must not be changed."""
    return features.words(run_id, layer)


@st.cache_data(max_entries=8, ttl=lists.FRESH, show_spinner=False)
def names(store: str, run_id: str, layer: int) -> pd.DataFrame:
    """Return `features.names` of a layer, which may get others at any time."""
    return features.names(run_id, layer)


@st.cache_data(max_entries=128, show_spinner=False)
def thumbnails(store: str, run_id: str, images: tuple[int, ...]) -> dict[int, bytes]:
    """Return `registry.thumbnails` of a train run, none where it has none; raises `registry.Damaged`."""
    try:
        return registry.thumbnails(run_id, images)
    except registry.Damaged:
        raise
    except ValueError:
        return {}


@st.cache_data(max_entries=512, show_spinner=False)
def samples(store: str, run_id: str, layer: int, number: int) -> list[feature.Sample]:
    """Return `feature.samples` of a feature."""
    return feature.samples(run_id, layer, number)


@st.cache_resource(max_entries=3, show_spinner="Reading the activations ...")
def recorded(store: str, run_id: str, layer: int) -> Features:
    """Return the recorded features of a layer, tens of megabytes for large data."""
    return registry.features(run_id, layer)


@st.cache_data(max_entries=64, show_spinner="Looking for twins under other seeds ...")
def twins(store: str, run_id: str, layer: int, others: tuple[str, ...]) -> tuple[str, pd.DataFrame] | None:
    """Return the first of other train runs of one seed that holds twins of a layer, with `feature.twins`; None: none.

    Those that lack the layer, or have other samples or another size of dictionary, hold none.
    """
    own = recorded(store, run_id, layer)
    for other in others:
        try:
            return other, feature.twins(own, registry.features(other, layer))
        except ValueError:
            continue
    return None


@st.cache_data(max_entries=512, show_spinner=False)
def partners(store: str, found: feature.Comparison, encoder: str, layer: int, number: int) -> pd.DataFrame:
    """Return `feature.partners` of a feature."""
    return feature.partners(found, encoder, layer, number)


def comparison(store: str, runs: pd.DataFrame, run_id: str, suite: str, dataset: str) -> feature.Comparison | None:
    """Return the newest comparison of a suite and dataset that used a train run, if any of the newest did."""
    of_suite = runs[
        (runs["kind"] == "compare") & (runs["suite"] == suite) & (runs["dataset"] == dataset)
        & runs["status"].isin(["FINISHED", "FAILED"])
    ]  # fmt: skip
    for row in of_suite.head(NEWEST).to_dict("records"):
        try:
            saes = cache.table(store, row["run_id"], row["status"], "saes.parquet")
        except ValueError:  # a run that failed before it compared anything
            continue
        if found := feature.comparison(row["run_id"], saes, run_id):
            return found
    return None


def compared(store: str, runs: pd.DataFrame, suite: str, dataset: str) -> list[str]:
    """Return the train runs behind the newest finished comparison of a suite and dataset; none where there is none."""
    found = runs[runs["kind"] == "compare"]
    found = found[(found["status"] == "FINISHED") & (found["suite"] == suite) & (found["dataset"] == dataset)]
    for row in found.head(1).to_dict("records"):
        try:
            saes = cache.table(store, row["run_id"], row["status"], "saes.parquet")
            return [str(run_id) for run_id in saes["run_id"].unique()]
        except ValueError:
            break
    return []
