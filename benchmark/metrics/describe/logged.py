"""What the metrics are that runs log in MLflow: their names are STEM, or STEM/what it is of."""

from benchmark.metrics.describe import consistency, drift, stability
from benchmark.metrics.describe.layers import CELLS
from benchmark.metrics.describe.measures import EXTRAS, MEASURES
from benchmark.metrics.describe.saes import QUALITY
from benchmark.metrics.describe.sharedness import ASSOCIATION_MEASURES

_TRAIN = {
    **{name: text for name, (_, text) in QUALITY.items()},
    "explained_variance": "1 minus the FVU.",
    "offset": "The part of the FVU that the mean of the error makes up: a better b_dec alone would remove it.",
    "pca_fvu": "The FVU of PCA with k components, fitted to the very samples it is measured on.",
    "rare": "The share of latents that are active on 1 to 9 samples.",
    "cosine_mean": "The mean over active latents of the largest cosine of their decoder row to any other row.",
    "cosine_median": "The median over active latents of the largest cosine of their decoder row to any other row.",
    "cosine_q95": "The 95 % quantile over active latents of the largest cosine of their decoder row to any other row.",
    "loss": "The mean squared error of the reconstruction at a step of training, per dimension.",
    "learning_rate": "The step size of a step of training.",
    "evaluation": "The mean squared error on samples that are held back to decide when training ends.",
    "dead_in_training": "The share of latents that count as dead at a step of training.",
    "loss_fall": "By what share the loss of the last tenth of the steps lies below that of the tenth before.",
    "n_samples": "The number of samples that were compared or recorded.",
    "left_out": "The number of samples that could not be read and were left out.",
}
_COMPARE = {"wmppc" if name == "naive" else f"wmppc_{name}": text for name, (_, text) in {**MEASURES, **EXTRAS}.items()}
_NULLS = {
    "": "{}.",
    "_null": "The mean under its null of: {}.",
    "_p_value": "The share of draws of its null, the observed one among them, that reach: {}.",
}
_LAYERS = {
    "all_layers": "The cross-fitted value of all source layers against all target layers together.",
    "last": "The cross-fitted value of the deepest layer against the deepest.",
    "chance_all": "The mean naive value of all layers together when the target's samples are shuffled.",
    "chance_last": "The mean naive value of the deepest layers when the target's samples are shuffled.",
    "calibrated_all": f"Of all layers together: {CELLS['calibrated'][1]}",
    "highest": "The highest cross-fitted value of any two layers.",
    **{
        f"last_quarter_{what}_{axis}": f"The share of {of} in the last quarter of the layers of {whose}."
        for what, of in (
            ("cells", "the sum of the cross-fitted cells that lies"),
            ("parts", "the cross-fitted value of all layers together that lies"),
            ("maximum", "the resampled matrices whose highest cell lies"),
        )
        for axis, whose in (("source", "the source"), ("target", "the target"), ("both", "both"))
    },
    "diagonal_on": "The mean cross-fitted value of an encoder's layers with themselves under another seed.",
    "diagonal_off": "The mean cross-fitted value of an encoder's layers with its other layers under another seed.",
    "diagonal_contrast": "The mean on the diagonal of layers against themselves minus the mean off it.",
    "diagonal_share": "The share of its row that a layer has with itself under another seed, mean over layers.",
    "diagonal_hits": "The share of layers whose best layer under another seed is the same layer.",
}
_STABILITY = {
    **{name: text for name, (_, text) in stability.TABLE.items()},
    **{f"rank_{name}": text for name, (_, text) in stability.RANKS.items()},
    "smallest_difference": "With the seeds of this run: " + stability.SMALLEST["smallest_difference"][1],
    "sd": "The square root of a component of a cell's variance, in units of wMPPC.",
    "top_agreement": f"{stability.TOP['share'][1]} Mean over ordered pairs of seeds.",
}
_CONSISTENCY = {
    **{name: text for name, (_, text) in {**consistency.AGREEMENT, **consistency.DATASETS}.items()},
    "positive_delta": consistency.TYPOLOGY["weighted_share"][1],
    "kept_partners": "The mean wMPPC on the second dataset of partners chosen on the first.",
}
_DRIFT = {
    "moved": drift.SUMMARY["moved"][1],
    "tested": drift.SUMMARY["tested"][1],
    "change": f"Of a cell's cross-fitted wMPPC: {drift.CHANGES['change'][1]}",
    "delta_change": f"Of Comparative Sharedness as a whole: {drift.DELTA['change'][1]}",
    "same_features_other": f"{drift.CORRESPONDENCE['value'][1]} Between different seeds.",
    "same_features_same": f"{drift.CORRESPONDENCE['value'][1]} Between equal seeds.",
}
_SHAREDNESS = {
    "mean_delta": "The mean of squared rho to G minus squared rho to H, weighted by total activation, cross-fitted.",
    "naive_mean_delta": "The mean of squared rho to G minus squared rho to H, weighted by total activation, naive.",
    "positive": "The share of live features with a cross-fitted Delta above 0.",
    "positive_by_chance": "The share with a naive Delta above 0 if every split of the encoders were as good.",
    "significant": "How many live features have a Delta above 0 at q up to 0.05.",
    "top_significant": "How many of the top 1 % have a Delta above 0 at q up to 0.05.",
    "agreement_source": "Spearman's correlation of Delta with that of the features' partners, all seeds changed.",
    "agreement_targets": "Spearman's correlation of Delta of the same features, the seeds of G and H changed.",
    "overlap_source": "The share of the top 1 % whose partners are in the top 1 %, all seeds changed; 0.01 by chance.",
    "overlap_targets": "The share of the top 1 % that stays there, the seeds of G and H changed; 0.01 by chance.",
    **{
        f"association_{name}{end}": words.format(text[:1].upper() + text[1:])
        for name, text in ASSOCIATION_MEASURES.items()
        for end, words in _NULLS.items()
    },
    **{
        f"planted_{name}{end}": words.format(text)
        for name, text in (
            ("values", "The AUC with which planted values that captions mention have a higher Delta than nuisances"),
            ("features", "The AUC with which features of captioned factors have a higher Delta than other live ones"),
            ("concepts", "Spearman's correlation of features' Delta with that of the planted values they follow"),
        )
        for end, words in _NULLS.items()
    },
}
_NAME = {
    "named_share": "The share of the features that fire often enough which have a name.",
    "shuffled_share": "The share of features with a name when samples are shuffled: about 1 % if the threshold holds.",
    "auc": "The mean AUC with which captions with the name tell held-out samples on which a feature fires.",
    "auc_strong": "The mean AUC with which captions with the name tell the strongest quarter of held-out activations.",
    "auc_words": "The mean AUC with which name and runners-up tell held-out samples on which a feature fires.",
    "auc_shuffled": "The mean AUC of names that were found with shuffled samples: about 0.5.",
    "again": "The share of named features that get the same name from the held-out half of the samples.",
    "again_chance": "The share of features that would get one name from both halves if names were dealt out at random.",
}
_OF_JOBS = {
    "layers": _LAYERS,
    "stability": _STABILITY,
    "consistency": _CONSISTENCY,
    "drift": _DRIFT,
    "sharedness": _SHAREDNESS,
    "name": _NAME,
}


def meaning(metric: str) -> str:
    """Return a sentence on a metric that a run logged, "" where nothing is known of it."""
    stem, *of = metric.split("/")
    if stem in _OF_JOBS:
        which = -1 if stem == "name" else 0  # name/ENCODER/MEASURE, but layers/MEASURE/SOURCE/TARGET
        return _OF_JOBS[stem].get(of[which], "") if of else ""
    return _TRAIN.get(stem) or _COMPARE.get(stem, "")
