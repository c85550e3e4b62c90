"""The numbers of the authors' published code, on any features, to set beside what the paper prints.

The code departs from the paper's definitions; `docs/paper_code.md` lists how. These functions follow the code:

- Pearson's sum is divided by N, the standard deviations by N - 1, and each of them has 1e-10 added, so a feature
  correlates (N - 1) / N with itself.
- The lowest correlation over the encoders of G may start at 0 instead of infinity (`running_minimum_fault`): it is
  never above 0 then, no Delta is positive (but where all correlations with an encoder of G are negative), and features
  that are found nowhere rank first.

Features that have one value other than 0 on all samples stay at 0 here; the code divides their rounding by 1e-10.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.features import Features, SparseFeatures
from benchmark.metrics import dense
from benchmark.metrics.comoments import moments
from benchmark.metrics.correlation import Side, check_same_samples, layers, sparse_maxima
from benchmark.metrics.prepared import Prepared, prepare
from benchmark.metrics.sharedness import Sharedness
from benchmark.metrics.wmppc import LayerComparison, flat_weights, wmppc

EPSILON = 1e-10


def paper_rho(source: Features, target: Features, *, device: str = "cpu") -> NDArray[np.float64]:
    """Return the code's rho (m,) of a single source layer against a single target layer.

    Raises ValueError when the layers do not belong to the same samples or there are fewer than two.
    """
    check_same_samples([source], [target])
    if source.n_samples < 2:
        raise ValueError(f"the authors' standard deviation needs two samples, got {source.n_samples}.")
    if isinstance(source, SparseFeatures) and isinstance(target, SparseFeatures) and device == "cpu":
        sides = (_rescaled(source), _rescaled(target))
        row, *_ = sparse_maxima(*sides)
        return np.where(sides[0].constant, 0.0, row)
    arrays = [dense.standardised(f) for f in (source, target)]
    left, right = (
        array * _factors(f).astype(np.float32) for (array, _), f in zip(arrays, (source, target), strict=True)
    )
    row, *_ = dense.maxima(left, right, arrays[0][1], device)
    return row.astype(np.float64)


def paper_wmppc(source_layers: Side, target_layers: Side, *, device: str = "cpu") -> LayerComparison:
    """Return what the code prints for all layers (`overall`) and for the last ones (`last`), and its matrix of layers.

    Layers are weighted by their numbers of features. Raises ValueError like `wmppc_layers`.
    """
    sources, targets = layers(source_layers), layers(target_layers)
    check_same_samples(sources, targets)
    matrix, overall = np.empty((len(sources), len(targets))), []
    for a, left in enumerate(sources):
        found = [paper_rho(left, right, device=device) for right in targets]
        matrix[a] = [wmppc(rho, left.weights) for rho in found]
        overall.append(wmppc(np.max(found, axis=0), left.weights))
    total = float(np.average(overall, weights=[f.n_latents for f in sources]))
    return LayerComparison(matrix, total, float(matrix[-1, -1]))


def paper_sharedness(
    source: Features,
    shared_with: Sequence[Features],
    absent_from: Sequence[Features],
    *,
    running_minimum_fault: bool = False,
    device: str = "cpu",
) -> Sharedness:
    """Return the code's Comparative Sharedness of every feature of one (the last) source layer.

    Correlations below 0 are squared like the others; over `absent_from` the highest one starts at 0.
    running_minimum_fault: start the lowest one over `shared_with` at 0 too, as the published code does; without it,
    what the code was meant to do.

    Raises ValueError when one of the groups is empty or features belong to different samples.
    """
    if not shared_with or not absent_from:
        raise ValueError("shared_with and absent_from need at least one encoder each.")
    shared = np.min([paper_rho(source, item, device=device) for item in shared_with], axis=0)
    if running_minimum_fault:
        shared = np.minimum(shared, 0)
    absent = np.max([paper_rho(source, item, device=device) for item in absent_from], axis=0, initial=0)
    weights = flat_weights([source])
    return Sharedness(weights * (shared**2 - absent**2), shared, absent, weights)


def _factors(features: Features) -> NDArray[np.float64]:
    """Return what one feature's side of a correlation is multiplied by, (m,)."""
    squares, n = moments(features).squares, features.n_samples
    return np.sqrt(squares / n) / (np.sqrt(squares / (n - 1)) + EPSILON)


def _rescaled(features: SparseFeatures) -> Prepared:
    prepared = prepare(features)
    return replace(prepared, inv_std=prepared.inv_std * _factors(features))
