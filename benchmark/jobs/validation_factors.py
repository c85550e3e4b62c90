"""Planted factors against features: which factor a feature tells, and which values of factors an encoder has."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.datasets import PairedDataset, blooms, scenes
from benchmark.datasets.load import resolve
from benchmark.errors import InputError
from benchmark.features import SparseFeatures
from benchmark.jobs.validation_scores import auc
from benchmark.metrics import held_out_rho, max_correlation

NUISANCES = {"scenes": scenes.NUISANCES, "blooms": blooms.NUISANCES}
CLEAR = 0.1
"""A factor that explains this share of a feature's variance is told clearly."""
RESAMPLES = 1000


class Planted(NamedTuple):
    """The planted factors of a dataset."""

    values: dict[str, tuple[str, ...]]
    """Factor -> its values."""
    levels: dict[str, NDArray[np.int64]]
    """Factor -> the value of each sample, (N,) positions in `values`."""
    nuisances: set[str]
    """The factors that no caption mentions."""


def planted_factors(dataset: PairedDataset, card: str) -> Planted:
    """Return the planted factors of a dataset; `card` is its name or path.

    Raises InputError for a dataset without planted factors.
    """
    nuisances = NUISANCES.get(resolve(card).kind)
    if dataset.factors is None or nuisances is None:
        raise InputError(
            f"dataset '{dataset.name}' has no planted factors to validate features by; choose a suite over "
            f"{' or '.join(NUISANCES)}, or leave that part out with an empty suite."
        )
    values, levels = {}, {}
    for name in map(str, dataset.factors):
        if not name.startswith("says_"):
            codes, found = pd.factorize(dataset.factors[name], sort=True)
            values[name], levels[name] = tuple(map(str, found)), codes.astype(np.int64)
    return Planted(values, levels, set(nuisances))


def explained(features: SparseFeatures, levels: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return eta squared, the share of each feature's variance between the levels of each factor, (m, factors).

    0 for features that do not vary.
    """
    n, m = len(features), features.n_latents
    index, value = features.indices.astype(np.int64), features.values.astype(np.float64)
    mean = np.bincount(index.ravel(), value.ravel(), m) / n
    total = np.bincount(index.ravel(), (value**2).ravel(), m) - n * mean**2
    columns = []
    for level in levels.values():
        counts = np.bincount(level)
        cell = index + m * level[:, None]
        sums = np.bincount(cell.ravel(), value.ravel(), m * len(counts)).reshape(len(counts), m)
        columns.append((sums**2 / np.maximum(counts, 1)[:, None]).sum(0) - n * mean**2)
    between = np.stack(columns, 1)
    varies = total > 1e-12 * n * mean**2
    return np.divide(between, total[:, None], out=np.zeros_like(between), where=varies[:, None])


def told(features: SparseFeatures, planted: Planted, chosen_on: NDArray[np.bool_]) -> pd.DataFrame:
    """Return, for each feature, the factor that explains most of its variance on some samples.

    Columns: factor, eta2 (the share of variance on the other samples: choosing does not flatter it) and captioned.
    """
    names = list(planted.levels)

    def on(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        return explained(features.take(rows), {name: level[rows] for name, level in planted.levels.items()})

    best = on(chosen_on).argmax(1)
    factor = [names[i] for i in best]
    eta2 = on(~chosen_on)[np.arange(len(best)), best]
    return pd.DataFrame(
        {"factor": factor, "eta2": eta2, "captioned": [name not in planted.nuisances for name in factor]}
    )


def oracle(planted: Planted, like: SparseFeatures) -> SparseFeatures:
    """Return the features of an encoder that knows every factor: one for each value, active where it is shown.

    Samples, fingerprint and groups are those of `like`; the features lie in the order of `planted.values`.
    """
    sizes = [len(values) for values in planted.values.values()]
    starts = np.cumsum(sizes) - sizes
    indices = np.stack(list(planted.levels.values()), 1) + starts
    return SparseFeatures(indices, np.ones(indices.shape), sum(sizes), like.samples, like.groups)


def recovered(planted: Planted, features: SparseFeatures, rows: NDArray[np.bool_], folds: int) -> pd.DataFrame:
    """Return how well single features follow each planted value: factor, value, captioned, rho and rho_crossfit."""
    known = oracle(planted, features).take(rows)
    here = features.take(rows)
    names = [(factor, value) for factor, values in planted.values.items() for value in values]
    return pd.DataFrame({
        "factor": [factor for factor, _ in names], "value": [value for _, value in names],
        "captioned": [factor not in planted.nuisances for factor, _ in names],
        "rho": max_correlation(known, here).source, "rho_crossfit": held_out_rho(known, here, folds=folds),
    })  # fmt: skip


def captioned_auc(concepts: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return how well cross-fitted rho tells the values of captioned factors from those of nuisances, per encoder.

    concepts: the rows of `recovered` with `encoder`, `modality` and `seed`. Columns: encoder, modality, auc (mean over
    seeds), low, high (95 %; values are resampled within both kinds), and the mean rho_crossfit of both kinds.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for (encoder, modality), part in concepts.groupby(["encoder", "modality"], sort=False):
        # (values, seeds) of each kind: a value's seeds are drawn together.
        good, bad = (
            some.pivot(index=["factor", "value"], columns="seed", values="rho_crossfit").to_numpy()
            for some in (part[part.captioned], part[~part.captioned])
        )
        drawn = [_mean_auc(rng.choice(good, len(good)), rng.choice(bad, len(bad))) for _ in range(RESAMPLES)]
        low, high = np.quantile(drawn, [0.025, 0.975])
        rows.append({
            "encoder": encoder, "modality": modality, "auc": _mean_auc(good, bad), "low": low, "high": high,
            "rho_captioned": good.mean(), "rho_nuisance": bad.mean(),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _mean_auc(good: NDArray[np.float64], bad: NDArray[np.float64]) -> float:
    return float(np.mean([auc(g, b) for g, b in zip(good.T, bad.T, strict=True)]))


def agreement(features: pd.DataFrame, partners: pd.DataFrame) -> pd.DataFrame:
    """Return how often a feature and its partner in another encoder tell the same factor, where both tell one clearly.

    features: one row per feature with `encoder`, `seed`, `latent`, `factor` and `eta2`. partners: `source`, `target`,
    `seed`, `latent` and `match` (the partner's latent). Columns: source, target, features, agree, by_chance (if the
    same partners were dealt out at random).
    """
    clear = features[features.eta2 >= CLEAR][["encoder", "seed", "latent", "factor"]]
    both = partners.merge(clear.rename(columns={"encoder": "source"}), on=["source", "seed", "latent"]).merge(
        clear.rename(columns={"encoder": "target", "latent": "match", "factor": "partners_factor"}),
        on=["target", "seed", "match"],
    )
    rows = []
    for (source, target), part in both.groupby(["source", "target"], sort=False):
        own, other = (part[name].value_counts(normalize=True) for name in ("factor", "partners_factor"))
        rows.append({
            "source": source, "target": target, "features": len(part),
            "agree": float((part.factor == part.partners_factor).mean()),
            "by_chance": float(own.mul(other, fill_value=0).sum()),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=["source", "target", "features", "agree", "by_chance"])
