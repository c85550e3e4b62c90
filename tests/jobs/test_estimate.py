"""The numbers of a dry run are those of the real run."""

import time
import tracemalloc
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

import registry
from benchmark.catalog import EncoderCard
from benchmark.features import SparseFeatures
from benchmark.jobs import estimate as module
from benchmark.jobs import group_training
from benchmark.jobs.activation_cache import Activations
from benchmark.jobs.configs import CompareConfig
from benchmark.jobs.estimate import download, estimate_comparison, estimate_encoder
from benchmark.jobs.layer_groups import training_bytes
from benchmark.jobs.matrix import compare_pairs
from benchmark.jobs.plan import make_plan
from benchmark.jobs.sides import Recorded
from benchmark.jobs.training_vectors import StoredVectors
from benchmark.sae import TrainingLog

AMPLE = 1 << 40


def card(**fields):
    wanted = {"name": "x", "library": "timm", "source": "hf-hub:org/x", "modality": "image", "kind": "vision"}
    return EncoderCard(**{**wanted, "token": "cls", **fields})


def test_disk_is_what_a_real_run_writes(tiny, here):
    plan = make_plan(CompareConfig(encoders=("cards.yaml",), max_samples=600, epochs=1, k=4, layers="all", seeds=(7,)))
    code, *_ = tiny("--layers", "all", "--seeds", "7")
    assert code == 0
    for item in plan.encoders:
        found = estimate_encoder(plan, item, 600, 300, 1 << 30)
        run = registry.verified(registry.runs(kind="train", encoder=item.name, seed="7").run_id.iloc[0])
        saes = pd.read_parquet(run / "saes.parquet")
        assert list(saes.d) == list(found.widths)
        models = sum(
            path.stat().st_size
            for uri in saes.model_uri
            for path in Path(mlflow.artifacts.download_artifacts(uri)).rglob("model.safetensors")
        )
        assert found.models < models < 1.15 * found.models + 2000 * len(saes)
        features = sum(path.stat().st_size for path in run.glob("features*/*"))
        assert found.features < features < 1.05 * found.features + 4000 * len(saes)
        shown = [*run.glob("feature_s*/*"), run / "samples.parquet", run / "thumbnails.parquet"]
        examples = sum(path.stat().st_size for path in shown)
        assert 0.1 * found.examples < examples < found.examples + 20_000 * len(saes)
        passes = {file.parent for file in Path(".cache/activations").glob(f"{item.name}-*/**/*.npy")}
        written = [sum(file.stat().st_size for file in path.glob("*.npy")) for path in passes]
        assert any(found.activations < size < found.activations + 1000 * len(saes) for size in written), written
        assert found.encode > 0 and found.train > 0


def test_layers_are_chosen_among_those_that_the_card_offers():
    # The card offers 0 and 2 of 8, 16 and 32: the last of them is layer 2, and there is no layer 1.
    stated = card(shape="8,16,32", layers="0,2")
    for wanted, widths in (("all", (8, 32)), ("last", (32,)), ("2", (32,)), ("0", (8,))):
        plan = make_plan(CompareConfig(layers=wanted, k=2))
        assert estimate_encoder(plan, stated, 100, 50, 1 << 30).widths == widths


@pytest.mark.parametrize("share", [0.1, 1, 2.5, 4, 5, 99])
def test_an_encoder_trains_in_the_parts_that_training_makes(share, monkeypatch, tmp_path):
    widths = {0: 8, 1: 8, 2: 16}
    budget = round(share * training_bytes(8, 64))
    plan = make_plan(CompareConfig(layers="all", k=2, seeds=(0, 1)))
    made = []

    def measured(saes, batches, config, **more):
        made.append(sum(16 * sum(p.numel() for p in sae.parameters()) for sae in saes.values()))
        return {key: TrainingLog(*(np.zeros((1, 2)) for _ in range(4))) for key in saes}

    monkeypatch.setattr(group_training, "train", measured)
    activations = Activations({i: np.zeros((9, width), np.float32) for i, width in widths.items()}, {}, {})
    vectors = StoredVectors("x", activations, np.arange(9), plan.training, list("abcdefghi"))
    group_training.train_in_groups(plan, "x", widths, vectors, (0, 1), budget, tmp_path)
    found = estimate_encoder(plan, card(shape="8,8,16"), 100, 50, budget)
    assert (found.parts, found.training) == (len(made), max(made))


@pytest.mark.parametrize(("options", "kept"), [((), 12), (("patience=3",), 16)])
def test_checkpoints_take_what_training_keeps_but_the_gradients_twice(monkeypatch, options, kept):
    plan = make_plan(CompareConfig(layers="all", k=2, seeds=(0, 1), training=options))
    parameters = 2 * (2 * 64 * 8 + 8)  # of two seeds of one layer
    for seconds, wanted in ((1e-9, 0), (1e9, 2 * kept * parameters)):
        monkeypatch.setattr(module.rates, "step_seconds", lambda *_, seconds=seconds: seconds)
        assert estimate_encoder(plan, card(shape="8"), 100, 50, AMPLE).checkpoints == wanted


