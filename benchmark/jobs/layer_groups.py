"""Which SAEs train at a time: as many as fit a memory budget, since each takes four times its weights."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
BYTES = 16
"""Of a parameter in training: its float32 value, its gradient and Adam's two moments."""


def training_bytes(width: int, n_latents: int, *, early_stop: bool = False) -> int:
    """Return the bytes that one SAE keeps in training: encoder and decoder (m, d) and b_dec (d,).

    With an early stop, the best weights so far are kept as well.
    """
    return (BYTES + 4 * early_stop) * (2 * n_latents * width + width)


def layer_groups(sizes: Mapping[Key, int], budget: int) -> list[list[Key]]:
    """Split layers (or seeds), in their order, into runs whose `sizes` add up to at most `budget` bytes.

    What is larger than the budget by itself forms a group of its own: it is tried, not refused.
    """
    groups: list[list[Key]] = []
    left = 0
    for key, size in sizes.items():
        if not groups or size > left:
            groups.append([])
            left = budget
        groups[-1].append(key)
        left -= size
    return groups
