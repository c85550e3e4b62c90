"""What each block of a transformer gives in one forward pass: {layer: (B, T, d)}."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from benchmark.errors import InputError


def hidden_states(module: Any, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
    """Return {layer: (B, T, d)} of a transformers encoder: entry i + 1 of its `hidden_states` is what block i gives.

    Entry 0 is the embedding. Not for decoders: the last entry of most is normed by the model's final norm. Raises
    InputError for a model whose entries cannot be told to be its blocks' outputs.
    """
    if getattr(module.config, "depths", None) is not None:
        raise InputError(
            f"{type(module).__name__} of transformers is hierarchical, and what it returns is not what its stages give "
            "(Swin's states come after the next stage's downsampling); use timm's copy of it (library: timm)."
        )
    states = module(**inputs, output_hidden_states=True, return_dict=True).hidden_states[1:]
    blocks = getattr(module.config, "num_hidden_layers", None)
    if len(states) != blocks:
        raise InputError(
            f"{type(module).__name__} of transformers returns {len(states)} states after its embedding, but its "
            f"configuration says num_hidden_layers: {blocks}; which block gives which cannot be told."
        )
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