def test_towers_of_one_model_are_fetched_once_and_commits_of_it_each():
    image, text = (card(modality=modality, download_mb=100) for modality in ("image", "text"))
    assert download([image, text]) == 100_000_000
    assert download([image, card(modality="text", download_mb=80)]) == 100_000_000
    assert download([image, card(revision="0" * 40, download_mb=100)]) == 200_000_000
    assert download([image, card(source="hf-hub:org/y")]) is None
    assert download([card(source=str(Path(__file__).parent))]) == 0


def test_the_comparison_is_counted_over_pairs_of_layers_and_seeds(here):
    plan = make_plan(CompareConfig(encoders=("cards.yaml",), seeds=(0, 1), permutations=3, folds=2, k=2))
    found = estimate_comparison(plan, [(8, 8, 8), (16,)], 300, [150], AMPLE)
    # Sides 3, 3, 1, 1 layers: 3x3 + 3x1 four times + 1x1.
    assert (found.pairs, found.layer_pairs) == (6, 9 + 4 * 3 + 1)


def test_the_comparison_pays_for_every_evaluation_layer_and_sample_set(here, monkeypatch):
    monkeypatch.setattr(module.rates, "pair_seconds", lambda n, *_: n)
    monkeypatch.setattr(module.rates, "layer_seconds", lambda n, *_: 1000 * n)
    options = {"encoders": ("cards.yaml",), "permutations": 3, "folds": 2, "k": 2}

    def seconds(widths, n_samples, **more):
        plan = make_plan(CompareConfig(**options | {"seeds": (0,), "untrained": False} | more))
        return estimate_comparison(plan, widths, 1, n_samples, AMPLE).seconds

    # 3 pairs of layers and the last pair, each with the value, 3 permutations and 2 folds, and with the scale-free
    # value and 2 folds; 4 layers and the last two, for each of both.
    plain, free = 4 * 6 + 1000 * (4 + 2), 4 * 3 + 1000 * (4 + 2)
    assert seconds([(8, 8, 8), (8,)], [1, 10]) == 11 * (plain + free)
    one, one_free = 6 + 1000 * 2, 3 + 1000 * 2
    assert seconds([(8,), (8,)], [1]) == one + one_free
    assert seconds([(8,), (8,)], [1], paper_code=True) == one + one_free + 2
    # Before training: the first seeds of both, and two seeds of each.
    assert seconds([(8,), (8,)], [1], untrained=True) == one + 2 * one_free
    assert seconds([(8,), (8,)], [1], untrained=True, seeds=(0, 1, 2)) == 15 * (one + one_free) + 3 * one_free


def test_time_and_memory_of_a_comparison_are_of_the_order_of_the_real_ones(here, tmp_path):
    n, width, n_layers, k = 8000, 64, 2, 32
    plan = make_plan(
        CompareConfig(encoders=("cards.yaml",), seeds=(0, 1), permutations=2, folds=3, k=k, untrained=False)
    )
    rng = np.random.default_rng(0)

    def written(name):
        indices = np.argsort(rng.random((n, 8 * width)), axis=1)[:, :k]
        features = SparseFeatures(indices, rng.random((n, k), np.float32) + 0.1, 8 * width).rounded()
        features.save(tmp_path / name)
        return tmp_path / name

    norms = tmp_path / "norms.npy"
    np.save(norms, np.full(8 * width, 2, np.float32))
    sides = {
        (name, seed): Recorded(
            {i: written(f"{name}{seed}{i}") for i in range(n_layers)}, n, dict.fromkeys(range(n_layers), norms)
        )
        for name in "ab"
        for seed in (0, 1)
    }
    for budget in (AMPLE, 2 * max(side.size(n // 2) for side in sides.values())):
        found = estimate_comparison(plan, [(width,) * n_layers] * 2, n, [n // 2], budget)
        tracemalloc.start()
        begun = time.perf_counter()
        compare_pairs(plan.suite, sides, {"heldout": np.arange(n // 2)}, budget=budget)
        seconds, peak = time.perf_counter() - begun, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.seconds == pytest.approx(seconds, rel=0.8)  # other processes may have the cores meanwhile
        assert 0.5 * peak < found.memory < 1.6 * peak, found.memory / peak


def test_less_memory_than_all_features_take_makes_a_comparison_hold_fewer(here):
    plan = make_plan(CompareConfig(encoders=("cards.yaml",), seeds=(0, 1), permutations=2, folds=3, k=32))
    wide = [(64, 64)] * 10
    ample, few, none = (estimate_comparison(plan, wide, 8000, [4000], b).memory for b in (AMPLE, 30_000_000, 1))
    assert none < few < ample and ample - few > 10_000_000


def test_features_without_topk_take_all_latents(here):
    options = {"encoders": ("cards.yaml",), "seeds": (0,), "k": 4, "untrained": False, "max_samples": 600}
    stated, sizes = card(shape="2x8"), {}
    for codes in ("topk", "relu"):
        plan = make_plan(CompareConfig(**options, codes=codes, layers="all"))
        sizes[codes] = estimate_encoder(plan, stated, 600, 300, 1 << 30)
    assert sizes["relu"].features == 2 * 600 * (64 * 2 + 8) and sizes["topk"].features == 2 * 600 * (4 * 4 + 8)
    both = estimate_encoder(
        make_plan(CompareConfig(**options | {"untrained": True}, layers="all")), stated, 600, 300, 1
    )
    assert both.features == 2 * sizes["topk"].features
