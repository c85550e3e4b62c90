"""Charts and pages stay readable at the paper's size: 21 encoders of up to 24 layers."""

import itertools
import json
from xml.etree import ElementTree

import pandas as pd
import pyarrow.ipc
import pytest
from apps_pages import FIRST, opened
from apps_planted import LAYER

from apps import cache_features, charts, charts_datasets, charts_features, charts_layers, charts_stability, drift, plots
from apps.feature_matches import CARDS
from benchmark.metrics.describe import CELL_COLUMNS

NAMES = [f"encoder-{i}" for i in reversed(range(21))]
"""Encoders in an order that is not the alphabetical one."""


def cells() -> pd.DataFrame:
    return pd.DataFrame([
        {"source": a, "target": b, **dict.fromkeys(CELL_COLUMNS, 0.5)} for a, b in itertools.product(NAMES, NAMES)
    ])  # fmt: skip


def drawn(chart, width: int) -> list[ElementTree.Element]:
    """Return the texts of a chart that is so many pixels wide."""
    root = ElementTree.fromstring(plots.svg({"width": width, **chart.to_dict()}))
    return [part for part in root.iter() if part.tag.endswith("text")]


def opacities(texts: list[ElementTree.Element], number: str) -> set[str]:
    return {part.attrib.get("opacity", "1") for part in texts if part.text == number}


def test_dividing_lines_leave_the_encoders_in_their_order():
    texts = [part.text for part in drawn(charts.heatmap(cells(), "crossfit", NAMES, 2, NAMES[5:10:4]), 600)]
    labels = [text for text in texts if text in NAMES]
    assert labels == [*NAMES, *NAMES]


def test_numbers_that_a_narrow_screen_has_no_room_for_are_not_drawn():
    chart = charts.heatmap(cells(), "crossfit", NAMES, 2)
    assert opacities(drawn(chart, 600), "0.50") == {"1"}
    assert opacities(drawn(chart, 200), "0.50") == {"0"}
    differences = pd.DataFrame([
        {"source": a, "target": b, "difference": 0.25, "low": 0.1, "high": 0.4, "resolved": True}
        for a, b in itertools.permutations(NAMES, 2)
    ])  # fmt: skip
    chart = charts_datasets.difference_matrix(differences, "b minus a", 3)
    assert opacities(drawn(chart, 700), "+0.25") == {"1"} and opacities(drawn(chart, 300), "+0.25") == {"0"}


def test_names_below_narrow_columns_get_smaller_rather_than_overlap():
    chart = charts.heatmap(cells(), "crossfit", NAMES, 2)
    sizes = [
        {float(part.attrib["font-size"].removesuffix("px")) for part in drawn(chart, width)
         if part.text in NAMES and "rotate(300)" in part.attrib["transform"]}
        for width in (150, 700)
    ]  # fmt: skip
    assert max(sizes[0]) < 150 / len(NAMES) and sizes[1] == {12}


@pytest.mark.parametrize(("layers", "least", "most"), [(3, 250, 350), (24, 500, 650)])
def test_heatmaps_of_many_layers_fit_a_screen(layers, least, most):
    table = pd.DataFrame([
        {"source": "a", "target": "b", "source_layer": i, "target_layer": j, "crossfit": 0.1} for i in range(layers)
        for j in range(layers)
    ])  # fmt: skip
    assert least < charts_layers.layer_heatmap(table, "crossfit", "t", 3, 1.0).to_dict()["height"] < most


def test_ranks_of_many_cells_are_drawn_as_ranges():
    table = pd.DataFrame({
        "source": NAMES * 3, "target": "x", "rank_0": range(1, 64), "rank_1": range(63, 0, -1), "rank_10": 5,
    })  # fmt: skip
    spec = charts_stability.ranks(table).to_dict()
    rows = sorted(next(iter(spec["datasets"].values())), key=lambda row: row["place"])
    assert len(rows) == len(table) and [row["mean"] for row in rows] == sorted(row["mean"] for row in rows)
    assert {(row["best"], row["worst"]) for row in rows} == {
        (min(i, 64 - i, 5), max(i, 64 - i, 5)) for i in range(1, 64)
    }  # fmt: skip
    assert "layer" not in charts_stability.ranks(table.head(10)).to_dict()  # lines from seed to seed


