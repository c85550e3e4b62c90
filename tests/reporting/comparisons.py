"""Tables of comparisons that never ran, as a compare run records them."""

import numpy as np
import pandas as pd

from benchmark.reporting.content import Comparison, comparison

KINDS = {
    "vit": ("vision", "image"),
    "clip-image": ("vlm", "image"),
    "clip-text": ("vlm", "text"),
    "bert": ("text", "text"),
}
MEASURES = ["crossfit", "naive", "chance", "calibrated"]


def tables(
    encoders=tuple(KINDS), seeds=(0, 1), suite="mine", dataset="scenes", n=3000, several=True, seed=0, kinds=KINDS
):
    """cells, matrix and saes: all pairs of encoders, two sample sets."""
    rng = np.random.default_rng(seed)
    rows = []
    for recorded_on, samples in (("heldout", n), ("all", 2 * n)):
        for aggregate in ("layer_mean", "last") if several else ("last",):
            for source in encoders:
                for target in encoders:
                    for s in seeds:
                        for t in seeds:
                            if source != target or s != t:
                                values = dict(zip(MEASURES, rng.random(4), strict=True))
                                rows.append({
                                    "suite": suite, "dataset": dataset, "source": source, "target": target,
                                    "aggregate": aggregate, "recorded_on": recorded_on,
                                    "n_samples": samples, "n_groups": samples,
                                    "source_seed": s, "target_seed": t, **values,
                                })  # fmt: skip
    matrix = pd.DataFrame(rows)
    keys = ["suite", "dataset", "source", "target", "aggregate", "recorded_on", "n_samples", "n_groups"]
    cells = matrix.groupby(keys, sort=False)[MEASURES].mean().reset_index()
    cells["seed_pairs"] = matrix.groupby(keys, sort=False).size().to_numpy()
    cells["low"], cells["high"] = cells.crossfit - 0.01, cells.crossfit + 0.02
    saes = pd.DataFrame([
        {"encoder": name, "kind": kinds[name][0], "modality": kinds[name][1], "seed": s, "layer": layer,
         "n_latents": 768, "k": 8, "fvu": rng.random(), "dead": rng.random(), "run_id": f"{name}-{s}"}
        for name in encoders for s in seeds for layer in (2, 3)
    ])  # fmt: skip
    return {"cells": cells, "matrix": matrix, "saes": saes}


def compared(run_id="0123456789abcdef", concepts=(), settings=None, **options) -> Comparison:
    """A comparison of these tables."""
    return comparison(tables(**options), run_id, "2026-01-02 03:04 UTC", settings, concepts)
