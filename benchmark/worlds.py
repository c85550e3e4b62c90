"""Planted feature worlds: two encoders' recorded features of which it is known what they share, and how strongly.

Every feature of the first encoder fires on its samples independently of all others, with Zipf-like frequencies; a
chosen share of them has a counterpart in the second encoder. Because the rates and amplitudes are known, so is each
correlation in the population, and with it the wMPPC that a measure should report: what a finite sample adds is error.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.features import SparseFeatures

HIGHEST_RATE = 0.3
"""The most frequent feature fires on this share of the samples at most."""
SPREAD = 0.5
"""Standard deviation of the logarithm of a live activation."""


@dataclass(frozen=True)
class WorldConfig:
    """What is planted."""

    n_latents: int = 6144
    """Features of the first encoder."""
    n_target: int = 0
    """Features of the second one, 0: as many as it needs to hold the shared ones and be as large as the first."""
    k: int = 32
    """Mean number of active features a sample, of the first encoder."""
    share: float = 0.5
    """Share of the first encoder's features that the second one has too, drawn at random over all frequencies."""
    fidelity: float = 0.9
    """Probability that a counterpart follows its feature on a sample; otherwise it fires independently, as often."""
    amplitude: float = 0.8
    """Correlation of the logarithms of the two activations where the counterpart follows."""
    splits: int = 1
    """Features of the second encoder that are one counterpart together: each firing falls to one of them at random."""
    zipf: float = 0.6
    """Frequency of the feature of rank j is proportional to j to the power of minus this."""
    captions: int = 1
    """Samples of each image (a group); both encoders give equal features for them."""

    def checked(self) -> "WorldConfig":
        """Return the configuration with `n_target` filled in; raises ValueError for one that cannot be planted."""
        shared = round(self.share * self.n_latents) * self.splits
        target = self.n_target or max(self.n_latents, shared)
        for name in ("share", "fidelity", "amplitude"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}.")
        if min(self.n_latents, self.k, self.splits, self.captions) < 1:
            raise ValueError("n_latents, k, splits and captions must be at least 1.")
        if target < shared:
            raise ValueError(f"{shared} counterparts do not fit into {target} features of the second encoder.")
        if self.k > HIGHEST_RATE * self.n_latents:
            raise ValueError(f"{self.n_latents} features cannot have {self.k} active of them a sample; lower k.")
        return replace(self, n_target=target)


class World(NamedTuple):
    """Features of two encoders and the truth about them."""

    source: SparseFeatures
    target: SparseFeatures
    rho: NDArray[np.float64]
    """(m,) correlation in the population of each source feature with its counterpart; 0 without one."""
    target_rho: NDArray[np.float64]
    """(n,) the same for the target's features."""
    partner: NDArray[np.int64]
    """(m,) a counterpart (with `splits`, the first of several), -1 without one."""
    wmppc: float
    """wMPPC from source to target in the population."""
    target_wmppc: float
    """wMPPC from target to source in the population."""


