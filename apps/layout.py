"""Pieces of layout that several pages share.

Names, tags, captions and error messages are untrusted: they reach the page as table cells, options or through
`escaped`, never as HTML or live Markdown.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from apps import address, cache, cache_features, data, features, lists
from apps.downloads import downloads
from benchmark.metrics.describe import AGGREGATES
from registry import Damaged

STORE = "store"
"""Key of the session's state under which `apps/app.py` puts the store's URI."""
TRAINED = 1000
"""Train runs of one suite and dataset that are asked of a server."""


def escaped(text: str) -> str:
    """Return text as Markdown that shows it literally, on one line.

    Addresses would become links even where every sign is escaped; an invisible word joiner keeps them apart.
    """
    apart = re.sub(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", "\u2060", " ".join(text.split()), flags=re.IGNORECASE)
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", apart)


def sentence(show: Callable[[str], Any], text: str) -> None:
    """Show an untrusted message by st.error, st.warning or st.info, with a capital and a full stop."""
    text = text.strip().rstrip(".")
    show(escaped(text[:1].upper() + text[1:] + "."))


def runs_of(kind: str, suite: str | None = None, dataset: str | None = None, limit: int = lists.LIMIT) -> pd.DataFrame:
    """Return the runs of a kind, suite and dataset (None: any) of the session's store, see `lists.run_list`."""
    return lists.run_list(st.session_state[STORE], kind, suite, dataset, limit).runs


def trained_on(suite: str, dataset: str) -> pd.DataFrame:
    """Return the finished train runs of single encoders on a suite's dataset, newest first."""
    return features.train_runs(runs_of("train", suite, dataset, TRAINED))


def compared_on(suite: str, dataset: str) -> pd.DataFrame:
    """Return the comparisons of a suite's dataset that are searched for a train run, newest first."""
    return runs_of("compare", suite, dataset, cache_features.NEWEST)


def listed(kind: str | None, noun: str, first: int = lists.LIMIT) -> pd.DataFrame:
    """Return the newest runs of a kind (None: any); where a server has more than these, say so and offer older ones."""
    key = f"{kind}_listed"
    limit = st.session_state.get(key, first)
    found = lists.run_list(st.session_state[STORE], kind, limit=limit)
    if not found.whole:
        row = st.container(horizontal=True, vertical_alignment="center")
        row.caption(f"The newest {limit:,} {noun}s are listed; the server has older ones.", width="content")
        row.button(
            "List older ones", key=f"{key}_more", icon=":material/history:", type="tertiary",
            on_click=st.session_state.__setitem__, args=(key, 4 * limit),
        )  # fmt: skip
    return found.runs


def choose_run(kind: str, noun: str, command: str, parameter: str = "run") -> Mapping[Any, Any]:
    """Let the user choose a run of a kind, by default the newest finished one; the choice holds on every page.

    The address of the page names the run (`?run=ID`, or another parameter where a page has two choices); one that is
    opened wins over the choice so far. Stops the page when the store has no such run, and shows the command that makes
    one.
    """
    found, key = listed(kind, f"{kind} run"), f"{kind}_run"
    if found.empty:
        empty_store(noun, command)
    by_id = {run["run_id"]: run for run in found.to_dict("records")}
    finished = found.loc[found["status"] == "FINISHED", "run_id"]
    default = finished.iloc[0] if len(finished) else found["run_id"].iloc[0]
    so_far = st.session_state.get(key)
    wanted = address.newly_asked(parameter, key) or so_far or default
    if older := [run_id for run_id in (wanted, so_far) if run_id and run_id not in by_id]:  # than are listed
        known = lists.by_id(st.session_state[STORE], older)
        by_id |= {run["run_id"]: run for run in known[known["kind"] == kind].to_dict("records")}
    if wanted not in by_id and so_far in by_id:
        wanted = so_far  # who goes back before a page is ready brings that page's run along
    if wanted not in by_id:
        sentence(st.warning, f"Run {wanted} is no {kind} run of this store, or was deleted; another one is shown")
        wanted = default
    st.session_state[key] = wanted
    labels = {run_id: data.run_label(run) for run_id, run in by_id.items()}
    chosen = st.selectbox(
        f"{kind.capitalize()} run", list(labels), key=key, format_func=lambda i: labels.get(i, i),
        persist_state="session",
    )  # fmt: skip
    address.remember(parameter, key, chosen)
    if by_id[chosen]["message"]:
        sentence(st.warning, f"This run reports: {by_id[chosen]['message']}")
    return by_id[chosen]


