"""Where the limits of the failure signatures come from: SAEs trained well and badly on planted dictionaries.

    python perf/signatures.py

20,480 vectors of width 64, each the sum of 8 of 256 atoms (random directions, coefficients 1 to 2) and a common offset;
16,384 train, the rest are held out. One line per recipe: the figures of one seed, what its loss still fell by, how well
the atoms are found (mean over atoms of the largest cosine to a decoder row), the cross-fitted value between two seeds
with that before training, and the signatures that are raised.
"""

from dataclasses import replace

import numpy as np
import torch

from benchmark.metrics import crossfit
from benchmark.metrics.signatures import NEAR
from benchmark.sae import TopKSAE, TrainConfig, quality, shuffled_batches, start, steps, train
from benchmark.sae.signatures import loss_fall, sae_signatures
from benchmark.signature import names

D, ATOMS, ACTIVE, TRAIN, HELD_OUT = 64, 256, 8, 16_384, 4_096
GOOD = TrainConfig(learning_rate=3e-3, epochs=20, b_dec="mean")
RECIPES: list[tuple[str, TrainConfig, int, int]] = [
    ("paper's step and pass", TrainConfig(), 8, 512),
    ("the same from the mean", replace(GOOD, learning_rate=5e-5, epochs=1), 8, 512),
    ("1e-3, 1 pass", replace(GOOD, learning_rate=1e-3, epochs=1), 8, 512),
    ("1e-3, 10 passes", replace(GOOD, learning_rate=1e-3, epochs=10), 8, 512),
    ("3e-3, 10 passes", replace(GOOD, epochs=10), 8, 512),
    ("3e-3, 10 passes, b_dec from 0", replace(GOOD, epochs=10, b_dec="zero"), 8, 512),
    ("3e-3, 20 passes", GOOD, 8, 512),
    ("3e-3, 40 passes", replace(GOOD, epochs=40), 8, 512),
    ("1e-2, 10 passes", replace(GOOD, learning_rate=1e-2, epochs=10), 8, 512),
    ("3e-2, 10 passes", replace(GOOD, learning_rate=3e-2, epochs=10), 8, 512),
    ("1e-1, 10 passes", replace(GOOD, learning_rate=1e-1, epochs=10), 8, 512),
    ("3e-3, 20 passes, k = 2", GOOD, 2, 512),
    ("3e-3, 20 passes, k = 4", GOOD, 4, 512),
    ("3e-3, 20 passes, k = 16", GOOD, 16, 512),
    ("3e-3, 20 passes, k = 32", GOOD, 32, 512),
    ("3e-3, 20 passes, 2,048 latents", GOOD, 8, 2048),
    ("3e-3, 20 passes, 2,048, k = 2", GOOD, 2, 2048),
]
COLUMNS = ("dead", "rare", "fvu", "pca_fvu", "offset", "loss_fall", "atoms", "self", "before")


def planted(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return atoms (ATOMS, D) of length 1 and vectors (N, D) made of them."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((ATOMS, D))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    n = TRAIN + HELD_OUT
    codes = np.zeros((n, ATOMS))
    chosen = np.argpartition(rng.random((n, ATOMS)), ACTIVE, axis=1)[:, :ACTIVE]
    np.put_along_axis(codes, chosen, rng.uniform(1, 2, (n, ACTIVE)), 1)
    return atoms, (codes @ atoms + rng.standard_normal(D)).astype(np.float32)


def measure(
    atoms: np.ndarray, x: np.ndarray, config: TrainConfig, k: int, m: int
) -> tuple[dict[str, float], list[str]]:
    """Return the figures of a recipe and the names of its signatures."""
    rows, held = np.arange(TRAIN), np.arange(TRAIN, len(x))
    begin = start(x[rows], config)
    saes = {(0, seed): TopKSAE(D, m, k, seed=seed).centred(begin.b_dec) for seed in (0, 1)}
    logs = train(
        saes, shuffled_batches({0: x}, rows, {0: 0, 1: 1}, config), config,
        totals=dict.fromkeys(saes, steps(TRAIN, config)),
    )  # fmt: skip
    features = [sae.features(x[held]) for sae in saes.values()]
    mean = x[rows].mean(0)
    before = crossfit(*[TopKSAE(D, m, k, seed=seed).centred(mean).features(x[held]) for seed in (0, 1)])
    own = crossfit(*features) if all(part.weights.any() for part in features) else np.nan
    found: dict[str, float] = quality(saes[0, 0], x, features[0], rows=held)._asdict()
    found |= {"loss_fall": loss_fall(logs[0, 0].loss, logs[0, 0].learning_rate), "k": k, "self": own, "before": before}
    directions = torch.nn.functional.normalize(saes[0, 0].W_dec.detach(), dim=1).numpy()
    found["atoms"] = float((atoms @ directions.T).max(1).mean())
    raised = names(sae_signatures(found, ""))
    return found, raised + ["self-near-chance"] * bool(own < before + NEAR)


def main() -> None:
    """Print one line per recipe."""
    atoms, x = planted(0)
    print(f"{'recipe':<32}" + "".join(f"{name:>10}" for name in COLUMNS) + "  signatures")
    for name, config, k, m in RECIPES:
        found, raised = measure(atoms, x, config, k, m)
        print(f"{name:<32}" + "".join(f"{found[column]:>10.3f}" for column in COLUMNS) + f"  {', '.join(raised)}",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
