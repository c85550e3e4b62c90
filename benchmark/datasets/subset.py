"""Subsets of a dataset: whole groups, drawn by hash."""

from collections.abc import Sequence
from typing import Protocol

from benchmark.datasets.hashing import position
from benchmark.errors import InputError


class Grouped(Protocol):
    """Anything with the key of a group."""

    @property
    def group(self) -> str:
        """The group's key."""
        ...


def whole_groups(entries: Sequence[Grouped], count: int, salt: str, name: str) -> list[int]:
    """Return the places of at most `count` of `entries`: whole groups in the order of their keys' hash with `salt`.

    The choice is unbiased, keeps the entries' order, and contains every smaller one with the same salt. Raises
    InputError, naming the dataset, if not even the first group fits.
    """
    members: dict[str, list[int]] = {}
    for i, entry in enumerate(entries):
        members.setdefault(entry.group, []).append(i)
    kept: list[int] = []
    for key in sorted(members, key=lambda key: (position(salt, key), key)):
        if len(kept) + len(members[key]) > count:
            break
        kept += members[key]
    if not kept:
        raise InputError(
            f"{name}: max_samples={count} is too small, because samples are taken in whole groups and the first group "
            f"holds {len(members[key])}; ask for at least that many."
        )
    return sorted(kept)
