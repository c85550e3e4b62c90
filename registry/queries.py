"""Typed queries over runs: what was done, and its tables and features. Nothing here needs torch."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import pandas as pd

from benchmark.features import Features, load_features
from registry.files import artifact_file
from registry.run_rows import Row, pages, run_rows
from registry.store import StoreError

TAGS = (
    "kind", "suite", "dataset", "encoder", "seed", "key", "failed", "error", "owner", "heartbeat", "signatures",
    "health",
)  # fmt: skip
NEWEST = 10
"""Runs with the same content key that are worth asking whether their artifacts are intact."""
MODELS = 20_000
"""Registered SAEs asked for at a time: for every page, MLflow sorts all of them."""
ERROR = "error.txt"
"""Artifact with the traceback of a run that failed."""


def runs(
    status: str = "", *, limit: int | None = None, ids: Collection[str] | None = None, **tags: str
) -> pd.DataFrame:
    """Return the runs of all experiments that carry these tags (and have this status), newest first.

    Args:
        status: "": any.
        limit: the newest so many alone; a server takes milliseconds for every run and metric.
        ids: of these runs alone; what cannot be an id is left out.
        tags: their values.

    Returns:
        Columns run_id, name, status, start, seconds, experiment_id, the project's tags, and `metrics` (a dict of the
        latest values).

    Raises OSError when the store does not answer.
    """
    rows = [
        {
            "run_id": run.run_id,
            "name": run.name,
            "status": run.status,
            "start": pd.Timestamp(run.start, unit="ms", tz="UTC"),
            "seconds": (run.end - run.start) / 1000 if run.end else float("nan"),
            "experiment_id": run.experiment_id,
            **{tag: run.tags.get(tag, "") for tag in TAGS},
            "metrics": dict(run.metrics),
        }
        for run in _found(status, tags, limit, ids)
    ]
    columns = ["run_id", "name", "status", "start", "seconds", "experiment_id", *TAGS, "metrics"]
    return pd.DataFrame(rows, columns=columns)


def find_finished(kind: str, key: str) -> list[str]:
    """Return the ids of the newest FINISHED runs of a kind with this content key (at most 10), newest first."""
    return [run.run_id for run in _found("FINISHED", {"kind": kind, "key": key}, NEWEST)]


def latest(kind: str, **tags: str) -> str | None:
    """Return the id of the newest FINISHED run of a kind with these tags, if there is one."""
    found = _found("FINISHED", {"kind": kind, **tags}, 1)
    return found[0].run_id if found else None


def _found(
    status: str, tags: Mapping[str, str], limit: int | None = None, ids: Collection[str] | None = None
) -> list[Row]:
    from mlflow.exceptions import MlflowException

    for value in (status, *tags.values()):
        if "'" in value:
            raise ValueError(f"a tag value to search for cannot hold a quote: {value!r}.")
    try:
        asked = None if ids is None else sorted({run_id for run_id in ids if run_id.isalnum() and run_id.isascii()})
        return run_rows(status, tags, TAGS, limit, asked)
    except MlflowException as error:
        raise StoreError(f"the MLflow store does not answer: {str(error).strip().splitlines()[0]}") from None


def registered_saes() -> dict[str, str]:
    """Return {`models:/NAME/VERSION`: its source} of every registered SAE, sorted.

    The source is `models:/MODEL_ID` of a logged model, or the place of its files. Raises OSError when the store does
    not answer.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        search = MlflowClient().search_model_versions
        found = list(pages(search, page=MODELS, filter_string="name LIKE 'sae-%'"))
    except MlflowException as error:
        raise StoreError(f"the MLflow store does not answer: {str(error).strip().splitlines()[0]}") from None
    return dict(sorted((f"models:/{version.name}/{version.version}", str(version.source)) for version in found))


class RunDetails(NamedTuple):
    """What a run was given, what it says of itself, and what it measured."""

    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]


def run_details(run_id: str) -> RunDetails:
    """Return all parameters, tags and metrics of a run; raises ValueError when there is no such run."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        data = MlflowClient().get_run(run_id).data
    except MlflowException as error:
        raise ValueError(f"run {run_id} cannot be read: {str(error).strip().splitlines()[0]}") from None
    return RunDetails(dict(data.params), dict(data.tags), dict(data.metrics))


def error_text(run_id: str) -> str:
    """Return the traceback that a failed run recorded; raises ValueError when it has none."""
    return artifact_file(run_id, ERROR).read_text(errors="replace")


class Damaged(ValueError):
    """An artifact that is there and cannot be read."""


def table(run_id: str, name: str, filters: list[tuple] | None = None) -> pd.DataFrame:
    """Return a Parquet artifact of a run (for a compare run: `matrix.parquet` or `cells.parquet`).

    filters: conditions that all returned rows meet, as `pandas.read_parquet` takes them: (column, operator, value).

    Raises ValueError when the run has no such artifact (`Damaged` when it cannot be read), and StoreError for a server
    that went away.
    """
    path = artifact_file(run_id, name)
    try:
        return pd.read_parquet(path, filters=filters)
    except (OSError, ValueError):
        raise _damaged(run_id, name, "Parquet") from None


def _damaged(run_id: str, name: str, kind: str) -> Damaged:
    return Damaged(
        f"'{name}' of run {run_id} is damaged: it is no whole {kind} file; `verify` names all such files, and the "
        "command that made the run makes it again"
    )


def features(run_id: str, layer: int) -> Features:
    """Return the features that a train run recorded for one layer; raises ValueError when it has none.

    `Damaged` when they cannot be read, and StoreError for a server that went away.
    """
    path = artifact_file(run_id, feature_path(layer))
    try:
        return load_features(path)
    except ValueError:
        raise _damaged(run_id, feature_path(layer), "safetensors") from None


def feature_path(layer: int, *, untrained: bool = False) -> str:
    """Return the artifact path of a layer's features within a train run, of its SAE or of that before training."""
    return f"features{'_untrained' if untrained else ''}/L{layer:02d}.safetensors"
