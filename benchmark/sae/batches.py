"""Shuffled batches of stored activations, and what of them is drawn to prepare training."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.sae.settings import TrainConfig

CHUNK = 1024
"""Rows whose tokens are in memory at a time."""


def shuffled_batches(
    activations: Mapping[int, NDArray[np.float32]],
    rows: NDArray[np.int64],
    order_seeds: Mapping[int, int],
    config: TrainConfig,
    *,
    tokens: Mapping[int, NDArray[np.float32]] | None = None,
    counts: Mapping[int, NDArray[np.int32]] | None = None,
    skip: int = 0,
) -> Iterator[dict[tuple[int, int], torch.Tensor]]:
    """Yield batches {(layer, seed): (batch, d)} of some rows of each layer's activations, without the first `skip`.

    A layer's items are the global vectors of the rows (`activations`, (N, d)) and, with `tokens` (N, S, d), the first
    `counts` (N,) of each row's tokens. Every seed draws its own order of them in every epoch; layers of a seed with
    the same counts see the same order, which depends on nothing that trains beside them. The last, smaller batch of an
    epoch is kept; a layer with fewer items than another has no batch in the last steps of each epoch.
    """
    pools = _pools(activations, tokens or {}, counts or {}, rows)
    for chosen in _choices(pools, order_seeds, config, skip):
        yield {
            (layer, seed): torch.from_numpy(pool.read(layer, items))
            for pool, of_seed in chosen
            for layer in pool.activations
            for seed, items in of_seed.items()
        }


def row_not_finite(
    activations: Mapping[int, NDArray[np.float32]],
    rows: NDArray[np.int64],
    order_seeds: Mapping[int, int],
    config: TrainConfig,
    key: tuple[int, int],
    step: int,
    *,
    tokens: Mapping[int, NDArray[np.float32]] | None = None,
    counts: Mapping[int, NDArray[np.int32]] | None = None,
) -> int | None:
    """Return which row of the activations was not finite in a step of `shuffled_batches`; None if all are finite.

    `key` is the (layer, seed) whose batch it was; the other arguments are those that made the batches.
    """
    layer, seed = key
    pools = _pools(activations, tokens or {}, counts or {}, rows)
    for pool, of_seed in next(_choices(pools, order_seeds, config, step), []):
        if layer in pool.activations:
            wrong = ~np.isfinite(pool.read(layer, of_seed[seed])).all(1)
            return int(of_seed[seed][wrong.argmax()] // pool.slots) if wrong.any() else None
    return None


def draw(
    array: NDArray[np.float32],
    rows: NDArray[np.int64],
    size: int,
    *,
    tokens: NDArray[np.float32] | None = None,
    counts: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return at most `size` of the vectors that `shuffled_batches` shows of one layer, (n, d), and their rows (n,).

    All of them where they are no more; else drawn without replacement, always the same ones. In their stored order.
    """
    stored = ({0: tokens}, {0: counts}) if tokens is not None and counts is not None else ({}, {})
    (pool,) = _pools({0: array}, *stored, rows)
    items = pool.items
    if len(items) > size:
        items = np.sort(np.random.default_rng(0).choice(items, size, replace=False))
    return pool.read(0, items), items // pool.slots


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
    """Return the number of batches in which `shuffled_batches` shows so many items of a layer in all epochs."""
    return config.epochs * -(-n_items // config.batch_size)


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


def _choices(
    pools: list[_Pool], order_seeds: Mapping[int, int], config: TrainConfig, skip: int
) -> Iterator[list[tuple[_Pool, dict[int, NDArray[np.int64]]]]]:
    """Yield which items of each pool every seed is shown in each step; pools that have none left are left out."""
    orders = [{seed: np.random.default_rng(order_seed) for seed, order_seed in order_seeds.items()} for _ in pools]
    longest = max(len(pool.items) for pool in pools)
    for epoch in range(config.epochs):
        shuffled = [
            {seed: rng.permutation(pool.items) for seed, rng in order.items()}
            for pool, order in zip(pools, orders, strict=True)
        ]
        done = max(skip - epoch * -(-longest // config.batch_size), 0)
        for start in range(done * config.batch_size, longest, config.batch_size):
            yield [
                (pool, {seed: order[start : start + config.batch_size] for seed, order in order_of.items()})
                for pool, order_of in zip(pools, shuffled, strict=True)
                if start < len(pool.items)
            ]
