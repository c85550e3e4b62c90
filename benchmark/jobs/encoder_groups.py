"""Which encoders a question is about: names, and classes of the paper in place of names."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.catalog import EncoderCard, cards, find_card
from benchmark.errors import InputError, unknown
from benchmark.jobs.encoder_pairs import SELF, TOWERS, relation, twin

CLASSES = {
    "vision": ("vision", "image"),
    "text": ("text", "text"),
    "vlm": ("vlm", ""),
    "vlm-image": ("vlm", "image"),
    "vlm-text": ("vlm", "text"),
}
"""Class -> kind and modality of its encoders; "": the modality of the encoder that is compared with them."""


@dataclass(frozen=True)
class Groups:
    """One encoder M and the groups that Comparative Sharedness is about."""

    source: str
    shared_with: tuple[str, ...]
    """G."""
    absent_from: tuple[str, ...]
    """H."""
    beside: tuple[str, ...] = ()
    """Another G, whose Delta is compared with that of the first one; may be empty."""
    stands_in: str = ""
    """What to say where `beside` is not what was asked for."""


def with_named(found: Sequence[EncoderCard], wanted: Sequence[str]) -> tuple[EncoderCard, ...]:
    """Return the cards of a suite and those of the encoders that are named though the suite lacks them.

    Raises InputError for what is neither an encoder nor a class.
    """
    all_cards = {card.name: card for card in found}
    for name in wanted:
        if name in CLASSES or name in all_cards:
            continue
        if not name.endswith((".yaml", ".yml")) and name not in cards(EncoderCard):
            raise unknown("encoder or class of encoders", name, {*CLASSES, *all_cards, *cards(EncoderCard)})
        card = find_card(EncoderCard, name)
        all_cards[card.name] = card
    return tuple(all_cards.values())


def members(wanted: Sequence[str], found: Sequence[EncoderCard], source: EncoderCard | None = None) -> list[str]:
    """Return the names of the encoders that names and classes stand for, in the order of `found`.

    A class stands for all encoders of its kind and modality, apart from `source` and the other tower of its checkpoint;
    to mean either, name it. `vlm` is read for the modality of the source, and for images where there is none.
    """
    chosen = set()
    for name in wanted:
        if name not in CLASSES:
            chosen.add(find_card(EncoderCard, name).name if name.endswith((".yaml", ".yml")) else name)
            continue
        kind, modality = CLASSES[name]
        modality = modality or (source.modality if source else "image")
        for card in found:
            own = source is not None and relation(card, source) in (SELF, TOWERS)
            if (card.kind, card.modality) == (kind, modality) and not own:
                chosen.add(card.name)
    return [card.name for card in found if card.name in chosen]


def groups_of(
    source: EncoderCard,
    found: Sequence[EncoderCard],
    shared_with: Sequence[str],
    absent_from: Sequence[str],
    beside: Sequence[str],
) -> Groups:
    """Return the groups of one source; raises InputError for an empty group, or one that meets another or the source.

    Where the class that `beside` names has no encoder but the source's own model, its other tower stands in.
    """
    sides = {
        "shared_with": members(shared_with, found, source),
        "absent_from": members(absent_from, found, source),
        "beside": members(beside, found, source),
    }
    for name, wanted in (("shared_with", shared_with), ("absent_from", absent_from)):
        if not sides[name]:
            raise InputError(
                f"{name}={','.join(wanted)} names no encoder to compare {source.name} with: among "
                f"{', '.join(card.name for card in found)} there is none beside its own model; add one with `encoders`."
            )
    for name in sides:
        if source.name in sides[name]:
            raise InputError(f"{source.name} cannot be compared with itself: take it out of {name}.")
    for name in ("shared_with", "beside"):
        if both := set(sides[name]) & set(sides["absent_from"]):
            raise InputError(f"{', '.join(sorted(both))} cannot be in {name} and in absent_from both; choose one side.")
    stands_in = ""
    if not sides["beside"] and beside:
        other = twin(source, {card.name: card for card in found})
        wanted = ",".join(beside)
        if other is None or other.name in sides["shared_with"] + sides["absent_from"]:
            stands_in = f"No encoder of {wanted} to compare {source.name} with beside {','.join(sides['shared_with'])}."
        else:
            sides["beside"] = [other.name]
            stands_in = (
                f"There is no encoder of '{wanted}' beside {source.name}; the other tower of its model, {other.name}, "
                "stands in."
            )
    shared, absent, second = (tuple(names) for names in sides.values())
    return Groups(source.name, shared, absent, second, stands_in)
