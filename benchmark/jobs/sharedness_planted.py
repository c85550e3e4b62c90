"""Comparative Sharedness against planted factors: captioned ones should rank first where G reads captions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.features import Features, SparseFeatures
from benchmark.jobs.validation_factors import CLEAR, Planted, oracle, told
from benchmark.jobs.validation_scores import auc
from benchmark.metrics import held_out_rho, max_correlation, spearman
from benchmark.metrics.association import reordered
from benchmark.metrics.groups import permutation, shared_groups

RESAMPLES = 1000


def planted_tables(
    planted: Planted,
    own: SparseFeatures,
    shared: Sequence[SparseFeatures],
    absent: Sequence[SparseFeatures],
    chosen_on: NDArray[np.bool_],
    *,
    folds: int,
    permutations: int,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return how well Delta finds planted concepts, and Delta of every planted value; features over all samples.

    The measures, on samples outside of `chosen_on` (which decide what a feature tells), each with a 95 % interval
    (values or features are resampled), its mean under a null, and a p-value, (1 + draws at or above) / (K + 1):

    - values: AUC with which rho_shared^2 - rho_absent^2 of an encoder that knows every planted value ranks the values
      that captions mention above the nuisances. Null: samples of G shuffled. n values of captioned factors, of all.
    - features: AUC with which M's features that clearly tell a captioned factor rank above its other live features.
      Null: likewise; S and rho to H alone give it a value that is not one half.
    - concepts: Spearman's correlation of rho_shared^2 - rho_absent^2 of M's features that clearly tell a captioned
      factor with that of the planted value they follow most: whether Delta is high for the right concepts. Null: values
      exchanged.

    The second table has factor, value, captioned, rho_shared, rho_absent, theta (rho_shared^2 - rho_absent^2),
    features (of M that follow it) and mean_theta of these.
    """
    rng = np.random.default_rng(seed)
    known = oracle(planted, own)
    names = [(factor, value) for factor, values in planted.values.items() for value in values]
    captioned = np.array([factor not in planted.nuisances for factor, _ in names])
    facts = told(own, planted, chosen_on)
    follows = max_correlation(own.take(chosen_on), known.take(chosen_on)).source_match
    here, truth = own.take(~chosen_on), known.take(~chosen_on)
    sides: list[list[SparseFeatures]] = [[item.take(~chosen_on) for item in part] for part in (shared, absent)]
    groups = shared_groups([here])

    def squares(source: SparseFeatures, targets: Sequence[Features], pick: str) -> NDArray[np.float64]:
        rho = np.stack([held_out_rho(source, target, folds=folds) for target in targets])
        return getattr(rho.clip(min=0), pick)(0) ** 2

    lacking = [squares(side, sides[1], "max") for side in (truth, here)]

    def thetas(order: NDArray[np.int64] | None) -> list[NDArray[np.float64]]:
        with_them: Sequence[Features] = sides[0] if order is None else [reordered(item, order) for item in sides[0]]
        return [squares(side, with_them, "min") - less for side, less in zip((truth, here), lacking, strict=True)]

    theta, own_theta = thetas(None)
    weights = here.weights
    live = weights > 0
    clear = live & (facts.eta2.to_numpy() >= CLEAR) & facts.captioned.to_numpy() & (follows >= 0)
    clear &= captioned[follows]
    draws = [thetas(permutation(groups, rng)) for _ in range(permutations)]
    delta = weights * own_theta
    rows = []
    for measure, score, wanted, null in (
        ("values", theta, captioned, [auc_of(drawn, captioned) for drawn, _ in draws]),
        ("features", delta[live], clear[live], [auc_of((weights * drawn)[live], clear[live]) for _, drawn in draws]),
    ):
        rows.append({
            "measure": measure, "value": auc_of(score, wanted), **_interval(score, wanted, rng), **_against(
                auc_of(score, wanted), np.array(null)), "n": int(wanted.sum()), "of": len(wanted),
        })  # fmt: skip
    members = np.flatnonzero(clear)
    if len(members) >= 3:
        rows.append({"measure": "concepts", **_concepts(own_theta[members], theta, follows[members], captioned, rng)})
    table = pd.DataFrame({
        "factor": [factor for factor, _ in names], "value": [value for _, value in names], "captioned": captioned,
        "rho_shared": np.sqrt(theta + lacking[0]), "rho_absent": np.sqrt(lacking[0]), "theta": theta,
        "features": np.bincount(follows[members], minlength=len(names)),
    })  # fmt: skip
    sums = np.bincount(follows[members], own_theta[members], len(names))
    table["mean_theta"] = np.where(table.features > 0, sums / table.features.clip(lower=1), np.nan)
    return pd.DataFrame(rows), table


def auc_of(score: NDArray[np.float64], wanted: NDArray[np.bool_]) -> float:
    """Return the AUC of a score for the wanted entries; NaN if all are, or none."""
    return auc(score[wanted], score[~wanted]) if wanted.any() and not wanted.all() else float("nan")


def _interval(score: NDArray[np.float64], wanted: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, float]:
    good, bad = score[wanted], score[~wanted]
    if not len(good) or not len(bad):
        return {"low": np.nan, "high": np.nan}
    drawn = [auc(rng.choice(good, len(good)), rng.choice(bad, len(bad))) for _ in range(RESAMPLES)]
    return dict(zip(("low", "high"), np.quantile(drawn, [0.025, 0.975]), strict=True))


def _against(value: float, null: NDArray[np.float64]) -> dict[str, float]:
    return {"null": float(null.mean()), "p_value": (1 + int((null >= value).sum())) / (len(null) + 1)}


def _concepts(
    own: NDArray[np.float64],
    theta: NDArray[np.float64],
    follows: NDArray[np.int64],
    captioned: NDArray[np.bool_],
    rng: np.random.Generator,
) -> dict[str, float]:
    """Return the rank correlation of features' theta with that of the values they follow, and its null."""
    value = spearman(own, theta[follows])
    drawn = []
    for _ in range(RESAMPLES):
        chosen = rng.integers(0, len(own), len(own))
        drawn.append(spearman(own[chosen], theta[follows[chosen]]))
    places, null = np.flatnonzero(captioned), []
    for _ in range(RESAMPLES):
        exchanged = theta.copy()
        exchanged[places] = rng.permutation(theta[places])
        null.append(spearman(own, exchanged[follows]))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high), **_against(value, np.array(null)),
            "n": len(own), "of": len(own)}  # fmt: skip
