"""A user's mistake ends in one sentence that says what to do, exit code 2, and no traceback."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--encoders", "small-bret"], ["unknown encoder 'small-bret'", "did you mean small-bert"]),
        (["--dataset", "scense"], ["unknown dataset 'scense'", "did you mean scenes"]),
        (["--suite", "quickstrat"], ["unknown suite 'quickstrat'", "did you mean quickstart"]),
        (["--dataset", "nowhere/pairs.parquet"], ["nowhere/pairs.parquet"]),
        (["--k", "900", "--n-latents", "100"], ["k = 900 is larger than the dictionary of 100 latents"]),
        (["--k", "many"], ["k must be a whole number", "many"]),
        (["--k", "0"], ["k must be at least 1"]),
        (["--layers", "first"], ["layers must be last, all or block indices"]),
        (["--seeds", "1,1"], ["seeds holds a value twice"]),
        (["--folds", "1"], ["folds must be at least 2"]),
        (["--seeds", "99999999999999999999999"], ["seeds must lie between"]),
        (["--learning-rate", "inf"], ["learning_rate must be above 0 and finite"]),
        (["--backend", "slurm"], ["unknown backend 'slurm'"]),
        (["--device", "cuda:99"], ["cuda:99"]),
    ],
)
def test_wrong_arguments(command, arguments, words):
    code, _, error = command("compare", "--encoders", "cards.yaml", "--max-samples", "600", *arguments)
    assert code == 2 and all(word in error for word in words), error
    assert "Traceback" not in error


def test_k_larger_than_the_dictionary_of_a_layer(tiny):
    code, _, error = tiny("--k", "5000")
    assert code == 2 and "k = 5000 is larger than the dictionary" in error


def test_a_layer_that_does_not_exist(tiny):
    code, _, error = tiny("--layers", "0,44")
    assert code == 2 and "has no layer 44" in error


def test_too_few_samples_for_the_folds(tiny):
    code, _, error = tiny("--max-samples", "8", "--folds", "5")
    assert code == 2 and "too few" in error


WORDS = ("a", "red", "green", "blue", "ball", "cube", "on", "the", "left", "of", "small", "large", "table", "two")


def pairs(folder, n=40, broken=()):
    rows, rng = [], np.random.default_rng(0)
    for i in range(n):
        path = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(path)
        data = path.read_bytes()[: 60 if i in broken else None]
        words = " ".join(WORDS[(i * step) % 14] for step in (1, 3, 5))
        rows.append({"id": f"s{i}", "image": {"bytes": data, "path": None}, "text": words})
    return pd.DataFrame(rows)


def test_a_missing_column_is_named_with_those_that_exist(tiny, tmp_path):
    pairs(tmp_path).rename(columns={"text": "words"}).to_parquet(tmp_path / "p.parquet")
    code, _, error = tiny("--dataset", tmp_path / "p.parquet")
    assert code == 2 and "words" in error and "caption" in error and error.count("\n") <= 1


def test_captions_that_are_all_missing(tiny, tmp_path):
    pairs(tmp_path).assign(text=None).to_parquet(tmp_path / "p.parquet")
    code, _, error = tiny("--dataset", tmp_path / "p.parquet")
    assert code == 2 and "caption" in error


def test_an_empty_dataset(tiny, tmp_path):
    pairs(tmp_path).iloc[:0].to_parquet(tmp_path / "p.parquet")
    code, _, error = tiny("--dataset", tmp_path / "p.parquet")
    assert code == 2 and "p.parquet holds no samples" in error


def test_an_unreadable_image_is_left_out_for_all_and_reported_by_id(tiny, tmp_path):
    import registry

    pairs(tmp_path, 60, broken={7}).to_parquet(tmp_path / "p.parquet")
    code, out, _ = tiny("--dataset", tmp_path / "p.parquet")
    assert code == 0 and "59 samples (1 left out)" in out
    run = registry.runs(kind="compare").iloc[0]
    left_out = pd.read_csv(registry.verified(run.run_id) / "left_out.csv")
    assert list(left_out.id) == ["s7"] and run.metrics["left_out"] == 1
    saes = registry.table(run.run_id, "saes.parquet")
    assert {len(registry.features(r, layer)) for r, layer in zip(saes.run_id, saes.layer, strict=True)} == {59}


def test_an_encoder_that_says_the_same_of_every_sample_fails_alone(tiny, tmp_path):
    same = pairs(tmp_path).assign(text="a red ball")
    same.to_parquet(tmp_path / "p.parquet")
    code, out, _ = tiny("--dataset", tmp_path / "p.parquet")
    assert code == 1 and "tiny-bert" in out and "nearly the same vector" in out
    assert "FAILED tiny-vit" not in out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("  kind: vlmm", ["unknown kind 'vlmm'", "did you mean vlm"]),
        ("  token: clss", ["unknown token 'clss'"]),
        ('  source: ""', ["field 'source' is empty"]),
        ("  colour: red", ["unknown field 'colour'"]),
    ],
)
def test_a_card_with_a_mistake_is_named_before_any_work(command, here, tmp_path, line, words):
    lines = (here / "one.yaml").read_text().splitlines()
    field = line.split(":")[0]
    kept = [text for text in lines if not text.startswith(field + ":")]
    (tmp_path / "card.yaml").write_text("\n".join([*kept, line]) + "\n")
    code, _, error = command("compare", "--encoders", tmp_path / "card.yaml")
    assert code == 2 and all(word in error for word in words) and "card.yaml" in error


def test_a_name_that_is_no_name_is_refused(command, here, tmp_path):
    (tmp_path / "card.yaml").write_text((here / "one.yaml").read_text().replace("tiny-vit:", "../../escape:"))
    code, _, error = command("compare", "--encoders", tmp_path / "card.yaml")
    assert code == 2 and "a name may hold" in error


def test_held_out_samples_need_samples_that_are_held_out(command, tmp_path):
    suite = "mine:\n  dataset: scenes\n  encoders: [cards.yaml]\n  train_on: all\n  report_on: [heldout]\n"
    (tmp_path / "suite.yaml").write_text(suite)
    code, _, error = command("compare", "--suite", tmp_path / "suite.yaml")
    assert code == 2 and "none is held out" in error


@pytest.mark.parametrize(
    "arguments", [["--models", ""], ["--models", "small-gpt"], ["--samples", "-5"], ["--seed", "-1"]]
)
def test_pretrain_checks_its_arguments_before_it_starts(command, arguments):
    code, _, error = command("pretrain", *arguments)
    assert code == 2 and error.startswith("error: ")


@pytest.mark.parametrize("variable", ["MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"])
def test_a_run_or_experiment_that_does_not_exist_is_one_sentence(tiny, monkeypatch, variable):
    import mlflow

    monkeypatch.setattr(mlflow.tracking.fluent, "_active_experiment_id", None)
    monkeypatch.setenv(variable, "424242")
    code, _, error = tiny()
    assert code == 1 and error.startswith("error: MLflow cannot start the run") and "424242" in error


def test_a_store_that_cannot_be_written(command, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/nowhere/mlflow.db")
    code, _, error = command("compare", "--encoders", "cards.yaml")
    assert code == 1 and "/proc/nowhere/mlflow.db" in error and "MLFLOW_TRACKING_URI" in error


def test_an_artifact_folder_that_cannot_be_written_is_found_before_the_work(command, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(mlflow.tracking.fluent, "_active_experiment_id", None)
    (tmp_path / "mlruns").write_text("a file where a folder should be")
    code, out, error = command("compare", "--encoders", "small-vit", "--max-samples", "600")
    assert code == 1 and "cannot be written" in error and "MLFLOW_TRACKING_URI" in error and error.count("\n") <= 1


def test_an_unreachable_server_fails_soon(command, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    code, _, error = command("compare", "--encoders", "cards.yaml")
    assert code == 1 and "http://127.0.0.1:9" in error
