"""Planted comparisons fail the check they were made for, and healthy ones pass all of them."""

import numpy as np
import pandas as pd
import pytest

from benchmark.health import FAIL, OK, UNKNOWN, WARN
from benchmark.metrics.health_checks import comparison_checks

MODALITY = {"vit": "image", "clip-image": "image", "clip-text": "text", "bert": "text"}
TWINS = [("clip-image", "clip-text")]


def values(same=0.4, cross=0.2, layers=(2, 3), **special):
    """Healthy values, but for special ones: name_of_source_layer (underscores) -> {modality of the target: value}."""
    rows = []
    for source in MODALITY:
        for layer in layers:
            for target in MODALITY:
                if target != source:
                    alike = MODALITY[source] == MODALITY[target]
                    told = special.get(f"{source.replace('-', '_')}_{layer}", {})
                    value = told.get("same" if alike else "cross", same if alike else cross)
                    rows.append((source, layer, target, value, value - 0.01, value + 0.01))
    return pd.DataFrame(rows, columns=["source", "layer", "target", "value", "low", "high"])


def own(**changed):
    rows = [(name, changed.get(name.replace("-", "_"), 0.7), 0.3) for name in MODALITY]
    return pd.DataFrame(rows, columns=["source", "value", "floor"])


def statuses(check, table, seeds=None):
    found = comparison_checks(table, own() if seeds is None else seeds, MODALITY, TWINS)
    assert all(item.sentence.endswith(".") for item in found)
    assert all(bool(item.advice) == (item.status != OK) for item in found)
    return {item.subject: item.status for item in found if item.check == check}


def test_a_healthy_comparison_passes():
    found = comparison_checks(values(), own(), MODALITY, TWINS)
    assert {item.status for item in found} == {OK} and len(found) == 3 * len(MODALITY)


def test_seeds_that_agree_as_before_training_fail():
    assert statuses("self-near-chance", values(), own(vit=0.39)) == dict.fromkeys(MODALITY, OK) | {"vit": FAIL}
    without = own(vit=0.09).assign(floor=np.nan)
    assert statuses("self-near-chance", values(), without)["vit"] == FAIL
    one_seed = own()[:0]
    assert set(statuses("self-near-chance", values(), one_seed).values()) == {UNKNOWN}


@pytest.mark.parametrize(("value", "status"), [(0.06, OK), (0.04, WARN), (0.01, FAIL), (-0.02, FAIL)])
def test_next_to_nothing_shared_with_the_own_modality_is_found(value, status):
    table = values(cross=-0.1, bert_2={"same": value, "cross": -0.1}, bert_3={"same": value - 0.1, "cross": -0.2})
    assert statuses("same-modality-near-zero", table)["bert"] == status
    assert statuses("same-modality-near-zero", table)["vit"] == OK


def test_the_only_encoder_of_its_modality_is_unknown():
    table = values()
    table = table[~table.source.isin(["bert"]) & ~table.target.isin(["bert"])]
    found = comparison_checks(table, own(), {k: v for k, v in MODALITY.items() if k != "bert"}, TWINS)
    status = {(item.check, item.subject): item.status for item in found}
    assert status["same-modality-near-zero", "clip-text"] == UNKNOWN
    assert status["cross-modal-above-same-modal", "clip-text"] == UNKNOWN
    assert status["cross-modal-above-same-modal", "vit"] == OK


def test_more_shared_with_the_other_modality_counts_if_it_holds_on_all_layers():
    above = {"same": 0.2, "cross": 0.4}
    check = "cross-modal-above-same-modal"
    assert set(statuses(check, values(same=0.2, cross=0.4)).values()) == {FAIL}  # every encoder, everywhere
    assert statuses(check, values(bert_2=above, bert_3=above)) == dict.fromkeys(MODALITY, OK) | {"bert": WARN}
    assert set(statuses(check, values(bert_2=above)).values()) == {OK}  # on one layer of two
    assert set(statuses(check, values(same=0.2, cross=0.21)).values()) == {OK}  # within the intervals


def test_the_tower_an_encoder_was_trained_with_is_no_other_modality():
    table = values()
    twin = (table.source == "clip-image") & (table.target == "clip-text")
    table.loc[twin, ["value", "low", "high"]] = [0.9, 0.89, 0.91]
    assert statuses("cross-modal-above-same-modal", table)["clip-image"] == OK
    without = comparison_checks(table, own(), MODALITY)
    assert {i.subject: i.status for i in without if i.check == "cross-modal-above-same-modal"}["clip-image"] == WARN
