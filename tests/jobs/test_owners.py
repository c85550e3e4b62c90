"""A run whose process is gone is marked by the next start, and no other is."""

import os
import socket
import time

import pytest

from benchmark.jobs import owners, tracking

OURS = owners.PROJECT.as_uri()


@pytest.fixture
def store(here):
    tracking.open_store()


@pytest.mark.parametrize(
    ("owner", "age", "status"),
    [
        (f"{socket.gethostname()}:999999999:1", 0, "KILLED"),
        (f"{socket.gethostname()}:{os.getppid()}:{int(time.time())}", 0, "RUNNING"),
        (f"{socket.gethostname()}:{os.getppid()}:1", 0, "KILLED"),  # whose number another process has now
        ("another-host:1:1", 10, "RUNNING"),
        ("another-host:1:1", 10_000, "KILLED"),
    ],
    ids=["dead", "alive", "number of another process", "other machine", "other machine, silent"],
)
def test_the_next_start_marks_dead_runs(store, owner, age, status):
    from mlflow import MlflowClient

    client = MlflowClient()
    run = client.create_run("0", tags={"kind": "test", "owner": owner, "heartbeat": str(time.time() - age)})
    tracking.open_store()
    assert client.get_run(run.info.run_id).info.status == status
    client.set_terminated(run.info.run_id)


@pytest.mark.parametrize(
    ("project", "hours", "status"),
    [
        (owners.PROJECT.as_uri(), 2, "KILLED"),
        (owners.PROJECT.as_uri(), 0.1, "RUNNING"),
        ("file:///other", 2, "RUNNING"),
    ],
)
def test_a_run_that_no_job_took_over_is_marked_after_an_hour(store, project, hours, status):
    from mlflow import MlflowClient

    client = MlflowClient()
    begun = int((time.time() - 3600 * hours) * 1000)
    run = client.create_run("0", start_time=begun, tags={"mlflow.source.name": project})
    tracking.open_store()
    assert client.get_run(run.info.run_id).info.status == status
    client.set_terminated(run.info.run_id)
