"""The section on consistency: what another dataset would have said, at the same number of samples."""

import streamlit as st

from apps import charts_datasets, tables
from apps.charts import LARGE
from apps.layout import choose_run, optional_table, read_table
from apps.plots import draw
from benchmark.metrics.describe import consistency

DIGITS = 3
FORMS = {"features": "%.1f", "share_freedom": "%.0f", "weighted_share_freedom": "%.0f"}


def show_consistency() -> None:
    """Show how the cells of two datasets differ, and what that does to the findings."""
    run = choose_run("consistency", "comparison across datasets", "python -m benchmark consistency")
    differences = read_table(run, "differences.parquet")
    both = dict.fromkeys(zip(differences["first"], differences["second"], strict=True))
    names = {f"{first} and {second}": (first, second) for first, second in both}
    chosen = st.selectbox("Datasets", list(names), key="datasets", bind="query-params")
    first, second = names[chosen]
    part = differences[(differences["first"] == first) & (differences["second"] == second)]
    st.caption("All datasets are cut to the same number of samples, and each has SAEs of its own.")
    # Many encoders need the whole width for the numbers in their cells.
    few = part["source"].nunique() <= LARGE
    left, right = st.columns(2, gap="large") if few else (st.container(), st.container())
    with left:
        st.subheader("Cell by cell")
        draw(charts_datasets.scatter, part, first, second, DIGITS, key="scatter",
             alt=f"Value of every cell on {first} against {second}.")  # fmt: skip
    with right:
        st.subheader("Difference")
        title = f"{second} minus {first}"
        draw(charts_datasets.difference_matrix, part, title, DIGITS, key="difference",
             alt=f"Difference of every cell, {title}.")  # fmt: skip
        st.caption("Numbers where the 95 % interval of the difference excludes 0.")
    for name, title, caption, words in (
        ("datasets", "Cross-modal alignment", "The mean of the cells between image and text encoders.",
         consistency.DATASETS),
        ("agreement", "Agreement of the matrices", "Over all cells, beside the agreement of two seeds.",
         consistency.AGREEMENT),
        ("typology", "Do the same kinds of features stand out?", "Comparative Sharedness on each dataset.",
         consistency.TYPOLOGY),
    ):  # fmt: skip
        table = optional_table(run, f"{name}.parquet")
        if table is not None:
            st.subheader(title)
            st.caption(caption)
            tables.show(table, words, f"{name} across datasets", DIGITS, FORMS)
    st.subheader("All differences")
    tables.show(part, consistency.DIFFERENCES, f"differences {chosen}", DIGITS)
