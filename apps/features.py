"""The features of one layer as a table that can be searched, and the runs whose features there are to look at.

Functions that read a run raise ValueError with one sentence when what they need is not there.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import registry
from benchmark.metrics.describe.features import NAMING

SORTS = ("hits", "S", "frequency", "mean_active", "stability", "feature")
"""Columns that the table can be sorted by, all but the feature's number with the largest value first."""
WORDS = re.compile(r"\w+")


class Words(NamedTuple):
    """The captions of the strongest samples of a layer's features, ready to be searched."""

    feature: NDArray[np.int64]
    """Feature of each of these samples."""
    caption: NDArray[np.int64]
    """Number of each sample's caption."""
    captions: pd.Series
    """The different captions, in lower case."""


class Found(NamedTuple):
    """What a search for words found."""

    hits: pd.Series
    """Number of captions that hold the words by feature, of the features with at least one."""
    whole: bool
    """Whether they were found as whole words rather than as parts of words."""


def train_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the finished train runs of single encoders among all runs, newest first."""
    chosen = (runs["kind"] == "train") & (runs["encoder"] != "") & (runs["status"] == "FINISHED")
    return runs[chosen].reset_index(drop=True)


def places(trained: pd.DataFrame, runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (suite, dataset) of train runs, that of the newest finished comparison first, then the newest first."""
    compared = runs[(runs["kind"] == "compare") & (runs["status"] == "FINISHED")]
    known = list(dict.fromkeys(zip(trained["suite"], trained["dataset"], strict=True)))
    newest = list(zip(compared["suite"], compared["dataset"], strict=True))[:1]
    return sorted(known, key=lambda place: place not in newest)


def preferred(trained: pd.DataFrame, compared: Sequence[str]) -> pd.DataFrame:
    """Return the train runs with those first whose features a comparison used, in the order given otherwise."""
    rank = ~trained["run_id"].isin(compared)
    return trained.loc[rank.sort_values(kind="stable").index].reset_index(drop=True)


def layers(run_id: str) -> list[int]:
    """Return the layers of a train run, shallow to deep."""
    found = sorted({int(layer) for layer in registry.table(run_id, "saes.parquet").get("layer", ())})
    if not found:
        raise ValueError(f"'saes.parquet' of run {run_id} names no layer; run its command again")
    return found


def summary(run_id: str, layer: int) -> pd.DataFrame:
    """Return the features of a layer that are not constant, with the caption of the sample that activates each most.

    Columns: those of `registry.feature_summary` but `live`, caption ("" where there is none) and image, the number of
    that sample's thumbnail (-1: none).
    """
    found = registry.feature_summary(run_id, layer)
    if missing := sorted({"feature", "live", "frequency", "density", "mean_active", "S"} - set(found)):
        raise ValueError(f"the summary of layer {layer} of run {run_id} lacks the columns {', '.join(missing)}")
    found = found[found["live"]].drop(columns="live")
    samples = registry.feature_samples(run_id, layer)
    first = samples[(samples["level"] == "top") & (samples["rank"] == 0)]
    found = found.merge(first[["feature", "caption", "image"]], on="feature", how="left")
    return found.assign(caption=found["caption"].fillna(""), image=found["image"].fillna(-1).astype(int))


def words(run_id: str, layer: int) -> Words:
    """Return the captions of the strongest samples of every feature of a layer."""
    samples = registry.feature_samples(run_id, layer)
    top = samples[(samples["level"] == "top") & (samples["caption"].fillna("") != "")]
    numbers, captions = pd.factorize(top["caption"])
    return Words(
        top["feature"].to_numpy(np.int64), np.asarray(numbers, np.int64), pd.Series(captions, dtype=str).str.lower()
    )


def search(index: Words, query: str) -> Found:
    """Return which features have captions that hold all words of a query, in any order and whatever their case.

    Whole words are looked for first; only where no caption has them all, parts of words are.
    """
    asked = WORDS.findall(query.lower()) or query.lower().split()
    if not asked:
        return Found(pd.Series(dtype=np.int64), True)
    for whole in (True, False):
        holds = np.ones(len(index.captions), bool)
        for word in asked:
            # A word that begins or ends with a sign has no boundary there, and is looked for as it is.
            pattern = rf"(?<!\w){re.escape(word)}(?!\w)" if whole else re.escape(word)
            holds &= index.captions.str.contains(pattern, regex=True).to_numpy(bool)
        if holds.any():
            break
    features = pd.Series(index.feature[holds[index.caption]])
    return Found(features.value_counts().sort_index(), whole)


def filtered(
    table: pd.DataFrame,
    *,
    found: Found | None = None,
    name: str = "",
    density: tuple[float, float] = (0.0, 1.0),
    stability: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Return the features of `summary` that meet all conditions.

    Args:
        table: with the columns name (if any has one) and stability (if it is known).
        found: only features with such captions; their number is the column `hits`.
        name: only features whose name holds this text, whatever its case.
        density: smallest and largest share of samples on which the feature is active.
        stability: smallest and largest stability; features of which it is not known are left out then.
    """
    shown = table[table["density"].between(*density)]
    if found is not None:
        shown = shown.assign(hits=shown["feature"].map(found.hits)).dropna(subset="hits").astype({"hits": int})
    if name and "name" in shown:
        shown = shown[shown["name"].fillna("").str.lower().str.contains(name.lower(), regex=False)]
    if stability is not None and "stability" in shown:
        shown = shown[shown["stability"].between(*stability)]
    return shown


def ordered(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the features by a column of `SORTS`, the largest first and equal ones by S; by number the smallest."""
    if column == "feature":
        return table.sort_values("feature", ignore_index=True)
    keys = [column] if column == "S" else [column, "S"]
    return table.sort_values([*keys, "feature"], ascending=[False] * len(keys) + [True], ignore_index=True)


def names(run_id: str, layer: int) -> pd.DataFrame:
    """Return the names of a layer's features with their evidence: feature, name and further columns; no rows: none.

    They are those of the newest run of the command `name`.
    """
    found = registry.feature_names(run_id, layer)
    return found[["feature", "name", *(column for column in NAMING if column in found)]]
