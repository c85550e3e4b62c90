"""The validation job: its figures are those of the measures, its artifacts are complete, its refusals are clear."""

import numpy as np
import pandas as pd
import pytest

import registry
from benchmark.features import SparseFeatures
from benchmark.metrics import chance, crossfit_both, max_correlation, wmppc_layers
from benchmark.worlds import WorldConfig, in_layers, make_world, relabelled, rescaled

WORLD = ["--samples", "60,400", "--shares", "0,1", "--seeds", "0", "--n-latents", "120", "--k", "4", "--folds", "2"]
TABLES = {"estimates", "errors", "identified", "sharedness"}
FIGURES = {"estimates.png", "errors.png", "sharedness.png"}
TRAINED = {"features", "partners", "probes", "concepts", "captioned", "agreement", "weights", "worth", "rarity"}
TRAINED_FIGURES = {"concepts.png", "weights.png", "rarity.png"}


def newest():
    registry.connect()
    return registry.runs(kind="validate").iloc[0]


@pytest.fixture
def planted(command):
    code, out, _ = command("validate", *WORLD, "--suite", "")
    assert code == 0
    return newest(), out


def test_a_validate_run_holds_every_artifact_and_metric(planted):
    run, out = planted
    folder = registry.verified(run.run_id)
    names = {f"{name}{end}" for name in TABLES for end in (".csv", ".parquet")} | FIGURES
    assert {path.name for path in folder.iterdir()} == names | {"summary.md", "manifest.json", "config.json"}
    errors = registry.table(run.run_id, "errors.parquet")
    plain = errors[(errors.condition == "plain") & (errors.n_samples == 400)]
    assert run.metrics["error_naive/N400"] == pytest.approx(plain.naive_error.abs().mean())
    assert 0 <= run.metrics["sharedness_auc/fidelity0.9/N400"] <= 1
    assert (run.status, run.kind) == ("FINISHED", "validate")
    assert "| plain | 0.900 | 1.000 |" in out and run.run_id in out


def test_estimates_are_those_of_the_measures_on_the_planted_world(planted):
    table = registry.table(planted[0].run_id, "estimates.parquet")
    row = table[(table.condition == "plain") & (table.share == 1) & (table.n_samples == 400)].iloc[0]
    world = make_world(WorldConfig(n_latents=120, k=4, share=1), 400, 0)
    found, fit = chance(world.source, world.target), crossfit_both(world.source, world.target, folds=2)[0]
    assert row.truth == world.wmppc and row.n_target == 120
    assert (row.naive, row.chance, row.p_value) == pytest.approx((found.naive, found.null.mean(), found.p_value))
    assert (row.crossfit, row.low, row.high) == pytest.approx((fit.value, fit.low, fit.high))


def test_a_world_named_twice_counts_once():
    from benchmark.jobs.configs import ValidateConfig
    from benchmark.jobs.validate import _world_tables

    twice = ValidateConfig(samples=(60, 60), shares=(1.0, 1.0), seeds=(0, 0), permutations=0, folds=2)
    tables = _world_tables(twice, WorldConfig(n_latents=20, k=2))
    assert not tables["estimates"].duplicated(["condition", "share", "n_samples", "seed"]).any()
    assert not tables["sharedness"].duplicated(["fidelity", "n_samples", "seed", "ranking"]).any()


def test_every_condition_is_planted_with_the_truth_that_large_samples_show(planted):
    from benchmark.jobs.validation_worlds import CONDITIONS

    assert set(registry.table(planted[0].run_id, "estimates.parquet").condition) == set(CONDITIONS)
    small = {"n_latents": 60, "k": 4}
    for name, condition in CONDITIONS.items():
        if name == "5 captions, groups unknown":
            continue  # its estimates are false by design
        config = WorldConfig(**{**small, **condition.world, "n_target": condition.n_target * 60}, share=0.5)
        case = condition.case(make_world(config, 40_000, 0))
        assert wmppc_layers(case.source, case.target).overall == pytest.approx(case.truth, abs=0.03), name


def test_disguises_change_nothing_but_order_and_scale():
    world = make_world(WorldConfig(n_latents=60, k=4), 2000, 0)
    plain = max_correlation(world.source, world.target)
    other = max_correlation(world.source, relabelled(rescaled(world.target, 1), 2))
    np.testing.assert_allclose(other.source, plain.source, atol=1e-5)
    assert not np.array_equal(other.source_match, plain.source_match)
    layers = in_layers(world.target, 4)
    assert [layer.n_latents for layer in layers] == [15] * 4
    np.testing.assert_allclose(max_correlation(world.source, layers).source, plain.source, atol=1e-5)
    np.testing.assert_array_equal(layers[1].to_dense(), world.target.to_dense()[:, 1::4])


def test_samples_are_enough_from_the_first_number_after_which_all_are_close():
    from benchmark.jobs.validation_worlds import identified_from

    errors = {100: 0.01, 200: 0.05, 400: -0.019, 800: 0.0}
    grid = pd.DataFrame([
        {"condition": "plain", "share": 0.5, "fidelity": 0.9, "n_samples": n, "seed": seed, "truth": 0.4,
         "naive": 0.9, "calibrated": 0.0, "crossfit": 0.4 + error + wobble, "low": 0.3, "high": 0.5}
        for n, error in errors.items() for seed, wobble in ((0, 0.1), (1, -0.1))
    ])  # fmt: skip
    found = identified_from(grid).iloc[0]
    assert found.crossfit == 400 and pd.isna(found.calibrated)


