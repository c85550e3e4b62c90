"""Comparative Sharedness: features of M that encoders G share and encoders H lack."""

FEATURES: dict[str, tuple[str, str]] = {
    "S_share": ("Weight", "The feature's total activation as a share of that of all features in this table."),
    "rho_shared": (
        "rho in G",
        "The lowest held-out correlation with a partner over the encoders of G; below 0 counts as 0.",
    ),
    "rho_absent": (
        "rho in H",
        "The highest held-out correlation with a partner over the encoders of H; below 0 counts as 0.",
    ),
    "difference": ("Difference", "The square of rho in G minus the square of rho in H, between -1 and 1."),
    "delta": ("Delta", "Comparative Sharedness: the weight times the difference."),
    "p_split": (
        "p (split)",
        "The share of all splits of these encoders into groups of these sizes that give a Delta as high, the chosen "
        "split among them.",
    ),
    "top": ("Top 1 %", "Whether the feature is among the 1 % with the highest Delta."),
}
"""Columns of the table of M's features."""

SEEDS: dict[str, tuple[str, str]] = {
    "live": ("Live features", "The features of M that are active on any sample."),
    "positive": ("Delta above 0", "The share of the live features with a cross-fitted Delta above 0."),
    "significant": (
        "Beyond its error",
        "The features whose Delta is above 0 beyond the samples' error (q up to 0.05).",
    ),
    "mean_delta": (
        "Mean difference",
        "Squared rho in G minus squared rho in H, the mean over features weighted by total activation.",
    ),
    "low": ("Low", "The 2.5 % point of the mean difference over the samples."),
    "high": ("High", "The 97.5 % point of the mean difference over the samples."),
}
"""Columns of what Comparative Sharedness is under every seed of the SAEs."""

ASSOCIATION_MEASURES: dict[str, str] = {
    "delta": "Spearman's correlation of the two Deltas",
    "theta": "Spearman's correlation of the two Deltas without S",
    "overlap": "share of the top 1 % of one that is in the other's",
    "partial": "partial rank correlation of the two rho given S and rho to H (halves of the images)",
    "beyond": "covariance of their ranks beyond S and rho to H, free of errors of measurement",
}
"""Measure of the table of associations -> what it is."""

ASSOCIATION: dict[str, tuple[str, str]] = {
    "source": ("M", "The encoder whose features are looked at."),
    "shared_with": ("G", "The encoders that share the features of the first Delta."),
    "beside": ("Second G", "The encoders that share the features of the second Delta."),
    "absent_from": ("H", "The encoders that lack the features of both Deltas."),
    "shuffled": ("Shuffled", "The group whose samples the null shuffles, with all else as it is."),
    "measure": (
        "Measure",
        "What the value is:\n\n" + "\n".join(f"- **{name}**: {text}" for name, text in ASSOCIATION_MEASURES.items()),
    ),
    "value": ("Value", "How far the features that both groups share are the same, by the measure of the row."),
    "low": ("Low", "The 2.5 % point of the value when features are resampled; of partial and beyond alone."),
    "high": ("High", "The 97.5 % point of the value when features are resampled; of partial and beyond alone."),
    "null": ("Null", "The mean of the value when the samples of the shuffled group are permuted, in whole groups."),
    "null_low": ("Null, low", "The 2.5 % point of the value over these permutations."),
    "null_high": ("Null, high", "The 97.5 % point of the value over these permutations."),
    "p_value": ("p", "The share of permutations that reach the value, the observed order counted as one of them."),
    "plain": (
        "Without controls",
        "The rank correlation of the two rho on different halves of the samples, S and rho to H not held fixed.",
    ),
    "corrected": (
        "As a correlation",
        "Beyond, divided by the standard deviations of what either rho has beyond S and rho to H; empty where a side "
        "has next to nothing.",
    ),
    "features": (
        "Features",
        "How many features count: the live ones; of partial and beyond, those active on 20 samples or more of either "
        "half.",
    ),
}
"""Columns of the table that asks whether two groups share the same features."""
