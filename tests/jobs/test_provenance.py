"""A run says which code, libraries, weights and samples it comes from."""

import subprocess

import mlflow

import registry
from benchmark.jobs.provenance import revision, versions


def test_the_revision_is_that_of_the_checkout_and_says_if_files_differ(tmp_path):
    def git(*arguments):
        subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True
        )

    assert revision(tmp_path) == ""
    git("init", "-q")
    (tmp_path / "code.py").write_text("1")
    git("add", "code.py")
    git("commit", "-q", "-m", "first")
    commit = revision(tmp_path)
    assert len(commit) == 40
    (tmp_path / "code.py").write_text("2")
    assert revision(tmp_path) == f"{commit}+changes"
    (tmp_path / "below").mkdir()
    assert revision(tmp_path / "below") == ""


def test_versions_name_the_libraries():
    assert {"version.python", "version.code", "version.torch", "version.mlflow"} <= set(versions())


def test_train_and_compare_runs_have_the_dataset_as_input_and_models_their_metrics_with_it(tiny):
    code, *_ = tiny()
    assert code == 0
    client = mlflow.MlflowClient()
    for kind, context in (("compare", "comparison"), ("train", "training")):
        run = client.get_run(registry.runs("FINISHED", kind=kind).run_id.iloc[0])
        (given,) = run.inputs.dataset_inputs
        assert given.dataset.name == "scenes" and context in {tag.value for tag in given.tags}
        assert '"n_samples": 600' in given.dataset.source and "cfg.version.code" in run.data.params
    assert run.data.params["cfg.weights"] and run.data.params["cfg.fingerprint"] == given.dataset.digest
    saes = registry.table(run.info.run_id, "saes.parquet")
    model = mlflow.models.get_model_info(saes.model_uri.iloc[0]).model_id
    measured = {metric.key: metric for metric in mlflow.get_logged_model(model).metrics}
    assert measured["fvu"].dataset_digest == given.dataset.digest
