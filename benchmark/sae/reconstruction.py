"""How much of the activations' variance a reconstruction leaves, beside what PCA leaves with as many components.

All sums are taken in float64 over the whole set of samples, block by block, so that memory-mapped arrays are never read
at once; no ratio is averaged over batches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.features import SparseFeatures
from benchmark.sae.topk import TopKSAE

BLOCK = 2048
"""Samples in memory at a time."""


@dataclass(frozen=True)
class Baseline:
    """What a reconstruction is measured against: the mean of a set of samples and how they lie around it."""

    n_samples: int
    mean: NDArray[np.float64]
    """(d,)"""
    eigenvalues: NDArray[np.float64]
    """(d,) of the scatter matrix (sum of squared distances from the mean along each axis), largest first; all 0 where
    all samples are equal."""

    def pca_fvu(self, k: int) -> float:
        """Return the FVU of the samples' own first k principal components; NaN for samples that are all equal.

        By Eckart and Young (1936) no linear code of k numbers a sample leaves less.
        """
        total = float(self.eigenvalues.sum())
        return float(self.eigenvalues[k:].sum()) / total if total else float("nan")


class Reconstruction(NamedTuple):
    """How well activations are reconstructed; every figure is NaN where all activations are equal."""

    fvu: float
    """Fraction of variance unexplained: squared error over squared distance from the mean; 1 predicts the mean."""
    explained_variance: float
    """1 - FVU, below 0 for what is worse than the mean."""
    offset: float
    """The part of the FVU that the error's mean makes up, N |mean(x - x_hat)|^2 over squared distance from the mean: a
    better b_dec alone would remove it."""
    pca_fvu: float
    """FVU of PCA with k components, fitted to the very samples it is measured on."""


def baseline(activations: NDArray[np.floating], rows: NDArray[np.int64] | None = None) -> Baseline:
    """Return the baseline of activations (N, d), or of some of their rows, in one pass.

    Raises ValueError for an empty set.
    """
    n, d = _length(activations, rows), activations.shape[1]
    if not n:
        raise ValueError("there is no sample to measure a reconstruction on (held out); use more samples.")
    # Distances from the first sample instead of from 0: exact for equal samples, no cancellation where means are large.
    first: NDArray[np.float64] | None = None
    total, scatter = np.zeros(d), np.zeros((d, d))
    for _, x in blocks(activations, rows):
        first = x[0].copy() if first is None else first
        x -= first
        total += x.sum(0)
        scatter += x.T @ x
    assert first is not None
    scatter -= np.outer(total, total) / n
    eigenvalues = np.linalg.eigvalsh(scatter)[::-1].clip(0)
    return Baseline(n, first + total / n, eigenvalues)


@torch.inference_mode()
def reconstruction(
    sae: TopKSAE,
    activations: NDArray[np.floating],
    features: SparseFeatures,
    *,
    rows: NDArray[np.int64] | None = None,
    measured_against: Baseline | None = None,
) -> Reconstruction:
    """Return how well an SAE's decoder rebuilds activations from the features it recorded on them.

    Args:
        sae: the SAE.
        activations: (N, d), also memory-mapped.
        features: of the same samples; of `rows` of them where given, in that order.
        rows: positions in `activations`; None: all.
        measured_against: `baseline(activations, rows)`, where several SAEs share it; None: computed here.

    Raises:
        ValueError: features, activations and SAE do not fit each other, or there is no sample.
    """
    n = _length(activations, rows)
    if (n, activations.shape[1], features.n_latents) != (len(features), sae.d, sae.n_latents):
        raise ValueError(
            f"activations of {n} samples and width {activations.shape[1]} and features of {features.n_latents} latents "
            f"on {len(features)} samples do not fit an SAE with d = {sae.d} and {sae.n_latents} latents."
        )
    base = measured_against or baseline(activations, rows)
    device = "cpu" if sae.W_dec.device.type == "mps" else sae.W_dec.device  # MPS has no float64
    decoder, bias = (part.detach().to(device, torch.float64) for part in (sae.W_dec, sae.b_dec))
    mean = torch.from_numpy(base.mean).to(device)
    error = variance = torch.zeros((), dtype=torch.float64, device=device)
    offset = torch.zeros(sae.d, dtype=torch.float64, device=device)
    for part, block in blocks(activations, rows):
        x = torch.from_numpy(block).to(device)
        values = torch.from_numpy(features.values[part].astype(np.float64)).to(device)
        indices = torch.from_numpy(features.indices[part].astype(np.int64)).to(device)
        decoded = torch.nn.functional.embedding_bag(indices, decoder, mode="sum", per_sample_weights=values)
        residual = x - (decoded + bias)
        error = error + residual.square().sum()
        variance = variance + (x - mean).square().sum()
        offset += residual.sum(0)
    total = float(variance)
    if not total:
        return Reconstruction(*[float("nan")] * 4)
    fvu = float(error) / total
    return Reconstruction(fvu, 1 - fvu, float(offset.square().sum()) / n / total, base.pca_fvu(sae.k))


def blocks(activations: NDArray[Any], rows: NDArray[np.int64] | None) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield the positions and a float64 copy of the activations of `BLOCK` samples at a time."""
    for start in range(0, _length(activations, rows), BLOCK):
        part = slice(start, start + BLOCK)
        yield part, np.array(activations[part if rows is None else rows[part]], np.float64)


def _length(activations: NDArray[Any], rows: NDArray[np.int64] | None) -> int:
    return len(activations) if rows is None else len(rows)
