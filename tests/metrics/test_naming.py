"""Planted features get their names, unrelated ones get none, and images can tell what captions leave open."""

import numpy as np
import pytest
from planted import bernoulli
from scipy import sparse

from benchmark.metrics.naming import (
    ALPHA,
    FEWEST,
    SHOWN,
    Evidence,
    best_candidates,
    combined,
    judged,
    permuted,
)
from benchmark.metrics.soft_wpmi import ImageWords

N, V, F = 1500, 60, 120


def world(seed=0, planted=30, captions=1):
    """Captions of random words; the first `planted` features fire mostly where the word of their number is said."""
    rng = np.random.default_rng(seed)
    groups = np.arange(N) // captions
    said = (rng.random((groups.max() + 1, V)) < 0.1)[groups]
    active = bernoulli(N, F, 0.05, seed + 1)
    active = active[groups]  # all samples of a group activate alike
    for i in range(planted):
        active[:, i] = said[:, i] * (rng.random(N) < 0.6) * rng.uniform(0.5, 2, N)
    return sparse.csr_matrix(active.T.astype(np.float32)), sparse.csr_matrix(said.astype(np.float32)), groups


def test_planted_features_are_named_and_others_only_as_often_as_the_threshold_lets_through():
    active, held, groups = world()
    evidence = Evidence(held, np.empty(0, np.int64))
    best, null = best_candidates(active, evidence), permuted(active, evidence, groups)
    named = judged(best, null)
    assert best.words[:30, 0].tolist() == list(range(30)) and (named.p[:30] <= ALPHA).all()
    assert (named.source[:30] == "caption").all() and np.isnan(best.image).all()
    assert np.mean(named.p[30:] <= ALPHA) < 0.05 and 0.3 < np.median(named.p[30:]) < 0.7
    assert (best.score[:, 0] == best.largest[:, 0]).all() and (np.diff(best.score, axis=1) <= 0).all()


def test_thresholds_move_whole_groups():
    """Five samples a group that fire alike: permuting single samples would call half of the unrelated ones named."""
    active, held, groups = world(planted=0, captions=5)
    evidence = Evidence(held, np.empty(0, np.int64))
    best = best_candidates(active, evidence)
    kept, torn = (
        np.nanmean(judged(best, permuted(active, evidence, some)).p <= ALPHA) for some in (groups, np.arange(N))
    )
    assert kept < 0.06 and torn > 0.3


def test_rare_features_have_no_name_and_no_class():
    active, held, groups = world(planted=0)
    lil = active.tolil()
    lil[0] = 0
    lil[1] = 0
    lil[1, : FEWEST - 1] = 1
    evidence = Evidence(held, np.empty(0, np.int64))
    null = permuted(sparse.csr_matrix(lil), evidence, groups)
    named = judged(best_candidates(sparse.csr_matrix(lil), evidence), null)
    assert null.classes[:2].tolist() == [-1, -1] and np.isnan(named.p[:2]).all() and (named.source[:2] == "").all()
    assert (null.classes[2:] >= 0).all() and len({len(rows) for rows in null.largest}) == 1


def test_nothing_to_name_or_nothing_to_name_by_is_no_failure():
    _, held, groups = world()
    evidence = Evidence(held, np.empty(0, np.int64))
    dead = sparse.csr_matrix((3, N), dtype=np.float32)
    assert np.isnan(judged(best_candidates(dead, evidence), permuted(dead, evidence, groups)).p).all()
    few = Evidence(held[:, :2], np.empty(0, np.int64))
    words = best_candidates(world()[0], few).words
    assert words.shape == (F, SHOWN) and (words[:, 2:] == -1).all() and (words[:, :2] >= 0).all()


def test_images_count_up_to_what_captions_say():
    caption = np.array([[4.0, 4.0, 4.0, -2.0, 0.0]])
    image = np.array([[2.0, 90.0, -3.0, 90.0, np.nan]])
    assert combined(caption, image).tolist() == [[3.0, 4.0, 2.0, -1.0, 0.0]]
    assert combined(caption, None).tolist() == (caption / 2).tolist()


@pytest.fixture(scope="module")
def pictured():
    """Words 0 and 1 are always said together; only the images tell which one is shown: word 1."""
    active, held, groups = world(planted=30)
    dense = held.toarray()
    dense[:, 0] = dense[:, 1]
    probabilities = np.full((N, V), 1 / V, np.float32)
    fires = active.toarray()[:30] > 0
    for i in range(1, 30):
        probabilities[fires[i], i] += 0.5
    probabilities += np.random.default_rng(5).uniform(0, 0.01, probabilities.shape).astype(np.float32)
    seen = np.arange(0, N, 2)
    images = ImageWords((probabilities / probabilities.sum(1, keepdims=True))[seen])
    return active, Evidence(sparse.csr_matrix(dense), seen, images), groups


def test_images_decide_between_words_that_captions_cannot_tell_apart(pictured):
    active, evidence, groups = pictured
    alone = best_candidates(active, Evidence(evidence.held, np.empty(0, np.int64)))
    best = best_candidates(active, evidence)
    named = judged(best, permuted(active, evidence, groups))
    assert alone.words[1, 0] == 0 and best.words[1, 0] == 1
    assert named.source[1] == "both" and (named.p[1:30] <= ALPHA).all()
    assert np.mean(named.p[30:] <= ALPHA) < 0.06
