"""Training of one encoder's SAEs in groups that fit the memory; what is trained waits on the disk."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmark.jobs.layer_groups import layer_groups, training_bytes
from benchmark.jobs.plan import Plan
from benchmark.jobs.training_folder import (
    Key,
    begin_group,
    end_group,
    finished_log,
    interrupted_group,
    write_finished,
)  # fmt: skip
from benchmark.jobs.training_vectors import TrainingVectors
from benchmark.sae import Checkpoint, NotFinite, TopKSAE, TrainingLog, start, train
from benchmark.sae.preparation import Start

LOG = logging.getLogger("benchmark")
Logs = dict[Key, TrainingLog]
Evaluator = Callable[[Key, TopKSAE], float]


def train_in_groups(
    plan: Plan,
    name: str,
    widths: Mapping[int, int],
    vectors: TrainingVectors,
    seeds: Sequence[int],
    budget: int,
    folder: Path,
    evaluate: Evaluator | None = None,
) -> Logs:
    """Train an SAE of each layer and seed, write them for `trained_sae`, and return what was noted of each.

    The SAEs of as many layers train at a time as fit `budget` bytes; a layer whose seeds do not fit together trains
    them in parts. An SAE ends with the same weights, to the bit, in any group. What a process that was killed left in
    `folder` is gone on with: finished SAEs are not trained again, and its last group goes on from its checkpoint.

    Raises ValueError, naming encoder, layer and sample, for an activation that is not finite.
    """
    stops = plan.training.patience > 0
    size = {i: training_bytes(width, plan.n_latents(width), early_stop=stops) for i, width in widths.items()}
    totals = {layer: vectors.steps(layer) for layer in widths}
    wanted = list(product(widths, seeds))
    logs = {key: log for key in wanted if (log := finished_log(folder, *key)) is not None}
    held = {layer: vectors.held_bytes(layer) for layer in widths}
    groups = _groups(size, held, [key for key in wanted if key not in logs], budget)
    interrupted = interrupted_group(folder)
    if interrupted and set(interrupted) <= set(wanted):
        needed = sum(size[layer] for layer, _ in interrupted) + sum(held[i] for i in {i for i, _ in interrupted})
        if len(interrupted) == 1 or needed <= budget:
            left = [key for key in wanted if key not in logs and key not in interrupted]
            groups = [interrupted, *_groups(size, held, left, budget)]
            logs = {key: log for key, log in logs.items() if key not in interrupted}
        else:
            LOG.warning("%s: the SAEs that were training together no longer fit the memory; they start anew.", folder)
    if len(groups) > 1 and any(held.values()):
        LOG.warning(
            "%s: its SAEs train in %d groups, to fit the memory; the encoder runs over the samples for each of them.",
            name, len(groups),
        )  # fmt: skip
    # Counted in steps of single SAEs: groups differ in size.
    done = sum(totals[layer] for layer, _ in logs)
    with tqdm(
        total=len(seeds) * sum(totals.values()), initial=done, desc=f"train {name}", unit="step", mininterval=0.5
    ) as bar:
        for group in groups:
            logs |= _train_group(plan, name, widths, vectors, group, folder, evaluate, bar)
            done += sum(totals[layer] for layer, _ in group)
            bar.update(done - bar.n)  # some were stopped early
    return {key: logs[key] for key in wanted}


def _groups(size: Mapping[int, int], held: Mapping[int, int], left: Sequence[Key], budget: int) -> list[list[Key]]:
    """Return which SAEs train together: all seeds of some layers, or some seeds of one layer.

    An SAE of a layer takes `size` bytes, and the layer itself `held` bytes, however many seeds train.
    """
    seeds_of: dict[int, tuple[int, ...]] = {}
    for layer, seed in left:
        seeds_of[layer] = (*seeds_of.get(layer, ()), seed)
    found = []
    for seeds in dict.fromkeys(seeds_of.values()):
        sizes = {layer: held[layer] + len(seeds) * size[layer] for layer in seeds_of if seeds_of[layer] == seeds}
        for layers in layer_groups(sizes, budget):
            alone, left_over = sum(size[layer] for layer in layers), budget - sum(held[layer] for layer in layers)
            found += [list(product(layers, part)) for part in layer_groups(dict.fromkeys(seeds, alone), left_over)]
    return found


def _train_group(
    plan: Plan,
    name: str,
    widths: Mapping[int, int],
    vectors: TrainingVectors,
    group: list[Key],
    folder: Path,
    evaluate: Evaluator | None,
    bar: Any,
) -> Logs:
    layers, seeds = (list(dict.fromkeys(part)) for part in zip(*group, strict=True))
    config = plan.training
    starts = dict.fromkeys(layers, Start(None, 1.0))
    if config.b_dec != "zero" or config.normalize:
        starts = {layer: start(sample, config) for layer, sample in vectors.start_vectors(layers)}
    saes = {
        (layer, seed): TopKSAE(
            widths[layer], plan.n_latents(widths[layer]), plan.suite.k, seed=plan.seeds_of(seed).init
        )
        .centred(starts[layer].b_dec)
        .to(plan.device)
        for layer, seed in group
    }
    totals = {(layer, seed): vectors.steps(layer) for layer, seed in group}
    scales = {(layer, seed): starts[layer].scale for layer, seed in group}
    checkpoint = Checkpoint(begin_group(folder, group), saes, config, totals=totals, scales=scales)
    if checkpoint.step:
        with bar.external_write_mode():
            LOG.warning("training of '%s' goes on from step %d.", name, checkpoint.step)
        bar.update(sum(min(checkpoint.step, total) for total in totals.values()))
    orders = {seed: plan.seeds_of(seed).order for seed in seeds}
    batches = vectors.batches(layers, orders, checkpoint.step)
    try:
        logs = train(
            saes, _shown(batches, bar), config, totals=totals, scales=scales, evaluate=evaluate, checkpoint=checkpoint
        )
    except NotFinite as error:
        sample = vectors.sample(error, layers, orders) if error.what == "activation" else None
        at = f"sample '{sample}'" if sample is not None else f"step {error.step}"
        raise ValueError(
            f"encoder '{name}', layer {error.key[0]}, {at}: the {error.what} is not finite"
            + ("." if error.what == "activation" else f" (seed {error.key[1]}); lower learning_rate.")
        ) from None
    for (layer, seed), sae in saes.items():
        write_finished(folder, layer, seed, sae, logs[layer, seed])
    end_group(folder)
    return logs


def _shown(batches: Iterable[Mapping[Key, torch.Tensor]], bar: Any) -> Iterator[Mapping[Key, torch.Tensor]]:
    for batch in batches:
        yield batch
        bar.update(len(batch))
