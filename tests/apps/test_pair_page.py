"""The pair page: both directions, their seeds, and matched features with what activates them."""

import pandas as pd
import pytest
from apps_pages import choose, opened, spoken

from apps import data, pair


def test_both_directions_stand_side_by_side(store, cells):
    app = opened("pages_pair.py", source="vit", target="bert")
    table = app.dataframe[0].value.set_index("measure")
    chosen = data.selection(cells, "heldout", "last").set_index(["source", "target"])
    assert table.loc["Cross-fitted"].tolist() == [chosen.crossfit["vit", "bert"], chosen.crossfit["bert", "vit"]]
    there, back = table.loc["Asymmetry"]
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
    assert "has no artifact" in spoken(app).replace("\\", "") and len(app.dataframe) == 1
    app = choose(app, "Target", "bert")
    assert "different encoders only" in spoken(app)


def test_seeds_of_a_pair_are_those_of_both_directions():
    rows = [("a", "b", 0, 0), ("b", "a", 0, 1), ("a", "c", 0, 0), ("a", "a", 0, 1)]
    matrix = pd.DataFrame(rows, columns=["source", "target", "source_seed", "target_seed"])
    assert pair.seed_pairs(matrix, "a", "b").way.tolist() == ["a → b", "b → a"]
    assert pair.seed_pairs(matrix, "a", "a").way.tolist() == ["a → a"]
