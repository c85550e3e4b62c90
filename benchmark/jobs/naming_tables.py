"""Names of one SAE's features as tables: a row for each live feature, and how good the names are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.features import Features
from benchmark.jobs.naming_evidence import Samples
from benchmark.metrics.detection import detection_auc, image_auc
from benchmark.metrics.groups import permutation
from benchmark.metrics.log_odds import activation_matrix, strong_activations
from benchmark.metrics.naming import ALPHA, FEWEST, Best, best_candidates, judged, permuted

SHUFFLE_SEED = 10_000
"""Of the permutation whose share of named features is reported: none of those that the threshold comes from."""
RESAMPLES = 1000

Kinds = Callable[[str], str]
"""Name -> its kind."""


class SaeNames(NamedTuple):
    """The names of one SAE's features."""

    features: pd.DataFrame
    """One row per live feature, see `named_features`."""
    summary: dict[str, Any]
    """How many have a name and how good the names are, see `docs/naming.md`."""


def named_features(features: Features, samples: Samples, kind: Kinds) -> SaeNames:
    """Name the features of one SAE, and measure how good the names are.

    Args:
        features: recorded over all samples of the dataset.
        samples: its halves and the candidates.
        kind: tells the kind of a name.

    Returns:
        A table with feature, name ("" where nothing passes the threshold), typology, source, score, p, auc, auc_strong,
        auc_words, auc_image, runners_up, caption_z, image_z, active (samples of the naming half that it fires on), S
        (its total activation on all samples), again (whether the other half gives the same name) and again_shown
        (whether it is among the other half's first five); and the summary.
    """
    on, test = samples.chosen_on, samples.tested_on
    active, tested = (activation_matrix(features.take(half.rows)) for half in (on, test))
    best, null = best_candidates(active, on.evidence), permuted(active, on.evidence, on.groups)
    named = judged(best, null)
    again = best_candidates(tested, test.evidence)
    told = tested[:, test.evidence.seen]
    shuffled = active[:, permutation(on.groups, np.random.default_rng(SHUFFLE_SEED))]
    shuffled.sort_indices()
    chance = best_candidates(shuffled, on.evidence)
    fires, fires_there = np.diff(active.indptr), np.diff(tested.indptr)
    passes, enough = named.p <= ALPHA, fires >= FEWEST
    words = samples.names
    table = pd.DataFrame({
        "feature": np.arange(features.n_latents),
        "name": [words[i] if ok else "" for i, ok in zip(best.words[:, 0], passes, strict=True)],
        "source": named.source, "score": best.score[:, 0], "p": named.p,
        "auc": detection_auc(tested, test.evidence.held, best.words[:, :1]),
        "auc_strong": detection_auc(strong_activations(tested), test.evidence.held, best.words[:, :1]),
        "auc_words": detection_auc(tested, test.evidence.held, best.words, np.maximum(best.delta, 0)),
        "auc_image": np.nan if test.evidence.images is None else
                     image_auc(told, test.evidence.images.probabilities, best.words[:, 0]),
        "runners_up": [", ".join(words[i] for i in row[1:] if i >= 0) if ok else "" for row, ok in
                       zip(best.words, passes, strict=True)],
        "caption_z": best.caption[:, 0], "image_z": best.image[:, 0], "active": fires, "S": features.weights,
        "again": best.words[:, 0] == again.words[:, 0],
        "again_shown": (best.words[:, :1] == again.words).any(1),
    })  # fmt: skip
    table.insert(2, "typology", table["name"].map(kind))
    table.loc[~enough, ["score", "auc", "auc_strong", "auc_words", "auc_image", "caption_z", "image_z"]] = np.nan
    both = passes & (fires_there >= FEWEST)
    summary = {
        "live": int(((fires > 0) | (fires_there > 0)).sum()), "nameable": int(enough.sum()),
        "named": int(passes.sum()), "named_share": _share(passes, enough),
        "shuffled_share": _share(judged(chance, null).p <= ALPHA, enough),
        **_interval("auc", table.auc[passes].to_numpy()),
        **_interval("auc_strong", table.auc_strong[passes].to_numpy()),
        "auc_unnamed": _mean(table.auc[enough & ~passes]),
        "auc_shuffled": _mean(detection_auc(tested, test.evidence.held, chance.words[:, :1])[enough]),
        **_interval("auc_words", table.auc_words[passes].to_numpy()),
        "auc_image": _mean(table.auc_image[passes]),
        "again": _share(table.again, both), "again_shown": _share(table.again_shown, both),
        "again_chance": _by_chance(best, again, both), "again_shown_chance": _by_chance(best, again, both, shown=True),
        **{f"from_{name}": _share(table.source == name, passes) for name in ("caption", "image", "both")},
    }  # fmt: skip
    return SaeNames(table[(fires > 0) | (fires_there > 0)].reset_index(drop=True), summary)


def _by_chance(best: Best, again: Best, among: NDArray[np.bool_], *, shown: bool = False) -> float:
    """Return how often names would agree between the halves if one half's were dealt out to its features at random."""
    own, other = best.words[among, 0], again.words[among] if shown else again.words[among, :1]
    if not len(own):
        return float("nan")
    counts = np.bincount(own)
    met = other[(other >= 0) & (other < len(counts))]
    return float(counts[met].sum() / len(own) ** 2)


def _interval(name: str, values: NDArray[np.float64], seed: int = 0) -> dict[str, float]:
    """Return the mean, and its 95 % interval with features drawn anew."""
    values = values[np.isfinite(values)]
    if not len(values):
        return {name: float("nan"), f"{name}_low": float("nan"), f"{name}_high": float("nan")}
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(values, len(values)).mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {name: float(values.mean()), f"{name}_low": float(low), f"{name}_high": float(high)}


def _share(hits: Any, among: NDArray[np.bool_]) -> float:
    return float(np.asarray(hits)[among].mean()) if among.any() else float("nan")


def _mean(values: Any) -> float:
    finite = np.asarray(values)[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
