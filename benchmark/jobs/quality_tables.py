"""What a train run keeps of the quality of its SAEs: a row of figures each, and tables of their latents."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark import report
from benchmark.features import SparseFeatures

if TYPE_CHECKING:
    from benchmark.sae import TopKSAE, TrainingLog
    from benchmark.sae.reconstruction import Baseline


class QualityTables:
    """The quality of one seed's SAEs on some samples, layer by layer."""

    def __init__(self, rows: NDArray[np.int64], baselines: "Mapping[int, Baseline]") -> None:
        """Take the samples (positions) and each layer's `baseline` on them, which all seeds share."""
        self.rows, self.baselines = rows, baselines
        self._latents: list[pd.DataFrame] = []
        self._densities: list[pd.DataFrame] = []

    def add(
        self,
        layer: int,
        sae: "TopKSAE",
        activations: NDArray[np.float32],
        features: SparseFeatures,
        log: "TrainingLog",
    ) -> dict[str, float]:
        """Measure an SAE on a layer's activations (N, d) with its features on all N samples; return its figures.

        They are the fields of `Quality`, and `loss_fall`.
        """
        from benchmark.sae.diagnostics import EDGES, density_histogram, diagnose
        from benchmark.sae.signatures import loss_fall

        found = diagnose(
            sae, activations, features.take(self.rows), rows=self.rows, measured_against=self.baselines[layer]
        )
        small = {np.dtype(np.int64): np.int32, np.dtype(np.float64): np.float32}
        columns = {name: array.astype(small.get(array.dtype, array.dtype))
                   for name, array in found.latents._asdict().items()}  # fmt: skip
        self._latents.append(pd.DataFrame({"layer": layer, "latent": np.arange(sae.n_latents), **columns}))
        self._densities.append(
            pd.DataFrame({
                "layer": layer, "log10_low": EDGES[:-1], "log10_high": EDGES[1:],
                "latents": density_histogram(found.latents.frequency),
            })
        )  # fmt: skip
        return found.quality._asdict() | {"loss_fall": loss_fall(log.loss, log.learning_rate)}

    def write(self, folder: Path) -> None:
        """Write `latents.parquet`, and `densities` as CSV and Parquet."""
        pd.concat(self._latents, ignore_index=True).to_parquet(folder / "latents.parquet", index=False)
        report.write(pd.concat(self._densities, ignore_index=True), folder / "densities")
