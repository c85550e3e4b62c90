"""SoftWPMI against random images: the formula, and words of the strongest images in front."""

import numpy as np
import pytest
from scipy import sparse

from benchmark.metrics.soft_wpmi import SCALE, SIZES, ImageWords, strongest, word_probabilities

N, V, D = 400, 30, 8


def unit(rng, n):
    vectors = rng.standard_normal((n, D)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    words, images = unit(rng, V), unit(rng, N)
    images[:60] = words[3]  # what the first sixty images show
    return images, words


def test_probabilities_are_a_softmax_over_words(pair):
    found = word_probabilities(*pair)
    expected = np.exp(SCALE * (pair[0] @ pair[1].T).astype(float))
    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), rtol=1e-4)


def test_the_strongest_images_come_first_as_many_as_the_largest_size_that_fits():
    active = np.zeros((4, 120), np.float32)
    active[0, 5:14], active[1, 20:45], active[2] = 1, np.arange(1, 26), np.arange(120, 0, -1)
    found = strongest(sparse.csr_matrix(active))
    assert [len(top) for top in found] == [0, 20, 100, 0]
    assert found[1].tolist() == list(range(44, 24, -1)) and found[2].tolist() == list(range(100))


def test_the_score_is_that_of_the_formula_in_deviations_from_random_images(pair):
    probabilities = word_probabilities(*pair)
    tops = [np.arange(10), np.arange(100, 200), np.arange(0)]
    found = ImageWords(probabilities, seed=1).soft_wpmi(tops)
    assert found[0].argmax() == 3 and found[0, 3] > 3 and np.isnan(found[2]).all()
    assert abs(found[1]).max() < 6  # images with nothing in common
    rng = np.random.default_rng(7)

    def raw(rows):
        p = 0.998 - np.arange(len(rows)) / 100 * (0.998 - 0.97)
        return np.log(1 + p[:, None] * (probabilities[rows].astype(float) - 1)).sum(0)

    drawn = np.stack([raw(rng.choice(N, 10, replace=False)) for _ in range(2000)])
    expected = (raw(tops[0]) - drawn.mean(0)) / drawn.std(0)
    assert np.corrcoef(found[0], expected)[0, 1] > 0.99 and abs(found[0, 3] / expected[3] - 1) < 0.25


def test_fewer_images_than_the_smallest_size_say_nothing(pair):
    few = ImageWords(word_probabilities(pair[0][: SIZES[0] - 1], pair[1]))
    assert np.isnan(few.soft_wpmi([np.arange(0)])).all()
