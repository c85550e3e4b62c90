"""How fast this machine is at what the jobs do, measured in a few seconds: what a dry run's times rest on."""

import io
import time
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmark.datasets.decode import decode
from benchmark.features import SparseFeatures
from benchmark.metrics import max_correlation
from benchmark.sae import TopKSAE, train
from benchmark.sae.settings import TrainConfig


@cache
def transformer_rate(device: str, precision: str) -> float:
    """Return the multiply-adds a second of a transformer block of width 768 on 16 images' tokens."""
    width, tokens, batch = 768, 197, 16
    block = nn.TransformerEncoderLayer(width, 12, 4 * width, batch_first=True, device=device).eval()
    x = torch.randn(batch, tokens, width, device=device)
    kind, reduced = torch.device(device).type, precision != "float32"
    with torch.no_grad(), torch.autocast(kind, getattr(torch, precision), enabled=reduced):
        seconds = _best(lambda: block(x), device)
    return batch * tokens * (12 * width**2 + 2 * tokens * width) / seconds


@cache
def image_seconds() -> float:
    """Return the time of one thread to decode a JPEG of 640 x 480 pixels (COCO's size) and to scale it to 224 x 224."""
    noise = np.random.default_rng(0).normal(128, 20, (48, 64, 3)).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    data = file.getvalue()
    return _best(lambda: decode(data).resize((224, 224), Image.Resampling.BICUBIC), "cpu")


@cache
def step_seconds(d: int, n_latents: int, k: int, batch: int, device: str) -> float:
    """Return the time of one training step of one SAE."""
    sae = TopKSAE(d, n_latents, k, seed=0).to(device)
    x = torch.randn(batch, d, device=device)
    few = 2

    def some_steps() -> None:
        train({0: sae}, [{0: x}] * few, TrainConfig(batch_size=batch))

    return _best(some_steps, device) / few


@cache
def pair_seconds(n_samples: int, n_latents: int, k: int) -> float:
    """Return the time of all maxima, both ways, between two layers of `n_latents` TopK features each.

    Measured at two smaller numbers of samples and extended along the line through them.
    """
    sizes = (2_000, 8_000)
    times = []
    for size in sizes:
        sides = [_random_features(size, n_latents, k, seed) for seed in range(2)]
        times.append(_best(lambda sides=sides: max_correlation(*sides), "cpu"))  # type: ignore[misc]
    slope = max(times[1] - times[0], 0) / (sizes[1] - sizes[0])
    return times[0] + slope * (n_samples - sizes[0]) if n_samples > sizes[0] else times[0]


def _random_features(size: int, n_latents: int, k: int, seed: int) -> SparseFeatures:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, n_latents, (size, 1))
    indices = (start + np.arange(k) * (n_latents // k)) % n_latents
    return SparseFeatures(indices, rng.random((size, k), np.float32) + 0.1, n_latents)


def _best(work: Callable[[], object], device: str, times: int = 3) -> float:
    """Return the shortest of a few timings, after one that warms up."""
    durations = []
    for _ in range(times + 1):
        start = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        durations.append(time.perf_counter() - start)
    return min(durations[1:])
