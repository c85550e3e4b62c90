"""The pair page: both directions, their seeds, and matched features with what activates them."""

import pandas as pd
import pytest
from apps_pages import choose, log_run, opened, spoken

import registry
from apps import data, pair
from benchmark.metrics.describe import MEASURES


def test_both_directions_stand_side_by_side(store, cells):
    app = opened("pages_pair.py", source="vit", target="bert")
    table = app.dataframe[0].value.set_index("measure")
    chosen = data.selection(cells, "heldout", "last").set_index(["source", "target"])
    assert table.loc["Cross-fitted"].tolist()[:2] == [chosen.crossfit["vit", "bert"], chosen.crossfit["bert", "vit"]]
    assert table.meaning["Cross-fitted"] == MEASURES["crossfit"][1]
    there, back, _ = table.loc["Asymmetry"]
    assert there == -back == pytest.approx(chosen.crossfit["vit", "bert"] - chosen.crossfit["bert", "vit"])


def test_the_surest_features_come_first_and_those_that_fire_everywhere_are_left_out(store):
    app = opened("pages_pair.py", source="vit", target="bert")
    found = app.dataframe[1].value
    assert found.feature.tolist() == [1, 0, 2] and found.partner.tolist() == [0, 1, 2]
    assert found.held_out_rho.tolist() == [0.7, 0.5, 0.1]
    captions = [item.value for item in app.caption]
    assert "a dog" in captions and any(text.startswith("\\<img src") for text in captions)
    app.slider(key="widest").set_value(1.0).run()
    assert app.dataframe[1].value.feature.tolist() == [3, 1, 0, 2]
    app.slider(key="fewest").set_value(45).run()
    assert app.dataframe[1].value.feature.tolist() == [2]


def test_a_pair_without_partners_and_an_encoder_with_itself_are_told(store):
    app = opened("pages_pair.py", source="bert", target="vit")
    assert "recorded no partners" in spoken(app).replace("\\", "") and len(app.dataframe) == 1
    app = choose(app, "Target", "bert")
    assert "different encoders only" in spoken(app)


def test_matched_features_link_to_their_pages(store):
    app = opened("pages_pair.py", source="vit", target="bert")
    links = [link.proto for link in app.get("page_link")]
    assert [link.label for link in links[:2]] == ["**vit** layer 3, feature 1", "**bert** layer 3, feature 0"]
    assert all("layer=3&feature=" in link.query_string and "run=" in link.query_string for link in links)


@pytest.mark.parametrize("page", ["pages_pair.py", "pages_sharedness.py"])
def test_a_damaged_thumbnail_is_told_in_its_place(store, monkeypatch, page):
    damaged = [registry.Example("a dog", b"no picture"), registry.Example("", None)]
    monkeypatch.setattr(
        registry, "feature_examples", lambda run_id, layer, features, count: dict.fromkeys(features, damaged)
    )
    app = opened(page, source="vit" if page == "pages_pair.py" else "clip-image", target="bert")
    captions = [item.value for item in app.caption]
    assert "(damaged picture)" in captions and "a dog" in captions and not app.exception


def test_layers_of_the_pair_are_those_of_a_run_on_the_same_data(store):
    runs = pd.DataFrame(
        [("old", "layers", "FINISHED", "s", "d"), ("other", "layers", "FINISHED", "s", "e"),
         ("compare", "compare", "FINISHED", "s", "d"), ("dead", "layers", "FAILED", "s", "d")],
        columns=["run_id", "kind", "status", "suite", "dataset"],
    )  # fmt: skip
    assert pair.layer_runs(runs, "s", "d").run_id.tolist() == ["old"]
    cells = pd.DataFrame({"source": ["a", "b", "a", "a"], "target": ["b", "a", "c", "a"], "crossfit": 0.5})
    assert [part.target.tolist() for part in pair.layer_cells(cells, "a", "b")] == [["b"], ["a"]]
    assert len(pair.layer_cells(cells, "a", "a")) == 1 and pair.layer_cells(cells, "b", "c") == []
    app = opened("pages_pair.py", source="vit", target="bert")
    assert "this command makes one" in spoken(app)
    assert any(code.value.endswith("--encoders vit,bert") for code in app.code)


def test_a_pair_shows_its_layers(own_store, tmp_path):
    layers = pd.DataFrame([
        {"source": a, "target": b, "source_layer": i, "target_layer": j, "source_depth": i / 2, "target_depth": j / 2,
         "crossfit": 0.3, "low": 0.2, "high": 0.4, "naive": 0.5, "chance": 0.1, "calibrated": 0.3, "n_samples": 5000,
         "n_groups": 5000}
        for a, b in (("vit", "bert"), ("bert", "vit"), ("vit", "vit")) for i in range(3) for j in range(2)
    ])  # fmt: skip
    log_run(tmp_path, {"layers.parquet": layers}, kind="layers", suite="tiny", dataset="scenes")
    app = opened("pages_pair.py", source="vit", target="bert")
    assert len(app.get("vega_lite_chart")) == 3 and "this command makes one" not in spoken(app)
    app = opened("pages_pair.py", source="vit", target="clip-text")
    assert len(app.get("vega_lite_chart")) == 1 and "this command makes one" in spoken(app)


def test_seeds_of_a_pair_are_those_of_both_directions():
    rows = [("a", "b", 0, 0), ("b", "a", 0, 1), ("a", "c", 0, 0), ("a", "a", 0, 1)]
    matrix = pd.DataFrame(rows, columns=["source", "target", "source_seed", "target_seed"])
    assert pair.seed_pairs(matrix, "a", "b").way.tolist() == ["a → b", "b → a"]
    assert pair.seed_pairs(matrix, "a", "a").way.tolist() == ["a → a"]


def test_matches_are_shown_a_page_at_a_time(store, monkeypatch):
    shown = []
    monkeypatch.setattr(pair, "matches", lambda *sides, **limits: many_matches(12))
    app = opened("pages_pair.py", source="vit", target="bert")
    for _ in range(3):
        shown += [item.value for item in app.markdown if item.value.startswith("Held-out correlation **")]
        app.session_state["matches-vit-bert"] = app.session_state["matches-vit-bert"] % 3 + 1
        app.run()
    assert shown == [f"Held-out correlation **{0.99 - i / 100:.2f}**" for i in range(12)] and not app.exception


def many_matches(count: int) -> pd.DataFrame:
    """Matches of the surest features, all with the same partner."""
    return pd.DataFrame({
        "layer": 3, "feature": range(count), "density": 0.01, "frequency": 30, "partner_layer": 3, "partner": 1,
        "partner_density": 0.01, "held_out_rho": [0.99 - i / 100 for i in range(count)], "rho": 0.9, "S": 1.0,
    })  # fmt: skip
