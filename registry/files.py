"""Where a run's artifact can be read on this machine: in the store's own folder, or in a copy of a server's file.

Copies are kept for the life of the process, the least recently read of them removed once they exceed `BUDGET`: a page
of the app reads a few pictures out of a file of many again and again.
"""

import atexit
import shutil
import tempfile
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from threading import Lock

from registry.locations import is_local, local_folder
from registry.store import reach

BUDGET = 1 << 30
"""Bytes of copies of a server's files."""
_copies: OrderedDict[tuple[str, str, str], Path] = OrderedDict()
_lock = Lock()


def artifact_file(run_id: str, name: str) -> Path:
    """Return an artifact of a run as a file that is only read.

    Raises ValueError when there is none, and StoreError for a server that went away: what it holds is not known.

    An artifact that was read once is not asked for again: those of a run that has ended do not change.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    store = mlflow.get_tracking_uri()
    try:
        location = _location(store, run_id)
        if not is_local(location):
            return _copy(store, run_id, location, name)
    except (MlflowException, OSError) as error:
        reach()
        if "RESOURCE_DOES_NOT_EXIST" in (getattr(error, "error_code", ""), *str(error).split('"')):
            raise _missing(run_id, name, "the run or the file is not in this store, or was deleted") from None
        raise _missing(run_id, name, str(error).splitlines()[0]) from None
    folder = local_folder(location).resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise _missing(run_id, name, "it would lie outside of the run's folder")
    if not path.is_file():
        raise _missing(run_id, name, "there is no such file")
    return path


def _missing(run_id: str, name: str, why: str) -> ValueError:
    return ValueError(f"run {run_id} has no artifact '{name}': {why}")


@lru_cache(maxsize=4096)
def _location(store: str, run_id: str) -> str:
    """Return where a run's artifacts are, which never changes."""
    from mlflow import MlflowClient

    return str(MlflowClient(store).get_run(run_id).info.artifact_uri)


def _copy(store: str, run_id: str, location: str, name: str) -> Path:
    key = store, run_id, name
    with _lock:
        if key in _copies and _copies[key].exists():
            _copies.move_to_end(key)
            return _copies[key]
    folder = Path(tempfile.mkdtemp(dir=_folder()))
    path = _download(location, name, folder)
    with _lock:
        _copies[key] = path
        _copies.move_to_end(key)
        left = BUDGET
        for other in reversed(list(_copies)):
            size = _copies[other].stat().st_size if _copies[other].exists() else 0
            left -= size
            if left < 0 and other != key:
                _copies.pop(other).unlink(missing_ok=True)
    return path


def _download(location: str, name: str, folder: Path) -> Path:
    """Download an artifact; by the run's id, MLflow would ask for its place again, and for models of that name."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return Path(get_artifact_repository(location).download_artifacts(name, str(folder)))


@lru_cache(maxsize=1)
def _folder() -> str:
    """Return the folder of this process's copies, which it removes when it ends."""
    folder = tempfile.mkdtemp(prefix="artifacts-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
