"""A score's interval covers its truth though cells share dictionaries and samples; unlike encoders do not agree."""

import itertools

import numpy as np
import pytest

from benchmark.metrics import linear_score, mantel, sd_beyond_noise

NAMES = "abcd"
CELLS = list(itertools.permutations(NAMES, 2))


def matrix(seeds, rng, truth=0.0):
    """Cells whose source and target seeds each add an effect of the encoder, and a sample effect common to all."""
    source, target = ({name: rng.normal(0, 0.03, seeds) for name in NAMES} for _ in range(2))
    sample = rng.normal(0, 0.01)
    values = {
        (a, b): truth + sample + source[a][:, None] + target[b] + rng.normal(0, 0.005, (seeds, seeds)) for a, b in CELLS
    }
    common = rng.normal(0, 0.01, 200)
    return values, {cell: table[..., None] + common for cell, table in values.items()}


@pytest.mark.parametrize("seeds", [2, 5])
def test_intervals_cover_the_truth_nineteen_times_in_twenty(seeds):
    rng, held, apart = np.random.default_rng(seeds), 0, 0
    for _ in range(400):
        first, second = (linear_score(*matrix(seeds, rng, 0.3)) for _ in range(2))
        low, high = first.interval()
        held += low <= 0.3 <= high
        low, high = first.minus(second).interval()
        apart += not low <= 0 <= high
    assert 0.92 <= held / 400 <= 0.99 and apart / 400 <= 0.08


def test_a_score_is_the_weighted_sum_of_means():
    values, draws = matrix(3, np.random.default_rng(0))
    found = linear_score(values, draws, {("a", "b"): 2.0, ("b", "c"): -1.0})
    assert found.value == pytest.approx(2 * values["a", "b"].mean() - values["b", "c"].mean())
    plain = linear_score(values, draws)
    assert plain.value == pytest.approx(np.mean([table.mean() for table in values.values()]))
    with pytest.raises(ValueError, match="two or more seeds"):
        linear_score({("a", "b"): np.ones((1, 2))}, {("a", "b"): np.ones((1, 2, 3))})


def test_the_same_order_of_encoders_is_told_from_any_other():
    rng = np.random.default_rng(0)
    own = rng.random((5, 5))
    found = mantel(own, 2 * own + rng.normal(0, 0.02, (5, 5)))
    assert found.correlation > 0.95 and found.p_value == pytest.approx(1 / 120)
    p = [mantel(rng.random((4, 4)), rng.random((4, 4))).p_value for _ in range(200)]
    assert np.mean(np.array(p) <= 0.25) == pytest.approx(0.25, abs=0.09)
    assert mantel(rng.random((9, 9)), rng.random((9, 9))).p_value > 0
    with pytest.raises(ValueError, match="3 or more"):
        mantel(np.ones((2, 2)), np.ones((2, 2)))


def test_what_noise_explains_is_no_difference():
    rng = np.random.default_rng(1)
    errors = np.full(5000, 0.1)
    assert sd_beyond_noise(rng.normal(0, 0.1, 5000), errors) < 0.03
    assert sd_beyond_noise(rng.normal(0.4, np.hypot(0.1, 0.2), 5000), errors) == pytest.approx(0.2, abs=0.01)
