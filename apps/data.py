"""What the pages show, as plain tables: no browser, no Streamlit.

Functions that read a run raise ValueError with one sentence when what they need is not there.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

import registry
from benchmark.metrics.caveats import caveats, decimals
from benchmark.metrics.describe import DERIVED, EXTRAS, MEASURES

KINDS = ("vision", "vlm", "text")
COLUMNS = {
    "cells.parquet": {
        "suite", "dataset", "source", "target", "aggregate", "recorded_on", "n_samples", "n_groups", "seed_pairs",
        "naive", "chance", "calibrated", "crossfit", "low", "high",
    },
    "matrix.parquet": {
        "source", "target", "source_seed", "target_seed", "aggregate", "recorded_on", "crossfit", "low", "high",
    },
    "leaderboard.parquet": {
        "suite", "dataset", "codes", "recorded_on", "aggregate", "encoder", "seed", "column", "value", "low", "high",
        "group",
    },
    "saes.parquet": {
        "encoder", "modality", "kind", "family", "seed", "layer", "d", "n_latents", "k", "fvu", "l0", "dead",
        "weight_cv", "run_id", "model_uri",
    },
    "layers.parquet": {
        "source", "target", "source_layer", "target_layer", "source_depth", "target_depth", "crossfit", "low", "high",
        "naive", "chance", "calibrated", "n_samples", "n_groups",
    },
    "stability.parquet": {"encoder", "layer", "varies"},
    "seed_pairs.parquet": {
        "encoder", "layer", "varies", "source_seed", "target_seed", "n_groups", "crossfit", "naive", "chance",
        "decoder_shared_live", "both_shared_live", "mcc",
    },
    "deciles.parquet": {
        "encoder", "layer", "varies", "decile", "correlation", "decoder_cosine", "decoder_shared", "both_shared",
    },
    "differences.parquet": {
        "first", "second", "source", "target", "first_value", "second_value", "difference", "low", "high", "resolved",
    },
    "changes.parquet": {
        "variant", "aggregate", "source", "target", "plain", "value", "n_samples", "n_common", "change", "low", "high",
        "q_value", "fixed", "moved",
    },
}  # fmt: skip
"""Tables -> the columns that pages rely on."""


def run_list(*, limit: int | None = None, ids: Collection[str] | None = None, **tags: str) -> pd.DataFrame:
    """Return runs of the store, newest first: the columns of `registry.runs` and `message`, what went wrong.

    The message is the run's tag `error`, else its tag `failed` (the parts of it that failed). The arguments are those
    of `registry.runs`; without any, all runs are returned.
    """
    found = registry.runs(limit=limit, ids=ids, **tags)
    message = pd.Series("", found.index, dtype=str)
    for tag in (name for name in ("error", "failed") if name in found):
        message = message.where(message != "", found[tag])
    return found.assign(message=message)


def run_label(run: Mapping[Any, Any]) -> str:
    """Return one line that tells a compare run from others: suite, dataset, date, status, start of its id."""
    names = [run["suite"] or "no suite", run["dataset"] or "no dataset"]
    return " · ".join([*names, f"{run['start']:%Y-%m-%d %H:%M} UTC", run["status"].lower(), run["run_id"][:8]])


def table(run_id: str, name: str) -> pd.DataFrame:
    """Return a Parquet artifact of a run, with its `COLUMNS` if it is one of those."""
    found = registry.table(run_id, name)
    if missing := sorted(COLUMNS.get(name, set()) - set(found.columns)):
        raise ValueError(f"'{name}' of run {run_id} lacks the columns {', '.join(missing)}; run its command again.")
    if found.empty:
        raise ValueError(f"'{name}' of run {run_id} is empty; run its command again.")
    return found


def choices(table: pd.DataFrame, column: str) -> list[str]:
    """Return the different values of a column in the order in which they were stored."""
    return [str(value) for value in table[column].unique()]


def filtered(table: pd.DataFrame, chosen: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the rows whose columns hold one of the chosen values; a column with none chosen keeps all rows."""
    for column, values in chosen.items():
        if values:
            table = table[table[column].astype(str).isin(values)]
    return table.reset_index(drop=True)


