"""Counts, densities and the summary of a dictionary."""

import numpy as np
import pytest
import torch

from benchmark.features import SparseFeatures
from benchmark.sae import TopKSAE, quality
from benchmark.sae.diagnostics import EDGES, RARE, density_histogram, diagnose
from benchmark.sae.reconstruction import baseline


def planted_counts(counts, n=100):
    """Features of which latent i is active on exactly counts[i] of n samples."""
    dense = np.zeros((n, len(counts)), np.float32)
    for latent, count in enumerate(counts):
        dense[:count, latent] = 1 + latent
    return SparseFeatures.from_dense(dense)


def test_dead_and_rare_latents_are_counted_at_their_thresholds():
    features = planted_counts([0, 0, 1, RARE - 1, RARE, 100])
    sae = TopKSAE(4, 6, 3, seed=0)
    x = np.random.default_rng(0).standard_normal((100, 4)).astype(np.float32)
    found = diagnose(sae, x, features)
    assert found.latents.n_active.tolist() == [0, 0, 1, RARE - 1, RARE, 100]
    assert found.quality.dead == pytest.approx(2 / 6) and found.quality.rare == pytest.approx(2 / 6)
    assert found.quality.l0 == pytest.approx((1 + RARE - 1 + RARE + 100) / 100)
    weights = np.array([0, 0, 3, 4 * (RARE - 1), 5 * RARE, 600])
    np.testing.assert_allclose(found.latents.weight, weights)
    assert found.quality.weight_cv == pytest.approx(weights.std() / weights.mean())


def test_cosines_are_summed_up_over_active_latents_only():
    sae = TopKSAE(2, 4, 1, seed=0)
    with torch.no_grad():
        sae.W_dec.copy_(torch.tensor([[1.0, 0], [1.0, 0], [0.6, 0.8], [0, 1.0]]))
    found = quality(sae, np.random.default_rng(0).standard_normal((100, 2)), planted_counts([0, 9, 0, 9]))
    assert found.cosine_mean == pytest.approx((1 + 0.8) / 2) and found.cosine_q95 <= 1


def test_a_dictionary_of_which_nothing_fires_is_described_without_dividing_by_zero():
    sae = TopKSAE(3, 5, 2, seed=0)
    nothing = SparseFeatures(np.zeros((20, 2), int), np.zeros((20, 2)), 5)
    found = quality(sae, np.random.default_rng(0).standard_normal((20, 3)), nothing)
    assert found.dead == 1 and found.l0 == 0 and np.isnan([found.weight_cv, found.cosine_mean]).all()


def test_a_shared_baseline_gives_the_same_figures():
    rng = np.random.default_rng(3)
    x, rows = rng.standard_normal((200, 8)).astype(np.float32), np.arange(50, 200)
    sae = TopKSAE(8, 32, 3, seed=0)
    features = sae.features(x).take(rows)
    base = baseline(x, rows)
    assert quality(sae, x, features, rows=rows, measured_against=base) == quality(sae, x[rows], features)
    assert quality(sae, x[rows], features).pca_fvu == base.pca_fvu(3)


def test_the_histogram_holds_every_active_latent_once():
    frequency = np.array([0, 1e-9, 1e-7, 10**-2.6, 10**-2.6, 0.99, 1.0])
    found = density_histogram(frequency)
    assert found.sum() == 6 and len(found) == len(EDGES) - 1
    assert found[0] == 2 and found[-1] == 2 and found[np.searchsorted(EDGES, -2.6) - 1] == 2
    assert not density_histogram(np.zeros(4)).any()
