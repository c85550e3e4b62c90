"""The runs of a store as plain rows: by columns from a database, through MLflow's search from a server.

MLflow's search makes an object of every parameter, metric and tag of every run: of 5,000 runs that takes a quarter of
a minute, most of it Python's collection of garbage. Rows read from the same tables take less than a second.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

PAGE = 1000
FEW = 500
"""Runs up to which a query for their tags and metrics names each of them."""


class Row(NamedTuple):
    """A run."""

    run_id: str
    name: str
    status: str
    start: int
    """Milliseconds since 1970, as `end`."""
    end: int | None
    experiment_id: str
    tags: dict[str, str]
    metrics: dict[str, float]


def run_rows(
    status: str,
    tags: Mapping[str, str],
    wanted: Sequence[str],
    limit: int | None = None,
    ids: Collection[str] | None = None,
) -> list[Row]:
    """Return the runs with a status ("": any) and all these tags, newest first: at most `limit`, if that is given.

    Of their tags those in `wanted` are there at least. ids: of these runs alone. Raises MlflowException when the store
    does not answer.
    """
    from mlflow import MlflowClient

    client = MlflowClient()
    store = _database(client)
    if store is not None:
        return _read(store, status, tags, wanted, limit, ids)
    return _searched(client, status, tags, limit, ids)


def lists_quickly() -> bool:
    """Whether thousands of runs of the store are listed within a second, as those of a database are."""
    from mlflow import MlflowClient

    return _database(MlflowClient()) is not None


def pages(search: Any, *, page: int = 0, **arguments: Any) -> Iterator[Any]:
    """Yield all that a search of MLflow's client finds, `page` (0: PAGE) items at a time."""
    token = None
    while True:
        found = search(max_results=page or PAGE, page_token=token, **arguments)
        yield from found
        token = found.token
        if not token:
            return


def _database(client: "MlflowClient") -> "SqlAlchemyStore | None":
    """Return the store of a client if it is a database of the kinds whose `=` minds upper and lower case."""
    store = client._tracking_client.store
    if not hasattr(store, "engine"):
        return None
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    plain = type(store) is SqlAlchemyStore  # one with workspaces hides some of its runs
    return store if plain and store.engine.dialect.name in ("sqlite", "postgresql") else None


def _read(
    store: "SqlAlchemyStore",
    status: str,
    tags: Mapping[str, str],
    wanted: Sequence[str],
    limit: int | None = None,
    ids: Collection[str] | None = None,
) -> list[Row]:
    from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlLatestMetric, SqlRun, SqlTag
    from sqlalchemy import select

    run: Any = SqlRun
    columns = (run.run_uuid, run.name, run.status, run.start_time, run.end_time, run.experiment_id)
    chosen = (
        select(*columns)
        .join(SqlExperiment, SqlRun.experiment_id == SqlExperiment.experiment_id)
        .where(SqlRun.lifecycle_stage == "active", SqlExperiment.lifecycle_stage == "active")
        .order_by(SqlRun.start_time.desc(), SqlRun.run_uuid)
        .limit(limit)
    )
    if status:
        chosen = chosen.where(SqlRun.status == status)
    if ids is not None:
        chosen = chosen.where(SqlRun.run_uuid.in_(list(ids)))
    for name, value in tags.items():
        carrying = select(SqlTag.run_uuid).where(SqlTag.key == name, SqlTag.value == value)
        chosen = chosen.where(SqlRun.run_uuid.in_(carrying))
    with store.ManagedSessionMaker() as session:
        rows = {run[0]: Row(*run[:5], str(run[5]), {}, {}) for run in session.execute(chosen)}
        labels = select(SqlTag.run_uuid, SqlTag.key, SqlTag.value).where(SqlTag.key.in_(wanted))
        metric = SqlLatestMetric
        values = select(metric.run_uuid, metric.key, metric.value, metric.is_nan)
        # A few runs are named; of many, some are read that are not asked for.
        if len(rows) <= FEW:
            labels, values = labels.where(SqlTag.run_uuid.in_(rows)), values.where(metric.run_uuid.in_(rows))
        for run_id, key, value in session.execute(labels):
            if run_id in rows:
                rows[run_id].tags[key] = value
        for run_id, key, value, is_nan in session.execute(values):
            if run_id in rows:
                rows[run_id].metrics[key] = math.nan if is_nan else value
    return list(rows.values())


def _searched(
    client: "MlflowClient",
    status: str,
    tags: Mapping[str, str],
    limit: int | None = None,
    ids: Collection[str] | None = None,
) -> list[Row]:
    conditions = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
    if status:
        conditions.append(f"attributes.status = '{status}'")
    if ids is not None:
        if not ids:
            return []
        conditions.append(f"attributes.run_id IN ({', '.join(repr(run_id) for run_id in ids)})")
    asked: dict[str, Any] = {
        "experiment_ids": [experiment.experiment_id for experiment in pages(client.search_experiments)],
        "filter_string": " and ".join(conditions),
        "order_by": ["attributes.start_time DESC"],
    }
    found = islice(pages(client.search_runs, page=min(PAGE, limit or PAGE), **asked), limit)
    return [
        Row(
            run.info.run_id, run.info.run_name, run.info.status, run.info.start_time, run.info.end_time,
            run.info.experiment_id, run.data.tags, run.data.metrics,
        )
        for run in found
    ]  # fmt: skip