def selection(table: pd.DataFrame, recorded_on: str, aggregate: str) -> pd.DataFrame:
    """Return the cells of one sample set and aggregate: at most one row per source and target."""
    chosen = (table["recorded_on"] == recorded_on) & (table["aggregate"] == aggregate)
    return table[chosen].reset_index(drop=True)


def by_kind(table: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the encoders of a table of cells by kind (vision, vlm, text, then any other), each as stored.

    `kinds` maps encoders to kinds; encoders that it lacks are of kind "".
    """
    encoders = list(dict.fromkeys([*table["source"], *table["target"]]))
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for encoder in encoders:
        found.setdefault(kinds.get(encoder, ""), []).append(encoder)
    return {kind: members for kind, members in found.items() if members}


def encoder_column(table: pd.DataFrame, column: str) -> dict[str, str]:
    """Return encoder -> kind (vision | vlm | text), or another column of a table of SAEs."""
    return dict(zip(table["encoder"], table[column], strict=True))


def measures(table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return column -> (title, sentence) of the measures in a table of cells: those of every run, then further ones."""
    return MEASURES | {name: words for name, words in {**DERIVED, **EXTRAS}.items() if name in table}


def with_derived(table: pd.DataFrame) -> pd.DataFrame:
    """Return cells of one sample set and aggregate with the columns of `benchmark.metrics.describe.DERIVED`."""
    value = table.set_index(["source", "target"])["crossfit"]

    def of(sources: pd.Series, targets: pd.Series) -> pd.Series:
        wanted = pd.MultiIndex.from_arrays([sources, targets])
        return pd.Series(value.reindex(wanted).to_numpy(), table.index)

    own = of(table["source"], table["source"])
    return table.assign(
        of_ceiling=(table["crossfit"] / own).where(own > 0),
        asymmetry=table["crossfit"] - of(table["target"], table["source"]),
    )


def clustered(table: pd.DataFrame, order: Sequence[str]) -> list[str]:
    """Return the encoders of cells in the order of a clustering: average linkage of 1 - the mean of both directions.

    `order` breaks ties. Missing cells count as 0.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(order) < 3:
        return list(order)
    names = list(order)
    values = table.pivot(index="source", columns="target", values="crossfit").reindex(index=names, columns=names)
    distance = 1 - (values + values.T).fillna(0).to_numpy() / 2
    distance[range(len(order)), range(len(order))] = 0
    leaves = leaves_list(linkage(squareform(distance, checks=False), "average", optimal_ordering=True))
    return [order[i] for i in leaves]


def warnings(table: pd.DataFrame) -> list[str]:
    """Return sentences that say why the values of these cells must be read with care, if they must."""
    return caveats(table["n_groups"], table["chance"])


def digits(table: pd.DataFrame) -> int:
    """Return how many decimals the number of samples supports."""
    return decimals(table["n_groups"])


def without_run(table: pd.DataFrame, runs: pd.DataFrame) -> list[str]:
    """Return the encoders of a table of SAEs whose train runs are no longer among `runs`."""
    gone = ~table["run_id"].isin(runs["run_id"])
    return [str(encoder) for encoder in table.loc[gone, "encoder"].unique()]


def run_links(store: str, runs: pd.DataFrame) -> pd.Series | None:
    """Return the address of every run in the MLflow UI, or None when the store is no server.

    Credentials in the store's address are left out.
    """
    parts = urlsplit(store)
    if parts.scheme not in ("http", "https"):
        return None
    server = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl().rstrip("/")
    base = server + "/#/experiments/" + runs["experiment_id"].astype(str)
    return base + "/runs/" + runs["run_id"] + "?workflowType=machine_learning"
