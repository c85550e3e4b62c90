"""Extraction keeps what is finished and cleans up what was abandoned."""

import os
import time

import numpy as np
import pytest

from benchmark.catalog import EncoderCard, read_cards
from benchmark.datasets import load_dataset
from benchmark.encoders import load_encoder
from benchmark.jobs.activations import DONE, extract, read_activations


@pytest.fixture(scope="module")
def dataset(workspace):
    return load_dataset("scenes", 150, workspace / ".cache", progress=False)


@pytest.fixture(params=["tiny-image", "tiny-text"])
def encoder(workspace, request):
    return load_encoder(read_cards(EncoderCard, workspace / "cards.yaml")[request.param])


def test_every_row_is_its_samples_global_token_at_every_layer(encoder, dataset, tmp_path):
    found = extract(encoder, dataset, encoder.layers, tmp_path / "a")
    for i in (0, 77, 149):
        sample = dataset[i]
        alone = encoder.global_tokens([sample.image if encoder.modality == "image" else sample.caption])
        for layer in encoder.layers:
            np.testing.assert_allclose(found[layer][i], alone[layer][0].numpy(), atol=1e-5)


def test_finished_files_are_used_again_and_unfinished_ones_are_not(encoder, dataset, tmp_path):
    folder = tmp_path / "a"
    first = extract(encoder, dataset, encoder.layers, folder)
    stamp = (folder / "L00.npy").stat().st_mtime_ns
    again = extract(encoder, dataset, encoder.layers, folder)
    assert (folder / "L00.npy").stat().st_mtime_ns == stamp and np.array_equal(first[0], again[0])
    for damage in ("{}", '{"n_samples": 149}', "no json"):
        (folder / DONE).write_text(damage)
        assert read_activations(folder, encoder.layers, 150) is None
    extract(encoder, dataset, encoder.layers, folder)
    assert read_activations(folder, encoder.layers, 150) is not None


def test_what_a_killed_process_left_is_removed_after_a_day(encoder, dataset, tmp_path):
    old, fresh = tmp_path / "x.1.partial", tmp_path / "y.2.partial"
    for folder in (old, fresh):
        folder.mkdir()
        (folder / "L00.npy").write_bytes(b"half")
    yesterday = time.time() - 90_000
    for path in (old / "L00.npy", old):
        os.utime(path, (yesterday, yesterday))
    extract(encoder, dataset, encoder.layers[-1:], tmp_path / "a")
    assert not old.exists() and fresh.exists()


def test_a_folder_that_another_process_finishes_meanwhile_does_no_harm(encoder, dataset, tmp_path, monkeypatch):
    real = type(tmp_path).glob

    def stale(self, pattern):
        yield from real(self, pattern)
        if pattern == "*.partial":
            yield self / "renamed.1.partial"

    monkeypatch.setattr(type(tmp_path), "glob", stale)
    assert len(extract(encoder, dataset, encoder.layers[-1:], tmp_path / "a")) == 1


def test_a_vector_that_is_not_finite_is_named(encoder, dataset, tmp_path, monkeypatch):
    real = encoder.forward

    def broken(inputs, layers):
        outputs = real(inputs, layers)
        outputs[layers[0]].pooled[3] = float("nan")
        return outputs

    monkeypatch.setattr(encoder, "forward", broken)
    with pytest.raises(ValueError, match=rf"encoder '{encoder.name}', layer 0: sample 'scenes-0-\d+' is not finite"):
        extract(encoder, dataset, encoder.layers, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
