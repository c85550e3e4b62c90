"""What changes when the data does, beyond what other seeds and other samples would change."""

_VARIANT = {"variant": ("Variant", "What was done to the data; the rows of plain compare the plain data with itself.")}

_JUDGED: dict[str, tuple[str, str]] = {
    "change": ("Change", "Variant minus plain, mean over pairs of seeds."),
    "low": ("Low", "The lower end of the 95 % interval of the change: seeds and samples."),
    "high": ("High", "The upper end of the 95 % interval of the change: seeds and samples."),
    "error": ("Error", "The standard error of the change: seeds, pooled over changes of a kind, and samples."),
    "p_value": ("p", "Two-sided, of the null that seeds and samples alone make the change; empty: not tested."),
    "q_value": ("q", "The p-value adjusted for the number of tests of this table (Benjamini and Hochberg)."),
    "fixed": (
        "Cannot change",
        "Whether nothing that was measured differs, as of text encoders when only images change; they are no test.",
    ),
    "moved": ("Moved", "Whether the change is more than seeds and samples make: q up to 0.05."),
}

SUMMARY: dict[str, tuple[str, str]] = {
    "variant": ("Variant", "What was done to the data."),
    "moved": (
        "Moved",
        "How many cells changed by more than other seeds and samples make: q up to 0.05.",
    ),
    "tested": (
        "Tested",
        "How many cells can change and have a known noise; cells of an encoder with itself need three seeds.",
    ),
    "mean_change": ("Mean change", "The mean change of the cross-fitted wMPPC, over the cells that can change."),
    "mean_size": (
        "Mean size",
        "The mean change of the cross-fitted wMPPC without its sign: about the error where nothing changes.",
    ),
    "error": ("Error", "The mean standard error of a change: seeds and samples."),
    "n_common": ("Same samples", "How many compared samples are in the plain data too."),
}
"""Columns of the summary, a row each variant."""

CHANGES: dict[str, tuple[str, str]] = {
    "variant": SUMMARY["variant"],
    "plain": ("Plain", "The cell's cross-fitted wMPPC on the plain data, mean over pairs of seeds."),
    "value": ("On the variant", "The cell's cross-fitted wMPPC on the variant, mean over pairs of seeds."),
    "plain_chance": ("Chance, plain", "The mean naive wMPPC on the plain data when samples are shuffled."),
    "chance": ("Chance, variant", "The mean naive wMPPC on the variant when samples are shuffled."),
    "n_samples": ("Samples", "The number of the variant's samples that were compared."),
    "n_common": ("Same samples", "How many of them are in the compared samples of the plain data too."),
    **_JUDGED,
    "outcome": (
        "Outcome",
        "moved: q up to 0.05; within noise: other seeds and samples could make the change; not tested: the noise is "
        "not known; cannot change: nothing that was measured differs.",
    ),
}
"""Columns of the table of cells."""

CORRESPONDENCE: dict[str, tuple[str, str]] = {
    **_VARIANT,
    "pairs": (
        "Pairs of",
        "other: dictionaries of different seeds, as the plain data's ceiling has; same: of equal seeds, which start "
        "from the same weights.",
    ),
    "seeds": ("Seed pairs", "The number of pairs of seeds that the row is a mean of."),
    "value": ("Found again", "The cross-fitted wMPPC from the plain data's features to the variant's."),
    "back": ("Back", "The cross-fitted wMPPC from the variant's features to the plain data's."),
    "low": ("Low", "The 2.5 % point of found again when groups of samples are resampled, mean over pairs of seeds."),
    "high": ("High", "The 97.5 % point of found again when groups of samples are resampled, mean over pairs of seeds."),
    "chance": ("Chance level", "The mean naive wMPPC to the variant when its samples are shuffled."),
    "n_samples": ("Samples", "The number of samples that both have, which the row is of."),
}
"""Columns of the table of how far features are found again."""

DELTA: dict[str, tuple[str, str]] = {
    "variant": SUMMARY["variant"],
    "source": ("M", "The encoder whose features are looked at."),
    "shared_with": ("G", "The encoders that are to share the features."),
    "absent_from": ("H", "The encoders that are to lack the features."),
    "plain": (
        "Plain",
        "Comparative Sharedness as a whole on the plain data: the mean of squared rho to G minus squared rho to H, "
        "weighted by total activation, cross-fitted.",
    ),
    "value": ("On the variant", "Comparative Sharedness as a whole on the variant, as on the plain data."),
    "positive_plain": ("Delta above 0, plain", "The share of live features whose Delta is above 0 on the plain data."),
    "positive": ("Delta above 0, variant", "The share of live features whose Delta is above 0 on the variant."),
    **_JUDGED,
}
"""Columns of the table of Comparative Sharedness as a whole."""

DELTA_FEATURES: dict[str, tuple[str, str]] = {
    **_VARIANT,
    "source": ("M", "The encoder whose features are looked at."),
    "pairs": CORRESPONDENCE["pairs"],
    "seeds": CORRESPONDENCE["seeds"],
    "spearman": (
        "Rank correlation",
        "Spearman's, of the Delta of the plain data's features with that of the variant's features that correlate most "
        "with them.",
    ),
    "overlap": (
        "Top 1 % kept",
        "The share of the top 1 % whose partner is in the variant's top 1 %: 0.01 by chance.",
    ),
    "overlap_5": (
        "Top 1 % in top 5 %",
        "The share of the top 1 % whose partner is in the variant's top 5 %: 0.05 by chance.",
    ),
    "rho": ("rho of the top", "The mean correlation of the top 1 % with their partners."),
}
"""Columns of the table of Comparative Sharedness feature by feature."""
