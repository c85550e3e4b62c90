"""Pairs made wrong on purpose: captions moved between samples, without encoding anything again.

What a text encoder gives for a caption depends on that caption alone, not on the image beside it. Moving the rows of
its recorded features among the samples is therefore the same as moving the captions and encoding them again; a text
encoder's SAE was trained without looking at images, so it stays the same too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.features import DenseFeatures, Features, SparseFeatures

TRIES = 100
"""Exchanges that are tried for a caption that would come to a sample it belongs to."""


class Moved(NamedTuple):
    """Captions that changed places."""

    source: NDArray[np.int64]
    """(N,) the sample whose caption each sample has: a permutation, the identity where nothing moved."""
    wrong: NDArray[np.bool_]
    """(N,) samples whose caption is from another group and reads differently from every one of their own group."""


def moved_captions(captions: Sequence[str], groups: NDArray[np.int64], share: float, rng: np.random.Generator) -> Moved:
    """Permute the captions of a random `share` of the samples; groups (N,).

    None goes to a sample of its own group or of a group with the same caption if an exchange can be found: such a pair
    would not be wrong. Where there is none (all captions are equal) fewer pairs are.

    Raises ValueError for a share outside 0..1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of captions to move must lie between 0 and 1, got {share}.")
    n = len(captions)
    text = np.unique(np.asarray(captions, dtype=object).astype(str), return_inverse=True)[1]
    group = np.unique(groups, return_inverse=True)[1]
    # (group, text) of every pair that is right.
    known = np.unique(group * np.int64(n) + text)
    source = np.arange(n)
    chosen = rng.permutation(n)[: round(share * n)]
    source[chosen] = np.roll(chosen, 1)

    def wrong(at: NDArray[np.int64] | np.int64, of: NDArray[np.int64] | np.int64) -> NDArray[np.bool_]:
        return ~np.isin(group[at] * np.int64(n) + text[of], known)

    for at in chosen[~wrong(chosen, source[chosen])]:
        if wrong(at, source[at]):  # the exchange of another sample mended it
            continue
        others = rng.choice(chosen, TRIES)
        fits = wrong(np.full(TRIES, at), source[others]) & wrong(others, np.full(TRIES, source[at]))
        if fits.any():
            other = others[np.argmax(fits)]
            source[at], source[other] = source[other], source[at]
    return Moved(source, wrong(np.arange(n), source))


def with_rows_of(features: Features, source: NDArray[np.int64]) -> Features:
    """Return features of the same samples in which sample x has the activations of sample source[x]."""
    if isinstance(features, SparseFeatures):
        return SparseFeatures(
            features.indices[source], features.values[source], features.n_latents, features.samples, features.groups
        )
    return DenseFeatures(features.array[source], features.samples, features.groups)
