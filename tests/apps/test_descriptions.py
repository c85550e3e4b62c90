"""Every column of every table that a page shows says what it is."""

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from apps_answers import TABLES
from apps_pages import PAGES, log_run, opened
from apps_planted import LAYER
from streamlit.testing.v1 import AppTest

from apps import board, tables
from benchmark.metrics.describe import BOARD
from benchmark.metrics.describe.features import NAMING
from registry.names import TAG, named_tag, names_path

SHOWN = {
    "pages_layers.py": ("layers", 3),
    "pages_stability.py": ("stability", 5),
    "pages_datasets.py": ("consistency", 4),
}
"""Page -> the kind of run that it is about, and how many of its tables it shows."""


def bare(app: AppTest) -> list[str]:
    """Columns of the page's tables that have no title or no tooltip; not even names of things go without."""
    assert not app.exception, app.exception
    found = []
    for i, item in enumerate(app.dataframe):
        config = json.loads(item.proto.columns or "{}")
        for name in map(str, item.value.columns):
            told = config.get(name) or {}
            if not (told.get("label") and told.get("help")):
                found.append(f"table {i}: {name}")
    return found


def log_answer(folder: Path, kind: str, **tags: str) -> str:
    planted = {name: pd.DataFrame([row]) for name, row in TABLES[kind].items()}
    return log_run(folder, planted, kind=kind, **{"suite": "tiny", "dataset": "scenes", **tags})


@pytest.mark.parametrize("page", PAGES)
def test_on_pages_about_a_comparison(store, page):
    app = opened(page, **({"source": "vit", "target": "bert"} if page == "pages_pair.py" else {}))
    assert len(app.dataframe) >= 1 and bare(app) == []


@pytest.mark.parametrize("page", SHOWN)
def test_on_pages_about_a_question(empty_store, tmp_path, page):
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("app", str(tmp_path / "artifacts")))
    kind, count = SHOWN[page]
    log_answer(tmp_path, kind)
    app = opened(page)
    assert len(app.dataframe) == count and bare(app) == []


def test_on_the_section_on_drift(empty_store, tmp_path):
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("app", str(tmp_path / "artifacts")))
    log_answer(tmp_path, "drift")
    app = opened("pages_datasets.py")
    assert len(app.dataframe) == 5 and bare(app) == []


def test_of_sharedness_under_every_seed_and_of_the_association_of_two(own_store, tmp_path):
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("more", str(tmp_path / "artifacts")))
    log_answer(tmp_path, "sharedness")
    app = opened("pages_sharedness.py")
    assert len(app.dataframe) == 3 and bare(app) == []


def test_of_features_that_are_searched_and_of_one_with_its_name(features_store, tmp_path):
    run, feature = features_store.train["vit", "0"], features_store.latents["vit", "0"][0]
    path = tmp_path / names_path("vit", 0)
    path.parent.mkdir()
    evidence = {name: "object" if name in ("typology", "source", "runners_up") else 0.9 for name in NAMING}
    pd.DataFrame([{"run_id": run, "layer": LAYER, "feature": feature, "name": "star", **evidence}]).to_parquet(path)
    with mlflow.start_run(tags={"kind": "name", TAG: named_tag([run])}) as named:
        mlflow.log_artifacts(str(tmp_path))
    try:
        listed = opened("pages_features.py", run=run, layer=str(LAYER), words="circle", stability="true")
        assert {"hits", "stability", "name"} <= set(listed.dataframe[0].value) and bare(listed) == []
        one = opened("pages_features.py", run=run, layer=str(LAYER), feature=str(feature))
        assert len(one.dataframe) == 3 and bare(one) == []
    finally:
        mlflow.delete_run(named.info.run_id)


def test_of_one_run_and_of_two_side_by_side(features_store):
    one = opened("pages_runs.py", chosen=features_store.compare)
    assert len(one.dataframe) == 3 and bare(one) == []
    two = opened("pages_runs.py", chosen=f"{features_store.compare},{features_store.older_compare}")
    assert len(two.dataframe) == 4 and bare(two) == []


def test_of_selected_encoders_side_by_side():
    rows = pd.DataFrame({
        "suite": "tiny", "dataset": ["scenes", "blooms", "blooms"], "encoder": ["vit", "vit", "bert"],
        "share": [0.1, 0.2, 0.3],
    })  # fmt: skip
    turned, words = board.side_by_side(rows, BOARD)
    assert set(turned) == {*words, tables.MEANING}
    assert turned.iloc[0].tolist() == [BOARD["share"][0], 0.1, 0.2, 0.3, BOARD["share"][1]]


def test_columns_are_shown_by_what_they_hold():
    table = pd.DataFrame({"layer": [3], "n": [1000], "p_value": [1e-5], "ok": [True], "value": [0.5], "more": [1]})
    words = {name: (name, "A sentence.") for name in table if name not in ("layer", "more")}
    found = {name: config["type_config"] for name, config in tables.columns(table, words, 2).items()}
    assert {name: (config["type"], config.get("format")) for name, config in found.items()} == {
        "layer": ("number", "%d"), "n": ("number", "localized"), "p_value": ("number", "%.2g"),
        "ok": ("checkbox", None), "value": ("number", "%.2f"),
    }  # fmt: skip


def test_a_name_that_is_longer_than_those_of_the_first_rows_has_room():
    names = ["vit"] * tables.MEASURED
    table = pd.DataFrame(
        {"encoder": [*names, "small-clip-image"], "source": [*names, "bert"], "target": [*names, 99 * "x"]}
    )
    found = tables.columns(table, {})
    assert found["encoder"]["width"] >= 7 * len("small-clip-image")
    assert found["source"]["width"] is found["target"]["width"] is None  # its title is as long; no name
