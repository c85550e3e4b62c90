"""Comparative Sharedness by its definition."""

import numpy as np
import pytest
from planted import bernoulli
from reference import maxima, sharedness

from benchmark.features import SparseFeatures
from benchmark.metrics import comparative_sharedness

sparse = SparseFeatures.from_dense


def arrays(*seeds):
    return [bernoulli(90, 12 + seed, 0.3, seed) for seed in seeds]


def test_delta_agrees_with_the_definition_for_several_encoders_a_side():
    source, *others = arrays(0, 1, 2, 3, 4)
    source[:, 4] = 0
    shared, absent = others[:2], others[2:]
    found = comparative_sharedness(sparse(source), [sparse(g) for g in shared], [sparse(h) for h in absent])
    np.testing.assert_allclose(found.delta, sharedness(source, shared, absent), atol=1e-5 * found.weights.max())
    np.testing.assert_allclose(found.rho_shared, np.min([maxima(source, g)[0] for g in shared], 0), atol=1e-5)
    np.testing.assert_allclose(found.rho_absent, np.max([maxima(source, h)[0] for h in absent], 0), atol=1e-5)
    np.testing.assert_allclose(found.weights, source.sum(0, dtype=np.float64))
    assert found.delta[4] == found.rho_shared[4] == found.weights[4] == 0


def test_a_feature_that_all_of_g_share_and_none_of_h_ranks_first():
    source, g1, g2, h = arrays(0, 1, 2, 3)
    g1[:, 5], g2[:, 7] = source[:, 3], source[:, 3] * 2
    h[:, 2] = g1[:, 6] = g2[:, 6] = source[:, 8]
    found = comparative_sharedness(sparse(source), [sparse(g1), sparse(g2)], [sparse(h)])
    assert found.delta.argmax() == 3 and found.rho_shared[3] == 1
    assert found.rho_shared[8] == found.rho_absent[8] == 1 and found.delta[8] == 0


def test_negative_rho_counts_as_zero():
    x = np.float32([1, 0, 1, 0, 0, 1])
    source, inverse, same = sparse(x[:, None]), sparse((1 - x)[:, None]), sparse(x[:, None])
    found = comparative_sharedness(source, [inverse], [same])
    assert found.rho_shared.tolist() == [0] and found.delta.tolist() == [-3]
    assert comparative_sharedness(source, [inverse], [inverse]).delta.tolist() == [0]


def test_swapping_the_sides_changes_the_sign_for_one_encoder_each():
    source, g, h = (sparse(x) for x in arrays(5, 6, 7))
    there, back = comparative_sharedness(source, [g], [h]), comparative_sharedness(source, [h], [g])
    np.testing.assert_array_equal(there.delta, -back.delta)


def test_several_layers_are_pooled_on_every_side():
    a1, a2, g1, g2, h1, h2 = arrays(0, 1, 2, 3, 4, 5)
    found = comparative_sharedness(
        [sparse(a1), sparse(a2)], [[sparse(g1), sparse(g2)]], [[sparse(h1), sparse(h2)], sparse(g1)]
    )
    truth = sharedness(np.hstack([a1, a2]), [np.hstack([g1, g2])], [np.hstack([h1, h2]), g1])
    np.testing.assert_allclose(found.delta, truth, atol=1e-5 * found.weights.max())
    assert found.delta.shape == (a1.shape[1] + a2.shape[1],)


def test_nothing_on_a_side_and_other_samples_are_refused():
    some = sparse(bernoulli(9, 4, 0.5, 0))
    for sides in (([], [some]), ([some], [])):
        with pytest.raises(ValueError, match="at least one"):
            comparative_sharedness(some, *sides)
    with pytest.raises(ValueError, match="same samples"):
        comparative_sharedness(some, [some], [sparse(bernoulli(8, 4, 0.5, 0))])
