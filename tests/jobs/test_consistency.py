"""Datasets are compared at equal numbers of samples, whole, and what cannot be compared is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
from described import undescribed

import registry
from benchmark.errors import InputError
from benchmark.jobs.consistency import consistency_plans, matched_rows
from benchmark.jobs.experiment_configs import ConsistencyConfig
from benchmark.metrics.describe import consistency as words

TINY = ["--epochs", "1", "--permutations", "2", "--folds", "2", "--k", "4", "--encoders", "kinds.yaml"]
TABLES = (
    "cells",
    "differences",
    "datasets",
    "agreement",
    "typology",
    "typology_differences",
    "transfer",
    "partners",
    "saes",
)


def test_two_datasets_are_compared_whole_and_once(command):
    code, out, error = command("consistency", *TINY, "--max-samples", "500")
    assert code == 0, error
    run = registry.runs("FINISHED", kind="consistency").iloc[0]
    folder = registry.verified(run.run_id)
    assert folder is not None and run.dataset == "scenes,blooms"
    files = {f"{name}.{kind}" for name in TABLES for kind in ("csv", "parquet")}
    assert files | {"consistency.png", "consistency.txt"} <= {path.name for path in folder.iterdir()}
    tables = {name: registry.table(run.run_id, f"{name}.parquet") for name in TABLES}
    assert undescribed(run.run_id, {
        "differences": words.DIFFERENCES, "datasets": words.DATASETS, "agreement": words.AGREEMENT,
        "typology": words.TYPOLOGY,
    }) == []  # fmt: skip
    cells = tables["cells"]
    assert cells.n_samples.nunique() == 1 and cells.groupby("dataset").size().to_dict() == {"scenes": 9, "blooms": 9}
    merged = cells.set_index(["dataset", "source", "target"]).crossfit
    for row in tables["differences"].to_dict("records"):
        first, second = (merged[row[side], row["source"], row["target"]] for side in ("first", "second"))
        assert row["difference"] == pytest.approx(second - first) and row["low"] < row["difference"] < row["high"]
        assert row["resolved"] == (not row["low"] <= 0 <= row["high"])
    crossing = [("tiny-image", "tiny-bert"), ("tiny-vit", "tiny-bert")]
    for row in tables["datasets"].to_dict("records"):
        values = [merged[row["dataset"], *cell[::way]] for cell in crossing for way in (1, -1)]
        assert row["alignment"] == pytest.approx(np.mean(values)) and row["low"] < row["alignment"] < row["high"]
    assert len(tables["transfer"]) == 2 * 3 * 2 and len(tables["partners"]) == 2 * 6 * 2
    assert tables["transfer"].fvu_there.notna().all() and tables["typology"]["order"].isin((1, 2, 3)).all()
    shares = tables["typology"].set_index(["dataset", "encoder"]).weighted_share
    for row in tables["typology_differences"].to_dict("records"):
        assert row["difference"] == pytest.approx(shares["blooms", row["encoder"]] - shares["scenes", row["encoder"]])
    assert {"consistency/alignment/blooms", "consistency/correlation/scenes/blooms"} <= set(run.metrics)
    assert "blooms minus scenes" in out and "Mantel" in out

    before = set(registry.runs(kind="train").run_id)
    assert command("consistency", *TINY, "--max-samples", "500")[0] == 0
    assert set(registry.runs(kind="train").run_id) == before


def material(groups, compared):
    return SimpleNamespace(dataset=SimpleNamespace(groups=np.array(groups)), compared=np.array(compared))


def test_compared_samples_are_as_many_groups_of_each_dataset_one_of_a_group():
    captions = material(np.repeat(np.arange(40), 5), np.arange(100, 200))  # 20 images of five captions
    single = material(np.arange(60), np.arange(10, 60))
    rows = matched_rows([captions, single])
    assert [len(part) for part in rows] == [20, 20] and (np.diff(rows[1]) > 0).all()
    assert (rows[0] % 5 == 0).all() and rows[0].min() >= 100 and rows[1].min() >= 10


def test_all_datasets_get_the_size_of_the_smallest(here, tmp_path):
    card = tmp_path / "few.yaml"
    card.write_text("few: {kind: blooms, size: 90, seed: 0}")
    plans = consistency_plans(
        ConsistencyConfig(encoders=("cards.yaml",), max_samples=500, datasets=("scenes", str(card)))
    )
    assert [plan.suite.max_samples for plan in plans] == [90, 90]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "scenes"}, "name them in datasets"),
        ({"datasets": ("scenes",)}, "two or more different datasets, got 'scenes'"),
        ({"datasets": ("scenes", "scenes")}, "two or more different datasets"),
        ({"encoders": ("one.yaml",)}, "two or more encoders, got 1"),
        ({"seeds": (0,)}, "give two or more"),
        ({"datasets": ("scenes", "blums")}, "blooms"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(here, changes, message):
    with pytest.raises(InputError, match=message) as refused:
        consistency_plans(ConsistencyConfig(**{"encoders": ("kinds.yaml",), "max_samples": 500, **changes}))
    assert "\n" not in str(refused.value)


def test_one_encoder_is_too_few(command):
    code, _, error = command("consistency", "--encoders", "one.yaml", *TINY[:-2], "--max-samples", "500")
    assert code == 2 and "consistency compares matrices of two or more encoders, got 1" in error
