"""A store whose train runs hold features of planted concepts, written by the real recorders."""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
import pandas as pd
from PIL import Image

from benchmark.datasets.paired import Entry, PairedDataset
from benchmark.features import SparseFeatures
from benchmark.jobs.feature_partners import feature_partners
from benchmark.jobs.feature_samples import log_feature_samples
from registry.partners import partners_path
from registry.queries import feature_path

HOSTILE = '<img src=x onerror="alert(1)"> **bold** ![x](http://127.0.0.1:9/x.png)'
CONCEPTS = ("red circle", "blue square", "green star", "tiny heart", HOSTILE)
SAMPLES, LATENTS, LAYER, EACH = 300, 16, 3, 24
DEAD, NOISE, CONSTANT = 15, 14, 13
"""Latents that are active on no sample, on random ones, and at one value on all."""
SEEDS = ("0", "1")
ENCODERS = {"vit": "image", "bert": "text"}


@dataclass(frozen=True)
class Planted:
    """A filled store, and which latent stands for which concept: {(encoder, seed): (concepts,) latents}."""

    uri: str
    train: dict[tuple[str, str], str]
    latents: dict[tuple[str, str], list[int]]
    compare: str
    older_compare: str
    partial: str
    failed: str
    running: str


class Pictures:
    """Plain pictures, one shade a concept."""

    def image(self, row: int) -> Image.Image:
        return Image.new("RGB", (64, 64), (40 * (row % len(CONCEPTS)), 90, 30))


def dataset(*, images: bool = True) -> PairedDataset:
    """Pairs whose captions name the concept of the sample."""
    entries = [
        Entry(i, f"id{i}", str(i), f"sample {i}: one {CONCEPTS[i % len(CONCEPTS)]}", f"hash{i % len(CONCEPTS)}")
        for i in range(SAMPLES)
    ]
    return PairedDataset("planted", entries, Pictures(), has_images=images)


def features(data: PairedDataset, latents: list[int], seed: int) -> SparseFeatures:
    """Latents that are active on their concept's samples, stronger on some, beside dead, constant and noisy ones."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((SAMPLES, LATENTS))
    for concept, latent in enumerate(latents):
        rows = np.flatnonzero(np.arange(SAMPLES) % len(CONCEPTS) == concept)[: EACH + concept]
        dense[rows, latent] = (1 + np.linspace(0, 1, len(rows))) * rng.uniform(0.9, 1.1, len(rows))
    dense[:, CONSTANT] = 0.5
    dense[rng.random(SAMPLES) < 0.05, NOISE] = 1.0
    return SparseFeatures.from_dense(dense, data.fingerprint, data.groups).rounded()


def train_run(data: PairedDataset, recorded: SparseFeatures, name: str, **tags: str) -> str:
    """Log a finished train run with the files that real ones have."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "features").mkdir()
        recorded.save(folder / feature_path(LAYER))
        log_feature_samples(folder, [LAYER], data)
        pd.DataFrame({"layer": [LAYER], "fvu": [0.1]}).to_parquet(folder / "saes.parquet")
        with mlflow.start_run(run_name=name) as run:
            mlflow.set_tags({"kind": "train", "suite": "tiny", "dataset": "planted", "owner": "host:1:1", **tags})
            mlflow.log_params({"cfg.k": 3, "cfg.version.numpy": "2.4", "cfg.version.code": "abc"})
            mlflow.log_metric("fvu", 0.1 + 0.02 * int(tags["seed"]))
            mlflow.log_artifacts(str(folder))
    return str(run.info.run_id)


