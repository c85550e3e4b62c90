"""How many tokens a sample has at each layer, told before any is read: what a plan for all tokens rests on."""

import math
from collections.abc import Sequence

from PIL import Image

from benchmark.catalog import EncoderCard
from benchmark.encoders import Encoder
from benchmark.jobs.extraction_sizes import other_tokens

CAPTION = 13
"""Real tokens of a caption, about: COCO's have ten words or so, and a start and an end."""
PATCHES = 196
"""Tokens of an image for a card that does not state what a forward pass costs: 14 x 14."""
SIDE, STRIDE = 224, 32
"""Pixels of an image's side, and of a place of the last stage, in hierarchical models."""


def measured_tokens(encoder: Encoder) -> dict[int, float]:
    """Return {layer: tokens of a sample} of a loaded encoder: exact for images of one size, about for captions."""
    if encoder.modality == "text":
        return dict.fromkeys(encoder.layers, float(CAPTION))
    blank = Image.new("RGB", (64, 64))
    return {layer: float(count) for layer, count in other_tokens(encoder, encoder.layers, blank).items()}


def stated_tokens(card: EncoderCard, widths: Sequence[int]) -> dict[int, float]:
    """Return {layer: tokens of a sample}, about, of what a card states; `widths` are those of all its layers.

    Layers of one width are transformer blocks: their T tokens cost 12 T d^2 + 2 T^2 d multiply-adds each, and the
    card's `gflop` tells T. Other layers are stages, each with a quarter of the places of the one before.
    """
    if card.modality == "text":
        return dict.fromkeys(range(len(widths)), float(CAPTION))
    if len(set(widths)) > 1:
        sides = [SIDE / STRIDE * 2 ** (len(widths) - 1 - stage) for stage in range(len(widths))]
        return {stage: side**2 for stage, side in enumerate(sides)}
    if not card.gflop:
        return dict.fromkeys(range(len(widths)), float(PATCHES))
    d, block = widths[0], card.gflop * 1e9 / len(widths)
    tokens = (math.sqrt((12 * d**2) ** 2 + 8 * d * block) - 12 * d**2) / (4 * d)
    return dict.fromkeys(range(len(widths)), float(round(tokens)))
