"""Artifacts are read where they lie; copies of a server's files are kept within bounds; nothing else is read."""

import shutil
from collections import OrderedDict
from pathlib import Path

import pytest

from registry import files
from registry.files import artifact_file


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with two files of 1,000 bytes, and a file that lies outside of its folder."""
    folder = tmp_path / "artifacts" / "run" / "artifacts"
    (folder / "folder").mkdir(parents=True)
    for name in ("a.txt", "b.txt"):
        (folder / "folder" / name).write_text(name[0] * 1000)
    (tmp_path / "artifacts" / "secret.txt").write_text("secret")
    monkeypatch.setattr(files, "_location", lambda store, run_id: str(folder))
    return "run"


@pytest.fixture
def served(run, tmp_path, monkeypatch):
    """The same run as if a server held its artifacts, and the names that were downloaded."""
    asked = []

    def download(location, name, folder):
        asked.append(name)
        return Path(shutil.copy(Path(location, name), folder))

    monkeypatch.setattr(files, "is_local", lambda location: False)
    monkeypatch.setattr(files, "_copies", OrderedDict())
    monkeypatch.setattr(files, "_download", download)
    return run, asked


def test_a_local_file_is_read_where_it_lies(run, tmp_path):
    path = artifact_file(run, "folder/a.txt")
    assert path == tmp_path / "artifacts" / run / "artifacts" / "folder" / "a.txt" and path.read_text() == "a" * 1000


@pytest.mark.parametrize(
    "name", ["gone.txt", "folder", "../../secret.txt", "/etc/hostname", "folder/../../../secret.txt"]
)
def test_missing_files_and_places_outside_of_the_run_are_refused(run, name):
    with pytest.raises(ValueError, match=f"run {run} has no artifact") as caught:
        artifact_file(run, name)
    assert "\n" not in str(caught.value)


def test_a_servers_file_is_downloaded_once(served):
    run, asked = served
    first, again = artifact_file(run, "folder/a.txt"), artifact_file(run, "folder/a.txt")
    assert first == again and first.read_text() == "a" * 1000 and asked == ["folder/a.txt"]
    first.unlink()
    assert artifact_file(run, "folder/a.txt").exists() and len(asked) == 2
    with pytest.raises(ValueError, match="has no artifact"):
        artifact_file(run, "gone.txt")


def test_the_copies_least_recently_read_are_removed_beyond_the_budget(served, monkeypatch):
    run, asked = served
    monkeypatch.setattr(files, "BUDGET", 1500)
    first = artifact_file(run, "folder/a.txt")
    second = artifact_file(run, "folder/b.txt")
    assert not first.exists() and second.exists()
    monkeypatch.setattr(files, "BUDGET", 10)
    assert artifact_file(run, "folder/a.txt").exists() and not second.exists()  # a file of its own is always kept
    assert Path(files._folder()).is_dir() and len(asked) == 3
