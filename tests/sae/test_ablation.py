"""The loss of removing a feature is that of really removing it."""

import numpy as np
import pytest
import torch

from benchmark.features import SparseFeatures
from benchmark.sae import TopKSAE, quality
from benchmark.sae.ablation import removal_losses


@pytest.fixture
def recorded():
    torch.manual_seed(0)
    sae = TopKSAE(6, 20, 3, seed=0)
    with torch.no_grad():
        sae.W_dec += 0.3 * torch.randn(20, 6)  # decoder rows of different lengths
        sae.b_dec += 0.1
    x = np.random.default_rng(0).normal(0.2, 1, (700, 6)).astype(np.float32)  # more than one chunk
    return sae, x, sae.features(x)


def test_each_loss_is_the_rise_of_fvu_without_that_feature(recorded):
    sae, x, features = recorded
    losses = removal_losses(sae, x, features)
    whole = quality(sae, x, features).fvu
    for latent in range(20):
        values = np.where(features.indices == latent, 0, features.values)
        without = SparseFeatures(features.indices, values, 20)
        assert losses[latent] == pytest.approx(quality(sae, x, without).fvu - whole, abs=1e-6)
    assert losses.min() < 0 < losses.max()  # and so neither sign nor the cross term can be lost


def test_a_feature_that_never_fires_costs_nothing(recorded):
    sae, x, features = recorded
    chosen = int(features.indices[0, 0])
    quiet = SparseFeatures(features.indices, np.where(features.indices == chosen, 0, features.values), 20)
    assert removal_losses(sae, x, quiet)[chosen] == 0


def test_what_does_not_fit_is_refused(recorded):
    sae, x, features = recorded
    with pytest.raises(ValueError, match="do not fit"):
        removal_losses(sae, x[:10], features)
    with pytest.raises(ValueError, match="do not fit"):
        removal_losses(TopKSAE(6, 30, 3), x, features)
    with pytest.raises(ValueError, match="all equal"):
        removal_losses(sae, np.ones((4, 6), np.float32), sae.features(np.ones((4, 6), np.float32)))
