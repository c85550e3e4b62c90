"""What an encoder will look like, found out without fetching anything: the ground of a dry run."""

import re
from dataclasses import dataclass

from benchmark.catalog import EncoderCard
from benchmark.encoders import hub
from benchmark.encoders.choice_of_layers import chosen_layers
from benchmark.errors import InputError
from benchmark.jobs.token_outline import measured_tokens, stated_tokens

SHAPE = re.compile(r"(\d+)x(\d+)|\d+(,\d+)*")


@dataclass(frozen=True)
class Outline:
    """Layers of an encoder and what one sample costs."""

    widths: dict[int, int]
    """Width of each layer that the encoder offers, shallow to deep."""
    gflop: float | None
    """Billions of multiply-adds of one forward pass of one sample; None: unknown."""
    tokens: dict[int, float]
    """Tokens of a sample at each of these layers, about; none where vectors are read instead."""


def encoder_outline(card: EncoderCard, *, trust_remote_code: bool = False) -> Outline | None:
    """Return the outline of vectors made elsewhere, else the one that the card states, else that of the loaded encoder.

    Returns None for weights that are not here while the card states no shape.
    Raises InputError for a malformed `shape` or layers that are not there, WorkError for a source where nothing is, and
    whatever loading the encoder raises.
    """
    hub.folder(card)  # complains of a missing folder, whatever the card states
    if card.library == "activations":
        from benchmark.encoders.recorded import load_recorded

        recorded = load_recorded(card)
        return Outline({layer: recorded.widths[layer] for layer in recorded.layers}, 0.0, {})
    if card.shape:
        stated = parse_shape(card)
        widths = {layer: stated[layer] for layer in chosen_layers(card, list(range(len(stated))))}
        return Outline(widths, _stated(card), stated_tokens(card, stated))
    if not hub.is_cached(card):
        return None
    from benchmark.encoders import load_encoder
    from benchmark.encoders.cost import multiply_adds

    encoder = load_encoder(card, trust_remote_code=trust_remote_code)
    widths = {layer: encoder.widths[layer] for layer in encoder.layers}
    return Outline(widths, _stated(card) or multiply_adds(encoder) / 1e9, measured_tokens(encoder))


def parse_shape(card: EncoderCard) -> tuple[int, ...]:
    """Return the widths that a card's `shape` states: `12x768` or `128,256,512`. Raises InputError for another form."""
    text = card.shape.replace(" ", "")
    if not SHAPE.fullmatch(text):
        raise InputError(f"encoder '{card.name}': shape must look like 12x768 or 128,256,512, got '{card.shape}'.")
    if "x" in text:
        blocks, width = (int(part) for part in text.split("x"))
        return (width,) * blocks
    return tuple(int(part) for part in text.split(","))


def _stated(card: EncoderCard) -> float | None:
    return card.gflop or None
