"""Typed queries over runs: what was done, and its tables and features. Nothing here needs torch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.features import Features, load_features

TAGS = ("kind", "suite", "dataset", "encoder", "seed", "key", "failed", "error", "owner", "heartbeat")
PAGE = 1000


def runs(status: str = "", **tags: str) -> pd.DataFrame:
    """Return the runs of all experiments that carry these tags (and have this status), newest first.

    Columns: run_id, name, status, start, seconds, experiment_id, the project's tags, and `metrics` (a dict). Raises
    OSError when the store does not answer.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient()
    conditions = [f"tags.`{name}` = '{_quoted(value)}'" for name, value in tags.items()]
    if status:
        conditions.append(f"attributes.status = '{_quoted(status)}'")
    try:
        experiments = [e.experiment_id for e in pages(client.search_experiments)]
        order = ["attributes.start_time DESC"]
        found = list(
            pages(
                client.search_runs, experiment_ids=experiments, filter_string=" and ".join(conditions), order_by=order
            )
        )
    except MlflowException as error:
        raise OSError(f"the MLflow store does not answer: {str(error).strip().splitlines()[0]}") from None
    rows = [
        {
            "run_id": run.info.run_id,
            "name": run.info.run_name,
            "status": run.info.status,
            "start": pd.Timestamp(run.info.start_time, unit="ms", tz="UTC"),
            "seconds": (run.info.end_time - run.info.start_time) / 1000 if run.info.end_time else float("nan"),
            "experiment_id": run.info.experiment_id,
            **{tag: run.data.tags.get(tag, "") for tag in TAGS},
            "metrics": dict(run.data.metrics),
        }
        for run in found
    ]
    columns = ["run_id", "name", "status", "start", "seconds", "experiment_id", *TAGS, "metrics"]
    return pd.DataFrame(rows, columns=columns)


def find_finished(kind: str, key: str) -> list[str]:
    """Return the ids of FINISHED runs of a kind with this content key, newest first."""
    return list(runs("FINISHED", kind=kind, key=key).run_id)


def latest(kind: str, **tags: str) -> str | None:
    """Return the id of the newest FINISHED run of a kind with these tags, if there is one."""
    found = runs("FINISHED", kind=kind, **tags).run_id
    return str(found.iloc[0]) if len(found) else None


def registered_saes() -> list[str]:
    """Return `models:/NAME/VERSION` of every registered SAE; raises OSError when the store does not answer."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        found = list(pages(MlflowClient().search_model_versions, filter_string="name LIKE 'sae-%'"))
    except MlflowException as error:
        raise OSError(f"the MLflow store does not answer: {str(error).strip().splitlines()[0]}") from None
    return sorted(f"models:/{version.name}/{version.version}" for version in found)


def table(run_id: str, name: str, filters: list[tuple] | None = None) -> pd.DataFrame:
    """Return a Parquet artifact of a run (for a compare run: `matrix.parquet` or `cells.parquet`).

    filters: conditions that all returned rows meet, as `pandas.read_parquet` takes them: (column, operator, value).
    Raises ValueError when the run has no such artifact.
    """
    return pd.read_parquet(_artifact(run_id, name), filters=filters)


def features(run_id: str, layer: int) -> Features:
    """Return the features that a train run recorded for one layer; raises ValueError when it has none."""
    return load_features(_artifact(run_id, feature_path(layer)))


def feature_path(layer: int, *, untrained: bool = False) -> str:
    """Return the artifact path of a layer's features within a train run, of its SAE or of that before training."""
    return f"features{'_untrained' if untrained else ''}/L{layer:02d}.safetensors"


def _artifact(run_id: str, name: str) -> Path:
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name))
    except (MlflowException, OSError) as error:
        raise ValueError(f"run {run_id} has no artifact '{name}': {str(error).splitlines()[0]}") from None


def pages(search: Callable[..., Any], **arguments: Any) -> Iterator[Any]:
    """Yield all that a search of MLflow's client finds, page by page."""
    token = None
    while True:
        page = search(max_results=PAGE, page_token=token, **arguments)
        yield from page
        token = page.token
        if not token:
            return


def _quoted(value: str) -> str:
    if "'" in value:
        raise ValueError(f"a tag value to search for cannot hold a quote: {value!r}.")
    return value