def test_the_cells_that_moved_and_the_largest_changes_are_drawn():
    told = pd.DataFrame({
        "cell": list("abcdef"), "change": [0.1, -0.9, 0.2, -0.3, 0.8, 0.0],
        "outcome": [drift.MOVED, drift.NOISE, drift.MOVED, drift.NOISE, drift.NOISE, drift.FIXED],
    })  # fmt: skip
    assert drift.largest(told, 4).cell.tolist() == ["c", "a", "b", "e"]
    assert drift.largest(told, 6) is told


def test_seeds_of_a_pair_are_rows_with_both_ways_beside_each_other():
    rows = [("a → b", 0, 1), ("b → a", 1, 0), ("a → b", 1, 1), ("b → a", 1, 1)]
    pairs = pd.DataFrame(rows, columns=["way", "source_seed", "target_seed"]).assign(crossfit=0.5, low=0.4, high=0.6)
    texts = {part.text for part in drawn(charts.seed_pairs(pairs, 3), 400)}
    assert {"0 → 1", "1 → 0", "1 → 1", "a → b", "b → a"} <= texts


def test_classes_are_told_by_shape_as_well_as_by_colour():
    board = pd.DataFrame({
        "encoder": list("abc"), "kind": ["vision", "vlm", "text"], "dataset": "d", "value": 0.5, "low": 0.4,
        "high": 0.6, "group": "1",
    })  # fmt: skip
    shape = charts.forest(board, "t", 3).to_dict()["layer"][1]["encoding"]["shape"]
    assert len(set(shape["scale"]["range"])) == 3 and shape["scale"]["domain"] == list(charts.HUES)


def test_the_board_shows_all_encoders_and_keeps_their_names_in_place(store):
    board = opened(FIRST).dataframe[0]
    assert list(board.value.columns)[3] == "share"  # what it is ordered by comes first
    config = json.loads(board.proto.columns)
    assert config["encoder"]["pinned"] is True


def test_filters_stay_open_when_one_is_cleared(store):
    app = opened(FIRST)
    assert not app.expander[0].proto.expanded
    for chosen in (["vlm"], []):
        next(box for box in app.multiselect if box.label == "Class").set_value(chosen).run()
        assert app.expander[0].proto.expanded


def test_the_matrix_divides_classes_and_families_but_not_clusters(store):
    def starts(order: str) -> list[str]:
        tables = [
            pyarrow.ipc.open_stream(item.data.data).read_pandas()
            for item in opened(order=order).get("vega_lite_chart")[0].proto.datasets
        ]
        return [start for table in tables if "start" in table for start in table["start"]]

    assert starts("By class") == ["clip-image", "bert"]
    assert starts("By family") == ["clip-image", "vit"]
    assert starts("Clustered") == []


def test_matches_in_many_encoders_are_a_chart_and_the_surest_cards(features_store, monkeypatch):
    run_id, feature = features_store.train["vit", "0"], features_store.latents["vit", "0"][0]
    other, partner = features_store.train["bert", "0"], features_store.latents["bert", "0"][0]
    matches = pd.DataFrame({
        "encoder": NAMES, "run_id": other, "partner_layer": LAYER, "partner": partner, "rho": 0.9,
        "held_out_rho": [1 - 0.04 * i for i in range(len(NAMES))],
    })  # fmt: skip
    monkeypatch.setattr(cache_features, "partners", lambda *_: matches)
    app = opened("pages_features.py", run=run_id, layer=str(LAYER), feature=str(feature))

    def cards() -> list[str]:
        labels = [link.proto.label.replace("\\", "") for link in app.get("page_link")]
        return [label.partition(" ·")[0] for label in labels if label.startswith("encoder-")]

    assert sorted(cards()) == sorted(NAMES[:CARDS]) and len(app.get("vega_lite_chart")) == 2
    app.toggle(key="all").set_value(True).run()
    assert not app.exception and sorted(cards()) == sorted(NAMES)


def test_the_chart_of_matches_is_in_the_order_of_the_table():
    matches = pd.DataFrame({
        "encoder": NAMES, "partner_layer": 3, "partner": 7, "rho": 0.9, "held_out_rho": 0.5,
    })  # fmt: skip
    assert [part.text for part in drawn(charts_features.partners(matches), 500) if part.text in NAMES] == NAMES
