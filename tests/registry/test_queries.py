"""Queries see every run, its tags and its artifacts, and say when something is not there."""

import numpy as np
import pandas as pd
import pytest

import registry
from benchmark.features import SparseFeatures


def make_run(kind, folder=None, status="FINISHED", **tags):
    import mlflow

    with mlflow.start_run(tags={"kind": kind, **tags}) as run:
        mlflow.log_metrics({"n": 3})
        if folder:
            registry.write_manifest(folder)
            mlflow.log_artifacts(str(folder))
    if status != "FINISHED":
        mlflow.MlflowClient().set_terminated(run.info.run_id, status)
    return run.info.run_id


def test_runs_are_found_by_tag_in_all_experiments_newest_first(store):
    import mlflow

    first = make_run("q", suite="a")
    mlflow.set_experiment("elsewhere")
    second = make_run("q", suite="a")
    third = make_run("q", suite="b", status="FAILED")
    mlflow.set_experiment("Default")
    assert list(registry.runs(kind="q").run_id) == [third, second, first]
    assert list(registry.runs(kind="q", suite="a").run_id) == [second, first]
    assert registry.latest("q") == second and registry.latest("q", suite="none") is None
    row = registry.runs(kind="q").iloc[0]
    assert (row.status, row.suite, row.metrics) == ("FAILED", "b", {"n": 3})
    assert row.seconds >= 0


def test_finished_runs_are_found_by_key(store):
    found = make_run("keyed", key="abc")
    make_run("keyed", key="abc", status="FAILED")
    make_run("keyed", key="abd")
    assert registry.find_finished("keyed", "abc") == [found]
    newer = [make_run("keyed", key="abc") for _ in range(10)]
    assert registry.find_finished("keyed", "abc") == newer[::-1], "the newest ten are enough"


def test_more_runs_than_a_page_are_all_found(store, monkeypatch):
    monkeypatch.setattr("registry.run_rows.PAGE", 3)
    made = {make_run("many") for _ in range(8)}
    assert set(registry.runs(kind="many").run_id) == made


def test_tables_and_features_come_back(store, tmp_path):
    frame = pd.DataFrame({"source": ["a"], "crossfit": [0.25]})
    frame.to_parquet(tmp_path / "cells.parquet")
    features = SparseFeatures.from_dense(np.eye(4), "ids", [0, 0, 1, 1])
    features.save(tmp_path / "features" / "L03.safetensors")
    run_id = make_run("tables", tmp_path)
    pd.testing.assert_frame_equal(registry.table(run_id, "cells.parquet"), frame)
    again = registry.features(run_id, 3)
    assert again.samples == "ids" and (again.to_dense() == np.eye(4)).all() and list(again.groups) == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="has no artifact 'features/L04.safetensors'"):
        registry.features(run_id, 4)
    with pytest.raises(ValueError, match="has no artifact 'other.parquet'"):
        registry.table(run_id, "other.parquet")


@pytest.mark.parametrize("damage", ["changed", "missing", "escaping", "no manifest"])
def test_artifacts_that_changed_do_not_verify(store, tmp_path, damage):
    (tmp_path / "one.txt").write_text("one")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "two.txt").write_text("two")
    run_id = make_run("verified", tmp_path)
    folder = registry.verified(run_id)
    assert folder is not None
    if damage == "changed":
        (folder / "sub" / "two.txt").write_text("twp")
    elif damage == "missing":
        (folder / "one.txt").unlink()
    elif damage == "escaping":
        (folder / registry.MANIFEST).write_text('{"../../../../etc/hostname": "0"}')
    else:
        (folder / registry.MANIFEST).unlink()
    assert registry.verified(run_id) is None


def test_a_run_that_is_gone_does_not_verify(store):
    assert registry.verified("0" * 32) is None


def test_registered_saes_are_all_versions_of_ours_and_no_other_model(store):
    import mlflow

    from benchmark.sae import TopKSAE

    with mlflow.start_run():
        uris = [registry.log_sae(TopKSAE(4, 8, 2), dataset="q", encoder="e", layer=0, seed=s) for s in (0, 1)]
    mlflow.MlflowClient().create_registered_model("another")
    known = registry.registered_saes()
    assert set(uris) <= set(known) and list(known) == sorted(known)
    assert all(uri.startswith("models:/sae-") and source.startswith("models:/m-") for uri, source in known.items())
