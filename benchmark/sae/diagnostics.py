"""How good a dictionary is, over a whole set of samples (never a mean over batches of ratios)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.features import SparseFeatures
from benchmark.sae.decoder_structure import nearest_rows
from benchmark.sae.reconstruction import Baseline, reconstruction
from benchmark.sae.topk import TopKSAE

RARE = 10
"""A latent is rare if it is active on fewer samples than this, but on some: too few for two in each of five folds."""
EDGES = np.linspace(-7, 0, 29)
"""Limits of the bins of the density histogram: log10 of the share of samples that a latent is active on."""


class Quality(NamedTuple):
    """Figures of one SAE on one set of samples."""

    fvu: float
    """Fraction of variance unexplained: squared error over squared distance from the mean; 1 predicts the mean. NaN,
    like the next three, where all activations are equal: they have no variance to explain."""
    explained_variance: float
    """1 - FVU."""
    offset: float
    """The part of the FVU that the mean of the error makes up: a better b_dec alone would remove it."""
    pca_fvu: float
    """FVU of PCA with k components, fitted to the very samples it is measured on."""
    l0: float
    """Mean number of active latents a sample."""
    dead: float
    """Share of latents that are active on no sample."""
    rare: float
    """Share of latents that are active on 1 to RARE - 1 samples."""
    weight_cv: float
    """Coefficient of variation of S over latents (S_i: sum of a latent's values); NaN where none is active."""
    cosine_mean: float
    """Mean over active latents of the largest cosine of their decoder row to any other row; NaN where none is."""
    cosine_median: float
    """Median of the same."""
    cosine_q95: float
    """95 % quantile of the same."""


class Latents(NamedTuple):
    """Every latent of one SAE on one set of samples; arrays (m,)."""

    n_active: NDArray[np.int64]
    """Samples on which it is active."""
    frequency: NDArray[np.float64]
    """Their share."""
    weight: NDArray[np.float64]
    """S: sum of its values."""
    norm: NDArray[np.float32]
    """Length of its decoder row."""
    nearest: NDArray[np.int64]
    """The latent with the most similar decoder row; -1 where there is none."""
    cosine: NDArray[np.float32]
    """Cosine of the two rows; NaN where there is none."""


class Diagnosis(NamedTuple):
    """An SAE as a whole and latent by latent."""

    quality: Quality
    latents: Latents


def quality(
    sae: TopKSAE,
    activations: NDArray[np.floating],
    features: SparseFeatures,
    *,
    rows: NDArray[np.int64] | None = None,
    measured_against: Baseline | None = None,
) -> Quality:
    """Return the quality of an SAE on activations (N, d) with the features it recorded on them; see `diagnose`."""
    return diagnose(sae, activations, features, rows=rows, measured_against=measured_against).quality


def diagnose(
    sae: TopKSAE,
    activations: NDArray[np.floating],
    features: SparseFeatures,
    *,
    rows: NDArray[np.int64] | None = None,
    measured_against: Baseline | None = None,
) -> Diagnosis:
    """Return the quality of an SAE on activations (N, d) with the features it recorded on them, and its latents.

    Arguments and errors are those of `reconstruction`.
    """
    rebuilt = reconstruction(sae, activations, features, rows=rows, measured_against=measured_against)
    found = _latents(sae, features)
    active = found.n_active > 0
    cosines = found.cosine[active & np.isfinite(found.cosine)].astype(np.float64)
    middle, high = np.quantile(cosines, [0.5, 0.95]) if len(cosines) else (np.nan, np.nan)
    summary = Quality(
        fvu=rebuilt.fvu,
        explained_variance=rebuilt.explained_variance,
        offset=rebuilt.offset,
        pca_fvu=rebuilt.pca_fvu,
        l0=float(found.n_active.sum() / len(features)),
        dead=float(1 - active.mean()),
        rare=float((active & (found.n_active < RARE)).mean()),
        weight_cv=float(found.weight.std() / found.weight.mean()) if active.any() else float("nan"),
        cosine_mean=float(cosines.mean()) if len(cosines) else float("nan"),
        cosine_median=float(middle),
        cosine_q95=float(high),
    )
    return Diagnosis(summary, found)


def _latents(sae: TopKSAE, features: SparseFeatures) -> Latents:
    count = np.bincount(features.indices[features.values > 0], minlength=sae.n_latents)
    near = nearest_rows(sae.W_dec)
    return Latents(
        n_active=count,
        frequency=count / len(features),
        weight=features.weights,
        norm=sae.W_dec.detach().norm(dim=1).float().cpu().numpy(),
        nearest=near.row,
        cosine=near.cosine,
    )


def density_histogram(frequency: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return how many latents' frequencies (m,) lie in each bin of log10 between `EDGES`; dead ones lie in none.

    Frequencies below the first edge count in the first bin.
    """
    logs = np.log10(frequency[frequency > 0], dtype=np.float64)
    return np.histogram(logs.clip(EDGES[0], EDGES[-1]), EDGES)[0].astype(np.int64)
