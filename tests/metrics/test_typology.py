"""The share of features of a kind is that of plain loops, with a jackknife's error and the chance of any split."""

import itertools

import numpy as np
import pytest
from planted import bernoulli, topk

from benchmark.features import SparseFeatures
from benchmark.metrics import correlation_with, held_out_rho_blocks, held_out_rho_both, positive_share


def test_the_share_and_its_chance_are_those_of_plain_loops():
    rng = np.random.default_rng(0)
    g, h, w = rng.normal(0, 1, (2, 9, 50)), rng.normal(0, 1, (2, 9, 50)), rng.random(50)
    found = positive_share(g, h, w)

    def share(some, others, row):
        return (
            sum(
                w[i] for i in range(50) if min(max(x[row, i], 0) for x in some) > max(max(x[row, i], 0) for x in others)
            )
            / w.sum()
        )

    assert found.share == pytest.approx(share(g, h, 0))
    every = [*g, *h]
    splits = [share([every[i] for i in part], [every[i] for i in range(4) if i not in part], 0)
              for part in itertools.combinations(range(4), 2)]  # fmt: skip
    assert found.by_chance == pytest.approx(np.mean(splits))
    blocks = [share(g, h, row) for row in range(1, 9)]
    assert found.error == pytest.approx(np.sqrt(7 / 8 * sum((b - np.mean(blocks)) ** 2 for b in blocks)))


def test_shares_that_have_no_meaning_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        positive_share(np.ones((1, 2, 3)), np.ones((1, 2, 4)), np.ones(3))
    with pytest.raises(ValueError, match="no feature"):
        positive_share(np.ones((1, 2, 3)), np.ones((1, 2, 3)), np.zeros(3))


def test_correlations_without_a_block_are_those_over_all_samples_but_a_few():
    a, b = topk(400, 20, 4, 0), topk(400, 30, 4, 1)
    there, back = held_out_rho_blocks(a, b, folds=4)
    whole = held_out_rho_both(a, b, folds=4)
    np.testing.assert_allclose(there[0], whole[0])
    np.testing.assert_allclose(back[0], whole[1])
    assert there.shape == (81, 20) and back.shape == (81, 30)
    assert 0 < np.abs(there[1:] - there[0]).max() < 0.2


def test_a_jackknifes_error_is_the_spread_over_other_samples():
    """The error of a mean correlation by blocks against its spread over fresh samples."""
    rng = np.random.default_rng(3)

    def draw():
        x = bernoulli(600, 12, 0.3, rng.integers(2**31))
        y = np.where(rng.random(x.shape) < 0.7, x, bernoulli(600, 12, 0.3, rng.integers(2**31)))
        there, _ = held_out_rho_blocks(SparseFeatures.from_dense(x), SparseFeatures.from_dense(y), folds=3)
        means = there.mean(1)
        blocks = means[1:]
        return means[0], np.sqrt((len(blocks) - 1) * blocks.var())

    values, errors = np.array([draw() for _ in range(40)]).T
    assert np.mean(errors) == pytest.approx(values.std(ddof=1), rel=0.35)


def test_a_given_partner_has_its_plain_correlation():
    a, b = topk(300, 10, 3, 0), topk(300, 15, 3, 1)
    partner = np.array([3, -1, 14, 0, 0, 5, 6, 7, 8, 9])
    found = correlation_with(a, b, partner)
    full = np.corrcoef(a.to_dense().T.astype(float), b.to_dense().T.astype(float))[:10, 10:]
    wanted = np.where(partner >= 0, full[np.arange(10), partner], 0)
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    with pytest.raises(ValueError, match="do not fit"):
        correlation_with(a, b, partner + 1)
