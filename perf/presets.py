"""What each training option is worth: presets, and one option at a time, on the embedded encoders.

    python perf/presets.py                                   # scenes
    python perf/presets.py --dataset PATH/emoji.parquet
    python perf/presets.py --variants paper,robust --seeds 10,11 --samples 4000

Two groups of variations: options added to the paper's recipe at the quickstart's step size and passes (at the paper's
own, 10,000 vectors train hardly anything), and options taken out of `robust`. Every SAE trains on the training half;
all figures are means over encoders on the held-out half: FVU, dead and rare shares, the cross-fitted value between
seeds (self; `floor`: before training) and between encoders (cross), and the seconds of training one SAE. Activations
are extracted once and kept in .cache.
"""

import argparse
import itertools
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmark import report
from benchmark.datasets import load_dataset
from benchmark.features import SparseFeatures
from benchmark.jobs.configs import CompareConfig
from benchmark.jobs.plan import make_plan
from benchmark.jobs.train_encoder import activations_of
from benchmark.metrics import crossfit
from benchmark.metrics.crossfit import crossfit_both
from benchmark.sae import PRESETS, TopKSAE, TrainConfig, shuffled_batches, start, steps, train
from benchmark.sae.batches import draw
from benchmark.sae.diagnostics import diagnose
from benchmark.sae.preparation import SAMPLE
from benchmark.sae.reconstruction import Baseline, baseline
from benchmark.sae.signatures import loss_fall

ADDED: dict[str, dict[str, object]] = {
    "b_dec=mean": {"b_dec": "mean"},
    "b_dec=median": {"b_dec": "median"},
    "normalize": {"b_dec": "mean", "normalize": True},
    "unit_norm": {"b_dec": "mean", "unit_norm": True},
    "warmup": {"b_dec": "mean", "warmup": 0.05},
    "decay": {"b_dec": "mean", "decay": 0.2},
    "k_anneal": {"b_dec": "mean", "k_start": 64, "k_anneal": 0.5},
    "batchtopk": {"b_dec": "mean", "selection": "batchtopk"},
    "matryoshka": {"b_dec": "mean", "matryoshka": (0.125, 0.25, 0.5, 1.0)},
    "aux_k": {"b_dec": "mean", "aux_k": 64},
}
"""Added to the paper's recipe; all but the first with b_dec from the mean, against which they are to be read."""
REMOVED: dict[str, dict[str, object]] = {
    "b_dec": {"b_dec": "zero"},
    "b_dec=mean": {"b_dec": "mean"},
    "normalize": {"normalize": False},
    "unit_norm": {"unit_norm": False},
    "warmup": {"warmup": 0.0},
    "decay": {"decay": 0.0},
    "aux_k": {"aux_k": 0},
}


def variants(learning_rate: float, epochs: int) -> dict[str, TrainConfig]:
    """Return all recipes by name."""
    base = replace(PRESETS["paper"], learning_rate=learning_rate, epochs=epochs)
    robust = PRESETS["robust"]
    return {
        "paper": PRESETS["paper"],
        "base": base,
        **{f"base, {name}": replace(base, **change) for name, change in ADDED.items()},  # type: ignore[arg-type]
        "robust": robust,
        **{f"robust without {name}": replace(robust, **change) for name, change in REMOVED.items()},  # type: ignore[arg-type]
    }


class Vectors:
    """The activations of one encoder's last layer, and what does not depend on the recipe."""

    def __init__(self, x: np.ndarray, rows: np.ndarray, held: np.ndarray, k: int, m: int, seeds: tuple[int, ...]):
        self.x, self.rows, self.held, self.k, self.m, self.seeds = x, rows, held, k, m, seeds
        self.base: Baseline = baseline(x, held)
        self.sample, _ = draw(x, rows, SAMPLE)
        mean = x[rows].mean(0, dtype=np.float64)
        before = [TopKSAE(x.shape[1], m, k, seed=seed).centred(mean).features(x[held]) for seed in seeds[:2]]
        self.floor = crossfit(*before)

    def trained(self, config: TrainConfig, groups: np.ndarray) -> tuple[dict[str, float], dict[int, SparseFeatures]]:
        """Train all seeds; return the figures (means over seeds) and the held-out features of each."""
        begin = start(self.sample, config)
        saes = {(0, s): TopKSAE(self.x.shape[1], self.m, self.k, seed=s).centred(begin.b_dec) for s in self.seeds}
        clock = time.perf_counter()
        logs = train(
            saes, shuffled_batches({0: self.x}, self.rows, {s: s for s in self.seeds}, config), config,
            totals=dict.fromkeys(saes, steps(len(self.rows), config)), scales=dict.fromkeys(saes, begin.scale),
        )  # fmt: skip
        seconds = (time.perf_counter() - clock) / len(saes)
        found = {s: saes[0, s].features(self.x[self.held], groups=groups) for s in self.seeds}
        figures = [
            diagnose(saes[0, s], self.x, found[s], rows=self.held, measured_against=self.base).quality._asdict()
            | {"loss_fall": loss_fall(logs[0, s].loss, logs[0, s].learning_rate)}
            for s in self.seeds
        ]
        mean = {name: float(np.mean([row[name] for row in figures])) for name in figures[0]}
        return mean | {"seconds": seconds, "floor": self.floor}, found


