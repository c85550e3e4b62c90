"""Backends: what cannot be asked for, how many units run at a time, and how a unit's process answers."""

import os
import pickle
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.cores import all_cores
from benchmark.errors import InputError, WorkError
from benchmark.jobs import backends, tracking
from benchmark.jobs.backends import Backend, fan_out
from benchmark.jobs.units import Answer, Unit

GIB = 1 << 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "slurm"}, "unknown backend 'slurm'"),
        ({"name": "dask"}, "address=tcp://HOST:8786"),
        ({"name": "ray"}, "address=HOST:6379"),
        ({"address": "tcp://127.0.0.1:1"}, "say backend=dask or backend=ray"),
        ({"workers": -1}, "at least 0"),
        ({"name": "dask", "address": "tcp://127.0.0.1:1", "workers": 2}, "--nthreads"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        Backend(**options)


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_a_missing_package_is_named_with_what_to_install(monkeypatch, name):
    monkeypatch.setitem(sys.modules, backends.NEEDED[name], None)
    with pytest.raises(InputError, match=r"scale"):
        Backend(name, "tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    ("there", "memory", "units", "workers", "device", "wanted"),
    [
        (2, 64, 9, 0, "cpu", 0),  # too few cores to share
        (7, 64, 9, 0, "cpu", 0),
        (8, 64, 9, 0, "cpu", 2),
        (64, 64, 9, 0, "cpu", 9),
        (64, 12, 9, 0, "cpu", 3),  # so many fit the memory
        (64, None, 9, 0, "cpu", 9),
        (64, 64, 1, 0, "cpu", 0),
        (64, 64, 1, 4, "cpu", 0),
        (64, 64, 9, 0, "cuda", 0),  # one GPU
        (64, 64, 9, 3, "cuda", 3),
        (2, 1, 9, 2, "cpu", 2),
        (64, 64, 9, 1, "cpu", 0),
    ],
)
def test_units_share_this_machine_as_cores_and_memory_allow(monkeypatch, there, memory, units, workers, device, wanted):
    monkeypatch.setattr(backends, "all_cores", lambda: there)
    monkeypatch.setattr(backends, "available_memory", lambda: memory and memory * GIB)
    assert Backend(workers=workers).processes(units, device) == wanted


def told(text):
    """A unit that answers."""
    return text, os.environ["OMP_NUM_THREADS"], int(os.environ["BENCHMARK_UNITS_AT_A_TIME"])


def refused():
    """A unit whose request was wrong."""
    raise InputError("no such thing.")


def broken():
    """A unit that fails."""
    raise RuntimeError("broken.")


def dying(file):
    """A unit that is killed at every try."""
    with open(file, "a") as tries:
        tries.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def test_units_answer_in_their_order_and_fail_alone(lab, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    units = [
        Unit("one", "test_backends:told", ("first",)),
        Unit("two", "test_backends:refused", ()),
        Unit("three", "test_backends:dying", (str(lab / "tries"),)),
        Unit("four", "test_backends:broken", ()),
        Unit("five", "test_backends:told", ("last",)),
    ]
    with tracking.job_run("train", "a run", tags={}, params={}):
        first, wrong, lost, failed, last = fan_out(Backend(workers=2), 2, units, "test", "unit")
    threads = str(max(1, all_cores() // 2))
    assert first.result() == ("first", threads, 2) and last.result() == ("last", threads, 2)
    with pytest.raises(InputError, match="no such thing"):
        wrong.result()
    with pytest.raises(WorkError, match="signal 9; perhaps it ran out of memory"):
        lost.result()
    assert (lab / "tries").read_text() == "xx"
    with pytest.raises(WorkError, match="broken"):
        failed.result()


def test_a_recorded_error_is_not_recorded_again():
    with pytest.raises(WorkError) as caught:
        pickle.loads(pickle.dumps(Answer(error="x", recorded=True))).result()
    assert tracking.is_recorded(caught.value)


@pytest.mark.parametrize("n", [1, 8, 13, 1000])
def test_a_mask_is_its_samples(n):
    from benchmark.jobs.compare_units import masked, unmasked

    rows = np.flatnonzero(np.random.default_rng(n).random(n) < 0.4)
    assert np.array_equal(unmasked(masked(rows, n), n), rows)
