"""What a suite takes, before anything of it runs: disk, memory and time of every encoder, and of the comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from benchmark.catalog import EncoderCard
from benchmark.encoders import hub
from benchmark.jobs import rates
from benchmark.jobs.cores import cores
from benchmark.jobs.layer_groups import layer_groups, training_bytes
from benchmark.jobs.outline import encoder_outline
from benchmark.jobs.plan import Plan, pick_layers

FLOAT, HALF, GROUP = 4, 2, 8
"""Bytes of a float32, of a float16 and of a sample's group."""
SORTED = 8
"""Bytes of a slot of features that are sorted by latent: int32 sample, float32 value."""


@dataclass(frozen=True)
class EncoderEstimate:
    """What the train jobs of one encoder take, all seeds together; sizes in bytes, times in seconds."""

    card: EncoderCard
    widths: tuple[int, ...]
    """Width of each layer of the plan."""
    activations: int
    models: int
    features: int
    parts: int
    """Parts in which the SAEs train, since not all fit the memory at once."""
    training: int
    """Memory of the largest of these parts: weights, gradients and Adam's moments."""
    encode: float | None
    """None if the cost of a forward pass is not known."""
    train: float


def estimate_encoder(
    plan: Plan, card: EncoderCard, n_samples: int, n_training: int, memory: int
) -> EncoderEstimate | None:
    """Return what an encoder takes on `n_samples` samples, None if its layers cannot be known yet.

    `n_training` samples train the SAEs, in `memory` bytes. Raises what `encoder_outline` and `pick_layers` raise.
    """
    outline = encoder_outline(card, trust_remote_code=plan.trust_remote_code)
    if outline is None:
        return None
    suite = plan.suite
    widths = tuple(outline.widths[layer] for layer in pick_layers(plan.layers, list(outline.widths), card.name))
    steps = suite.epochs * -(-n_training * (1 + suite.tokens) // suite.batch_size)
    seeds = len(suite.seeds)
    parts = _training_parts(plan, widths, memory)
    stored = n_samples * ((1 + suite.tokens) * sum(widths) + (1 if suite.tokens else 0) * len(widths)) * FLOAT
    return EncoderEstimate(
        card,
        widths,
        activations=0 if card.library == "activations" else stored,
        models=seeds * sum(2 * plan.n_latents(width) * width * FLOAT for width in widths),
        features=seeds * n_samples * sum(
            suite.k * (_index(plan.n_latents(width)) + HALF) + GROUP for width in widths
        ),
        parts=len(parts),
        training=max(parts),
        encode=_encode_seconds(plan, card, outline.gflop, n_samples),
        train=seeds * steps * sum(
            rates.step_seconds(width, plan.n_latents(width), suite.k, suite.batch_size, plan.device)
            for width in widths
        ),
    )  # fmt: skip


def _training_parts(plan: Plan, widths: Sequence[int], memory: int) -> list[int]:
    """Return the bytes of each part that `train_in_groups` makes of an encoder's SAEs: some layers, of some seeds."""
    seeds = plan.suite.seeds
    sizes = {i: len(seeds) * training_bytes(width, plan.n_latents(width)) for i, width in enumerate(widths)}
    found = []
    for layers in layer_groups(sizes, memory):
        alone = sum(sizes[layer] for layer in layers) // len(seeds)
        found += [len(part) * alone for part in layer_groups(dict.fromkeys(seeds, alone), memory)]
    return found


def _encode_seconds(plan: Plan, card: EncoderCard, gflop: float | None, n_samples: int) -> float | None:
    if card.library == "activations":
        return 0.0
    if gflop is None:
        return None
    model = n_samples * gflop * 1e9 / rates.transformer_rate(plan.device, plan.precision)
    prepare = n_samples * rates.image_seconds() / cores() if card.modality == "image" else 0.0
    # A GPU computes while the cores decode; on a CPU both need the same cores.
    return model + prepare if torch.device(plan.device).type == "cpu" else max(model, prepare)


def _index(n_latents: int) -> int:
    """Return the bytes of the index of a latent."""
    return 2 if n_latents <= 65_536 else 4


def download(cards: Sequence[EncoderCard]) -> int | None:
    """Return the bytes of weights still to be fetched, once for towers of one model; None if a card does not tell."""
    missing: dict[tuple[str | None, str], int] = {}
    for card in cards:
        if not hub.is_cached(card):
            model = hub.repository(card), card.revision
            missing[model] = max(missing.get(model, 0), card.download_mb)  # a tower may need less than all of it
    return sum(missing.values()) * 10**6 if all(missing.values()) else None


@dataclass(frozen=True)
class ComparisonEstimate:
    """What comparing the trained SAEs takes."""

    pairs: int
    """Pairs of (encoder, seed)."""
    layer_pairs: int
    memory: int
    seconds: float


def estimate_comparison(
    plan: Plan, widths: Sequence[Sequence[int]], n_samples: int, compared: Sequence[int]
) -> ComparisonEstimate:
    """Return what comparing encoders with layers of these widths takes.

    `compared` is the number of samples of each sample set, out of `n_samples`. The times are measured at the mean size
    of the dictionaries.
    """
    suite = plan.suite
    sides = [len(layers) for layers in widths for _ in suite.seeds]
    if not sides:
        return ComparisonEstimate(0, 0, 0, 0.0)
    ways = list(combinations(sides, 2))
    layer_pairs = sum(a * b for a, b in ways)
    # With several layers the last ones are compared once more by themselves.
    last = len(ways) if max(sides) > 1 else 0
    layers = sum(a + b for a, b in ways) + 2 * last
    latents = [plan.n_latents(width) for side in widths for width in side]
    recipe = (round(sum(latents) / len(latents)), suite.k)
    seconds = sum(
        (layer_pairs + last) * (1 + suite.permutations + suite.folds) * rates.pair_seconds(n, *recipe)
        + layers * rates.layer_seconds(n, *recipe, suite.permutations, suite.folds)
        for n in compared
    )
    # All features stay loaded; those of a sample set are taken and sorted, once more so the folds of two encoders.
    loaded = suite.k * (_index(max(latents)) + FLOAT) + GROUP
    taken = loaded + suite.k * SORTED
    largest = max((a + b for a, b in ways), default=0)
    memory = sum(sides) * n_samples * loaded + (sum(sides) + largest) * max(compared) * taken
    return ComparisonEstimate(len(ways), layer_pairs, memory, seconds)
