import torch
from torch import nn

from benchmark.pretraining.initial import sine_positions, widen


def test_positions_differ_and_cls_is_zero():
    positions = sine_positions(6, 96)
    assert positions.shape == (37, 96) and not positions[0].any()
    assert torch.cdist(positions[1:], positions[1:]).fill_diagonal_(9.0).min() > 1.0


def test_neighbouring_patches_are_more_alike_than_distant_ones():
    grid = sine_positions(6, 96)[1:].reshape(6, 6, 96)
    assert grid[2, 2] @ grid[2, 3] > grid[2, 2] @ grid[2, 5] and grid[2, 2] @ grid[3, 2] > grid[2, 2] @ grid[5, 2]


def test_widened_layers_keep_the_scale_of_their_input():
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(96, 96))
    widen(layer)
    out = layer(torch.randn(4000, 96))
    assert 0.8 < out.std().item() < 1.2
