"""Gc lists before it removes, and never takes what a process holds or a run refers to."""

import os
import sqlite3
import time

import pytest
from filelock import FileLock

from benchmark.jobs import tracking

DAY = 86400


def cached(lab, part, name, days, inner=""):
    """Make an entry of the cache that was used so many days ago."""
    folder = lab / ".cache" / part / name / inner
    folder.mkdir(parents=True)
    file = folder / "L00.npy"
    file.write_bytes(b"0" * 1000)
    then = time.time() - days * DAY
    for path in (file, folder):
        os.utime(path, (then, then))
    return folder


@pytest.fixture
def old(lab):
    return {
        "activations": cached(lab, "activations", "enc-1", 40, "tokens0"),
        "training": cached(lab, "training", "enc-2", 40),
        "datasets": cached(lab, "datasets", "scenes-3", 40),
    }


def test_a_dry_run_lists_and_removes_nothing(housekeeping, old, lab):
    young = cached(lab, "activations", "enc-1", 3, "tokens16")
    code, out = housekeeping("gc")
    assert code == 0 and "Listed: 3 (3 kB). Nothing was removed" in out and "--delete true" in out
    assert all(path.is_dir() for path in old.values()) and "tokens16" not in out
    _, out = housekeeping("gc", "--days", "2")
    assert "tokens16" in out and young.is_dir()


def test_what_was_listed_is_removed_and_the_rest_stays(housekeeping, old, lab):
    young = cached(lab, "datasets", "blooms-1", 3)
    (lab / ".cache" / "own").mkdir()
    code, out = housekeeping("gc", "--delete")
    assert code == 0 and "Removed: 3" in out
    assert not any(path.exists() for path in old.values()) and young.is_dir()
    assert not (lab / ".cache" / "activations" / "enc-1").exists() and (lab / ".cache" / "own").is_dir()


def test_what_was_used_within_the_hour_stays_whatever_is_asked(housekeeping, lab):
    now = cached(lab, "training", "enc-2", 0)
    _, out = housekeeping("gc", "--days", "0", "--delete")
    assert now.is_dir() and "Removed: 0" in out


def test_what_a_process_holds_stays(housekeeping, old, lab):
    with FileLock(lab / ".cache" / "training" / "enc-2.lock"), FileLock(lab / ".cache" / "activations" / "enc-1.lock"):
        _, out = housekeeping("gc", "--delete")
    assert old["training"].is_dir() and old["activations"].is_dir() and not old["datasets"].exists()
    assert "Kept, because a job holds them or may use them: 2" in out


def test_caches_that_a_running_job_may_have_open_stay(housekeeping, old):
    with tracking.job_run("compare", "a job", tags={}, params={}):
        _, out = housekeeping("gc", "--delete")
    assert old["activations"].is_dir() and old["datasets"].is_dir() and not old["training"].exists()
    assert "Kept" in out


def test_what_a_dead_process_was_writing_is_removed(housekeeping, lab):
    folder = cached(lab, "datasets", "scenes-3", 3)
    part = folder / "samples.parquet.1-abc.part"
    part.write_bytes(b"0")
    for path in (part, folder):
        os.utime(path, (time.time() - 2 * DAY,) * 2)
    housekeeping("gc", "--days", "1", "--delete")
    assert not folder.exists()
    folder = cached(lab, "datasets", "scenes-3", 0)
    part.write_bytes(b"0")
    os.utime(part, (time.time() - 2 * DAY,) * 2)
    _, out = housekeeping("gc", "--days", "1", "--delete")
    assert folder.exists() and not part.exists() and "half written" in out


def artifacts(lab, run_id):
    return lab / "mlruns" / "0" / run_id


def test_artifacts_of_deleted_runs_are_removed_and_others_stay(housekeeping, job, lab):
    from mlflow import MlflowClient

    kept, deleted = job({"a": "1"}), job({"a": "1"})
    MlflowClient().delete_run(deleted)
    _, out = housekeeping("gc")
    assert deleted in out and kept not in out and artifacts(lab, deleted).is_dir()
    housekeeping("gc", "--delete")
    assert not artifacts(lab, deleted).exists() and (artifacts(lab, kept) / "artifacts" / "a").is_file()


def test_folders_of_runs_that_no_store_knows_are_removed_but_not_those_of_another_store(housekeeping, job, lab):
    known = job({"a": "1"})
    for name in ("a" * 32, "b" * 32):
        artifacts(lab, name).mkdir()
    (lab / "mlruns" / "0" / "notes").mkdir()
    with sqlite3.connect(lab / "other.db") as other:
        other.execute("CREATE TABLE runs (run_uuid TEXT)")
        other.execute("INSERT INTO runs VALUES (?)", ("b" * 32,))
    other.close()
    (lab / "text.db").write_text("no database")
    housekeeping("gc", "--delete")
    assert not artifacts(lab, "a" * 32).exists() and artifacts(lab, "b" * 32).exists()
    assert artifacts(lab, known).is_dir() and artifacts(lab, "notes").is_dir()


def test_nothing_goes_where_a_store_cannot_be_read(housekeeping, lab):
    artifacts(lab, "a" * 32).mkdir(parents=True)
    (lab / "broken.db").write_bytes(b"SQLite format 3\0" + b"broken" * 500)
    code, out = housekeeping("gc", "--delete")
    assert code == 1 and "nothing is collected" in out and artifacts(lab, "a" * 32).is_dir()


def test_links_are_not_followed(housekeeping, lab, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "thesis").write_text("years of work")
    (lab / "mlruns" / "0").mkdir(parents=True)
    (lab / "mlruns" / "0" / ("a" * 32)).symlink_to(elsewhere)
    old = cached(lab, "datasets", "scenes-3", 40)
    (old / "link").symlink_to(elsewhere)
    os.utime(old, (time.time() - 40 * DAY,) * 2)
    os.utime(old / "link", (time.time() - 40 * DAY,) * 2, follow_symlinks=False)
    housekeeping("gc", "--delete")
    assert (elsewhere / "thesis").read_text() == "years of work" and not old.exists()


def test_models_go_with_their_run_unless_they_are_registered(housekeeping, job, lab):
    import mlflow
    from mlflow import MlflowClient

    import registry
    from benchmark.sae import TopKSAE

    client = MlflowClient()
    with mlflow.start_run() as run:
        uris = [registry.log_sae(TopKSAE(4, 8, 2), dataset="s", encoder=e, layer=0, seed=0) for e in ("kept", "gone")]
    client.delete_registered_model(uris[1].removeprefix("models:/").split("/")[0])
    folders = {path.name for path in (lab / "mlruns" / "0" / "models").iterdir()}
    _, out = housekeeping("gc")
    assert len(folders) == 2 and "Listed: 0" in out  # their run is there
    client.delete_run(run.info.run_id)
    housekeeping("gc", "--delete")
    assert len(list((lab / "mlruns" / "0" / "models").iterdir())) == 1
    assert registry.load_sae(uris[0]).k == 2


def test_a_wrong_age_is_one_sentence(housekeeping):
    code, out = housekeeping("gc", "--days", "-1")
    assert code == 2 and "days must be at least 0, got -1" in out
