"""What one forward pass costs."""

from typing import Any

import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmark.encoders.encoder import Encoder

CAPTION = "a man in a red shirt rides a bicycle along beaches"
"""A caption of the usual length of COCO's."""


def multiply_adds(encoder: Encoder, sample: Any = None) -> float:
    """Return the multiply-adds of one sample's forward pass; None: a blank image, or `CAPTION`.

    Matrix products, convolutions and attention count; torch's fused attention is taken apart, since its counter does
    not see into it.
    """
    if sample is None:
        sample = Image.new("RGB", (64, 64)) if encoder.modality == "image" else CAPTION
    inputs = encoder.preprocess([sample])
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            encoder.forward(inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() / 2  # the counter takes a multiply-add for two operations
