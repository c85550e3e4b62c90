"""Similarity of recorded features: pure functions on `benchmark.features`, nothing else."""

from benchmark.metrics.chance import Chance, chance, chance_both, chance_measures
from benchmark.metrics.correlation import MaxCorrelation, max_correlation
from benchmark.metrics.crossfit import CrossFit, crossfit, crossfit_both
from benchmark.metrics.sharedness import Sharedness, comparative_sharedness
from benchmark.metrics.wmppc import LayerComparison, mppc, wmppc, wmppc_layers

__all__ = [
    "Chance",
    "CrossFit",
    "LayerComparison",
    "MaxCorrelation",
    "Sharedness",
    "chance",
    "chance_both",
    "chance_measures",
    "comparative_sharedness",
    "crossfit",
    "crossfit_both",
    "max_correlation",
    "mppc",
    "wmppc",
    "wmppc_layers",
]
