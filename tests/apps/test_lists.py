"""Lists of runs: kept for a while, whole from a database, and from a server no more than a page needs."""

from types import SimpleNamespace

import pandas as pd
import pytest
from apps_pages import PAGES, QUESTIONS, opened, spoken
from apps_planted import HOSTILE

import registry
from apps import data, layout, lists
from registry import run_rows


@pytest.fixture
def slow(monkeypatch):
    """Make the store as slow as a server, by a call that returns what pages ask of it from then on."""

    def become() -> list[dict]:
        calls, read = [], data.run_list

        def noted(**arguments):
            calls.append({key: value for key, value in arguments.items() if value is not None})
            return read(**arguments)

        monkeypatch.setattr(run_rows, "_database", lambda client: None)
        monkeypatch.setattr(data, "run_list", noted)
        assert not registry.lists_quickly()
        return calls

    return become


@pytest.fixture
def asked(slow):
    return slow()


def test_a_list_that_takes_long_to_read_is_read_less_often(monkeypatch):
    now, reads = [0.0], []

    def read(**_: object) -> pd.DataFrame:
        now[0] += 6.0  # seconds that the store takes
        reads.append(now[0])
        return pd.DataFrame({"run_id": [str(len(reads))]})

    monkeypatch.setattr(data, "run_list", read)
    monkeypatch.setattr(registry, "lists_quickly", lambda: True)
    monkeypatch.setattr(lists, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def listed(store: str) -> str:
        return lists.run_list(store).runs.run_id[0]

    assert listed("a store") == "1"
    now[0] += 59
    assert listed("a store") == "1" and listed("another") == "2"
    now[0] += 2
    assert listed("a store") == "1", "nobody waits for what is known"
    kept = lists._kept("a store", lists.Asked())
    with kept.lock:
        assert listed("a store") == "3" and len(reads) == 3
    now[0] += 500
    assert listed("a store") == "4", "an old list is read before it is shown"


def test_a_list_of_a_store_that_went_away_stays_as_it_was(monkeypatch):
    def away(**_: object) -> pd.DataFrame:
        raise registry.StoreError("away")

    kept = lists._Kept(pd.DataFrame(), 1.0, 6.0)
    monkeypatch.setattr(data, "run_list", away)
    kept.lock.acquire()
    lists._read_behind(kept, lists.Asked())
    assert kept.read == 1.0 and not kept.lock.locked()


def test_a_database_is_asked_once_for_all_pages(store, monkeypatch):
    calls, read = [], data.run_list
    monkeypatch.setattr(data, "run_list", lambda **arguments: calls.append(arguments) or read(**arguments))
    for page in (*PAGES, *QUESTIONS):
        opened(page)
    assert len(calls) == 1


@pytest.mark.parametrize("page", [*PAGES, *QUESTIONS])
def test_pages_ask_a_server_for_a_few_runs_of_the_kinds_they_show_and_show_the_same(store, slow, page):
    expected = opened(page)
    asked = slow()
    found = opened(page)
    assert spoken(found) == spoken(expected)
    assert [table.value.to_csv() for table in found.dataframe] == [table.value.to_csv() for table in expected.dataframe]
    assert asked and all("limit" in call or "ids" in call for call in asked)
    assert page == "pages_runs.py" or all("kind" in call or "ids" in call for call in asked)


def test_older_comparisons_are_listed_on_demand_and_by_their_address(features_store, asked, monkeypatch):
    monkeypatch.setattr(layout.listed, "__defaults__", (1,))
    app = opened("pages_saes.py")
    box = app.selectbox(key="compare_run")
    assert box.value == features_store.compare and len(box.options) == 1
    assert any("newest 1 compare runs" in item.value for item in app.caption)
    older = opened("pages_saes.py", run=features_store.older_compare)
    assert older.selectbox(key="compare_run").value == features_store.older_compare and spoken(older) == ""
    next(button for button in app.button if "older" in button.label).click().run()
    assert len(app.selectbox(key="compare_run").options) == 2
    assert not any("newest 1 " in item.value for item in app.caption)


def test_the_newest_runs_of_a_server_are_shown_and_older_ones_that_the_address_names(
    features_store, asked, monkeypatch
):
    everything, ask = data.run_list(), layout.lists.run_list
    monkeypatch.setattr(lists, "run_list", lambda *place, limit=3: ask(*place[:4], limit=3))
    chosen = f"{everything.run_id.iloc[-1]},{everything.run_id.iloc[0]}"
    app = opened("pages_runs.py", chosen=chosen)
    assert "Two runs" in [item.value for item in app.subheader] and not app.exception


def test_features_of_runs_that_are_not_among_the_newest_are_found_by_their_address(features_store, asked, monkeypatch):
    monkeypatch.setattr("apps.layout.listed.__defaults__", (1,))
    run_id = features_store.train["vit", "0"]
    latent = features_store.latents["vit", "0"][0]
    app = opened("pages_features.py", run=run_id, layer="3", feature=str(latent))
    assert app.title[0].value == f"Feature {latent}" and spoken(app) == ""
    listed = opened("pages_features.py", run=run_id, layer="3")
    assert next(box for box in listed.selectbox if box.label == "Encoder").value == "vit"


def test_a_suite_with_a_quote_is_found_among_the_others(own_store, tmp_path, asked):
    import mlflow

    with mlflow.start_run() as run:
        mlflow.set_tags({"kind": "layers", "suite": "it's", "dataset": "d"})
    found = lists.run_list("store", "layers", "it's", "d")
    assert found.runs.run_id.tolist() == [run.info.run_id] and found.whole
    assert lists.run_list("store", "layers", HOSTILE, "d").runs.empty
