"""Are the features shared with one group of encoders those shared with another? Two Deltas with the same M and H.

Delta^{M->G1,H} and Delta^{M->G2,H} have S and rho^{M->H} in common, so they correlate by construction: 0.5 to 1 where
nothing at all is shared with G2. Hence the null: the samples of G2 alone are shuffled (whole groups, one order for all
its encoders, every maximum taken anew), with M, S, G1 and H as they are. It tells whether G2 has anything to do with
the agreement; where H shares much with M it lies near 1, and what G2 does share can push the observed value below it.
`partial_association` asks the question without Deltas.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.features import DenseFeatures, Features, SparseFeatures
from benchmark.metrics.correlation import Side, check_same_samples, layers, max_correlation
from benchmark.metrics.groups import permutation, shared_groups
from benchmark.metrics.ranks import spearman, top_overlap
from benchmark.metrics.wmppc import flat_weights


class DeltaAssociation(NamedTuple):
    """Agreement of two Deltas of the same source, against shuffled samples of the second group."""

    spearman: float
    """Rank correlation of the two Deltas over live features."""
    null: NDArray[np.float64]
    """(K,) the same with the second group's samples shuffled."""
    p_value: float
    """(1 + #{null >= spearman}) / (K + 1)."""
    overlap: float
    """Share of the top 1 % by the first Delta that is among the top 1 % by the second."""
    overlap_null: NDArray[np.float64]
    """(K,)"""
    overlap_p_value: float
    features: int
    """Live features."""


def delta_association(
    source: Side,
    first: Sequence[Side],
    second: Sequence[Side],
    absent_from: Sequence[Side],
    *,
    weighted: bool = True,
    permutations: int = 99,
    seed: int = 0,
) -> DeltaAssociation:
    """Return how far two Deltas of the source agree beyond what they have in common by construction.

    Args:
        source: features of M.
        first: G1, one item (a layer or a sequence of layers) per encoder.
        second: G2, likewise.
        absent_from: H, likewise.
        weighted: Delta as defined; False leaves out S, which both share as a factor.
        permutations: K.
        seed: of the permutations.

    Raises:
        ValueError: a group is empty, there are no permutations, or features belong to different samples.
    """
    check_groups(first, second, absent_from, permutations)
    own, rng = layers(source), np.random.default_rng(seed)
    groups = shared_groups(own, layers(second[0]))
    weights = flat_weights(own)
    live = max_correlation(own, absent_from[0]).source_match >= 0

    def rho(targets: Sequence[Side]) -> NDArray[np.float64]:
        return np.maximum(np.stack([max_correlation(own, target).source for target in targets]), 0)

    scale = weights if weighted else np.ones_like(weights)
    absent = rho(absent_from).max(0) ** 2
    one = (scale * (rho(first).min(0) ** 2 - absent))[live]

    def statistics(targets: Sequence[Side]) -> tuple[float, float]:
        other = (scale * (rho(targets).min(0) ** 2 - absent))[live]
        return spearman(one, other), top_overlap(one, other)

    value, overlap = statistics(second)
    null = np.empty((permutations, 2))
    for draw in range(permutations):
        order = permutation(groups, rng)
        null[draw] = statistics([[reordered(item, order) for item in layers(target)] for target in second])
    p = [(1 + int((null[:, i] >= found).sum())) / (permutations + 1) for i, found in enumerate((value, overlap))]
    return DeltaAssociation(value, null[:, 0], p[0], overlap, null[:, 1], p[1], int(live.sum()))


def reordered(features: Features, order: NDArray[np.int64]) -> Features:
    """Return features whose row i is row order[i], under the samples they had: what a permutation null compares."""
    if isinstance(features, SparseFeatures):
        return SparseFeatures(
            features.indices[order], features.values[order], features.n_latents, features.samples, features.groups
        )
    return DenseFeatures(features.array[order], features.samples, features.groups)


def check_groups(first: Sequence[Side], second: Sequence[Side], absent: Sequence[Side], permutations: int) -> None:
    """Raise ValueError for an empty group, features of different samples, or no permutations."""
    if permutations < 1:
        raise ValueError(f"at least one permutation is needed, got {permutations}.")
    for name, group in (("first", first), ("second", second), ("absent_from", absent)):
        if isinstance(group, (SparseFeatures, DenseFeatures)) or not len(group):
            raise ValueError(f"{name} must be a list with one item for each encoder, and at least one.")
    check_same_samples(*[layers(item) for group in (first, second, absent) for item in group])
