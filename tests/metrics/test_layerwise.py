"""Layers against layers: the same numbers as one comparison after the other, and parts that add up to the whole."""

import numpy as np
import pytest
from planted import bernoulli, topk

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.metrics import chance_both, crossfit_both
from benchmark.metrics.layer_fit import crossfit_layers
from benchmark.metrics.layerwise import null_layers

sparse = SparseFeatures.from_dense
GROUPS = np.repeat(np.arange(60), 4)


def sides(kind=sparse, groups=None):
    source = [bernoulli(240, m, 0.2, seed=m) for m in (7, 12)]
    target = [bernoulli(240, m, 0.2, seed=20 + m) for m in (9, 4, 5)]
    target[2][:, :3] = source[1][:, :3] + 0.2 * target[2][:, :3]
    target[0][:, 4] = source[0][:, 2]
    source[0][:, 5], target[1][:, 1] = 0, 3
    return [kind(x, groups=groups) for x in source], [kind(x, groups=groups) for x in target]


@pytest.mark.parametrize(("kind", "groups"), [(sparse, None), (sparse, GROUPS), (DenseFeatures, None)])
def test_every_cell_and_the_whole_are_what_single_comparisons_give(kind, groups):
    source, target = sides(kind, groups)
    nulls = null_layers(source, target, permutations=3, seed=5)
    fits = crossfit_layers(source, target, folds=3, seed=5, resamples=20)
    whole_null = chance_both(source, target, permutations=3, seed=5)
    whole_fit = crossfit_both(source, target, folds=3, seed=5, resamples=20)
    for way in (0, 1):
        assert nulls[way].overall == pytest.approx(whole_null[way].naive, abs=1e-12)
        assert nulls[way].overall_null == pytest.approx(whole_null[way].null, abs=1e-12)
        assert fits[way].overall.value == pytest.approx(whole_fit[way].value, abs=1e-12)
        assert fits[way].overall.draws == pytest.approx(whole_fit[way].draws, abs=1e-12)
    for a, left in enumerate(source):
        for b, right in enumerate(target):
            chances = chance_both(left, right, permutations=3, seed=5)
            values = crossfit_both(left, right, folds=3, seed=5, resamples=20)
            for way, at in ((0, (a, b)), (1, (b, a))):
                assert nulls[way].cells[at] == pytest.approx(chances[way].naive, abs=1e-12)
                assert nulls[way].cell_null[:, *at] == pytest.approx(chances[way].null, abs=1e-12)
                assert fits[way].cells[at] == pytest.approx(values[way].value, abs=1e-12)
                assert fits[way].cell_draws[:, *at] == pytest.approx(values[way].draws, abs=1e-12)


def test_parts_add_up_to_the_value_of_all_layers_and_so_do_their_draws():
    for fit, null in zip(crossfit_layers(*sides(), folds=3), null_layers(*sides(), permutations=4), strict=True):
        assert fit.parts.sum() == pytest.approx(fit.overall.value, abs=1e-12)
        assert fit.part_draws.sum((1, 2)) == pytest.approx(fit.overall.draws, abs=1e-12)
        assert null.parts.sum() == pytest.approx(null.overall, abs=1e-12)
        assert null.part_null.sum((1, 2)) == pytest.approx(null.overall_null, abs=1e-12)


def test_parts_are_those_of_the_definition():
    source, target = sides()
    fit, null = crossfit_layers(source, target, folds=3)[0], null_layers(source, target, permutations=0)[0]
    arrays = [[f.to_dense().astype(float) for f in side] for side in (source, target)]
    correlations = [[_pearson(x, y) for y in arrays[1]] for x in arrays[0]]
    for a, rows in enumerate(correlations):
        best = np.concatenate(rows, axis=1)
        owner = np.repeat([0, 1, 2], [y.shape[1] for y in arrays[1]])[best.argmax(1)]
        weight = arrays[0][a].sum(0)
        for b in range(3):
            part = (weight * best.max(1) * (owner == b)).sum() / weight.sum() * len(weight) / 19
            assert null.parts[a, b] == pytest.approx(part, abs=1e-5)
    # Three of twelve features of the second layer were planted in the third, one of seven of the first in the first.
    assert fit.parts[1].argmax() == 2 and fit.parts[0].argmax() == 0
    assert np.abs(fit.parts[:, 1]).max() < 0.1 * fit.parts.max()


def test_a_block_that_holds_all_of_a_layer_has_no_influence_instead_of_a_wrong_one():
    source, target = sides()
    lone = np.zeros((240, 2), np.float32)
    lone[7] = 1
    fit = crossfit_layers([source[0], sparse(lone)], target, folds=3)[0]
    assert np.isfinite(fit.part_draws).all() and np.abs(fit.parts[1]).max() < 1e-12
    assert fit.part_draws.sum((1, 2)) == pytest.approx(fit.overall.draws, abs=1e-12)


def test_nothing_shared_gives_cells_and_parts_of_nothing():
    source, target = ([topk(4000, 200, 4, 10 * side + i) for i in range(3)] for side in (1, 2))
    for fit, null in zip(
        crossfit_layers(source, target, folds=4), null_layers(source, target, permutations=4), strict=True
    ):
        assert np.abs(fit.cells).max() < 0.02 and np.abs(fit.parts).max() < 0.02
        assert null.cells == pytest.approx(null.cell_null.mean(0), abs=0.01)
        assert null.cells.min() > 0.03  # what the naive value makes of nothing


def test_each_fold_and_each_draw_is_a_step_and_bad_input_is_refused():
    source, target = sides()
    steps = []
    crossfit_layers(source, target, folds=3, step=lambda: steps.append("fold"))
    null_layers(source, target, permutations=2, step=lambda: steps.append("draw"))
    assert steps == ["fold"] * 3 + ["draw"] * 3
    dead = sparse(np.zeros((240, 3), np.float32))
    for call in (crossfit_layers, null_layers):
        with pytest.raises(ValueError, match="layer 2 of 2 .* ever active"):
            call([source[0], dead], target)
        with pytest.raises(ValueError, match="ever active"):
            call(source, [dead])
        with pytest.raises(ValueError, match="same samples"):
            call(source, [sparse(np.ones((239, 2), np.float32))])
    with pytest.raises(ValueError, match="at least 2 folds"):
        crossfit_layers(source, target, folds=1)
    with pytest.raises(ValueError, match="permutations must be >= 0"):
        null_layers(source, target, permutations=-1)


def _pearson(x, y):
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = ((part - part.mean(0)) / part.std(0) for part in (x, y))
    return np.nan_to_num(x).T @ np.nan_to_num(y) / len(x)
