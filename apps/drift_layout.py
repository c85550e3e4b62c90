"""The section on drift: how far the variants of a dataset move its results."""

import pandas as pd
import streamlit as st

from apps import charts_drift, drift, tables
from apps.layout import choose_run, escaped, optional_table, read_table
from apps.plots import draw
from benchmark.metrics.describe import AGGREGATES
from benchmark.metrics.describe import drift as words

DIGITS = 3
SHOWN = 40
"""Cells of a variant that are drawn."""


def show_drift() -> None:
    """Show the changes of all cells, of the features themselves, and of Comparative Sharedness."""
    run = choose_run("drift", "comparison of variants", "python -m benchmark drift", "drift")
    changes = read_table(run, "changes.parquet")
    aggregates = list(dict.fromkeys(changes["aggregate"]))
    aggregate = aggregates[-1]
    if len(aggregates) > 1:
        aggregate = st.selectbox(
            "Layers", aggregates, index=len(aggregates) - 1, key="drift_layers", bind="query-params",
            format_func=lambda name: AGGREGATES.get(name, (name,))[0],
        )  # fmt: skip
    _changes(drift.told(changes[changes["aggregate"] == aggregate]))
    same = optional_table(run, "correspondence.parquet")
    if same is not None:
        _correspondence(same)
    _sharedness(optional_table(run, "delta.parquet"), optional_table(run, "delta_features.parquet"))


def _changes(told: pd.DataFrame) -> None:
    """Show how every cell changed, variant by variant."""
    variants = [str(name) for name in dict.fromkeys(told["variant"])]
    summary = drift.summary(told, variants)
    st.caption(
        f"Every cell of the matrix on each variant against the plain data, {int(told.n_samples.min()):,} samples each, "
        "SAEs trained anew. Orange cells moved: their change is more than other seeds and samples make (q up to 0.05). "
        "Blue ones are within that noise, grey ones are not tested."
    )
    tables.show(summary, words.SUMMARY, "drift summary", DIGITS)
    top = 1.05 * max(float(told[["change", "low", "high"]].abs().max().max()), 0.01)
    # Two in a row, each row of its own: a narrow screen then keeps the order.
    sides = [side for _ in range(0, len(variants), 2) for side in st.columns(2, gap="large")]
    for i, (row, side) in enumerate(zip(summary.to_dict("records"), sides, strict=False)):
        with side:
            st.markdown(f"**{escaped(row['variant'])}**: {row['moved']} of {row['tested']} moved")
            every = told[told["variant"] == row["variant"]]
            part = drift.largest(every, SHOWN)
            draw(
                charts_drift.changes, part, top, DIGITS, key=f"drift-{i}",
                alt=f"Change of {len(part)} cells on {row['variant']}; the table below has those of all.",
            )  # fmt: skip
            if len(part) < len(every):
                st.caption(f"Cells that moved, then the largest changes: {len(part)} of {len(every)} cells.")
    if (told["outcome"] == drift.FIXED).any():
        st.caption("Grey cells at 0 cannot change: their encoders read nothing that differs.")
    with st.expander("All changes"):
        tables.show(told.drop(columns=["cell", "own"]), words.CHANGES, "drift changes", DIGITS)


def _correspondence(same: pd.DataFrame) -> None:
    """Show how much of the features themselves is found again."""
    st.subheader("Are the features the same?")
    st.caption(
        "How much of each encoder's features on the plain data is found again in the SAEs of a variant, over the "
        "samples that both have. Grey is the ceiling: other seeds on the plain data. Compare circles with circles."
    )
    draw(
        charts_drift.correspondence, same, DIGITS, key="correspondence",
        alt="Share of each encoder's features found again on every variant, with its interval.",
    )  # fmt: skip
    with st.expander("As a table"):
        tables.show(same, words.CORRESPONDENCE, "drift correspondence", DIGITS)


def _sharedness(delta: pd.DataFrame | None, features: pd.DataFrame | None) -> None:
    """Show how Comparative Sharedness changed as a whole, and feature by feature."""
    if delta is not None:
        st.subheader("Comparative Sharedness")
        st.caption(
            "The mean of ρ² to the group that shares minus ρ² to the one that lacks it, weighted by total activation, "
            "cross-fitted, on the plain data and on each variant."
        )
        tables.show(delta, words.DELTA, "drift sharedness", DIGITS)
    if features is not None:
        st.subheader("Comparative Sharedness, feature by feature")
        st.caption(
            "Does a feature's partner on the variant have the same Delta? The rows of the plain data, whose partners "
            "are of another seed, are the ceiling."
        )
        tables.show(features, words.DELTA_FEATURES, "drift sharedness features", DIGITS)
