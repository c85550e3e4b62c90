"""The sweep trains or reuses the SAEs of every cell and survives cells and encoders that fail."""

import numpy as np
import pandas as pd
import pytest

import registry
from benchmark.jobs import sweep_cells

TINY = ["--max-samples", "600", "--epochs", "30", "--batch-size", "64", "--folds", "2"]
GRID = ["--k", "2,4", "--expansion", "2,4"]
ARTIFACTS = {
    "sweep.csv", "sweep.parquet", "encoders.csv", "encoders.parquet", "saes.csv", "saes.parquet", "signatures.csv",
    "signatures.parquet", "sweep.png", "sweep.html", "recommendation.txt", "manifest.json", "config.json",
}  # fmt: skip


@pytest.fixture
def sweep(command):
    return lambda *more, encoders="one.yaml": command("sweep", "--encoders", encoders, *TINY, *(more or GRID))


def newest():
    return registry.runs(kind="sweep").iloc[0]


def test_a_sweep_holds_every_cell_artifact_and_metric_and_reuses_what_it_trained(sweep):
    code, out, error = sweep()
    assert code == 0, error
    run = newest()
    folder = registry.verified(run.run_id)
    assert folder is not None and {path.name for path in folder.iterdir()} == ARTIFACTS
    table = registry.table(run.run_id, "sweep.parquet")
    assert list(zip(table.k, table.expansion, strict=True)) == [(2, 2), (2, 4), (4, 2), (4, 4)]
    assert table.complete.all() and table.suffices.any() and (table.self_low <= table.self_high).all()
    for row in table.to_dict("records"):
        for name in ("self", "fvu", "dead"):
            assert run.metrics[f"{name}/k{row['k']}/e{row['expansion']}"] == pytest.approx(row[name])
    assert "Recommended: k=" in out and "k=32, expansion=8 (the paper's) is not among the cells" in out
    assert len(registry.table(run.run_id, "saes.parquet")) == 4 * 2

    before = set(registry.runs(kind="train").run_id)
    code, _, _ = sweep()
    assert code == 0 and set(registry.runs(kind="train").run_id) == before and newest().run_id != run.run_id
    for name in ("sweep", "encoders", "signatures"):
        pd.testing.assert_frame_equal(
            registry.table(run.run_id, f"{name}.parquet"), registry.table(newest().run_id, f"{name}.parquet")
        )


def test_values_are_those_of_compare_on_the_same_saes(sweep, command):
    assert sweep("--k", "4", "--expansion", "4", encoders="cards.yaml")[0] == 0
    encoders = registry.table(newest().run_id, "encoders.parquet").set_index("encoder")
    before = set(registry.runs(kind="train").run_id)
    code, _, error = command("compare", "--encoders", "cards.yaml", *TINY, "--k", "4", "--expansion", "4",
                             "--permutations", "0")  # fmt: skip
    assert code == 0, error
    assert set(registry.runs(kind="train").run_id) == before  # the sweep's SAEs, reused
    cells = registry.table(registry.runs(kind="compare").iloc[0].run_id, "cells.parquet")
    cells = cells[cells.recorded_on == "heldout"]
    for name, row in encoders.iterrows():
        part = cells[cells.source == name]
        assert row["self"] == pytest.approx(float(part.crossfit[part.target == name].iloc[0]))
        assert row.floor == pytest.approx(float(part.untrained[part.target == name].iloc[0]))
        assert row.cross == pytest.approx(part.crossfit[part.target != name].mean())
    table = registry.table(newest().run_id, "sweep.parquet").iloc[0]
    assert table.cross == pytest.approx(encoders.cross.mean()) and table.cross_low <= table.cross <= table.cross_high


def test_k_that_is_no_sparse_code_is_left_out_with_a_sentence(sweep):
    code, out, _ = sweep("--k", "4,512", "--expansion", "4")
    assert code == 0 and "k=512 is left out: the narrowest layer has width" in out
    assert registry.table(newest().run_id, "sweep.parquet").k.tolist() == [4]


def test_a_sweep_of_such_a_k_alone_is_refused(sweep):
    code, out, error = sweep("--k", "64", "--expansion", "4,8", encoders="one.yaml")
    assert code == 2 and "no cell is left: k=64 is left out" in error and "Recommended" not in out


def test_a_failing_cell_does_not_stop_the_rest(sweep, monkeypatch):
    plain = sweep_cells.train_all

    def failing(plan, dataset):
        if plan.suite.k == 2 and plan.suite.expansion == 4:
            raise OSError("no space left")
        return plain(plan, dataset)

    monkeypatch.setattr(sweep_cells, "train_all", failing)
    code, out, _ = sweep()
    assert code == 1 and "FAILED k=2, expansion=4: no space left" in out
    run = newest()
    assert run.status == "FAILED" and len(registry.table(run.run_id, "sweep.parquet")) == 3


def test_a_failing_encoder_is_left_out_of_every_cell(sweep):
    code, out, _ = sweep("--k", "4", "--expansion", "2,4", encoders="one.yaml,broken.yaml")
    assert code == 1 and "FAILED tiny-gone (k=4, expansion=2)" in out
    table = registry.table(newest().run_id, "sweep.parquet")
    assert table.complete.all() and np.isnan(table.cross).all()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--k", "0,4"], "k must list"),
        (["--k", "4,4"], "k holds a value twice"),
        (["--expansion", ""], "expansion must list"),
        (["--n-latents", "64"], "leave n_latents out"),
        (["--seeds", "1"], "give two or more"),
        (["--k", "4,x"], "whole number"),
    ],
)
def test_sweeps_that_cannot_work_are_refused_in_one_sentence(sweep, more, sentence):
    code, _, error = sweep(*more)
    assert code == 2 and sentence in error and error.count("\n") <= 1
