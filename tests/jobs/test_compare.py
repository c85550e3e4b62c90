"""The main job: complete artifacts, honest reuse, isolated failures."""

import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import registry
from benchmark.jobs.backends import Backend
from benchmark.jobs.compare_units import compare_unit
from benchmark.jobs.units import Answer
from benchmark.metrics import chance, crossfit, wmppc_layers

ARTIFACTS = {
    "matrix.csv", "matrix.parquet", "cells.csv", "cells.parquet", "leaderboard.csv", "leaderboard.parquet",
    "saes.csv", "saes.parquet", "matrix.png",
    "matrix.html", "left_out.csv", "manifest.json", "config.json", "signatures.csv", "signatures.parquet",
    "partners",
}  # fmt: skip
LONG = [
    "suite", "dataset", "source", "target", "source_layer", "target_layer", "source_seed", "target_seed", "aggregate",
    "codes", "recorded_on", "n_samples", "n_groups",
    "naive", "chance", "calibrated", "p_value", "crossfit", "low", "high",
    "mppc", "mppc_chance", "crossfit_scale_free", "naive_scale_free", "untrained", "untrained_naive",
]  # fmt: skip


def newest(kind="compare"):
    registry.connect()
    return registry.runs(kind=kind).iloc[0]


@pytest.fixture
def compared(tiny):
    """A finished tiny compare (trained by whichever test comes first, reused by the others)."""
    code, out, _ = tiny()
    assert code == 0
    return newest(), out


def test_a_compare_run_holds_every_artifact_and_metric(compared, here):
    run, out = compared
    folder = registry.verified(run.run_id)
    assert folder is not None and {path.name for path in folder.iterdir()} == ARTIFACTS
    table = registry.table(run.run_id, "matrix.parquet")
    assert list(table.columns) == LONG
    pd.testing.assert_frame_equal(pd.read_csv(folder / "matrix.csv", dtype={"source_layer": str, "target_layer": str}),
                                  table, check_dtype=False)  # fmt: skip
    # 8 (encoder, seed) sets: 28 pairs both ways on two sets of samples.
    assert len(table) == 28 * 2 * 2 and set(table.recorded_on) == {"heldout", "all"}
    cells = registry.table(run.run_id, "cells.parquet")
    shown = cells[cells.recorded_on == "heldout"]
    assert len(shown) == 16
    for cell in shown.itertuples():
        name = f"{cell.source}/{cell.target}"
        for prefix, value in (("wmppc", cell.naive), ("wmppc_crossfit", cell.crossfit), ("wmppc_chance", cell.chance),
                              ("wmppc_calibrated", cell.calibrated), ("wmppc_untrained", cell.untrained),
                              ("wmppc_crossfit_scale_free", cell.crossfit_scale_free)):  # fmt: skip
            assert run.metrics[f"{prefix}/{name}"] == pytest.approx(value)
    board = registry.table(run.run_id, "leaderboard.parquet")
    board = board[(board.recorded_on == "heldout") & (board.seed == "")].set_index(["column", "encoder"]).value
    own = shown[shown.source == shown.target].set_index("source").crossfit
    assert board["stability"].to_dict() == pytest.approx(own.to_dict())
    others = shown[shown.source != shown.target].groupby("source").crossfit.mean()
    assert board["share"].to_dict() == pytest.approx(others.to_dict())
    assert run.metrics["n_samples"] == shown.n_samples.iloc[0] < 600
    assert (run.status, run.kind, run.suite, run.dataset) == ("FINISHED", "compare", "quickstart", "scenes")
    assert "cross-fitted" in out and "chance level" in out and "make ui" in out and "make app" in out
    assert "With 2 seeds they show the samples' share" in out
    assert "before training (floor)" in out and "authors" not in out
    assert "CAUTION: Only" in out  # at a few hundred samples the numbers are not to be believed


def test_the_numbers_are_those_of_the_metrics_on_the_recorded_features(compared, here):
    run, _ = compared
    saes = registry.table(run.run_id, "saes.parquet")
    row = registry.table(run.run_id, "matrix.parquet").iloc[6]  # forward: no tie is broken the other way
    sides = []
    for encoder, seed, layer in (
        (row.source, row.source_seed, row.source_layer),
        (row.target, row.target_seed, row.target_layer),
    ):
        run_id = saes[(saes.encoder == encoder) & (saes.seed == seed)].run_id.iloc[0]
        sides.append(registry.features(run_id, int(layer)))
    from benchmark.datasets import load_dataset

    dataset = load_dataset("scenes", 600, here / ".cache")
    rows = np.flatnonzero(dataset.heldout) if row.recorded_on == "heldout" else np.arange(600)
    assert sides[0].samples == dataset.fingerprint and len(rows) == row.n_samples
    source, target = (side.take(rows) for side in sides)
    assert row.naive == pytest.approx(wmppc_layers(source, target).overall, abs=1e-12)
    assert row.crossfit == pytest.approx(crossfit(source, target, folds=2), abs=1e-12)
    # A permutation of the rows of either side is a draw of the same null.
    null = chance(source, target, permutations=20)
    assert abs(row.chance - null.null.mean()) < 6 * null.null.std()


