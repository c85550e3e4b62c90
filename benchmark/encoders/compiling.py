"""torch.compile for encoders: the blocks that a model repeats are compiled, everything around them is left alone.

Compiling block by block takes a fraction of the time of compiling the whole model, because equal blocks share their
code, and it works for models that are not run through `forward` (forward_intermediates) or are read by hooks.
"""

from collections.abc import Iterator
from typing import Any

import torch


def compile_blocks(module: Any) -> None:
    """Compile a module's repeated blocks in place, or the module itself where none repeat.

    Only `forward` is compiled: hooks on a block run outside it, as before. Code is made on first use, once for all
    numbers of samples and tokens from 2 on.
    """
    for block in list(repeated(module)) or [module]:
        block.forward = torch.compile(block.forward, dynamic=True)


def repeated(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Yield the members of all lists of at least two modules of one class, the innermost such lists only."""
    for child in module.children():
        inside = list(repeated(child))
        members = list(child.children())
        if inside:
            yield from inside
        elif _is_list(child) and len(members) > 1 and len({type(member) for member in members}) == 1:
            yield from members


def _is_list(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.ModuleList | torch.nn.Sequential)
