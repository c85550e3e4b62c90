"""A copy of a SQLite store that cannot be written: to read it, SQLite and MLflow want to write beside it.

A store in WAL mode on a read-only disk opens only where its shared-memory file is there, and MLflow switches modes when
it connects. The copy holds what was committed; other processes go on with the original.
"""

import atexit
import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path


def snapshot(store: Path) -> Path:
    """Return a copy of a store in a temporary folder that goes with this process; raises OSError where none is read."""
    folder = tempfile.mkdtemp(prefix="mlflow-read-only-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = Path(folder, store.name)
    try:
        if store.with_name(f"{store.name}-shm").exists():  # whoever writes it now leaves it to the copy for a moment
            with (
                contextlib.closing(sqlite3.connect(f"file:{store.absolute()}?mode=ro", uri=True, timeout=60)) as source,
                contextlib.closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
        else:  # nobody has it open
            shutil.copyfile(store, copy)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(store.with_name(f"{store.name}-wal"), copy.with_name(f"{copy.name}-wal"))
        with contextlib.closing(sqlite3.connect(copy)) as database:
            database.execute("PRAGMA journal_mode=WAL")
    except (sqlite3.Error, OSError) as error:
        raise OSError(f"the MLflow store {store} cannot be read ({error}); check the file or TMPDIR") from None
    return copy