def test_a_ranking_is_judged_by_the_planted_kinds():
    from benchmark.jobs.validation_sharedness import KINDS, planted_kinds, quality

    kinds = planted_kinds(1000, 0)
    assert np.bincount(kinds).tolist() == [round(1000 * share) for share, _ in KINDS.values()]
    wanted = kinds == 0
    assert quality(wanted.astype(float), wanted) == {"auc": 1.0, "precision": 1.0, "base": 0.1}
    assert quality(np.zeros(1000), wanted)["auc"] == 0.5


def test_explained_variance_is_that_of_an_analysis_of_variance():
    from benchmark.jobs.validation_factors import explained

    rng = np.random.default_rng(0)
    level = rng.integers(0, 3, 200)
    dense = np.stack([(level == 1) * 2.0, rng.random(200) * (rng.random(200) < 0.3), np.ones(200), np.zeros(200)], 1)
    found = explained(SparseFeatures.from_dense(dense), {"kind": level})[:, 0]
    column = dense[:, 1]
    between = sum((level == j).sum() * (column[level == j].mean() - column.mean()) ** 2 for j in range(3))
    assert found == pytest.approx([1, between / ((column - column.mean()) ** 2).sum(), 0, 0], abs=1e-6)


def test_a_probe_loses_what_zeroing_a_feature_costs_it():
    from sklearn.linear_model import LogisticRegression

    from benchmark.jobs.validation_probe import _fitted, _spread, probes

    rng = np.random.default_rng(0)
    level = rng.integers(0, 3, 600)
    dense = np.abs(rng.normal(0, 1, (600, 5))) * (rng.random((600, 5)) < 0.5)
    dense[:, 0] += 2 * (level == 0)
    features, tested = SparseFeatures.from_dense(dense), np.arange(600) >= 300
    found = probes(features, {"kind": level, "half": (level == 0).astype(int)}, tested)
    losses = np.zeros(5)
    for target in (level, (level == 0).astype(int)):
        scale = _spread(features.take(~tested))
        model: LogisticRegression = _fitted(features.take(~tested), scale, target[~tested])
        codes = features.take(tested).to_dense() * scale
        whole = model.predict_log_proba(codes)[np.arange(300), target[tested]].mean()
        for latent in range(5):
            without = codes.copy()
            without[:, latent] = 0
            losses[latent] += (whole - model.predict_log_proba(without)[np.arange(300), target[tested]].mean()) / 2
    np.testing.assert_allclose(found.losses, losses, atol=1e-6)
    assert found.accuracy["half"] > 0.7 > found.majority["half"] - 0.1 and losses[0] == losses.max()


def test_trained_features_are_examined_on_held_out_samples(command, here):
    (here / "small.yaml").write_text(
        "tiny-suite:\n  dataset: scenes\n  encoders: [cards.yaml]\n  layers: last\n  seeds: [0]\n  k: 4\n"
        "  expansion: 8\n  max_samples: 600\n  epochs: 1\n  folds: 2\n  report_on: [heldout]\n"
    )
    code, out, err = command("validate", *WORLD, "--suite", "small.yaml")
    assert code == 0, err
    run = newest()
    folder = registry.verified(run.run_id)
    present = {path.name for path in folder.iterdir()}
    assert present >= {f"{name}.parquet" for name in TABLES | TRAINED} | FIGURES | TRAINED_FIGURES
    features, partners = (registry.table(run.run_id, f"{name}.parquet") for name in ("features", "partners"))
    assert set(features.encoder) == {"tiny-image", "tiny-text", "tiny-vit", "tiny-bert"} and len(partners) > 0
    weights = registry.table(run.run_id, "weights.parquet")
    pair = weights[(weights.source == "tiny-vit") & (weights.target == "tiny-bert")].set_index("weight").naive
    own = features[features.encoder == "tiny-vit"]
    rho = partners[(partners.source == "tiny-vit") & (partners.target == "tiny-bert")].rho.to_numpy()
    assert pair["S"] == pytest.approx((own.S * rho).sum() / own.S.sum()) and pair["uniform"] == pytest.approx(
        rho.mean()
    )
    assert (run.suite, run.dataset) == ("tiny-suite", "scenes") and "captioned_auc/tiny-bert" in run.metrics
    assert "## Features by how often they fire" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--shares", "0,1.5"], "share must be between 0 and 1"),
        (["--samples", "30"], "samples must be at least 50 for 5 folds"),
        (["--seeds", ""], "seeds is empty"),
        (["--n-latents", "50", "--k", "32"], "lower k"),
        (["--n-latents", "9", "--k", "1"], "n_latents must be at least 10, got 9"),
        (["--shares", "nan"], "share must be between 0 and 1, got nan"),
        (["--suite", "paper-code"], "the suite 'paper-code' has codes: relu"),
        (["--max-samples", "100"], "too few to probe"),
        (["--permutations", "-1"], "permutations at least 0"),
        (["--suite", "quikstart"], "did you mean quickstart"),
    ],
)
def test_what_cannot_be_validated_is_refused_in_one_sentence(command, arguments, sentence):
    code, _, err = command("validate", *arguments)
    assert code == 2 and sentence in err


def test_data_without_planted_factors_cannot_validate_features(tmp_path):
    from benchmark.datasets import load_dataset
    from benchmark.errors import InputError
    from benchmark.jobs.validation_factors import planted_factors

    dataset = load_dataset("scenes", 20, tmp_path)
    dataset.factors = None
    with pytest.raises(InputError, match="no planted factors"):
        planted_factors(dataset, "scenes")
