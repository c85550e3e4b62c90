"""Comparative Sharedness of any encoders, from recorded partners."""

import numpy as np
import pandas as pd
import pytest
from apps_pages import log_run, opened, spoken

from apps.charts_sharedness import distribution
from apps.sharedness import groups, same_question, sharedness


def partners(rho, s=None):
    return pd.DataFrame({
        "layer": 2, "feature": np.arange(len(rho)), "held_out_rho": rho, "S": 1.0 if s is None else s,
    })  # fmt: skip


def test_delta_is_that_of_the_definition():
    rng = np.random.default_rng(0)
    rho = {name: rng.uniform(-0.2, 1, 300) for name in "abcd"}
    s = rng.uniform(1, 5, 300)
    found = sharedness({name: partners(value, s) for name, value in rho.items()}, ["a", "b"], ["c", "d"])
    table = found.features.sort_values("feature")
    squares = {name: np.maximum(value, 0) ** 2 for name, value in rho.items()}
    difference = np.minimum(squares["a"], squares["b"]) - np.maximum(squares["c"], squares["d"])
    np.testing.assert_allclose(table.difference, difference, atol=1e-12)
    np.testing.assert_allclose(table.delta, s / s.sum() * difference, atol=1e-12)
    assert found.positive == pytest.approx((difference > 0).mean())
    assert abs(found.positive_by_chance - 1 / 6) < 0.02  # G and H are alike: each of the six splits as likely
    assert found.features.delta.is_monotonic_decreasing and found.features.top.sum() == 3


def test_the_histogram_holds_every_feature_and_chance_beside_them():
    rng = np.random.default_rng(1)
    alike = {name: partners(rng.uniform(-0.2, 1, 6000)) for name in "abcd"}
    found = sharedness(alike, ["a", "b"], ["c", "d"])
    bins = found.histogram
    assert bins.features.sum() == 6000 and bins.chance.sum() == pytest.approx(6000)
    above = bins[bins.low > -1e-9]
    assert above.low.min() == pytest.approx(0, abs=1e-12) and above.features.sum() == found.positive * 6000
    assert above.chance.sum() == pytest.approx(found.positive_by_chance * 6000)
    assert ((bins.features - bins.chance) ** 2 <= 16 * bins.chance + 16).all()  # G and H are no different
    assert bins.iloc[[0, -1]][["features", "chance"]].to_numpy().max() == 0  # the outline begins and ends at 0
    assert found.mean == pytest.approx(found.mean_by_chance, abs=0.03) and found.splits == 6
    for name in "ab":
        alike[name] = partners(np.where(np.arange(6000) < 3000, 1.0, alike[name].held_out_rho))
    shared = sharedness(alike, ["a", "b"], ["c", "d"])
    assert shared.positive > 0.5 > 2 * shared.positive_by_chance and shared.reached == 1
    assert shared.mean > shared.mean_by_chance + 0.2


@pytest.mark.parametrize("rho", [[0.0, 0.0], [0.3, 0.3], [1e-9, 0.0]])
def test_hardly_any_feature_has_a_histogram_too(rho):
    bins = sharedness({name: partners(rho) for name in "ab"}, ["a"], ["b"]).histogram
    assert bins.features.sum() == 2 and np.isfinite(bins.to_numpy()).all() and 2 <= len(bins) < 100
    assert distribution(bins).to_dict()


def test_a_run_answers_where_its_groups_are_the_same_in_any_order():
    summary = pd.DataFrame({
        "source": ["m", "m", "n"], "shared_with": ["a,b", "a,b", "a,b"], "absent_from": ["c", "c", "c"],
        "seed": [0, 1, 0],
    })  # fmt: skip
    assert same_question(summary, "m", ["b", "a"], ["c"]).seed.tolist() == [0, 1]
    assert same_question(summary, "m", ["a"], ["c"]).empty and same_question(summary, "m", ["a", "b"], ["c", "d"]).empty
    assert same_question(summary, "other", ["a", "b"], ["c"]).empty


