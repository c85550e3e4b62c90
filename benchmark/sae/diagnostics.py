"""How good a dictionary is, over a whole set of activations (never a mean over batches of ratios)."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.features import SparseFeatures
from benchmark.sae.topk import RECORD, TopKSAE


class Quality(NamedTuple):
    """Figures of one SAE on one set of samples."""

    fvu: float
    """Fraction of variance unexplained: squared error over squared distance from the mean; 1 predicts the mean."""
    l0: float
    """Mean number of active latents a sample."""
    dead: float
    """Share of latents that are never active."""
    weight_cv: float
    """Coefficient of variation of S over latents."""


@torch.inference_mode()
def quality(sae: TopKSAE, activations: NDArray[np.float32], features: SparseFeatures) -> Quality:
    """Return the quality of an SAE on activations (N, d) with the features it recorded on them."""
    mean = activations.mean(0, dtype=np.float64)
    error = variance = 0.0
    for start in range(0, len(activations), RECORD):
        x = np.asarray(activations[start : start + RECORD])
        values = torch.from_numpy(features.values[start : start + RECORD].copy())
        indices = torch.from_numpy(features.indices[start : start + RECORD].astype(np.int64))
        decoded = sae.decode(values.to(sae.W_dec), indices.to(sae.W_dec.device)).cpu().numpy()
        error += float(((x - decoded).astype(np.float64) ** 2).sum())
        variance += float(((x - mean) ** 2).sum())
    weights = features.weights
    active = np.count_nonzero(features.values) / max(len(features), 1)
    return Quality(
        fvu=error / variance if variance else float("nan"),
        l0=float(active),
        dead=float((weights == 0).mean()),
        weight_cv=float(weights.std() / weights.mean()) if weights.any() else float("nan"),
    )
