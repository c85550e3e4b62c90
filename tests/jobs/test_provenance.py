"""A run says which code, libraries, weights and samples it comes from."""

import subprocess
import threading
from types import SimpleNamespace

import mlflow

import registry
from benchmark.jobs.provenance import log_dataset, revision, versions


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
        # The store has other tests' runs, too.
        ended = [client.get_run(run_id) for run_id in registry.runs("FINISHED", kind=kind).run_id]
        with_inputs = [(run, run.inputs.dataset_inputs) for run in ended if run.inputs.dataset_inputs]
        run, (given,) = next(item for item in with_inputs if '"n_samples": 600' in item[1][0].dataset.source)
        assert given.dataset.name == "scenes" and context in {tag.value for tag in given.tags}
        assert "cfg.version.code" in run.data.params
    assert run.data.params["cfg.weights"] and run.data.params["cfg.fingerprint"] == given.dataset.digest
    saes = registry.table(run.info.run_id, "saes.parquet")
    model = mlflow.models.get_model_info(saes.model_uri.iloc[0]).model_id
    measured = {metric.key: metric for metric in mlflow.get_logged_model(model).metrics}
    assert measured["fvu"].dataset_digest == given.dataset.digest


class Pairs(SimpleNamespace):
    def __len__(self):
        return 1


def test_jobs_that_log_a_new_dataset_at_once_all_do(lab):
    runs = [mlflow.MlflowClient().create_run("0").info.run_id for _ in range(4)]
    errors = []

    def log(run, dataset, together):
        together.wait()
        try:
            with mlflow.start_run(run):
                log_dataset(dataset, "scenes", "comparison")
        except Exception as error:
            errors.append(error)

    for i in range(5):
        dataset, together = Pairs(name="pairs", fingerprint=str(i), content_hash="", left_out=()), threading.Barrier(4)
        threads = [threading.Thread(target=log, args=(run, dataset, together)) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
