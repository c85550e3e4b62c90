"""The drift command: what moved between variants, on samples that are matched, beyond seeds and samples."""

from types import SimpleNamespace

import numpy as np
import pytest
from described import undescribed

import registry
from benchmark.catalog import SuiteCard
from benchmark.errors import InputError
from benchmark.features import SparseFeatures
from benchmark.jobs.drift import plans
from benchmark.jobs.drift_cells import changed_cells, matrices
from benchmark.jobs.drift_rows import common_rows, matched_samples, under
from benchmark.jobs.drift_same import correspondence
from benchmark.jobs.experiment_configs import DriftConfig
from benchmark.jobs.sides import Recorded
from benchmark.metrics.describe import drift as words

N, M = 900, 60


def test_a_drift_run_holds_every_change_with_its_noise(command):
    few = ["--max-samples", "300", "--epochs", "1", "--permutations", "1", "--folds", "2", "--k", "4"]
    code, out, _ = command("drift", "--encoders", "cards.yaml", *few, "--variants", "flip")
    assert code == 0, out
    assert "scenes and 1 variant" in out and "Diagonal cells are not tested" in out and "tiny-image" in out
    run = registry.latest("drift")
    cells = registry.table(run, "changes.parquet")
    assert len(cells) == 16 and set(cells.variant) == {"flip"}
    texts = cells.source.isin(["tiny-text", "tiny-bert"]) & cells.target.isin(["tiny-text", "tiny-bert"])
    assert cells[texts].fixed.all() and not cells[~texts].fixed.any()
    assert cells[cells.own].p_value.isna().all() and cells[~cells.own & ~cells.fixed].p_value.notna().all()
    np.testing.assert_allclose(cells.change, cells.value - cells.plain, atol=1e-12)
    assert (cells.n_common == cells.n_samples).all() and cells.n_samples.nunique() == 1
    same = registry.table(run, "correspondence.parquet")
    assert set(same.variant) == {"plain", "flip"} and "same" not in set(same[same.variant == "plain"].pairs)
    assert same[(same.encoder == "tiny-bert") & (same.pairs == "same")].value.min() > 0.9  # captions do not change
    assert set(registry.table(run, "delta.parquet").source) == {"tiny-image"}
    shown = {"changes": words.CHANGES, "correspondence": words.CORRESPONDENCE, "delta": words.DELTA}
    assert undescribed(run, shown | {"delta_features": words.DELTA_FEATURES}, hidden=("own",)) == []
    assert (registry.verified(run) / "drift.png").stat().st_size > 5000


def test_default_variants_are_all_changes_of_the_data_and_sizes_are_matched(here, tmp_path):
    card = tmp_path / "few.yaml"
    card.write_text("few:\n  kind: scenes\n  size: 80\n  seed: 7\n")
    asked = plans(DriftConfig(dataset="scenes", max_samples=100, variants=("flip+crop", str(card))))
    assert [plan.suite.dataset for plan in asked.plans] == ["scenes", "scenes+flip+crop", str(card)]
    assert {plan.suite.max_samples for plan in asked.plans} == {80}
    assert plans(DriftConfig(max_samples=50)).variants == ["redraw", "flip", "crop", "colour", "shift"]
    assert asked.groups[0].source == "small-clip-image" and not asked.without
    vision = plans(DriftConfig(encoders=("small-vit", "small-ssl"), max_samples=50, variants=("flip",)))
    assert not vision.groups and "names no encoder" in vision.without


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"variants": ("flip", "flip")}, "names 'scenes\\+flip' twice"),
        ({"variants": ("scenes",)}, "names 'scenes' twice, or the plain data"),
        ({"variants": ("flop",)}, "unknown variant 'flop': did you mean flip"),
        ({"variants": ("flip",), "shared_with": ("vision",)}, "shared_with and in absent_from"),
    ],
)
def test_impossible_requests_are_refused_in_a_sentence(here, given, words):
    with pytest.raises(InputError, match=words):
        plans(DriftConfig(max_samples=50, **given))