def test_only_the_deepest_layer_and_features_with_partners_everywhere_count():
    two = pd.concat([partners([0.5, 0.5]), partners([0.9, 0.8, 0.7]).assign(layer=3)])
    found = sharedness({"a": two, "b": partners([0.1, 0.2]).assign(layer=3)}, ["a"], ["b"])
    assert set(found.features.layer) == {3} and set(found.features.feature) == {0, 1}


def test_groups_that_cannot_be_compared_are_refused():
    tables = {"a": partners([0.5]), "b": partners([0.5])}
    for shared, absent, message in ((["a"], [], "at least one"), (["a"], ["a", "b"], "a cannot both")):
        with pytest.raises(ValueError, match=message):
            sharedness(tables, shared, absent)


def test_groups_are_chosen_by_class():
    kinds = {"clip": "vlm", "vit": "vision", "ssl": "vision", "bert": "text"}
    assert groups(kinds, "clip") == (["bert"], ["vit", "ssl"])
    assert groups(kinds, "bert") == (["vit", "ssl"], ["clip"])
    assert groups({"clip": "vlm", "other": "vlm", "vit": "vision"}, "clip") == (["other"], ["vit"])


def test_the_page_shows_the_features_with_their_samples(store):
    app = opened("pages_sharedness.py")
    assert app.selectbox(key="source").value == "clip-image"
    table = app.dataframe[0].value
    assert len(table) == 4 and (table.difference == 0).all()  # both groups have the same partners here
    assert [(item.label, item.value, item.delta) for item in app.metric][:2] == [
        ("Delta above 0", "0.0%", "0.0% by chance"), ("Splits that share as much", "2 of 2", "p = 1")
    ]  # fmt: skip
    captions = [item.value for item in app.caption]
    assert any(text.startswith("4 live features") for text in captions)
    app.multiselect(key="without-clip-image").set_value([]).run()
    assert "at least one encoder" in spoken(app) and not app.exception


def test_features_and_partners_are_links_within_the_window(store):
    app = opened("pages_sharedness.py")
    links = [link.proto for link in app.get("page_link")]
    table = app.dataframe[0].value
    first = table.feature.iloc[0]
    assert [link.label for link in links] == [
        f"**Feature {first}**", "bert 1 at **0.50**", "vit 1 at **0.50**"
    ] and not any(link.external for link in links)  # fmt: skip
    assert links[0].query_string.endswith(f"layer=3&feature={first}")
    assert links[1].query_string.endswith("layer=3&feature=1")
    assert not any("](" in item.value for item in app.markdown)


def test_what_a_sharedness_run_measured_under_every_seed_is_shown_where_it_asks_the_same(own_store, tmp_path):
    summary = pd.DataFrame([
        {"source": "clip-image", "shared_with": "bert", "absent_from": "vit", "seed": seed, "live": 300,
         "positive": 0.1, "significant": 7, "mean_delta": -0.05, "low": -0.06, "high": -0.04}
        for seed in (0, 1)
    ])  # fmt: skip
    association = pd.DataFrame({"source": ["clip-image", "vit"], "measure": "delta", "value": [0.5, 0.6]})
    log_run(
        tmp_path, {"summary.parquet": summary, "association.parquet": association}, kind="sharedness", suite="tiny",
        dataset="scenes",
    )  # fmt: skip
    app = opened("pages_sharedness.py")
    assert app.dataframe[0].value.significant.tolist() == [7, 7] and not app.code
    assert app.dataframe[-1].value.value.tolist() == [0.5]  # of this M alone
    app.multiselect(key="without-clip-image").set_value(["bert"]).run()
    app.multiselect(key="with-clip-image").set_value(["vit"]).run()
    assert len(app.dataframe) == 2 and app.code[0].value.endswith(
        "--source clip-image --shared-with vit --absent-from bert"
    )
