"""The MLflow loader of a registered TopK SAE: NumPy and safetensors only, so that it runs anywhere without pickle.

This one file travels with every model; it imports nothing of the project.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

ROWS = 4096


class TopKSAEModel:
    """Encoder of a TopK SAE over float32 activations."""

    def __init__(self, folder: Path):
        self.k = int(json.loads((folder / "config.json").read_text())["k"])
        weights = load_file(folder / "model.safetensors")
        self.w_enc, self.b_dec = weights["W_enc"], weights["b_dec"]
        self.b_enc = weights.get("b_enc", np.float32(0))  # most SAEs have none

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> dict[str, np.ndarray]:
        """Return {"indices": (N, k) int64, "values": (N, k) float32 >= 0} for (N, d), strongest latent first."""
        x = np.asarray(model_input, np.float32)
        if x.ndim != 2 or x.shape[1] != len(self.b_dec):
            raise ValueError(f"expected activations of shape (N, {len(self.b_dec)}), got {x.shape}.")
        if not np.isfinite(x).all():
            raise ValueError("activations must be finite.")
        indices = np.empty((len(x), self.k), np.int64)
        values = np.empty((len(x), self.k), np.float32)
        for start in range(0, len(x), ROWS):
            rows = slice(start, start + ROWS)
            scores = (x[rows] - self.b_dec) @ self.w_enc.T
            scores += self.b_enc
            top = np.argpartition(-scores, self.k - 1, axis=1)[:, : self.k]
            order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
            indices[rows] = np.take_along_axis(top, order, 1)
            values[rows] = np.maximum(np.take_along_axis(scores, indices[rows], 1), 0)
        return {"indices": indices, "values": values}


def _load_pyfunc(path: str) -> TopKSAEModel:
    return TopKSAEModel(Path(path))
