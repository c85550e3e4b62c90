"""Which tokens of a sample train the SAEs beside its global vector, when not all of them can be stored."""

import hashlib
from collections.abc import Sequence

import torch

# Weyl increment and multipliers of SplitMix64 (Steele, Lea and Flood 2014), as signed 64-bit integers.
STEP, FIRST, SECOND = (
    value - (1 << 64) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)  # fmt: skip
LAST = torch.iinfo(torch.int64).max


def id_keys(ids: Sequence[str]) -> torch.Tensor:
    """Return a 64-bit hash of each sample id, (N,) int64."""
    digests = [hashlib.blake2b(id_.encode("utf-8", "surrogatepass"), digest_size=8).digest() for id_ in ids]
    return torch.tensor([int.from_bytes(digest, "little", signed=True) for digest in digests], dtype=torch.int64)


def draw(keys: torch.Tensor, allowed: torch.Tensor, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw up to `most` of each sample's allowed positions, uniformly and without replacement.

    keys: (B,) from `id_keys`; allowed: (B, T) bool. Returns positions (B, most) and counts (B,), both int64; the first
    counts[b] positions of row b are the drawn ones, the others mean nothing. The draw depends only on the sample's id
    and on how many positions are allowed, so neither on batch, padding, device or layer: the i-th allowed position
    gets the i-th number of the sample's own SplitMix64 stream, and the lowest numbers win.
    """
    rank = allowed.long().cumsum(1)
    numbers = torch.where(allowed, _split_mix(keys[:, None] + rank * STEP), LAST)
    positions = numbers.argsort(dim=1, stable=True)[:, :most]
    missing = most - positions.shape[1]
    return torch.nn.functional.pad(positions, (0, max(missing, 0))), allowed.sum(1).clamp(max=most)


def take(tokens: torch.Tensor, positions: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the drawn tokens (B, S, d) of (B, T, d), with zeros where fewer than S were drawn."""
    drawn = tokens[torch.arange(len(tokens), device=tokens.device)[:, None], positions]
    filled = torch.arange(positions.shape[1], device=tokens.device) < counts[:, None]
    return torch.where(filled[:, :, None], drawn, 0)  # what is left out may be NaN: replaced, not multiplied by 0


def _split_mix(state: torch.Tensor) -> torch.Tensor:
    """Return the 63-bit, never negative output of SplitMix64; products wrap around as they must."""
    mixed = (state ^ _shift(state, 30)) * FIRST
    mixed = (mixed ^ _shift(mixed, 27)) * SECOND
    return _shift(mixed ^ _shift(mixed, 31), 1)


def _shift(value: torch.Tensor, bits: int) -> torch.Tensor:
    """Shift right, filling with zeros: the integers are meant unsigned."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)
