"""Planted worlds of one source and five targets: two of a group G1, one of G2, two of H."""

import numpy as np

from benchmark.features import SparseFeatures
from benchmark.worlds import WorldConfig, make_worlds

M, N = 300, 3000


def subset(rng, share):
    return np.flatnonzero(rng.random(M) < share)


def world(kind, seed=0, n=N):
    """Source, G1, G2 and H. holds: both share the same third; apart: thirds of their own; nothing: no features."""
    rng = np.random.default_rng(seed)
    absent = [subset(rng, 0.4), subset(rng, 0.4)]
    one, other = subset(rng, 0.3), subset(rng, 0.3)
    shared = {"holds": [one] * 3, "apart": [one, one, other], "nothing": [[], [], []]}[kind]
    worlds = make_worlds(WorldConfig(n_latents=M, k=10, share=0), n, [*shared, *absent], seed)
    targets = [each.target for each in worlds]
    return worlds[0].source, targets[:2], targets[2:3], targets[3:]


def equally_findable(seed=0, n=N):
    """Source, G1, G2 and H that share everything, some features more faithfully than others but all groups alike."""
    size = M // 3
    parts = [
        make_worlds(WorldConfig(n_latents=size, k=4, fidelity=fidelity), n, [np.arange(size)] * 3, 10 * seed + i)
        for i, fidelity in enumerate((0.2, 0.5, 0.9))
    ]
    source = beside([part[0].source for part in parts])
    return source, *([beside([part[j].target for part in parts])] for j in range(3))


def beside(sides):
    """Join the latents of feature sets over the same samples."""
    starts = np.cumsum([0, *(side.n_latents for side in sides)])
    indices = np.hstack([side.indices.astype(int) + start for side, start in zip(sides, starts, strict=False)])
    return SparseFeatures(indices, np.hstack([side.values for side in sides]), starts[-1])
