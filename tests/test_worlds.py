"""Planted feature worlds: what they claim about the population holds in large samples."""

import numpy as np
import pytest

from benchmark.metrics import correlations, crossfit
from benchmark.metrics.significance import activation_counts
from benchmark.worlds import WorldConfig, make_world, make_worlds, rescaled

SMALL = {"n_latents": 60, "k": 4}


@pytest.mark.parametrize(
    "more",
    [
        {"share": 0.5, "fidelity": 0.7, "amplitude": 0.6},
        {"share": 0.5, "fidelity": 0.7, "splits": 3, "n_target": 130},
        {"share": 1.0, "fidelity": 1.0, "amplitude": 1.0},
        {"share": 0.2, "fidelity": 0.4, "zipf": 1.0},
    ],
)
def test_planted_correlations_are_those_of_large_samples(more):
    errors, others = [], []
    for seed in range(4):
        world = make_world(WorldConfig(**SMALL, **more), 30_000, seed)
        r = correlations(world.source, world.target)
        shared = np.flatnonzero(world.partner >= 0)
        errors.append(r[shared, world.partner[shared]] - world.rho[shared])
        others.append(r[world.partner < 0].mean() if (world.partner < 0).any() else 0.0)
    assert abs(np.mean(errors)) < 0.006
    assert abs(np.mean(others)) < 0.001


def test_wmppc_of_the_population_is_the_cross_fitted_one_of_a_large_sample_both_ways():
    world = make_world(WorldConfig(**SMALL, share=0.4, splits=2), 60_000, 0)
    assert crossfit(world.source, world.target) == pytest.approx(world.wmppc, abs=0.01)
    assert crossfit(world.target, world.source) == pytest.approx(world.target_wmppc, abs=0.01)


def test_features_fire_as_often_as_planted():
    world = make_world(WorldConfig(n_latents=200, k=10, share=0.5), 20_000, 1)
    assert activation_counts(world.source).sum() / 20_000 == pytest.approx(10, rel=0.02)
    assert activation_counts(world.target).sum() / 20_000 == pytest.approx(10, rel=0.25)
    counts = activation_counts(world.source)
    assert counts[20:30].sum() / counts[170:180].sum() == pytest.approx((175 / 25) ** 0.6, rel=0.1)
    assert counts.max() <= 0.31 * 20_000


def test_the_same_seed_gives_the_same_world():
    first, second = (make_world(WorldConfig(**SMALL), 500, 7) for _ in range(2))
    np.testing.assert_array_equal(first.source.indices, second.source.indices)
    np.testing.assert_array_equal(first.target.values, second.target.values)


def test_captions_of_one_image_share_a_group_and_their_features():
    world = make_world(WorldConfig(**SMALL, captions=5), 1003, 0)
    assert world.source.n_samples == world.target.n_samples == 1003
    np.testing.assert_array_equal(world.source.groups, np.arange(1003) // 5)
    dense = world.target.to_dense()
    np.testing.assert_array_equal(dense[0], dense[4])


def test_rescaling_keeps_what_fires():
    features = make_world(WorldConfig(**SMALL), 200, 0).source
    other = rescaled(features)
    np.testing.assert_array_equal(other.values > 0, features.values > 0)
    ratio = other.weights / np.where(features.weights > 0, features.weights, 1)
    assert ratio[features.weights > 0].std() > 0.5


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"share": 1.5}, "share"),
        ({"share": float("nan")}, "share must be between 0 and 1, got nan"),
        ({"share": float("inf")}, "share must be between 0 and 1, got inf"),
        ({"k": 0}, "at least 1"),
        ({"k": 30}, "lower k"),
        ({"splits": 4, "n_target": 60, "share": 1.0}, "do not fit"),
    ],
)
def test_worlds_that_cannot_be_planted_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        make_world(WorldConfig(**{**SMALL, **wrong}), 100)


def test_several_targets_share_one_source_and_what_they_were_given():
    sets = [np.arange(20), np.arange(10, 30), []]
    several = make_worlds(WorldConfig(**SMALL), 30_000, sets, 3)
    assert all(world.source is several[0].source for world in several)
    assert [sorted(np.flatnonzero(world.partner >= 0)) for world in several] == [list(part) for part in sets]
    for world, part in zip(several, sets, strict=True):
        r = correlations(world.source, world.target)
        assert r[part, world.partner[part]] == pytest.approx(world.rho[part], abs=0.1) if len(part) else True
        assert np.abs(r[np.setdiff1d(np.arange(60), part)]).max() < 0.05
    # Counterparts in two targets have nothing in common but their feature: their correlation is the product.
    r = correlations(several[0].target, several[1].target)
    both = np.arange(10, 20)
    expected = several[0].rho[both] * several[1].rho[both]
    assert r[several[0].partner[both], several[1].partner[both]].mean() == pytest.approx(expected.mean(), abs=0.05)


def test_a_source_does_not_depend_on_its_targets():
    one = make_worlds(WorldConfig(**SMALL), 500, [[1]], 3)[0].source
    other = make_worlds(WorldConfig(**SMALL, fidelity=0.5), 500, [[5, 6], [7]], 3)[1].source
    np.testing.assert_array_equal(one.values, other.values)
    with pytest.raises(ValueError, match="between 0 and 59"):
        make_worlds(WorldConfig(**SMALL), 500, [[60]])
