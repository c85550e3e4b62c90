import pandas as pd
import pytest

from apps import charts, charts_features, data
from benchmark.metrics.describe import CELL_COLUMNS, EXTRAS, MEASURES


@pytest.fixture
def shown(cells) -> pd.DataFrame:
    return data.selection(cells, "heldout", "last")


ORDER = ["vit", "clip-image", "clip-text", "bert"]


def test_the_heatmap_holds_every_cell_in_the_order_asked_for(shown):
    spec = charts.heatmap(shown, "naive", ORDER, 3).to_dict()
    rect = spec["layer"][0]["encoding"]
    assert rect["x"]["sort"] == rect["y"]["sort"] == ORDER
    assert rect["color"]["field"] == "naive"
    rows = next(iter(spec["datasets"].values()))
    assert {(row["source"], row["target"]): row["naive"] for row in rows} == {
        (row.source, row.target): row.naive for row in shown.itertuples()
    }


def test_the_tooltip_shows_every_measure_and_the_interval(shown):
    spec = charts.heatmap(shown, "crossfit", ORDER, 2).to_dict()
    fields = {item["field"] for item in spec["layer"][0]["encoding"]["tooltip"]}
    assert set(MEASURES) | {"interval", "n_samples", "source", "target"} <= fields
    assert next(iter(spec["datasets"].values()))[0]["interval"] == "0.09 to 0.12"


def test_measures_that_only_some_runs_have_are_shown_where_they_are(shown):
    assert list(data.measures(shown)) == list(MEASURES)
    more = shown.assign(untrained=0.25, paper_code=0.5)
    assert list(data.measures(more)) == [*MEASURES, "untrained", "paper_code"]
    spec = charts.heatmap(more, "untrained", ORDER, 3).to_dict()
    rect = spec["layer"][0]["encoding"]
    assert rect["color"]["field"] == "untrained" and rect["color"]["title"] == EXTRAS["untrained"][0]
    assert {"untrained", "paper_code"} <= {item["field"] for item in rect["tooltip"]}


def test_cells_without_a_chance_level_are_drawn(shown):
    spec = charts.heatmap(shown.assign(chance=float("nan")), "chance", ORDER, 3).to_dict()
    assert all(row["chance"] is None for row in next(iter(spec["datasets"].values())))


def test_many_encoders_are_drawn_without_numbers():
    names = [f"e{i}" for i in range(charts.READABLE + 1)]
    cells = pd.DataFrame([{"source": a, "target": b, **dict.fromkeys(CELL_COLUMNS, 0.5)} for a in names for b in names])
    assert len(charts.heatmap(cells, "crossfit", names, 3).to_dict()["layer"]) == 1


def test_every_measure_has_a_title_and_one_sentence():
    for title, text in (CELL_COLUMNS | EXTRAS).values():
        assert title and text.endswith(".") and text.count(". ") == 0


def test_the_histogram_of_activations_has_its_bins_and_quartiles_and_labelled_axes():
    bins = pd.DataFrame({"low": [0.0, 1.0], "high": [1.0, 2.0], "samples": [5, 1]})
    spec = charts_features.activations(bins, [0.2, 0.5, 1.2]).to_dict()
    bars, rules = spec["layer"]
    assert bars["encoding"]["x"]["title"] == "activation" and "samples" in bars["encoding"]["y"]["title"]
    values = list(spec["datasets"].values())
    assert [row["samples"] for row in values[0]] == [5, 1]
    assert [(row["name"], row["value"]) for row in values[1]] == [("25 %", 0.2), ("median", 0.5), ("75 %", 1.2)]
    assert rules["encoding"]["x"]["field"] == "value"
    assert charts_features.activations(bins, []).to_dict()["layer"]


@pytest.mark.parametrize(("most", "labels"), [(1, [0, 1]), (9, [0, 1]), (250, [0, 1, 10, 100])])
def test_the_axis_of_counts_has_its_labels_within_the_counts(most, labels):
    bins = pd.DataFrame({"low": [0.0], "high": [1.0], "samples": [most]})
    bars = charts_features.activations(bins, []).to_dict()["layer"][0]
    assert bars["encoding"]["y"]["axis"]["values"] == labels
