"""What another dataset would have said, at the same number of samples. Values are those of the last layers."""

DATASETS: dict[str, tuple[str, str]] = {
    "n_samples": (
        "Samples",
        "The number of compared samples, one of each group and as many of each dataset.",
    ),
    "alignment": (
        "Alignment",
        "The mean cross-fitted wMPPC of the cells between an image encoder and a text encoder, both ways.",
    ),
    "error": ("Error", "The standard error of the alignment: seeds and samples."),
    "low": ("Low", "The lower end of the 95 % interval of the alignment: seeds and samples."),
    "high": ("High", "The upper end of the 95 % interval of the alignment: seeds and samples."),
    "naive": ("Naive", "The mean naive wMPPC of the cells between an image encoder and a text encoder."),
    "chance": (
        "Chance level",
        "The mean naive wMPPC of the cells between an image encoder and a text encoder when samples are shuffled.",
    ),
    "untrained": (
        "Untrained floor",
        "The mean cross-fitted wMPPC of the cells between an image encoder and a text encoder before SAEs are trained.",
    ),
    "ceiling": (
        "Ceiling",
        "The mean cross-fitted wMPPC of encoders against themselves under another seed, over all encoders.",
    ),
    "relative": (
        "Share of the ceiling",
        "Each cell between an image encoder and a text encoder divided by the geometric mean of its encoders' own "
        "cells, then the mean.",
    ),
}
"""Columns of the table of datasets."""

AGREEMENT: dict[str, tuple[str, str]] = {
    "first": ("First", "The first dataset."),
    "second": ("Second", "The second dataset."),
    "cells": ("Cells", "The number of cells: ordered pairs of different encoders."),
    "mean_difference": ("Mean difference", "The mean over cells of second minus first, in cross-fitted wMPPC."),
    "low": ("Low", "The lower end of the 95 % interval of the mean difference: seeds and samples."),
    "high": ("High", "The upper end of the 95 % interval of the mean difference: seeds and samples."),
    "rms": ("RMS difference", "The root mean square of the cells' differences."),
    "sd_beyond_noise": (
        "SD beyond noise",
        "The standard deviation of the cells' differences that is left once the noise of seeds and samples is taken "
        "off; 0 where that explains all of it.",
    ),
    "resolved_cells": (
        "Cells resolved",
        "How many cells' 95 % intervals of the difference exclude 0; one in twenty would if nothing differed.",
    ),
    "kendall_tau": ("Kendall's tau", "How far both datasets put the cells in one order: 1 is the same order."),
    "between_seeds": (
        "Between seeds",
        "The correlation of the matrices of two seeds of one dataset, mean over both: what correlation could reach.",
    ),
    "correlation": ("Correlation", "Pearson's correlation of the cells of both matrices, diagonals left out."),
    "p_value": ("p", "Mantel's test of the correlation: the share of orders of one matrix's encoders that reach it."),
    "alignment_difference": (
        "Alignment, difference",
        "Second minus first of the mean of the cells between an image encoder and a text encoder.",
    ),
    "alignment_low": (
        "Alignment, low",
        "The lower end of the interval of the alignment's difference; all such intervals hold together at 95 %.",
    ),
    "alignment_high": (
        "Alignment, high",
        "The upper end of the interval of the alignment's difference; all such intervals hold together at 95 %.",
    ),
    "alignment_resolved": ("Alignment resolved", "Whether the interval of the difference in alignment excludes 0."),
}
"""Columns of the table of pairs of datasets."""


def _share(name: str, title: str, what: str) -> dict[str, tuple[str, str]]:
    return {
        name: (title, f"{what} with a Delta above 0, of held-out correlations; mean over seeds."),
        f"{name}_error": (f"{title}, error", f"The standard error of “{title}”: seeds and samples."),
        f"{name}_freedom": (
            f"{title}, freedom",
            f"The degrees of freedom of the standard error of “{title}” (Satterthwaite).",
        ),
        f"{name}_low": (f"{title}, low", f"The lower end of the 95 % interval of “{title}”: seeds and samples."),
        f"{name}_high": (f"{title}, high", f"The upper end of the 95 % interval of “{title}”: seeds and samples."),
        f"{name}_by_chance": (
            f"{title}, by chance",
            f"The mean of “{title}” over all ways of calling as many of these encoders by either class.",
        ),
    }


TYPOLOGY: dict[str, tuple[str, str]] = {
    "shared_with": ("Shared with", "The class of encoders, all of which are to share the features (G)."),
    "absent_from": ("Absent from", "The class of encoders, all of which are to lack the features (H)."),
    "features": ("Live features", "The number of features active on a compared sample, mean over seeds."),
    **_share("share", "Share", "The share of the live features"),
    **_share("weighted_share", "Share of weight", "The share of the encoder's total activation that is of features"),
    "order": ("Rank", "The rank of the share of weight among the dataset's encoders: 1 is the highest."),
}
"""Columns of the table of what share of features is shared with one class of encoders alone."""

DIFFERENCES: dict[str, tuple[str, str]] = {
    "first": AGREEMENT["first"],
    "second": AGREEMENT["second"],
    "first_value": ("On the first", "The cell's cross-fitted wMPPC on the first dataset, mean over pairs of seeds."),
    "second_value": ("On the second", "The cell's cross-fitted wMPPC on the second dataset, mean over pairs of seeds."),
    "difference": ("Difference", "Second minus first."),
    "error": ("Error", "The standard error of the difference: seeds, pooled over cells, and samples."),
    "low": ("Low", "The lower end of the 95 % interval of the difference."),
    "high": ("High", "The upper end of the 95 % interval of the difference."),
    "resolved": ("Resolved", "Whether the 95 % interval of the difference excludes 0."),
}
"""Columns of the table of cells."""
