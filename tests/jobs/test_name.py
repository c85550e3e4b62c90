"""`name` names the features of every train run, says how good the names are, and refuses what it cannot use."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import registry
from benchmark.errors import InputError
from benchmark.features import SparseFeatures
from benchmark.jobs.naming_evidence import Half, Samples, checked_pair
from benchmark.jobs.naming_tables import named_features
from benchmark.jobs.naming_truth import Truth, against_truth, correlations
from benchmark.metrics.naming import Evidence

SMALL = ["--max-samples", "600", "--epochs", "1", "--k", "4", "--seeds", "0"]
WRITTEN = {
    "run_id", "encoder", "seed", "layer", "feature", "name", "typology", "source", "score", "p", "auc", "auc_strong",
    "auc_words", "auc_image", "runners_up", "caption_z", "image_z", "active", "S", "again", "again_shown",
    "planted_factor", "planted_value", "planted_rho", "named_factor", "named_value",
}  # fmt: skip


def test_every_train_run_gets_names_that_queries_find(command):
    code, out, error = command("name", "--encoders", "cards.yaml", *SMALL)
    assert code == 0, error
    run = registry.runs("FINISHED", kind="name").iloc[0]
    assert "captions and images (tiny-image)" in out and "shuffled_share" in out and "Planted truth" in out
    summary, counts = (registry.table(run.run_id, f"{name}.parquet") for name in ("summary", "typology"))
    assert set(summary.encoder) == {"tiny-image", "tiny-text", "tiny-vit", "tiny-bert"} and len(summary) == 4
    assert summary.shuffled_share.dropna().mean() < 0.1
    for row in summary.to_dict("records"):
        found = registry.feature_names(row["run_id"])
        assert set(found.columns) == WRITTEN and len(found) == row["live"]
        assert (found.encoder == row["encoder"]).all() and (found["name"] != "").sum() == row["named"]
        assert (found.p[found["name"] != ""] <= 0.01).all()
        assert counts[counts.encoder == row["encoder"]].features.sum() == row["named"]
    assert (registry.verified(run.run_id) / "names.png").stat().st_size > 10_000
    assert "name/tiny-bert/auc" in run.metrics and run.metrics["name/tiny-vit/shuffled_share"] < 0.2
    assert mlflow.get_run(run.run_id).data.tags["named"].count(",") == 3

    code, out, _ = command("name", "--encoders", "cards.yaml", *SMALL, "--pair", "none")
    assert code == 0 and "captions alone" in out
    newest = registry.feature_names(summary.run_id[0])
    assert newest.image_z.isna().all() and set(newest.source) <= {"", "caption"}


def test_only_a_card_of_open_clip_can_be_the_pair(command):
    code, _, error = command("name", "--encoders", "cards.yaml", *SMALL, "--pair", "small-bert")
    assert code == 2 and "encoder 'small-bert' is of library transformers" in error
    code, _, error = command("name", "--encoders", "cards.yaml", *SMALL, "--pair", "small-clip")
    assert code == 2 and "unknown encoder 'small-clip'" in error
    assert checked_pair("none") is None and checked_pair("") is None
    with pytest.raises(InputError, match="did you mean small-clip-image"):
        checked_pair("small-clip-imag")


N = 4000


@pytest.fixture(scope="module")
def planted():
    """Feature i of the first ten fires where planted value i is shown, which half of the captions say in word i."""
    rng = np.random.default_rng(0)
    shown = np.eye(10, dtype=bool)[rng.integers(0, 10, N)]
    said = (shown & (rng.random((N, 10)) < 0.5)) | (rng.random((N, 10)) < 0.01)
    words = np.hstack([said, rng.random((N, 30)) < 0.1]).astype(np.float32)
    dense = np.hstack([shown * rng.uniform(0.5, 2, (N, 10)), (rng.random((N, 20)) < 0.05) * 1.0, np.zeros((N, 2))])
    halves = [
        Half(rows, np.arange(len(rows)), Evidence(sparse.csr_matrix(words[rows]), np.empty(0, np.int64)))
        for rows in (np.arange(0, N, 2), np.arange(1, N, 2))
    ]
    samples = Samples([f"word{i}" for i in range(40)], *halves, "")
    values = [("colour", f"v{i}") for i in range(5)] + [("noise", f"v{i}") for i in range(5)]
    test = sparse.csr_matrix(shown[1::2].astype(np.float32))
    meaning = correlations(halves[1].evidence.held.T.tocsr(), test).argmax(1)
    truth = Truth(values, np.arange(10) < 5, test, meaning)
    return SparseFeatures.from_dense(dense), samples, truth


def test_planted_features_are_named_detected_and_named_again(planted):
    features, samples, _ = planted
    table, summary = named_features(features, samples, lambda name: "object" if name else "")
    assert len(table) == summary["live"] == 30 == summary["nameable"]
    assert table["name"][:10].tolist() == [f"word{i}" for i in range(10)] and table.again[:10].all()
    np.testing.assert_allclose(table.auc[:10], 0.745, atol=0.06)  # (1 + 0.5 - 0.01) / 2
    assert (table.typology == np.where(table["name"] == "", "", "object")).all() and table.auc_image.isna().all()
    assert summary["named"] <= 12 and summary["shuffled_share"] <= 0.1 and summary["again"] > 0.8
    assert abs(summary["auc_shuffled"] - 0.5) < 0.03 and summary["again_chance"] < 0.25
    assert summary["auc_low"] < summary["auc"] < summary["auc_high"]


def test_names_are_right_where_their_word_means_the_planted_value(planted):
    features, samples, truth = planted
    table, _ = named_features(features, samples, lambda name: "")
    wrong = table.assign(name=["word1", "word0", *table["name"][2:]])
    for names, value in ((table, 1.0), (wrong, 0.6)):
        told, found = against_truth(features, names, samples, truth)
        assert (found["clear"], found["told"], found["nuisances"]) == (10, 5, 5)
        assert found["right_value"] == value and found["right_factor"] == 1 and found["told_named"] == 1
        assert found["right_value_chance"] == pytest.approx(0.2) and found["right_factor_chance"] == 1
        assert told.planted_value[:5].tolist() == [f"v{i}" for i in range(5)]
    assert told.named_value[0] == "v1" and told.named_factor[0] == "colour"


def test_correlations_are_pearsons_and_0_for_what_is_constant():
    rng = np.random.default_rng(1)
    left, right = (rng.random((50, m)) * (rng.random((50, m)) < 0.4) for m in (6, 4))
    left[:, 2], right[:, 1] = 1, 0
    found = correlations(sparse.csr_matrix(left.T), sparse.csr_matrix(right))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.nan_to_num(np.corrcoef(left.T, right.T)[:6, 6:])
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_data_without_captions_is_refused(command, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(60):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / f"{i}.png")
    pd.DataFrame({"file_name": [f"{i}.png" for i in range(60)]}).to_csv(folder / "metadata.csv", index=False)
    code, _, error = command("name", "--encoders", "one.yaml", *SMALL, "--dataset", folder)
    assert code == 2 and "has no captions" in error and not registry.runs(kind="train", dataset="images").size
