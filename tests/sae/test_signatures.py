"""Planted failures raise their signature, and dictionaries that found what was planted raise none."""

import math

import numpy as np
import pytest
import torch

from benchmark.sae import TopKSAE, quality
from benchmark.sae.signatures import DEAD, FALL, OFFSET, RARE, loss_fall, sae_signatures
from benchmark.signature import names, summary

GOOD = {"fvu": 0.2, "pca_fvu": 0.76, "offset": 0.001, "dead": 0.1, "rare": 0.2, "k": 8, "loss_fall": 0.005}


def named(**changes):
    return names(sae_signatures(GOOD | changes, "x"))


def test_good_figures_raise_nothing():
    assert named() == [] and sae_signatures({}, "x") == []


@pytest.mark.parametrize(
    ("name", "figure", "limit", "below"),
    [
        ("dead-latents", "dead", DEAD, 0),
        ("rare-latents", "rare", RARE, 0),
        ("offset", "offset", OFFSET, 0),
        ("loss-falling", "loss_fall", FALL, 0),
        ("no-better-than-pca", "fvu", GOOD["pca_fvu"], 1e-9),
        ("worse-than-mean", "fvu", 1.0, 1e-9),
    ],
)
def test_each_signature_starts_at_its_limit(name, figure, limit, below):
    assert name not in named(**{figure: limit - below})
    found = [s for s in sae_signatures(GOOD | {figure: limit + 1e-6}, "an SAE") if s.name == name]
    assert len(found) == 1 and found[0].subject == "an SAE" and found[0].limit == limit
    assert found[0].sentence.endswith(".") and found[0].advice.endswith(".")


def test_an_fvu_of_1_or_more_is_not_blamed_on_pca_too():
    assert named(fvu=1.2) == ["worse-than-mean"]


def test_figures_that_are_not_known_raise_nothing_but_equal_activations_do():
    assert named(**dict.fromkeys(("pca_fvu", "offset", "dead", "rare", "loss_fall"), math.nan)) == []
    assert named(fvu=math.nan) == ["constant-activations"]


def test_the_fall_is_that_of_the_last_tenth_and_short_curves_have_none():
    curve = np.concatenate([np.full(80, 5.0), np.full(10, 2.0), np.full(10, 1.5)])
    assert loss_fall(curve) == pytest.approx(0.25)
    assert math.isnan(loss_fall(curve[:19])) and math.isnan(loss_fall(np.zeros(100)))
    rates = np.concatenate([np.linspace(0.1, 1, 5), np.ones(95), np.linspace(0.9, 0.1, 25)])
    assert loss_fall(np.concatenate([curve, np.full(25, 0.1)]), rates) == pytest.approx(0.25)
    noise = np.random.default_rng(0).normal(1, 0.02, 1000)
    assert abs(loss_fall(noise)) < FALL / 2


def test_an_sae_whose_b_dec_is_off_raises_what_it_does_wrong():
    x = (np.random.default_rng(0).standard_normal((400, 8)) + 30).astype(np.float32)
    sae = TopKSAE(8, 64, 2, seed=0)
    found = names(sae_signatures({**quality(sae, x, sae.features(x))._asdict(), "k": 2}, "x"))
    assert {"worse-than-mean", "offset", "dead-latents"} <= set(found)


def test_a_dictionary_of_principal_axes_is_no_better_than_pca():
    x = np.random.default_rng(0).standard_normal((500, 6)) * [9, 5, 3, 1, 1, 1]
    x = (x - x.mean(0)).astype(np.float32)
    axes = torch.from_numpy(np.linalg.svd(x, full_matrices=False)[2][:2].copy())
    sae = TopKSAE(6, 4, 2, seed=0)
    with torch.no_grad():
        for weight in (sae.W_enc, sae.W_dec):
            weight.copy_(torch.cat([axes, -axes]))
    found = quality(sae, x, sae.features(x))
    assert found.fvu == pytest.approx(found.pca_fvu, abs=1e-5)
    assert "no-better-than-pca" in names(sae_signatures({**found._asdict(), "fvu": found.fvu + 1e-5, "k": 2}, "x"))


def test_the_summary_has_one_line_a_name_with_the_worst_case():
    found = sae_signatures(GOOD | {"dead": 0.6}, "mild") + sae_signatures(GOOD | {"dead": 0.9}, "bad")
    (line,) = summary(found)
    assert line.startswith("dead-latents: bad (and 1 more): 90%") and "aux_k" in line
