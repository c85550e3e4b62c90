"""Does M share the same features with two groups beyond what S and a third group explain? Ranks on disjoint halves.

The samples are halved at random (whole groups) and all rho are cross-fitted within a half; x is rho^{M->G1}, y is
rho^{M->G2}, and the controls z are S and rho^{M->H}. Two statistics:

- `value`: the partial rank correlation of x on one half and y on the other given z of both halves. A control that is
  measured with error controls in part only: features that are equally easy to find in all encoders give it 1/3 (three
  equally noisy measurements of one quantity, one of them taken twice), however many samples there are.
- `beyond` is free of that: covariances between *different halves* hold no error of measurement, so that
  c_xy - c_xz C_zz^-1 c_zy of standardised ranks, every c taken between halves, is the covariance of what x and y have
  beyond z; `corrected` divides it by the standard deviations of what they have (c_xx - c_xz C_zz^-1 c_zx, likewise y).
  The correction for attenuation is Spearman's (1904), here with the halves as parallel measurements.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmark.features import Features
from benchmark.metrics.association import check_groups, reordered
from benchmark.metrics.correlation import Side, layers
from benchmark.metrics.crossfit import held_out_rho
from benchmark.metrics.groups import permutation, shared_groups
from benchmark.metrics.ranks import partial_rank_correlation
from benchmark.metrics.significance import activation_counts
from benchmark.metrics.wmppc import flat_weights

RESAMPLES = 500
FEWEST = 20
"""Features active on fewer samples of a half have no correlation worth ranking."""
LEAST = 10
"""Features that a rank correlation needs."""
SMALL = 0.02
"""A side with a smaller share of rank variance beyond the controls has nothing that could be correlated."""


class PartialAssociation(NamedTuple):
    """Whether correlations with two groups go together, given S and those with H; means over splits into halves."""

    value: float
    """Partial rank correlation."""
    low: float
    """2.5 % point; features are resampled. Likewise below."""
    high: float
    null: NDArray[np.float64]
    """(K,) values with the second group's samples shuffled."""
    p_value: float
    """(1 + #{null >= value}) / (K + 1)."""
    beyond: float
    """Covariance of standardised ranks beyond the controls, free of errors of measurement."""
    beyond_low: float
    beyond_high: float
    beyond_null: NDArray[np.float64]
    """(K,)"""
    beyond_p_value: float
    corrected: float
    """`beyond` as a correlation; NaN where a side has next to nothing beyond the controls."""
    plain: float
    """Rank correlation between the halves, without controls."""
    features: int
    """Features that are active on 20 samples or more of either half."""


def partial_association(
    source: Side,
    first: Sequence[Side],
    second: Sequence[Side],
    absent_from: Sequence[Side],
    *,
    splits: int = 2,
    folds: int = 5,
    permutations: int = 19,
    seed: int = 0,
) -> PartialAssociation:
    """Return whether the features of M that G1 shares are those that G2 shares, given S and what H shares.

    Args:
        source: features of M.
        first: G1, one item (a layer or a sequence of layers) per encoder; of several the lowest rho counts.
        second: G2, likewise.
        absent_from: H; of several the highest rho counts.
        splits: random halvings that are averaged.
        folds: of the cross-fitted correlations within a half.
        permutations: K.
        seed: of halvings, permutations and the resampling of features, which keeps their ranks as they are.

    Raises:
        ValueError: a group is empty, there are no permutations, features belong to different samples, or fewer than
            ten features are active on 20 samples of either half.
    """
    check_groups(first, second, absent_from, permutations)
    own, rng = layers(source), np.random.default_rng(seed)
    groups = shared_groups(own, layers(second[0]))
    halvings = [_Halving(own, first, absent_from, groups, folds, rng) for _ in range(splits)]
    observed = [halving.ranks(second, None) for halving in halvings]
    found = np.mean([_statistics(table) for table in observed], 0)
    null = np.array([
        np.mean([_statistics(halving.ranks(second, rng)) for halving in halvings], 0) for _ in range(permutations)
    ])  # fmt: skip
    drawn = _resampled([(halving.kept, table) for halving, table in zip(halvings, observed, strict=True)], rng)
    (low, beyond_low), (high, beyond_high) = np.quantile(drawn, [0.025, 0.975], axis=0)
    p_value, beyond_p_value = (1 + (null[:, :2] >= found[:2]).sum(0)) / (permutations + 1)
    return PartialAssociation(
        found[0], low, high, null[:, 0], float(p_value), found[1], beyond_low, beyond_high, null[:, 1],
        float(beyond_p_value), found[2], found[3], int(np.mean([len(table[0, 0]) for table in observed])),
    )  # fmt: skip


