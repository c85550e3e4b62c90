"""Training: many SAEs advance together over one stream of activation batches.

The trainer knows nothing of datasets, encoders or tracking. An SAE trained beside others ends with the weights that
it gets alone: each has its own initial weights and its own order of samples.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmark.sae.settings import TrainConfig
from benchmark.sae.topk import TopKSAE

Key = TypeVar("Key", bound=Hashable)


def train(
    saes: Mapping[Key, TopKSAE], batches: Iterable[Mapping[Key, torch.Tensor]], config: TrainConfig
) -> dict[Key, NDArray[np.float32]]:
    """Train each SAE on its own batch of every step; returns each one's loss curve (steps,).

    The loss is the mean squared error of the reconstruction, per dimension. Raises ValueError when an activation or a
    loss is not finite, naming the SAE's key and the step.
    """
    adams = {key: torch.optim.Adam(sae.parameters(), lr=config.learning_rate, fused=True) for key, sae in saes.items()}
    losses: dict[Key, list[torch.Tensor]] = {key: [] for key in saes}
    for step, batch in enumerate(batches):
        for key, sae in saes.items():
            x = batch[key].to(sae.W_enc)
            adams[key].zero_grad()
            loss = F.mse_loss(sae(x), x)
            if not torch.isfinite(loss):
                wrong = "loss" if torch.isfinite(x).all() else "activation"
                raise ValueError(f"SAE {key}: the {wrong} is not finite at step {step}.")
            loss.backward()
            adams[key].step()
            losses[key].append(loss.detach())
    return {
        key: torch.stack(curve).cpu().numpy() if curve else np.empty(0, np.float32) for key, curve in losses.items()
    }


def shuffled_batches(
    activations: Mapping[int, NDArray[np.float32]],
    rows: NDArray[np.int64],
    order_seeds: Mapping[int, int],
    config: TrainConfig,
) -> Iterator[dict[tuple[int, int], torch.Tensor]]:
    """Yield batches {(layer, seed): (batch, d)} of some rows of each layer's activations (N, d).

    Every seed draws its own order in every epoch; all layers of a seed see the same order. The last, smaller batch of
    an epoch is kept.
    """
    orders = {seed: np.random.default_rng(order_seed) for seed, order_seed in order_seeds.items()}
    for _ in range(config.epochs):
        shuffled = {seed: rng.permutation(rows) for seed, rng in orders.items()}
        for start in range(0, len(rows), config.batch_size):
            yield {
                (layer, seed): torch.from_numpy(np.asarray(array[order[start : start + config.batch_size]]))
                for layer, array in activations.items()
                for seed, order in shuffled.items()
            }


def steps(n_rows: int, config: TrainConfig) -> int:
    """Return the number of batches that `shuffled_batches` yields."""
    return config.epochs * -(-n_rows // config.batch_size)
