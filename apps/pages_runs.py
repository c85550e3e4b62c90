"""Page: every run of the store, what became of it, and how two of them differ."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

import registry
from apps import cache_runs, data, lists, run_diff, runs, tables
from apps.layout import STORE, TRAINED, download_buttons, empty_store, escaped, listed, runs_of, sentence
from benchmark.metrics.describe.logged import meaning

CHOSEN = "chosen"  # Parameter of the page's address: the runs that are looked at.
KEYS = {"kind": "job", "status": "status", "suite": "suite", "dataset": "data", "encoder": "encoder"}
FIRST = 500  # Runs that are asked of a server at first.
FEW = 1000  # Runs whose table is offered as files.


def choose_runs(everything: pd.DataFrame) -> pd.DataFrame:
    """Let the user filter the runs; say how many are shown."""
    row, picked = st.container(horizontal=True), {}
    text = row.text_input("Search", key="text", bind="query-params", icon=":material/search:", help="In any column.")
    for column, values in runs.options(everything).items():
        picked[column] = row.multiselect(runs.FILTERS[column], values, key=KEYS[column], bind="query-params")
    shown = runs.filtered(everything, picked, text)
    told = f": {escaped(runs.counts(shown))}" if len(shown) else ""
    st.caption(f"{len(shown):,} of {len(everything):,} runs{told}. Select one to look into it, two to compare them.")
    return shown


def columns(shown: pd.DataFrame) -> dict[str, Any]:
    """Return the configuration of the columns of the table of runs."""
    title, text = runs.COLUMNS["link"]
    forms = {"seconds": "%.1f", "silent": "%.0f"}
    found = tables.columns(shown, runs.COLUMNS, forms=forms, widths={"run_id": "medium", "message": "large"})
    return found | {"link": st.column_config.LinkColumn(title, help=text, display_text="open")}


def show_table(shown: pd.DataFrame) -> list[str]:
    """Show runs as a table in which rows can be selected; return the ids of those that are, as the address says too."""
    known = [name for name in runs.COLUMNS if name in shown and (shown[name].notna() & (shown[name] != "")).any()]
    asked = st.query_params.get(CHOSEN, "").split(",")
    at = {run_id: i for i, run_id in enumerate(shown["run_id"])}
    event = st.dataframe(
        shown[known], hide_index=True, column_config=columns(shown[known]), placeholder="", on_select="rerun",
        selection_mode="multi-row", key=f"runs-{hash(tuple(shown['run_id']))}",
        selection_default={"selection": {"rows": [at[run_id] for run_id in asked if run_id in at]}},
    )  # fmt: skip
    chosen = [str(shown["run_id"].iloc[i]) for i in event["selection"]["rows"] if i < len(shown)]
    if chosen:
        st.query_params[CHOSEN] = ",".join(chosen)
    elif CHOSEN in st.query_params:
        del st.query_params[CHOSEN]
    return chosen


def details(run: Mapping[Any, Any]) -> registry.RunDetails:
    """Return what a run was given and measured, or say in a sentence why it is not known and stop the page."""
    try:
        return cache_runs.details(st.session_state[STORE], run["run_id"], run["status"])
    except ValueError as error:
        sentence(st.error, str(error))
        st.stop()


def show_run(run: Mapping[Any, Any]) -> None:
    """Show one run: its error, what it was given, and what it measured."""
    st.subheader(escaped(run["name"] or run["run_id"]))
    st.caption(f"Run {escaped(run['run_id'])}, {run['status'].lower()}.")
    if run["message"]:
        sentence(st.error if run["status"] != "RUNNING" else st.warning, run["message"])
    if run["status"] == "FAILED" and st.toggle("Full error", key=f"error-{run['run_id']}"):
        try:
            st.code(cache_runs.error_text(st.session_state[STORE], run["run_id"]), language=None, wrap_lines=True)
        except ValueError:
            st.info("This run recorded no traceback.")
    found = details(run)
    given = run_diff.settings(found, found)[["part", "name", "left"]].rename(columns={"left": "value"})
    measured = pd.DataFrame({
        "metric": list(found.metrics), "value": list(found.metrics.values()), "meaning": map(meaning, found.metrics)
    })  # fmt: skip
    left, right = st.columns(2)
    for side, title, table in ((left, "Settings", given), (right, "Metrics", measured)):
        with side:
            st.markdown(f"**{title}**")
            if table.empty:
                st.caption("None were recorded.")
                continue
            words = run_diff.METRICS if title == "Metrics" else run_diff.SETTINGS
            # Some are counts, most are not: without zeros behind the former.
            tables.show(table, words, f"{title} {run['run_id'][:8]}", 4, {"value": "localized"})


def noise(run: Mapping[Any, Any]) -> dict[str, float]:
    """Return the seed noise of a run's metrics, where it is known."""
    if run["kind"] == "compare":
        return cache_runs.noise_of_cells(st.session_state[STORE], run["run_id"], run["status"])
    return run_diff.noise_of_seeds(runs_of("train", run["suite"], run["dataset"], TRAINED), run["run_id"])


