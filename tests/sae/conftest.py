"""Activations that training and its batches are tested on."""

import numpy as np
import pytest


@pytest.fixture
def activations():
    rng = np.random.default_rng(0)
    return {layer: rng.standard_normal((500, 12)).astype(np.float32) for layer in (0, 3)}


@pytest.fixture
def pools(activations):
    """Two layers of 500 rows with up to 3 tokens, NaN behind the real ones; a third layer has fewer."""
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 4, 500).astype(np.int32)
    counts = {0: counts, 3: counts.copy(), 7: np.minimum(counts, 1)}
    activations[7] = rng.standard_normal((500, 12)).astype(np.float32)
    tokens = {layer: rng.standard_normal((500, 3, 12)).astype(np.float32) for layer in counts}
    for layer, stored in counts.items():
        tokens[layer][np.arange(3) >= stored[:, None]] = np.nan
    return {"activations": activations, "tokens": tokens, "counts": counts}
