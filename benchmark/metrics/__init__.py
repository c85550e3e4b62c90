"""Similarity of recorded features: pure functions on `benchmark.features`, nothing else."""

from benchmark.metrics.alignment import linear_cka, mutual_knn
from benchmark.metrics.association import DeltaAssociation, delta_association
from benchmark.metrics.chance import Chance, chance, chance_both, chance_measures
from benchmark.metrics.components import Components, components
from benchmark.metrics.contribution import Contributions, contributions
from benchmark.metrics.correlation import MaxCorrelation, max_correlation
from benchmark.metrics.crossfit import (
    CrossFit,
    correlation_with,
    crossfit,
    crossfit_both,
    crossfit_by_layer,
    held_out_rho,
    held_out_rho_blocks,
    held_out_rho_both,
)
from benchmark.metrics.crossfit_sharedness import CrossfitSharedness, crossfitted_sharedness
from benchmark.metrics.dictionaries import DecoderMatch, match_decoders, pw_mcc, shared_latents
from benchmark.metrics.frequency import frequency_deciles
from benchmark.metrics.matching import mutual_best_share, one_to_one_wmppc
from benchmark.metrics.matrix_agreement import MatrixAgreement, mantel, sd_beyond_noise
from benchmark.metrics.monosemanticity import monosemanticity
from benchmark.metrics.paired import PairedNull, paired_null, rsa, svcca
from benchmark.metrics.partial_association import PartialAssociation, partial_association
from benchmark.metrics.rank_stability import RankAgreement, rank_agreement
from benchmark.metrics.ranks import partial_rank_correlation, spearman, top, top_overlap
from benchmark.metrics.scores import Estimate, linear_score
from benchmark.metrics.sharded import correlations, max_correlation_of_shards
from benchmark.metrics.sharedness import Sharedness, comparative_sharedness
from benchmark.metrics.significance import RhoSignificance, rho_significance
from benchmark.metrics.splits import SharednessBaseline, counts_between, sharedness_baseline, split_histogram
from benchmark.metrics.top_agreement import TopAgreement, squares_apart, top_agreement, top_features
from benchmark.metrics.typology import PositiveShare, positive_share
from benchmark.metrics.wmppc import LayerComparison, mppc, wmppc, wmppc_layers

__all__ = [
    "Chance",
    "Components",
    "Contributions",
    "CrossFit",
    "CrossfitSharedness",
    "DecoderMatch",
    "DeltaAssociation",
    "Estimate",
    "LayerComparison",
    "MatrixAgreement",
    "MaxCorrelation",
    "PairedNull",
    "PartialAssociation",
    "PositiveShare",
    "RankAgreement",
    "RhoSignificance",
    "Sharedness",
    "SharednessBaseline",
    "TopAgreement",
    "chance",
    "chance_both",
    "chance_measures",
    "comparative_sharedness",
    "components",
    "contributions",
    "correlation_with",
    "correlations",
    "counts_between",
    "crossfit",
    "crossfit_both",
    "crossfit_by_layer",
    "crossfitted_sharedness",
    "delta_association",
    "frequency_deciles",
    "held_out_rho",
    "held_out_rho_blocks",
    "held_out_rho_both",
    "linear_cka",
    "linear_score",
    "mantel",
    "match_decoders",
    "max_correlation",
    "max_correlation_of_shards",
    "monosemanticity",
    "mppc",
    "mutual_best_share",
    "mutual_knn",
    "one_to_one_wmppc",
    "paired_null",
    "partial_association",
    "partial_rank_correlation",
    "positive_share",
    "pw_mcc",
    "rank_agreement",
    "rho_significance",
    "rsa",
    "sd_beyond_noise",
    "shared_latents",
    "sharedness_baseline",
    "squares_apart",
    "spearman",
    "split_histogram",
    "svcca",
    "top",
    "top_agreement",
    "top_features",
    "top_overlap",
    "wmppc",
    "wmppc_layers",
]
