"""The names of a train run's features, as the newest `name` run that named them recorded them."""

import pandas as pd

from registry.queries import pages, table
from registry.store import StoreError

TAG = "named"
"""Tag of a name run: the beginnings of the ids of the train runs that it named, separated by commas."""
LETTERS = 12
"""Letters of an id in the tag: MLflow keeps 8,000 letters of a tag, which is 600 train runs."""
COLUMNS = {
    "run_id": str, "encoder": str, "seed": int, "layer": int, "feature": int, "name": str, "typology": str,
    "source": str, "score": float, "p": float, "auc": float, "runners_up": str,
}  # fmt: skip
"""Columns of `feature_names` and what they hold; the run's tables have more."""


def names_path(encoder: str, seed: int) -> str:
    """Return the artifact path of the names of one train run's features within a name run."""
    return f"names/{encoder}-seed{seed}.parquet"


def named_tag(run_ids: list[str]) -> str:
    """Return the value of `TAG` for a run that named the features of these train runs."""
    return ",".join(run_id[:LETTERS] for run_id in run_ids)


def naming_runs(run_id: str) -> list[str]:
    """Return the ids of the finished `name` runs that named a train run's features, newest first.

    Raises OSError when the store does not answer.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient()
    condition = f"tags.kind = 'name' and tags.{TAG} LIKE '%{run_id[:LETTERS]}%' and attributes.status = 'FINISHED'"
    try:
        experiments = [experiment.experiment_id for experiment in pages(client.search_experiments)]
        order = ["attributes.start_time DESC"]
        found = pages(client.search_runs, experiment_ids=experiments, filter_string=condition, order_by=order)
        return [run.info.run_id for run in found]
    except MlflowException as error:
        raise StoreError(f"the MLflow store does not answer: {str(error).strip().splitlines()[0]}") from None


def feature_names(run_id: str, layer: int | None = None) -> pd.DataFrame:
    """Return what the newest finished `name` run says of the features of a train run; no rows where none did.

    One row for each live feature of its layers (or of one): run_id, encoder, seed, layer, feature, name ("" without
    one; untrusted text), typology (object, colour, ...), source (caption, image or both), score, p, auc (of detection
    on samples that did not choose the name) and runners_up. Raises OSError when the store does not answer.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client, none = MlflowClient(), pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in COLUMNS.items()})
    try:
        train = client.get_run(run_id).data.tags
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return none
        raise StoreError(f"the MLflow store does not answer: {str(error).strip().splitlines()[0]}") from None
    for run in naming_runs(run_id):
        try:
            names = table(run, names_path(train["encoder"], int(train["seed"])))
        except (ValueError, KeyError):  # removed since; an older run may still have them
            continue
        names = names[names.run_id == run_id]
        if len(names):
            return names[names.layer == layer] if layer is not None else names
    return none


def with_names(
    rows: pd.DataFrame,
    run_id: str,
    *,
    layer: str = "layer",
    feature: str = "feature",
    name: str = "name",
    typology: str = "",
) -> pd.DataFrame:
    """Return a table of a train run's features with a column of their names, "" where they have none.

    layer and feature: the columns that say which feature a row is about. typology: a further column for the kinds of
    the names (empty: none). The order of the rows stays.
    """
    known = feature_names(run_id)
    keys = [(int(i), int(j)) for i, j in zip(rows[layer], rows[feature], strict=True)]
    columns = {}
    for column, wanted in (("name", name), ("typology", typology)):
        if wanted:
            found = dict(zip(zip(known.layer, known.feature, strict=True), known[column], strict=True))
            columns[wanted] = [found.get(key, "") for key in keys]
    return rows.assign(**columns)
