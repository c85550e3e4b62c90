"""A shard is a minute or two of work at most, and no room is kept for tokens that a layer cannot have."""

import json
from types import SimpleNamespace

import pytest
import torch
from letters import CARD, FakeTower, fake_data, progress

from benchmark.catalog import EncoderCard, read_cards
from benchmark.encoders import Encoder, load_encoder
from benchmark.jobs import extraction_sizes
from benchmark.jobs.activations import extract
from benchmark.jobs.extraction_sizes import SHARD_BYTES, SHARD_ROWS, batch_and_shard, token_slots


def model(flop, device="cpu", state_bytes=1 << 20):
    return SimpleNamespace(flop=flop, device=torch.device(device), state_bytes=state_bytes)


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
@pytest.mark.parametrize("flop", [0.0, 1e6, 1e9, 3.4e10, 3.5e11, 8e12, 1e15])
def test_a_shard_is_bounded_by_rows_bytes_and_work_and_holds_whole_batches(device, flop):
    for row_bytes in (12, 98_304, 500_000_000):
        batch, shard = batch_and_shard(model(flop, device), None, row_bytes)
        speed = extraction_sizes.FLOPS.get(device, extraction_sizes.SLOW_FLOPS)
        assert batch >= 1 and shard % batch == 0 and shard <= SHARD_ROWS
        assert shard * flop / speed <= 120 or shard == batch == 1
        assert shard * row_bytes <= SHARD_BYTES or shard == batch
        assert batch * row_bytes <= extraction_sizes.BATCH.get(device, extraction_sizes.SMALL_BATCH)[1]


def test_a_large_model_on_a_cpu_has_shards_of_a_minute_or_two():
    """ViT-L/16 at 384 pixels: 577 tokens, 304 million weights, 1 to 2 samples a second on two cores."""
    vit_l = model(2 * 304e6 * 577, state_bytes=24 * 577 * 1024 * 4)
    _, shard = batch_and_shard(vit_l, None, 24 * 1024 * 4)
    assert 15 <= shard <= 120
    vit_l.device = torch.device("cuda")
    assert batch_and_shard(vit_l, None, 24 * 1024 * 4)[1] > 1000


def test_small_models_keep_full_shards():
    assert batch_and_shard(model(4e7), None, 4 * 96) == (64, 8192)


def test_sizes_do_not_depend_on_threads_or_free_memory(monkeypatch):
    before, found = torch.get_num_threads(), set()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.add(batch_and_shard(model(3.4e10), None, 1000))
    torch.set_num_threads(before)
    assert len(found) == 1


def test_work_on_captions_counts_their_length():
    encoder = Encoder(CARD, FakeTower())
    encoder.flop = 1e10  # of one letter
    short, long = (batch_and_shard(encoder, ["x" * n] * 100, 12)[1] for n in (1, 10))
    assert short > 5 * long
    assert batch_and_shard(encoder, fake_data().texts, 12) == batch_and_shard(encoder, fake_data().texts, 12)


def test_extraction_of_a_slow_model_finishes_shards_of_few_rows(tmp_path):
    encoder = Encoder(CARD, FakeTower())
    encoder.flop = 2e11  # a caption of 11 letters: 11 nominal seconds
    extract(encoder, fake_data(), [0, 1], tmp_path / "a")
    assert json.loads(progress(tmp_path / "a").read_text())["layout"]["shard"] == 8


@pytest.mark.parametrize(("name", "token"), [("tiny-image", "cls"), ("tiny-image", "mean"), ("tiny-bert", "cls")])
def test_a_layer_has_room_for_as_many_tokens_as_it_can_have(workspace, name, token):
    encoder = load_encoder(read_cards(EncoderCard, workspace / "cards.yaml")[name])
    object.__setattr__(encoder.card, "token", token)
    length = encoder.run([fake_image() if encoder.modality == "image" else "a " * 500])[0].tokens.shape[1]
    most = length - (token != "mean")
    for tokens in (1, most - 1, most, most + 1, 4096):
        assert token_slots(encoder, encoder.layers, tokens) == dict.fromkeys(encoder.layers, min(tokens, most))
    assert token_slots(encoder, encoder.layers, 0) == {}


def fake_image():
    from PIL import Image

    return Image.new("RGB", (300, 200))


def test_captions_without_a_limit_leave_room_for_all_wanted_tokens():
    assert token_slots(Encoder(CARD, FakeTower()), [0, 1], 300) == {0: 300, 1: 300}


def test_images_whose_tokens_depend_on_their_shape_leave_room_for_all_wanted_tokens():
    assert token_slots(Encoder(IMAGE, Patches(fixed=False)), [0], 300) == {0: 300}
    assert token_slots(Encoder(IMAGE, Patches(fixed=True)), [0], 300) == {0: 15}


IMAGE = EncoderCard(name="patches", library="python", source="", modality="image", kind="vision", token="cls")


class Patches:
    """A token for every 16 x 16 pixels, of the image itself or of one scaled to 64 x 64."""

    def __init__(self, fixed):
        self.module, self.fixed = torch.nn.Module(), fixed

    def preprocess(self, batch):
        return {"tokens": torch.tensor([16 if self.fixed else i.width * i.height // 256 for i in batch])}

    def states(self, inputs, layers):
        return {0: torch.zeros(len(inputs["tokens"]), int(inputs["tokens"].max()), 3)}
