"""Comparisons that went wrong raise their signature; the quickstart's figures raise none."""

import itertools

import pandas as pd
import pytest

from benchmark.metrics.signatures import NEAR, comparison_signatures
from benchmark.signature import names

MODALITY = {"a": "image", "b": "image", "s": "text", "t": "text"}


def table(value, half=0.01, untrained=0.05):
    """All cells of four encoders; value(source, target) is the cross-fitted one."""
    return pd.DataFrame([
        {"source": s, "target": t, "crossfit": value(s, t), "low": value(s, t) - half, "high": value(s, t) + half,
         "untrained": untrained}
        for s, t in itertools.product(MODALITY, MODALITY)
    ])  # fmt: skip


def healthy(s, t):
    return 0.8 if s == t else 0.4 if MODALITY[s] == MODALITY[t] else 0.2


def found(value=healthy, **how):
    return comparison_signatures(table(value, **how), MODALITY)


def test_a_healthy_comparison_raises_nothing():
    assert found() == []
    assert comparison_signatures(table(healthy).drop(columns="untrained"), MODALITY) == []


@pytest.mark.parametrize("floor", [0.3, None])
def test_seeds_that_agree_hardly_more_than_chance_are_named(floor):
    limit = NEAR + (floor or 0)

    def value(own):
        cells = table(lambda s, t: (own if s == "a" else 0.8) if s == t else 0.01, untrained=floor or 0.0)
        return comparison_signatures(cells if floor else cells.drop(columns="untrained"), MODALITY)

    (item,) = [s for s in value(limit - 1e-6) if s.name == "self-near-chance"]
    assert item.subject == "a" and item.limit == pytest.approx(limit)
    assert "self-near-chance" not in names(value(limit + 1e-6))


def test_an_encoder_that_fits_better_than_the_sources_own_seed_is_named_once():
    items = found(lambda s, t: {"ab": 0.9, "as": 0.85}.get(s + t, healthy(s, t)))
    assert names(items) == ["above-own-ceiling"] and len(items) == 1 and items[0].subject == "a → b"
    # Within the intervals it is no finding.
    assert found(lambda s, t: 0.81 if s + t == "ab" else healthy(s, t)) == []


def test_cells_within_noise_of_the_untrained_floor_are_named_and_diagonals_are_not():
    items = found(lambda s, t: 0.055 if s + t == "at" else healthy(s, t))
    assert [(s.name, s.subject) for s in items] == [("at-untrained-floor", "a → t")]
    assert found(lambda s, t: 0.065 if s + t == "at" else healthy(s, t)) == []


def test_cross_modal_above_same_modal_must_hold_everywhere_and_beyond_the_intervals():
    def swapped(s, t):
        return 0.8 if s == t else 0.2 if MODALITY[s] == MODALITY[t] else 0.4

    (item,) = found(swapped)
    assert item.name == "cross-modal-above-same-modal" and item.value == pytest.approx(0.18)
    assert found(swapped, half=0.11) == []
    assert found(lambda s, t: healthy(s, t) if s == "a" else swapped(s, t)) == []


def test_encoders_of_one_modality_or_without_kin_say_nothing_of_modalities():
    one = table(lambda s, t: 0.8 if s == t else 0.2)
    assert comparison_signatures(one, dict.fromkeys(MODALITY, "image")) == []
    pair = one[one.source.isin(["a", "s"]) & one.target.isin(["a", "s"])]
    assert comparison_signatures(pair, MODALITY) == []
