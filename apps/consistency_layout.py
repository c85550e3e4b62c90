"""The section on consistency: what another dataset would have said, at the same number of samples."""

import streamlit as st

from apps import charts_datasets
from apps.layout import choose_run, described, download_buttons, optional_table, read_table
from apps.plots import draw

DIGITS = 3
COLUMNS: dict[str, tuple[str, str]] = {
    "alignment": ("Alignment", "The mean cross-fitted wMPPC of the cells between image and text encoders."),
    "naive": ("Naive", "The same mean of the naive wMPPC."),
    "chance": ("Chance level", "The same mean of the chance level of the naive value."),
    "untrained": ("Untrained floor", "The same mean between SAEs as they were before training."),
    "ceiling": ("Ceiling", "The mean of the diagonal: encoders against themselves under other seeds."),
    "relative": ("Of the ceiling", "The mean of these cells' values over the geometric mean of both ceilings."),
    "mean_difference": ("Mean difference", "Of the cells, second dataset minus first."),
    "rms": ("Root mean square", "Of the cells' differences."),
    "sd_beyond_noise": ("Beyond noise", "Standard deviation of the differences that seeds and samples do not explain."),
    "kendall_tau": ("Kendall's tau", "Agreement of the order of the cells."),
    "between_seeds": ("Between seeds", "The correlation of two seeds' matrices within a dataset: the ceiling."),
    "correlation": ("Correlation", "Of the cells of both matrices."),
    "p_value": ("p", "Mantel's test of the correlation: encoders shuffled."),
    "share": ("Share", "Of the live features, those with a positive Delta of held-out correlations."),
    "weighted_share": ("Weighted share", "The same weighted by total activation."),
    "share_by_chance": ("By chance", "The share over all ways of calling as many encoders by either kind."),
    "weighted_share_by_chance": ("Weighted, by chance", "The same weighted by total activation."),
    "first_value": ("First", "Cross-fitted wMPPC on the first dataset."),
    "second_value": ("Second", "Cross-fitted wMPPC on the second dataset."),
    "difference": ("Difference", "Second dataset minus first."),
    "error": ("Error", "The standard error: seeds and samples."),
    "low": ("Low", "The lower end of the 95 % interval."),
    "high": ("High", "The upper end of the 95 % interval."),
}
"""Numeric columns of the tables below and what they say."""


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
    left, right = st.columns(2, gap="large")
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
    for name, title, words in (
        ("datasets", "Cross-modal alignment", "The mean of the cells between image and text encoders."),
        ("agreement", "Agreement of the matrices", "Over all cells, beside the agreement of two seeds."),
        ("typology", "Do the same kinds of features stand out?", "Comparative Sharedness on each dataset."),
    ):
        table = optional_table(run, f"{name}.parquet")
        if table is not None:
            st.subheader(title)
            st.caption(words)
            st.dataframe(table, hide_index=True, placeholder="–", column_config=described(COLUMNS, f"%.{DIGITS}f"))
            download_buttons(table, f"{name} across datasets", DIGITS)
    st.subheader("All differences")
    st.dataframe(part, hide_index=True, placeholder="–", column_config=described(COLUMNS, f"%.{DIGITS}f"))
    download_buttons(part, f"differences {chosen}", DIGITS)
