"""The page on runs: filters and chosen runs in the address, failures with their error, and two runs side by side."""

import numpy as np
import pytest
from apps_pages import opened, spoken
from apps_planted import HOSTILE

PAGE = "pages_runs.py"


def table(app, i=0):
    return app.dataframe[i].value


def test_every_run_is_listed_with_flags_and_errors(features_store):
    app = opened(PAGE)
    shown = table(app)
    assert len(shown) == 10 and {"signatures", "health", "message", "silent"} <= set(shown)
    told = app.caption[0].value.replace("\\", "")
    assert told.startswith("10 of 10 runs: 8 finished, ") and "1 failed" in told and "1 running" in told
    assert [button.proto.label for button in app.get("download_button")] == ["CSV", "LaTeX", "Markdown"]


def test_filters_are_in_the_address(features_store):
    app = opened(PAGE, job="compare")
    assert set(table(app).run_id) == {features_store.compare, features_store.older_compare}
    app.text_input(key="text").set_value("nothing at all").run()
    assert not app.dataframe and "No run is left" in spoken(app)


def test_a_failed_run_shows_its_error_and_the_whole_of_it_on_demand(features_store):
    app = opened(PAGE, chosen=features_store.failed)
    assert "No weights" in app.error[0].value and "<img" not in app.error[0].value.replace("\\<img", "")
    assert not any("Traceback" in item.value for item in app.code)
    app.toggle[0].set_value(True).run()
    assert any(item.value == f"Traceback\nValueError: no weights {HOSTILE}" for item in app.code)
    assert table(app, 1).value.tolist()  # its settings


def test_a_run_that_went_silent_is_told(features_store):
    app = opened(PAGE, chosen=features_store.running)
    assert "No heartbeat for 2.0 h" in app.warning[0].value.replace("\\", "")


def test_two_comparisons_differ_in_units_of_seed_noise(features_store):
    app = opened(PAGE, chosen=f"{features_store.compare},{features_store.older_compare}")
    differs = table(app, 1).set_index("name")
    assert differs.index.tolist() == ["folds"]
    assert (differs.left["folds"], differs.right["folds"]) == ("3", "4")  # the earlier one is on the left
    found = table(app, 3).set_index("metric")
    noise = np.std([0.02 * s + 0.04 * t for s in (0, 1) for t in (0, 1)], ddof=1)
    cell = found.loc["wmppc_crossfit/vit/bert"]
    assert cell.difference == pytest.approx(0.1) and cell.in_noise == pytest.approx(0.1 / noise)
    assert np.isnan(found.in_noise["n_samples"])


def test_runs_without_several_seeds_have_no_noise(features_store):
    app = opened(PAGE, chosen=f"{features_store.train['gpt', '0']},{features_store.partial}")
    assert "noise of seeds is not known" in " ".join(item.value for item in app.caption)


def test_many_and_unknown_chosen_runs_are_told(features_store):
    three = ",".join([features_store.compare, features_store.older_compare, features_store.partial])
    assert "or two to compare" in spoken(opened(PAGE, chosen=three))
    app = opened(PAGE, chosen="0" * 32)
    assert "chosen" not in app.query_params and len(app.dataframe) == 1
