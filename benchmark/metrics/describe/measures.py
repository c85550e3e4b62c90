"""Measures of how much one encoder shares with another, and the columns of the table of cells."""

MEASURES: dict[str, tuple[str, str]] = {
    "crossfit": (
        "Cross-fitted",
        "Every source feature's partner is chosen on all folds of the samples but one; covariances and variances are "
        "taken on the fold left out, added up over the folds and divided to a correlation; the value is the mean of "
        "these correlations weighted by total activation: about 0 where nothing is shared, at any number of samples.",
    ),
    "naive": (
        "Naive wMPPC",
        "The sum over source features of total activation times the highest Pearson correlation with any target "
        "feature, divided by the sum of total activation: biased upward, because a maximum over thousands of "
        "candidates is measured on the samples that chose it.",
    ),
    "chance": (
        "Chance level",
        "The mean naive wMPPC when the target's samples are shuffled (whole groups, the same way in all layers) and "
        "every maximum is taken anew: what features reach that have nothing in common.",
    ),
    "calibrated": (
        "Calibrated",
        "The naive wMPPC minus the chance level, divided by 1 minus the chance level, and never below 0: the part of "
        "the possible range above chance, too low where sharing is weak and spread over many features.",
    ),
}
"""Measures of how much of a source encoder is found again in a target, the headline first."""

EXTRAS: dict[str, tuple[str, str]] = {
    "crossfit_scale_free": (
        "Cross-fitted, scale-free",
        "The cross-fitted value with a feature's total activation multiplied by the length of its decoder row as its "
        "weight: the same however an SAE divides a latent's scale between code and decoder.",
    ),
    "naive_scale_free": (
        "Naive wMPPC, scale-free",
        "The naive wMPPC with a feature's total activation multiplied by the length of its decoder row as its weight.",
    ),
    "untrained": (
        "Untrained floor",
        "The cross-fitted value between SAEs of the same sizes as they were before training, their b_dec at the mean "
        "of the training activations: what random directions of both encoders' activations have in common.",
    ),
    "untrained_naive": ("Untrained floor, naive", "The naive wMPPC between SAEs as they were before training."),
    "paper_code": (
        "Authors' code",
        "The naive wMPPC as the authors' published code computes it, with its deviations from Pearson's correlation.",
    ),
}
"""Further measures, some of which a comparison takes only where its suite asks for them."""

DERIVED: dict[str, tuple[str, str]] = {
    "of_ceiling": (
        "Share of the ceiling",
        "The cross-fitted value divided by the source's own cross-fitted value under other seeds: 1 where the target "
        "holds as much of the source as another training of the source does.",
    ),
    "asymmetry": (
        "Asymmetry",
        "The cross-fitted value minus that of the opposite direction: above 0, more of the source is found in the "
        "target than of the target in the source.",
    ),
}
"""Measures that are told from the cells of a comparison, see `with_derived`."""

CELL_COLUMNS: dict[str, tuple[str, str]] = {
    **MEASURES,
    "low": ("Low", "The 2.5 % point of the cross-fitted value when seeds and groups of samples are resampled."),
    "high": ("High", "The 97.5 % point of the cross-fitted value when seeds and groups of samples are resampled."),
    "mppc": ("MPPC", "The naive wMPPC with equal weights: the mean over source features of the highest correlation."),
    "mppc_chance": ("MPPC chance level", "The mean MPPC when the target's samples are shuffled."),
    "n_samples": ("Samples", "The number of samples that the features were compared on."),
    "n_groups": ("Groups", "The number of groups among these samples: several captions of one image are one group."),
    "seed_pairs": ("Seed pairs", "The number of pairs of seeds that the value is a mean of."),
}
"""Numeric columns of the table of cells."""

AGGREGATES: dict[str, tuple[str, str]] = {
    "last": ("Last layer", "The deepest chosen layer of the source against the deepest chosen one of the target."),
    "layer_mean": (
        "Mean over layers",
        "The value of every source layer against all target layers together, averaged with the layers' numbers of "
        "features as weights.",
    ),
    "global": (
        "All features",
        "One activation-weighted mean over the features of all source layers, against all target layers together.",
    ),
}
"""How the layers of an encoder are joined into one value."""

CEILING = (
    "Diagonal: the ceiling",
    "An encoder against itself compares dictionaries trained with different seeds, the most that two dictionaries of "
    "the same size agree on; it is empty when there is only one seed.",
)
