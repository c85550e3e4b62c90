"""What each block of a transformer gives in one forward pass: {layer: (B, T, d)}."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from benchmark.errors import InputError


def hidden_states(module: Any, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
    """Return {layer: (B, T, d)} of a transformers encoder: entry i + 1 of its `hidden_states` is what block i gives.

    Entry 0 is the embedding. Not for decoders: the last entry of most is normed by the model's final norm.
    """
    states = module(**inputs, output_hidden_states=True, return_dict=True).hidden_states[1:]
    return {layer: states[layer] for layer in (layers or range(len(states)))}


def find_blocks(module: torch.nn.Module, count: int) -> torch.nn.ModuleList:
    """Return the outermost list of `count` modules, which is where every decoder of transformers keeps its blocks.

    Raises InputError when the model has no such list.
    """
    for found in module.modules():  # outer modules come before those that they hold
        if isinstance(found, torch.nn.ModuleList) and len(found) == count:
            return found
    raise InputError(f"the model {type(module).__name__} has no list of {count} blocks, so its layers cannot be read.")


class BlockOutputs:
    """Forward hooks that keep what the blocks give, before any final norm.

    One forward pass at a time: two threads must not share it.
    """

    def __init__(self, blocks: Sequence[torch.nn.Module] | torch.nn.ModuleList) -> None:
        self.layers = list(range(len(blocks)))
        self.wanted: list[int] = []
        self.kept: dict[int, torch.Tensor] = {}
        for layer, block in enumerate(blocks):
            block.register_forward_hook(partial(self._keep, layer))

    def of(self, forward: Callable[[], Any], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Call `forward` once and return {layer: (B, T, d)} of the given layers (None: all), shallow to deep."""
        self.wanted = sorted(layers) if layers else self.layers
        self.kept = {}
        try:
            forward()
            return {layer: self.kept[layer] for layer in self.wanted}
        finally:
            self.wanted, self.kept = [], {}

    def _keep(self, layer: int, _module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        if layer in self.wanted:
            self.kept[layer] = output[0] if isinstance(output, tuple) else output
