"""The tracking store: a SQLite file in the working directory unless MLFLOW_TRACKING_URI says otherwise."""

import fcntl
import logging
import os
import sqlite3
import tempfile
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from registry.snapshot import snapshot

DEFAULT_URI = "sqlite:///mlflow.db"


class StoreError(OSError):
    """The store cannot be opened or written, or does not answer; one sentence."""


_copies: dict[Path, tuple[tuple[tuple[int, int], ...], Path]] = {}
"""Stores that cannot be written: when and how large they were, and their copies."""
_copying = Lock()
_opened: dict[str, int] = {}
"""Files of SQLite stores, by URI, that MLflow has open."""


def connect(*, read_only: bool = False) -> str:
    """Point MLflow at the store, make sure that it exists, and return its URI.

    Creating the schema of a SQLite store takes seconds and fails when several processes do it at once, so one does it
    while the others wait. read_only: the caller only reads, and of a SQLite store that cannot be written MLflow gets a
    copy, as it is now. Raises StoreError when the store cannot be opened, or not be written.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # bars for files of a few kilobytes
    import mlflow

    uri = os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    for name in ("mlflow.tracking._model_registry.client", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It prints the whole traceback of an error of the database before it raises it.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    store = local_store(uri)
    asked = uri
    if store is not None:
        try:
            _create(store)
        except OSError:
            if not read_only or not store.is_file():
                raise
            try:
                asked = f"sqlite:///{_copied(store)}"
            except OSError as error:
                raise StoreError(str(error)) from None
    elif urlsplit(uri).scheme in ("http", "https"):
        _reach(uri)
    mlflow.set_tracking_uri(asked)  # once: other threads may be reading
    os.environ["MLFLOW_TRACKING_URI"] = uri  # where MLflow has put the copy, which would be taken for the store
    if store is not None:
        _reopen(asked)
    _answer(asked)
    return uri


def _reopen(uri: str) -> None:
    """Let go of a SQLite file that was replaced by another one: MLflow would go on reading what was deleted."""
    from mlflow import MlflowClient

    path = local_store(uri)
    found = path.stat().st_ino if path is not None and path.is_file() else 0
    if _opened.setdefault(uri, found) != found:
        _opened[uri] = found
        MlflowClient(uri)._tracking_client.store.engine.dispose()


def reach() -> None:
    """Return at once if the store can be asked now; raises StoreError for a server that does not answer in seconds."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    if urlsplit(uri).scheme in ("http", "https"):
        _reach(uri)


def answers() -> bool:
    """Whether the store can be asked now, see `reach`."""
    try:
        reach()
    except OSError:
        return False
    return True


def local_store(uri: str) -> Path | None:
    """Return the SQLite file that a store's URI names, or None for a store of another kind."""
    return Path(uri.removeprefix("sqlite:///").split("?")[0]) if uri.startswith("sqlite:///") else None


def without_password(uri: str) -> str:
    """Return a store's URI as it may be shown."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


def _reach(uri: str) -> None:
    # MLflow's own client tries a server that is not there for minutes.
    try:
        urlopen(uri.rstrip("/") + "/health", timeout=10).close()
    except HTTPError:
        return  # somebody answers; MLflow says the rest
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise StoreError(
            f"the MLflow server {without_password(uri)} does not answer ({reason}); check MLFLOW_TRACKING_URI"
        ) from None


def _copied(store: Path) -> Path:
    """Return a copy of a store that cannot be written, a new one only when the store has changed."""
    files = (store, store.with_name(f"{store.name}-wal"))
    stamp = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.is_file())
    with _copying:
        kept = _copies.get(store)
        if kept is None or kept[0] != stamp or not kept[1].is_file():
            _copies[store] = kept = stamp, snapshot(store)
        return kept[1]


def _create(path: Path) -> None:
    path = path.absolute()
    lock = Path(tempfile.gettempdir(), f"mlflow-{blake2b(str(path).encode(), digest_size=8).hexdigest()}.lock")
    try:
        handle = lock.open("w")
    except OSError as error:
        raise StoreError(
            f"the lock file {lock} cannot be written ({error.strerror}); remove it or set TMPDIR"
        ) from None
    try:
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not path.exists() or not path.stat().st_size:
                _make(path)
            database = sqlite3.connect(path, timeout=60)
            try:
                # WAL halves the time of a write and lets readers go on meanwhile; the file remembers it.
                database.execute("PRAGMA journal_mode=WAL")
                ready = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'runs'").fetchone()[0]
                if ready:  # a read-only store is found before any work is done
                    if not os.access(path, os.W_OK):  # which BEGIN IMMEDIATE does not mind in WAL mode
                        raise sqlite3.OperationalError("attempt to write a readonly database")
                    database.execute("BEGIN IMMEDIATE")
                    database.rollback()
            finally:
                database.close()
            if not ready:
                _answer(f"sqlite:///{path}")
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            f"the MLflow store {path} cannot be written ({error}); check the folder or MLFLOW_TRACKING_URI"
        ) from None


def _make(path: Path) -> None:
    """Make a store beside its place and move it there: what a killed process left of one, MLflow could not mend."""
    if not path.parent.is_dir():  # MLflow would make it, and a mistyped path would look like an empty store
        raise sqlite3.OperationalError(f"there is no folder {path.parent}")
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    new = path.with_name(f"{path.name}.new")
    # Also what belonged to a file that was deleted: SQLite would take its log for this one's.
    for left in (
        new,
        *(file.with_name(file.name + end) for file in (new, path) for end in ("-wal", "-shm", "-journal")),
    ):
        left.unlink(missing_ok=True)
    event.listen(Engine, "connect", _unsynchronized)
    try:
        store = SqlAlchemyStore(f"sqlite:///{new}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
        store.engine.dispose()  # a file must not be moved while it is open
    except Exception as error:  # MLflow wraps the driver's errors in many types
        raise sqlite3.OperationalError(str(error).strip().splitlines()[0]) from None
    finally:
        event.remove(Engine, "connect", _unsynchronized)
    with new.open("rb") as made:
        os.fsync(made.fileno())
    new.replace(path)


def _unsynchronized(connection: sqlite3.Connection, record: object) -> None:
    # The schema is hundreds of commits, each of which would wait for the disk: seconds. Nobody uses the file yet.
    connection.execute("PRAGMA synchronous=OFF")


def _answer(uri: str) -> None:
    from mlflow import MlflowClient

    try:
        MlflowClient(uri).search_experiments(max_results=1)
    except Exception as error:  # MLflow wraps drivers' and servers' errors in many types
        reason = str(error).replace(uri, without_password(uri)).strip().splitlines()[0][:200]
        raise StoreError(
            f"the MLflow store {without_password(uri)} cannot be opened ({reason}); check MLFLOW_TRACKING_URI"
        ) from None
