"""Unbiased linear CKA and mutual k-NN on raw activations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics import linear_cka, mutual_knn

few = settings(max_examples=40, deadline=None, derandomize=True)


def hsic_by_definition(x, y):
    """Song et al. 2012, equation 5, with (N, N) kernels."""
    n = len(x)
    k, m = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    one = np.ones(n)
    sums = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ m) + sums - 2 / (n - 2) * one @ k @ m @ one) / (n * (n - 3))


def knn_by_definition(x, y, k):
    shared = 0
    near = []
    for z in (x, y):
        z = z / np.linalg.norm(z, axis=1, keepdims=True)
        similarity = z @ z.T
        np.fill_diagonal(similarity, -np.inf)
        near.append(np.argsort(-similarity, axis=1, kind="stable")[:, :k])
    for a, b in zip(*near, strict=True):
        shared += len(set(a) & set(b))
    return shared / (len(x) * k)


@few
@given(st.integers(4, 40), st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6), st.floats(0, 1e4))
def test_cka_is_its_definition_with_whole_kernels(n, d, e, seed, offset):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(offset, 1, (n, d)), rng.normal(size=(n, e))
    own = hsic_by_definition(x - x.mean(0), x - x.mean(0)), hsic_by_definition(y, y)
    if min(own) < 1e-6:
        return
    expected = hsic_by_definition(x - x.mean(0), y) / np.sqrt(own[0] * own[1])
    assert linear_cka(x, y) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_cka_is_one_for_rotated_shifted_and_scaled_activations():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 12))
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    assert linear_cka(x, 3 * x @ rotation + 100) == pytest.approx(1, abs=1e-9)


def test_cka_of_unrelated_activations_is_zero_on_average_even_with_few_samples():
    rng = np.random.default_rng(0)
    found = [linear_cka(rng.normal(size=(30, 100)), rng.normal(size=(30, 80))) for _ in range(300)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(300)
    assert np.std(found) < 0.2  # the biased estimate is near 1 here


@few
@given(st.integers(3, 50), st.integers(1, 6), st.integers(0, 10**6), st.data())
def test_mutual_knn_is_its_definition(n, d, seed, data):
    k = data.draw(st.integers(1, n - 1))
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d + 1)), rng.normal(size=(n, d + 1))
    assert mutual_knn(x, y, k) == pytest.approx(knn_by_definition(x, y, k))


def test_mutual_knn_is_k_over_n_minus_one_without_relation_and_one_with_itself():
    rng = np.random.default_rng(0)
    found = [mutual_knn(rng.normal(size=(60, 8)), rng.normal(size=(60, 8)), 10) for _ in range(200)]
    assert np.mean(found) == pytest.approx(10 / 59, abs=4 * np.std(found) / np.sqrt(200))
    x = rng.normal(size=(60, 8))
    assert mutual_knn(x, 5 * x, 10) == 1.0


def test_mutual_knn_takes_the_lowest_of_equally_near_samples():
    x = np.ones((6, 3))
    assert mutual_knn(x, 2 * x, 2) == 1.0


def test_blocks_of_rows_change_nothing(monkeypatch):
    from benchmark.metrics import alignment

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(101, 5)), rng.normal(size=(101, 5))
    whole = mutual_knn(x, y)
    monkeypatch.setattr(alignment, "BLOCK_BYTES", 16 * 101 * 7)
    assert mutual_knn(x, y) == whole


@pytest.mark.parametrize("measure", [linear_cka, mutual_knn])
def test_activations_that_do_not_fit_are_refused(measure):
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match="same samples"):
        measure(x, x[:-1])
    with pytest.raises(ValueError, match="not finite"):
        measure(x, np.where(x > 1, np.nan, x))
    with pytest.raises(ValueError, match="at least"):
        measure(x[:1], x[:1])


def test_cka_of_activations_that_do_not_vary_is_refused():
    with pytest.raises(ValueError, match="not vary"):
        linear_cka(np.ones((10, 2)), np.random.default_rng(0).normal(size=(10, 2)))