class _Halving:
    """The source's features on two random halves of the groups, and what of them does not depend on G2."""

    def __init__(
        self,
        own: list[Features],
        first: Sequence[Side],
        absent_from: Sequence[Side],
        groups: NDArray[np.int64],
        folds: int,
        rng: np.random.Generator,
    ) -> None:
        count = int(groups.max()) + 1
        side = np.zeros(count, bool)
        side[rng.permutation(count)[: count // 2]] = True
        self.rows = [np.flatnonzero(side[groups] == which) for which in (True, False)]
        self.groups = [np.unique(groups[rows], return_inverse=True)[1] for rows in self.rows]
        self.own = [[item.take(rows) for item in own] for rows in self.rows]
        self.folds = folds
        counts = [np.concatenate([activation_counts(f) for f in part]) for part in self.own]
        self.kept = np.minimum(*counts) >= FEWEST
        if self.kept.sum() < LEAST:
            raise ValueError(
                f"{self.kept.sum()} features are active on {FEWEST} samples of either half, too few for a rank "
                "correlation; compare more samples."
            )
        self.first = [self._rho(first, half).min(0) for half in (0, 1)]
        absent = [self._rho(absent_from, half).max(0) for half in (0, 1)]
        self.controls = [[flat_weights(self.own[half])[self.kept], absent[half]] for half in (0, 1)]

    def ranks(self, second: Sequence[Side], rng: np.random.Generator | None) -> NDArray[np.float64]:
        """Return the standardised ranks of x, y, S and rho to H on either half, (2, 4, kept features).

        With a generator, the samples of G2 are shuffled within the halves.
        """
        table = []
        for half in (0, 1):
            order = None if rng is None else permutation(self.groups[half], rng)
            others = self._rho(second, half, order).min(0)
            table.append([rankdata(part) for part in (self.first[half], others, *self.controls[half])])
        found = np.array(table)
        found -= found.mean(2, keepdims=True)
        spread = found.std(2, keepdims=True)
        return np.divide(found, spread, out=np.zeros_like(found), where=spread > 0)

    def _rho(self, targets: Sequence[Side], half: int, order: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return the cross-fitted correlations (targets, kept features) on one half."""
        found = []
        for target in targets:
            taken = [item.take(self.rows[half]) for item in layers(target)]
            if order is not None:
                taken = [reordered(item, order) for item in taken]
            found.append(held_out_rho(self.own[half], taken, folds=self.folds)[self.kept])
        return np.stack(found)


def _statistics(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return value, beyond, corrected and plain of standardised ranks (2, 4, n)."""
    controls = [table[half, z] for half in (0, 1) for z in (2, 3)]
    value = np.mean([partial_rank_correlation(table[half, 0], table[1 - half, 1], controls)[0] for half in (0, 1)])
    between = _between(np.cov(table.reshape(8, -1), bias=True)[None])[0]
    beyond, corrected = _beyond(between[None])
    return np.array([value, beyond[0], corrected[0], between[0, 1]])


def _between(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariances between halves (R, 4, 4), of those of both halves' variables (R, 8, 8)."""
    block = covariance[:, :4, 4:]
    return (block + block.transpose(0, 2, 1)) / 2


def _beyond(c: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what is left of the covariance of x and y given the controls, and as a correlation, (R,) each."""
    inner = c[:, :2, :2] - c[:, :2, 2:] @ np.linalg.pinv(c[:, 2:, 2:], hermitian=True) @ c[:, 2:, :2]
    left = np.minimum(inner[:, 0, 0], inner[:, 1, 1])
    product = np.sqrt(np.maximum(inner[:, 0, 0] * inner[:, 1, 1], np.finfo(float).tiny))
    return inner[:, 0, 1], np.where(left > SMALL, np.clip(inner[:, 0, 1] / product, -1, 1), np.nan)


def _resampled(
    halvings: Sequence[tuple[NDArray[np.bool_], NDArray[np.float64]]], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return value and beyond (R, 2), means over halvings, for features drawn with replacement."""
    m = len(halvings[0][0])
    times = rng.multinomial(m, np.full(m, 1 / m), RESAMPLES).astype(np.float64)
    found = []
    for kept, table in halvings:
        flat, weight = table.reshape(8, -1), times[:, kept]
        total = weight.sum(1)
        mean = weight @ flat.T / total[:, None]
        products = (flat[:, None] * flat[None]).reshape(64, -1)
        second = (weight @ products.T).reshape(-1, 8, 8) / total[:, None, None]
        covariance = second - mean[:, :, None] * mean[:, None, :]
        found.append(np.stack([_partial(covariance), _beyond(_between(covariance))[0]], 1))
    return np.mean(found, 0)


def _partial(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the partial correlation of x on one half and y on the other given all controls, (R,); mean of both ways.

    covariance: of x, y, S, rho to H on the first half and then on the second, (R, 8, 8).
    """
    both, controls = [], [2, 3, 6, 7]
    inverse = np.linalg.pinv(covariance[:, controls][:, :, controls], hermitian=True)
    for x, y in ((0, 5), (4, 1)):
        pair, cross = covariance[:, [x, y]][:, :, [x, y]], covariance[:, [x, y]][:, :, controls]
        left = pair - cross @ inverse @ cross.transpose(0, 2, 1)
        product = np.sqrt(np.maximum(left[:, 0, 0] * left[:, 1, 1], np.finfo(float).tiny))
        both.append(left[:, 0, 1] / product)
    return np.mean(both, 0)
