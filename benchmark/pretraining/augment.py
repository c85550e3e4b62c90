"""Augmentations of image batches as tensor operations: (B, 3, H, W) in and out."""

import torch
import torch.nn.functional as F


def flipped(images: torch.Tensor) -> torch.Tensor:
    """Mirror each image left to right with a probability of one half; no caption names a side."""
    mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def cropped(images: torch.Tensor, smallest: float) -> torch.Tensor:
    """Cut a random square of `smallest`..1 of the area from each image, mirror half of them, resize to full size."""
    batch = len(images)
    scale = torch.empty(batch).uniform_(smallest, 1.0).sqrt()
    room = 1 - scale
    shift = (torch.rand(batch, 2) * 2 - 1) * room[:, None]
    mirror = torch.where(torch.rand(batch) < 0.5, -1.0, 1.0)
    affine = torch.zeros(batch, 2, 3)
    affine[:, 0, 0], affine[:, 1, 1], affine[:, :, 2] = scale * mirror, scale, shift
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def jittered(images: torch.Tensor, strength: float) -> torch.Tensor:
    """Change brightness, contrast, light from one side, tint and grain of normalised images, at random for each."""
    batch, _, height, width = images.shape

    def spread(*shape: int) -> torch.Tensor:
        return (torch.rand(batch, *shape) * 2 - 1) * strength

    slope = spread(1, 1, 1) * torch.linspace(-1, 1, width)
    contrast = (1 + spread(1, 1, 1)) * (1 + slope)
    grain = torch.randn(batch, 3, height, width) * torch.rand(batch, 1, 1, 1) * strength * 0.3
    # Light multiplies pixels, so it acts on values that are 0 for black.
    return ((images + 1) * contrast - 1) + spread(1, 1, 1) * 0.5 + spread(3, 1, 1) * 0.2 + grain
