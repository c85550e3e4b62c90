"""How much memory a checkpoint takes, told from files that hold nothing but a header."""

import json

import pytest
from huggingface_hub import constants

from benchmark.catalog import EncoderCard
from benchmark.encoders import room
from benchmark.errors import WorkError

GB = 10**9


def weights(path, *tensors):
    """Write a file that is safetensors as far as its header; tensors: (type, bytes)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for number, (kind, size) in enumerate(tensors):
        header[f"w{number}"] = {"dtype": kind, "shape": [size], "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)


def card(library="transformers", source="lab/model", modality="text"):
    return EncoderCard(name="x", library=library, source=source, modality=modality, kind="text", token="mean")


def test_numbers_of_half_precision_count_twice(tmp_path):
    weights(tmp_path / "model.safetensors", ("F32", 4000), ("F16", 1000), ("BF16", 500), ("I64", 80))
    assert room.needed_bytes(card(), tmp_path, "") == 4000 + 2000 + 1000 + 80


def test_shards_add_up_and_what_a_library_would_not_read_counts_nothing(tmp_path):
    for number in (1, 2):
        weights(tmp_path / f"model-0000{number}-of-00002.safetensors", ("BF16", 7 * GB))
    weights(tmp_path / "model.fp16.safetensors", ("F16", 9 * GB))
    weights(tmp_path / "consolidated.safetensors", ("F16", 9 * GB))
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 99)
    assert room.needed_bytes(card(), tmp_path, "") == 28 * GB
    weights(tmp_path / "model.safetensors", ("F32", GB))
    assert room.needed_bytes(card(), tmp_path, "") == GB


def test_a_torch_file_counts_as_it_is(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 99)
    assert room.needed_bytes(card(), tmp_path, "") == 99


def test_of_a_pipeline_the_parts_that_are_in_memory_together_count(tmp_path):
    for part, size in (("text_encoder", 9 * GB), ("transformer", GB), ("vae", 3 * GB), ("safety_checker", 50 * GB)):
        weights(tmp_path / part / "model.safetensors", ("F16", size))
    assert room.needed_bytes(card("diffusers"), tmp_path, "") == 20 * GB
    assert room.needed_bytes(card("diffusers", modality="image"), tmp_path, "") == 18 * GB
    weights(tmp_path / "vae" / "model.safetensors", ("F16", 10 * GB))
    assert room.needed_bytes(card("diffusers", modality="image"), tmp_path, "") == 22 * GB


def test_of_the_hub_the_commit_in_the_cache_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    weights(tmp_path / "models--lab--model" / "snapshots" / ("0" * 40) / "model.safetensors", ("F32", GB))
    assert room.needed_bytes(card(), None, "0" * 40) == GB
    assert room.needed_bytes(card(source="lab/other"), None, "0" * 40) == room.needed_bytes(card(), None, "1" * 40) == 0


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x02" + bytes(7) + b"[]"])
def test_a_broken_file_is_left_to_the_library(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    assert room.needed_bytes(card(), tmp_path, "") == 0


def test_the_refusal_says_what_is_needed_what_is_free_and_what_to_do(monkeypatch, tmp_path):
    weights(tmp_path / "model.safetensors", ("F16", 14 * GB))
    monkeypatch.setattr(room, "available_memory", lambda: 24 * GB)
    with pytest.raises(WorkError, match="'x': its weights take 28.0 GB of main .* 24.0 GB are free; leave") as failure:
        room.check_room(card(), tmp_path, "")
    assert "\n" not in str(failure.value)
    for free in (28 * GB, None):
        monkeypatch.setattr(room, "available_memory", lambda free=free: free)
        room.check_room(card(), tmp_path, "")
