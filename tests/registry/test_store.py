"""The store is made once, by whoever comes first, and an unusable one is one sentence."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import registry


def test_processes_that_start_at_once_share_one_store(tmp_path):
    script = "import registry, mlflow; registry.connect(); mlflow.start_run(); mlflow.end_run()"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true"}
    started = [
        subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in started:
        assert process.wait() == 0, process.stderr.read().decode()
    database = sqlite3.connect(tmp_path / "mlflow.db")
    assert database.execute("SELECT count(*) FROM runs").fetchone() == (3,)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("uri", ["sqlite:////proc/none/mlflow.db", "nonsense://x"])
def test_a_store_that_cannot_be_used_is_one_sentence(monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(OSError, match="MLFLOW_TRACKING_URI") as error:
        registry.connect()
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_store_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "mlflow.db").write_text("this is no database, only text that is long enough to be taken for one" * 20)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(OSError, match="mlflow.db"):
        registry.connect()


def test_a_server_that_is_not_there_is_named_soon_and_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9.*MLFLOW_TRACKING_URI") as error:
        registry.connect()
    assert "secret" not in str(error.value)


def test_a_database_that_is_not_there_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mysql://me:secret@127.0.0.1:9/mlflow")
    with pytest.raises(OSError) as error:
        registry.connect()
    assert "secret" not in str(error.value)


def test_a_file_answers_and_a_server_that_is_gone_does_not(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert registry.answers()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert not registry.answers()


@pytest.mark.parametrize(
    ("uri", "path"), [("sqlite:////a/b.db", "/a/b.db"), ("sqlite:///c.db?timeout=3", "c.db"), ("http://x:1", None)]
)
def test_only_a_sqlite_file_is_a_local_store(uri, path):
    assert registry.local_store(uri) == (Path(path) if path else None)


def test_what_a_killed_process_left_of_a_store_is_made_anew(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for name in ("mlflow.db.new", "mlflow.db.new-journal", "mlflow.db-wal", "mlflow.db"):
        (tmp_path / name).write_bytes(b"" if name == "mlflow.db" else b"half of it")
    registry.connect()
    assert registry.runs().empty and not (tmp_path / "mlflow.db.new").exists()
    database = sqlite3.connect(tmp_path / "mlflow.db")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
