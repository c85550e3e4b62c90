"""What a suite takes, before anything of it runs: disk, memory and time of every encoder, and of the comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from benchmark.catalog import EncoderCard
from benchmark.cores import cores
from benchmark.encoders import hub
from benchmark.jobs import rates
from benchmark.jobs.feature_samples import IMAGES
from benchmark.jobs.layer_groups import layer_groups, training_bytes
from benchmark.jobs.outline import encoder_outline
from benchmark.jobs.plan import ALL_TOKENS, Plan, pick_layers
from benchmark.jobs.token_sample import SAMPLES, VECTORS
from benchmark.sae.mixing import buffer_bytes

FLOAT, HALF, GROUP = 4, 2, 8
"""Bytes of a float32, of a float16 and of a sample's group."""
SORTED = 8
"""Bytes of a slot of features that are sorted by latent: int32 sample, float32 value."""
THUMBNAIL, SHOWN = 1400, 128
"""Bytes of a thumbnail, and of the rows that show a latent's samples (measured at COCO's size)."""
CHECKPOINT_SECONDS = 300
"""Seconds of training before its first checkpoint."""
DENSE_WORK = 48
"""Bytes that comparing two layers without TopK takes for each sample and latent beside their features (measured)."""


@dataclass(frozen=True)
class EncoderEstimate:
    """What the train jobs of one encoder take, all seeds together; sizes in bytes, times in seconds."""

    card: EncoderCard
    widths: tuple[int, ...]
    """Width of each layer of the plan."""
    activations: int
    models: int
    features: int
    examples: int
    """Samples and thumbnails that show what the features are; at most."""
    parts: int
    """Parts in which the SAEs train, since not all fit the memory at once."""
    training: int
    """Memory of the largest of these parts (SAEs with gradients and moments, mixing buffers), or of recording without
    TopK."""
    checkpoints: int
    """Disk of the largest part's checkpoints: two, for a moment; none where training ends before the first is due."""
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
    suite, training = plan.suite, plan.training
    layers = pick_layers(plan.layers, list(outline.widths), card.name)
    widths = tuple(outline.widths[layer] for layer in layers)
    streams, tokens = plan.tokens == ALL_TOKENS, max(plan.tokens, 0)  # what is stored
    totals = [round(n_training * (1 + (outline.tokens[layer] if streams else tokens))) for layer in layers]
    held = [
        buffer_bytes(total, width, training.batch_size) if streams else 0
        for total, width in zip(totals, widths, strict=True)
    ]
    seeds = len(suite.seeds)
    parts = _training_parts(plan, widths, held, memory)
    train = seeds * training.epochs * sum(
        -(-total // training.batch_size)
        * rates.step_seconds(width, plan.n_latents(width), suite.k, training, plan.device)
        for total, width in zip(totals, widths, strict=True)
    )  # fmt: skip
    encoded = n_samples
    if streams:  # again for every part and epoch, and for the draws that training starts from and is measured on
        encoded += len(parts) * training.epochs * n_training
        encoded += min(SAMPLES, n_training) + min(SAMPLES, n_samples - n_training or n_samples)
    state = 4 / 5 if training.patience else 3 / 4  # of what training keeps, all but the gradients
    stored = n_samples * ((1 + tokens) * sum(widths) + (1 if plan.tokens else 0) * len(widths)) * FLOAT
    if streams:
        stored += 2 * sum(min(total, VECTORS) * width * FLOAT for total, width in zip(totals, widths, strict=True))
    return EncoderEstimate(
        card,
        widths,
        activations=0 if card.library == "activations" else stored,
        models=seeds * sum(2 * plan.n_latents(width) * width * FLOAT for width in widths),
        features=seeds * n_samples * (2 if suite.untrained else 1) * sum(
            _sample(plan, plan.n_latents(width), HALF) for width in widths
        ),
        examples=seeds * (min(n_samples, IMAGES) * THUMBNAIL + sum(map(plan.n_latents, widths)) * SHOWN),
        parts=len(parts),
        training=max(*map(sum, parts), _recording(plan, widths, n_samples)),
        checkpoints=round(2 * max(parts)[0] * state) if train / len(parts) > CHECKPOINT_SECONDS else 0,
        encode=_encode_seconds(plan, card, outline.gflop, encoded),
        train=train,
    )  # fmt: skip


def _training_parts(plan: Plan, widths: Sequence[int], held: Sequence[int], memory: int) -> list[tuple[int, int]]:
    """Return the bytes of SAEs and of buffers in each part that `train_in_groups` makes: some layers, of some seeds.

    `held` are the bytes of each layer's mixing buffer.
    """
    seeds = plan.suite.seeds
    stops = plan.training.patience > 0
    sizes = {
        i: held[i] + len(seeds) * training_bytes(width, plan.n_latents(width), early_stop=stops)
        for i, width in enumerate(widths)
    }
    found = []
    for layers in layer_groups(sizes, memory):
        buffers = sum(held[layer] for layer in layers)
        alone = (sum(sizes[layer] for layer in layers) - buffers) // len(seeds)
        parts = layer_groups(dict.fromkeys(seeds, alone), memory - buffers)
        found += [(len(part) * alone, buffers) for part in parts]
    return found


def _recording(plan: Plan, widths: Sequence[int], n_samples: int) -> int:
    """Return the bytes of the widest layer's features without TopK: as computed, as rounded and as saved."""
    if plan.suite.codes == "topk":
        return 0
    return n_samples * plan.n_latents(max(widths)) * (FLOAT + FLOAT + HALF)


def _encode_seconds(plan: Plan, card: EncoderCard, gflop: float | None, n_samples: int) -> float | None:
    if card.library == "activations":
        return 0.0
    if gflop is None:
        return None
    model = n_samples * gflop * 1e9 / rates.transformer_rate(plan.device, plan.precision)
    prepare = n_samples * rates.image_seconds() / cores() if card.modality == "image" else 0.0
    # A GPU computes while the cores decode; on a CPU both need the same cores.
    return model + prepare if torch.device(plan.device).type == "cpu" else max(model, prepare)


def _sample(plan: Plan, n_latents: int, value: int) -> int:
    """Return the bytes of one sample's features of one layer, their values of `value` bytes each."""
    if plan.suite.codes == "relu":
        return n_latents * value + GROUP
    return plan.suite.k * ((2 if n_latents <= 65_536 else 4) + value) + GROUP


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
    plan: Plan, widths: Sequence[Sequence[int]], n_samples: int, compared: Sequence[int], budget: int
) -> ComparisonEstimate:
    """Return what comparing encoders with layers of these widths takes.

    `compared` is the number of samples of each sample set, out of `n_samples`; `budget` the bytes of features that may
    be in memory at a time. The times are measured at the mean size of the dictionaries.
    """
    suite = plan.suite
    sides = [len(layers) for layers in widths for _ in suite.seeds]
    if not sides:
        return ComparisonEstimate(0, 0, 0, 0.0)
    ways = list(combinations(sides, 2))
    layer_pairs = sum(a * b for a, b in ways)
    floors = list(combinations(map(len, widths), 2)) + [(len(own), len(own)) for own in widths if len(suite.seeds) > 1]
    # Everything; once more in units without the scale of the latents; the SAEs before training.
    passes = [(ways, suite.permutations), (ways, 0), (floors if suite.untrained else [], 0)]
    latents = [plan.n_latents(width) for side in widths for width in side]
    mean_latents = round(sum(latents) / len(latents))
    several = max(sides) > 1  # then the last layers are compared once more by themselves
    seconds = 0.0
    for n in compared:
        for some, permutations in passes:
            last = len(some) if several else 0
            pairs, layers = sum(a * b for a, b in some) + last, sum(a + b for a, b in some) + 2 * last
            seconds += pairs * (1 + permutations + suite.folds) * _pair_seconds(plan, n, mean_latents)
            if suite.codes == "topk":
                seconds += layers * rates.layer_seconds(n, mean_latents, suite.k, permutations, suite.folds)
        if suite.paper_code:
            seconds += 2 * (layer_pairs + (len(ways) if several else 0)) * _pair_seconds(plan, n, mean_latents)
    memory = _comparison_memory(plan, widths, n_samples, max(compared), budget)
    return ComparisonEstimate(len(ways), layer_pairs, memory, seconds)


def _pair_seconds(plan: Plan, n: int, n_latents: int) -> float:
    if plan.suite.codes == "relu":
        return rates.dense_pair_seconds(n, n_latents)
    return rates.pair_seconds(n, n_latents, plan.suite.k)


def _comparison_memory(plan: Plan, widths: Sequence[Sequence[int]], n_samples: int, compared: int, budget: int) -> int:
    """Return the bytes of features that a comparison holds, of a layer on its way in, and of a pair's work."""
    latents = [[plan.n_latents(width) for width in side] for side in widths for _ in plan.suite.seeds]
    # Sorted slots beside the features of a sample; a pair needs as much for its folds and for its scale-free form.
    more = plan.suite.k * SORTED if plan.suite.codes == "topk" else 0
    sides = sorted(compared * sum(_sample(plan, m, FLOAT) + more for m in side) for side in latents)
    held = sum(sides) if sum(sides) <= budget else max(min(budget, sum(sides)), sum(sides[-2:]))
    largest = max(m for side in latents for m in side)
    work = 2 * sum(sides[-2:]) + (DENSE_WORK * compared * largest if plan.suite.codes == "relu" else 0)
    return held + n_samples * _sample(plan, largest, FLOAT) + work
