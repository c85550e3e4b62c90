"""Whatever moment a compare is killed at, the next one gives the same matrices and does nothing twice."""

import os
import time

import numpy as np
import pytest

from benchmark.jobs.activation_files import read_progress

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
KILLS = int(os.environ.get("FAULT_KILLS", "20"))
SEED = int(os.environ.get("FAULT_SEED", "0"))
MOMENTS = [float(moment) for moment in (np.arange(KILLS) + np.random.default_rng(SEED).random(KILLS)) / KILLS]
"""Shares of the time that an undisturbed compare takes: one at random in each of equal parts of it."""


def finished_units(lab):
    """What is done: finished train runs, finished passes over the data, the dataset; each with what shows a redo."""
    units = {run_id: key for run_id, key in lab.runs("FINISHED", kind="train")[["run_id", "key"]].to_numpy()}
    cache = lab.folder / ".cache"
    files = list(cache.glob("datasets/*/*.parquet"))
    for folder in cache.glob("activations/*/*/"):
        done = read_progress(folder)
        if done is not None and done[0] == done[1].n_samples:
            files += folder.glob("*.npy")
    units |= {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}
    return units


@pytest.mark.parametrize("moment", MOMENTS, ids="{:.3f}".format)
def test_a_compare_killed_at_any_moment_is_gone_on_with(lab, undisturbed, as_undisturbed, moment):
    job = lab.start()
    time.sleep(moment * undisturbed[2])
    job.kill()
    job.wait()
    done = finished_units(lab)
    running = set(lab.runs("RUNNING").run_id)
    text = lab.compare()
    as_undisturbed(lab)
    after = finished_units(lab)
    assert {unit: after.get(unit) for unit in done} == done, text
    ended = lab.runs().set_index("run_id").status
    assert all(ended[run_id] == "KILLED" for run_id in running)
    # What was trained when the kill came is reused, not trained again.
    trained = sum("/" not in unit for unit in done)
    assert f"{trained} reused" in text


def test_a_compare_killed_again_and_again_ends(lab, undisturbed, as_undisturbed):
    rng = np.random.default_rng(SEED)
    for _ in range(6):
        job = lab.start()
        time.sleep(float(rng.random()) * undisturbed[2] * 0.7)
        job.kill()
        job.wait()
    lab.compare()
    as_undisturbed(lab)


@pytest.mark.parametrize("moment", np.linspace(0.05, 0.95, max(KILLS // 2, 2)).tolist(), ids="{:.2f}".format)
def test_a_store_that_was_being_made_is_usable(lab, moment):
    """A half made schema is one that MLflow refuses, and cannot complete."""

    def start():
        for path in lab.folder.glob("mlflow.db*"):
            path.unlink()
        return lab.start("status")

    begun = time.monotonic()
    assert start().wait()[0] == 0
    seconds = time.monotonic() - begun
    job = start()
    time.sleep(moment * seconds)
    job.kill()
    job.wait()
    code, text = lab.run("status")
    assert code == 0 and "No job has run yet" in text, text


def test_ctrl_c_and_a_schedulers_signal_leave_killed_runs(lab, undisturbed, as_undisturbed):
    import signal

    for number in (signal.SIGINT, signal.SIGTERM):
        job = lab.start()
        while not len(lab.runs("RUNNING")) and not job.ended:
            time.sleep(0.05)
        job.kill(number)
        code, text = job.wait()
        assert code == 130 and "Traceback" not in text and "finished work is kept" in text, text
        runs = lab.runs()
        assert set(runs.status) <= {"KILLED", "FINISHED"} and "KILLED" in set(runs.status)
    lab.compare()
    as_undisturbed(lab)


def test_two_identical_compares_started_at_once_do_the_work_once(lab, as_undisturbed):
    jobs = [lab.start(), lab.start()]
    for job in jobs:
        code, text = job.wait()
        assert code == 0, text
    as_undisturbed(lab)
    assert len(lab.runs("FINISHED", kind="compare")) == 2
