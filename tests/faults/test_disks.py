"""A disk that is full, a store that cannot be written and files that changed end in a sentence, and are mended."""

import os
import shutil
import time

import pytest

import registry

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


def leave(folder, room):
    """Fill a small disk until so many bytes are left."""
    with (folder / "filler").open("wb") as filler:
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        filler.write(b"0" * max(free - room, 0))


def one_sentence(text, *words):
    """Assert that a job said what is wrong in one sentence, without a traceback, and that the sentence has a word."""
    (last,) = [line for line in text.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in text, text
    assert any(word in text for word in words), text
    assert len(last) < 600, last


# Of 16 MB: not even the dataset, the dataset but no vectors, vectors but no trained SAE.
@pytest.mark.parametrize("room", [100_000, 1_250_000, 1_420_000])
def test_a_disk_that_fills_while_features_are_made(lab, mount, as_undisturbed, room):
    mount("tmpfs", lab.folder / ".cache", 2**24)
    leave(lab.folder / ".cache", room)
    code, text = lab.run()
    assert code == 1, text
    one_sentence(text, "No space left", "free some space")
    assert (lab.runs(kind="compare").status != "FINISHED").all() and not len(lab.runs("RUNNING"))
    (lab.folder / ".cache" / "filler").unlink()
    lab.compare()
    as_undisturbed(lab)


# Of what the artifacts take: nothing, the features of one encoder, all but the figures.
@pytest.mark.parametrize("room", [0, 60_000, 400_000])
def test_a_disk_that_fills_while_artifacts_are_logged(lab, mount, as_undisturbed, room):
    mount("tmpfs", lab.folder / "mlruns", 2**24)
    leave(lab.folder / "mlruns", room)
    code, text = lab.run()
    assert code == 1, text
    one_sentence(text, "No space left")
    assert (lab.runs(kind="compare").status == "FAILED").all() and not len(lab.runs("RUNNING"))
    (lab.folder / "mlruns" / "filler").unlink()
    lab.compare()
    as_undisturbed(lab)


def test_a_disk_that_fills_under_the_store(make_lab, lab, mount, as_undisturbed):
    folder = lab.folder / "store"
    mount("tmpfs", folder, 2**23)
    for path in lab.folder.glob("mlflow.db*"):
        shutil.move(path, folder)
    lab.uri = f"sqlite:///{folder}/mlflow.db"
    leave(folder, 70_000)
    code, text = lab.run()
    assert code == 1, text
    one_sentence(text, "disk is full", "disk I/O error")
    (folder / "filler").unlink()
    lab.compare()
    as_undisturbed(lab)


@pytest.mark.parametrize("place", ["store", "mlruns", ".cache"])
def test_a_folder_that_is_mounted_read_only_is_told_before_any_work(lab, mount, as_undisturbed, place):
    folder = lab.folder / place
    folder.mkdir()
    if place == "store":
        for path in lab.folder.glob("mlflow.db*"):
            shutil.move(path, folder)
        lab.uri = f"sqlite:///{folder}/mlflow.db"
    mount("read-only", folder)
    begun = time.monotonic()
    code, text = lab.run()
    assert code == 1 and time.monotonic() - begun < 100
    one_sentence(text, "cannot be written", "read-only", "readonly", "Read-only")
    assert not list(lab.folder.glob(".cache/activations/*/*")), "work was done that could not be logged"
    mount.away(folder)
    lab.compare()
    as_undisturbed(lab)


@pytest.mark.parametrize("place", ["store", "all"])
def test_what_a_read_only_folder_holds_is_told_and_verified(done_lab, mount, place):
    lab = done_lab
    folder = lab.folder
    if place == "store":
        folder = lab.folder / "store"
        folder.mkdir()
        for path in lab.folder.glob("mlflow.db*"):
            shutil.move(path, folder)
        lab.uri = f"sqlite:///{folder}/mlflow.db"
    mount("read-only", folder)
    code, text = lab.run("status")
    assert code == 0 and any(line.split()[:4] == ["compare", "tiny", "scenes", "1"] for line in text.splitlines()), text
    assert f"Store: {lab.uri}" in text
    code, text = lab.run("verify")
    assert code == 0 and "none of them are damaged" in text, text
    mount.away(folder)
    damaged(sorted(lab.folder.glob("mlruns/0/*/artifacts/features/L*.safetensors"))[0], "flipped")
    mount("read-only", folder)
    code, text = lab.run("verify")
    assert code == 1 and "L03.safetensors  changed" in text, text
    code, text = lab.run()
    assert code == 1
    one_sentence(text, "cannot be written")


def damaged(path, how):
    content = bytearray(path.read_bytes())
    if how == "truncated":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["truncated", "flipped"])
@pytest.mark.parametrize(
    ("file", "reused"),
    [
        ("mlruns/0/*/artifacts/features/L*.safetensors", 1),
        ("mlruns/0/*/artifacts/features_untrained/L*.safetensors", 1),
        ("mlruns/0/*/artifacts/decoder_norms/L*.npy", 1),
        ("mlruns/0/*/artifacts/saes.parquet", None),
        ("mlruns/0/models/*/artifacts/data/sae/model.safetensors", 1),
        ("mlruns/0/*/artifacts/matrix.parquet", 2),
    ],
    ids=["features", "untrained", "norms", "table", "model", "matrix"],
)
def test_a_damaged_artifact_is_found_and_made_again(done_lab, undisturbed, file, how, reused):
    lab = done_lab
    victim = sorted(lab.folder.glob(file))[0]
    damaged(victim, how)
    code, text = lab.run("verify")
    assert code == 1 and victim.name in text
    text = lab.compare()
    if reused is not None:
        assert f"{reused} reused" in text
    import pandas as pd

    for table, wanted in zip(lab.tables(), undisturbed[1], strict=True):
        pd.testing.assert_frame_equal(table, wanted)
    newest = lab.runs("FINISHED", kind="compare").run_id.iloc[0]
    with lab.connected():
        assert registry.verified(newest) is not None


@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_damaged_vectors_in_the_cache_are_found_and_made_again(lab, as_undisturbed, how):
    job = lab.start()
    while not list(lab.folder.glob(".cache/training/*/")) and not job.ended:
        time.sleep(0.005)
    job.kill()  # vectors are there, SAEs are not
    job.wait()
    for path in lab.folder.glob(".cache/activations/*/*/*.npy"):
        damaged(path, how)
    text = lab.compare()
    assert "starting anew" in text or "encode" in text
    as_undisturbed(lab)
