"""Paired samples in a fixed order: the one form in which encoders and metrics see a dataset."""

import operator
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from benchmark.datasets.hashing import digest_all, position
from benchmark.datasets.subset import whole_groups
from benchmark.errors import InputError, unknown

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

READ = {"image": ("images", "image"), "text": ("captions", "caption")}
"""What encoders of each modality read, and the card's field that names its column."""


class Sample(NamedTuple):
    """One image-caption pair; of a dataset without images or without captions, the half that there is."""

    id: str
    group: int
    """Samples of one image share a group."""
    image: "Image.Image | None"
    """RGB, upright; None in text-only data."""
    caption: str | None
    """Untrusted text: escape it wherever it is shown. None in image-only data."""


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
    caption: str | None
    """None in image-only data."""
    hash: str
    """Hash of the image's bytes (procedural: of its pixels); "" in text-only data."""
    source_id: str = ""
    """Id of the source's row, where `id` has a caption's number added to it; "": the same as `id`."""


class PairedDataset:
    """Readable image-caption pairs in a fixed order; images are decoded on access.

    All samples have an image (`has_images`), or none has; likewise captions. One of the two is always there.
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
        *,
        has_images: bool = True,
        has_captions: bool = True,
        transform: "Callable[[Image.Image, str], Image.Image] | None" = None,
        content_salt: str = "",
        missing: str = "",
    ) -> None:
        """Pair `entries` with their `images`; `factors` has one row per entry, in the same order.

        `transform` changes every image, given the id of its source row, so that all captions of an image keep the
        same one; `content_salt` describes it and becomes part of the content hash. `missing` is a hint for `require`:
        what the source holds instead, for instance "pairs.parquet holds id, picture".
        """
        self.name = slug(name)
        """Letters, digits, `-` and `_` only."""
        self.left_out = list(left_out)
        """(id, reason) of every row of the source that has no readable image or no caption where others have one."""
        self.factors = factors
        """Planted factors of each sample, row-aligned (procedural datasets), else None."""
        self.has_images = has_images
        self.has_captions = has_captions
        self._entries = entries
        self._images = images
        self._transform = transform
        self._salt = content_salt if has_images else ""
        self._missing = missing

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, i: int) -> Sample:
        entry = self._entries[operator.index(i)]
        image = self._images.image(entry.row) if self.has_images else None
        if image is not None and self._transform is not None:
            image = self._transform(image, entry.source_id or entry.id)
        return Sample(entry.id, int(self.groups[i]), image, entry.caption)

    def __repr__(self) -> str:
        return f"PairedDataset({self.name!r}, {len(self)} samples, {len(self.left_out)} left out)"

    @cached_property
    def ids(self) -> list[str]:
        """The unique id of each sample."""
        return [entry.id for entry in self._entries]

    def captions(self) -> list[str]:
        """Return the caption of each sample, without decoding any image. Raises InputError in image-only data."""
        self.require("text")
        return [entry.caption or "" for entry in self._entries]

    def require(self, modality: str) -> None:
        """Raise InputError unless the samples have what encoders of `modality` (image | text) read."""
        if modality not in READ:
            raise unknown("modality", modality, READ)
        items, field = READ[modality]
        if not (self.has_images if modality == "image" else self.has_captions):
            hint = f" ({self._missing})" if self._missing else ""
            other = "text" if modality == "image" else "image"
            raise InputError(
                f"dataset '{self.name}' has no {items}{hint}, which {modality} encoders need: name their column in its "
                f"card (field `{field}`), compare {other} encoders only, or choose another dataset."
            )

    @cached_property
    def groups(self) -> np.ndarray:
        """Group of each sample, (N,) int64, numbered in the order of first appearance."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(entry.group, len(numbers)) for entry in self._entries], dtype=np.int64)

    @cached_property
    def image_numbers(self) -> np.ndarray:
        """Number of each sample's image, (N,) int64 in the order of first appearance: equal where images are.

        Raises InputError in text-only data.
        """
        self.require("image")
        numbers: dict[tuple[str, str], int] = {}
        changed = self._transform is not None  # which may change two copies of an image differently
        keys = ((entry.hash, (entry.source_id or entry.id) if changed else "") for entry in self._entries)
        return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the ordered ids: equal exactly when two datasets hold the same samples in the same order."""
        return digest_all(self.ids)

    @cached_property
    def content_hash(self) -> str:
        """Hash of the images' bytes (procedural: pixels) and captions, in order, and of how the images are changed."""
        parts = (part for entry in self._entries for part in (entry.hash, entry.caption or ""))
        return digest_all(chain(parts, [self._salt] if self._salt else []))

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
        kept = whole_groups(self._entries, max_samples, "subset", self.name)
        factors = None if self.factors is None else self.factors.iloc[kept].reset_index(drop=True)
        return PairedDataset(
            self.name,
            [self._entries[i] for i in kept],
            self._images,
            self.left_out,
            factors,
            has_images=self.has_images,
            has_captions=self.has_captions,
            transform=self._transform,
            content_salt=self._salt,
            missing=self._missing,
        )


def slug(name: str) -> str:
    """Return `name` with every run of other characters than letters, digits, `-` and `_` replaced by one `-`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "dataset"
