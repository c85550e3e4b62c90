"""One small training with every option switched on, for the tests of trainer and checkpoints."""

import hashlib

import numpy as np

from benchmark.sae import Checkpoint, TopKSAE, TrainConfig, shuffled_batches, steps, train
from benchmark.sae.batches import n_items

EVERYTHING = TrainConfig(
    learning_rate=5e-3, batch_size=32, epochs=3, normalize=True, unit_norm=True, warmup=0.1, decay=0.3, k_start=8,
    k_anneal=0.5, selection="batchtopk", matryoshka=(0.25, 0.5), aux_k=4, dead_after=64, patience=3, evaluate_every=4,
)  # fmt: skip
ROWS = 200


def data():
    """Two layers of 200 vectors far from 0; the second has fewer items a row, so fewer steps."""
    rng = np.random.default_rng(0)
    pooled = {layer: rng.standard_normal((ROWS, 10)).astype(np.float32) + 3 for layer in (0, 5)}
    counts = {0: np.full(ROWS, 1, np.int32), 5: np.zeros(ROWS, np.int32)}
    tokens = {layer: rng.standard_normal((ROWS, 1, 10)).astype(np.float32) + 3 for layer in (0, 5)}
    return {"activations": pooled, "tokens": tokens, "counts": counts}


def run(config=EVERYTHING, layers=(0, 5), seeds=(0, 1), *, folder=None, minutes=0.0, watched=None):
    """Train and return ({key: sae}, {key: log}); with a folder, go on from the checkpoint there.

    `watched(step)` is called before each batch is handed out.
    """
    found = data()
    found["activations"] = {layer: found["activations"][layer] for layer in layers}
    saes = {(layer, seed): TopKSAE(10, 40, 3, seed=seed, encoder_bias=layer == 5) for layer in layers for seed in seeds}
    totals = {key: steps(n_items(np.arange(ROWS), [found["counts"][key[0]]]), config) for key in saes}
    scales = {key: 0.7 + key[0] for key in saes}
    held = {layer: found["activations"][layer][:50] for layer in layers}

    def evaluate(key, sae):
        import torch

        x = torch.from_numpy(held[key[0]])
        return torch.nn.functional.mse_loss(sae(x), x)

    checkpoint = None
    if folder is not None:
        checkpoint = Checkpoint(folder, saes, config, totals=totals, scales=scales, minutes=minutes)
    skip = checkpoint.step if checkpoint else 0
    batches = shuffled_batches(
        rows=np.arange(ROWS), order_seeds={s: s for s in seeds}, config=config, skip=skip, **found
    )

    def stream():
        for step, batch in enumerate(batches, skip):
            if watched:
                watched(step)
            yield batch

    logs = train(saes, stream(), config, totals=totals, scales=scales, evaluate=evaluate, checkpoint=checkpoint)
    return saes, logs


def digest(saes, logs):
    """Return a hash of all weights and of all that was noted."""
    found = hashlib.sha256()
    for key in saes:
        for value in saes[key].state_dict().values():
            found.update(value.numpy().tobytes())
        for part in logs[key]:
            found.update(part.tobytes())
    return found.hexdigest()
