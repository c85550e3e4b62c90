"""A workspace with a store of its own and small random encoders, shared by the tests of jobs."""

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
    """A folder with cards.yaml (four encoders), one.yaml and broken.yaml, and a store that only jobs' tests use."""
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
