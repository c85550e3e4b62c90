"""One feature on its page: its name, samples and activations; what it is matched with is in `feature_matches`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from apps import cache_features, charts_features, feature, features, lists, tables
from apps.feature_matches import show_partners, show_twins
from apps.gallery import FEATURES_PAGE, gallery
from apps.layout import STORE, compared_on, escaped, sentence, trained_on
from apps.plots import draw
from benchmark.metrics.describe.features import ACTIVATIONS, NAMING, SUMMARY

ADDRESS = ("run", "layer", "feature")
NAMED = ("run_id", "encoder", "seed", "layer", "feature", "name")
"""Columns of a table of names that are no evidence."""


def _chosen() -> tuple[dict[str, Any], int, int]:
    """Return the run, layer and feature that the address names, or say in one sentence what is wrong with it."""
    run_id, layer, number = (st.query_params.get(name, "") for name in ADDRESS)
    found = features.train_runs(lists.by_id(st.session_state[STORE], [run_id]))
    if len(found) and layer.isdecimal() and number.isdecimal():
        return {str(key): value for key, value in found.iloc[0].items()}, int(layer), int(number)
    if len(found):
        st.warning("The address of a feature names a run, a layer and a feature, the latter two by their numbers.")
    else:
        sentence(st.warning, f"Run {run_id} is no finished train run of this store, or was deleted")
    st.page_link(FEATURES_PAGE, label="All features", icon=":material/arrow_back:")
    st.stop()


def show_feature() -> None:
    """Show the feature that the page's address names (`?run=ID&layer=L&feature=N`)."""
    store, asked = st.session_state[STORE], st.query_params.get("feature", "")
    st.title(f"Feature {asked}" if asked.isdecimal() else "Feature")
    run, layer, number = _chosen()
    # A link from this page to itself would leave the address of the feature before in the browser.
    st.query_params.update({name: st.query_params[name] for name in ADDRESS})
    if st.button("All features of this layer", icon=":material/arrow_back:"):
        del st.query_params["feature"]
        st.rerun()
    place = run["suite"], run["dataset"]
    found = cache_features.comparison(store, compared_on(*place), run["run_id"], *place)
    where = (run["encoder"], f"seed {run['seed']}", f"layer {layer}", run["dataset"], f"suite {run['suite']}")
    st.caption(escaped(" · ".join([*where, f"train run {run['run_id'][:8]}"])))
    try:
        table = cache_features.summary(store, run["run_id"], layer)
        recorded = cache_features.recorded(store, run["run_id"], layer)
        values = feature.activations(recorded, number)
        samples = cache_features.samples(store, run["run_id"], layer, number)
    except ValueError as error:
        sentence(st.error, str(error))
        st.stop()
    if not (table["feature"] == number).any():
        always = "at one value on every sample" if len(values) else "on no sample"
        st.info(f"This feature is constant: it is active {always}, and says nothing.")
        st.stop()
    _names(run["run_id"], layer, number)
    _figures(table, number, recorded.n_samples)
    st.subheader("Samples")
    modality = found.modality.get(run["encoder"], "") if found else ""
    if modality == "text" and any(sample.jpeg for sample in samples):
        st.caption("This encoder reads the captions; the images that belong to them are shown for orientation.")
    elif modality == "image" and any(sample.caption for sample in samples):
        st.caption("This encoder sees the images; the captions that belong to them are shown for orientation.")
    _levels(samples)
    st.subheader("Activations")
    _activations(values, f"activations {run['encoder']} layer {layer} feature {number}")
    show_partners(found, run, layer, number)
    show_twins(feature.other_seeds(trained_on(*place), run["run_id"], found.runs if found else ()), run, layer, number)


def _figures(table: pd.DataFrame, number: int, n_samples: int) -> None:
    """Show how often and how strongly a feature of a layer's table is active."""
    figures = table[table["feature"] == number].iloc[0]
    row = st.container(horizontal=True)
    row.metric(
        SUMMARY["density"][0], f"{figures['density']:.2%}", help=SUMMARY["density"][1], width=200,
        delta=f"{int(figures['frequency']):,} of {n_samples:,} samples", delta_color="off", delta_arrow="off",
    )  # fmt: skip
    row.metric(SUMMARY["mean_active"][0], f"{figures['mean_active']:.3f}", help=SUMMARY["mean_active"][1], width=200)
    row.metric(
        SUMMARY["S"][0], f"{figures['S']:,.1f}", help=SUMMARY["S"][1], width=200,
        delta=f"{figures['S'] / table['S'].sum():.2%} of the layer's", delta_color="off", delta_arrow="off",
    )  # fmt: skip


def _activations(values: NDArray[np.float32], title: str) -> None:
    """Show how a feature's activations are distributed."""
    bins = feature.histogram(values)
    draw(
        charts_features.activations, bins, feature.quarters(values), key="activations",
        alt=f"Histogram of {len(values):,} activations between 0 and {values.max():.3f}.",
    )  # fmt: skip
    st.caption("Samples on which the feature is active; dashed: the quartiles of its activations.")
    with st.expander("As a table"):
        tables.show(bins, ACTIVATIONS, title)


def _levels(samples: Sequence[feature.Sample]) -> None:
    """Show a feature's samples, those of the strongest activations first."""
    found = {level: [sample for sample in samples if sample.level == level] for level in feature.LEVELS}
    sides = iter(range(len(found)))
    halves: Sequence[Any] = ()
    for level, part in found.items():
        if not part:
            continue
        at = next(sides)
        if at % 2 == 1:  # after the strongest ones, two levels side by side
            halves = st.columns(2)
        with halves[(at - 1) % 2] if at else st.container():
            title, text = feature.LEVELS[level]
            st.markdown(f"**{title}**", help=text)
            gallery(part, [sample.value for sample in part], wrap=True)


def _names(run_id: str, layer: int, number: int) -> None:
    """Show the feature's name with its evidence, where it has one."""
    named = cache_features.names(st.session_state[STORE], run_id, layer)
    named = named[named["feature"] == number]
    if named.empty:
        return
    row = named.iloc[0]
    st.markdown(f"Name: **{escaped(str(row['name']))}**" if row["name"] else "This feature has no name above chance.")
    evidence = named.head(1).drop(columns=[key for key in NAMED if key in named])
    if len(evidence.columns):
        tables.show(evidence, NAMING, f"name {run_id[:8]} layer {layer} feature {number}")
