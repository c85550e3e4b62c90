"""A workspace with a store of its own and small random encoders, shared by the tests of jobs."""

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest

import registry
from benchmark import cli

CARDS = {
    "tiny-image": ("open_clip", "clip", "image", "vlm", "cls"),
    "tiny-text": ("open_clip", "clip", "text", "vlm", "eot"),
    "tiny-vit": ("timm", "vit", "image", "vision", "cls"),
    "tiny-bert": ("transformers", "bert", "text", "text", "cls"),
}
TINY = ["--max-samples", "600", "--epochs", "1", "--permutations", "3", "--folds", "2", "--k", "4"]


@pytest.fixture(scope="session")
def workspace(builders, tmp_path_factory):
    """A folder with cards and a store that only jobs' tests use.

    cards.yaml (four encoders), kinds.yaml (one of each kind), one.yaml and broken.yaml.
    """
    folder = tmp_path_factory.mktemp("workspace")
    builders.open_clip(folder / "clip")
    builders.timm(folder / "vit")
    builders.transformers(folder / "bert", "bert")

    def card(name, library, source, modality, kind, token):
        return (
            f"{name}:\n  library: {library}\n  source: {source}\n  modality: {modality}\n"
            f"  kind: {kind}\n  token: {token}\n"
        )

    (folder / "cards.yaml").write_text("".join(card(name, *fields) for name, fields in CARDS.items()))
    kinds = ("tiny-image", "tiny-vit", "tiny-bert")
    (folder / "kinds.yaml").write_text("".join(card(name, *CARDS[name]) for name in kinds))
    (folder / "one.yaml").write_text(card("tiny-vit", *CARDS["tiny-vit"]))
    (folder / "broken.yaml").write_text(card("tiny-gone", "timm", "./gone", "image", "vision", "cls"))
    return folder


@pytest.fixture
def here(workspace, monkeypatch):
    """Work in the workspace, as a user would in the project's folder."""
    import mlflow

    monkeypatch.chdir(workspace)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/mlflow.db")
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    registry.connect()
    mlflow.set_experiment("Default")  # other tests' choice outlives them
    yield workspace
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture
def command(here, monkeypatch, capfd):
    """Run `python -m benchmark ...` in this process: (exit code, standard output, error message)."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["benchmark", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.run()
        out, err = capfd.readouterr()
        return stopped.value.code, out, err[max(err.rfind("error: "), 0) :]

    return run


@pytest.fixture
def tiny(command):
    """Run the smallest compare, with further arguments."""
    return lambda *more, encoders="cards.yaml": command("compare", "--encoders", encoders, *TINY, *more)


@pytest.fixture
def lab(empty_database, tmp_path, monkeypatch):
    """Work in an empty folder with a store of its own."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_database, "mlflow.db")
    with contextlib.closing(sqlite3.connect("mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ?", (f"{tmp_path}/mlruns/0",))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    registry.connect()
    mlflow.set_experiment("Default")
    yield tmp_path
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture
def job(lab):
    """Log a finished run with files: {name: text} -> its id."""
    from benchmark.jobs import tracking
    from benchmark.jobs.results import log_folder

    def log(files, kind="train", name="a run", **tags):
        with (
            tempfile.TemporaryDirectory() as folder,
            tracking.job_run(kind, name, tags={"suite": "s", "dataset": "d", **tags}, params={}) as run,
        ):
            for file, text in files.items():
                path = Path(folder, file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            log_folder(Path(folder))
        return run.info.run_id

    return log


@pytest.fixture
def housekeeping(lab, monkeypatch, capfd):
    """Run `python -m benchmark ...` in the empty folder: (exit code, what was printed)."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["benchmark", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.run()
        out, err = capfd.readouterr()
        return stopped.value.code, out + err

    return run