def choose_compare_run() -> Mapping[Any, Any]:
    """Let the user choose a compare run, see `choose_run`."""
    return choose_run("compare", "comparison", "make compare")


def choose_measure(measures: Mapping[str, tuple[str, str]], words: str | None = None) -> str:
    """Let the user choose a measure by its title; the choice holds on every page that has the same measure."""
    if (so_far := st.session_state.get("measure")) is not None and so_far not in measures:
        del st.session_state["measure"]  # else it stays in the address
    return st.segmented_control(
        "Measure", list(measures), default="crossfit", required=True, wrap=True, key="measure", bind="query-params",
        format_func=lambda name: measures[name][0], help=words,
    )  # fmt: skip


def read_table(run: Mapping[Any, Any], name: str) -> pd.DataFrame:
    """Return a cached Parquet artifact of a run, or say in one sentence why there is none and stop the page."""
    try:
        return cache.table(st.session_state[STORE], run["run_id"], run["status"], name)
    except ValueError as error:
        if run["status"] in ("RUNNING", "SCHEDULED"):
            st.info("This run has not ended yet: its tables are written at the end.")
        else:
            sentence(st.error, str(error))
            st.caption("Choose another run, or run its command again: what is finished and whole is not done again.")
        st.stop()


def optional_table(run: Mapping[Any, Any], name: str) -> pd.DataFrame | None:
    """Return a cached Parquet artifact of a run, None where it has none, an empty one, or (told) a damaged one."""
    try:
        return cache.table(st.session_state[STORE], run["run_id"], run["status"], name)
    except Damaged as error:
        sentence(st.warning, str(error))
        return None
    except ValueError:
        return None


def choose_part(cells: pd.DataFrame, row: Any) -> pd.DataFrame:
    """Let the user choose samples and layers in a row of widgets; return those cells, or stop the page without any."""
    recorded_on = row.selectbox(
        "Samples", data.choices(cells, "recorded_on"), key="samples", bind="query-params",
        help="Which samples were compared.",
    )  # fmt: skip
    aggregate = row.selectbox(
        "Layers", data.choices(cells, "aggregate"), key="layers", bind="query-params",
        format_func=lambda name: AGGREGATES.get(name, (name,))[0],
        help="\n\n".join(f"**{title}**: {text}" for title, text in AGGREGATES.values()),
    )  # fmt: skip
    shown = data.selection(cells, recorded_on, aggregate)
    if shown.empty:
        st.info("This run compared no layers in this way on these samples; choose another combination.")
        st.stop()
    return shown


def paged(table: pd.DataFrame, size: int, row: Any, key: str) -> pd.DataFrame:
    """Let the user choose a page of a table, of so many rows, in a row of widgets; return that page."""
    pages = -(-len(table) // size)
    number = 1
    if pages > 1:
        if st.session_state.get(key, 1) > pages:
            st.session_state[key] = 1
        number = row.pagination(pages, key=key, bind="query-params")
    return table.iloc[(number - 1) * size : number * size]


def download_buttons(frame: pd.DataFrame, title: str, digits: int = 3, titles: Mapping[str, str] | None = None) -> None:
    """Offer a table as CSV, LaTeX and Markdown, see `downloads`."""
    row = st.container(horizontal=True)
    for item in downloads(frame, title, digits, titles):
        row.download_button(
            item.label, item.write, item.name, item.mime, icon=":material/download:", key=f"{item.name}-download",
            on_click="ignore",
        )  # fmt: skip


def empty_store(what: str, command: str) -> None:
    """Say that the store holds nothing of a kind, show the command that makes it, and stop the page."""
    sentence(st.info, f"There is no {what} in this store yet; this command makes one")
    st.code(command, language="bash")
    st.stop()
