"""How fast this machine is at what the jobs do, measured in a few seconds: what a dry run's times rest on."""

import io
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmark.datasets.decode import decode
from benchmark.features import DenseFeatures, SparseFeatures
from benchmark.jobs.matrix import RESAMPLES
from benchmark.metrics import chance_measures, crossfit_both, max_correlation
from benchmark.sae import TopKSAE, train
from benchmark.sae.settings import TrainConfig

SIZES = (2_000, 8_000)
"""Numbers of samples at which a comparison of more is timed."""


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
def step_seconds(d: int, n_latents: int, k: int, config: TrainConfig, device: str) -> float:
    """Return the time of one training step of one SAE, without what its dead latents add."""
    sae = TopKSAE(d, n_latents, k, seed=0).to(device)
    x = torch.randn(config.batch_size, d, device=device)
    few, endless = 2, replace(config, patience=0)

    def some_steps() -> None:
        train({0: sae}, [{0: x}] * few, endless, totals={0: few}, scales={0: 1.0})

    return _best(some_steps, device) / few


@cache
def pair_seconds(n_samples: int, n_latents: int, k: int) -> float:
    """Return the time of all maxima, both ways, between two layers of `n_latents` TopK features each."""

    def measured(size: int) -> float:
        sides = [_random_features(size, n_latents, k, seed) for seed in range(2)]
        return _best(lambda: max_correlation(*sides), "cpu")

    return _at(n_samples, measured)


@cache
def dense_pair_seconds(n_samples: int, n_latents: int) -> float:
    """Return the time of all maxima, both ways, between two layers of features without TopK: a matrix product.

    Measured at a smaller size; the time grows with the samples and with the square of the latents.
    """
    n, m = 2000, 512
    rng = np.random.default_rng(0)
    sides = [DenseFeatures(rng.random((n, m), np.float32)) for _ in range(2)]
    return _best(lambda: max_correlation(*sides), "cpu") * (n_samples / n) * (n_latents / m) ** 2


@cache
def layer_seconds(n_samples: int, n_latents: int, k: int, permutations: int, folds: int) -> float:
    """Return the time that comparing two encoders takes for each of their layers, beside that of the pairs of layers.

    It goes into taking folds, preparing features and resampling. Measured as a whole comparison of one layer with one,
    of at most 2 permutations and 5 folds, less the pair's maxima.
    """
    few, cut = min(permutations, 2), min(folds, 5)

    def measured(size: int) -> float:
        sides = [_random_features(size, n_latents, k, seed) for seed in range(2)]
        chance = _best(lambda: chance_measures(*sides, permutations=few), "cpu", times=1)
        fit = _best(lambda: crossfit_both(*sides, folds=cut, resamples=RESAMPLES), "cpu", times=1)
        return chance * (1 + permutations) / (1 + few) + fit * folds / cut

    pairs = (1 + permutations + folds) * pair_seconds(n_samples, n_latents, k)
    return max(_at(max(n_samples, 2 * folds), measured) - pairs, 0.0) / 2


def _at(n_samples: int, measured: Callable[[int], float]) -> float:
    """Return a time that grows in proportion to the samples: measured, or on the line through two smaller numbers."""
    few, more = SIZES
    if n_samples <= more:
        return measured(n_samples)
    times = measured(few), measured(more)
    return times[0] + max(times[1] - times[0], 0.0) / (more - few) * (n_samples - few)


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
        if torch.device(device).type != "cpu":
            torch.accelerator.synchronize(device)
        durations.append(time.perf_counter() - start)
    return min(durations[1:])