def values(features: Mapping[tuple[str, int], SparseFeatures]) -> pd.DataFrame:
    """Return the cross-fitted value of every encoder with itself across seeds, and with the others at the same seed."""
    own: dict[str, list[float]] = {}
    cross: dict[str, list[float]] = {}
    for (a, s), (b, t) in itertools.combinations(features, 2):
        pair = features[a, s], features[b, t]
        if a != b and s != t or not all(side.weights.any() for side in pair):
            continue
        there, back = crossfit_both(*pair, resamples=0)
        kept = own if a == b else cross
        kept.setdefault(a, []).append(there.value)
        kept.setdefault(b, []).append(back.value)
    names = list(dict.fromkeys(name for name, _ in features))
    return pd.DataFrame({
        "encoder": names,
        "self": [float(np.mean(own.get(name, [np.nan]))) for name in names],
        "cross": [float(np.mean(cross.get(name, [np.nan]))) for name in names],
    })  # fmt: skip


def main() -> None:
    """Print a table with one row per recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="scenes")
    parser.add_argument("--encoders", default="small-vit,small-ssl,small-clip-image,small-clip-text,small-bert")
    parser.add_argument("--samples", type=int, default=0)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--expansion", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--variants", default="", help="names, separated by semicolons (default: all)")
    parser.add_argument("--output", default="", help="stem of a CSV and Parquet table with one row per encoder too")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    seeds = tuple(map(int, args.seeds.split(",")))
    plan = make_plan(
        CompareConfig(dataset=args.dataset, encoders=tuple(args.encoders.split(",")), max_samples=args.samples or None)
    )
    dataset = load_dataset(plan.suite.dataset, plan.suite.max_samples, Path(".cache"))
    held, rows = np.flatnonzero(dataset.heldout), np.flatnonzero(~dataset.heldout)
    vectors = {}
    for card in plan.encoders:
        activations = activations_of(plan, card, dataset).activations
        x = np.asarray(activations.pooled[max(activations.pooled)])
        vectors[card.name] = Vectors(x, rows, held, args.k, args.expansion * x.shape[1], seeds)
    recipes = variants(args.learning_rate, args.epochs)
    chosen = [name.strip() for name in args.variants.split(";") if name.strip()] or list(recipes)
    print(f"{dataset.name}: {len(rows):,} vectors train, {len(held):,} are held out; {len(vectors)} encoders, seeds "
          f"{args.seeds}, k = {args.k}, expansion {args.expansion}\n")  # fmt: skip
    columns = ["fvu", "pca_fvu", "dead", "rare", "loss_fall", "floor", "self", "cross", "seconds"]
    print(f"{'recipe':<34}" + "".join(f"{name:>10}" for name in columns), flush=True)
    tables = []
    for name in chosen:
        figures: list[dict[str, object]] = []
        features: dict[tuple[str, int], SparseFeatures] = {}
        for encoder, of in vectors.items():
            found, recorded = of.trained(recipes[name], dataset.groups[held])
            figures.append({"recipe": name, "encoder": encoder, **found})
            features |= {(encoder, seed): recorded[seed] for seed in seeds}
        table = pd.DataFrame(figures).merge(values(features), on="encoder")
        tables.append(table)
        print(f"{name:<34}" + "".join(f"{table[column].mean():>10.3f}" for column in columns), flush=True)
    if args.output:
        report.write(pd.concat(tables, ignore_index=True), Path(args.output))


if __name__ == "__main__":
    main()