def test_a_second_run_trains_nothing_and_gives_the_same_matrices(compared, tiny):
    first, _ = compared
    before = registry.runs(kind="train")
    code, out, _ = tiny()
    second = newest()
    assert code == 0 and second.run_id != first.run_id
    assert set(registry.runs(kind="train").run_id) == set(before.run_id) and "8 reused" in out
    for name in ("matrix.parquet", "cells.parquet", "leaderboard.parquet", "saes.parquet"):
        pd.testing.assert_frame_equal(registry.table(first.run_id, name), registry.table(second.run_id, name))
    assert first.metrics == second.metrics
    assert {p.name for p in registry.verified(second.run_id).iterdir()} == ARTIFACTS


def test_there_is_one_train_run_per_encoder_and_seed(compared):
    run, _ = compared
    saes = registry.table(run.run_id, "saes.parquet")
    trained = registry.runs(kind="train").set_index("run_id").loc[saes.run_id]
    assert len(saes) == 8 and not saes.run_id.duplicated().any()
    assert (trained.status == "FINISHED").all() and (trained.key != "").all()
    assert sorted(zip(trained.encoder, trained.seed, strict=True)) == sorted(
        zip(saes.encoder, saes.seed.astype(str), strict=True)
    )
    for metrics, fvu in zip(trained.metrics, saes.fvu, strict=True):
        assert metrics["fvu"] == pytest.approx(fvu) and fvu > 0
        assert any(name.startswith("loss/L") for name in metrics)


def test_a_registered_sae_loads_in_another_process_without_pickle(compared, here):
    run, _ = compared
    sae = registry.table(run.run_id, "saes.parquet").iloc[0]
    script = f"""
import mlflow, numpy as np, json
model = mlflow.pyfunc.load_model({sae.model_uri!r})
out = model.predict(np.zeros((3, {sae.d}), np.float32))
print(json.dumps({{k: list(v.shape) for k, v in out.items()}}))
"""
    environment = {
        "PATH": "/usr/bin:/bin",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_URI": f"sqlite:///{here}/mlflow.db",
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=here.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"indices": [3, sae.k], "values": [3, sae.k]}
    again = registry.load_sae(sae.model_uri)
    assert (again.d, again.n_latents, again.k) == (sae.d, sae.n_latents, sae.k)


def test_a_failing_encoder_is_recorded_and_does_not_stop_the_others(tiny):
    code, out, _ = tiny(encoders="cards.yaml,broken.yaml")
    assert code == 1
    assert "FAILED tiny-gone" in out and "gone" in out
    run = newest()
    assert run.status == "FAILED" and run.failed == "tiny-gone"
    assert set(registry.table(run.run_id, "cells.parquet").source) == {
        "tiny-image",
        "tiny-text",
        "tiny-vit",
        "tiny-bert",
    }
    failed = registry.runs(kind="train", encoder="tiny-gone")
    assert (failed.status == "FAILED").all() and len(failed) >= 1


def test_damaged_features_are_computed_again(compared, tiny):
    run, _ = compared
    saes = registry.table(run.run_id, "saes.parquet")
    victim = saes[saes.encoder == "tiny-bert"].run_id.iloc[0]
    file = next((registry.verified(victim) / "features").iterdir())
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    assert registry.verified(victim) is None
    code, out, _ = tiny()
    assert code == 0 and "7 reused" in out
    again = registry.table(newest().run_id, "saes.parquet")
    assert victim not in set(again.run_id)
    pd.testing.assert_frame_equal(
        registry.table(newest().run_id, "matrix.parquet"), registry.table(run.run_id, "matrix.parquet")
    )


def test_an_sae_that_is_registered_no_more_is_trained_again(compared, tiny):
    from mlflow import MlflowClient

    run, _ = compared
    MlflowClient().delete_registered_model(registry.model_name("scenes", "tiny-vit", 2))
    code, out, _ = tiny()
    assert code == 0 and "6 reused" in out
    saes = registry.table(newest().run_id, "saes.parquet")
    for uri in saes.model_uri:
        assert registry.load_sae(uri).k == 4


def test_one_encoder_that_cannot_take_part_does_not_stop_the_others(tiny):
    code, out, _ = tiny("--layers", "2")  # tiny-text has two blocks, 0 and 1
    assert code == 1 and "FAILED tiny-text" in out and "has no layer 2" in out
    assert set(registry.table(newest().run_id, "cells.parquet").source) == {"tiny-image", "tiny-vit", "tiny-bert"}


