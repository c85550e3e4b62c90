"""Runs are filtered, silent ones told, and two are compared in units of the noise of seeds."""

import numpy as np
import pandas as pd
import pytest
from apps_planted import HOSTILE, SAMPLES

import registry
from apps import data, run_diff, runs
from registry import RunDetails

NOW = pd.Timestamp("2025-03-01 12:00", tz="UTC")


@pytest.fixture
def everything(features_store):
    return runs.watched(data.run_list(), pd.Timestamp.now("UTC"))


def run(run_id, **columns):
    row = {"run_id": run_id, "name": "a run", "kind": "train", "status": "FINISHED", "suite": "s", "dataset": "d",
           "encoder": "vit", "seed": "0", "owner": "host:1:2", "heartbeat": "", "message": "", "seconds": 5.0,
           "signatures": "", "health": "", "start": NOW - pd.Timedelta(hours=1), "metrics": {}}  # fmt: skip
    return {**row, **columns}


def test_filters_and_text_narrow_the_list(features_store, everything):
    assert set(runs.options(everything)) == {"kind", "status", "suite", "encoder"}  # there is one dataset only
    assert set(runs.filtered(everything, {"kind": ["compare"]}).run_id) == {
        features_store.compare, features_store.older_compare
    }  # fmt: skip
    assert runs.filtered(everything, {"status": ["FAILED"], "kind": []}).run_id.tolist() == [features_store.failed]
    assert runs.filtered(everything, {}, " NO weights <IMG ").run_id.tolist() == [features_store.failed]
    assert runs.filtered(everything, {}, "dead-latents").kind.tolist() == ["compare"] * 2
    assert runs.filtered(everything, {}, features_store.partial[:12]).run_id.tolist() == [features_store.partial]
    assert runs.filtered(everything, {}, "[a-z]").empty and len(runs.filtered(everything, {}, " ")) == len(everything)


def test_signatures_and_health_are_read_from_the_tags(features_store, everything):
    of_compare = everything.set_index("run_id").loc[features_store.compare]
    assert of_compare.signatures == "dead-latents" and of_compare.health == "few-samples"


def test_a_silent_run_is_told_and_a_living_one_is_not(features_store, everything):
    silent = everything.set_index("run_id").loc[features_store.running]
    assert silent.stale and 7100 < silent.silent < 7600
    assert silent.message.startswith("no heartbeat for 2.0 h from gpu-box:7:")
    assert everything.stale.sum() == 1 and "1 of the running ones silent for more than 10 min" in runs.counts(
        everything
    )
    beat = str(int(NOW.timestamp()) - 100)
    table = pd.DataFrame([
        run("a", status="RUNNING", heartbeat=beat, seconds=np.nan), run("b", heartbeat=beat),
        run("c", status="RUNNING", seconds=np.nan, owner=""),
        run("d", status="RUNNING", heartbeat="1", seconds=np.nan, message="out of memory"),
    ])  # fmt: skip
    found = runs.watched(table, NOW).set_index("run_id")
    assert found.silent["a"] == 100 and np.isnan(found.silent[["b", "c"]]).all()
    assert found.stale.to_dict() == {"a": False, "b": False, "c": False, "d": True}
    assert found.seconds.tolist() == [3600, 5, 3600, 3600] and found.message["d"] == "out of memory"
    assert runs.watched(table.iloc[1:2], NOW).stale.tolist() == [False]


