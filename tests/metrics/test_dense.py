"""Features without TopK, and tiled matrix products, give what the sparse kernel gives."""

import numpy as np
import pytest
from planted import bernoulli, topk
from reference import maxima

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.metrics import chance, comparative_sharedness, crossfit, max_correlation, wmppc_layers
from benchmark.metrics import dense as tiles
from benchmark.metrics.correlation import finish


def both_forms(seed, n=230, m=33):
    array = bernoulli(n, m, 0.25, seed)
    array[:, 0] = 0
    array[:, 1] = 3
    array[:, 2] += 1000
    return SparseFeatures.from_dense(array), DenseFeatures(array)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("aggregate", ["layer_mean", "global"])
def test_dense_and_mixed_sides_agree_with_sparse_ones_in_every_metric(mixed, aggregate):
    sparse, dense = zip(*(both_forms(seed) for seed in range(4)), strict=True)
    a, b = dense[:2], (dense[2], sparse[3]) if mixed else dense[2:]
    plain_a, plain_b = sparse[:2], sparse[2:]
    for x, y in zip(max_correlation(a, b), max_correlation(plain_a, plain_b), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)
    for x, y in zip(wmppc_layers(a, b, aggregate), wmppc_layers(plain_a, plain_b, aggregate), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)
    for x, y in zip(
        chance(a, b, permutations=3, aggregate=aggregate),
        chance(plain_a, plain_b, permutations=3, aggregate=aggregate),
        strict=True,
    ):
        np.testing.assert_allclose(x, y, atol=1e-5)
    one, two = comparative_sharedness(a, [b], [dense[2]]), comparative_sharedness(plain_a, [plain_b], [sparse[2]])
    for x, y in zip(one, two, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4 * two.weights.max())
    assert crossfit(a, b, aggregate=aggregate) == pytest.approx(
        crossfit(plain_a, plain_b, aggregate=aggregate), abs=1e-5
    )


def test_tiles_give_the_same_maxima_as_one_product(monkeypatch):
    a, b = topk(301, 70, 6, seed=1), topk(301, 50, 6, seed=2)
    whole = finish(*tiles.pair(a, b))
    monkeypatch.setattr(tiles, "TILE", 7)
    monkeypatch.setattr(tiles, "ROWS", 13)
    for x, y in zip(finish(*tiles.pair(a, b)), whole, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=4e-6)
    rho, match, back, back_match, _ = maxima(a.to_dense(), b.to_dense())
    np.testing.assert_allclose(whole.row, rho, atol=1e-5)
    np.testing.assert_allclose(whole.column, back, atol=1e-5)
    np.testing.assert_array_equal(whole.row_arg, match)
    np.testing.assert_array_equal(whole.column_arg, back_match)


def test_long_sums_stay_exact():
    array = bernoulli(200_000, 6, 0.01, seed=3)
    array[:, 1] = np.where(array[:, 1] > 0, 0.1, 0)
    array[:, 2] += 1
    features = DenseFeatures(array)
    np.testing.assert_array_equal(max_correlation(features, features).source, 1)


@pytest.mark.parametrize(("count", "both", "seed"), [(8, 6, 1), (10, 7, 0)])
def test_rare_features_of_many_samples_are_within_1e_minus_5(count, both, seed):
    # On each of the samples where it does not fire, such a feature adds less to the sum than float32 holds beside it.
    rng = np.random.default_rng(seed)
    a, b = np.zeros((300_000, 1), np.float32), np.zeros((300_000, 1), np.float32)
    rows = rng.choice(len(a), count, replace=False)
    a[rows, 0] = rng.exponential(1, count) + 0.1
    b[rows[:both], 0] = rng.exponential(1, both) + 0.1
    found = max_correlation(DenseFeatures(a), DenseFeatures(b)).source
    np.testing.assert_allclose(found, maxima(a, b)[0], rtol=0, atol=1e-5)


def test_a_gpu_gives_the_maxima_of_the_sparse_kernel():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    a, b = topk(3001, 700, 8, seed=4), topk(3001, 1500, 8, seed=5)
    here, there = max_correlation(a, b), max_correlation(a, b, device="cuda")
    for x, y in zip(there, here, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)
