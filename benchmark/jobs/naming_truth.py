"""Names against planted factors: whether a feature that tells a planted value carries a word that means this value."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from benchmark.datasets import PairedDataset
from benchmark.datasets.load import resolve
from benchmark.features import Features
from benchmark.jobs.naming_evidence import Samples
from benchmark.jobs.validation_factors import NUISANCES, planted_factors
from benchmark.metrics.log_odds import activation_matrix

CLEAR = 0.3
"""A feature tells a planted value clearly from this correlation on: a tenth of its variance."""


class Truth(NamedTuple):
    """The planted values of the testing half, and what every candidate means by them."""

    values: list[tuple[str, str]]
    """Q pairs of a factor and a value."""
    captioned: NDArray[np.bool_]
    """(Q,) whether captions mention the factor."""
    shown: sparse.csr_matrix
    """(N, Q) which samples show which values."""
    meaning: NDArray[np.int64]
    """(V,) the value with which a candidate's captions correlate most."""


def planted_truth(dataset: PairedDataset, card: str, samples: Samples) -> Truth | None:
    """Return the planted values of a dataset's testing half; None for data without planted factors.

    card: the dataset's name or path.
    """
    if dataset.factors is None or resolve(card).kind not in NUISANCES:
        return None
    planted = planted_factors(dataset, card)
    rows, held = samples.tested_on.rows, samples.tested_on.evidence.held
    values = [(factor, value) for factor, known in planted.values.items() for value in known]
    sizes = [len(known) for known in planted.values.values()]
    columns = np.stack([level[rows] for level in planted.levels.values()], 1) + np.cumsum(sizes) - sizes
    starts = np.arange(len(rows) + 1) * len(sizes)
    shown = sparse.csr_matrix((np.ones(columns.size, np.float32), columns.ravel(), starts), (len(rows), len(values)))
    captioned = np.array([factor not in planted.nuisances for factor, _ in values])
    return Truth(values, captioned, shown, correlations(held.T.tocsr(), shown).argmax(1))


def correlations(left: sparse.csr_matrix, right: sparse.csr_matrix) -> NDArray[np.float64]:
    """Return the Pearson correlations (F, Q) between rows of (F, N) and columns of (N, Q); 0 where one is constant."""
    n = left.shape[1]
    mean, other = np.asarray(left.mean(1)).ravel(), np.asarray(right.mean(0)).ravel()
    spread = np.asarray(left.multiply(left).mean(1)).ravel() - mean**2
    other_spread = np.asarray(right.multiply(right).mean(0)).ravel() - other**2
    product = np.outer(spread, other_spread)
    cross = (left @ right).toarray() / n - np.outer(mean, other)
    return np.where(product > 1e-12, cross / np.sqrt(np.where(product > 1e-12, product, 1)), 0)


def against_truth(
    features: Features, names: pd.DataFrame, samples: Samples, truth: Truth
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Compare the names of one SAE's features with the planted values that they tell on the testing half.

    Args:
        features: recorded over all samples.
        names: `SaeNames.features`.
        samples: halves and candidates.
        truth: see `planted_truth`.

    Returns:
        The table with planted_factor, planted_value and planted_rho (the value that a feature correlates with most),
        named_factor and named_value (what its name means; "" without one); and the summary: features that tell a value
        clearly, those of captioned factors among them with the right value or factor in their name, both by chance
        (names dealt out at random among them), and the shares with a name of both kinds of factors.
    """
    active = activation_matrix(features.take(samples.tested_on.rows))[names.feature.to_numpy()]
    rho = correlations(active, truth.shown)
    own, highest = rho.argmax(1), rho.max(1)
    position = {name: i for i, name in enumerate(samples.names)}
    meant = np.array([truth.meaning[position[name]] if name else -1 for name in names["name"]], np.int64)
    table = names.assign(
        planted_factor=[truth.values[i][0] for i in own], planted_value=[truth.values[i][1] for i in own],
        planted_rho=highest,
        named_factor=[truth.values[i][0] if i >= 0 else "" for i in meant],
        named_value=[truth.values[i][1] if i >= 0 else "" for i in meant],
    )  # fmt: skip
    clear = (highest >= CLEAR) & names.score.notna().to_numpy()
    told, hidden = clear & truth.captioned[own], clear & ~truth.captioned[own]
    both = told & (meant >= 0)
    return table, {
        "clear": float(clear.sum()), "told": float(told.sum()),
        "told_named": _mean(meant[told] >= 0), "nuisances": float(hidden.sum()),
        "nuisances_named": _mean(meant[hidden] >= 0),
        "right_value": _mean(own[both] == meant[both]),
        "right_factor": _mean(_factors(own[both], truth) == _factors(meant[both], truth)),
        "right_value_chance": _met(own[both], meant[both]),
        "right_factor_chance": _met(_factors(own[both], truth), _factors(meant[both], truth)),
    }  # fmt: skip


def _factors(values: NDArray[np.int64], truth: Truth) -> NDArray[np.int64]:
    """Return the number of the factor of each value."""
    number = {factor: i for i, factor in enumerate(dict.fromkeys(factor for factor, _ in truth.values))}
    return np.array([number[truth.values[i][0]] for i in values], np.int64)


def _met(left: NDArray[np.int64], right: NDArray[np.int64]) -> float:
    """Return how often two lists of numbers would meet if one were shuffled."""
    if not len(left):
        return float("nan")
    length = int(max(left.max(), right.max())) + 1
    return float((np.bincount(left, minlength=length) * np.bincount(right, minlength=length)).sum() / len(left) ** 2)


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")
