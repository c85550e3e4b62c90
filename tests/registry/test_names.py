"""Names are those of the newest finished run that named a train run's features, and join any table."""

import mlflow
import pandas as pd

import registry
from registry.names import COLUMNS, TAG, named_tag, names_path


def train(**tags):
    with mlflow.start_run(tags={"kind": "train", "encoder": "a.b", "seed": "3", **tags}) as run:
        pass
    return run.info.run_id


def names(folder, ids, word, status="FINISHED", kind="name"):
    """Log a run that calls feature 1 of layer 2 of each of these runs by a word, and feature 5 nothing."""
    for run_id in ids:
        path = folder / names_path("a.b", 3)
        path.parent.mkdir(exist_ok=True)
        rows = [
            {"run_id": run_id, "layer": 2, "feature": i, "name": w, "typology": "object" if w else ""}
            for i, w in ((1, word), (5, ""))
        ]
        pd.DataFrame(rows).to_parquet(path)
    with mlflow.start_run(tags={"kind": kind, TAG: named_tag(ids)}) as run:
        mlflow.log_artifacts(str(folder))
    if status != "FINISHED":
        mlflow.MlflowClient().set_terminated(run.info.run_id, status)
    return run.info.run_id


def test_the_newest_finished_run_that_named_a_train_run_counts(store, tmp_path):
    own, other = train(), train()
    assert registry.feature_names(own).empty and list(registry.feature_names(own).columns) == list(COLUMNS)
    names(tmp_path, [other, own], "old")
    names(tmp_path, [own], "star")
    names(tmp_path, [own], "failed", status="FAILED")
    names(tmp_path, [own], "else", kind="stability")
    names(tmp_path, [other], "other")
    found = registry.feature_names(own)
    assert found["name"].tolist() == ["star", ""] and registry.feature_names(own, 3).empty
    assert registry.feature_names(other)["name"].tolist() == ["other", ""]
    assert registry.feature_names("0" * 32).empty  # no such run


def test_names_join_the_rows_of_any_table_in_their_order(store, tmp_path):
    own = train()
    rows = pd.DataFrame({"L": [2, 2, 7, 2], "partner": [5, 1, 1, 9], "value": [1, 2, 3, 4]})
    columns = {"layer": "L", "feature": "partner", "name": "partner_name"}
    assert registry.with_names(rows, own, **columns).partner_name.tolist() == ["", "", "", ""]
    names(tmp_path, [own], "star")
    found = registry.with_names(rows, own, **columns)
    kinds = registry.with_names(rows, own, **columns, typology="kind")
    assert kinds.kind.tolist() == ["", "object", "", ""] and kinds.drop(columns="kind").equals(found)
    assert found.partner_name.tolist() == ["", "star", "", ""] and found.drop(columns="partner_name").equals(rows)


def test_partners_carry_the_names_of_both_sides(store, tmp_path):
    ids = [train(), train()]
    names(tmp_path, ids[:1], "star")
    folder = tmp_path / "compare"
    (folder / "partners" / "a.b").mkdir(parents=True)
    rows = pd.DataFrame({"layer": [2, 2], "feature": [1, 5], "partner_layer": [0, 0], "partner": [3, 4]})
    rows.to_parquet(folder / "partners" / "a.b" / "c.parquet")
    pd.DataFrame({"encoder": ["a.b", "c"], "run_id": ids}).to_parquet(folder / "saes.parquet")
    with mlflow.start_run(tags={"kind": "compare"}) as run:
        mlflow.log_artifacts(str(folder))
    found = registry.feature_partners(run.info.run_id, "a.b", "c", named=True)
    assert found["name"].tolist() == ["star", ""] and found.partner_name.tolist() == ["", ""]
    assert registry.feature_partners(run.info.run_id, "a.b", "c").equals(rows)