def show_diff(first: Mapping[Any, Any], second: Mapping[Any, Any]) -> None:
    """Show how two runs differ: settings first, then metrics in units of the noise of seeds."""
    st.subheader("Two runs")
    labels = {
        side: f"{run['run_id'][:8]} of {run['start']:%m-%d %H:%M}" for side, run in (("left", first), ("right", second))
    }
    st.caption(escaped(
        f"Left the earlier run, {first['name']} ({labels['left']}); right the later one, {second['name']} "
        f"({labels['right']})."
    ))  # fmt: skip
    sides = {"left": (labels["left"], "The earlier run."), "right": (labels["right"], "The later run.")}
    both = f"{first['run_id'][:8]} {second['run_id'][:8]}"
    left, right = details(first), details(second)
    given = run_diff.settings(left, right)
    differs = given[given["differs"]].drop(columns="differs")
    same = given[~given["differs"]]
    st.markdown("**Settings that differ**")
    if differs.empty:
        st.info("Both runs were given the same: any difference is due to chance or to the machine.")
    else:
        tables.show(differs, run_diff.SETTINGS | sides, f"settings {both}")
    with st.expander(f"The {len(same)} settings that are the same"):
        same = same[["part", "name", "left"]].rename(columns={"left": "value"})
        tables.show(same, run_diff.SETTINGS, f"same settings {both}")
    st.markdown("**Metrics**")
    found = run_diff.metrics(left, right, run_diff.pooled(noise(first), noise(second)))
    if found.empty:
        st.caption("Neither run measured anything.")
        return
    if not found["in_noise"].notna().any():
        st.caption("The noise of seeds is not known: neither run has several seeds, or they measured different things.")
    tables.show(found, run_diff.METRICS | sides, f"metrics {both}", 4, {"in_noise": "%.1f"})


st.title("Runs")
everything = listed(None, "run", FIRST)
if everything.empty:
    empty_store("run", "make compare")
asked = [run_id for run_id in st.query_params.get(CHOSEN, "").split(",") if run_id]
if not set(asked) <= set(everything["run_id"]):  # older ones than are listed
    older = lists.by_id(st.session_state[STORE], asked)
    everything = pd.concat([everything, older[~older["run_id"].isin(everything["run_id"])]], ignore_index=True)
everything = runs.watched(everything, pd.Timestamp.now("UTC"))
links = data.run_links(st.session_state[STORE], everything)
if links is not None:
    everything = everything.assign(link=links)
shown = choose_runs(everything)
if shown.empty:
    st.info("No run is left by these filters.")
    st.stop()
chosen = show_table(shown)
if len(shown) <= FEW:
    download_buttons(shown[[name for name in runs.COLUMNS if name in shown]], "runs", 1)
else:
    st.caption(f"Filter to at most {FEW:,} runs to download the table.")
if links is None:
    st.caption("To look into a run, start the MLflow interface and search for its id:")
    st.code("make ui", language="bash")
by_id = {run["run_id"]: run for run in shown.to_dict("records")}
if len(chosen) == 1:
    show_run(by_id[chosen[0]])
elif len(chosen) == 2:
    earlier, later = sorted((by_id[run_id] for run_id in chosen), key=lambda run: run["start"])
    show_diff(earlier, later)
elif chosen:
    st.info("Select one run to look into it, or two to compare them.")
