"""Page: what another dataset, or a variant of one, would have said."""

import streamlit as st

from apps import charts_datasets, data
from apps.layout import all_runs, choose_run, download_buttons, empty_store, optional_table, read_table

DIGITS = 3

st.title("Datasets")
if data.runs_of(all_runs(), "consistency").empty and data.runs_of(all_runs(), "drift").empty:
    empty_store("comparison across datasets", "python -m benchmark consistency")
if not data.runs_of(all_runs(), "consistency").empty:
    run = choose_run("consistency", "comparison across datasets", "python -m benchmark consistency")
    differences = read_table(run, "differences.parquet")
    both = dict.fromkeys(zip(differences["first"], differences["second"], strict=True))
    names = {f"{first} and {second}": (first, second) for first, second in both}
    chosen = st.selectbox("Datasets", list(names), key="datasets", bind="query-params")
    first, second = names[chosen]
    part = differences[(differences["first"] == first) & (differences["second"] == second)]
    st.caption("All datasets are cut to the same number of samples, and each has SAEs of its own.")
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Cell by cell")
        st.altair_chart(charts_datasets.scatter(part, first, second, DIGITS), key="scatter",
                        alt=f"Value of every cell on {first} against {second}.")  # fmt: skip
    with right:
        st.subheader("Difference")
        title = f"{second} minus {first}"
        st.altair_chart(charts_datasets.difference_matrix(part, title, DIGITS), key="difference",
                        alt=f"Difference of every cell, {title}.")  # fmt: skip
        st.caption("Numbers where the 95 % interval of the difference excludes 0.")
    for name, title, words in (
        ("datasets", "Cross-modal alignment", "The mean of the cells between image and text encoders."),
        ("agreement", "Agreement of the matrices", "Over all cells, beside the agreement of two seeds."),
        ("typology", "Do the same kinds of features stand out?", "Comparative Sharedness on each dataset."),
    ):
        table = optional_table(run, f"{name}.parquet")
        if table is not None:
            st.subheader(title)
            st.caption(words)
            st.dataframe(table, hide_index=True, placeholder="–")
            download_buttons(table, f"{name} across datasets", DIGITS)
    st.subheader("All differences")
    st.dataframe(part, hide_index=True)
    download_buttons(part, f"differences {chosen}", DIGITS)
if not data.runs_of(all_runs(), "drift").empty:
    st.header("Drift")
    st.caption("Variants of one dataset: how far results move, in units of what another seed moves them.")
    run = choose_run("drift", "comparison of variants", "python -m benchmark drift")
    for name in ("summary", "cells", "correspondence", "sharedness"):
        table = optional_table(run, f"{name}.parquet")
        if table is not None:
            st.subheader(name.capitalize())
            st.dataframe(table, hide_index=True, placeholder="–")
            download_buttons(table, f"drift {name}", DIGITS)
