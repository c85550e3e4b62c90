"""One row of every table that runs which answer a question leave, with all columns that their commands write."""

NAN = float("nan")
TABLES: dict[str, dict[str, dict[str, object]]] = {
    "layers": {
        "layers.parquet": {
            "source": "small-vit", "target": "small-vit", "source_layer": 0, "target_layer": 0, "source_depth": 0.0,
            "target_depth": 0.0, "crossfit": 0.584, "low": 0.58, "high": 0.587, "naive": 0.59, "chance": 0.0563,
            "calibrated": 0.565, "ceiling": 0.584, "part": 0.125, "part_low": 0.124, "part_high": 0.125,
            "part_chance": 0.00431, "best": True, "seed_pairs": 2, "n_samples": 10006, "n_groups": 10006,
        },
        "concentration.parquet": {
            "source": "small-vit", "target": "small-clip-text", "relation": "image-text", "what": "cells",
            "axis": "both", "value": 0.0904, "low": 0.0895, "high": 0.0913, "flat": 0.0625, "chance": 0.0693,
        },
        "diagonal.parquet": {
            "encoder": "small-vit", "rows": "all", "measure": "on", "value": 0.629, "low": 0.627, "high": 0.631,
            "flat": NAN,
        },
    },
    "stability": {
        "stability.parquet": {
            "encoder": "small-vit", "layer": 3, "varies": "both", "seeds": 5, "crossfit": 0.716, "naive": 0.721,
            "chance": 0.069, "calibrated": 0.7, "p_value": 0.05, "decoder_shared": 0.166,
            "decoder_shared_live": 0.221, "both_shared": 0.0592, "both_shared_live": 0.0793, "mcc": 0.496,
            "mcc_live": 0.547, "crossfit_sd": 0.00318, "low": 0.712, "high": 0.719, "untrained_crossfit": 0.267,
            "untrained_decoder_shared": 0.0, "untrained_both_shared": 0.0, "untrained_mcc": 0.305, "fvu": 0.149,
            "fvu_sd": 0.000935, "fvu_min": 0.149, "fvu_max": 0.151, "dead": 0.253, "dead_sd": 0.0172,
            "dead_min": 0.237, "dead_max": 0.272,
        },
        "seed_pairs.parquet": {
            "encoder": "small-vit", "layer": 3, "varies": "both", "source_seed": 0, "target_seed": 1,
            "n_samples": 10006, "n_groups": 10006, "crossfit": 0.721, "crossfit_low": 0.719, "crossfit_high": 0.723,
            "naive": 0.726, "chance": 0.0691, "calibrated": 0.706, "p_value": 0.05, "decoder_shared": 0.195,
            "decoder_shared_live": 0.268, "both_shared": 0.0573, "both_shared_live": 0.0787, "mcc": 0.501,
            "mcc_live": 0.559,
        },
        "deciles.parquet": {
            "encoder": "small-bert", "layer": 3, "varies": "both", "decile": 1, "frequency": 9.99e-05,
            "weight": 0.000204, "correlation": 0.0, "decoder_cosine": 0.497, "decoder_shared": 0.0552,
            "both_shared": 0.0, "features": 55.0,
        },
        "thresholds.parquet": {
            "encoder": "small-bert", "layer": 3, "varies": "both", "threshold": 0.3, "decoder_shared_live": 0.975,
            "untrained": 0.514,
        },
        "components.parquet": {
            "component": "encoders", "encoder": "", "what": "between pairs of encoders", "variance": 0.0172,
            "sd": 0.131, "share": 0.997,
        },
        "smallest_difference.parquet": {
            "seeds": 1, "sd_of_a_cell": 0.00735, "smallest_difference": 0.0204, "low": 0.0113, "high": 0.0366,
        },
        "cell_ranks.parquet": {
            "source": "small-clip-text", "target": "small-bert", "crossfit": 0.536, "seed_0": 0.548, "rank_0": 1,
            "seed_1": 0.528, "rank_1": 1, "seed_2": 0.545, "rank_2": 1, "seed_3": 0.534, "rank_3": 1, "seed_4": 0.526,
            "rank_4": 2,
        },
        "rank_agreement.parquet": {
            "ranking": "cells", "entries": 20, "tau": 0.958, "low": 0.926, "high": 0.979, "same_order": 0.958,
        },
        "top_features.parquet": {
            "encoder": "small-vit", "shared_with": "vlm", "absent_from": "text", "source_seed": 0, "target_seed": 1,
            "positive_delta": 0.463, "share": 0.625, "by_chance": 0.173, "p_value": 0.01, "correlation": 0.279,
        },
    },
    "consistency": {
        "differences.parquet": {
            "first": "scenes", "second": "blooms", "source": "small-vit", "target": "small-ssl", "first_value": 0.135,
            "second_value": 0.43, "difference": 0.295, "error": 0.00877, "low": 0.278, "high": 0.312,
            "resolved": True,
        },
        "datasets.parquet": {
            "dataset": "blooms", "n_samples": 3985, "alignment": 0.272, "error": 0.0032, "low": 0.265, "high": 0.279,
            "naive": 0.304, "chance": 0.0787, "untrained": 0.114, "ceiling": 0.65, "relative": 0.423,
        },
        "agreement.parquet": {
            "first": "scenes", "second": "blooms", "cells": 20, "mean_difference": 0.0756, "low": 0.0671,
            "high": 0.084, "rms": 0.14, "sd_beyond_noise": 0.121, "resolved_cells": 15, "kendall_tau": 0.505,
            "between_seeds": 0.993, "correlation": 0.614, "p_value": 0.0333, "alignment_difference": 0.0644,
            "alignment_low": 0.0558, "alignment_high": 0.0731, "alignment_resolved": True,
        },
        "typology.parquet": {
            "dataset": "scenes", "encoder": "small-vit", "shared_with": "vlm", "absent_from": "text",
            "features": 624.0, "share": 0.343, "share_error": 0.0241, "share_freedom": 151.0, "share_low": 0.295,
            "share_high": 0.39, "share_by_chance": 0.167, "weighted_share": 0.689, "weighted_share_error": 0.0608,
            "weighted_share_freedom": 6680.0, "weighted_share_low": 0.57, "weighted_share_high": 0.808,
            "weighted_share_by_chance": 0.294, "order": 2,
        },
    },
    "drift": {
        "changes.parquet": {
            "variant": "redraw", "aggregate": "last", "source": "small-vit", "target": "small-vit", "own": True,
            "plain": 0.718, "value": 0.71, "plain_chance": 0.0684, "chance": 0.0679, "n_samples": 10006,
            "n_common": 0, "change": -0.00792, "low": NAN, "high": NAN, "error": NAN, "p_value": NAN, "q_value": NAN,
            "fixed": False, "moved": False,
        },
        "correspondence.parquet": {
            "variant": "plain", "encoder": "small-vit", "layer": 3, "pairs": "other", "seeds": 2, "value": 0.718,
            "back": 0.718, "low": 0.716, "high": 0.72, "chance": 0.0682, "n_samples": 10006,
        },
        "delta.parquet": {
            "variant": "redraw", "source": "small-clip-image", "shared_with": "small-bert",
            "absent_from": "small-vit,small-ssl", "plain": -0.0669, "value": -0.0691, "positive_plain": 0.101,
            "positive": 0.0838, "change": -0.00216, "low": -0.0294, "high": 0.0251, "error": 0.0106, "p_value": 0.847,
            "q_value": 0.847, "fixed": False, "moved": False,
        },
        "delta_features.parquet": {
            "variant": "plain", "source": "small-clip-image", "pairs": "other", "seeds": 2, "spearman": 0.377,
            "overlap": 0.75, "overlap_5": 0.812, "rho": 0.794,
        },
    },
    "sharedness": {
        "summary.parquet": {
            "source": "clip-image", "shared_with": "bert", "absent_from": "vit", "seed": 0, "live": 369,
            "positive": 0.106, "significant": 21, "mean_delta": -0.0543, "low": -0.0561, "high": -0.0526,
        },
        "association.parquet": {
            "source": "clip-image", "seed": 0, "shared_with": "bert", "beside": "clip-text",
            "absent_from": "vit", "shuffled": "bert", "measure": "delta", "value": 0.488,
            "low": NAN, "high": NAN, "null": 0.169, "null_low": 0.153, "null_high": 0.189, "p_value": 0.05,
            "plain": NAN, "corrected": NAN, "features": 369,
        },
    },
}  # fmt: skip
"""Kind of run -> artifact -> a row of it."""
