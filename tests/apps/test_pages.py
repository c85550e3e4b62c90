import json
import re

import numpy as np
import pytest
from apps_pages import PAGES, QUESTIONS, choose, opened, spoken

from apps import data
from apps.layout import escaped
from benchmark.metrics.describe import MEASURES, QUALITY


@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_a_filled_store_without_complaint(store, page):
    app = opened(page)
    assert spoken(app) == "" or page in ("pages_pair.py", "pages_sharedness.py")
    assert len(app.dataframe) >= 1


def test_the_matrix_shows_the_cells_of_the_newest_comparison(store, cells):
    app = opened()
    assert app.selectbox(key="compare_run").value == store.compare
    shown = app.dataframe[0].value
    expected = data.selection(cells, "heldout", "last")
    for column in ("crossfit", "low", "high", *MEASURES):
        np.testing.assert_array_equal(shown[column], expected[column])


def test_samples_layers_and_measure_can_be_chosen(store, cells):
    app = choose(choose(opened(), "Samples", "train"), "Layers", "layer_mean")
    expected = data.selection(cells, "train", "layer_mean")
    np.testing.assert_array_equal(app.dataframe[0].value["crossfit"], expected["crossfit"])
    for measure, (title, text) in MEASURES.items():
        app.segmented_control[0].set_value(measure).run()
        assert not app.exception
        assert f"**{title}**" in [item.value for item in app.markdown]
        assert text in [item.value for item in app.markdown]
        spec = json.loads(app.get("vega_lite_chart")[0].proto.spec)
        assert spec["layer"][1]["encoding"]["text"]["field"] == measure
        assert spec["layer"][0]["encoding"]["y"]["sort"] == ["vit", "clip-image", "clip-text", "bert"]


def test_the_cross_fitted_value_is_the_default(store):
    assert opened().segmented_control[0].value == "crossfit"


def test_a_choice_of_run_holds_on_other_pages(store):
    app = choose(opened(), "Compare run", store.without_tables)
    app.switch_page("pages_runs.py").run()  # has no such choice
    app.query_params.clear()  # as a browser does
    app.switch_page("pages_saes.py").run()
    assert app.selectbox(key="compare_run").value == store.without_tables
    assert not app.exception


def test_an_address_names_the_run(store):
    app = opened(run=store.few_samples)
    assert app.selectbox(key="compare_run").value == store.few_samples


def test_a_deleted_run_in_the_address_is_told_and_another_one_shown(store):
    app = opened(run="0" * 32)
    assert "0" * 32 in spoken(app) and "deleted" in spoken(app)
    assert app.selectbox(key="compare_run").value == store.compare
    assert len(app.dataframe) == 1


@pytest.mark.parametrize("page", PAGES[1:5])
def test_a_comparison_without_tables_is_told_in_a_sentence(store, page):
    app = choose(opened(page), "Compare run", store.without_tables)
    assert len(app.error) == 1
    assert "parquet" in app.error[0].value
    assert not app.dataframe


def test_few_samples_and_a_high_chance_level_are_warned_of(store):
    app = opened(run=store.few_samples)
    assert "Only 500 independent samples" in spoken(app)
    assert "chance level is above 0.5 in 64" not in spoken(app)
    assert "chance level is above 0.5 in 16 of 16 cells" in spoken(app)


def test_the_saes_page_shows_their_quality(store):
    shown = opened("pages_saes.py").dataframe[0].value
    assert len(shown) == 8
    np.testing.assert_allclose(shown["fvu"], [0.123, 0.223] * 4)
    assert set(QUALITY) <= set(shown.columns)


def test_the_runs_page_shows_every_run_with_its_error(store):
    app = opened("pages_runs.py")
    shown = app.dataframe[0].value.set_index("run_id")
    assert len(shown) == 5
    assert shown.loc[store.failed, "status"] == "FAILED"
    assert shown.loc[store.failed, "message"].startswith("no weights <img")
    assert [item.value for item in app.code] == ["make ui"]


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_store_tells_the_command_that_fills_it(empty_store, page):
    app = opened(page)
    assert [item.value for item in app.code] == ["make compare"]
    assert not app.dataframe


@pytest.mark.parametrize("page", QUESTIONS)
def test_a_store_without_an_answer_tells_the_command_that_makes_one(store, page):
    app = opened(page)
    assert app.code[0].value.startswith("python -m benchmark ") and not app.dataframe


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("uri", ["sqlite:////nowhere/at/all/mlflow.db", "no-such-scheme://x", "http://127.0.0.1:9"])
def test_an_unreachable_store_is_told_in_a_sentence(monkeypatch, uri, page):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    app = opened(page)
    assert len(app.error) == 1
    assert "MLFLOW_TRACKING_URI" in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize("page", PAGES)
def test_hostile_names_and_tags_stay_text(store, page):
    app = opened(page, run=store.few_samples)
    elements = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error]
    assert not any(getattr(item, "allow_html", False) for item in elements)
    assert not app.get("html")
    assert not any("<img" in item.value or "![x](" in item.value for item in elements)
    tables = [str(table.value.to_numpy()) for table in app.dataframe]
    labels = [str(box.options) for box in [*app.selectbox, *app.multiselect]]
    assert "<img src=x" in "".join(tables + labels)  # shown as it is where only text can be shown


def test_escaped_text_has_no_live_markdown():
    assert escaped("**a** <b>\n :red[x] $y$") == r"\*\*a\*\* \<b\> \:red\[x\] \$y\$"


@pytest.mark.parametrize("text", ["see http://x.y/z", "HTTPS://x.y", "www.x.y", "WWW.x.y", "me@x.y"])
def test_escaped_addresses_are_no_links(text):
    shown = escaped(text).replace("\\", "")
    assert shown.replace("\u2060", "") == text
    assert not re.search(r"://|www\.|\w@", shown, re.IGNORECASE)
