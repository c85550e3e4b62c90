"""Features that tell no sample from another: those that fire everywhere, and codes that many samples share."""

import numpy as np

from benchmark.features import Features, SparseFeatures

EVERYWHERE = 0.9
"""A feature that is active on a larger share of the samples tells next to nothing by being active."""


def everywhere_weight(features: Features) -> float:
    """Return the share of the total activation S that features hold which are active on over 90 % of the samples.

    wMPPC weights features with S: by this share it is about features that fire everywhere. NaN without any activation.
    """
    weights = features.weights
    if not weights.any():
        return float("nan")
    if isinstance(features, SparseFeatures):
        counts = np.bincount(features.indices[features.values > 0], minlength=features.n_latents)
    else:
        counts = np.count_nonzero(features.array, axis=0)
    return float(weights[counts > EVERYWHERE * features.n_samples].sum() / weights.sum())


def commonest_share(features: Features) -> float:
    """Return the share of the samples that have the commonest code: the same latents at the same values.

    1 where an encoder gives one vector for all samples, as a token that does not see the input does.
    """
    if isinstance(features, SparseFeatures):
        # Slots in the order of their latents; empty ones may stand anywhere and have any index.
        latents = np.where(features.values > 0, features.indices.astype(np.int64), -1)
        order = np.argsort(latents, axis=1, kind="stable")
        slots = [np.take_along_axis(part, order, 1).astype(np.float64) for part in (latents, features.values)]
        rows = np.concatenate(slots, axis=1)
    else:
        rows = features.array.astype(np.float64)
    if not rows.size:
        return float("nan")
    keys = np.ascontiguousarray(rows).view([("", np.void, rows.shape[1] * rows.itemsize)]).ravel()
    return float(np.unique(keys, return_counts=True)[1].max() / len(rows))
