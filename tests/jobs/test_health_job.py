"""`health` finds planted faults of data and features, keeps its table, tags the run and speaks in the report."""

from types import SimpleNamespace

import mlflow
import numpy as np
import pytest

import registry
from benchmark.features import SparseFeatures
from benchmark.health import FAIL, OK, UNKNOWN, WARN
from benchmark.jobs.health_values import copies, data_checks, feature_checks

TINY = ["--max-samples", "600", "--epochs", "1", "--folds", "2", "--k", "4", "--seeds", "0"]


def material(n=6000, modality="text", captions=None, images=None, layers=None):
    """What the checks look at, of n healthy samples unless something else is planted."""
    rng = np.random.default_rng(0)
    healthy = {
        i: SparseFeatures(rng.random((n, 50)).argpartition(4, axis=1)[:, :4], rng.random((n, 4)) + 0.1, 50)
        for i in (0, 1)
    }
    dataset = SimpleNamespace(
        groups=np.arange(n), has_images=True, has_captions=True,
        image_numbers=np.arange(n) if images is None else images,
        captions=lambda: [str(i) for i in range(n)] if captions is None else captions,
    )  # fmt: skip
    return SimpleNamespace(
        dataset=dataset, compared=np.arange(n), encoders={"it": SimpleNamespace(modality=modality)},
        plan=SimpleNamespace(suite=SimpleNamespace(seeds=(7,))), load=lambda name, seed: {**healthy, **(layers or {})},
    )  # fmt: skip


def statuses(checks):
    return {item.check: item.status for item in checks}


def test_healthy_data_and_features_pass():
    assert set(statuses(data_checks(material())).values()) == {OK}
    assert set(statuses(feature_checks(material(), "it")).values()) == {OK}


@pytest.mark.parametrize(
    ("planted", "check", "status"),
    [
        ({"n": 4000}, "few-samples", WARN),
        ({"n": 1500}, "few-samples", FAIL),
        ({"images": np.arange(6000) % 5500}, "duplicate-images", WARN),
        ({"images": np.arange(6000) % 3000}, "duplicate-images", FAIL),
        ({"captions": [str(i % 5500) for i in range(6000)]}, "repeated-captions", WARN),
        ({"captions": [str(i % 2) for i in range(6000)]}, "repeated-captions", FAIL),
    ],
)
def test_planted_faults_of_the_data_are_found(planted, check, status):
    found = data_checks(material(**planted))
    bad = [item for item in found if item.status != OK]
    assert [(item.check, item.status) for item in bad] == [(check, status)] and bad[0].advice
    if check == "few-samples":
        assert bad[0].value == planted["n"] and bad[0].limit in (5000, 2000)


def test_copies_within_a_group_are_no_copies():
    assert copies(["a", "a", "b", "c"], np.array([0, 0, 1, 2])) == 0
    assert copies(["a", "a", "b", "a"], np.array([0, 0, 1, 2])) == 0.75


@pytest.mark.parametrize(("height", "status"), [(0.4, WARN), (10.0, FAIL)])
def test_features_that_fire_everywhere_are_found_and_later_layers_advised(height, status):
    rng = np.random.default_rng(1)
    index = np.concatenate([np.full((6000, 1), 49), rng.random((6000, 49)).argpartition(3, axis=1)[:, :3]], 1)
    value = np.concatenate([np.full((6000, 1), height), rng.random((6000, 3)) + 0.1], 1)
    trivial = SparseFeatures(index, value, 50)
    for layer, word in ((0, "Try later layers"), (1, "It is the last layer already")):
        found = feature_checks(material(layers={layer: trivial}), "it")
        assert statuses(found) == {"trivial-features": status, "same-code": OK}
        assert found[0].where == f"layer {layer}, seed 7" and found[0].advice.startswith(word)


@pytest.mark.parametrize(("share", "status"), [(0.1, WARN), (1, FAIL)])
def test_one_code_for_many_samples_is_blamed_on_the_token_rule_unless_the_inputs_are_the_same(share, status):
    count = round(6000 * share)
    index, value = np.tile(np.arange(4), (6000, 1)), np.random.default_rng(2).random((6000, 4)) + 0.1
    value[:count] = 1
    features = {1: SparseFeatures(index, value, 50)}
    found = feature_checks(material(layers=features), "it")[1]
    assert (found.check, found.status) == ("same-code", status) and "token rule" in found.advice
    repeated = ["the same"] * count + [str(i) for i in range(6000 - count)]
    assert feature_checks(material(layers=features, captions=repeated), "it")[1].status == OK


@pytest.fixture
def checked(command):
    code, out, error = command("health", "--encoders", "cards.yaml", *TINY)
    assert code == 0, error  # however unhealthy
    return registry.runs("FINISHED", kind="health").iloc[0], out


def test_a_health_run_has_a_status_for_every_check_and_encoder_and_is_tagged(checked, command, tmp_path):
    run, out = checked
    table = registry.table(run.run_id, "health.parquet")
    encoders = ["tiny-image", "tiny-text", "tiny-vit", "tiny-bert"]
    assert not table.duplicated(["check", "subject"]).any() and set(table.subject) == {"data", *encoders}
    assert (table[table.subject != "data"].groupby("subject").size() == 13).all()
    few = table[table.check == "few-samples"].iloc[0]
    assert (few.status, few.limit) == (FAIL, 2000) and few.value < 600
    status = table.set_index(["check", "subject"]).status
    assert (status["self-near-chance"] == UNKNOWN).all()  # one seed
    assert status["cross-modal-above-same-modal", "tiny-vit"] in (OK, WARN, FAIL)
    tags = mlflow.get_run(run.run_id).data.tags
    assert tags["health"] == FAIL and "few-samples" in tags["health_fail"].split(",")
    assert run.metrics["health/fail"] == (table.status == FAIL).sum()
    assert "Health of the suite: fail." in out and "fail few-samples: data: " in out
    assert "unknown self-near-chance: tiny-image, tiny-text, tiny-vit, tiny-bert: there is one seed only." in out
    values = registry.table(run.run_id, "values.parquet")
    assert (
        len(values) == 4 * 3
        and (values.low <= values.value).all()
        and values.columns.tolist() == ["source", "layer", "target", "value", "low", "high"]
    )

    assert command("compare", "--encoders", "cards.yaml", *TINY, "--permutations", "1")[0] == 0
    newest = registry.runs("FINISHED", kind="compare").iloc[0]
    assert command("report", "--runs", newest.run_id, "--output", tmp_path)[0] == 0
    for name in ("report.html", "report.md"):
        page = (tmp_path / name).read_text()
        assert "fail few-samples: data" in page and run.run_id in page
    assert "few-samples" in (tmp_path / "tables.tex").read_text()


def test_an_encoder_that_cannot_be_trained_fails_its_check_and_the_others_are_checked(command):
    code, out, error = command("health", "--encoders", "one.yaml,broken.yaml", *TINY)
    assert code == 1 and "failed: tiny-gone" in error  # as of any job with an encoder that failed
    run = registry.runs("FAILED", kind="health").iloc[0]
    table = registry.table(run.run_id, "health.parquet").set_index(["check", "subject"])
    assert table.status["trains", "tiny-gone"] == FAIL and table.status["trains", "tiny-vit"] == OK
    assert table.status["same-modality-near-zero", "tiny-vit"] == UNKNOWN
    assert "fail trains: tiny-gone: " in out and "trains" in mlflow.get_run(run.run_id).data.tags["health_fail"]
