"""The list of runs: what became of each, which are silent, and which a user asks for."""

from collections.abc import Mapping, Sequence

import pandas as pd

from apps import data
from benchmark import report
from benchmark.metrics.describe.names import NAMES

FILTERS = {"kind": "Kind", "status": "Status", "suite": "Suite", "dataset": "Dataset", "encoder": "Encoder"}
"""Columns that runs are filtered by, and their titles."""
COLUMNS: dict[str, tuple[str, str]] = {
    "kind": ("Job", "The command that made the run."),
    "suite": NAMES["suite"],
    "dataset": ("Dataset", "The data that the job read."),
    "encoder": ("Encoder", "The encoder that the run trained SAEs on; empty: the job is about several."),
    "seed": ("Seed", "The number of the training; empty: the job is about several."),
    "status": ("Status", "What became of the run, as MLflow has it."),
    "start": ("Start (UTC)", "When the run began."),
    "seconds": ("Duration (s)", "How long the run took; of a running run, so far."),
    "signatures": (
        "Failure signatures",
        "What was found that a result should not be trusted for; empty: not looked at.",
    ),
    "health": ("Health", "The worst that the command health found; empty: it has not looked at the run."),
    "message": ("Error", "What went wrong, or which parts failed."),
    "silent": ("Silent (s)", "Seconds since the last heartbeat of a running run; one comes every 30."),
    "link": ("MLflow", "Opens the run in MLflow's own interface."),
    "run_id": ("Run", "The id of the MLflow run."),
    "name": ("Name", "What the job called the run."),
}
"""Columns of the table of runs."""
TEXTS = ("name", "run_id", "kind", "suite", "dataset", "encoder", "seed", "message", "signatures", "health", "owner")
"""Columns that a text is looked for in."""
STALE = 600.0
"""Seconds without a heartbeat after which jobs count a run as dead; they send one every 30 seconds."""


def options(runs: pd.DataFrame) -> dict[str, list[str]]:
    """Return the different values of every column of `FILTERS` that has more than one, in alphabetical order."""
    found = {column: sorted({str(value) for value in runs[column]} - {""}) for column in FILTERS}
    return {column: values for column, values in found.items() if len(values) > 1}


def filtered(runs: pd.DataFrame, chosen: Mapping[str, Sequence[str]], text: str = "") -> pd.DataFrame:
    """Return the runs with one of the chosen values in every column where some are, and this text somewhere."""
    runs = data.filtered(runs, chosen)
    if wanted := text.strip().lower():
        holds = pd.Series(False, runs.index)
        for column in TEXTS:
            holds |= runs[column].astype(str).str.lower().str.contains(wanted, regex=False)
        runs = runs[holds]
    return runs.reset_index(drop=True)


def watched(runs: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """Return the runs with what is known of those that are still running.

    Further columns: silent, the seconds since the last heartbeat of a RUNNING run (NaN for others, and without one),
    and stale, whether that is so long that its process is surely gone. The message of a stale run says so, unless it
    has another; seconds of a RUNNING run are counted up to now.
    """
    running = runs["status"] == "RUNNING"
    beat = pd.to_numeric(runs["heartbeat"].where(running), errors="coerce")
    silent = (now.timestamp() - beat).clip(lower=0)
    # A run without an owner was made by `mlflow run`, and its job has not taken it over yet.
    stale = running & (silent > STALE)
    said = [
        f"no heartbeat for {report.duration(seconds)} from {owner.rpartition(':')[0] or 'its owner'}: the process is "
        "gone, and the next job marks the run as killed"
        for seconds, owner in zip(silent[stale], runs["owner"][stale], strict=True)
    ]
    message = runs["message"].copy()
    message[stale] = pd.Series(said, message[stale].index, dtype=str).where(message[stale] == "", message[stale])
    so_far = (now - runs["start"]).dt.total_seconds()
    seconds = runs["seconds"].where(~running, so_far)
    return runs.assign(silent=silent, stale=stale, message=message, seconds=seconds)


def counts(runs: pd.DataFrame) -> str:
    """Return how many runs there are of every status, in words."""
    parts = [f"{count:,} {str(status).lower()}" for status, count in runs["status"].value_counts().items()]
    if stale := int(runs["stale"].sum()):
        parts.append(f"{stale:,} of the running ones silent for more than {report.duration(STALE)}")
    return ", ".join(parts)
