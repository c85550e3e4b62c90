"""Training on all tokens ends with the same weights in any groups and after any interruption."""

import hashlib
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from letters import CARD, FakeTower, fake_data
from PIL import Image

from benchmark.encoders import Encoder
from benchmark.jobs import extraction_sizes
from benchmark.jobs.activations import extract
from benchmark.jobs.configs import TrainJobConfig
from benchmark.jobs.group_training import train_in_groups
from benchmark.jobs.layer_groups import training_bytes
from benchmark.jobs.plan import ALL_TOKENS, make_plan
from benchmark.jobs.streamed_vectors import StreamedVectors
from benchmark.jobs.token_stream import TokenStream
from benchmark.jobs.training_folder import trained_sae
from benchmark.sae import mixing

SEEDS = (0, 1)


class StagedTower:
    """Eight pixels are tokens at two layers; the last layer is a later stage, with half of them."""

    def __init__(self):
        self.module = torch.nn.Module()

    def preprocess(self, batch):
        pixels = [np.asarray(image.resize((8, 1)), np.float32)[0] / 255 for image in batch]
        return {"pixels": torch.from_numpy(np.stack(pixels))}

    def states(self, inputs, layers):
        x = inputs["pixels"]
        every = {0: torch.cat([x, x.square()], 2), 1: torch.cat([x, x.sqrt()], 2), 2: torch.cat([x, x[:, :, :1]], 2)}
        return {
            layer: state[:, ::2] if layer == 2 else state
            for layer, state in every.items()
            if layers is None or layer in layers
        }


class Pictures(SimpleNamespace):
    """Images of eight random pixels."""

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        pixels = np.random.default_rng(i).integers(0, 256, (1, 8, 3), np.uint8)
        return SimpleNamespace(image=Image.fromarray(pixels))


class Stopped(Exception):
    """The process ended here."""


@pytest.fixture(params=["letters", "stages"])
def vectors(request, monkeypatch, tmp_path):
    monkeypatch.setattr(extraction_sizes, "SMALL_BATCH", (4, 1 << 30))
    # Blocks of some five batches: bound where it is called, as its default was bound when it was made.
    monkeypatch.setattr("benchmark.jobs.streamed_vectors.buffer_bytes", lambda *sizes: 0)
    real = mixing.mixed_batches
    monkeypatch.setattr(
        "benchmark.jobs.streamed_vectors.mixed_batches", lambda *a, **more: real(*a, **more, block_bytes=1000)
    )
    if request.param == "letters":
        data, encoder = fake_data(60), Encoder(CARD, FakeTower(widths=(6, 6, 4)))
    else:
        data = Pictures(ids=[f"id-{i}" for i in range(60)])
        encoder = Encoder(replace(CARD, modality="image", token="mean"), StagedTower())
    data.fingerprint = request.param
    counts = extract(encoder, data, [0, 1, 2], tmp_path / "a", tokens=ALL_TOKENS).counts
    stream = TokenStream(encoder, data, np.arange(0, 60, 2), counts, [0, 1, 2])
    return StreamedVectors(stream, plan().training, tmp_path / "a")


@cache
def plan():
    return make_plan(
        TrainJobConfig(
            k=2, n_latents=16, epochs=2, batch_size=16, device="cpu", tokens="all", training=["b_dec=mean"],
            learning_rate=1e-2,
        )
    )  # fmt: skip


def trained(vectors, folder, budget=10**12):
    logs = train_in_groups(plan(), "x", {0: 6, 1: 6, 2: 4}, vectors, SEEDS, budget, folder)
    found = {}
    for key, log in logs.items():
        state = trained_sae(folder, *key, "cpu").state_dict()
        digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in state.values())).hexdigest()
        found[key] = digest, log.loss.tolist()
    return found


def test_each_vector_trains_every_layer_and_seed_in_every_epoch(vectors, tmp_path):
    for (layer, _), (_, losses) in trained(vectors, tmp_path / "work").items():
        assert len(losses) == vectors.steps(layer) == 2 * -(-vectors.stream.counts[layer][::2].sum() // 16)
        assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.parametrize("many", [0, 1, 5])
def test_results_do_not_depend_on_the_groups_bit_for_bit(vectors, tmp_path, many):
    wanted = trained(vectors, tmp_path / "all")
    assert trained(vectors, tmp_path / "parts", many * training_bytes(6, 16)) == wanted


@pytest.mark.parametrize("after", [0, 13, 45])
def test_a_training_that_ended_in_the_stream_goes_on_to_the_same_weights(vectors, tmp_path, monkeypatch, after):
    wanted = trained(vectors, tmp_path / "all")
    real = vectors.stream.encoder.forward

    def stopping(inputs, layers):
        left[0] -= len(next(iter(inputs.values())))
        if left[0] < 0:
            raise Stopped
        return real(inputs, layers)

    left = [after + 4]
    list(vectors.start_vectors([0, 1, 2]))
    monkeypatch.setattr(vectors.stream.encoder, "forward", stopping)
    with pytest.raises(Stopped):
        trained(vectors, tmp_path / "work")
    left = [10**9]
    assert trained(vectors, tmp_path / "work") == wanted
    visited = 10**9 - left[0]
    assert visited <= 60 - after + 30


def test_what_the_buffer_takes_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(extraction_sizes, "SMALL_BATCH", (4, 1 << 30))
    data = fake_data(200)
    encoder = Encoder(CARD, FakeTower())
    counts = extract(encoder, data, [0, 1], tmp_path / "a", tokens=ALL_TOKENS).counts
    found = StreamedVectors(TokenStream(encoder, data, np.arange(200), counts, [0, 1]), plan().training, tmp_path)
    letters = sum(map(len, data.texts))
    assert [found.held_bytes(layer) for layer in (0, 1)] == [4 * 3 * letters, 4 * 5 * letters]
