"""Training: many SAEs advance together over one stream of activation batches.

The trainer knows nothing of datasets, encoders or tracking. An SAE trained beside others ends with the weights that
it gets alone: each has its own initial weights and its own order of samples.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmark.sae.settings import TrainConfig
from benchmark.sae.topk import TopKSAE

Key = TypeVar("Key", bound=Hashable)
CHUNK = 1024
"""Rows whose tokens are in memory at a time."""


def train(
    saes: Mapping[Key, TopKSAE], batches: Iterable[Mapping[Key, torch.Tensor]], config: TrainConfig
) -> dict[Key, NDArray[np.float32]]:
    """Train each SAE on its own batch of every step that has one; returns each one's loss curve (its steps,).

    The loss is the mean squared error of the reconstruction, per dimension. Raises ValueError when an activation or a
    loss is not finite, naming the SAE's key and the step.
    """
    adams = {key: torch.optim.Adam(sae.parameters(), lr=config.learning_rate, fused=True) for key, sae in saes.items()}
    losses: dict[Key, list[torch.Tensor]] = {key: [] for key in saes}
    for step, batch in enumerate(batches):
        for key, rows in batch.items():
            sae = saes[key]
            x = rows.to(sae.W_enc)
            adams[key].zero_grad()
            loss = F.mse_loss(sae(x), x)
            if not torch.isfinite(loss):
                wrong = "loss" if torch.isfinite(x).all() else "activation"
                raise ValueError(f"SAE {key}: the {wrong} is not finite at step {step}.")
            loss.backward()
            adams[key].step()
            losses[key].append(loss.detach())
    return {
        key: torch.stack(curve).cpu().numpy() if curve else np.empty(0, np.float32) for key, curve in losses.items()
    }


def shuffled_batches(
    activations: Mapping[int, NDArray[np.float32]],
    rows: NDArray[np.int64],
    order_seeds: Mapping[int, int],
    config: TrainConfig,
    *,
    tokens: Mapping[int, NDArray[np.float32]] | None = None,
    counts: Mapping[int, NDArray[np.int32]] | None = None,
) -> Iterator[dict[tuple[int, int], torch.Tensor]]:
    """Yield batches {(layer, seed): (batch, d)} of some rows of each layer's activations.

    A layer's items are the global vectors of the rows (`activations`, (N, d)) and, with `tokens` (N, S, d), the first
    `counts` (N,) of each row's tokens. Every seed draws its own order of them in every epoch; layers of a seed with
    the same counts see the same order, which depends on nothing that trains beside them. The last, smaller batch of an
    epoch is kept; a layer with fewer items than another has no batch in the last steps of each epoch.
    """
    pools = _pools(activations, tokens or {}, counts or {}, rows)
    orders = [{seed: np.random.default_rng(order_seed) for seed, order_seed in order_seeds.items()} for _ in pools]
    for _ in range(config.epochs):
        shuffled = [
            {seed: rng.permutation(pool.items) for seed, rng in order.items()}
            for pool, order in zip(pools, orders, strict=True)
        ]
        for start in range(0, max(len(pool.items) for pool in pools), config.batch_size):
            yield {
                (layer, seed): torch.from_numpy(pool.read(layer, order[start : start + config.batch_size]))
                for pool, order_of in zip(pools, shuffled, strict=True)
                if start < len(pool.items)
                for layer in pool.activations
                for seed, order in order_of.items()
            }


class _Pool(NamedTuple):
    """The layers that have the same items."""

    activations: dict[int, NDArray[np.float32]]
    tokens: dict[int, NDArray[np.float32]]
    slots: int
    """1 for the global vector and 1 for each token stored."""
    items: NDArray[np.int64]
    """row * slots + slot; slot 0 is the global vector, slot i token i - 1."""

    def read(self, layer: int, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of some items, (n, d), in their order."""
        if self.slots == 1:
            return np.asarray(self.activations[layer][chosen])
        rows, slots = np.divmod(chosen, self.slots)
        x = np.empty((len(chosen), self.activations[layer].shape[1]), np.float32)
        is_token = slots > 0
        x[~is_token] = self.activations[layer][rows[~is_token]]
        x[is_token] = self.tokens[layer][rows[is_token], slots[is_token] - 1]
        return x


def _pools(
    activations: Mapping[int, NDArray[np.float32]],
    tokens: Mapping[int, NDArray[np.float32]],
    counts: Mapping[int, NDArray[np.int32]],
    rows: NDArray[np.int64],
) -> list[_Pool]:
    pools: dict[tuple[int, bytes], _Pool] = {}
    for layer, array in activations.items():
        slots = 1 + (tokens[layer].shape[1] if layer in tokens else 0)
        stored = np.asarray(counts[layer])[rows] if layer in tokens else np.zeros(len(rows), np.int32)
        key = slots, stored.tobytes()
        if key not in pools:
            real = np.arange(slots) <= stored[:, None]
            pools[key] = _Pool({}, {}, slots, (rows[:, None] * slots + np.arange(slots))[real])
        pools[key].activations[layer] = array
        if layer in tokens:
            pools[key].tokens[layer] = tokens[layer]
    return list(pools.values())


def mean(
    array: NDArray[np.float32],
    rows: NDArray[np.int64],
    tokens: NDArray[np.float32] | None = None,
    counts: NDArray[np.int32] | None = None,
) -> NDArray[np.float64]:
    """Return the mean (d,) of what `shuffled_batches` shows of one layer: some rows' global vectors and tokens."""
    if tokens is None or counts is None:
        return np.asarray(array[rows]).mean(0, dtype=np.float64)
    total, slot = np.zeros(array.shape[1]), np.arange(tokens.shape[1])
    for start in range(0, len(rows), CHUNK):
        chosen = rows[start : start + CHUNK]
        real = slot < np.asarray(counts[chosen])[:, None]
        total += np.asarray(array[chosen]).sum(0, dtype=np.float64)
        total += np.asarray(tokens[chosen])[real].sum(0, dtype=np.float64)
    return total / n_items(rows, [counts])


def n_items(rows: NDArray[np.int64], counts: Iterable[NDArray[np.int32]] = ()) -> int:
    """Return the most vectors that any layer shows in an epoch: one of each row, and `counts` (N,) tokens."""
    return len(rows) + max((int(np.asarray(stored)[rows].sum()) for stored in counts), default=0)


def steps(n_items: int, config: TrainConfig) -> int:
    """Return the number of batches that `shuffled_batches` yields."""
    return config.epochs * -(-n_items // config.batch_size)
