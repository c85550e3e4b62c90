"""Which words fit the images that activate a feature: SoftWPMI of a contrastive image-text pair.

Oikarinen and Weng, "CLIP-Dissect", ICLR 2023 (arXiv 2204.10965), section 3.2 and the authors' `similarity.py`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

SIZES = (10, 20, 50, 100)
"""Numbers of images that are looked at; the largest that a feature has. 100 is CLIP-Dissect's."""
FIRST, LAST = 0.998, 0.97
"""Probability that the strongest image shows the feature's concept, and that the hundredth does (CLIP-Dissect's)."""
SCALE = 10.0
"""What cosines are multiplied by before the softmax (CLIP-Dissect's; a pair's own temperature may be several times
colder, which leaves all but the likeliest words out)."""
DRAWS = 200
"""Sets of random images that a score is compared with."""
BLOCK = 1024


def word_probabilities(images: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return p(word | image), (N, V): the softmax over all words of SCALE times the cosine similarity.

    Args:
        images: (N, d) embeddings of unit length.
        words: (V, d) embeddings of unit length.
    """
    found = np.empty((len(images), len(words)), np.float32)
    for start in range(0, len(images), BLOCK):
        block = images[start : start + BLOCK] @ words.T * np.float32(SCALE)
        block -= block.max(1, keepdims=True)
        np.exp(block, out=block)
        found[start : start + BLOCK] = block / block.sum(1, keepdims=True)
    return found


def strongest(active: sparse.csr_matrix) -> list[NDArray[np.int64]]:
    """Return the samples that activate each feature most, strongest first: as many as the largest fitting SIZES.

    active: (F, N). Features that fewer samples activate than the smallest size have none.
    """
    found = []
    for start, stop in zip(active.indptr[:-1], active.indptr[1:], strict=True):
        size = max((size for size in SIZES if size <= stop - start), default=0)
        order = np.argsort(-active.data[start:stop], kind="stable")[:size]
        found.append(active.indices[start:stop][order].astype(np.int64))
    return found


class ImageWords:
    """What images say: p(candidate | image), and what random images give each candidate.

    Args:
        probabilities: (N, V), see `word_probabilities`.
        seed: of the random images.
    """

    def __init__(self, probabilities: NDArray[np.float32], seed: int = 0) -> None:
        self.probabilities = probabilities
        rng = np.random.default_rng(seed)
        self._random: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        for size in (size for size in SIZES if size <= len(probabilities)):
            drawn = np.stack([self._raw(rng.choice(len(probabilities), size, replace=False)) for _ in range(DRAWS)])
            self._random[size] = drawn.mean(0), np.maximum(drawn.std(0), 1e-6)

    def soft_wpmi(self, tops: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Return how well each candidate fits the strongest images of each feature, against random images, (F, V).

        SoftWPMI is sum_r log(1 + p_r (p(word | image_r) - 1)) - log p(word), with p_r falling from 0.998 to 0.97 over
        100 images. Words differ in what any images give them: the score is given in standard deviations from its mean
        over as many random images, in which log p(word) cancels.

        tops: the strongest images of each feature, see `strongest`; features with none are NaN.
        """
        scores = np.full((len(tops), self.probabilities.shape[1]), np.nan, np.float32)
        for i, top in enumerate(tops):
            if len(top):
                mean, deviation = self._random[len(top)]
                scores[i] = (self._raw(top) - mean) / deviation
        return scores

    def _raw(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the sum of logarithms over images, (V,)."""
        weight = (FIRST - np.arange(len(rows)) / SIZES[-1] * (FIRST - LAST)).astype(np.float32)[:, None]
        return np.log1p(weight * (self.probabilities[rows] - 1)).sum(0)
