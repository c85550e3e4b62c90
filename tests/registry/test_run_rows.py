"""Rows read from a database are those that MLflow's own search finds, in its order."""

import math

import mlflow
import pytest

import registry
from registry import run_rows
from registry.queries import TAGS


@pytest.fixture
def filled(store):
    """Two experiments and a deleted one with runs of every status, metrics that are no number, and a deleted run."""
    client = mlflow.MlflowClient()
    if client.get_experiment_by_name("rows"):
        return
    here, gone = client.create_experiment("rows"), client.create_experiment("rows, gone")
    for i in range(12):
        kind = {"kind": "rows", "suite": "abc"[i % 3], "other": "x"} | ({"Kind": "Rows"} if i % 2 else {})
        made = client.create_run(
            "0" if i % 4 == 0 else here, start_time=10**12 + i // 2, tags=kind, run_name=f"run {i}"
        )
        for value in (i, math.nan if i == 3 else i + 1):
            client.log_metric(made.info.run_id, "value", value, step=i)
        client.log_metric(made.info.run_id, "other", math.inf)
        if i > 2:
            client.set_terminated(made.info.run_id, ("FINISHED", "FAILED", "KILLED")[i % 3])
        if i == 11:
            client.delete_run(made.info.run_id)
    client.create_run(gone, tags={"kind": "rows"})
    client.delete_experiment(gone)


def shown(rows):
    return [repr((*row[:6], {key: row.tags.get(key, "") for key in TAGS}, sorted(row.metrics.items()))) for row in rows]


@pytest.mark.parametrize("few", [0, 500])
@pytest.mark.parametrize("limit", [None, 1, 5])
@pytest.mark.parametrize(
    ("status", "tags"),
    [
        ("", {"kind": "rows"}),
        ("FINISHED", {"kind": "rows"}),
        ("RUNNING", {"kind": "rows"}),
        ("", {"kind": "rows", "suite": "b", "other": "x"}),
        ("", {"kind": "Rows"}),
        ("", {}),
        ("FAILED", {}),
    ],
)
def test_a_database_and_a_search_give_the_same_rows(filled, monkeypatch, status, tags, limit, few):
    monkeypatch.setattr(run_rows, "FEW", few)
    client = mlflow.MlflowClient()
    store = run_rows._database(client)
    assert store is not None
    read = run_rows._read(store, status, tags, TAGS, limit)
    assert shown(read) == shown(run_rows._searched(client, status, tags, limit))
    if tags == {"kind": "rows"} and not status and not limit:
        assert len(read) == 11


def test_runs_are_found_by_their_ids(filled):
    client = mlflow.MlflowClient()
    store = run_rows._database(client)
    some = [row.run_id for row in run_rows._read(store, "", {"kind": "rows"}, TAGS)][2:7:2]
    for ids in (some, [*some, "0" * 32], []):
        read = run_rows._read(store, "", {}, TAGS, None, ids)
        assert shown(read) == shown(run_rows._searched(client, "", {}, None, ids))
        assert [row.run_id for row in read] == (some if ids else [])


def test_what_can_be_no_id_is_not_asked_for(filled):
    assert registry.runs(ids=["x') OR attributes.run_id IN ('y", "no such", ""]).empty


def test_a_server_is_searched():
    assert run_rows._database(mlflow.MlflowClient("http://127.0.0.1:9")) is None
