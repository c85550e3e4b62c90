"""`report` writes and logs the newest comparisons, or those that are named, and refuses what it cannot read."""

import mlflow
import pytest
import yaml

import registry
from benchmark.catalog import CARDS

FILES = {"report.html", "report.md", "report.tex", "tables.tex"}


@pytest.fixture
def compared(tiny):
    """The newest tiny comparison."""
    code, _, _ = tiny("--suite", "quickstart")
    assert code == 0
    return registry.runs("FINISHED", kind="compare").iloc[0]


def test_a_report_is_written_and_logged_with_its_files(compared, command, tmp_path):
    folder = tmp_path / "new" / "report"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("kept, but no part of the report")
    code, out, _ = command("report", "--runs", compared.run_id, "--output", folder)
    run = registry.runs(kind="report").iloc[0]
    assert code == 0 and run.run_id in out and compared.run_id in out
    assert (run.status, run.suite, run.dataset) == ("FINISHED", "quickstart", "scenes")
    artifacts = registry.verified(run.run_id)
    assert {path.name for path in artifacts.iterdir()} == FILES | {"manifest.json", "config.json"}
    for name in FILES:
        assert (artifacts / name).read_bytes() == (folder / name).read_bytes()
    cells = registry.table(compared.run_id, "cells.parquet")
    text = (folder / "report.md").read_text()
    for cell in cells[cells.recorded_on == "heldout"].to_dict("records"):
        assert f"{cell['crossfit']:.2f}" in text and cell["source"] in text
    assert "below 2,000 no measure recovers" in text


def test_without_names_the_newest_of_every_suite_and_dataset_is_reported(compared, tiny, command, tmp_path):
    suites = yaml.safe_load((CARDS / "suites" / "embedded.yaml").read_text())
    (tmp_path / "suites.yaml").write_text(yaml.safe_dump({"other": suites["quickstart"]}))  # its SAEs are reused
    assert tiny("--suite", tmp_path / "suites.yaml")[0] == 0
    code, out, _ = command("report", "--output", tmp_path)
    newest = registry.runs("FINISHED", kind="compare").drop_duplicates(["suite", "dataset"])
    assert code == 0 and all(run_id in out for run_id in newest.run_id)
    assert {"quickstart", "other"} <= set(newest.suite)
    assert "All suites side by side" in (tmp_path / "report.html").read_text()
    code, out, _ = command("report", "--runs", f"quickstart,{newest.run_id.iloc[0]}", "--output", tmp_path)
    assert code == 0 and out.count(newest.run_id.iloc[0]) == 1  # named twice, shown once


def test_an_unknown_name_gets_a_suggestion(compared, command, tmp_path):
    code, _, error = command("report", "--runs", "quikstart", "--output", tmp_path / "none")
    assert code == 2 and "unknown suite or compare run 'quikstart': did you mean quickstart" in error
    assert not (tmp_path / "none").exists()


def test_output_must_be_a_folder(compared, command, tmp_path):
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", ""):
        code, _, error = command("report", "--output", output)
        assert code == 2 and "output must be a folder" in error
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_whose_artifacts_are_not_those_of_a_comparison_is_refused(compared, command, tmp_path):
    with mlflow.start_run(tags={"kind": "compare", "suite": "empty", "dataset": "none"}) as run:
        pass
    try:
        code, _, error = command("report", "--runs", run.info.run_id, "--output", tmp_path)
        assert code == 1 and f"the artifacts of run {run.info.run_id} are missing or damaged" in error
        assert registry.runs(kind="report").iloc[0].status == "FAILED"
    finally:
        mlflow.delete_run(run.info.run_id)  # other tests look for the newest comparison
