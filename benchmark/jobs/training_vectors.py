"""What trains an encoder's SAEs, as `train_in_groups` asks for it, and the part of it that decides when to stop."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.jobs.activation_cache import Activations
from benchmark.sae import NotFinite, TopKSAE, TrainConfig, shuffled_batches, steps
from benchmark.sae.batches import draw, mean, n_items, row_not_finite
from benchmark.sae.preparation import SAMPLE

VALIDATION, MOST = 0.1, 4096
"""Share of the training groups, and most samples, that decide when to stop early instead of training."""


class TrainingVectors(Protocol):
    """The vectors that train an encoder's SAEs; what a layer and seed get does not depend on what trains beside."""

    def steps(self, layer: int) -> int:
        """Return the number of a layer's batches in all epochs."""

    def held_bytes(self, layer: int) -> int:
        """Return the bytes of memory that a layer's vectors take while its batches are given out."""

    def means(self, layers: Sequence[int]) -> dict[int, NDArray[np.float64]]:
        """Return the mean (d,) of each layer's vectors, or of many of them."""

    def start_vectors(self, layers: Sequence[int]) -> Iterable[tuple[int, NDArray[np.float32]]]:
        """Yield (layer, (n, d)): vectors on which b_dec and the scale of each layer can be estimated.

        Raises ValueError, naming encoder, layer and sample, for one that is not finite.
        """

    def batches(
        self, layers: Sequence[int], orders: Mapping[int, int], skip: int
    ) -> Iterator[Mapping[tuple[int, int], torch.Tensor]]:
        """Yield {(layer, seed): (n, d)} of every step but the first `skip`; `orders` is {seed: seed of its order}."""

    def sample(self, error: NotFinite, layers: Sequence[int], orders: Mapping[int, int]) -> str | None:
        """Return the id of the sample whose activation was not finite in `batches` of these, if one was."""


@dataclass(frozen=True)
class StoredVectors:
    """Activations of one pass over the data: global vectors, and drawn tokens where they train."""

    encoder: str
    """Its name, for errors."""
    activations: Activations
    rows: NDArray[np.int64]
    """Samples that train."""
    config: TrainConfig
    ids: Sequence[str]
    """Of all samples."""

    def steps(self, layer: int) -> int:
        """Return the number of a layer's batches in all epochs."""
        counts = self.activations.counts
        return steps(n_items(self.rows, [counts[layer]] if counts else []), self.config)

    def held_bytes(self, layer: int) -> int:
        """Return 0: batches are read from memory-mapped files."""
        return 0

    def means(self, layers: Sequence[int]) -> dict[int, NDArray[np.float64]]:
        """Return the mean (d,) of each layer's vectors."""
        found = self.activations
        return {
            layer: mean(found.pooled[layer], self.rows, found.tokens.get(layer), found.counts.get(layer))
            for layer in layers
        }

    def start_vectors(self, layers: Sequence[int]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield (layer, (n, d)): a draw of all vectors; raises ValueError for one that is not finite."""
        found = self.activations
        for layer in layers:
            vectors, rows = draw(
                found.pooled[layer], self.rows, SAMPLE, tokens=found.tokens.get(layer), counts=found.counts.get(layer)
            )
            wrong = ~np.isfinite(vectors).all(1)
            if wrong.any():
                sample = self.ids[rows[wrong.argmax()]]
                raise ValueError(
                    f"encoder '{self.encoder}', layer {layer}, sample '{sample}': the activation is not finite."
                )
            yield layer, vectors

    def batches(
        self, layers: Sequence[int], orders: Mapping[int, int], skip: int
    ) -> Iterator[dict[tuple[int, int], torch.Tensor]]:
        """Yield shuffled batches; see `shuffled_batches`."""
        return shuffled_batches(
            self._pooled(layers), self.rows, orders, self.config,
            tokens=self.activations.tokens, counts=self.activations.counts, skip=skip,
        )  # fmt: skip

    def sample(self, error: NotFinite, layers: Sequence[int], orders: Mapping[int, int]) -> str | None:
        """Return the id of the sample whose activation was not finite."""
        row = row_not_finite(
            self._pooled(layers), self.rows, orders, self.config, error.key, error.step,
            tokens=self.activations.tokens, counts=self.activations.counts,
        )  # fmt: skip
        return None if row is None else str(self.ids[row])

    def _pooled(self, layers: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        return {layer: self.activations.pooled[layer] for layer in layers}


def held_back(rows: NDArray[np.int64], groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that train, and those that decide when to stop: a tenth of their groups, always the same ones.

    `groups` (N,) are those of all samples; no group is in both. A single group trains and decides.
    """
    own = groups[rows]
    every = np.unique(own)
    if len(every) < 2:
        return rows, rows
    chosen = np.random.default_rng(0).permutation(every)[: max(1, round(VALIDATION * len(every)))]
    deciding = np.isin(own, chosen)
    return rows[~deciding], rows[deciding][:MOST]


def evaluator(
    pooled: Mapping[int, NDArray[np.float32]], rows: NDArray[np.int64]
) -> Callable[[tuple[int, int], TopKSAE], float]:
    """Return a function of (layer, seed) and SAE: its mean squared error, per dimension, on rows' global vectors."""

    def evaluate(key: tuple[int, int], sae: TopKSAE) -> float:
        x = torch.from_numpy(np.asarray(pooled[key[0]][rows])).to(sae.W_enc)
        return torch.nn.functional.mse_loss(sae(x), x).item()

    return evaluate
