"""How many samples a batch and a shard have, and how many tokens of a layer are stored.

All of it follows from the encoder, the kind of device and the captions, never from this machine's speed or free
memory: batches decide how results are rounded, and a process that goes on behind another must write the same bytes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from benchmark.encoders import Encoder
from benchmark.jobs.plan import ALL_TOKENS

SHARD_ROWS = 8192
SHARD_BYTES = 256 << 20
SHARD_SECONDS = 90.0
"""Rows, bytes and work of a shard at most: two shards are in memory at a time, and a kill costs about one."""
FLOPS = {"cuda": 5e13}
SLOW_FLOPS = 2e11
"""Operations a second that the work is reckoned with; on a GPU, and elsewhere (a few cores). Nominal, not measured."""
BATCH = {"cuda": (256, 8 << 30)}
SMALL_BATCH = (64, 1 << 30)
"""Samples of a batch at most, and bytes of all its tokens at all layers, or in all files; on a GPU, and elsewhere."""
SAMPLED = 64
"""Captions that tell how long captions are."""


def batch_and_shard(encoder: Encoder, captions: Sequence[str] | None, row_bytes: int) -> tuple[int, int]:
    """Return the samples of a batch and of a shard, a multiple of it. `row_bytes`: what a sample takes in all files."""
    samples, memory = BATCH.get(encoder.device.type, SMALL_BATCH)
    flops = FLOPS.get(encoder.device.type, SLOW_FLOPS)
    worked = max(1, int(SHARD_SECONDS * flops / max(1.0, _flop(encoder, captions))))
    batch = int(max(1, min(samples, memory // max(encoder.state_bytes, row_bytes), worked)))
    return batch, max(batch, min(SHARD_ROWS, SHARD_BYTES // row_bytes, worked) // batch * batch)


def token_slots(encoder: Encoder, layers: Sequence[int], tokens: int) -> dict[int, int]:
    """Return how many tokens of each layer are stored: `tokens`, or as many as the layer can have (but at least 1).

    ALL_TOKENS: none. Empty where tokens are not even counted.

    A layer has a fixed number where two images of different shape, or a caption beyond every limit, get the same one.
    """
    if tokens <= 0:
        return dict.fromkeys(layers, 0) if tokens == ALL_TOKENS else {}
    if encoder.modality == "text":
        # A caption of this many words is cut, or has more than the wanted tokens.
        mask = encoder.preprocess(["a " * (tokens + 8)])["mask"]
        longest = mask.shape[1] - (encoder.card.token != "mean")
        return dict.fromkeys(layers, max(1, min(tokens, longest)))
    square, wide = (other_tokens(encoder, layers, Image.new("RGB", size)) for size in ((64, 64), (160, 64)))
    return {layer: max(1, min(tokens, square[layer])) if square == wide else tokens for layer in layers}


def _flop(encoder: Encoder, captions: Sequence[str] | None) -> float:
    """Return the operations of one sample: the encoder's figure is for a blank one, and captions are longer."""
    if captions is None:
        return encoder.flop
    longest, blank = (_length(encoder, texts) for texts in (list(captions[:SAMPLED]), [""]))
    return encoder.flop * longest / blank


def _length(encoder: Encoder, texts: list[Any]) -> int:
    return int(encoder.preprocess(texts)["mask"].shape[1])


@torch.inference_mode()
def other_tokens(encoder: Encoder, layers: Sequence[int], image: Image.Image) -> dict[int, int]:
    """Return how many tokens of an image each layer has beside the global one."""
    inputs = encoder.preprocess([image])
    outputs = encoder.forward(inputs, layers)
    return {layer: int(encoder.other_tokens(inputs, output).sum()) for layer, output in outputs.items()}
