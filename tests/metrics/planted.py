"""Feature sets with known properties."""

import numpy as np
from hypothesis import strategies as st

from benchmark.features import SparseFeatures


def topk(n, m, k, seed, samples="", groups=None):
    """Independent TopK codes: k different latents a sample in random slots, exponential values."""
    rng = np.random.default_rng(seed)
    indices = np.argpartition(rng.random((n, m)), k - 1, axis=1)[:, :k]
    return SparseFeatures(indices, rng.exponential(1, (n, k)).astype(np.float32) + 0.1, m, samples, groups)


def bernoulli(n, m, rate, seed):
    """(n, m) independent activations, each active with probability `rate`."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, m)) < rate, rng.exponential(1, (n, m)) + 0.2, 0).astype(np.float32)


KINDS = (
    "sparse",
    "dead",
    "constant",
    "copy",
    "ramp",
    "offset",
    "almost",
    "huge",
    "tiny",
    "subnormal",
    "single",
    "flat",
)


@st.composite
def hostile_pairs(draw, most_samples=40, most_latents=14):
    """Two dense arrays over the same samples whose columns are of every awkward kind, and rows of zeros."""
    n = draw(st.integers(1, most_samples))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sides = []
    for _ in range(2):
        kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=most_latents))
        columns = []
        for kind in kinds:
            column = np.where(rng.random(n) < 0.4, rng.exponential(1, n), 0)
            if kind == "dead":
                column = np.zeros(n)
            elif kind == "constant":
                column = np.full(n, rng.exponential(1))
            elif kind == "copy":
                pool = columns + (list(sides[0].T) if sides else [])
                column = pool[rng.integers(len(pool))] if pool else column
            elif kind == "ramp":
                column = np.arange(1, n + 1) * rng.exponential(1)
            elif kind == "offset":
                column = 1000 + rng.uniform(-1, 1, n)
            elif kind == "almost":
                column = 1000 + rng.uniform(-1, 1, n)
                column[rng.integers(n)] = 0
            elif kind == "huge":
                column = column * 1e30
            elif kind == "tiny":
                column = column * 1e-30
            elif kind == "subnormal":
                column = column * 1e-41
            elif kind == "single":
                column = np.where(np.arange(n) == rng.integers(n), rng.exponential(1), 0)
            elif kind == "flat":
                column = np.where(rng.random(n) < 0.5, 0.1, 0)
            columns.append(np.asarray(column, np.float32))
        sides.append(np.stack(columns, axis=1))
    if draw(st.booleans()):
        dark = rng.random(n) < 0.2
        for side in sides:
            side[dark] = 0
    return sides[0], sides[1]


def scrambled(dense, seed, spare=2, samples="", groups=None):
    """The same features with slots in random order, and empty slots that hold any index at all."""
    rng = np.random.default_rng(seed)
    plain = SparseFeatures.from_dense(dense)
    n = len(dense)
    junk = rng.integers(-5, 10 * plain.n_latents, (n, plain.k + spare))
    values = np.zeros(junk.shape, np.float32)
    values[:, : plain.k] = plain.values
    indices = np.where(values > 0, np.pad(plain.indices.astype(np.int64), ((0, 0), (0, spare))), junk)
    order = np.argsort(rng.random(junk.shape), axis=1)
    return SparseFeatures(
        np.take_along_axis(indices, order, 1), np.take_along_axis(values, order, 1), plain.n_latents, samples, groups
    )
