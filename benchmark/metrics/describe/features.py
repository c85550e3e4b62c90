"""Single features: how they fire, what they are called, and where they are found again."""

SUMMARY: dict[str, tuple[str, str]] = {
    "S": (
        "S",
        "Total activation: the sum of the feature's activations over all recorded samples; over the compared ones it "
        "is the feature's weight in wMPPC.",
    ),
    "frequency": ("Active samples", "The number of recorded samples on which the feature is active."),
    "density": ("Density", "The share of all recorded samples on which the feature is active."),
    "mean_active": ("Mean when active", "The feature's mean activation over the samples on which it is active."),
    "hits": ("Captions found", "How many captions of the feature's strongest samples, at most 8, hold the words."),
    "stability": (
        "Seed stability",
        "The highest correlation with any feature of the same layer under another seed, averaged over the other seeds: "
        "near 1 where every training finds the feature again.",
    ),
    "image": ("Strongest", "The sample that activates the feature most."),
    "caption": ("Caption of the strongest sample", "The caption of the sample that activates the feature most."),
    "name": (
        "Name",
        "The word or two words of captions that go best with the feature; empty: none above chance.",
    ),
}
"""Columns of the table of features."""

NAMING: dict[str, tuple[str, str]] = {
    "typology": ("Kind", "What the name says: object, colour, relation, place, count, attribute, other or unknown."),
    "source": (
        "Evidence",
        "What passes its own threshold for the name: captions, images as a contrastive pair reads them, or both.",
    ),
    "auc": (
        "AUC",
        "How well captions with the name tell held-out samples on which the feature fires from the others: 0.5 is "
        "chance.",
    ),
    "auc_strong": (
        "AUC, strong",
        "How well captions with the name tell the held-out samples of the strongest quarter of the activations from "
        "all others: 0.5 is chance.",
    ),
    "auc_words": (
        "AUC, all words",
        "How well name and runners-up together, weighted by their log-odds, tell held-out samples on which the feature "
        "fires from the others: 0.5 is chance.",
    ),
    "auc_image": (
        "AUC, images",
        "How well the contrastive pair's p(name | image) tells the held-out images on which the feature fires: 0.5 is "
        "chance; empty without a pair.",
    ),
    "p": (
        "p",
        "The share of features of like frequency whose best score is as high when samples are dealt out at random; up "
        "to 0.01 the feature has a name.",
    ),
    "runners_up": ("Runners-up", "The four next candidates, best first."),
}
"""Columns that say what a name is and how far to believe it (docs/naming.md)."""

MATCHES: dict[str, tuple[str, str]] = {
    "held_out_rho": (
        "Held-out correlation",
        "The correlation with partners chosen without the samples that it is taken on: about 0 where nothing is "
        "shared.",
    ),
    "rho": ("Correlation", "The highest with any feature of the other encoder's layers: biased upward."),
    "S": ("S", "The feature's total activation over the compared samples, its weight in wMPPC."),
    "frequency": SUMMARY["frequency"],
    "density": SUMMARY["density"],
    "partner_density": ("Partner's density", "The share of all recorded samples on which the partner is active."),
}
"""Columns of tables of features and their partners in other encoders."""

ACTIVATIONS: dict[str, tuple[str, str]] = {
    "low": ("From", "The lower end of an interval of activations."),
    "high": ("To", "The upper end of the interval."),
    "samples": ("Samples", "The number of recorded samples whose activation lies in the interval."),
}
"""Columns of a feature's histogram of activations."""
