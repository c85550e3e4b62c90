"""Similarity of recorded features: pure functions on `benchmark.features`, nothing else."""

from benchmark.metrics.alignment import linear_cka, mutual_knn
from benchmark.metrics.chance import Chance, chance, chance_both, chance_measures
from benchmark.metrics.correlation import MaxCorrelation, max_correlation
from benchmark.metrics.crossfit import CrossFit, crossfit, crossfit_both, held_out_rho, held_out_rho_both
from benchmark.metrics.dictionaries import DecoderMatch, match_decoders, pw_mcc
from benchmark.metrics.matching import mutual_best_share, one_to_one_wmppc
from benchmark.metrics.monosemanticity import monosemanticity
from benchmark.metrics.paired import PairedNull, paired_null, rsa, svcca
from benchmark.metrics.sharded import correlations, max_correlation_of_shards
from benchmark.metrics.sharedness import Sharedness, comparative_sharedness
from benchmark.metrics.significance import RhoSignificance, SharednessBaseline, rho_significance, sharedness_baseline
from benchmark.metrics.wmppc import LayerComparison, mppc, wmppc, wmppc_layers

__all__ = [
    "Chance",
    "CrossFit",
    "DecoderMatch",
    "LayerComparison",
    "MaxCorrelation",
    "PairedNull",
    "RhoSignificance",
    "Sharedness",
    "SharednessBaseline",
    "chance",
    "chance_both",
    "chance_measures",
    "comparative_sharedness",
    "correlations",
    "crossfit",
    "crossfit_both",
    "held_out_rho",
    "held_out_rho_both",
    "linear_cka",
    "match_decoders",
    "max_correlation",
    "max_correlation_of_shards",
    "monosemanticity",
    "mppc",
    "mutual_best_share",
    "mutual_knn",
    "one_to_one_wmppc",
    "paired_null",
    "pw_mcc",
    "rho_significance",
    "rsa",
    "sharedness_baseline",
    "svcca",
    "wmppc",
    "wmppc_layers",
]
