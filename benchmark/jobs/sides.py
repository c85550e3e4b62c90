"""The sides of a comparison: an encoder's recorded features under one seed, read when they are compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import InputError
from benchmark.features import Features, load_features
from benchmark.jobs.layer_groups import layer_groups

Side = tuple[str, int]
"""Encoder and seed."""
Layers = dict[int, Features]
"""Layer -> features, shallow to deep."""
GROWTH, COMPARED = 4, 10
"""Bytes that features and what is derived from them take in memory, at most, for each byte of their file: those that
wait, and those that are compared (`python perf/larger_than_memory.py`)."""


@dataclass(frozen=True)
class Recorded:
    """Files with the recorded features of one encoder and seed."""

    features: Mapping[int, Path]
    """Layer -> its file, shallow to deep."""
    n_samples: int
    norms: Mapping[int, Path] = field(default_factory=dict)
    """Layer -> a NumPy file with the lengths (m,) of its decoder's rows; without one they count as 1."""

    def only(self, layer: int) -> "Recorded":
        """Return the same without the files of other layers."""
        return replace(self, features={layer: self.features[layer]})

    def load(self, rows: NDArray[np.int64], min_count: int = 0) -> Layers:
        """Return the features of some samples, without those active on fewer than `min_count` of them.

        Raises InputError when a layer has no others.
        """
        found: Layers = {}
        for layer, path in self.features.items():
            taken = load_features(path).take(rows)
            found[layer] = taken.without_rare(min_count)
            if found[layer] is not taken and not found[layer].weights.any():
                raise InputError(
                    f"min_count = {min_count} leaves no feature of layer {layer}: none is active on as many of the "
                    f"{len(rows):,} compared samples; lower it or compare more samples."
                )
        return found

    def scaled(self, layers: Layers) -> Layers:
        """Return features of this side multiplied by the lengths of their decoder rows, the units of the activations.

        The product does not depend on how the SAE divides the scale of a latent between its code and its decoder row.
        """
        tiny = np.finfo(np.float32).tiny  # of a row that is 0, whose latent says nothing
        return {
            i: f.scaled(np.maximum(np.load(self.norms[i], allow_pickle=False), tiny)) if i in self.norms else f
            for i, f in layers.items()
        }

    def size(self, n_rows: int) -> int:
        """Return the bytes that the features of some samples take in memory, at most."""
        on_disk = sum(path.stat().st_size for path in self.features.values())
        return round(GROWTH * on_disk * n_rows / max(self.n_samples, 1))


def loaded_pairs(
    pairs: Sequence[tuple[Side, Side]],
    recorded: Mapping[Side, Recorded],
    rows: NDArray[np.int64],
    *,
    min_count: int,
    budget: int,
) -> Iterator[tuple[Side, Side, Layers, Layers]]:
    """Yield all pairs with the features of both sides on some samples, in the order of `in_blocks`.

    The features of no more than `budget` bytes are in memory at a time, what comparing a pair takes included, or those
    of two sides if they are larger.
    """
    sizes = {side: recorded[side].size(len(rows)) for side in dict.fromkeys(side for pair in pairs for side in pair)}
    largest = max((sizes[a] + sizes[b] for a, b in pairs), default=0)
    budget -= largest * (COMPARED - GROWTH) // GROWTH
    held: dict[Side, Layers] = {}
    for block in in_blocks(pairs, sizes, budget):
        wanted = {side for pair in block for side in pair}
        for side in set(held) - wanted:
            del held[side]
        for a, b in block:
            for side in (a, b):
                if side not in held:
                    held[side] = recorded[side].load(rows, min_count)
            yield a, b, held[a], held[b]


def in_blocks(
    pairs: Sequence[tuple[Side, Side]], sizes: Mapping[Side, int], budget: int
) -> Iterator[list[tuple[Side, Side]]]:
    """Yield the pairs in blocks whose sides take at most `budget` bytes together; all in one block if that fits.

    The sides are cut into groups of half the budget (one side by itself may be more), and a block is the pairs between
    two groups, or within one. The order keeps one group or the other from block to block.
    """
    if sum(sizes.values()) <= budget:
        yield list(pairs)
        return
    groups = layer_groups(sizes, budget // 2)
    group = {side: i for i, members in enumerate(groups) for side in members}
    blocks: dict[tuple[int, int], list[tuple[Side, Side]]] = {}
    for a, b in pairs:
        blocks.setdefault((min(group[a], group[b]), max(group[a], group[b])), []).append((a, b))
    for i in range(len(groups)):
        others = range(i, len(groups))
        for j in others if i % 2 == 0 else reversed(others):
            if (i, j) in blocks:
                yield blocks[i, j]
