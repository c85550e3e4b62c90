"""Paired samples in a fixed order: the one form in which encoders and metrics see a dataset."""

import operator
import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from benchmark.datasets.hashing import digest_all, position
from benchmark.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image


class Sample(NamedTuple):
    """One image-caption pair."""

    id: str
    group: int
    """Samples of one image share a group."""
    image: "Image.Image"
    """RGB, upright."""
    caption: str
    """Untrusted text: escape it wherever it is shown."""


class Images(Protocol):
    """Where a dataset's images come from; safe to use from several threads."""

    def image(self, row: int) -> "Image.Image":
        """Return the RGB image of source row `row`. Raises WorkError if it changed since the scan."""
        ...


class Entry(NamedTuple):
    """What is known of a sample without its image."""

    row: int
    """Row of the source."""
    id: str
    group: str
    """Key of the sample's group."""
    caption: str
    hash: str
    """Hash of the image's bytes (procedural: of its pixels)."""


class PairedDataset:
    """Readable image-caption pairs in a fixed order; images are decoded on access.

    `len(dataset)` counts the samples and `dataset[i]` is sample i (negative i from the end; IndexError beyond).
    Reading is safe from several threads. Raises WorkError where an image changed since the dataset was scanned.
    """

    def __init__(
        self,
        name: str,
        entries: Sequence[Entry],
        images: Images,
        left_out: Sequence[tuple[str, str]] = (),
        factors: "pd.DataFrame | None" = None,
    ) -> None:
        """Pair `entries` with their `images`; `factors` has one row per entry, in the same order."""
        self.name = slug(name)
        """Letters, digits, `-` and `_` only."""
        self.left_out = list(left_out)
        """(id, reason) of every sample of the source that has no readable image or no caption."""
        self.factors = factors
        """Planted factors of each sample, row-aligned (procedural datasets), else None."""
        self._entries = entries
        self._images = images

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, i: int) -> Sample:
        entry = self._entries[operator.index(i)]
        return Sample(entry.id, int(self.groups[i]), self._images.image(entry.row), entry.caption)

    def __repr__(self) -> str:
        return f"PairedDataset({self.name!r}, {len(self)} samples, {len(self.left_out)} left out)"

    @cached_property
    def ids(self) -> list[str]:
        """The unique id of each sample."""
        return [entry.id for entry in self._entries]

    def captions(self) -> list[str]:
        """Return the caption of each sample, without decoding any image."""
        return [entry.caption for entry in self._entries]

    @cached_property
    def groups(self) -> np.ndarray:
        """Group of each sample, (N,) int64, numbered in the order of first appearance."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(entry.group, len(numbers)) for entry in self._entries], dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the ordered ids: equal exactly when two datasets hold the same samples in the same order."""
        return digest_all(self.ids)

    @cached_property
    def content_hash(self) -> str:
        """Hash of the images' bytes (procedural: pixels) and captions, in order."""
        return digest_all(part for entry in self._entries for part in (entry.hash, entry.caption))

    @cached_property
    def grouping_hash(self) -> str:
        """Hash of each sample's group key, in order: what the held-out split, folds and permutations depend on."""
        return digest_all(entry.group for entry in self._entries)

    @cached_property
    def heldout(self) -> np.ndarray:
        """(N,) bool: the samples that no SAE trains on, about half of the groups; see `split`."""
        return self.split(0.5)

    def split(self, share: float = 0.5) -> np.ndarray:
        """Return an (N,) bool mask that is True for about `share` of the groups, always whole groups.

        A group's side is decided by the hash of its key alone, so it never depends on which other samples there are.
        """
        if not 0 <= share <= 1:
            raise InputError(f"the held-out share must lie between 0 and 1, not {share}.")
        edge = share * 2.0**64
        sides = {key: position("heldout", key) < edge for key in {entry.group for entry in self._entries}}
        return np.array([sides[entry.group] for entry in self._entries], dtype=bool)

    def limited(self, max_samples: int) -> "PairedDataset":
        """Return at most `max_samples` samples (0: all): whole groups in the order of their keys' hash.

        The subset is unbiased, keeps the dataset's order, and contains every smaller subset. Raises InputError if
        not even the first group fits.
        """
        if max_samples == 0 or max_samples >= len(self):
            return self
        members: dict[str, list[int]] = {}
        for i, entry in enumerate(self._entries):
            members.setdefault(entry.group, []).append(i)
        kept: list[int] = []
        for key in sorted(members, key=lambda key: (position("subset", key), key)):
            if len(kept) + len(members[key]) > max_samples:
                break
            kept += members[key]
        if not kept:
            raise InputError(
                f"{self.name}: max_samples={max_samples} is too small, because samples are taken in whole groups and "
                f"the first group holds {len(members[key])}; ask for at least that many."
            )
        kept.sort()
        factors = None if self.factors is None else self.factors.iloc[kept].reset_index(drop=True)
        return PairedDataset(self.name, [self._entries[i] for i in kept], self._images, self.left_out, factors)


def slug(name: str) -> str:
    """Return `name` with every run of other characters than letters, digits, `-` and `_` replaced by one `-`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "dataset"
