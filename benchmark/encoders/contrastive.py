"""A contrastive pair as two encoders of one space: images and captions become vectors whose cosines say what fits."""

from dataclasses import replace
from typing import Any, NamedTuple

import torch

from benchmark.catalog import EncoderCard
from benchmark.encoders.encoder import Encoder
from benchmark.encoders.loading import load_encoder
from benchmark.errors import InputError

LAYER = 0
"""The one layer that a tower of a pair offers: its embedding."""


class Pair(NamedTuple):
    """Both towers of a checkpoint, each with one layer: embeddings (B, 1, d) of unit length in the shared space."""

    image: Encoder
    text: Encoder


class _Projected:
    """A tower of open_clip with its own pooling and projection behind it."""

    def __init__(self, tower: Any) -> None:
        self.tower = tower
        self.module = tower.module

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Prepare a batch as the tower does."""
        inputs = self.tower.preprocess(batch)
        return inputs if "mask" not in inputs else {**inputs, "mask": torch.ones(len(batch), 1, dtype=torch.bool)}

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return {0: (B, 1, d)}."""
        if "input_ids" in inputs:
            found = self.module.encode_text(inputs["input_ids"])
        else:
            found = self.module(inputs["pixel_values"])
            found = found[0] if isinstance(found, tuple) else found  # with its tokens, where a model gives them too
        return {LAYER: torch.nn.functional.normalize(found.float(), dim=-1)[:, None]}


def pair_cards(card: EncoderCard) -> tuple[EncoderCard, EncoderCard]:
    """Return the cards of both towers of the checkpoint of one of them: image, text.

    Raises InputError for a card of another library than open_clip: only its checkpoints hold a pair.
    """
    if card.library != "open_clip":
        raise InputError(
            f"encoder '{card.name}' is no tower of a contrastive pair: only open_clip's are supported "
            f"(library: {card.library}); name one of those, or set pair to none."
        )
    towers = [
        replace(card, name=f"{card.name}-{modality}-embedding", modality=modality, token=token, layers="all")
        for modality, token in (("image", "mean"), ("text", "eot"))
    ]
    return towers[0], towers[1]


def load_pair(card: EncoderCard, device: str = "cpu", *, precision: str = "float32") -> Pair:
    """Load both towers of the checkpoint that a card names one tower of.

    Raises what `load_encoder` raises, and InputError for a card that is not of open_clip.
    """
    towers = []
    for own in pair_cards(card):
        loaded = load_encoder(own, device, precision=precision)
        towers.append(Encoder(replace(own, token="mean"), _Projected(loaded._tower), device, precision=precision))
    return Pair(*towers)
