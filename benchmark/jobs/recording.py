"""What a train run keeps of an SAE beside its weights: features, those before training, lengths of decoder rows."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.datasets import PairedDataset
from benchmark.features import Features, SparseFeatures
from benchmark.sae import TopKSAE
from registry.queries import feature_path


def record(
    sae: TopKSAE,
    activations: NDArray[np.float32],
    dataset: PairedDataset,
    codes: str,
    folder: Path,
    layer: int,
    *,
    untrained: TopKSAE | None = None,
) -> SparseFeatures:
    """Write an SAE's features on a layer's activations (N, d), and those of it before training; return its TopK codes.

    `codes` are those of `TopKSAE.features`. Values are rounded once, before anything sees them.
    """
    kept: Features
    topk = kept = sae.features(activations, dataset.fingerprint, dataset.groups).rounded()
    if codes != "topk":
        kept = sae.features(activations, dataset.fingerprint, dataset.groups, codes=codes).rounded()
    kept.save(folder / feature_path(layer))
    del kept  # (N, m) without TopK
    if untrained is not None:
        initial = untrained.features(activations, dataset.fingerprint, dataset.groups, codes=codes).rounded()
        initial.save(folder / feature_path(layer, untrained=True))
    norms = folder / norms_path(layer)
    norms.parent.mkdir(exist_ok=True)
    np.save(norms, sae.W_dec.detach().norm(dim=1).cpu().numpy())
    return topk


def norms_path(layer: int) -> str:
    """Return the artifact path of the lengths (m,) of the rows of a layer's decoder within a train run."""
    return f"decoder_norms/L{layer:02d}.npy"


def is_complete(folder: Path, layers: list[int], *, untrained: bool) -> bool:
    """Whether a train run's artifacts hold all that a comparison reads; a run of an older version may not."""
    wanted = [norms_path(layer) for layer in layers]
    if untrained:
        wanted += [feature_path(layer, untrained=True) for layer in layers]
    return all((folder / name).is_file() for name in wanted)
