"""What a suite takes, before anything of it runs: downloads, disk and time of every encoder, and of the comparison."""

import os
from dataclasses import dataclass

import torch

from benchmark.catalog import EncoderCard
from benchmark.encoders.hub import is_cached
from benchmark.jobs import rates
from benchmark.jobs.outline import encoder_outline
from benchmark.jobs.plan import Plan, pick_layers

FLOAT, GROUP = 4, 8
"""Bytes of a float32 and of a sample's group."""


@dataclass(frozen=True)
class EncoderEstimate:
    """What the train jobs of one encoder take, all seeds together; sizes in bytes, times in seconds."""

    card: EncoderCard
    widths: tuple[int, ...]
    """Width of each layer of the plan."""
    download: int
    """Still to be fetched."""
    activations: int
    models: int
    features: int
    encode: float
    """0 if the card states no cost of a forward pass."""
    train: float


def estimate_encoder(plan: Plan, card: EncoderCard, n_samples: int, n_training: int) -> EncoderEstimate | None:
    """Return what an encoder of the plan takes on `n_samples` samples, None if its layers cannot be known yet."""
    outline = encoder_outline(card)
    if outline is None:
        return None
    suite = plan.suite
    layers = pick_layers(plan.layers, list(range(len(outline.widths))), card.name)
    widths = tuple(outline.widths[layer] for layer in layers)
    steps = suite.epochs * -(-n_training * (1 + suite.tokens) // suite.batch_size)
    seeds = len(suite.seeds)
    return EncoderEstimate(
        card,
        widths,
        download=0 if is_cached(card) else card.download_mb * 10**6,
        activations=n_samples * ((1 + suite.tokens) * sum(widths) + (1 if suite.tokens else 0) * len(widths)) * FLOAT,
        models=seeds * sum(2 * plan.n_latents(width) * width * FLOAT for width in widths),
        features=seeds * sum(n_samples * (suite.k * _slot(plan.n_latents(width)) + GROUP) for width in widths),
        encode=_encode_seconds(plan, card, outline.gflop, n_samples) if outline.gflop else 0.0,
        train=seeds * steps * sum(
            rates.step_seconds(width, plan.n_latents(width), suite.k, suite.batch_size, plan.device)
            for width in widths
        ),
    )  # fmt: skip


def _encode_seconds(plan: Plan, card: EncoderCard, gflop: float, n_samples: int) -> float:
    model = n_samples * gflop * 1e9 / rates.transformer_rate(plan.device, plan.precision)
    prepare = n_samples * rates.image_seconds() / (os.cpu_count() or 1) if card.modality == "image" else 0.0
    # A GPU computes while the cores decode; on a CPU both need the same cores.
    return model + prepare if torch.device(plan.device).type == "cpu" else max(model, prepare)


def _slot(n_latents: int) -> int:
    """Return the bytes of one recorded slot: an index and a float16 value."""
    return (2 if n_latents <= 65_536 else 4) + 2


@dataclass(frozen=True)
class ComparisonEstimate:
    """What comparing the trained SAEs takes."""

    pairs: int
    """Pairs of (encoder, seed)."""
    layer_pairs: int
    evaluations: int
    """Passes over all pairs of layers: the value, each permutation and each fold."""
    seconds: float


def estimate_comparison(plan: Plan, widths: list[tuple[int, ...]], n_compared: int) -> ComparisonEstimate:
    """Return what comparing encoders with these layers takes, on `n_compared` samples a sample set, all sets together.

    The time of a pair of layers is measured at the mean size of the dictionaries.
    """
    suite = plan.suite
    sides = [encoder for encoder in widths for _ in suite.seeds]
    total = sum(len(side) for side in sides)
    layer_pairs = (total**2 - sum(len(side) ** 2 for side in sides)) // 2
    latents = [plan.n_latents(width) for side in widths for width in side]
    evaluations = 1 + suite.permutations + suite.folds
    seconds = rates.pair_seconds(n_compared, round(sum(latents) / len(latents)), suite.k)
    return ComparisonEstimate(
        len(sides) * (len(sides) - 1) // 2, layer_pairs, evaluations, layer_pairs * evaluations * seconds
    )
