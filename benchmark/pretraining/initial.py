"""Initial weights that let narrow vision transformers learn within minutes."""

import torch
from torch import nn


def sine_positions(side: int, width: int) -> torch.Tensor:
    """Return 2-D sine-cosine position embeddings of a CLS token and side x side patches, (1 + side**2, width).

    A quarter of the channels each is sine and cosine of the row and of the column, at wavelengths from 2 pi patches
    up; CLS is 0 (Beyer et al. 2022, arXiv 2205.01580). They stay trainable; small random ones would leave attention
    almost blind to position at first.
    """
    frequencies = 10.0 ** -torch.linspace(0, 1, width // 4)
    angles = torch.arange(side)[:, None] * frequencies
    axis = torch.cat([angles.sin(), angles.cos()], 1)
    grid = torch.cat([axis[:, None].expand(-1, side, -1), axis[None].expand(side, -1, -1)], 2)
    return torch.cat([torch.zeros(1, width), grid.reshape(side * side, width)])


def widen(model: nn.Module) -> None:
    """Redraw every linear layer with a standard deviation of inputs**-0.5 and zero bias.

    The usual 0.02 is made for widths near 1,000; at 96 the blocks would start out as almost nothing.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
