"""The AUC of names is that of all pairs of samples."""

import numpy as np
from planted import bernoulli
from scipy import sparse

from benchmark.metrics.detection import detection_auc, image_auc

N = 200


def pairs(scores, fires):
    """The AUC by its definition."""
    good, bad = scores[fires][:, None], scores[~fires][None]
    return float(((good > bad) + 0.5 * (good == bad)).mean())


def test_words_and_their_weights_detect_as_all_pairs_of_samples_say():
    active, held = bernoulli(N, 6, 0.3, 0), bernoulli(N, 20, 0.2, 1) > 0
    rng = np.random.default_rng(2)
    words = rng.integers(0, 20, (6, 3))
    words[1, 2] = -1
    weights = rng.choice([0.5, 0.5, 2.0], (6, 3))
    found = detection_auc(sparse.csr_matrix(active.T), sparse.csr_matrix(held.astype(np.float32)), words, weights)
    for i in range(6):
        kept = words[i] >= 0
        score = held[:, words[i][kept]] @ weights[i][kept]
        assert abs(found[i] - pairs(score, active[:, i] > 0)) < 1e-12


def test_one_word_scores_the_mean_of_hits_and_correct_rejections():
    active, held = np.zeros((10, 1), np.float32), np.zeros((10, 1), np.float32)
    active[:4], held[1:5] = 1, 1
    found = detection_auc(sparse.csr_matrix(active.T), sparse.csr_matrix(held), np.array([[0]]))
    assert found[0] == (1 + 3 / 4 - 1 / 6) / 2


def test_features_without_a_word_or_that_always_or_never_fire_have_none():
    active = np.zeros((3, N), np.float32)
    active[1], active[2, :5] = 1, 1
    held, probabilities = sparse.csr_matrix(np.ones((N, 2), np.float32)), np.ones((N, 2), np.float32)
    words = np.array([0, 0, -1])
    assert np.isnan(detection_auc(sparse.csr_matrix(active), held, words[:, None])).all()
    assert np.isnan(image_auc(sparse.csr_matrix(active), probabilities, words)).all()


def test_images_detect_as_all_pairs_of_images_say():
    active, rng = bernoulli(N, 5, 0.3, 3), np.random.default_rng(4)
    probabilities = rng.integers(0, 9, (N, 4)).astype(np.float32)
    words = np.array([2, 0, 2, 3, 0])
    found = image_auc(sparse.csr_matrix(active.T), probabilities, words)
    expected = [pairs(probabilities[:, word], active[:, i] > 0) for i, word in enumerate(words)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
