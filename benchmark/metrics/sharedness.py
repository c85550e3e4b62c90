"""Comparative Sharedness: features of M that are shared with every encoder of G and with none of H.

Delta_i^{M->G,H} = S_i (min_{g in G} (rho_i^{M->g})^2 - max_{h in H} (rho_i^{M->h})^2) (arXiv 2507.18512, section 3),
with rho below 0 counted as 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.metrics.correlation import Side, layers, max_correlation
from benchmark.metrics.wmppc import flat_weights


class Sharedness(NamedTuple):
    """Per feature of the source, flat over its layers."""

    delta: NDArray[np.float64]
    """(m,) S_i (rho_shared_i^2 - rho_absent_i^2)."""
    rho_shared: NDArray[np.float64]
    """(m,) lowest rho over the encoders that should share the feature."""
    rho_absent: NDArray[np.float64]
    """(m,) highest rho over the encoders that should not."""
    weights: NDArray[np.float64]
    """(m,) S. Not comparable across encoders as it is: divide by the sum."""


def comparative_sharedness(
    source: Side, shared_with: Sequence[Side], absent_from: Sequence[Side], *, device: str = "cpu"
) -> Sharedness:
    """Return Comparative Sharedness of every source feature.

    Args:
        source: features of M (one layer or several).
        shared_with: G, one item (a layer or a sequence of layers) per encoder.
        absent_from: H, likewise.
        device: see `max_correlation`.

    Raises:
        ValueError: G or H is empty or no list, or features belong to different samples.
    """
    for name, group in (("shared_with", shared_with), ("absent_from", absent_from)):
        if isinstance(group, (SparseFeatures, DenseFeatures)) or not len(group):
            raise ValueError(f"{name} must be a list with one item for each encoder, and at least one.")

    def rho(group: Sequence[Side]) -> NDArray[np.float64]:
        found = [max_correlation(source, item, device=device).source for item in group]
        return np.maximum(np.stack(found), 0)

    shared, absent, weights = rho(shared_with).min(0), rho(absent_from).max(0), flat_weights(layers(source))
    return Sharedness(weights * (shared**2 - absent**2), shared, absent, weights)
