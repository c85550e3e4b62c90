"""Partners that choose each other, and one-to-one partners."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from planted import hostile_pairs, topk
from reference import maxima

from benchmark.features import SparseFeatures
from benchmark.metrics import max_correlation, mutual_best_share, one_to_one_wmppc, wmppc_layers

few = settings(max_examples=60, deadline=None, derandomize=True)


def test_an_encoder_is_its_own_one_to_one_and_mutual_partner():
    a = topk(2000, 40, 4, 0)
    assert mutual_best_share(max_correlation(a, a)) == 1.0
    assert one_to_one_wmppc(a, a) == pytest.approx(1.0, abs=1e-9)


def test_the_mutual_share_of_unrelated_features_is_n_over_m_plus_n_minus_one():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(40):
        a, b = (SparseFeatures.from_dense(rng.exponential(1, (200, m))) for m in (60, 40))
        shares.append(mutual_best_share(max_correlation(a, b)))
    assert np.mean(shares) == pytest.approx(40 / (60 + 40 - 1), abs=0.03)


@few
@given(hostile_pairs(most_latents=6))
def test_one_to_one_wmppc_is_the_best_of_all_assignments(pair):
    a, b = pair
    weights = a.astype(np.float64).sum(0)
    if not weights.any():
        return
    gain = np.maximum(maxima(a, b)[-1], 0) * weights[:, None] / weights.sum()
    short, long = sorted(gain.shape)
    table = gain if gain.shape[0] == short else gain.T
    best = max(table[np.arange(short), list(p)].sum() for p in permutations(range(long), short))
    found = one_to_one_wmppc(SparseFeatures.from_dense(a), SparseFeatures.from_dense(b))
    assert found == pytest.approx(best, abs=1e-5)


def test_a_concept_split_over_features_finds_its_partner_once():
    rng = np.random.default_rng(0)
    concept = np.where(rng.random(4000) < 0.2, 1.0, 0)
    copies = SparseFeatures.from_dense(np.stack([concept] * 4, 1))
    whole = SparseFeatures.from_dense(concept[:, None])
    assert wmppc_layers(copies, whole).last == 1.0
    assert one_to_one_wmppc(copies, whole) == pytest.approx(0.25)
    assert one_to_one_wmppc(whole, copies) == pytest.approx(1.0)


def test_dead_features_have_no_mutual_share():
    dead = SparseFeatures(np.zeros((5, 1), int), np.zeros((5, 1)), 3)
    with pytest.raises(ValueError, match="live"):
        mutual_best_share(max_correlation(dead, topk(5, 3, 1, 0)))
