"""`select` ranks every compared pair, finds captions that were moved, trains on what it keeps, and refuses nonsense."""

import numpy as np
import pandas as pd
import pytest

import registry
from benchmark.jobs import selection_retraining

TINY = ["--max-samples", "600", "--epochs", "1", "--permutations", "1", "--folds", "2", "--k", "4", "--seeds", "0"]
TABLES = ("samples", "pairs", "injections", "detection", "retraining", "retrained")
FIGURES = {"contributions.png", "detection.png", "retraining.png", "pairs.html"}
SUBSETS = {"contribution", "contribution, apart", "similarity", "random", "oracle"}


@pytest.fixture
def select(command):
    return lambda *more, encoders="cards.yaml": command("select", "--encoders", encoders, *TINY, *more)


def test_a_select_run_ranks_all_pairs_and_holds_every_artifact(select, monkeypatch):
    smallest = {"LEAST": 100, "SEEDS": 2, "EPOCHS": 1, "RECIPE": {"width": 24, "depth": 1}}
    for name, value in smallest.items():
        monkeypatch.setattr(selection_retraining, name, value)
    code, out, error = select("--rates", "0.2,0.4", "--draws", "2", "--keep", "0.7", "--retrain", "true")
    assert code == 0, error
    run = registry.runs("FINISHED", kind="select").iloc[0]
    folder = registry.verified(run.run_id)
    names = {f"{name}{end}" for name in TABLES for end in (".csv", ".parquet")} | FIGURES
    assert {path.name for path in folder.iterdir()} == names | {"findings.json", "manifest.json", "config.json"}
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
    samples, pairs = tables["samples"], tables["pairs"]
    n = len(samples)
    assert n == run.metrics["select/n_samples"] and sorted(samples["rank"]) == list(range(1, n + 1))
    assert samples.keep.sum() == round(0.7 * n) and samples[samples.keep].contribution.min() >= (
        samples[~samples.keep].contribution.max()
    )
    np.testing.assert_allclose(samples.contribution, (samples.image_to_text + samples.text_to_image) / 2)
    np.testing.assert_allclose(samples.group_contribution, samples.contribution)  # each image has one caption
    assert len(pairs) == 4 and run.metrics["select/wmppc_crossfit"] == pytest.approx(
        pairs[["image_to_text", "text_to_image"]].to_numpy().mean()
    )
    detection = tables["detection"]
    assert set(detection.rate) == {0.2, 0.4} and (detection.draws == 2).all()
    both = detection[detection.image == "all"].set_index(["score", "rate"]).auc
    assert run.metrics["select/auc/contribution/0.2"] == both["contribution", 0.2]
    assert {"contribution", "agreement", "cka", "random"} <= set(both.index.get_level_values(0))
    assert set(detection[detection.score == "similarity"].text) == {"tiny-text"}  # the only contrastive pair
    subsets = tables["retraining"]
    assert len(subsets) == 2 * len(SUBSETS) and set(subsets.subset) == SUBSETS and subsets["size"].nunique() <= 2
    assert (subsets[subsets.subset == "oracle"].wrong == 0).all() and (subsets.r1 <= subsets.r10).all()
    assert "select/retrained/contribution_apart/mrr" in run.metrics and "r10 over random" in out


def test_what_cannot_be_selected_is_refused_before_anything_is_trained(select):
    for arguments, encoders, message in (
        ((), "one.yaml", "at least one image and one text encoder, got tiny-vit (image)"),
        (("--keep", "1"), "cards.yaml", "keep must lie between 0 and 1, got 1.0"),
        (("--rates", "0.1,1.5"), "cards.yaml", "different shares between 0 and 1, got 0.1,1.5"),
        (("--rates", "0.1,0.1"), "cards.yaml", "different shares between 0 and 1, got 0.1,0.1"),
        (("--draws", "0"), "cards.yaml", "draws must be at least 1, got 0"),
        (("--retrain", "true"), "cards.yaml", "retraining needs at least 400 compared samples"),
    ):
        code, _, error = select(*arguments, encoders=encoders)
        assert code == 2 and message in error, error
