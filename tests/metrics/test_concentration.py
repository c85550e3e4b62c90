"""Where a matrix of layers has its mass: what is planted is found, and flat matrices give their flat shares."""

import numpy as np
import pytest

from benchmark.metrics.concentration import AXES, Diagonal, depths, late_cells, maximum_within, share_within

SIX = depths(range(6))


def test_depth_runs_from_the_first_block_to_the_deepest_one():
    assert depths(range(6)) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert depths([0, 5, 11]) == pytest.approx([0, 5 / 11, 1])
    assert depths([0]) == depths([7]) == [1]
    for bad in ([], [3, 1], [-1, 2], [2, 2]):
        with pytest.raises(ValueError, match="ascending block indices"):
            depths(bad)


@pytest.mark.parametrize(("count", "late"), [(4, 1), (6, 2), (12, 3), (24, 6)])
def test_the_last_quarter_is_a_quarter_of_the_layers_rounded_up(count, late):
    assert late_cells(depths(range(count)), SIX, "source")[:, 0].sum() == late


def test_a_flat_matrix_has_the_share_of_its_cells_and_a_planted_one_its_mass():
    for axis, share in zip(AXES, (1 / 9, 1 / 3, 1 / 3), strict=True):
        assert share_within(np.full((6, 6), 0.3), late_cells(SIX, SIX, axis)) == pytest.approx(share)
    planted = np.zeros((6, 4))
    planted[5, 3], planted[0, 3], planted[0, 0], planted[2, 2] = 3, 1, 1, -5
    four = depths(range(4))
    assert [float(share_within(planted, late_cells(SIX, four, axis))) for axis in AXES] == [0.6, 0.6, 0.8]
    assert np.isnan(share_within(-planted.clip(0), late_cells(SIX, four)))


def test_stacks_of_matrices_give_one_value_each():
    rng = np.random.default_rng(0)
    stack = rng.random((5, 6, 6))
    chosen = late_cells(SIX, SIX)
    for measure in (share_within, maximum_within):
        assert measure(stack, chosen) == pytest.approx([float(measure(one, chosen)) for one in stack])
    for name in ("on", "off", "share", "hits"):
        of_stack = getattr(Diagonal(stack, SIX < 0.5), name)()
        assert of_stack == pytest.approx([float(getattr(Diagonal(one, SIX < 0.5), name)()) for one in stack])


def test_the_maximum_is_found_in_or_out_of_the_chosen_cells():
    matrix = np.zeros((2, 6, 6))
    matrix[0, 5, 4], matrix[1, 5, 0] = 1, 1
    assert maximum_within(matrix, late_cells(SIX, SIX)).tolist() == [1, 0]
    assert maximum_within(matrix, late_cells(SIX, SIX, "source")).tolist() == [1, 1]


def test_a_diagonal_is_measured_where_it_is():
    matrix = np.full((4, 4), 0.1)
    matrix[[0, 1], [0, 1]] = 0.7  # early layers find themselves, late ones nothing in particular
    matrix[2, 3] = 0.4
    early, late = (Diagonal(matrix, rows) for rows in ([1, 1, 0, 0], [0, 0, 1, 1]))
    assert (early.on(), early.off(), early.hits()) == pytest.approx((0.7, 0.1, 1))
    assert early.share() == pytest.approx(0.7)
    assert (late.on(), late.off(), late.hits()) == pytest.approx((0.1, 0.15, 0))
    assert late.share() == pytest.approx((0.1 / 0.7 + 0.25) / 2)
    assert Diagonal(np.full((4, 4), 0.2), [1] * 4).share() == pytest.approx(1 / 4)
    for bad in (np.ones((2, 3)), np.ones((1, 1)), np.ones(3)):
        with pytest.raises(ValueError, match="square matrix"):
            Diagonal(bad, [True])
