"""The authors' published code, written out again in torch, gives the same numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import topk

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.metrics import comparative_sharedness, wmppc_layers
from benchmark.metrics.paper_code import paper_rho, paper_sharedness, paper_wmppc


def table(x, y):
    """All correlations as the code takes them, in float64."""
    x, y = (torch.from_numpy(np.array(f.to_dense(), np.float64)) for f in (x, y))
    x, y = ((part - part.mean(0)) / (part.std(0) + 1e-10) for part in (x, y))
    return x.T @ y / len(x)


def sums(x):
    return torch.from_numpy(x.to_dense().copy()).sum(0, dtype=torch.float64)


def relu_like(n, m, seed):
    rng = np.random.default_rng(seed)
    return DenseFeatures(np.maximum(rng.normal(-0.3, 1, (n, m)), 0).astype(np.float16))


def layers(make, seeds):
    return [make(400, 24 + seed, seed) for seed in seeds]


MAKERS = {"topk": lambda n, m, seed: topk(n, m, 4, seed), "relu": relu_like}


@pytest.mark.parametrize("codes", MAKERS)
def test_wmppc_of_all_and_last_layers(codes):
    a, b = layers(MAKERS[codes], (0, 1, 2)), layers(MAKERS[codes], (3, 4))
    per_layer, matrix = [], []
    for left in a:
        rhos = [table(left, right).max(1).values for right in b]
        s = sums(left)
        matrix.append([float((rho * s).sum() / s.sum()) for rho in rhos])
        best = torch.stack(rhos).max(0).values
        per_layer.append(float((best * s).sum() / s.sum()))
    sizes = np.array([f.n_latents for f in a])
    found = paper_wmppc(a, b)
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-6)
    assert found.last == pytest.approx(matrix[-1][-1], abs=1e-6)
    assert found.overall == pytest.approx((sizes * per_layer).sum() / sizes.sum(), abs=1e-6)


@pytest.mark.parametrize("codes", MAKERS)
@pytest.mark.parametrize("fault", [True, False])
def test_comparative_sharedness_with_and_without_the_running_minimum_fault(codes, fault):
    m, *others = layers(MAKERS[codes], range(5))
    g, h = others[:2], others[2:]
    s = sums(m)
    shared = torch.zeros_like(s) if fault else torch.full_like(s, torch.inf)
    for item in g:
        shared = torch.minimum(shared, table(m, item).max(1).values)
    absent = torch.zeros_like(s)
    for item in h:
        absent = torch.maximum(absent, table(m, item).max(1).values)
    delta = s * (shared**2 - absent**2)
    found = paper_sharedness(m, g, h, running_minimum_fault=fault)
    np.testing.assert_allclose(found.delta, delta, atol=1e-4 * float(s.max()))
    np.testing.assert_allclose(found.rho_shared, shared, atol=1e-6)
    if fault:
        assert (found.delta <= 0).all()


def test_the_fault_ranks_dead_features_first_where_the_definition_ranks_shared_ones_first():
    rng = np.random.default_rng(0)
    concept = np.where(rng.random(2000) < 0.1, rng.exponential(1, 2000), 0)
    own = np.stack([concept, np.zeros(2000), np.where(rng.random(2000) < 0.1, 1.0, 0)], 1)
    m, g = SparseFeatures.from_dense(own), SparseFeatures.from_dense(np.stack([concept, np.zeros(2000)], 1))
    h = topk(2000, 5, 1, 1)
    assert np.argmax(paper_sharedness(m, [g], [h], running_minimum_fault=True).delta) == 1
    assert np.argmax(paper_sharedness(m, [g], [h]).delta) == 0
    assert np.argmax(comparative_sharedness(m, [g], [h]).delta) == 0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(2, 60), st.integers(1, 8), st.floats(1e-6, 1e6), st.integers(0, 10**6))
def test_rho_at_every_scale(n, m, scale, seed):
    rng = np.random.default_rng(seed)
    a, b = (np.where(rng.random((n, m)) < 0.5, rng.exponential(scale, (n, m)), 0).astype(np.float32) for _ in range(2))
    for kind in (SparseFeatures.from_dense, DenseFeatures):
        left, right = kind(a), kind(b)
        varies = ~(a == a[0]).all(0)
        np.testing.assert_allclose(
            paper_rho(left, right)[varies], table(left, right).max(1).values[torch.from_numpy(varies)], atol=2e-6
        )


def test_a_feature_correlates_less_than_one_with_itself():
    a = topk(50, 12, 3, 0)
    live = a.weights > 0
    np.testing.assert_allclose(paper_rho(a, a)[live], 49 / 50, atol=1e-6)
    assert wmppc_layers(a, a).last == 1.0


def test_features_of_one_sample_are_refused():
    a = topk(1, 12, 3, 0)
    with pytest.raises(ValueError, match="two samples"):
        paper_rho(a, a)
