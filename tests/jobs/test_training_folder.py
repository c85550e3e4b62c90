"""What a training leaves on the disk is there whole or not at all, and goes when nobody needs it."""

import os
import time

import numpy as np
import pytest
import torch
from filelock import FileLock

from benchmark.jobs.abandoned import ABANDONED_DAYS
from benchmark.jobs.training_folder import (
    begin_group,
    end_group,
    finished_log,
    interrupted_group,
    remove_unfinished,
    trained_sae,
    write_finished,
)  # fmt: skip
from benchmark.sae import TopKSAE, TrainingLog


def log():
    return TrainingLog(
        np.arange(3, dtype=np.float32), np.ones(3, np.float32), np.array([[3, 0.5]]), np.empty((0, 2)), 
    )  # fmt: skip


def test_a_finished_sae_and_its_log_are_read_back(tmp_path):
    sae = TopKSAE(4, 8, 2, seed=0)
    assert finished_log(tmp_path, 3, 1) is None
    for _ in range(2):  # also over an earlier one
        write_finished(tmp_path, 3, 1, sae, log())
    for part, wanted in zip(finished_log(tmp_path, 3, 1), log(), strict=True):
        assert np.array_equal(part, wanted) and part.dtype == wanted.dtype and part.shape == wanted.shape
    assert torch.equal(trained_sae(tmp_path, 3, 1, "cpu").W_enc, sae.W_enc)
    assert [path.name for path in tmp_path.iterdir()] == ["L03-seed1"]


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "log.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "cut", "bit"])
def test_a_damaged_one_counts_as_not_there(tmp_path, file, damage):
    write_finished(tmp_path, 3, 1, TopKSAE(4, 8, 2, seed=0), log())
    path = tmp_path / "L03-seed1" / file
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content if damage == "bit" else content[:-20])
    if damage == "gone":
        path.unlink()
    assert finished_log(tmp_path, 3, 1) is None


def test_a_group_keeps_its_checkpoint_and_another_gets_none_of_it(tmp_path):
    assert interrupted_group(tmp_path) == []
    group = [(0, 1), (11, 1)]
    checkpoint = begin_group(tmp_path / "work", group)
    (checkpoint / "step-1").mkdir(parents=True)
    assert begin_group(tmp_path / "work", group) == checkpoint and (checkpoint / "step-1").exists()
    assert interrupted_group(tmp_path / "work") == group
    begin_group(tmp_path / "work", [(0, 2)])
    assert not checkpoint.exists() and interrupted_group(tmp_path / "work") == [(0, 2)]
    end_group(tmp_path / "work")
    assert interrupted_group(tmp_path / "work") == [] and list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '[["a", 1]]'])
def test_a_damaged_note_of_the_group_is_none(tmp_path, text):
    (tmp_path / "group.json").write_text(text)
    assert interrupted_group(tmp_path) == []


def test_folders_that_nobody_went_on_with_are_removed_unless_someone_holds_them(tmp_path):
    for name in ("old", "young", "held"):
        write_finished(tmp_path / name, 0, 0, TopKSAE(4, 8, 2), log())
    long_ago = time.time() - (ABANDONED_DAYS + 1) * 86400
    for name in ("old", "held"):
        for path in [*(tmp_path / name).rglob("*"), tmp_path / name]:
            os.utime(path, (long_ago, long_ago))
    with FileLock(tmp_path / "held.lock"):
        remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"young", "held"}
    remove_unfinished(tmp_path / "nowhere")
