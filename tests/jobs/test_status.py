"""Status tells what is done, what runs and lives, what failed and was not made good, and where the disk went."""

import os
import socket
import time

import pytest

from benchmark.jobs import owners, tracking


def test_an_empty_folder_has_no_runs_yet(housekeeping):
    code, out = housekeeping("status")
    assert code == 0 and "No job has run yet" in out and "free" in out


def test_every_state_is_counted_and_the_living_are_told_from_the_dead(housekeeping, job, lab):
    from mlflow import MlflowClient

    first, second = job({"a": "1"}, kind="compare"), job({"a": "2"}, kind="compare")
    client = MlflowClient()
    host, now = socket.gethostname(), int(time.time())
    for name, owner in (("lives", f"{host}:{os.getpid()}:{owners.STARTED}"), ("died", f"{host}:999999999:1")):
        tags = {"kind": "train", "suite": "s", "dataset": "d", "owner": owner, "heartbeat": str(now)}
        client.create_run("0", tags=tags, run_name=name)
    code, out = housekeeping("status")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert code == 0 and second in lines["compare"] and first not in out and " 2 " in lines["compare"]
    states = {line.split()[1]: line for line in out.splitlines() if "ago" in line and host in line}
    assert states["lives"].endswith("alive") and states["died"].endswith("dead: the next job marks it")
    assert len([line for line in out.splitlines() if line.startswith("train")]) == 1
    # Looking changes nothing.
    assert housekeeping("status")[1].count("dead: the next job marks it") == 1


def test_a_failure_is_shown_until_a_later_run_of_the_same_name_finished(housekeeping, job):
    for error in ("out of cheese", "x" * 200):
        with (
            pytest.raises(ValueError),
            tracking.job_run("train", f"train {error[0]}", tags={"dataset": "d"}, params={}),
        ):
            raise ValueError(error)
    _, out = housekeeping("status")
    assert "out of cheese" in out and "x" * 100 + "…" in out
    job({"a": "1"}, name="train o")
    _, out = housekeeping("status")
    assert "out of cheese" not in out and "x" * 100 in out


def test_disk_is_told_by_part(housekeeping, job, lab):
    folder = lab / ".cache" / "activations" / "enc-1" / "tokens0"
    folder.mkdir(parents=True)
    (folder / "L00.npy").write_bytes(b"0" * 2_000_000)
    job({"a": "1" * 3_000_000})
    _, out = housekeeping("status")
    sizes = {line.split()[0]: line for line in out.splitlines() if line}
    assert "2 MB" in sizes[".cache/activations"] and "3 MB" in sizes["mlruns/0"] and "mlflow.db" in sizes
