"""How two encoders are related: towers of one contrastive model, image and text, or the same modality."""

from collections.abc import Mapping

from benchmark.catalog import EncoderCard

TOWERS, CROSS, SAME, SELF = "towers", "image-text", "same-modality", "self"
RELATIONS = {
    TOWERS: "the two towers of one contrastive model",
    CROSS: "other pairs of an image and a text encoder",
    SAME: "encoders of one modality",
    SELF: "an encoder with itself, across seeds",
}
"""Relation -> in words."""


def relation(a: EncoderCard, b: EncoderCard) -> str:
    """Return how two encoders are related, one of `RELATIONS`."""
    if a.name == b.name:
        return SELF
    if a.modality == b.modality:
        return SAME
    return TOWERS if _model(a) == _model(b) and a.kind == b.kind == "vlm" else CROSS


def twin(card: EncoderCard, cards: Mapping[str, EncoderCard]) -> EncoderCard | None:
    """Return the other tower of an encoder's contrastive model, if it is among the cards."""
    return next((other for other in cards.values() if relation(card, other) == TOWERS), None)


def _model(card: EncoderCard) -> tuple[str, ...]:
    return card.library, card.source, card.pretrained, card.base
