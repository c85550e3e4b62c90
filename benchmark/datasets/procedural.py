"""What the procedural datasets share: the form of a sample, and random draws that are the same on every machine."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.random import PCG64, SeedSequence

from benchmark.errors import InputError

Item = TypeVar("Item")
Weights = Mapping[str, Mapping[str, int]]


class ProceduralSample(NamedTuple):
    """One image-caption pair with its ground truth."""

    image: np.ndarray
    """uint8, (48, 48, 3), RGB."""
    caption: str
    factors: dict[str, str | int | bool]
    """The planted value of every factor, and `says_*`: whether the caption mentions it."""


class Draws:
    """Random integers that depend on (seed, index) only.

    Only the raw 64-bit output of PCG64 and integer arithmetic are used, so that no float library can change a draw.
    """

    def __init__(self, seed: int, index: int) -> None:
        """Start the draws of sample `index`. Raises InputError if either number is negative."""
        if seed < 0 or index < 0:
            raise InputError(f"procedural samples need a seed and an index of at least 0, not {seed} and {index}.")
        self._bits = PCG64(SeedSequence([seed, index]))
        self._words = iter(self._bits.random_raw(64).tolist())

    def below(self, n: int) -> int:
        """Return an integer in [0, n), uniform to within n / 2**32."""
        word = next(self._words, None)
        if word is None:
            self._words = iter(self._bits.random_raw(64).tolist())
            word = next(self._words)
        return ((word >> 32) * n) >> 32

    def chance(self, percent: int) -> bool:
        """Return True with a probability of `percent` in 100."""
        return self.below(100) < percent

    def one_of(self, items: Sequence[Item]) -> Item:
        """Return one of `items`, each equally likely."""
        return items[self.below(len(items))]

    def weighted(self, weights: Mapping[str, int]) -> str:
        """Return a key of `weights` with a probability proportional to its integer weight."""
        rest = self.below(sum(weights.values()))
        for value, weight in weights.items():
            rest -= weight
            if rest < 0:
                return value
        raise AssertionError("unreachable: the weights are positive")

    def grain(self, height: int, width: int) -> np.ndarray:
        """Return int32 noise, (height, width, 3), uniform over -128..127."""
        words = self._bits.random_raw(height * width * 3 // 8).astype("<u8")
        return words.view(np.uint8).astype(np.int32).reshape(height, width, 3) - 128


def shifted(weights: Weights, constant: Sequence[str], shift: int) -> Weights:
    """Return weights that make every second value of each factor `shift` times as frequent, but for `constant` ones."""
    return {
        name: values if name in constant else {
            value: weight * (shift if place % 2 else 1) for place, (value, weight) in enumerate(values.items())
        }
        for name, values in weights.items()
    }  # fmt: skip


@cache
def cosines() -> tuple[int, ...]:
    """Return round(cos(d degrees) * 2**14) for d in 0..359.

    The angle addition formula is iterated in 60-bit fixed point from a literal cosine and sine of one degree, so that
    no float enters.
    """
    cos_degree, sin_degree, unit = 999847695156391239, 17452406437283513, 10**18
    c, s, table = 1 << 60, 0, []
    for _ in range(360):
        table.append((c + (1 << 45)) >> 46)
        c, s = (c * cos_degree - s * sin_degree) // unit, (s * cos_degree + c * sin_degree) // unit
    return tuple(table)
