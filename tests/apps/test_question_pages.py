"""The pages about layers, seeds and datasets show the tables of their runs."""

import itertools

import mlflow
import pandas as pd
import pytest
from apps_pages import choose, log_run, opened, spoken

from apps import charts_drift, drift
from apps.charts_datasets import scatter
from apps.charts_layers import layer_heatmap


@pytest.fixture
def answers(empty_store, tmp_path):
    """Runs of the kinds layers, stability and consistency with planted tables."""
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("app", str(tmp_path / "artifacts")))
    layers = pd.DataFrame([
        {"source": a, "target": b, "source_layer": i, "target_layer": j, "source_depth": i / 2, "target_depth": j / 2,
         "crossfit": 0.1 + 0.2 * (i == j), "low": 0.0, "high": 0.5, "naive": 0.5, "chance": 0.1, "calibrated": 0.3,
         "n_samples": 5000, "n_groups": 5000}
        for a, b in (("vit", "bert"), ("vit", "vit"), ("bert", "vit")) for i in range(3) for j in range(3)
    ])  # fmt: skip
    diagonal = pd.DataFrame(
        {"encoder": ["vit"], "measure": ["hits"], "value": [1.0], "low": 0.9, "high": 1.0, "flat": 0.3}
    )
    log_run(tmp_path, {"layers.parquet": layers, "diagonal.parquet": diagonal}, kind="layers", suite="s", dataset="d")
    seeds = pd.DataFrame([
        {"encoder": name, "layer": 3, "varies": varies, "source_seed": s, "target_seed": t, "n_groups": 5000,
         "crossfit": 0.7, "decoder_shared_live": 0.4, "both_shared_live": 0.2, "mcc": 0.6, "naive": 0.8, "chance": 0.1}
        for name in ("vit", "bert") for varies in ("both", "init") for s, t in itertools.permutations(range(3), 2)
    ])  # fmt: skip
    audit = {
        "stability.parquet": seeds.drop_duplicates(["encoder", "varies"]), "seed_pairs.parquet": seeds,
        "deciles.parquet": pd.DataFrame([
            {"encoder": name, "layer": 3, "varies": varies, "decile": decile, "correlation": 0.5, "decoder_cosine": 0.5,
             "decoder_shared": 0.1, "both_shared": 0.0}
            for name in ("vit", "bert") for varies in ("both", "init") for decile in range(1, 11)
        ]),
        "thresholds.parquet": pd.DataFrame([
            {"encoder": name, "layer": 3, "varies": varies, "threshold": least, "decoder_shared_live": 1 - least,
             "untrained": 0.0}
            for name in ("vit", "bert") for varies in ("both", "init") for least in (0.0, 0.5, 1.0)
        ]),
        "cell_ranks.parquet": pd.DataFrame({
            "source": ["vit", "bert"], "target": ["bert", "vit"], "rank_0": [1, 2], "rank_1": [2, 1],
        }),
        "rank_agreement.parquet": pd.DataFrame({"ranking": ["cells"], "entries": [2], "tau": [0.5]}),
    }  # fmt: skip
    log_run(tmp_path, audit, kind="stability", suite="s", dataset="d")
    differences = pd.DataFrame([
        {"first": "scenes", "second": second, "source": a, "target": b, "first_value": 0.2, "second_value": 0.5,
         "difference": 0.3, "low": 0.1, "high": 0.4, "resolved": a == "vit"}
        for second in ("blooms", "coco") for a, b in (("vit", "bert"), ("bert", "vit"))
    ])  # fmt: skip
    log_run(tmp_path, {"differences.parquet": differences}, kind="consistency", suite="s", dataset="scenes,blooms")
    return layers, seeds, differences


def data_of(chart, layer):
    spec = chart.to_dict()
    return spec["datasets"][spec["layer"][layer].get("data", spec.get("data"))["name"]]


def test_layers_stand_side_by_side_with_a_line_through_the_best(answers):
    app = opened("pages_layers.py")
    assert spoken(app) == "These pairs have none."  # no pair here crosses modalities
    assert len(app.get("vega_lite_chart")) == 2 and len(app.dataframe[-1].value) == 27
    app.multiselect[0].set_value([]).run()
    assert "Choose a pair." in spoken(app) and not app.exception
    cells = answers[0][answers[0].source == "bert"]
    line = data_of(layer_heatmap(cells, "crossfit", "Cross-fitted", 3, 0.5), -1)
    assert [(row["source_layer"], row["target_layer"]) for row in line] == [(0, 0), (1, 1), (2, 2)]


def test_the_audit_shows_one_encoder_and_what_its_seeds_vary(answers):
    app = choose(choose(opened("pages_stability.py"), "Encoder", "bert"), "Seeds vary", "init")
    assert len(app.get("vega_lite_chart")) == 4
    assert app.dataframe[-1].value.tau.tolist() == [0.5]
    assert not app.exception


def test_datasets_are_compared_pair_by_pair(answers):
    app = choose(opened("pages_datasets.py"), "Datasets", "scenes and coco")
    assert set(app.dataframe[-1].value.second) == {"coco"}
    dots = data_of(scatter(answers[2][answers[2].second == "coco"], "scenes", "coco", 3), 1)
    assert [row["side"] for row in dots] == ["differs", "within noise"]