def test_another_grouping_of_the_same_samples_is_another_result(tiny, tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(120):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file, "png")
        words = " ".join(rng.choice(["a", "red", "green", "ball", "cube", "left", "two"], 4))
        rows.append({"id": f"s{i}", "image": {"bytes": file.getvalue()}, "text": words, "photo": i // 6})
    pd.DataFrame(rows).to_parquet(tmp_path / "p.parquet")
    card = tmp_path / "card.yaml"
    for group in ("", "  group: photo\n"):
        card.write_text(f"pairs:\n  kind: parquet\n  source: p.parquet\n{group}")
        code, out, _ = tiny("--dataset", card, encoders="one.yaml")
        assert code == 0 and "0 reused" in out


def test_the_train_command_reuses_what_compare_trained(compared, command):
    small = ["--max-samples", "600", "--epochs", "1", "--k", "4"]
    code, out, _ = command("train", "--encoders", "cards.yaml", *small)
    assert code == 0 and out.count("reused") == 8
    run = registry.runs(kind="train").iloc[0]
    assert len(registry.table(run.run_id, "saes.parquet")) == 8 and run.metrics["n_samples"] == 600


def test_all_layers_give_both_aggregates(tiny):
    code, _, _ = tiny("--layers", "all", "--seeds", "0", encoders="cards.yaml")
    assert code == 0
    table = registry.table(newest().run_id, "matrix.parquet")
    assert set(table["aggregate"]) == {"layer_mean", "last"}
    assert set(table.loc[table["aggregate"] == "layer_mean", "source_layer"]) == {"0,1,2", "0,1"}


def test_what_leaves_nothing_to_compare_is_the_users_mistake(tiny):
    code, _, error = tiny("--min-count", "700", encoders="one.yaml")
    assert code == 2 and "min_count = 700 leaves no feature of layer" in error and error.count("\n") <= 1


def test_the_authors_code_is_a_switch_of_every_suite(tiny):
    code, out, _ = tiny("--paper-code", "--untrained", "false", encoders="one.yaml")
    run = newest()
    table, cells = (registry.table(run.run_id, f"{name}.parquet") for name in ("matrix", "cells"))
    assert code == 0 and "authors' published code" in out and "floor" not in out and "untrained" not in table
    sizes = (table.n_samples - 1) / table.n_samples
    np.testing.assert_allclose(table.paper_code, table.naive * sizes, atol=1e-5)
    shown = cells[cells.recorded_on == "heldout"].iloc[0]
    assert run.metrics[f"wmppc_paper_code/{shown.source}/{shown.target}"] == pytest.approx(shown.paper_code)


def test_two_seeds_of_one_encoder_are_a_comparison(tiny):
    code, _, _ = tiny(encoders="one.yaml")
    cells = registry.table(newest().run_id, "cells.parquet")
    assert code == 0 and set(cells.source) == set(cells.target) == {"tiny-vit"} and set(cells.seed_pairs) == {2}


def test_the_run_of_mlflow_run_is_adopted(here, tiny, monkeypatch):
    registry.connect()
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.create_experiment("adopted")
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)  # as in a process of its own
    parent = client.create_run(experiment, run_name="from mlflow run")
    monkeypatch.setenv("MLFLOW_RUN_ID", parent.info.run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    code, _, _ = tiny()
    assert code == 0
    run = registry.runs(kind="compare").set_index("run_id").loc[parent.info.run_id]
    assert run.status == "FINISHED" and run["name"] == "from mlflow run" and run.experiment_id == experiment
    assert registry.verified(parent.info.run_id) is not None


def test_pairs_of_encoders_that_fail_elsewhere_leave_the_rest_of_the_matrix(compared, tiny, monkeypatch):
    def fan_out(backend, processes, units, *_):
        lost = [" and tiny-vit on heldout" in unit.name and "tiny-bert" in unit.name for unit in units]
        assert sum(lost) == 1
        return [
            Answer(error="its worker died.") if gone else Answer(compare_unit(*unit.arguments))
            for unit, gone in zip(units, lost, strict=True)
        ]

    monkeypatch.setattr("benchmark.jobs.compare_units.fan_out", fan_out)
    monkeypatch.setattr(Backend, "processes", lambda *_: 2)
    code, out, error = tiny("--permutations", "2")  # not what was compared before
    assert code == 1 and "FAILED compare tiny-bert and tiny-vit on heldout: its worker died." in out
    assert "4 others are complete" in error
    run = newest()
    assert run.status == "FAILED"
    first = registry.table(compared[0].run_id, "matrix.parquet")
    found = registry.table(run.run_id, "matrix.parquet")
    assert len(found) == len(first) - 2 * 4  # both ways between two seeds of each, on one set of samples
    keys = ["recorded_on", "source", "source_seed", "target", "target_seed"]
    both = found.merge(first, on=keys, suffixes=("", "_first"))
    assert len(both) == len(found)
    np.testing.assert_array_equal(both.crossfit, both.crossfit_first)
    board = registry.table(run.run_id, "leaderboard.parquet")
    assert set(board.encoder) == set(first.source)
