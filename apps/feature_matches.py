"""What one feature is matched with: the best match in every other encoder, and its twins under other seeds."""

from typing import Any

import streamlit as st

from apps import cache_features, charts_features, feature, tables
from apps.gallery import feature_link, gallery
from apps.layout import STORE, escaped, sentence
from apps.plots import draw
from benchmark.metrics.describe.features import MATCHES

CARDS = 6
"""Most encoders whose matches are shown with their samples at first."""
BESIDE = 4
"""Samples of a feature that is shown beside another one."""


def show_partners(found: feature.Comparison | None, run: dict[str, Any], layer: int, number: int) -> None:
    """Show the best match of the feature in every other encoder."""
    st.subheader("Best match in each encoder")
    encoder = run["encoder"]
    if found is None:
        st.info(
            "No comparison of this suite and dataset used this train run, so no matches are recorded. This makes one:"
        )
        st.code("make compare", language="bash")
        return
    if found.first.get(encoder) != run["run_id"]:
        st.info("Matches are recorded under the first seed of every encoder; its twin of that seed, below, has them.")
        return
    table = cache_features.partners(st.session_state[STORE], found, encoder, layer, number)
    if table.empty:
        st.info("The newest comparison of this train run recorded no matches of this feature.")
        return
    st.caption("Correlations over the samples of the newest comparison; the surest match first.")
    shown = table
    if len(table) > CARDS:
        draw(
            charts_features.partners, table, key="partners",
            alt=f"Correlation with the best match in each of {len(table)} encoders; the table below has the same.",
        )  # fmt: skip
        if not st.toggle(f"Samples of the matches in all {len(table)} encoders", key="all", bind="query-params"):
            shown = table.head(CARDS)
    sides = st.columns(2)
    for i, row in enumerate(shown.to_dict("records")):
        with sides[i % 2]:
            words = f"held-out correlation **{row['held_out_rho']:.2f}** · correlation {row['rho']:.2f}"
            _beside(row["encoder"], row["run_id"], row["partner_layer"], row["partner"], words)
    with st.expander("As a table"):
        shown = table.drop(columns="run_id")
        tables.show(shown, MATCHES, f"matches {encoder} layer {layer} feature {number}")


def show_twins(others: dict[str, list[str]], run: dict[str, Any], layer: int, number: int) -> None:
    """Show the most correlated feature under every other seed."""
    st.subheader("Seed twins", help="The most correlated feature of the same layer under another seed.")
    if not others:
        st.info("There is no other seed of this encoder in the store. This trains five:")
        st.code("python -m benchmark train --seeds 0,1,2,3,4", language="bash")
        return
    rows, missing = [], []
    for seed, run_ids in others.items():
        held = cache_features.twins(st.session_state[STORE], run["run_id"], layer, tuple(run_ids))
        if held is None:
            missing.append(seed)
            continue
        own = held[1][held[1]["feature"] == number].to_dict("records")
        rows += [{"seed": seed, "run_id": held[0], **{str(key): value for key, value in item.items()}} for item in own]
    if missing:
        st.caption(escaped(f"Seeds without the same layer, samples and size of dictionary: {', '.join(missing)}."))
    sides = st.columns(2)
    for i, row in enumerate(rows):
        with sides[i % 2]:
            words = f"correlation **{row['rho']:.2f}**" + (" · each other's best" if row["mutual"] else "")
            _beside(f"seed {row['seed']}", row["run_id"], layer, row["twin"], words)


def _beside(title: str, run_id: str, layer: int, number: int, words: str) -> None:
    """Show another feature beside this one: a link to it, how well it matches, and its strongest samples."""
    with st.container(border=True):
        feature_link(st, f"{escaped(title)} · layer {layer} · feature {number}", run_id, layer, number)
        st.markdown(words)
        try:
            found = cache_features.samples(st.session_state[STORE], run_id, layer, number)
        except ValueError as error:
            sentence(st.caption, str(error))
            return
        strongest = [sample for sample in found if sample.level == "top"][:BESIDE]
        gallery(strongest, [sample.value for sample in strongest])
