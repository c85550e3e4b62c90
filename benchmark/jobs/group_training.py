"""Training of one encoder's SAEs in groups that fit the memory; what is trained waits on the disk."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmark.jobs.activation_cache import Activations
from benchmark.jobs.layer_groups import layer_groups, training_bytes
from benchmark.jobs.plan import Plan
from benchmark.sae import TopKSAE, read_sae, shuffled_batches, steps, train, write_sae
from benchmark.sae.trainer import mean, n_items

Losses = dict[tuple[int, int], NDArray[np.float32]]


def train_in_groups(
    plan: Plan,
    name: str,
    widths: Mapping[int, int],
    activations: Activations,
    rows: NDArray[np.int64],
    seeds: Sequence[int],
    budget: int,
    folder: Path,
) -> Losses:
    """Train an SAE of each layer and seed on some rows, write them for `trained_sae`, and return their loss curves.

    The SAEs of as many layers train at a time as fit `budget` bytes; a layer whose seeds do not fit together trains
    them in parts. An SAE ends with the same weights, to the bit, in any group. Raises ValueError as `train` does.
    """
    sizes = {layer: len(seeds) * training_bytes(width, plan.n_latents(width)) for layer, width in widths.items()}
    counts = activations.counts
    lengths = [steps(n_items(rows, [counts[layer]] if counts else []), plan.training) for layer in widths]
    losses: Losses = {}
    # Counted in steps of single SAEs: groups differ in size.
    with tqdm(total=len(seeds) * sum(lengths), desc=f"train {name}", unit="step", mininterval=0.5) as bar:
        for layers in layer_groups(sizes, budget):
            alone = sum(sizes[layer] for layer in layers) // len(seeds)
            for part in layer_groups(dict.fromkeys(seeds, alone), budget):
                saes = {
                    (layer, seed): sae
                    for layer in layers
                    for seed, sae in _untrained(plan, widths[layer], layer, activations, rows, part).items()
                }
                batches = shuffled_batches(
                    {layer: activations.pooled[layer] for layer in layers}, rows, {seed: seed for seed in part},
                    plan.training, tokens=activations.tokens, counts=counts,
                )  # fmt: skip
                losses |= train(saes, _shown(batches, bar), plan.training)
                for (layer, seed), sae in saes.items():
                    write_sae(sae, _folder(folder, layer, seed))
    return losses


def trained_sae(folder: Path, layer: int, seed: int, device: str) -> TopKSAE:
    """Return an SAE that `train_in_groups` left in `folder`."""
    return read_sae(_folder(folder, layer, seed), device)


def _untrained(
    plan: Plan, width: int, layer: int, activations: Activations, rows: NDArray[np.int64], seeds: Iterable[int]
) -> dict[int, TopKSAE]:
    centre = training_mean(activations, layer, rows) if plan.training.center else None
    m, k = plan.n_latents(width), plan.suite.k
    return {seed: TopKSAE(width, m, k, seed=seed).centred(centre).to(plan.device) for seed in seeds}


def training_mean(activations: Activations, layer: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean (d,) of the vectors of some rows that train a layer's SAEs."""
    return mean(activations.pooled[layer], rows, activations.tokens.get(layer), activations.counts.get(layer))


def _shown(
    batches: Iterable[dict[tuple[int, int], torch.Tensor]], bar: Any
) -> Iterator[dict[tuple[int, int], torch.Tensor]]:
    for batch in batches:
        yield batch
        bar.update(len(batch))


def _folder(folder: Path, layer: int, seed: int) -> Path:
    return folder / f"L{layer:02d}-seed{seed}"
