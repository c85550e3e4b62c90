"""Features that fire everywhere, and codes that many samples share, are found in sparse and in dense codes."""

import numpy as np
import pytest
from planted import bernoulli

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.metrics.trivial import commonest_share, everywhere_weight

KINDS = [SparseFeatures.from_dense, DenseFeatures]


@pytest.mark.parametrize("kind", KINDS)
def test_weight_of_features_that_fire_everywhere(kind):
    dense = bernoulli(200, 10, 0.3, seed=0)
    assert everywhere_weight(kind(dense)) == 0
    dense[:, 3] = 5
    dense[:180, 4], dense[180:, 4] = 1, 0  # nine tenths exactly are not over nine tenths
    assert everywhere_weight(kind(dense)) == pytest.approx(1000 / dense.sum())
    dense[180, 4] = 1
    assert everywhere_weight(kind(dense)) == pytest.approx((1000 + 181) / dense.sum())
    assert np.isnan(everywhere_weight(kind(np.zeros((5, 3)))))


@pytest.mark.parametrize("kind", KINDS)
def test_share_of_the_commonest_code(kind):
    dense = bernoulli(200, 30, 0.3, seed=0)
    assert commonest_share(kind(dense)) == 1 / 200
    dense[20:80] = dense[0]
    assert commonest_share(kind(dense)) == 61 / 200
    assert commonest_share(kind(np.tile(dense[:1], (50, 1)))) == 1


def test_order_of_slots_and_empty_ones_do_not_matter():
    features = SparseFeatures([[1, 2, 0], [2, 1, 5], [1, 2, 7]], [[1, 2, 0], [2, 1, 0], [1, 0, 0]], 8)
    assert commonest_share(features) == pytest.approx(2 / 3)
