"""The TopK sparse autoencoder."""

from collections.abc import Iterator
from typing import Any, Literal, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.features import DenseFeatures, Features, SparseFeatures
from benchmark.sae.codes import top_codes
from benchmark.sae.products import weighted_rows
from benchmark.sae.step import reconstruct

CODES = ("topk", "relu")
"""What can be recorded: the k most active latents of a sample, or all of them."""
RECORD = 8192
"""Samples recorded at a time."""


class TopKSAE(nn.Module):
    """x_hat = b_dec + sum over the k most active latents of ReLU(W_enc (x - b_dec) + b_enc)_i W_dec_i.

    The form of arXiv 2507.18512 unless told otherwise: no encoder bias; the encoder starts kaiming-uniform, the
    decoder as its copy with rows of length 1, b_dec at 0.

    Args:
        d: width of the input.
        n_latents: m, size of the dictionary.
        k: active latents a sample.
        seed: seed of the initial weights; None: torch's global generator.
        encoder_bias: whether there is a `b_enc` (m,), which starts at 0; otherwise `b_enc` is None and no state dict
            has such a key.

    Raises:
        ValueError: a size is below 1 or k is larger than the dictionary.
    """

    b_enc: nn.Parameter | None
    screen: bool | None = None
    """Whether bfloat16 products choose the candidates that are then scored in float32 (see `codes`); None: where that
    is faster. A setting of this process, not of the dictionary: no file holds it."""

    def __init__(self, d: int, n_latents: int, k: int, *, seed: int | None = None, encoder_bias: bool = False):
        super().__init__()
        if min(d, n_latents, k) < 1:
            raise ValueError(f"d, n_latents and k must be at least 1, got {d}, {n_latents}, {k}.")
        if k > n_latents:
            raise ValueError(f"k = {k} is larger than the dictionary of {n_latents} latents; lower k.")
        self.d, self.n_latents, self.k = d, n_latents, k
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        weight = torch.empty(n_latents, d)
        nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)
        self.W_enc = nn.Parameter(weight)
        self.W_dec = nn.Parameter(F.normalize(weight, dim=1))
        self.b_dec = nn.Parameter(torch.zeros(d))
        self.register_parameter("b_enc", nn.Parameter(torch.zeros(n_latents)) if encoder_bias else None)

    def centred(self, mean: NDArray[np.floating] | None) -> "TopKSAE":
        """Start b_dec at a mean (d,), or leave it where it is for None; returns the SAE itself."""
        if mean is not None:
            with torch.no_grad():
                self.b_dec.copy_(torch.from_numpy(np.asarray(mean)))
        return self

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return values (N, k) >= 0 and latent indices (N, k) for x (N, d); value 0 is an empty slot."""
        return top_codes(x, self.W_enc, self.b_dec, self.k, self.b_enc, screen=self.screen)

    def decode(self, values: Tensor, indices: Tensor) -> Tensor:
        """Return the reconstruction (N, d) of codes (N, k)."""
        return weighted_rows(indices, values, self.W_dec) + self.b_dec

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction of x (N, d); its backward pass is the exact sparse step."""
        return reconstruct(x, self.W_enc, self.W_dec, self.b_dec, self.b_enc, self.k, self.screen)

    @overload
    def features(
        self, x: Tensor | NDArray[Any], samples: str = "", groups: NDArray[np.int64] | None = None
    ) -> SparseFeatures: ...

    @overload
    def features(
        self,
        x: Tensor | NDArray[Any],
        samples: str = "",
        groups: NDArray[np.int64] | None = None,
        *,
        codes: Literal["relu"],
    ) -> DenseFeatures: ...

    @overload
    def features(
        self, x: Tensor | NDArray[Any], samples: str = "", groups: NDArray[np.int64] | None = None, *, codes: str
    ) -> Features: ...

    @torch.inference_mode()
    def features(
        self,
        x: Tensor | NDArray[Any],
        samples: str = "",
        groups: NDArray[np.int64] | None = None,
        *,
        codes: str = "topk",
    ) -> Features:
        """Record the codes of x (N, d), an array (also memory-mapped) or tensor, a block of samples at a time.

        Args:
            x: activations.
            samples, groups: those of `SparseFeatures`.
            codes: "topk" for `SparseFeatures`; "relu" for `DenseFeatures`, the (N, m) activations of all latents before
                the k largest are chosen, as the authors' code records them.

        Raises:
            ValueError: the input is not (N, d) or not finite, or `codes` is neither.
        """
        if codes not in CODES:
            raise ValueError(f"codes must be one of {', '.join(CODES)}, got '{codes}'.")
        if x.ndim != 2 or x.shape[1] != self.d:
            raise ValueError(f"expected activations of shape (N, {self.d}), got {tuple(x.shape)}.")
        if codes == "relu":
            array = np.empty((len(x), self.n_latents), np.float32)
            for rows, block in self._blocks(x):
                array[rows] = F.linear(block - self.b_dec, self.W_enc, self.b_enc).relu_().float().cpu()
            array.flags.writeable = False  # the features take it over instead of copying it
            return DenseFeatures(array, samples, groups)
        values, indices = np.empty((len(x), self.k), np.float32), np.empty((len(x), self.k), np.int32)
        for rows, block in self._blocks(x):
            v, i = self.encode(block)
            values[rows], indices[rows] = v.float().cpu(), i.int().cpu()
        return SparseFeatures(indices, values, self.n_latents, samples, groups)

    def _blocks(self, x: Tensor | NDArray[Any]) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, len(x), RECORD):
            rows = slice(start, start + RECORD)
            part = x[rows]
            block = (part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))).to(self.W_enc)
            finite = torch.isfinite(block).all(1)
            if not bool(finite.all()):
                raise ValueError(f"the activation of sample {start + int((~finite).nonzero()[0])} is not finite.")
            yield rows, block
