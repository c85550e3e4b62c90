"""The training loop that all recipes share: AdamW, warm-up and cosine, one progress bar."""

import math
from collections.abc import Callable, Iterator

import torch
from tqdm import tqdm

from benchmark.errors import WorkError

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
DECAY = 0.05
"""Weight decay of matrices; vectors (biases, norms) have none."""


def optimise(
    model: torch.nn.Module,
    loss: Callable[[torch.Tensor], torch.Tensor],
    samples: int,
    *,
    epochs: int,
    batch: int,
    learning_rate: float,
    title: str,
    progress: bool,
) -> None:
    """Minimise `loss`, a function of the (B,) indices of a batch, over the parameters of `model`.

    The order of the samples is drawn from torch's global generator, like all else in training: seed it first. The last
    batch of an epoch is left out if it is incomplete. Raises WorkError if the loss becomes NaN or infinite.
    """
    batch = min(batch, samples)
    steps = epochs * (samples // batch)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}],
        lr=learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, steps))
    model.train()
    smooth = 0.0
    with tqdm(total=steps, desc=title, unit="step", disable=not progress) as bar:
        for step, indices in enumerate(_batches(samples, batch, epochs)):
            value = loss(indices)
            optimiser.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            current = value.item()
            if not math.isfinite(current):
                raise WorkError(f"{title}: the loss became {current} at step {step}; lower the learning rate.")
            smooth = current if step == 0 else 0.95 * smooth + 0.05 * current
            bar.update()
            bar.set_postfix(loss=f"{smooth:.3f}", refresh=False)
    model.eval()


def rate(step: int, steps: int) -> float:
    """Return the factor of the learning rate at a step: linear warm-up, then half a cosine down to 0."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _batches(samples: int, batch: int, epochs: int) -> Iterator[torch.Tensor]:
    for _ in range(epochs):
        order = torch.randperm(samples)
        for start in range(0, samples - batch + 1, batch):
            yield order[start : start + batch]
