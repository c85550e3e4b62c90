"""Page: which encoder shares how much with which class of encoders, and which of them really differ."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from apps import board, cache, charts, data, tables
from apps.layout import STORE, choose_measure, download_buttons, empty_store, escaped, listed, sentence
from apps.plots import draw
from benchmark.metrics.describe import AGGREGATES, BOARD
from benchmark.metrics.describe.leaderboard import beside, figures
from benchmark.metrics.describe.saes import SAES

FILTERS = {"kind": "Class", "modality": "Modality", "family": "Family", "size": "Size", "codes": "Codes"}
FILTERED = "board_filtered"  # Key of the session's state: whether any filter was used.
WHOLE = 40  # Encoders whose table is shown without scrolling.
PANELS = ("share_text", "share_vision", "share_vlm", "asymmetry", "stability")


class Comparisons(NamedTuple):
    """The chosen comparisons, a list entry each."""

    boards: list[pd.DataFrame]
    cells: list[pd.DataFrame]
    saes: list[pd.DataFrame]
    failed: list[str]


def choose_comparisons(runs: pd.DataFrame, labels: Mapping[str, str], place: DeltaGenerator) -> Comparisons:
    """Let the user choose among comparisons with these labels, by default the first, and read their tables."""
    chosen = place.multiselect(
        "Comparisons", list(labels), default=list(labels)[:1], format_func=lambda i: labels.get(i, i), key="runs",
        bind="query-params", help="The newest comparison of every suite and dataset, then older ones.",
    )  # fmt: skip
    found = Comparisons([], [], [], [])
    for run in runs[runs.run_id.isin(chosen)].to_dict("records"):
        key = st.session_state[STORE], run["run_id"], run["status"]
        try:
            part, cells, saes = (cache.table(*key, f"{name}.parquet") for name in ("leaderboard", "cells", "saes"))
        except ValueError as error:
            sentence(st.warning, str(error))
            continue
        found.boards.append(part.assign(run_id=run["run_id"]))
        found.cells.append(cells)
        found.saes.append(saes)
        found.failed.extend(name for name in run["failed"].split(",") if name)
    if not found.boards:
        if chosen:
            st.caption("Run its command again: what is finished and whole is not done again.")
        else:
            st.info("Choose a comparison.")
        st.stop()
    return found


def choose_figures(
    given: Comparisons, measures: Mapping[str, tuple[str, str]], places: Sequence[DeltaGenerator]
) -> tuple[pd.DataFrame, str]:
    """Let the user choose samples, layers, seed and measure; return the board of all encoders and the measure."""
    boards = pd.concat(given.boards, ignore_index=True)
    samples, layers, one_seed = places
    recorded_on = samples.selectbox("Samples", data.choices(boards, "recorded_on"), key="samples", bind="query-params")
    aggregate = layers.selectbox(
        "Layers", data.choices(boards, "aggregate"), key="layers", bind="query-params",
        format_func=lambda name: AGGREGATES.get(name, (name,))[0],
    )  # fmt: skip
    seeds = data.choices(boards, "seed")
    seed = one_seed.selectbox("Seed", seeds, key="seed", bind="query-params", format_func=lambda name: name or "all")
    measure = choose_measure(measures, "The cross-fitted value alone has intervals and groups.")
    found = []
    for part, cells, saes in zip(given.boards, given.cells, given.saes, strict=True):
        if measure == "crossfit":
            found.append(cache.wide_board(part, saes, seed))
        else:
            kinds = data.encoder_column(saes, "kind")
            found.append(board.with_measure(cache.wide_board(part, saes), cells, kinds, measure))
    everything = pd.concat(found, ignore_index=True)
    chosen = (everything.recorded_on == recorded_on) & (everything["aggregate"] == aggregate)
    return everything[chosen].sort_values("share", ascending=False, ignore_index=True), measure


def filter_encoders(everything: pd.DataFrame, failed: list[str]) -> pd.DataFrame:
    """Let the user filter by what encoders are; say how many are shown, and which failed."""
    offered = {name: options for name in FILTERS if len(options := board.options(everything, name)) > 1}
    picked = {}
    if offered:
        # Once used they stay open: clearing one filter is mostly the first step to another.
        used = st.session_state.get(FILTERED, False) or any(
            name in st.query_params or st.session_state.get(name) for name in offered
        )
        st.session_state[FILTERED] = used
        with st.expander("Filters", expanded=used):
            row = st.container(horizontal=True)
            for name, options in offered.items():
                picked[name] = row.multiselect(FILTERS[name], options, key=name, bind="query-params")
    shown = data.filtered(everything, picked)
    lost = f"{len(failed)} failed: {escaped(', '.join(failed))}" if failed else "none failed"
    st.caption(f"{len(shown)} of {len(everything)} encoders shown, {lost}. Ordered by their share with all others.")
    if shown.empty:
        st.info("No encoder is left by these filters.")
        st.stop()
    return shown


st.title("Leaderboard")
runs = listed("compare", "comparison")
labels = board.comparisons(runs)
if not labels:
    empty_store("finished comparison", "make compare")
first, *others = st.columns([3, 1, 1, 1])
given = choose_comparisons(runs, labels, first)
cells = pd.concat(given.cells, ignore_index=True)
measures = data.measures(cells)
everything, measure = choose_figures(given, measures, others)
shown = filter_encoders(everything, given.failed)
compared = cells[cells.recorded_on.isin(shown.recorded_on)]
for caveat in data.warnings(compared):
    st.warning(caveat, icon=":material/warning:")
digits = data.digits(compared)

table = board.display(shown, digits)
place = shown.iloc[0]
name = f"leaderboard {measure} {place['suite']} {place['dataset']} {place['recorded_on']} {place['aggregate']}"
if seed := st.session_state.get("seed"):
    name += f" seed {seed}"
value = "cross-fitted wMPPC" if measure == "crossfit" else f"value of “{measures[measure][0]}”"
known = figures(value) | {name: SAES[name] for name in board.QUALITY}
rows = st.dataframe(
    table, hide_index=True, placeholder="–", column_config=tables.columns(table, SAES | known | beside(known), digits),
    on_select="rerun", selection_mode="multi-row", key="board", height="content" if len(table) <= WHOLE else "auto",
)["selection"]["rows"]  # fmt: skip
download_buttons(table, name, digits, tables.titles(SAES | known | beside(known)))
if rows:
    st.subheader("Selected encoders")
    chosen, words = board.side_by_side(table.iloc[rows], known)
    tables.show(chosen, words, "selected encoders", digits)
else:
    st.caption("Select rows to see encoders side by side.")

if measure == "crossfit":
    st.subheader("Encoders with their intervals")
    panels = {name: BOARD[name][0] for name in PANELS if shown[name].notna().any()}
    intervals = board.intervals(shown, list(panels))
    # Three in a row, each row of its own: a narrow screen then keeps the order.
    sides = [side for _ in range(0, len(panels), 3) for side in st.columns(3)]
    for side, (name, title) in zip(sides, panels.items(), strict=False):
        with side:
            st.markdown(f"**{title}**", help=BOARD[name][1])
            draw(
                charts.forest, intervals[intervals["column"] == name], title, digits, key=f"forest-{name}",
                alt=f"{title}: a dot with its 95 % interval for each encoder; the table above has the same values.",
            )  # fmt: skip
    st.caption(
        "Blue circles: vision, orange diamonds: VLM, green squares: text. They are means over seeds and over the "
        "encoders of a class; lines are 95 % intervals that resample seeds and groups of samples together. Encoders "
        "that share a group do not differ at 5 % (Holm's method over all pairs)."
    )
else:
    st.caption(f"{measures[measure][1]} It has no interval of its own.")