def make_world(config: WorldConfig, n_samples: int, seed: int = 0) -> World:
    """Draw a world of N samples.

    The population's correlation of a feature (rate p) with one of its q counterparts (rate p / q) is
    phi (e^(s^2 r) - p) / sqrt(q (e^(s^2) - p) (e^(s^2) - p / q)) with fidelity phi, amplitude r and s = SPREAD; every
    other correlation between the encoders is 0.

    Raises ValueError for a configuration that cannot be planted.
    """
    config = config.checked()
    rng = np.random.default_rng(seed)
    images = -(-n_samples // config.captions)
    rates = _rates(config.n_latents, config.k, config.zipf)
    shared = np.sort(rng.choice(config.n_latents, round(config.share * config.n_latents), replace=False))
    own = config.n_target - len(shared) * config.splits
    target_rates = np.concatenate([
        np.repeat(rates[shared] / config.splits, config.splits), rng.permutation(np.resize(rates, max(own, 1)))[:own]
    ])  # fmt: skip
    place = rng.permutation(config.n_target)  # the target's latents lie in no particular order

    source = _Firings.drawn(images, rates, np.arange(config.n_latents), rng)
    first = len(shared) * config.splits
    unrelated = _Firings.drawn(images, target_rates[first:], np.arange(first, config.n_target), rng)
    target = _followed(source, shared, rates, config, images, rng).beside(unrelated)

    rho, target_rho = np.zeros(config.n_latents), np.zeros(config.n_target)
    rho[shared] = _correlation(rates[shared], config)
    target_rho[place[:first]] = np.repeat(rho[shared], config.splits)
    partner = np.full(config.n_latents, -1)
    partner[shared] = place[: first : config.splits]
    placed = np.empty(config.n_target)
    placed[place] = target_rates
    groups = np.repeat(np.arange(images), config.captions)[:n_samples] if config.captions > 1 else None
    return World(
        source.features(n_samples, config.captions, config.n_latents, groups),
        target._replace(latent=place[target.latent]).features(n_samples, config.captions, config.n_target, groups),
        rho,
        target_rho,
        partner,
        float((rates * rho).sum() / rates.sum()),
        float((placed * target_rho).sum() / placed.sum()),
    )


def rescaled(features: SparseFeatures, seed: int = 0, spread: float = 2.0) -> SparseFeatures:
    """Return the features with every latent multiplied by a positive number of its own (log-normal)."""
    factors = np.exp(np.random.default_rng(seed).normal(0, spread, features.n_latents)).astype(np.float32)
    values = features.values * factors[features.indices]
    return SparseFeatures(features.indices, values, features.n_latents, features.samples, features.groups)


class _Firings(NamedTuple):
    """Which latents are active on which images, and how strongly: one entry each."""

    image: NDArray[np.int64]
    latent: NDArray[np.int64]
    value: NDArray[np.float64]
    """Logarithm of the activation over SPREAD: standard normal."""

    @classmethod
    def drawn(
        cls, images: int, rates: NDArray[np.float64], latents: NDArray[np.int64], rng: np.random.Generator
    ) -> "_Firings":
        """Draw independent firings of latents with these rates."""
        counts = rng.binomial(images, rates)
        latent = np.repeat(latents, counts)
        return cls(_distinct(images, counts, rng), latent, rng.standard_normal(len(latent)))

    def where(self, kept: NDArray[np.bool_]) -> "_Firings":
        """Return some of the firings."""
        return _Firings(self.image[kept], self.latent[kept], self.value[kept])

    def beside(self, other: "_Firings") -> "_Firings":
        """Return the firings of both."""
        image, latent, value = (np.concatenate([mine, theirs]) for mine, theirs in zip(self, other, strict=True))
        return _Firings(image, latent.astype(np.int64, copy=False), value)

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


def _rates(m: int, k: int, zipf: float) -> NDArray[np.float64]:
    """Return the share of samples on which each feature fires, (m,), with sum k and none above HIGHEST_RATE."""
    shape = np.arange(1, m + 1, dtype=np.float64) ** -zipf
    low, high = 0.0, 1.0 / shape[-1]
    for _ in range(200):  # bisection: the sum grows with the factor
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(middle * shape, HIGHEST_RATE).sum() < k else (low, middle)
    return np.minimum(high * shape, HIGHEST_RATE)


def _distinct(images: int, counts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return, for each count, that many different images, concatenated."""
    parts = [rng.choice(images, count, replace=False, shuffle=False) for count in counts]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _followed(
    source: _Firings,
    shared: NDArray[np.int64],
    rates: NDArray[np.float64],
    config: WorldConfig,
    images: int,
    rng: np.random.Generator,
) -> _Firings:
    """On every image a counterpart follows its feature (probability fidelity) or fires independently, at its rate."""
    rank = np.full(config.n_latents, -1)
    rank[shared] = np.arange(len(shared))
    live = source.where(rank[source.latent] >= 0)
    child = rank[live.latent]
    follows = rng.random(len(child)) < config.fidelity
    chance = ~follows & (rng.random(len(child)) < rates[live.latent])
    noise = rng.standard_normal(len(child))
    value = np.where(follows, config.amplitude * live.value + np.sqrt(1 - config.amplitude**2) * noise, noise)
    where_it_fires = _Firings(live.image, child, value).where(follows | chance)
    alone = _Firings.drawn(images, rates[shared] * (1 - config.fidelity), np.arange(len(shared)), rng)
    taken = np.isin(alone.image * len(shared) + alone.latent, live.image * len(shared) + child)
    both = where_it_fires.beside(alone.where(~taken))
    part = rng.integers(0, config.splits, len(both.latent))
    return both._replace(latent=both.latent * config.splits + part)


def _correlation(p: NDArray[np.float64], config: WorldConfig) -> NDArray[np.float64]:
    square, q = SPREAD**2, config.splits
    top = config.fidelity * (np.exp(square * config.amplitude) - p)
    return top / np.sqrt(q * (np.exp(square) - p) * (np.exp(square) - p / q))
