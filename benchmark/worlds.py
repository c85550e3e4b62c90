"""Planted feature worlds: two encoders' recorded features of which it is known what they share, and how strongly.

Every feature of the first encoder fires on its samples independently of all others, with Zipf-like frequencies; a
chosen share of them has a counterpart in the second encoder. Because the rates and amplitudes are known, so is each
correlation in the population, and with it the wMPPC that a measure should report: what a finite sample adds is error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.features import SparseFeatures
from benchmark.firings import SPREAD, Firings

HIGHEST_RATE = 0.3
"""The most frequent feature fires on this share of the samples at most."""


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
        for name in ("share", "fidelity", "amplitude"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}.")
        if min(self.n_latents, self.k, self.splits, self.captions) < 1:
            raise ValueError("n_latents, k, splits and captions must be at least 1.")
        shared = round(self.share * self.n_latents) * self.splits
        target = self.n_target or max(self.n_latents, shared)
        if target < shared:
            raise ValueError(f"{shared} counterparts do not fit into {target} features of the second encoder.")
        if self.k > HIGHEST_RATE * self.n_latents:
            raise ValueError(f"{self.n_latents} features cannot have {self.k} active of them a sample; lower k.")
        return replace(self, n_target=target)


class World(NamedTuple):
    """Features of two encoders and the truth about them."""

    source: SparseFeatures
    target: SparseFeatures
    rates: NDArray[np.float64]
    """(m,) probability that each source feature fires; all have the same mean where they fire, so S goes by it."""
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
    """Draw a world of N samples, the shared features at random.

    The population's correlation of a feature (rate p) with one of its q counterparts (rate p / q) is
    phi (e^(s^2 r) - p) / sqrt(q (e^(s^2) - p) (e^(s^2) - p / q)) with fidelity phi, amplitude r and s = SPREAD; every
    other correlation between the encoders is 0.

    Raises ValueError for a configuration that cannot be planted.
    """
    config = config.checked()
    count = round(config.share * config.n_latents)
    shared = np.random.default_rng([seed, 0]).choice(config.n_latents, count, replace=False)
    return make_worlds(config, n_samples, [shared], seed)[0]


def make_worlds(config: WorldConfig, n_samples: int, shared: Sequence[ArrayLike], seed: int = 0) -> list[World]:
    """Draw one source and several targets, each with counterparts of its own set of source features.

    `shared` holds one set of indices a target, which takes the place of `config.share`. The source depends on the
    seed alone, and counterparts of one feature in two targets are independent given the feature.

    Raises ValueError like `make_world`, and for indices outside the source.
    """
    targets = []
    for chosen in shared:
        found = np.unique(np.asarray(chosen, np.int64))
        if len(found) and not 0 <= found[0] <= found[-1] < config.n_latents:
            raise ValueError(f"shared features must lie between 0 and {config.n_latents - 1}.")
        targets.append((found, replace(config, share=len(found) / config.n_latents).checked()))
    replace(config, share=0).checked()
    images = -(-n_samples // config.captions)
    rates = _rates(config.n_latents, config.k, config.zipf)
    groups = np.repeat(np.arange(images), config.captions)[:n_samples] if config.captions > 1 else None
    firings = Firings.drawn(images, rates, np.random.default_rng([seed, 1]))
    source = firings.features(n_samples, config.captions, config.n_latents, groups)
    return [
        _world(source, firings, rates, found, its, np.random.default_rng([seed, 2, number]))
        for number, (found, its) in enumerate(targets)
    ]


def _world(
    source: SparseFeatures,
    firings: Firings,
    rates: NDArray[np.float64],
    shared: NDArray[np.int64],
    config: WorldConfig,
    rng: np.random.Generator,
) -> World:
    """Draw the target that shares these features (sorted) with a source that fires like this."""
    n_samples = source.n_samples
    images = -(-n_samples // config.captions)
    first = len(shared) * config.splits
    own = rng.permutation(np.resize(rates, max(config.n_target - first, 1)))[: config.n_target - first]
    place = rng.permutation(config.n_target)  # the target's latents lie in no particular order
    unrelated = Firings.drawn(images, own, rng)
    unrelated = unrelated._replace(latent=unrelated.latent + first)
    target = _followed(firings, shared, rates, config, images, rng).beside(unrelated)

    rho, target_rho = np.zeros(config.n_latents), np.zeros(config.n_target)
    rho[shared] = _correlation(rates[shared], config)
    target_rho[place[:first]] = np.repeat(rho[shared], config.splits)
    target_rates = np.empty(config.n_target)
    target_rates[place] = np.concatenate([np.repeat(rates[shared] / config.splits, config.splits), own])
    partner = np.full(config.n_latents, -1)
    partner[shared] = place[: first : config.splits]
    target = target._replace(latent=place[target.latent])
    return World(
        source,
        target.features(n_samples, config.captions, config.n_target, source.groups),
        rates,
        rho,
        target_rho,
        partner,
        float((rates * rho).sum() / rates.sum()),
        float((target_rates * target_rho).sum() / target_rates.sum()),
    )


def rescaled(features: SparseFeatures, seed: int = 0, spread: float = 2.0) -> SparseFeatures:
    """Return the features with every latent multiplied by a positive number of its own (log-normal)."""
    factors = np.exp(np.random.default_rng(seed).normal(0, spread, features.n_latents)).astype(np.float32)
    values = features.values * factors[features.indices]
    return SparseFeatures(features.indices, values, features.n_latents, features.samples, features.groups)


def relabelled(features: SparseFeatures, seed: int = 0) -> SparseFeatures:
    """Return the features with the latents in another order."""
    place = np.random.default_rng(seed).permutation(features.n_latents)
    indices = place[features.indices]
    return SparseFeatures(indices, features.values, features.n_latents, features.samples, features.groups)


def ungrouped(features: SparseFeatures) -> SparseFeatures:
    """Return the features as if nothing were known of samples that belong together."""
    return SparseFeatures(features.indices, features.values, features.n_latents, features.samples)


def in_layers(features: SparseFeatures, count: int) -> list[SparseFeatures]:
    """Return the features dealt out to layers: latent i is latent i // count of layer i % count."""
    layer, index = features.indices % count, features.indices // count
    return [
        SparseFeatures(
            index,
            np.where(layer == number, features.values, 0),
            -(-(features.n_latents - number) // count),
            features.samples,
            features.groups,
        )
        for number in range(count)
    ]


def _rates(m: int, k: int, zipf: float) -> NDArray[np.float64]:
    """Return the share of samples on which each feature fires, (m,), with sum k and none above HIGHEST_RATE."""
    shape = np.arange(1, m + 1, dtype=np.float64) ** -zipf
    low, high = 0.0, 1.0 / shape[-1]
    for _ in range(200):  # bisection: the sum grows with the factor
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(middle * shape, HIGHEST_RATE).sum() < k else (low, middle)
    return np.minimum(high * shape, HIGHEST_RATE)


def _followed(
    source: Firings,
    shared: NDArray[np.int64],
    rates: NDArray[np.float64],
    config: WorldConfig,
    images: int,
    rng: np.random.Generator,
) -> Firings:
    """On every image a counterpart follows its feature (probability fidelity) or fires independently, at its rate."""
    rank = np.full(config.n_latents, -1)
    rank[shared] = np.arange(len(shared))
    live = source.where(rank[source.latent] >= 0)
    child = rank[live.latent]
    follows = rng.random(len(child)) < config.fidelity
    chance = ~follows & (rng.random(len(child)) < rates[live.latent])
    noise = rng.standard_normal(len(child))
    value = np.where(follows, config.amplitude * live.value + np.sqrt(1 - config.amplitude**2) * noise, noise)
    where_it_fires = Firings(live.image, child, value).where(follows | chance)
    alone = Firings.drawn(images, rates[shared] * (1 - config.fidelity), rng)
    own, keys = alone.latent * images + alone.image, child * images + live.image  # both ascend
    taken = np.searchsorted(keys, own, "right") > np.searchsorted(keys, own)
    both = where_it_fires.beside(alone.where(~taken))
    part = rng.integers(0, config.splits, len(both.latent))
    return both._replace(latent=both.latent * config.splits + part)


def _correlation(p: NDArray[np.float64], config: WorldConfig) -> NDArray[np.float64]:
    square, q = SPREAD**2, config.splits
    top = config.fidelity * (np.exp(square * config.amplitude) - p)
    return top / np.sqrt(q * (np.exp(square) - p) * (np.exp(square) - p / q))
