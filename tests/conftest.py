"""Every test runs offline, with few threads, and against a store of its own."""

import contextlib
import importlib.util
import os
import sqlite3
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", MLFLOW_DISABLE_TELEMETRY="true", TOKENIZERS_PARALLELISM="false")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import pytest  # noqa: E402 - after the environment is set

from benchmark.encoders.torchvision_ops import declare_missing_ops  # noqa: E402

declare_missing_ops()


@pytest.fixture(scope="session")
def builders():
    """The functions of encoders/checkpoints.py, which write small random checkpoints."""
    path = Path(__file__).with_name("encoders") / "checkpoints.py"
    spec = importlib.util.spec_from_file_location("encoder_checkpoints", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A SQLite store without runs: making one takes seconds, copying it does not."""
    import registry

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        registry.connect()
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ?", (f"{path.parent}/mlruns/0",))
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(autouse=True)
def no_active_experiment():
    """Let MLflow forget the experiment that a test has set, which the next test's store does not have."""
    yield
    if "mlflow.tracking.fluent" in sys.modules:
        sys.modules["mlflow.tracking.fluent"]._active_experiment_id = None
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)


def pytest_configure(config):
    """Register the markers of tests that take minutes or a server; they run only when asked for (`make faults`)."""
    config.addinivalue_line("markers", "faults: kills, full disks and the like: minutes, some as root (make faults)")
    config.addinivalue_line("markers", "servers: needs mlflow server, some PostgreSQL too (make faults)")
    config.addinivalue_line("markers", "browser: needs chromium, minutes (make browser)")
    if not config.option.markexpr:
        config.option.markexpr = "not faults and not servers and not browser"