def stub(tmp_path, name, ids, sides, seeds=(0, 1)):
    """What drift reads of a material: samples with ids, and features of (encoder, seed) as files."""
    groups = np.arange(len(ids))
    recorded = {}
    for (encoder, seed), features in sides.items():
        path = tmp_path / f"{name}-{encoder}-{seed}.safetensors"
        features.save(path)
        recorded[encoder, seed] = Recorded({3: path}, len(ids))
    suite = SuiteCard(name="s", dataset="d", encoders=(), seeds=seeds, folds=3, permutations=1)
    material = SimpleNamespace(
        plan=SimpleNamespace(suite=suite), dataset=SimpleNamespace(ids=ids, groups=groups, fingerprint=ids[0],
        content_hash=name, has_captions=False), compared=groups, encoders=dict.fromkeys("abc", SimpleNamespace(
        modality="text")), sides=recorded, load=lambda encoder, seed, rows: recorded[encoder, seed].load(rows, 0),
    )  # fmt: skip
    return material


def codes(concepts, seed, fidelity=1.0, samples=""):
    """Features that follow concepts (N, M) on a share of the samples, in an order of the seed's own."""
    rng = np.random.default_rng(seed)
    kept = concepts * (rng.random(concepts.shape) < fidelity)
    noise = rng.exponential(1, concepts.shape) * (rng.random(concepts.shape) < 0.02)
    return SparseFeatures.from_dense((kept + noise)[:, rng.permutation(M)], samples)


def concepts(seed):
    rng = np.random.default_rng(seed)
    return rng.exponential(1, (N, M)) * (rng.random((N, M)) < 0.08)


def test_samples_are_matched_in_number_and_by_id(tmp_path):
    few = SimpleNamespace(compared=np.arange(40), dataset=SimpleNamespace(groups=np.arange(50) // 2, ids=range(50)))
    many = SimpleNamespace(compared=np.arange(90), dataset=SimpleNamespace(groups=np.arange(90) // 3, ids=range(90)))
    one, other = matched_samples(["plain", "x"], [few, many])
    assert (one.rows == few.compared).all() and 37 <= len(other.rows) <= 40
    assert (np.unique(other.rows // 3, return_counts=True)[1] == 3).all()  # whole groups
    own, there = common_rows(one, other)
    assert (own == there).all() and set(own) == set(one.rows) & set(other.rows)


def test_features_of_the_same_samples_can_be_compared_under_another_fingerprint():
    features = codes(concepts(0), 0, samples="a")
    moved = under(features, codes(concepts(1), 1, samples="b"))
    assert moved.samples == "b" and (moved.values == features.values).all() and under(moved, moved) is moved


@pytest.fixture(scope="module")
def drifted(tmp_path_factory):
    """Plain data and two variants: nothing changes on one, the second encoder loses most firings on the other."""
    folder, shared = tmp_path_factory.mktemp("drift"), concepts(0)
    materials = []
    for number, (name, fidelity) in enumerate((("plain", 0.9), ("calm", 0.9), ("wild", 0.4))):
        ids = [f"{'plain' if name == 'calm' else name}-{i}" for i in range(N)]
        sides = {
            (encoder, seed): codes(shared, 100 * number + 10 * place + seed, f, samples="" if name == "wild" else "p")
            for place, (encoder, f) in enumerate((("a", 0.9), ("b", fidelity), ("c", 0.9)))
            for seed in (0, 1)
        }
        materials.append(stub(folder, name, ids, sides))
    return matched_samples(["plain", "calm", "wild"], materials)


def test_cells_that_were_changed_move_and_no_others(drifted):
    found = changed_cells(matrices(drifted, ["a", "b", "c"]), drifted, ["a", "b", "c"])
    found = found[~found.own]  # of two seeds
    touched = (found.variant == "wild") & ((found.source == "b") | (found.target == "b"))
    assert found[touched].moved.all() and (found[touched].change < -0.1).all()
    assert found[~touched].moved.sum() == 0
    assert found[found.variant == "calm"].n_common.eq(N).all() and found[found.variant == "wild"].n_common.eq(0).all()


def test_features_are_found_again_on_a_variant_as_often_as_under_another_seed(drifted):
    found = correspondence(drifted, ["a", "b"]).set_index(["variant", "encoder", "pairs"])
    assert set(found.index.get_level_values("variant")) == {"plain", "calm"}  # the other shares no sample
    ceiling, calm = found.value["plain", "a", "other"], found.value["calm", "a", "other"]
    assert calm == pytest.approx(ceiling, abs=0.03) and found.chance["calm", "a", "other"] < ceiling - 0.3
