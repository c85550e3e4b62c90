"""A tower's first run: what it gives is measured, and checked before anything relies on it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from benchmark.catalog import EncoderCard
from benchmark.errors import InputError

if TYPE_CHECKING:
    from benchmark.encoders.encoder import Tower

Inputs = dict[str, torch.Tensor]
States = dict[int, torch.Tensor]
LONG_CAPTION = ("a man in a red shirt rides a bicycle along beaches, " * 5)[:256]
"""As long as captions are on average in the largest batches of them (`LETTERS` of jobs.prefetch), in bytes."""
REPEATS = 1e-3
"""Difference between two runs, relative to the largest value, that rounding may make."""


def first_batch(modality: str) -> list[Any]:
    """Return an image that no flip or crop leaves as it is, or the empty caption and a long one."""
    if modality == "text":
        return ["", LONG_CAPTION]
    ramp = Image.linear_gradient("L").resize((64, 64))
    return [Image.merge("RGB", (ramp, ramp.rotate(90), ramp.rotate(180)))]


def first_states(card: EncoderCard, tower: "Tower", samples: int, prepare: Callable[[], Inputs]) -> States:
    """Run a tower twice on what `prepare` returns for B `samples`, and return {layer: (B, T, d)} of all its layers.

    Raises InputError unless both runs give the same for all real tokens: layers by number, each of them floats of
    shape (B, T, d) that fit the inputs' `mask`.
    """
    inputs = prepare()
    states = tower.states(inputs, None)
    if not isinstance(states, dict) or not states or not all(type(layer) is int for layer in states):
        given = f"layers {list(states)}" if isinstance(states, dict) else f"a {type(states).__name__}"
        raise _wrong(card, f"gave {given} instead of one tensor for each block, by its number")
    mask = inputs.get("mask")
    if card.modality == "text" and (mask is None or mask.dtype != torch.bool or not mask.any()):
        raise _wrong(card, "gave no `mask` of type bool with real tokens, so padding cannot be told from them")
    again = tower.states(prepare(), sorted(states))
    for layer, state in states.items():
        if not isinstance(state, torch.Tensor) or not state.is_floating_point():
            kind = str(state.dtype) if isinstance(state, torch.Tensor) else type(state).__name__
            raise _wrong(card, f"gave {kind} for layer {layer} instead of a tensor of floats")
        if state.dim() != 3 or len(state) != samples or not state.numel():
            raise _wrong(
                card,
                f"gave shape {tuple(state.shape)} for layer {layer} instead of (samples, tokens, width), with "
                f"{samples} samples",
            )
        if mask is not None and mask.shape != state.shape[:2]:
            raise _wrong(
                card, f"gave shape {tuple(state.shape)} for layer {layer}, but a mask of shape {tuple(mask.shape)}"
            )
        if layer not in again or not _same(state, again[layer], mask):
            raise _wrong(
                card,
                f"gave another result for layer {layer} when the same input was run again (does it draw random "
                "numbers, as masked autoencoders do?)",
            )
    return states


def _same(one: torch.Tensor, other: torch.Tensor, mask: torch.Tensor | None) -> bool:
    """Whether two runs gave the same but for rounding; padding may hold anything."""
    if one.shape != other.shape:
        return False
    if mask is not None:
        one, other = one[mask], other[mask]
    largest = float(one.nan_to_num().abs().max())
    return torch.allclose(one, other, rtol=REPEATS, atol=REPEATS * largest, equal_nan=True)


def _wrong(card: EncoderCard, what: str) -> InputError:
    return InputError(f"encoder '{card.name}': its {card.library} model {what}; it cannot be used as an encoder.")
