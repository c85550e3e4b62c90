"""What is missing, damaged or away is told in a sentence by every page, and the app goes on once it is back."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import streamlit as st
from apps_pages import FIRST, PAGES, opened, spoken

import registry
from registry import StoreError, files


class Broken:
    """A copy of the filled store with artifacts of its own."""

    def __init__(self, filled, folder: Path):
        self.database, self.folder, self.compare = folder / "mlflow.db", folder / "artifacts", filled.compare
        source = Path(filled.uri.removeprefix("sqlite:///"))
        self.uri = f"sqlite:///{self.database}"
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(self.database)) as new:
            old.backup(new)
        shutil.copytree(source.parent / "artifacts", self.folder)
        self.do("UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", str(source.parent), str(folder))

    def do(self, statement: str, *values: str) -> None:
        with closing(sqlite3.connect(self.database)) as database:
            database.execute(statement, values)
            database.commit()

    def artifacts(self, pattern: str) -> list[Path]:
        return sorted(self.folder.rglob(pattern))


@pytest.fixture
def broken(filled, tmp_path, monkeypatch) -> Broken:
    made = Broken(filled, tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    files._location.cache_clear()
    registry.connect()
    yield made
    files._location.cache_clear()


def cut(store: Broken) -> None:
    for path in store.artifacts("*.parquet"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(store: Broken) -> None:
    for path in store.artifacts("*.parquet"):
        pd.read_parquet(path).head(0).to_parquet(path)


def gone(store: Broken) -> None:
    shutil.rmtree(store.folder)


def unfinished(store: Broken) -> None:
    """The only comparison, as the others were deleted, has not ended."""
    shutil.rmtree(store.folder / store.compare)
    others = "SELECT run_uuid FROM tags WHERE key = 'kind' AND value = 'compare' AND run_uuid != ?"
    store.do(f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid IN ({others})", store.compare)
    store.do("UPDATE runs SET status = 'RUNNING', end_time = NULL WHERE run_uuid = ?", store.compare)


@pytest.mark.parametrize(
    ("damage", "pages", "words"),
    [
        (cut, PAGES, "is damaged"),
        (empty, PAGES[:2], "is empty"),
        (gone, PAGES[:3], "has no artifact"),
        (unfinished, PAGES[1:3], "has not ended yet"),
    ],
)
def test_pages_say_in_a_sentence_that_a_comparison_cannot_be_read(broken, damage, pages, words):
    damage(broken)
    for page in pages:
        told = spoken(opened(page)).replace("\\", "")
        assert words in told or page == "pages_runs.py", page
        assert str(broken.folder) not in told and len(told) < 600, told


def test_pages_show_a_comparison_that_failed_in_part(broken):
    folder = broken.folder / broken.compare / "artifacts"
    shutil.rmtree(folder / "partners")
    for name in ("cells", "matrix"):
        table = pd.read_parquet(folder / f"{name}.parquet")
        table[(table.source != "bert") & (table.target != "bert")].to_parquet(folder / f"{name}.parquet")
    broken.do("UPDATE runs SET status = 'FAILED' WHERE run_uuid = ?", broken.compare)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", broken.uri)
        mlflow.MlflowClient().set_tag(broken.compare, "failed", "bert")
    for page in ("pages_matrix.py", "pages_pair.py", "pages_sharedness.py"):
        app = opened(page, run=broken.compare)
        assert app.dataframe or "recorded no partners" in spoken(app), page
    assert "1 failed: bert" in " ".join(item.value for item in opened(PAGES[0]).caption)


@pytest.mark.parametrize("stage", ["deleted", "erased"])
def test_a_train_run_that_is_gone_leaves_the_numbers(broken, stage):
    (run_id,) = registry.runs(kind="train", status="FINISHED").run_id
    mlflow.MlflowClient().delete_run(run_id)
    if stage == "erased":
        shutil.rmtree(broken.folder / run_id)
        for table in ("tags", "params", "metrics", "latest_metrics", "runs"):
            broken.do(f"DELETE FROM {table} WHERE run_uuid = ?", run_id)
    assert opened("pages_pair.py").dataframe
    assert "no longer in this store" in spoken(opened("pages_saes.py"))
    assert "was deleted" in spoken(opened("pages_features.py", run=run_id, layer="3", feature="1"))


def test_damaged_pictures_are_told_and_everything_else_is_shown(broken):
    for path in broken.artifacts("thumbnails.parquet"):
        path.write_bytes(b"PAR1 nothing PAR1")
    app = opened("pages_features.py")
    assert len(app.dataframe) == 1 and "'thumbnails.parquet'" in spoken(app).replace("\\", "")
    assert any("a dog" in item.value for item in opened("pages_pair.py").markdown)


def test_a_server_that_goes_away_while_a_page_reads_is_told_and_the_page_is_back_with_it(broken, monkeypatch):
    def away():
        raise StoreError("the MLflow server http://127.0.0.1:9 does not answer; check MLFLOW_TRACKING_URI")

    with monkeypatch.context() as patch:
        patch.setattr(files, "is_local", lambda location: False)
        patch.setattr(files, "reach", away)
        patch.setattr(files, "_download", lambda *_: (_ for _ in ()).throw(OSError("refused")))
        for page in ("pages_saes.py", FIRST):
            app = opened(page)
            assert [item.value.replace("\\", "") for item in app.error] == [
                "The MLflow server http:\u2060//127.0.0.1:9 does not answer; check MLFLOW_TRACKING_URI."
            ]
    next(button for button in app.button if button.label == "Try again").click().run()
    assert not app.exception and not app.error and app.dataframe


def test_a_store_that_is_away_is_back_at_the_next_try(broken, monkeypatch):
    shutil.move(broken.folder.parent, kept_folder := broken.folder.parent.with_name("moved"))
    app = opened()
    assert len(app.error) == 1 and "there is no folder" in app.error[0].value
    shutil.move(kept_folder, broken.folder.parent)
    app.button[0].click().run()
    assert not app.error and app.dataframe


def test_a_store_that_is_replaced_is_read_anew(broken, schema):
    assert opened().dataframe
    shutil.copy(schema, broken.database.with_name("new.db"))
    broken.database.with_name("new.db").replace(broken.database)
    st.cache_resource.clear()  # lists of runs are kept for a few seconds
    assert [item.value for item in opened().code] == ["make compare"]


def test_a_store_that_cannot_be_written_is_read(broken, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert opened().dataframe and opened("pages_features.py").dataframe
    first = mlflow.get_tracking_uri()
    assert opened().dataframe and mlflow.get_tracking_uri() == first != broken.uri, "copied once"
    broken.do("UPDATE runs SET name = 'changed'")
    opened()
    assert mlflow.get_tracking_uri() != first and os.environ["MLFLOW_TRACKING_URI"] == broken.uri
