"""Runs end as what they were: finished, failed, killed, or dead and marked."""

import os
import socket

import pytest

import registry
from benchmark.errors import WorkError
from benchmark.jobs import tracking


@pytest.fixture
def store(here):
    tracking.open_store()


def run_of(name):
    found = registry.runs(kind="test")
    return found[found["name"] == name].iloc[0]


def tags_of(run_id):
    from mlflow import MlflowClient

    return MlflowClient().get_run(run_id).data


def test_a_job_that_ends_is_finished_with_its_parameters_and_versions(store):
    with tracking.job_run("test", "fine", tags={"suite": "s"}, params={"k": 3}):
        tracking.log_metrics({"good": 1.0, "not_finite": float("nan")})
    run = run_of("fine")
    data = tags_of(run.run_id)
    assert run.status == "FINISHED" and run.metrics == {"good": 1.0}
    assert data.params["cfg.k"] == "3" and data.params["cfg.version.torch"]
    assert data.tags["owner"].startswith(f"{socket.gethostname()}:{os.getpid()}:")


def test_a_job_that_raises_is_failed_with_its_error_as_tag_and_artifact(store):
    import mlflow

    with (
        pytest.raises(ValueError, match="out of cheese"),
        tracking.job_run("test", "bad", tags={}, params={}) as run,
    ):
        raise ValueError("out of cheese")
    assert run_of("bad").status == "FAILED" and tags_of(run.info.run_id).tags["error"] == "out of cheese"
    assert "Traceback" in mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/error.txt")


def test_ctrl_c_leaves_a_killed_run(store):
    with pytest.raises(KeyboardInterrupt), tracking.job_run("test", "stopped", tags={}, params={}):
        raise KeyboardInterrupt
    assert run_of("stopped").status == "KILLED"


def test_a_run_says_whose_it_is_from_its_first_moment(store, monkeypatch):
    """A process that is killed right after its run was made leaves one that the next start can mark."""
    import mlflow

    real, seen = mlflow.start_run, []

    def started(**arguments):
        run = real(**arguments)
        seen.append(tags_of(run.info.run_id).tags)
        return run

    monkeypatch.setattr(mlflow, "start_run", started)
    with (
        tracking.job_run("test", "outer", tags={"suite": "s"}, params={}),
        tracking.job_run("test", "inner", nested=True, tags={"key": "k"}, params={}),
    ):
        pass
    assert [(tags["kind"], tags.get("suite"), tags.get("key")) for tags in seen] == [
        ("test", "s", None),
        ("test", None, "k"),
    ]
    assert all(tags["owner"] and tags["heartbeat"] for tags in seen)


@pytest.mark.parametrize("before", [None, "5"])
def test_a_job_whose_server_is_gone_does_not_wait_for_it_again(store, monkeypatch, before):
    from mlflow import MlflowClient

    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    monkeypatch.delenv(name, raising=False)
    if before:
        monkeypatch.setenv(name, before)
    monkeypatch.setattr(registry, "answers", lambda: False)
    real, seen = MlflowClient.set_terminated, []

    def told(self, *arguments, **more):
        seen.append(os.environ.get(name))
        return real(self, *arguments, **more)

    monkeypatch.setattr(MlflowClient, "set_terminated", told)
    with pytest.raises(ValueError, match="away"), tracking.job_run("test", "cut off", tags={}, params={}):
        raise ValueError("the server went away")
    assert seen == ["0"] and os.environ.get(name) == before


def test_curves_are_thinned_and_keep_their_steps(store):
    from mlflow import MlflowClient

    with tracking.job_run("test", "curves", tags={}, params={}) as run:
        tracking.log_curves(run.info.run_id, {"loss": list(range(1000))})
    history = MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert len(history) == 100 and all(point.value == point.step for point in history)


def test_a_store_that_cannot_be_opened_is_one_sentence(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/none/mlflow.db")
    with pytest.raises(WorkError, match="/proc/none/mlflow.db"):
        tracking.open_store()


def test_a_store_that_turns_read_only_is_said_in_its_own_words(store, monkeypatch):
    import mlflow
    from mlflow.exceptions import MlflowException

    def refused(**_):
        raise MlflowException(
            "(raised as a result of Query-invoked autoflush; consider using a block)\n"
            "(sqlite3.OperationalError) attempt to write a readonly database\n[SQL: INSERT INTO runs]"
        )

    monkeypatch.setattr(mlflow, "start_run", refused)
    with (
        pytest.raises(WorkError, match="attempt to write a readonly database; check .*MLFLOW_TRACKING_URI") as failure,
        tracking.job_run("test", "refused", tags={}, params={}),
    ):
        raise AssertionError("started")
    assert "\n" not in str(failure.value) and "autoflush" not in str(failure.value)
