"""A copy of a store holds what was committed, whoever has the store open."""

import shutil
import sqlite3

import pytest

from registry.snapshot import snapshot


@pytest.fixture
def store(tmp_path):
    """A store in WAL mode with two rows, the second only in its log, and a connection that has it open."""
    database = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    database.execute("CREATE TABLE runs (name)")
    database.execute("INSERT INTO runs VALUES ('first')")
    database.execute("PRAGMA wal_checkpoint")
    database.execute("INSERT INTO runs VALUES ('second')")
    yield database, tmp_path / "mlflow.db"
    database.close()


def rows(path):
    return [row[0] for row in sqlite3.connect(path).execute("SELECT name FROM runs")]


def test_what_another_process_has_committed_is_copied_and_nothing_else(store):
    database, path = store
    database.execute("BEGIN")
    database.execute("INSERT INTO runs VALUES ('third')")
    copy = snapshot(path)
    assert rows(copy) == ["first", "second"] and copy.parent != path.parent


def test_what_a_process_that_died_left_in_the_log_is_copied_too(store, tmp_path):
    (tmp_path / "died").mkdir()
    for end in ("", "-wal"):
        shutil.copy(tmp_path / f"mlflow.db{end}", tmp_path / "died")
    before = {path.name: path.read_bytes() for path in (tmp_path / "died").iterdir()}
    assert rows(snapshot(tmp_path / "died" / "mlflow.db")) == ["first", "second"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "died").iterdir()} == before


def test_what_is_no_store_is_one_sentence(tmp_path):
    (tmp_path / "mlflow.db").write_text("no database" * 1000)
    with pytest.raises(OSError, match=r"mlflow\.db cannot be read \(file is not a database\)") as error:
        snapshot(tmp_path / "mlflow.db")
    assert "\n" not in str(error.value)