def compare_run(recorded: dict[tuple[str, str], SparseFeatures], train: dict[tuple[str, str], str], more: float) -> str:
    """Log a finished compare run with real partners, and cells of two seeds that are `more` above the first one's."""
    saes = pd.DataFrame([
        {"encoder": encoder, "modality": ENCODERS[encoder], "kind": "vision" if encoder == "vit" else "text",
         "family": encoder, "seed": int(seed), "layer": LAYER, "d": 8, "n_latents": LATENTS, "k": 3, "fvu": 0.1,
         "l0": 3.0, "dead": 0.1, "weight_cv": 1.0, "run_id": run_id, "model_uri": f"models:/sae-{encoder}/1"}
        for (encoder, seed), run_id in train.items()
    ])  # fmt: skip
    matrix = pd.DataFrame([
        {"source": a, "target": b, "source_seed": s, "target_seed": t, "aggregate": "last", "recorded_on": where,
         "crossfit": 0.5 + 0.02 * s + 0.04 * t + more, "naive": 0.6 + more, "low": 0.4, "high": 0.7}
        for where in ("heldout", "all") for a in ENCODERS for b in ENCODERS if a != b for s in (0, 1) for t in (0, 1)
    ])  # fmt: skip
    left, right = ({LAYER: recorded[encoder, "0"]} for encoder in ENCODERS)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tables = dict(zip((("vit", "bert"), ("bert", "vit")), feature_partners(left, right, folds=3), strict=True))
        for (source, target), table in tables.items():
            path = folder / partners_path(source, target)
            path.parent.mkdir(parents=True)
            table.to_parquet(path)
        saes.to_parquet(folder / "saes.parquet")
        matrix.to_parquet(folder / "matrix.parquet")
        with mlflow.start_run(run_name="compare tiny") as run:
            mlflow.set_tags({
                "kind": "compare", "suite": "tiny", "dataset": "planted", "signatures": "dead-latents",
                "health": "few-samples",
            })  # fmt: skip
            mlflow.log_params({"cfg.folds": 3 + round(10 * more), "cfg.k": 3, "cfg.version.code": "abc"})
            mlflow.log_metric("wmppc_crossfit/vit/bert", 0.53 + more)
            mlflow.log_metric("n_samples", SAMPLES)
            mlflow.log_artifacts(str(folder))
    return str(run.info.run_id)


def fill(uri: str) -> Planted:
    """Fill the connected store, at this URI."""
    data, rng = dataset(), np.random.default_rng(0)
    latents, recorded, train = {}, {}, {}
    for encoder in ENCODERS:
        for seed in SEEDS:
            side = encoder, seed
            latents[side] = rng.permutation(CONSTANT)[: len(CONCEPTS)].tolist()
            recorded[side] = features(data, latents[side], len(train))
            train[side] = train_run(data, recorded[side], f"train {encoder} seed {seed}", encoder=encoder, seed=seed)
    captions = dataset(images=False)
    side = "gpt", "0"
    latents[side] = list(range(len(CONCEPTS)))
    train[side] = train_run(
        captions, features(captions, latents[side], 9), "train gpt", encoder="gpt", seed="0", suite="captions"
    )
    compared = {side: run_id for side, run_id in train.items() if side[0] in ENCODERS}
    older, newer = (compare_run(recorded, compared, more) for more in (0.0, 0.1))
    common = {"suite": HOSTILE, "dataset": "planted"}
    with mlflow.start_run(run_name="train partial") as partial:
        mlflow.set_tags({"kind": "train", "encoder": HOSTILE, "seed": "0", **common})
    failed = mlflow.start_run(run_name=f"train {HOSTILE}")
    mlflow.set_tags({"kind": "train", "encoder": "lost", "seed": "0", "error": f"no weights {HOSTILE}", **common})
    mlflow.log_text(f"Traceback\nValueError: no weights {HOSTILE}", "error.txt")
    mlflow.end_run("FAILED")
    running = mlflow.MlflowClient().create_run(
        failed.info.experiment_id, run_name="train slow",
        tags={"kind": "train", "encoder": "slow", "seed": "0", "owner": "gpu-box:7:1",
              "heartbeat": str(int(time.time()) - 7200), **common},
    )  # fmt: skip
    return Planted(uri, train, latents, newer, older, partial.info.run_id, failed.info.run_id, str(running.info.run_id))
