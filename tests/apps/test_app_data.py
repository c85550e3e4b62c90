import mlflow
import numpy as np
import pandas as pd
import pytest

from apps import data


def test_compare_runs_are_listed_newest_first_and_nothing_else_is(store):
    runs = data.run_list()
    compares = runs[runs.kind == "compare"].reset_index(drop=True)
    assert list(compares["run_id"]) == [store.compare, store.few_samples, store.without_tables]
    assert compares["start"].is_monotonic_decreasing
    assert len(runs) == 5


def test_a_run_is_labelled_by_suite_dataset_date_and_status():
    run = {"suite": "tiny", "dataset": "", "start": pd.Timestamp("2025-03-01 12:30", tz="UTC"),
           "status": "FINISHED", "run_id": "0123456789abcdef"}  # fmt: skip
    assert data.run_label(run) == "tiny · no dataset · 2025-03-01 12:30 UTC · finished · 01234567"


def test_a_failed_run_tells_its_error(store):
    runs = data.run_list().set_index("run_id")
    assert runs.loc[store.failed, "message"].startswith("no weights")
    assert runs.loc[store.compare, "message"] == ""


def test_an_empty_store_has_no_runs(empty_store):
    assert data.run_list().empty


def test_cells_are_read_as_they_were_written(store, cells):
    pd.testing.assert_frame_equal(data.table(store.compare, "cells.parquet"), cells, check_dtype=False)


@pytest.mark.parametrize("name", ["cells.parquet", "saes.parquet", "other.parquet"])
def test_a_run_without_tables_and_a_run_that_is_gone_are_told_in_one_line(store, name):
    for run_id in (store.without_tables, "f" * 32):
        with pytest.raises(ValueError, match=run_id) as caught:
            data.table(run_id, name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (lambda cells: cells.drop(columns=["crossfit", "low"]), "lacks the columns crossfit, low"),
        (lambda cells: cells.iloc[:0], "is empty"),
    ],
)
def test_a_table_of_another_form_is_refused(empty_store, tmp_path, cells, content, complaint):
    content(cells).to_parquet(tmp_path / "cells.parquet")
    experiment = mlflow.create_experiment("other", str(tmp_path / "artifacts"))
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_artifact(str(tmp_path / "cells.parquet"))
    with pytest.raises(ValueError, match=complaint):
        data.table(run.info.run_id, "cells.parquet")


def test_a_damaged_table_is_refused(empty_store, tmp_path):
    (tmp_path / "cells.parquet").write_bytes(b"PAR1 this is no table PAR1")
    experiment = mlflow.create_experiment("damaged", str(tmp_path / "artifacts"))
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_artifact(str(tmp_path / "cells.parquet"))
    with pytest.raises(ValueError):
        data.table(run.info.run_id, "cells.parquet")


def test_a_selection_holds_each_pair_once(cells):
    for recorded_on in data.choices(cells, "recorded_on"):
        for aggregate in data.choices(cells, "aggregate"):
            shown = data.selection(cells, recorded_on, aggregate)
            assert len(shown) == 16
            assert not shown.duplicated(["source", "target"]).any()


def test_encoders_are_ordered_by_kind_and_as_stored_within_a_kind(store, cells):
    kinds = data.encoder_column(data.table(store.compare, "saes.parquet"), "kind")
    groups = data.by_kind(cells, kinds)
    assert groups == {"vision": ["vit"], "vlm": ["clip-image", "clip-text"], "text": ["bert"]}
    assert list(groups) == ["vision", "vlm", "text"]


def test_encoders_of_unknown_kind_come_last_or_keep_their_order(cells):
    assert data.by_kind(cells, {}) == {"": ["clip-image", "vit", "bert", "clip-text"]}
    assert list(data.by_kind(cells, {"bert": "text", "vit": "audio"})) == ["text", "", "audio"]


def test_few_samples_and_a_high_chance_level_are_warned_of(cells):
    assert data.warnings(cells) == []
    assert data.digits(cells) == 3
    few = cells.assign(n_groups=1999)
    assert len(data.warnings(few)) == 1 and "1,999 independent samples" in data.warnings(few)[0]
    assert data.digits(few) == 2
    high = cells.assign(chance=np.where(cells["source"] == "vit", 0.51, 0.5))
    assert len(data.warnings(high)) == 1 and "16 of 64 cells" in data.warnings(high)[0]
    assert data.warnings(cells.assign(chance=np.nan)) == []


def test_saes_without_their_train_run_are_named(store):
    saes = data.table(store.compare, "saes.parquet")
    assert data.without_run(saes, data.run_list()) == []
    saes.loc[saes["encoder"] == "bert", "run_id"] = "gone"
    assert data.without_run(saes, data.run_list()) == ["bert"]


def test_links_lead_to_a_server_and_carry_no_password():
    runs = pd.DataFrame({"run_id": ["abc"], "experiment_id": ["7"]})
    link = "http://host:5000/base/#/experiments/7/runs/abc?workflowType=machine_learning"
    assert list(data.run_links("http://me:secret@host:5000/base/", runs)) == [link]
    assert data.run_links("sqlite:///mlflow.db", runs) is None
    assert data.run_links("postgresql://me:secret@host/db", runs) is None


def test_the_share_of_the_ceiling_and_the_asymmetry_come_from_the_cells():
    values = {("a", "a"): 0.8, ("a", "b"): 0.4, ("b", "a"): 0.3, ("b", "b"): 0.0}
    table = pd.DataFrame([{"source": s, "target": t, "crossfit": v} for (s, t), v in values.items()])
    found = data.with_derived(table).set_index(["source", "target"])
    assert found.of_ceiling["a", "b"] == pytest.approx(0.5) and np.isnan(found.of_ceiling["b", "a"])
    assert found.asymmetry["a", "b"] == pytest.approx(0.1) and found.asymmetry["b", "a"] == pytest.approx(-0.1)
    alone = data.with_derived(table[:2]).set_index(["source", "target"])
    assert np.isnan(alone.asymmetry["a", "b"])


def test_clustering_puts_encoders_that_share_much_beside_each_other():
    near = {frozenset("ac"), frozenset("bd")}
    table = pd.DataFrame([
        {"source": s, "target": t, "crossfit": 0.9 if s == t or frozenset((s, t)) in near else 0.1}
        for s in "abcd" for t in "abcd"
    ])  # fmt: skip
    order = data.clustered(table, list("abcd"))
    assert sorted(order) == list("abcd") and {frozenset(order[:2]), frozenset(order[2:])} == near
    assert data.clustered(table[:1], ["a", "b"]) == ["a", "b"]
