"""Units of work in processes, on a real Dask cluster and on real Ray: the same matrices, whoever is killed."""

import os
import signal
import time
from importlib.util import find_spec

import pandas as pd
import pytest
from clusters import Dask, Ray, is_alive, parent, units, wait_for
from servers import Server

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
COMPARE = ("compare", "--suite", "tiny")
TWO = (*COMPARE, "--workers", "2")
MIDDLE = 3.0
"""Seconds after which a unit is at work: its libraries take most of them."""


@pytest.fixture(params=[Dask, Ray], ids=["dask", "ray"])
def cluster(request, tmp_path):
    package = {"dask": "distributed", "ray": "ray"}[request.param.backend]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed (pip install -e '.[scale]').")
    found = request.param(tmp_path / "cluster")
    yield found
    found.close()


@pytest.fixture
def server(tmp_path):
    found = Server(tmp_path / "server")
    found.start()
    yield found
    found.kill()


def on(cluster):
    return (*COMPARE, "--backend", cluster.backend, "--address", cluster.address)


def busy(pid):
    """A unit's process below another one, once it is at work."""
    found = wait_for(lambda: units(pid))[0]
    time.sleep(MIDDLE)
    return found


def test_processes_of_this_machine_give_the_same_matrices(make_lab):
    alone, shared = make_lab("alone"), make_lab("shared")
    seeds = ("--seeds", "0,1", "--untrained", "true")
    for lab, more in ((alone, seeds), (shared, (*seeds, "--workers", "2"))):
        code, text = lab.run(*COMPARE, *more)
        assert code == 0, text
    for table, wanted in zip(shared.tables(), alone.tables(), strict=True):
        pd.testing.assert_frame_equal(table, wanted, check_exact=True)
    # Two encoders and both with themselves; the process of the job alone compares them all at once.
    assert len(shared.runs("FINISHED", kind="pairs")) == 3 and alone.runs(kind="pairs").empty
    # Another comparison of the same runs, as after a kill: what is done is found again.
    with shared.connected():
        import mlflow

        mlflow.delete_run(shared.runs(kind="compare").run_id.item())
    code, text = shared.run(*COMPARE, *seeds, "--workers", "2")
    assert code == 0 and "4 reused" in text, text
    assert len(shared.runs("FINISHED", kind="pairs")) == 3


def test_workers_that_share_only_a_server_give_the_same_matrices(make_lab, server, cluster, as_undisturbed, tmp_path):
    lab = make_lab(uri=server.uri)
    code, text = lab.run(*on(cluster))
    assert code == 0, text
    as_undisturbed(lab)
    with lab.connected():
        import mlflow

        run = lab.runs("FINISHED", kind="compare").run_id.item()
        for other in lab.runs("FINISHED").query("kind != 'compare'").run_id:
            assert mlflow.get_run(other).data.tags["mlflow.parentRunId"] == run
    caches = {path.parent for path in (tmp_path / "cluster").rglob(".cache/activations")}
    assert caches and not list(lab.folder.rglob(".cache/activations"))  # nothing was encoded where the job is


def test_a_worker_killed_in_the_middle_costs_its_unit_a_second_try(lab, cluster, as_undisturbed):
    job = lab.start(*on(cluster))
    root = cluster.workers[0].pid if cluster.backend == "dask" else cluster.node.pid
    unit = busy(root)
    os.kill(parent(unit), signal.SIGKILL)
    code, text = job.wait()
    assert code == 0, text
    assert not is_alive(unit)  # whose worker was killed, and who would have gone on for nobody
    as_undisturbed(lab)


def test_a_unit_killed_in_the_middle_is_tried_again(lab, as_undisturbed):
    job = lab.start(*TWO)
    os.kill(busy(job.pid), signal.SIGKILL)
    code, text = job.wait()
    assert code == 0, text
    as_undisturbed(lab)


def test_a_unit_killed_twice_has_failed_and_the_others_go_on(lab):
    job, killed = lab.start(*TWO), []
    units_of_an_encoder = wait_for(lambda: units(job.pid) if len(units(job.pid)) == 2 else None)
    # The first try of one of them, and the second, which starts when the others are done.
    os.kill(units_of_an_encoder[0], signal.SIGKILL)
    second = wait_for(lambda: set(units(job.pid)) - set(units_of_an_encoder))
    killed.append(second.pop())
    os.kill(killed[0], signal.SIGKILL)
    code, text = job.wait()
    assert code == 1 and "signal 9" in text and "1 other is complete" in text, text
    assert len(lab.runs("FINISHED", kind="train")) == 1 and len(lab.runs("FAILED", kind="train")) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_units(lab, number):
    job = lab.start(*TWO)
    busy(job.pid)
    started = units(job.pid)
    job.kill(number)
    code, text = job.wait()
    assert code == 130 and "finished work is kept" in text and "Traceback" not in text, text
    assert not any(map(is_alive, started))
    assert not len(lab.runs("RUNNING")) and "KILLED" in set(lab.runs().status)


def test_units_end_when_their_job_was_killed_or_ended(lab, cluster):
    job = lab.start(*on(cluster))
    root = cluster.workers[0].pid if cluster.backend == "dask" else cluster.node.pid
    unit = busy(root)
    job.kill(signal.SIGINT)
    code, text = job.wait()
    assert code == 130, text
    wait_for(lambda: not is_alive(unit), 60)
