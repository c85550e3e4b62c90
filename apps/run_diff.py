"""Two runs side by side: what they were given, and how far their results differ in units of the noise of seeds.

Functions that read a run raise ValueError with one sentence when what they need is not there.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from benchmark.metrics.describe import EXTRAS, MEASURES
from benchmark.metrics.describe.logged import meaning
from registry import RunDetails

PARTS = ("parameter", "revision", "version", "tag")
"""What settings are, in the order in which they are shown."""
OURS = "cfg."
"""Start of the names of parameters that jobs log; others are those of `mlflow run`."""
COMMIT = "mlflow.source.git.commit"
UNTOLD = ("owner", "heartbeat", "error", "failed")
"""Tags that differ between any two runs, or that are results."""
METRICS: dict[str, tuple[str, str]] = {
    "metric": ("Metric", "The name under which the run logged it; the last column says what it is."),
    "value": ("Value", "The latest value that the run logged."),
    "difference": ("Difference", "The second run's value minus the first one's."),
    "noise": (
        "Seed noise",
        "Standard deviation over pairs of seeds of this cell, or over the seeds that were trained together with this "
        "run, as a root mean square over both runs.",
    ),
    "in_noise": (
        "In seed noise",
        "The difference divided by the seed noise: within 2 or so, another seed would have made as large a difference.",
    ),
}
"""Columns of the tables of metrics."""
SETTINGS: dict[str, tuple[str, str]] = {
    "part": (
        "Part",
        "parameter: what the job was given; revision: of the code; version: of a library; tag: what the run says of "
        "itself.",
    ),
    "name": ("Name", "The name of the setting."),
    "value": ("Value", "What the run was given."),
}
"""Columns of the tables of settings."""


def settings(left: RunDetails, right: RunDetails) -> pd.DataFrame:
    """Return what two runs were given: part (one of `PARTS`), name, left, right and differs, differing rows first."""
    first, second = _given(left), _given(right)
    rows = [
        {"part": part, "name": name, "left": first.get((part, name), ""), "right": second.get((part, name), "")}
        for part, name in {**first, **second}
    ]
    table = pd.DataFrame(rows, columns=["part", "name", "left", "right"])
    table["differs"] = table["left"] != table["right"]
    order = table["part"].map({part: i for i, part in enumerate(PARTS)})
    sorted_ = table.assign(order=order).sort_values(["differs", "order", "name"], ascending=[False, True, True])
    return sorted_.drop(columns="order").reset_index(drop=True)


def _given(run: RunDetails) -> dict[tuple[str, str], str]:
    """Return (part, name) -> value of a run's parameters and tags."""
    found = {}
    for name, value in run.params.items():
        short = name.removeprefix(OURS)
        if short == "version.code":
            found["revision", "code"] = value
        elif short.startswith("version."):
            found["version", short.removeprefix("version.")] = value
        else:
            found["parameter", short] = value
    if COMMIT in run.tags and ("revision", "code") not in found:
        found["revision", "code"] = run.tags[COMMIT]
    for name, value in run.tags.items():
        if not name.startswith("mlflow.") and name not in UNTOLD:
            found["tag", name] = value
    return found


def metrics(left: RunDetails, right: RunDetails, noise: Mapping[str, float]) -> pd.DataFrame:
    """Return the metrics of two runs, those first that differ most in units of the noise of seeds.

    Columns: metric, left, right, difference (right minus left), noise and in_noise (their ratio; NaN where no noise is
    known), meaning. A metric that only one run has is NaN in the other.
    """
    names = list(dict.fromkeys([*left.metrics, *right.metrics]))
    table = pd.DataFrame({
        "metric": pd.Series(names, dtype=str),
        "left": [left.metrics.get(name, np.nan) for name in names],
        "right": [right.metrics.get(name, np.nan) for name in names],
        "noise": [noise.get(name, np.nan) for name in names],
    })  # fmt: skip
    table["difference"] = table["right"] - table["left"]
    table["in_noise"] = (table["difference"] / table["noise"]).where(table["noise"] > 0)
    keys = table[["in_noise", "difference"]].abs().assign(metric=table["metric"])
    order = keys.sort_values(["in_noise", "difference", "metric"], ascending=[False, False, True]).index
    table["meaning"] = table["metric"].map(meaning)
    columns = ["metric", "left", "right", "difference", "noise", "in_noise", "meaning"]
    return table.loc[order, columns].reset_index(drop=True)


def noise_of_cells(matrix: pd.DataFrame) -> dict[str, float]:
    """Return the standard deviation over pairs of seeds of every metric of a comparison, from its `matrix.parquet`.

    Metrics are those of its headline: its first sample set and widest aggregate. One pair of seeds has none.
    """
    aggregate = "layer_mean" if "layer_mean" in set(matrix["aggregate"]) else "last"
    shown = matrix[(matrix["recorded_on"] == matrix["recorded_on"].iloc[0]) & (matrix["aggregate"] == aggregate)]
    found: dict[str, float] = {}
    for measure in (name for name in (*MEASURES, *EXTRAS) if name in shown):
        prefix = "wmppc" if measure == "naive" else f"wmppc_{measure}"
        spread = shown.groupby(["source", "target"])[measure].std()
        found |= {f"{prefix}/{source}/{target}": float(value) for (source, target), value in spread.dropna().items()}
    return found


def noise_of_seeds(runs: pd.DataFrame, run_id: str) -> dict[str, float]:
    """Return the standard deviation of every metric over the seeds that one process trained of an encoder.

    `runs` is the table of all runs. There is none for a run that is no train run, whose process trained one seed, or
    trained a seed more than once, as a sweep does: its runs differ in more than their seeds.
    """
    own = runs[runs["run_id"] == run_id]
    if own.empty or own["kind"].iloc[0] != "train" or own["encoder"].iloc[0] == "":
        return {}
    same = runs[(runs["status"] == "FINISHED") & (runs["kind"] == "train")]
    for column in ("owner", "suite", "dataset", "encoder"):
        same = same[same[column] == own[column].iloc[0]]
    if same["seed"].duplicated().any():
        return {}
    spread = pd.DataFrame(same["metrics"].tolist()).std()
    return {str(name): float(value) for name, value in spread.dropna().items()}


def pooled(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Return the root mean square of two runs' noise, of one alone where the other has none."""
    found = {}
    for name in {**first, **second}:
        known = [part[name] for part in (first, second) if name in part]
        found[name] = float(np.sqrt(np.mean(np.square(known))))
    return found
