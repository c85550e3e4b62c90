"""What single features are worth to linear probes of the planted factors."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.features import SparseFeatures

PENALTY = 0.01
"""Inverse strength of the probes' penalty: of 0.003 to 0.3 about the one with the best held-out likelihood on codes of
10,000 scenes. Weaker ones fit noise, and features then seem to do harm."""


class Probes(NamedTuple):
    """Linear probes of all factors on one encoder's codes."""

    losses: NDArray[np.float64]
    """(m,) mean over factors of the drop of the mean log-likelihood (nats a sample) when the feature is zeroed."""
    accuracy: dict[str, float]
    """Share of tested samples whose level is right, by factor."""
    majority: dict[str, float]
    """Share of the most frequent level among the tested samples."""


def probes(features: SparseFeatures, levels: Mapping[str, NDArray[np.int64]], tested: NDArray[np.bool_]) -> Probes:
    """Fit a logistic regression of each factor's levels (N,) on the codes, and take every feature away in turn.

    Features are divided by their standard deviation. Probes are fitted on the other samples; losses and accuracy are
    those of the tested ones (N,) bool. The probe is not fitted again without the feature.
    """
    fitted_on, held = features.take(~tested), features.take(tested)
    scale = _spread(fitted_on)
    losses = np.zeros(features.n_latents)
    accuracy, majority = {}, {}
    for name, level in levels.items():
        model = _fitted(fitted_on, scale, level[~tested])
        truth = np.searchsorted(model.classes_, level[tested])
        weights, bias = _softmax_form(model)
        losses += _drops(held, scale, weights, bias, truth) / len(levels)
        guess = _logits(held, scale, weights, bias).argmax(1)
        accuracy[name] = float((guess == truth).mean())
        majority[name] = float(np.bincount(truth).max() / len(truth))
    return Probes(losses, accuracy, majority)


def _fitted(features: SparseFeatures, scale: NDArray[np.float64], level: NDArray[np.int64]) -> Any:
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    rows, slots = np.nonzero(features.values)
    columns = features.indices[rows, slots]
    codes = csr_matrix(
        (features.values[rows, slots] * scale[columns], (rows, columns)), (len(features), features.n_latents)
    )
    return LogisticRegression(C=PENALTY, max_iter=1000, tol=1e-3).fit(codes, level)


def _softmax_form(model: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights (m, classes) and bias (classes,) whose softmax the model's probabilities are."""
    weights, bias = model.coef_.T, model.intercept_
    if weights.shape[1] == 1:  # two classes: the logit of the second
        weights, bias = np.concatenate([0 * weights, weights], 1), np.concatenate([0 * bias, bias])
    return weights, bias


def _logits(
    features: SparseFeatures, scale: NDArray[np.float64], weights: NDArray[np.float64], bias: NDArray[np.float64]
) -> NDArray[np.float64]:
    index = features.indices
    return np.einsum("nk,nkc->nc", features.values * scale[index], weights[index]) + bias


def _drops(
    features: SparseFeatures,
    scale: NDArray[np.float64],
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    truth: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the drop of the mean log-likelihood when each feature is zeroed, (m,): only its samples change."""
    index = features.indices
    logits = _logits(features, scale, weights, bias)
    before = _log_likelihood(logits, truth)
    drops = np.zeros(features.n_latents)
    for slot in range(features.k):
        latent = index[:, slot]
        moved = logits - (features.values[:, slot] * scale[latent])[:, None] * weights[latent]
        drops += np.bincount(latent, before - _log_likelihood(moved, truth), features.n_latents)
    return drops / len(features)


def _log_likelihood(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    top = logits.max(1)
    return logits[np.arange(len(truth)), truth] - top - np.log(np.exp(logits - top[:, None]).sum(1))


def _spread(features: SparseFeatures) -> NDArray[np.float64]:
    """Return one over the standard deviation of each feature, 0 for those that do not vary."""
    n, m = len(features), features.n_latents
    index, value = features.indices.ravel(), features.values.ravel().astype(np.float64)
    mean = np.bincount(index, value, m) / n
    variance = np.bincount(index, value**2, m) / n - mean**2
    varies = variance > 1e-12 * mean**2
    return np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1)), 0)
