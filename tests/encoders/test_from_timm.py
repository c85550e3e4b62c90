import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.encoders import load_encoder
from benchmark.errors import InputError, WorkError

# What each layer is, and which token is the global one: test_exactness.py.
STAGES = {"architecture": "convnext_atto", "depths": (1, 2, 1, 1), "dims": (8, 12, 16, 24)}


def elsewhere(card, folder):
    """Return the card of a copy of its checkpoint in `folder`."""
    shutil.copytree(card.source, folder)
    return type(card)(**{**vars(card), "source": str(folder)})


def test_stages_differ_in_width_and_in_number_of_tokens(card, images):
    encoder = load_encoder(card("timm", "image", "mean", **STAGES))
    assert encoder.widths == {0: 8, 1: 12, 2: 16, 3: 24}
    shapes = [output.tokens.shape for output in encoder.run(images).values()]
    assert shapes == [(5, 64, 8), (5, 16, 12), (5, 4, 16), (5, 1, 24)]


@pytest.mark.parametrize(
    "arguments",
    [STAGES, {"class_token": False, "global_pool": "avg"}, {"class_token": False, "reg_tokens": 4}],
    ids=["stages", "patches", "registers"],
)
def test_a_class_token_is_refused_where_there_is_none(card, arguments):
    with pytest.raises(InputError, match="no class token.*token: mean"):
        load_encoder(card("timm", "image", "cls", **{"global_pool": "avg", **arguments}))


def test_registers_that_a_model_keeps_in_a_module_of_its_own_are_no_class_token(card):
    small = {"embed_dim": 16, "depth": 2, "num_heads": 2, "patch_size": 8}
    naflex = {"architecture": "naflexvit_base_patch16_gap", **small}
    with pytest.raises(InputError, match="no class token"):
        load_encoder(card("timm", "image", "cls", **naflex))
    assert load_encoder(card("timm", "image", "mean", **naflex)).layers == [0, 1]


def test_preprocessing_is_the_checkpoints_own(card, images):
    pixels = load_encoder(card("timm", "image", "cls")).preprocess(images)["pixel_values"]
    assert pixels.shape == (5, 3, 32, 32) and pixels.min() >= -1 and pixels.max() <= 1 and pixels.min() < -0.5


def test_a_checkpoint_in_torch_format_is_read_too(card, images, tmp_path):
    source = card("timm", "image", "cls")
    copy = elsewhere(source, tmp_path / "vit")
    torch.save(load_file(tmp_path / "vit" / "model.safetensors"), tmp_path / "vit" / "pytorch_model.bin")
    (tmp_path / "vit" / "model.safetensors").unlink()
    assert torch.equal(load_encoder(copy).run(images)[2].pooled, load_encoder(source).run(images)[2].pooled)


def test_a_checkpoint_cannot_run_code(card, builders, tmp_path):
    copy = elsewhere(card("timm", "image", "cls"), tmp_path / "vit")
    (tmp_path / "vit" / "model.safetensors").unlink()
    marker = builders.intruder(tmp_path / "vit" / "pytorch_model.bin")
    with pytest.raises(WorkError, match="cannot be loaded by timm"):
        load_encoder(copy)
    assert not marker.exists()


@pytest.mark.parametrize("lost", ["blocks.1.attn.qkv.weight", "pos_embed"])
def test_a_tensor_that_is_not_there_is_never_random_numbers(card, tmp_path, lost):
    copy = elsewhere(card("timm", "image", "cls"), tmp_path / "vit")
    weights = load_file(tmp_path / "vit" / "model.safetensors")
    del weights[lost]
    save_file(weights, tmp_path / "vit" / "model.safetensors")
    with pytest.raises(WorkError, match="cannot be loaded by timm"):
        load_encoder(copy)


def test_a_model_of_another_size_than_its_weights_is_refused(card, tmp_path):
    copy = elsewhere(card("timm", "image", "cls"), tmp_path / "vit")
    config = json.loads((tmp_path / "vit" / "config.json").read_text())
    config["model_args"]["depth"] = 4
    (tmp_path / "vit" / "config.json").write_text(json.dumps(config))
    with pytest.raises(WorkError, match="cannot be loaded by timm .*Missing key.*blocks.3.norm1.weight"):
        load_encoder(copy)
