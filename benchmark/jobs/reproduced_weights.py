"""The paper's figures of single features: an encoder with itself, how S and rho correlate, and how much S varies."""

import numpy as np
from numpy.typing import NDArray

from benchmark.jobs.experiment import Material
from benchmark.jobs.layer_values import ALL, Value
from benchmark.jobs.matrix import PERMUTATION_SEED, RESAMPLES
from benchmark.jobs.published import Roles
from benchmark.jobs.sides import Layers
from benchmark.metrics import held_out_rho, max_correlation, wmppc
from benchmark.metrics.chance import shuffled_maxima
from benchmark.metrics.groups import permutation, shared_groups

Array = NDArray[np.float64]


def self_value(material: Material, who: Roles) -> Value:
    """Return the wMPPC of the image encoder's layers with themselves, under the first seed: 1 by definition."""
    layers = list(material.load(who.image.name, material.plan.suite.seeds[0]).values())
    weights = np.concatenate([features.weights for features in layers])
    value = wmppc(max_correlation(layers, layers).source, weights)
    return Value(value, float("nan"), float("nan"), np.empty(0))


def weight_values(material: Material, who: Roles, layers: str) -> tuple[Value, Value]:
    """Return how S and rho (image tower to text tower) correlate over active features, and how much S varies.

    Means over seeds, the same one on both sides. The correlation's chance level takes rho with shuffled samples, its
    cross-fitted value the held-out r. Draws resample features, and seeds.
    """
    suite = material.plan.suite
    found = [
        _weights_of_seed(material.load(who.image.name, seed), material.load(who.text.name, seed), layers, material)
        for seed in suite.seeds
    ]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        some = []
        for seed in rng.integers(0, len(found), len(found)):
            weights, held_out = found[seed][0], found[seed][2]
            rows = rng.integers(0, len(weights), len(weights))
            some.append((_correlation(weights[rows], held_out[rows]), _variation(weights[rows])))
        drawn.append(np.mean(some, axis=0))
    draws = np.array(drawn)
    naive, chance, crossfit = (
        float(np.mean([measure(one) for one in found]))
        for measure in (
            lambda one: _correlation(one[0], one[1]),
            lambda one: np.mean([_correlation(one[0], null) for null in one[3]]) if len(one[3]) else np.nan,
            lambda one: _correlation(one[0], one[2]),
        )
    )
    spread = float(np.mean([_variation(one[0]) for one in found]))
    return Value(naive, chance, crossfit, draws[:, 0]), Value(spread, float("nan"), spread, draws[:, 1])


def _weights_of_seed(
    image: Layers, text: Layers, layers: str, material: Material
) -> tuple[Array, Array, Array, list[Array]]:
    """Return S, rho, held-out r and rho of each shuffling, of the image tower's active features."""
    suite = material.plan.suite
    own, other = (list(side.values()) if layers == ALL else [side[max(side)]] for side in (image, text))
    weights = np.concatenate([features.weights for features in own])
    rng, groups = np.random.default_rng(PERMUTATION_SEED), shared_groups(own, other)
    nulls = [
        shuffled_maxima(own, other, permutation(groups, rng)).source[weights > 0] for _ in range(suite.permutations)
    ]
    held_out = held_out_rho(own, other, folds=suite.folds)
    rho = max_correlation(own, other).source
    return weights[weights > 0], rho[weights > 0], held_out[weights > 0], nulls


def _correlation(x: Array, y: Array) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else float("nan")


def _variation(weights: Array) -> float:
    return float(weights.std() / weights.mean())
