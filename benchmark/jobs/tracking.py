"""Runs of jobs: adopted from `mlflow run` or started, owned by this process, and honest about how they ended."""

import contextlib
import os
import platform
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from benchmark.errors import WorkError

if TYPE_CHECKING:
    from mlflow.entities import Run

BEAT = 30.0
"""Seconds between heartbeats."""
STALE = 600.0
"""A run whose heartbeat is older than this is dead wherever it ran."""
LIBRARIES = ("torch", "transformers", "open_clip_torch", "timm", "datasets", "numpy", "numba", "mlflow")
STARTED = int(time.time())
RECORDED = "This error is recorded on an MLflow run."


def open_store() -> None:
    """Connect to the tracking store and mark what died there; raises WorkError when it cannot be used."""
    import registry

    try:
        registry.connect()
    except OSError as error:
        raise WorkError(f"{error}.") from None
    _mark_dead_runs()


@contextmanager
def job_run(
    kind: str, name: str, *, nested: bool = False, tags: Mapping[str, str], params: Mapping[str, Any]
) -> "Iterator[Run]":
    """Hold an MLflow run of a kind while the block works.

    The outermost run adopts the run that `mlflow run` made, if there is one. The run ends FINISHED, FAILED (with the
    error as a tag and the traceback as an artifact) or, on Ctrl-C, KILLED. Parameters are logged as `cfg.NAME`, beside
    the versions of libraries and Python.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    # An adopted run keeps the name and experiment that its caller chose.
    adopted = not nested and "MLFLOW_RUN_ID" in os.environ
    try:
        run = mlflow.start_run(run_name=None if adopted else name, nested=nested)
    except MlflowException as error:
        raise WorkError(
            f"MLflow cannot start the run: {_first_line(error).rstrip('.')}; check the store's folder or "
            "MLFLOW_TRACKING_URI."
        ) from None
    client, run_id = mlflow.MlflowClient(), run.info.run_id
    stop = threading.Event()
    status = "FAILED"
    try:
        mlflow.set_tags({"kind": kind, "owner": _owner(), "heartbeat": str(int(time.time())), **tags})
        mlflow.log_params({f"cfg.{key}": _short(value) for key, value in {**params, **_versions()}.items()})
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
        raise WorkError(f"MLflow failed: {_first_line(error)}") from error
    except BaseException as error:
        _record(client, run_id, error)
        raise
    finally:
        stop.set()
        with contextlib.suppress(MlflowException):  # a store that is gone cannot be told
            mlflow.end_run(status)


def _record(client: Any, run_id: str, error: BaseException) -> None:
    """Leave the error on its run; never hide it behind an error of its own."""
    if is_recorded(error):
        return
    error.add_note(RECORDED)
    try:
        client.set_tag(run_id, "error", _short(str(error) or type(error).__name__))
        client.log_text(run_id, traceback.format_exc(), "error.txt")
    except Exception as second:  # the store itself may be what failed
        print(f"run {run_id}: the error cannot be recorded: {_first_line(second)}", file=sys.stderr)


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
    """Log curves (name -> values by step) in few requests, thinned to at most `points` each."""
    import mlflow
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = []
    for name, curve in curves.items():
        stride = max(1, -(-len(curve) // points))
        metrics += [Metric(name, float(curve[step]), now, step) for step in range(0, len(curve), stride)]
    for start in range(0, len(metrics), 1000):
        mlflow.MlflowClient().log_batch(run_id, metrics=metrics[start : start + 1000])


def _mark_dead_runs() -> None:
    from mlflow import MlflowClient

    import registry

    client = MlflowClient()
    for run_id in registry.runs("RUNNING").run_id:
        tags = client.get_run(run_id).data.tags
        if "owner" in tags and _is_dead(tags["owner"], float(tags.get("heartbeat", 0))):
            client.set_tag(run_id, "error", "the process that owned this run died")
            client.set_terminated(run_id, "KILLED")


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{STARTED}"


def _is_dead(owner: str, heartbeat: float) -> bool:
    if time.time() - heartbeat > STALE:
        return True
    host, pid, _ = owner.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return int(pid) == os.getpid() and owner != _owner()


def _beat(client: Any, run_id: str, stop: threading.Event) -> None:
    while not stop.wait(BEAT):
        try:
            client.set_tag(run_id, "heartbeat", str(int(time.time())))
        except Exception as error:  # a store that is away for a moment must not end the work
            print(f"heartbeat of run {run_id} failed: {error}", file=sys.stderr)


def _versions() -> dict[str, str]:
    found = {"version.python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[f"version.{library}"] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _short(value: Any) -> str:
    return str(value)[:500]