def drift_tables() -> dict[str, pd.DataFrame]:
    """Tables as benchmark.jobs.drift writes them: flip moves one cell, colour all that can change."""
    rows = []
    for variant, many in (("flip", False), ("colour", True)):
        for a, b in itertools.product(("vit", "bert"), repeat=2):
            own, fixed = a == b, a == b == "bert"
            moved = not own and (many or a == "vit")
            p = float("nan") if own else 0.01 if moved else 0.5
            rows.append({
                "variant": variant, "aggregate": "last", "source": a, "target": b, "own": own, "plain": 0.4,
                "value": 0.3 if moved else 0.4, "plain_chance": 0.1, "chance": 0.1, "n_samples": 5000,
                "n_common": 5000, "change": -0.1 if moved else 0.0, "low": p - 0.21, "high": p, "error": 0.01,
                "p_value": p, "q_value": p, "fixed": fixed, "moved": moved,
            })  # fmt: skip
    same = pd.DataFrame([
        {"variant": variant, "encoder": name, "layer": 3, "pairs": "other", "seeds": 2, "value": 0.7, "back": 0.7,
         "low": 0.6, "high": 0.8, "chance": 0.1, "n_samples": 5000}
        for variant in ("plain", "flip", "colour") for name in ("vit", "bert")
    ])  # fmt: skip
    delta = pd.DataFrame({"variant": ["flip"], "source": "clip", "plain": [-0.1], "value": [-0.2], "change": [-0.1]})
    features = pd.DataFrame({"variant": ["plain"], "source": "clip", "pairs": "other", "spearman": [0.5]})
    names = ("changes", "correspondence", "delta", "delta_features")
    tables = pd.DataFrame(rows), same, delta, features
    return {f"{name}.parquet": table for name, table in zip(names, tables, strict=True)}


def test_drift_says_which_cells_moved_on_each_variant(empty_store, tmp_path):
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("drift", str(tmp_path / "artifacts")))
    tables = drift_tables()
    log_run(tmp_path, tables, kind="drift", suite="s", dataset="d,d-flip,d-colour")
    app = opened("pages_datasets.py")
    assert spoken(app) == ""
    said = [item.value for item in app.markdown]
    assert "**flip**: 1 of 2 moved" in said and "**colour**: 2 of 2 moved" in said
    assert len(app.get("vega_lite_chart")) == 3 and len(app.dataframe) == 5
    summary = app.dataframe[0].value.set_index("variant")
    assert summary.mean_change.round(4).to_dict() == {"flip": -0.0333, "colour": -0.0667}  # of three cells each
    told = drift.told(tables["changes.parquet"])
    shown = data_of(charts_drift.changes(told[told.variant == "flip"], 0.5, 3), -1)
    assert {row["cell"]: row["outcome"] for row in shown} == {
        "vit → vit": "not tested", "vit → bert": "moved", "bert → vit": "within noise", "bert → bert": "cannot change",
    }  # fmt: skip


def test_each_section_of_the_datasets_page_keeps_its_own_run(answers, tmp_path):
    log_run(tmp_path, drift_tables(), kind="drift", suite="s", dataset="d,d-flip,d-colour")
    app = opened("pages_datasets.py")
    app.segmented_control[0].set_value("drift").run()
    assert spoken(app) == "" and "**flip**: 1 of 2 moved" in [item.value for item in app.markdown]
    assert app.query_params["run"] != app.query_params["drift"]


def test_a_drift_run_without_its_tables_is_told_in_a_sentence(empty_store, tmp_path):
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("drift", str(tmp_path / "artifacts")))
    log_run(tmp_path, {}, kind="drift", suite="s", dataset="d")
    app = opened("pages_datasets.py")
    assert "has no artifact" in spoken(app).replace("\\", "") and not app.exception


@pytest.mark.parametrize(
    ("page", "count"), [("pages_layers.py", 2), ("pages_stability.py", 4), ("pages_datasets.py", 2)]
)
def test_charts_of_every_question_download_as_svg(answers, pictures, page, count):
    app = opened(page)
    assert len(pictures) == len(app.get("vega_lite_chart")) == count
    assert all(picture.startswith(b"<svg") for picture in pictures.values())


@pytest.mark.parametrize(
    ("page", "kind", "name"),
    [("pages_layers.py", "layers", "layers"), ("pages_stability.py", "stability", "stability"),
     ("pages_datasets.py", "consistency", "differences"), ("pages_datasets.py", "drift", "changes")],
)  # fmt: skip
def test_a_table_of_another_making_is_told_in_a_sentence(empty_store, tmp_path, page, kind, name):
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("app", str(tmp_path / "artifacts")))
    foreign = pd.DataFrame({"source": ["vit"], "value": [0.5]})
    log_run(tmp_path, {f"{name}.parquet": foreign}, kind=kind, suite="s", dataset="d")
    app = opened(page, **({"section": "Drift"} if kind == "drift" else {}))
    assert "lacks the columns" in spoken(app) and "run its command again" in spoken(app)
