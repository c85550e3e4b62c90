"""Training: many SAEs advance together over one stream of activation batches.

The trainer knows nothing of datasets, encoders or tracking. An SAE trained beside others ends with the weights that
it gets alone: each has its own initial weights, its own order of samples, its own optimiser and its own schedule.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

import torch

from benchmark.sae.checkpoint import Checkpoint
from benchmark.sae.interruption import deferred_interruption
from benchmark.sae.learner import Learner, TrainingLog
from benchmark.sae.settings import TrainConfig
from benchmark.sae.topk import TopKSAE

Key = TypeVar("Key", bound=Hashable)


def train(
    saes: Mapping[Key, TopKSAE],
    batches: Iterable[Mapping[Key, torch.Tensor]],
    config: TrainConfig,
    *,
    totals: Mapping[Key, int],
    scales: Mapping[Key, float] | None = None,
    evaluate: Callable[[Key, TopKSAE], float] | None = None,
    checkpoint: Checkpoint | None = None,
) -> dict[Key, TrainingLog]:
    """Train each SAE on its own batch of every step that has one; returns what was noted of each.

    BatchTopK decides only which latents train: what an SAE records afterwards are the k largest of each sample.

    Args:
        saes: the SAEs, each on its device, b_dec where it is to start (`preparation.start`); trained in place.
        batches: {key: (n, d) activations} of every step, in their own units. With a checkpoint, it begins behind the
            `checkpoint.step` steps that are done.
        config: how.
        totals: number of batches that each SAE is given in all: what its schedules rest on, and no more are taken.
        scales: by what each SAE's activations are multiplied in training (`preparation.start`); needed if
            `config.normalize`. The saved weights are in the units of the activations.
        evaluate: called with a key and its SAE every `config.evaluate_every` steps and at the end; returns a figure
            of which less is better. With `config.patience`, the weights with the least are kept.
        checkpoint: where the state is kept, and perhaps found. It is also written when SIGINT or SIGTERM comes, after
            the present step, and when `batches` raises anything.

    Raises:
        NotFinite: (a ValueError) an activation or a loss is not finite; it names the SAE's key and the step.
        ValueError: `config` wants scales or an evaluator and there are none, or a k_start that does not fit.
    """
    if config.normalize and scales is None:
        raise ValueError("normalize needs the scale of each SAE's activations (preparation.start).")
    if config.patience and evaluate is None:
        raise ValueError("patience needs an evaluator to stop by.")
    learners = {
        key: Learner(key, sae, config, totals[key], scales[key] if scales and config.normalize else 1.0)
        for key, sae in saes.items()
    }
    step = 0
    if checkpoint is not None:
        checkpoint.restore(learners)
        step = checkpoint.step
    with deferred_interruption() as interruption:
        stream = iter(batches)
        while not all(learner.done for learner in learners.values()):
            try:
                batch = next(stream, None)
            except BaseException:
                if checkpoint is not None:
                    checkpoint.save(learners, step)
                raise
            if batch is None:
                break
            for key, rows in batch.items():
                learner = learners[key]
                if learner.done:
                    continue
                learner.step(rows, step)
                if evaluate is not None and (learner.steps % config.evaluate_every == 0 or learner.done):
                    learner.evaluate(evaluate)
            step += 1
            if checkpoint is not None and (interruption.came or checkpoint.due):
                checkpoint.save(learners, step)
            if interruption.came:
                break
    if interruption.came:  # and was handled by something that did not stop this
        raise KeyboardInterrupt
    return {key: learner.finish() for key, learner in learners.items()}
