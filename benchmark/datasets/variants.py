"""Variants of a dataset, `NAME+CHANGE`, to ask what a result would be had the data been a little different.

`crop`, `flip` and `colour` change the images of the same samples (see `augmentation`), whose ids they keep. Procedural
datasets can also be drawn otherwise: `redraw` gives other samples of the same kind, `shift` samples in which other
concepts are frequent; they have ids of their own.
"""

from collections.abc import Sequence
from dataclasses import replace

from benchmark.catalog import DatasetCard
from benchmark.datasets.augmentation import CHANGES as IMAGE_CHANGES
from benchmark.errors import InputError, unknown

SIGN = "+"
PROCEDURAL = ("scenes", "blooms")
REDRAW, SHIFT = "redraw", "shift"
ALL_CHANGES = (REDRAW, "flip", "crop", "colour", SHIFT)
SEEDS = 1000
"""What `redraw` adds to the seed: far from those of the cards that ship."""
FACTOR = 4
"""How many times as frequent `shift` makes every second value of a captioned factor."""


def changes(card: DatasetCard) -> tuple[str, ...]:
    """Return the changes that make variants of a dataset."""
    return tuple(change for change in ALL_CHANGES if change in IMAGE_CHANGES or card.kind in PROCEDURAL)


def variant(card: DatasetCard, wanted: Sequence[str]) -> DatasetCard:
    """Return the card of a variant of a dataset, with all changes made.

    Raises InputError for a change that there is not for this dataset, or that it has already.
    """
    ids = card.ids or (card.name if card.kind in PROCEDURAL else "")
    for change in wanted:
        name = f"{card.name}{SIGN}{change}"
        if change not in changes(card):
            raise InputError(f"dataset '{name}': {unknown('change', change, changes(card))}")
        if change in card.augment:
            raise InputError(f"dataset '{name}': '{card.name}' has the change '{change}' already; choose another one.")
        if change in IMAGE_CHANGES:
            card = replace(card, name=name, ids=ids, augment=(*card.augment, change))
        elif change == REDRAW:
            ids = f"{ids}{SIGN}{change}"
            card = replace(card, name=name, ids=ids, seed=card.seed + SEEDS)
        else:
            ids = f"{ids}{SIGN}{change}"
            card = replace(card, name=name, ids=ids, shift=card.shift * FACTOR)
    return card
