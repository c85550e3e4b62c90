"""When features fire and how strongly, one entry a firing: what planted worlds are drawn as."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.features import SparseFeatures

SPREAD = 0.5
"""Standard deviation of the logarithm of a live activation."""


class Firings(NamedTuple):
    """Which latents are active on which images, and how strongly: one entry each."""

    image: NDArray[np.int64]
    latent: NDArray[np.int64]
    value: NDArray[np.float64]
    """Logarithm of the activation over SPREAD: standard normal."""

    @classmethod
    def drawn(cls, images: int, rates: NDArray[np.float64], rng: np.random.Generator) -> "Firings":
        """Draw independent firings of latents 0, 1, ... with these rates, by latent and image."""
        latents = np.flatnonzero(rates)
        expected = images * rates[latents]
        # The gaps between firings are geometric; with this many, all images are passed (8 standard deviations).
        gaps = np.ceil(expected + 8 * np.sqrt(expected) + 16).astype(np.int64)
        latent = np.repeat(latents, gaps)
        image = np.cumsum(rng.geometric(rates[latent])) - 1
        starts = np.cumsum(gaps) - gaps
        image -= np.repeat(np.concatenate([[0], image + 1])[starts], gaps)
        kept = image < images
        return cls(image[kept], latent[kept], rng.standard_normal(int(kept.sum())))

    def where(self, kept: NDArray[np.bool_]) -> "Firings":
        """Return some of the firings."""
        return Firings(self.image[kept], self.latent[kept], self.value[kept])

    def beside(self, other: "Firings") -> "Firings":
        """Return the firings of both."""
        image, latent, value = (np.concatenate([mine, theirs]) for mine, theirs in zip(self, other, strict=True))
        return Firings(image, latent.astype(np.int64, copy=False), value)

    def features(
        self, n_samples: int, captions: int, n_latents: int, groups: NDArray[np.int64] | None
    ) -> SparseFeatures:
        """Return the activations of all samples; those of one image are equal."""
        order = np.argsort(self.image, kind="stable")
        image, latent = self.image[order], self.latent[order]
        value = np.exp(SPREAD * self.value[order]).astype(np.float32)
        images = -(-n_samples // captions)
        counts = np.bincount(image, minlength=images)
        slot = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
        indices, values = (
            np.zeros((images, max(int(counts.max(initial=0)), 1)), kind) for kind in (np.int64, np.float32)
        )
        indices[image, slot], values[image, slot] = latent, value
        rows = np.repeat(np.arange(images), captions)[:n_samples]
        return SparseFeatures(indices[rows], values[rows], n_latents, groups=groups)
