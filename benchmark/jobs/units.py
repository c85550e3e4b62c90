"""A unit of work of a job: what it is told, what it answers, and the process of its own that it runs in.

The workers of joblib's backends only watch over these processes. So a unit that runs out of memory takes nothing else
with it, a job that ends ends its units wherever they run, and each unit has its own number of threads, its own active
MLflow run, and memory that is given back at its end.
"""

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.cores import all_cores
from benchmark.errors import InputError, WorkError
from benchmark.jobs.memory import AT_A_TIME
from benchmark.jobs.tracking import PARENT, RECORDED

LOOK, ASK = 0.2, 15.0
"""Seconds between looks at the process, and between questions whether the job that wants its work still runs."""
GRACE = 60.0
"""Seconds that a process has to end its runs before it is killed."""
TRIES = 2
"""How often a unit may cost a worker its life: Dask would go on to four, and joblib never hears of it then."""
ROOT = Path(__file__).parents[2]
_live: "set[subprocess.Popen[bytes]]" = set()


@dataclass(frozen=True)
class Job:
    """The run whose units these are, and where its store is."""

    uri: str
    """Tracking URI, the same on every machine."""
    experiment: str
    run_id: str


@dataclass(frozen=True)
class Unit:
    """A function of this project and its arguments, plain data: whoever runs it opens store and data sets itself."""

    name: str
    function: str
    """MODULE:NAME; called with the arguments, returns plain data."""
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Answer:
    """How a unit ended."""

    value: Any = None
    error: str = ""
    wrong_request: bool = False
    """The error is an InputError: the user's mistake."""
    recorded: bool = False
    """Some run ended FAILED with the error."""
    lost: bool = False
    """Its process died without an answer."""

    def result(self) -> Any:
        """Return the value; raises InputError or WorkError with the unit's error."""
        if self.error:
            error = (InputError if self.wrong_request else WorkError)(self.error)
            if self.recorded:
                error.add_note(RECORDED)
            raise error
        return self.value


def active_job() -> Job:
    """Return the job of the active run, whose store must be connected."""
    import mlflow

    import registry

    run, uri = mlflow.active_run(), mlflow.get_tracking_uri()
    assert run is not None
    store = registry.local_store(uri)
    if store is not None:  # a relative path means another file in another folder
        uri = f"sqlite:///{store.absolute()}"
    return Job(uri, run.info.experiment_id, run.info.run_id)


def watch(told: bytes, at_a_time: int) -> Answer:
    """Run a unit in a process of its own until it answers, or until the job that wants it ends.

    Args:
        told: the pickled (Job, Unit).
        at_a_time: units that run on this machine at a time, which share its cores and memory; 0: a Dask worker's
            number of threads.
    """
    if not at_a_time:
        from distributed import get_worker

        at_a_time = get_worker().state.nthreads
    job, unit = pickle.loads(told)
    if problem := _unusable(job):
        return Answer(error=problem)
    with _counted(job, unit) as tries:
        if tries > TRIES:
            return Answer(error=f"the workers that did it died, {TRIES} times.")
        return _watch(told, job, at_a_time)


def _watch(told: bytes, job: Job, at_a_time: int) -> Answer:
    with tempfile.TemporaryDirectory(prefix="unit-") as folder:
        answer = Path(folder, "answer")
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmark.jobs.unit_process", str(answer)],
            stdin=subprocess.PIPE, env=_environment(job, at_a_time), start_new_session=True,
        )  # fmt: skip
        with _ended(process):
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it died already
                process.stdin.write(len(told).to_bytes(8, "big") + told)
                process.stdin.flush()  # and stays open: when it closes, nobody waits for the answer any more
            asked = time.monotonic()
            while process.poll() is None:
                time.sleep(LOOK)
                if time.monotonic() - asked > ASK:
                    asked = time.monotonic()
                    if not _wanted(job):
                        return Answer(error="the job that wanted it has ended.")
        if answer.exists():
            return pickle.loads(answer.read_bytes())
    code = process.returncode
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    hint = "; perhaps it ran out of memory" if code == -9 else ""
    return Answer(error=f"its process ended with {how}{hint}.", lost=True)


def _unusable(job: Job) -> str:
    """Return why the store of a job cannot be used from here, "" if it can."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    import registry

    store, advice = registry.local_store(job.uri), "workers on other machines need a server (docs/servers.md)."
    if store is not None and not store.exists():  # which MLflow would make
        return f"the MLflow store {store} is not on this machine; {advice}"
    try:
        MlflowClient(job.uri).get_run(job.run_id)
    except MlflowException as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        return f"the MLflow store of this machine has no run {job.run_id} ({reason}); {advice}"
    return ""


@contextlib.contextmanager
def _counted(job: Job, unit: Unit) -> Iterator[int]:
    """Yield how often workers have begun a unit, this time included, without coming to its end.

    A cluster gives a dead worker's unit to the next, which it may kill too. The count is a tag of the job's run.
    """
    from mlflow import MlflowClient

    client, tag = MlflowClient(job.uri), f"begun.{unit.name}"
    tries = int(client.get_run(job.run_id).data.tags.get(tag, 0)) + 1
    client.set_tag(job.run_id, tag, str(tries))
    yield tries
    with contextlib.suppress(Exception):  # a store that is away for a moment must not cost the answer
        client.delete_tag(job.run_id, tag)


def _environment(job: Job, at_a_time: int) -> dict[str, str]:
    """Return a unit's environment: its share of the cores, the store, and the run that it works for."""
    kept = {name: text for name, text in os.environ.items() if name not in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME")}
    threads = str(max(1, all_cores() // at_a_time))
    return kept | {
        "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE", "TQDM_DISABLE": "1", AT_A_TIME: str(at_a_time), PARENT: job.run_id,
        "MLFLOW_TRACKING_URI": job.uri, "MLFLOW_EXPERIMENT_ID": job.experiment,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    }  # fmt: skip


def end_all() -> None:
    """End the processes of this machine's units: each marks its runs KILLED, or is killed."""
    processes = list(_live)
    for process in processes:
        process.terminate()
    for process in processes:
        _end(process)


@contextlib.contextmanager
def _ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """End a process that still runs when the block is left."""
    _live.add(process)
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
        _end(process)
        _live.discard(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wanted(job: Job) -> bool:
    """Whether the run of a job is still RUNNING, in a process that lives."""
    from mlflow import MlflowClient

    from benchmark.jobs.owners import is_dead

    try:
        run = MlflowClient(job.uri).get_run(job.run_id)
    except Exception:  # a store that is away for a moment must not end the work
        return True
    tags = run.data.tags
    return run.info.status == "RUNNING" and not is_dead(tags.get("owner", ""), tags.get("heartbeat", ""))
