"""Runs of jobs: adopted from `mlflow run` or started, owned by this process, and honest about how they ended."""

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmark.errors import WorkError
from benchmark.jobs.owners import mark_dead_runs, owner
from benchmark.jobs.provenance import versions

if TYPE_CHECKING:
    from mlflow.entities import Run

BEAT = 30.0
"""Seconds between heartbeats."""
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
PARENT = "BENCHMARK_PARENT_RUN"
"""Environment variable: the run below which those of this process nest, where another process holds it."""
RECORDED = "This error is recorded on an MLflow run."


def open_store() -> None:
    """Connect to the tracking store and mark what died there; raises WorkError when it cannot be used."""
    import registry

    try:
        registry.connect()
    except OSError as error:
        raise WorkError(f"{error}.") from None
    mark_dead_runs()


@contextmanager
def job_run(
    kind: str, name: str, *, nested: bool = False, tags: Mapping[str, str], params: Mapping[str, Any]
) -> "Iterator[Run]":
    """Hold an MLflow run of a kind while the block works.

    The outermost run adopts the run that `mlflow run` made, if there is one. The run ends FINISHED, FAILED (with the
    error as a tag and the traceback as an artifact) or, on Ctrl-C, KILLED. Parameters are logged as `cfg.NAME`, beside
    the versions of the code, of libraries and of Python.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    # An adopted run keeps the name and experiment that its caller chose.
    adopted = not nested and "MLFLOW_RUN_ID" in os.environ
    own = {"kind": kind, "owner": owner(), "heartbeat": str(int(time.time())), **tags}
    try:
        # With its owner from the first moment: a process killed before it said who it is could not be told to be dead.
        run = mlflow.start_run(
            run_name=None if adopted else name, nested=nested, tags=own,
            parent_run_id=os.environ.get(PARENT) if nested and not mlflow.active_run() else None,
        )  # fmt: skip
    except MlflowException as error:
        raise WorkError(
            f"MLflow cannot start the run: {_first_line(error).rstrip('.')}; check the store's folder or "
            "MLFLOW_TRACKING_URI."
        ) from None
    client, run_id = mlflow.MlflowClient(), run.info.run_id
    stop = threading.Event()
    status = "FAILED"
    try:
        mlflow.log_params({f"cfg.{key}": _short(value) for key, value in {**params, **versions()}.items()})
        # An artifact store that cannot be written is found now, not after the work.
        try:
            mlflow.log_dict({key: _short(value) for key, value in params.items()}, "config.json")
        except OSError as error:
            refused = WorkError(
                f"the artifacts of run {run_id} cannot be written ({error}); check the folder or MLFLOW_TRACKING_URI."
            )
            refused.add_note(RECORDED)  # recording it would need the same folder
            client.set_tag(run_id, "error", str(refused))
            raise refused from None
        threading.Thread(target=_beat, args=(client, run_id, stop), daemon=True).start()
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except MlflowException as error:
        _record(client, run_id, error)
        reason = _first_line(error).rstrip(".")
        raise WorkError(
            f"MLflow failed: {reason}; finished work is kept, and the next start goes on from it."
        ) from error
    except BaseException as error:
        _record(client, run_id, error)
        raise
    finally:
        stop.set()
        with contextlib.suppress(MlflowException), _not_waiting_for_a_server_that_is_gone():
            mlflow.end_run(status)


def _record(client: Any, run_id: str, error: BaseException) -> None:
    """Leave the error on its run; never hide it behind an error of its own."""
    if is_recorded(error):
        return
    error.add_note(RECORDED)
    try:
        with _not_waiting_for_a_server_that_is_gone():
            client.set_tag(run_id, "error", _short(str(error) or type(error).__name__))
            client.log_text(run_id, traceback.format_exc(), "error.txt")
    except Exception as second:  # the store itself may be what failed
        print(f"run {run_id}: the error cannot be recorded: {_first_line(second)}", file=sys.stderr)


@contextmanager
def _not_waiting_for_a_server_that_is_gone() -> Iterator[None]:
    """Let MLflow try only once to reach a server that does not answer: the work before has waited for it already."""
    import registry

    if registry.answers():
        yield
        return
    before = os.environ.get(RETRIES)
    os.environ[RETRIES] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[RETRIES]
        else:
            os.environ[RETRIES] = before


def _first_line(error: BaseException) -> str:
    """Return what an error says first, after SQLAlchemy's remark on when it came up."""
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result of")]
    return (lines or [type(error).__name__])[0]


def is_recorded(error: BaseException) -> bool:
    """Whether some run already ended FAILED with this error."""
    return RECORDED in getattr(error, "__notes__", ())


def log_metrics(metrics: Mapping[str, float]) -> None:
    """Log all finite metrics of the active run in one batch."""
    import math

    import mlflow

    mlflow.log_metrics({name: float(value) for name, value in metrics.items() if math.isfinite(value)})


def log_curves(run_id: str, curves: Mapping[str, Any], points: int = 100) -> None:
    """Log curves in few requests, thinned to at most `points` each.

    A curve is its values by step, (n,), or pairs of step and value, (n, 2).
    """
    import mlflow
    import numpy as np
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = []
    for name, values_by_step in curves.items():
        curve = np.asarray(values_by_step)
        stride = max(1, -(-len(curve) // points))
        steps, values = (curve[:, 0], curve[:, 1]) if curve.ndim == 2 else (range(len(curve)), curve)
        thinned = list(zip(steps, values, strict=True))[::stride]
        metrics += [Metric(name, float(value), now, int(step)) for step, value in thinned]
    for start in range(0, len(metrics), 1000):
        mlflow.MlflowClient().log_batch(run_id, metrics=metrics[start : start + 1000])


def _beat(client: Any, run_id: str, stop: threading.Event) -> None:
    while not stop.wait(BEAT):
        try:
            client.set_tag(run_id, "heartbeat", str(int(time.time())))
        except Exception as error:  # a store that is away for a moment must not end the work
            print(f"heartbeat of run {run_id} failed: {error}", file=sys.stderr)


def _short(value: Any) -> str:
    return str(value)[:500]
