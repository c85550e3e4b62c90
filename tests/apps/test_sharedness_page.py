"""Comparative Sharedness of any encoders, from recorded partners."""

import numpy as np
import pandas as pd
import pytest
from apps_pages import opened, spoken

from apps.sharedness import groups, sharedness


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
    captions = [item.value for item in app.caption]
    assert any(text.startswith("4 live features") for text in captions)
    app.multiselect(key="without-clip-image").set_value([]).run()
    assert "at least one encoder" in spoken(app) and not app.exception