def test_settings_that_differ_come_first_by_what_they_are():
    left = RunDetails(
        {"cfg.k": "8", "cfg.version.code": "abc", "cfg.version.torch": "2.1", "suite": "x", "cfg.only": "1"},
        {"kind": "train", "owner": "h:1:2", "heartbeat": "1", "mlflow.user": "me", "error": "e"}, {},
    )  # fmt: skip
    right = RunDetails(
        {"cfg.k": "32", "cfg.version.code": "def", "cfg.version.torch": "2.2", "suite": "x"},
        {"kind": "compare", "owner": "h:3:4", "heartbeat": "2", "mlflow.user": "you"}, {},
    )  # fmt: skip
    table = run_diff.settings(left, right)
    assert [tuple(row) for row in table[table.differs].drop(columns="differs").to_numpy()] == [
        ("parameter", "k", "8", "32"), ("parameter", "only", "1", ""), ("revision", "code", "abc", "def"),
        ("version", "torch", "2.1", "2.2"), ("tag", "kind", "train", "compare"),
    ]  # fmt: skip
    assert table[~table.differs].name.tolist() == ["suite"]
    old = RunDetails({}, {"mlflow.source.git.commit": "abc"}, {})
    assert run_diff.settings(old, old).name.tolist() == ["code"]
    assert run_diff.settings(RunDetails({}, {}, {}), RunDetails({}, {}, {})).empty


def test_metrics_that_differ_most_in_seed_noise_come_first():
    left, right = (RunDetails({}, {}, metrics) for metrics in (
        {"a": 1.0, "b": 1.0, "c": 5.0, "gone": 1.0}, {"a": 1.5, "b": 0.9, "c": 9.0, "new": 2.0},
    ))  # fmt: skip
    table = run_diff.metrics(left, right, {"a": 0.5, "b": 0.01, "c": 0.0}).set_index("metric")
    assert table.index.tolist() == ["b", "a", "c", "gone", "new"]
    assert table.in_noise[["b", "a"]].tolist() == pytest.approx([-10, 1]) and table.in_noise[["c", "gone"]].isna().all()
    assert np.isnan(table.right["gone"]) and np.isnan(table.left["new"])
    assert run_diff.metrics(RunDetails({}, {}, {}), RunDetails({}, {}, {}), {}).empty


def test_the_noise_of_a_cell_is_the_spread_over_its_pairs_of_seeds(features_store):
    matrix = registry.table(features_store.compare, "matrix.parquet")
    noise = run_diff.noise_of_cells(matrix)
    values = [0.6 + 0.02 * s + 0.04 * t for s in (0, 1) for t in (0, 1)]
    assert noise["wmppc_crossfit/vit/bert"] == pytest.approx(np.std(values, ddof=1))
    assert noise["wmppc/vit/bert"] == 0
    assert run_diff.noise_of_cells(matrix[(matrix.source_seed == 0) & (matrix.target_seed == 0)]) == {}
    wide = pd.concat([matrix, matrix.assign(aggregate="layer_mean", crossfit=0.1)])
    assert run_diff.noise_of_cells(wide)["wmppc_crossfit/vit/bert"] == 0


def test_the_noise_of_a_train_run_is_the_spread_over_seeds_of_its_process(features_store, everything):
    noise = run_diff.noise_of_seeds(everything, features_store.train["vit", "0"])
    assert noise == pytest.approx({"fvu": np.std([0.1, 0.12], ddof=1)})
    for none in (features_store.train["gpt", "0"], features_store.compare, "unknown"):
        assert run_diff.noise_of_seeds(everything, none) == {}
    swept = pd.DataFrame(
        [run(name, seed=seed, metrics={"fvu": 1.0}) for name, seed in (("a", "0"), ("b", "0"), ("c", "1"))]
    )
    assert run_diff.noise_of_seeds(swept, "a") == {}


def test_noise_of_two_runs_is_pooled():
    assert run_diff.pooled({"a": 3.0, "b": 1.0}, {"a": 4.0}) == pytest.approx({"a": np.sqrt(12.5), "b": 1.0})


def test_a_run_is_read_whole_and_a_missing_one_is_told_in_one_line(features_store):
    found = registry.run_details(features_store.compare)
    assert (
        found.params["cfg.folds"] == "4" and found.tags["kind"] == "compare" and found.metrics["n_samples"] == SAMPLES
    )
    assert registry.error_text(features_store.failed).endswith(f"no weights {HOSTILE}")
    for read, run_id in ((registry.run_details, "0" * 32), (registry.error_text, features_store.partial)):
        with pytest.raises(ValueError, match=run_id) as caught:
            read(run_id)
        assert "\n" not in str(caught.value)
