"""Whether two groups share the same features of M beyond what S and H explain, on planted truth."""

import numpy as np
import pytest
from sharing_worlds import equally_findable, world

from benchmark.metrics import partial_association, partial_rank_correlation, spearman

FEW = {"splits": 1, "folds": 3, "permutations": 3}


def test_groups_that_share_the_same_features_are_found():
    found = partial_association(*world("holds"), **FEW)
    assert found.value > 0.4 and found.low > 0.3 and found.p_value == 0.25
    assert found.beyond > 0.4 and found.beyond_low > 0.3 and found.beyond > found.beyond_null.max()
    assert found.corrected > 0.9


@pytest.mark.parametrize("kind", ["nothing", "apart"])
def test_groups_that_share_nothing_or_other_features_have_nothing_in_common(kind):
    found = partial_association(*world(kind), **FEW)
    assert abs(found.value) < 0.15 and abs(found.beyond) < 0.15
    assert found.low < 0 and found.beyond_low < 0
    assert np.isnan(found.corrected) if kind == "nothing" else abs(found.corrected) < 0.25


@pytest.mark.parametrize("n", [2000, 8000])
def test_features_that_are_equally_easy_to_find_everywhere_fool_the_partial_correlation_only(n):
    found = partial_association(*equally_findable(n=n), **FEW)
    assert found.value == pytest.approx(1 / 3, abs=0.12) and found.low > 0.1  # however many samples
    assert abs(found.beyond) < 0.05 and found.plain > 0.8


def test_the_partial_correlation_is_that_of_residuals_of_ranks():
    rng = np.random.default_rng(0)
    z = rng.normal(size=400)
    x, y = np.exp(z + rng.normal(size=400)), z**3 + rng.normal(size=400)
    xy, xz, yz = spearman(x, y), spearman(x, z), spearman(y, z)
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_rank_correlation(x, y, [z])[0] == pytest.approx(expected, abs=1e-12)
    assert partial_rank_correlation(x, z, [z])[0] == 0  # nothing is left of z


def test_too_few_frequent_features_are_refused():
    source, g1, g2, h = world("holds", n=200)
    with pytest.raises(ValueError, match="compare more samples"):
        partial_association(source, g1, g2, h, **FEW)
