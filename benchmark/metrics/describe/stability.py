"""How far results depend on the seed: agreement of seeds, parts of the variance, ranks, and lists of top features."""

PAIRS: dict[str, tuple[str, str]] = {
    "crossfit": (
        "Cross-fitted wMPPC",
        "How much of one seed's features is found again in the other's, weighted by total activation: partners are "
        "chosen on other samples than their correlations are taken on.",
    ),
    "decoder_shared_live": (
        "Decoder shared",
        "The share of the latents active on a compared sample whose decoder row has a one-to-one partner (Hungarian) "
        "at a cosine above 0.7.",
    ),
    "both_shared_live": (
        "Both shared",
        "The share of the latents active on a compared sample whose decoder and encoder rows have the same one-to-one "
        "partner, both at a cosine above 0.7 (after arXiv 2501.16615).",
    ),
    "mcc": (
        "PW-MCC",
        "The mean cosine of decoder rows with their one-to-one partners (arXiv 2505.20254).",
    ),
    "naive": (
        "Naive wMPPC",
        "The published measure: the highest correlation of each feature with any of the other seed, weighted by total "
        "activation.",
    ),
    "chance": ("Chance level", "The mean naive wMPPC when the other seed's samples are shuffled, in whole groups."),
}
"""Measures of a pair of seeds, the headline first."""

_FURTHER: dict[str, tuple[str, str]] = {
    "calibrated": ("Calibrated", "The naive wMPPC minus chance, divided by 1 minus chance, and never below 0."),
    "p_value": ("p", "The p-value of the naive wMPPC against shuffled samples."),
    "decoder_shared": ("Decoder shared, all", "Decoder shared, as a share of all latents, dead ones included."),
    "both_shared": ("Both shared, all", "Both shared, as a share of all latents, dead ones included."),
    "mcc_live": ("PW-MCC, live", "PW-MCC over the latents active on a compared sample."),
}
_UNTRAINED = "between the first two seeds' SAEs before training; empty where all seeds start from the same weights."


def _of_seeds(name: str, title: str, what: str) -> dict[str, tuple[str, str]]:
    return {
        name: (title, f"{what}, mean over seeds."),
        f"{name}_sd": (f"{title}, SD", f"{what}: its standard deviation over seeds."),
        f"{name}_min": (f"{title}, lowest", f"{what}: the lowest of all seeds."),
        f"{name}_max": (f"{title}, highest", f"{what}: the highest of all seeds."),
    }


TABLE: dict[str, tuple[str, str]] = {
    "varies": (
        "Seeds vary",
        "What differs between the seeds: both, the initial weights alone (init), or the order of the samples alone.",
    ),
    "seeds": ("Seeds", "The number of seeds."),
    **{
        name: (title, f"{text} Mean over ordered pairs of seeds.") for name, (title, text) in (PAIRS | _FURTHER).items()
    },
    "crossfit_sd": (
        "Cross-fitted, SD",
        "The standard deviation of the cross-fitted wMPPC over ordered pairs of seeds.",
    ),
    "low": ("Low", "The 2.5 % point of the cross-fitted wMPPC when seeds and groups of samples are resampled."),
    "high": ("High", "The 97.5 % point of the cross-fitted wMPPC when seeds and groups of samples are resampled."),
    "untrained_crossfit": ("Untrained, cross-fitted", f"The cross-fitted wMPPC {_UNTRAINED}"),
    "untrained_decoder_shared": ("Untrained, decoder shared", f"Decoder shared, of all latents, {_UNTRAINED}"),
    "untrained_both_shared": ("Untrained, both shared", f"Both shared, of all latents, {_UNTRAINED}"),
    "untrained_mcc": ("Untrained, PW-MCC", f"PW-MCC {_UNTRAINED}"),
    **_of_seeds("fvu", "FVU", "Fraction of variance unexplained"),
    **_of_seeds("dead", "Dead share", "Share of latents that are active on no sample"),
}
"""Columns of the table of encoders, layers and what the seeds vary."""

COMPONENTS: dict[str, tuple[str, str]] = {
    "component": (
        "Component",
        "What varies: encoders (what a comparison wants to see), the seed of either side, the pairing of two seeds, "
        "or the samples.",
    ),
    "encoder": ("Encoder", "The encoder whose cells alone count; empty: all cells."),
    "what": ("What", "The component in words."),
    "variance": ("Variance", "This part of the variance of a cell's cross-fitted wMPPC, never below 0."),
    "sd": ("Deviation", "The square root of the variance, in units of wMPPC."),
    "share": (
        "Share",
        "The part of the variance that a random cell has under one random seed of either side; of all cells only.",
    ),
}
"""Columns of the table of components of a cell's variance."""

SMALLEST: dict[str, tuple[str, str]] = {
    "seeds": ("Seeds", "The number of seeds of either encoder of a cell."),
    "sd_of_a_cell": (
        "Noise of a cell",
        "The standard deviation of a cell that is a mean over all pairs of so many seeds: seeds and samples.",
    ),
    "smallest_difference": (
        "Smallest difference",
        "1.96 √2 times the noise: of two equal cells without a common encoder, one pair in twenty differs by more.",
    ),
    "low": ("Low", "The lower end of the 95 % interval of the smallest difference, leaving out a seed at a time."),
    "high": ("High", "The upper end of the 95 % interval of the smallest difference, leaving out a seed at a time."),
}
"""Columns of the table of smallest differences."""

RANKS: dict[str, tuple[str, str]] = {
    "ranking": (
        "Ranking",
        "What is ranked: the cells of the matrix, or encoders by a column of the leaderboard (share: with all others; "
        "share_text, ...: with a class; found: of the others, found here).",
    ),
    "entries": ("Entries", "How many cells or encoders are ranked."),
    "tau": ("Kendall's tau", "The agreement of the orders under two seeds, mean over pairs of seeds: 1 is one order."),
    "low": ("Low", "The 2.5 % point of the mean tau when seeds and groups of samples are resampled."),
    "high": ("High", "The 97.5 % point of the mean tau when seeds and groups of samples are resampled."),
    "same_order": ("Same order", "The share of pairs of entries that stand in one order under every seed."),
}
"""Columns of the table of agreement of ranks."""

TOP: dict[str, tuple[str, str]] = {
    "shared_with": ("Shared with", "The class of encoders, all of which are to share the features (G)."),
    "absent_from": ("Absent from", "The class of encoders, all of which are to lack the features (H)."),
    "source_seed": ("Seed", "The seed whose top features are looked for."),
    "target_seed": ("Other seed", "The seed on whose list they are looked for."),
    "positive_delta": ("Delta above 0", "The share of the seed's live features whose held-out Delta is above 0."),
    "share": (
        "Found on the list",
        "The share of the seed's top 1 % by Delta whose most correlated feature of the other seed is in its top 1 %.",
    ),
    "by_chance": (
        "By chance",
        "The share found on the list, on average, where features of like total activation exchange their differences "
        "of squared correlations.",
    ),
    "p_value": (
        "p",
        "The share of up to 199 exchanges by chance that reach the share found, it itself counted among them.",
    ),
    "correlation": (
        "Rank correlation",
        "Spearman's correlation of the features' Delta with that of their most correlated features under the other "
        "seed.",
    ),
}
"""Columns of the table of agreement of top features."""
