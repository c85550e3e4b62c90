"""Names of features: the word or pair of words that captions and images of the activating samples speak for most.

Every threshold comes from permutations of the samples (whole groups), for features of similar frequency.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmark.metrics.groups import permutation
from benchmark.metrics.log_odds import log_odds
from benchmark.metrics.soft_wpmi import SIZES, ImageWords, strongest

FEWEST = SIZES[0]
"""Features that fewer samples activate get no name."""
SHOWN = 5
"""Words of a feature that are kept: its name and the runners-up."""
ALPHA = 0.01
"""A feature is named if at most this share of the features of its class would score as much by chance."""
PERMUTATIONS, DRAWN, CLASSES = 20, 25, 8
"""Permutations, features of each class that are scored under each, and classes of frequency at most."""
BLOCK = 512


class Evidence(NamedTuple):
    """What N samples say: their captions, and their images where a contrastive pair has read them."""

    held: sparse.csr_matrix
    """(N, V) which captions hold which candidates."""
    seen: NDArray[np.int64]
    """(n,) the samples with an image that was read; empty without a pair."""
    images: ImageWords | None = None
    """What those images say of the candidates."""


class Best(NamedTuple):
    """The SHOWN best candidates of each feature, best first, and what the name is judged by."""

    words: NDArray[np.int64]
    """(F, SHOWN) positions among the candidates, -1 where there are fewer."""
    score: NDArray[np.float64]
    """(F, SHOWN) what they are ordered by."""
    caption: NDArray[np.float64]
    """(F, SHOWN) z of the log-odds."""
    image: NDArray[np.float64]
    """(F, SHOWN) z of SoftWPMI; NaN without a pair, or for features that too few of the images activate."""
    delta: NDArray[np.float64]
    """(F, SHOWN) log-odds ratio."""
    largest: NDArray[np.float64]
    """(F, 3) the largest score, caption z and image z of all candidates."""


class Null(NamedTuple):
    """What features of each class of frequency reach under permuted samples."""

    classes: NDArray[np.int64]
    """(F,) class of each feature, -1 for those that are too rare."""
    largest: list[NDArray[np.float64]]
    """Of each class (draws, 3): `Best.largest` of permuted features."""


class Named(NamedTuple):
    """Which features are named, and how surely."""

    p: NDArray[np.float64]
    """(F,) (1 + permuted features of the class with at least this score) / (draws + 1); NaN for too rare features."""
    source: NDArray[np.str_]
    """(F,) what passes the threshold for the name by itself: caption, image or both (also if only the two together);
    "" for features without a name."""


def combined(caption: NDArray[np.floating], image: NDArray[np.floating] | None) -> NDArray[np.float64]:
    """Return the score of candidates: the mean of both z, the image's counted from 0 up to the caption's.

    (z_caption + min(max(z_image, 0), z_caption)) / 2 where z_caption > 0, z_caption / 2 elsewhere and without images.
    A pair of towers answers for every word, said or not, and its z can be large where no caption agrees; it may
    double what the captions say, never outweigh them.
    """
    found = np.asarray(caption, np.float64)
    if image is not None:
        found = found + np.clip(np.nan_to_num(image), 0, np.maximum(found, 0))
    return found / 2


def best_candidates(active: sparse.csr_matrix, evidence: Evidence) -> Best:
    """Score all candidates for each feature and return the best ones.

    Args:
        active: (F, N) activations over the samples of the evidence.
        evidence: captions and images of the samples.
    """
    parts = [Best(*part) for part in _scored(active, evidence)]
    return Best(*(np.concatenate([getattr(part, name) for part in parts]) for name in Best._fields))


def _scored(active: sparse.csr_matrix, evidence: Evidence) -> Iterator[tuple[NDArray, ...]]:
    count = evidence.held.shape[1]
    shown = min(SHOWN, count)
    for start in range(0, max(active.shape[0], 1), BLOCK):
        block = active[start : start + BLOCK]
        odds = log_odds(block, evidence.held)
        images = np.full(odds.z.shape, np.nan, np.float32)
        if evidence.images is not None:
            images = evidence.images.soft_wpmi(strongest(block[:, evidence.seen]))
        score = combined(odds.z, images)
        order = np.argsort(-score, axis=1, kind="stable")[:, :shown]
        taken = [np.take_along_axis(part, order, 1) for part in (score, odds.z, images, odds.delta)]
        tables = [order, *(part.astype(np.float64) for part in taken)]
        padded = [np.pad(part, ((0, 0), (0, SHOWN - shown)), constant_values=-1) for part in tables]
        highest = [part.max(1, initial=-np.inf) for part in (score, odds.z, np.nan_to_num(images, nan=-np.inf))]
        yield *padded, np.stack(highest, 1).astype(np.float64)


def permuted(active: sparse.csr_matrix, evidence: Evidence, groups: NDArray[np.int64], seed: int = 0) -> Null:
    """Return what features of each class of frequency reach when samples and activations do not belong together.

    The features that at least FEWEST samples activate are cut into classes of equally many features by how many
    samples those are: at most CLASSES, of at least DRAWN features where there are as many. Under each of PERMUTATIONS
    permutations of whole groups, DRAWN features of every class are scored against all candidates; caption and image
    of a sample stay together.

    Args:
        active: (F, N) activations.
        evidence: captions and images of the samples.
        groups: (N,) group 0..G-1 of each sample.
        seed: of permutations and draws.
    """
    rng = np.random.default_rng(seed)
    fires = np.diff(active.indptr)
    kept = np.flatnonzero(fires >= FEWEST)
    classes = np.full(len(fires), -1)
    parts = np.array_split(kept[np.argsort(fires[kept], kind="stable")], max(1, min(CLASSES, len(kept) // DRAWN)))
    for number, part in enumerate(parts):
        classes[part] = number
    found: list[list[NDArray[np.float64]]] = [[] for _ in parts]
    for _ in range(PERMUTATIONS if len(kept) else 0):
        shuffled = active[:, permutation(groups, rng)]
        shuffled.sort_indices()
        chosen = [rng.choice(part, min(DRAWN, len(part)), replace=False) for part in parts]
        largest = best_candidates(shuffled[np.concatenate(chosen)], evidence).largest
        for number, rows in enumerate(np.split(largest, np.cumsum([len(part) for part in chosen])[:-1])):
            found[number].append(rows)
    return Null(classes, [np.concatenate(part) if part else np.empty((0, 3)) for part in found])


def judged(best: Best, null: Null) -> Named:
    """Return p of every feature's best score among the permuted features of its class, and what speaks for the name."""
    p = np.full(len(best.words), np.nan)
    source = np.full(len(best.words), "", dtype="<U7")
    for number, largest in enumerate(null.largest):
        own = np.flatnonzero((null.classes == number) & (best.words[:, 0] >= 0))
        if not len(own) or not len(largest):
            continue
        ordered = np.sort(largest, axis=0)
        _, caption, image = ordered[int(np.ceil((1 - ALPHA) * (len(ordered) - 1)))]
        below = np.searchsorted(ordered[:, 0], best.score[own, 0], "left")
        p[own] = (1 + len(ordered) - below) / (len(ordered) + 1)
        for i in own[p[own] <= ALPHA]:
            told = best.caption[i, 0] > caption, bool(best.image[i, 0] > image)  # NaN is not above
            none = not any(told) and not np.isnan(best.image[i, 0])
            source[i] = "both" if all(told) or none else "image" if told[1] else "caption"
    return Named(p, source)
