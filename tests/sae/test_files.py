"""An SAE's own files come back bit for bit, and damaged or lying ones are refused before anything is allocated."""

import json
import math
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.errors import InputError
from benchmark.sae import TopKSAE, read_sae, write_sae
from benchmark.sae.files import read_origin
from benchmark.sae.formats.about import About, about, layer_of


def an_sae(bias: bool) -> TopKSAE:
    sae = TopKSAE(6, 20, 3, seed=1, encoder_bias=bias)
    for parameter in sae.parameters():
        parameter.data.normal_(generator=torch.Generator().manual_seed(2))
    return sae


@pytest.mark.parametrize("bias", [False, True])
def test_weights_and_sizes_come_back_bit_for_bit(tmp_path, bias):
    sae = an_sae(bias)
    write_sae(sae, tmp_path)
    again = read_sae(tmp_path)
    assert again.k == 3 and (again.b_enc is not None) == bias
    assert again.state_dict().keys() == sae.state_dict().keys()
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in sae.state_dict().items())


def test_a_folder_from_before_encoder_biases_loads(tmp_path):
    sae = an_sae(False)
    save_file({name: getattr(sae, name).data for name in ("W_enc", "W_dec", "b_dec")}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"d": 6, "n_latents": 20, "k": 3}\n')
    x = torch.randn(5, 6)
    assert torch.equal(read_sae(tmp_path)(x), sae(x))
    assert read_origin(tmp_path) == About()


def test_reading_leaves_the_random_generator_alone(tmp_path):
    write_sae(an_sae(False), tmp_path)
    before = torch.random.get_rng_state()
    read_sae(tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())


def test_what_it_was_trained_on_comes_back(tmp_path):
    origin = About(encoder="small-vit", layer=0, dataset="scenes", seed=0, licence="MIT", quality={"fvu": 0.25})
    write_sae(an_sae(False), tmp_path, origin)
    assert read_origin(tmp_path) == origin


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"d": 10**9, "n_latents": 10**9, "k": 1}, "do not fit"),
        ({"d": 6, "n_latents": 20}, "'k' must be a whole number"),
        ({"d": 6, "n_latents": 20, "k": True}, "'k' must be a whole number"),
        ({"d": 6, "n_latents": 20, "k": 21}, "k = 21 does not fit a dictionary of 20"),
        ({"d": "6", "n_latents": 20, "k": 3}, "'d' must be a whole number"),
        ([1], "must hold a JSON object"),
    ],
)
def test_a_config_that_lies_is_one_sentence(tmp_path, config, says):
    write_sae(an_sae(False), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=says):
        read_sae(tmp_path)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, " " * (1 << 20) + "{}", "\x00\xff"])
def test_a_config_that_is_no_json_is_one_sentence(tmp_path, text):
    write_sae(an_sae(False), tmp_path)
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"config\.json"):
        read_sae(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"extra": torch.zeros(2)}, "do not fit"),
        ({"b_enc": torch.zeros(19)}, "do not fit"),
        ({"b_dec": torch.zeros(6, dtype=torch.int64)}, "type I64"),
        ({"b_dec": torch.full((6,), float("nan"))}, "b_dec holds values that are not finite"),
    ],
)
def test_weights_of_other_names_shapes_types_and_nan_are_refused(tmp_path, change, says):
    write_sae(an_sae(False), tmp_path)
    save_file(load_file(tmp_path / "model.safetensors") | change, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=says):
        read_sae(tmp_path)


def test_missing_and_damaged_weights_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match="config.json cannot be read"):
        read_sae(tmp_path)
    write_sae(an_sae(False), tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(InputError, match="no readable weights"):
        read_sae(tmp_path)


def test_a_header_that_claims_more_than_the_file_holds_allocates_nothing(tmp_path):
    m, d = 10**7, 10**7
    tensors = {"W_enc": [m, d], "W_dec": [m, d], "b_dec": [d]}
    header, start = {}, 0
    for name, shape in tensors.items():
        end = start + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(64))
    (tmp_path / "config.json").write_text(json.dumps({"d": d, "n_latents": m, "k": 1}))
    with pytest.raises(InputError, match="no readable weights"):
        read_sae(tmp_path)


def test_foreign_descriptions_keep_only_what_has_the_right_type():
    found = about({
        "encoder": "a\nb" + "x" * 1000, "layer": "7", "seed": True, "dataset": 5,
        "quality": {"fvu": 0.5, "bad": float("nan"), "text": "1", 3: 1.0},
    })  # fmt: skip
    assert found == About(encoder="ab" + "x" * 197, quality={"fvu": 0.5})
    assert about(None) == about([1]) == About()


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("layers.5", 5), ("blocks.11.hook_resid_post", 11), ("blocks.11.hook_resid_pre", 10), ("h.7", 7),
        ("layer_20", 20), ("encoder.layers.2", 2), ("blocks.0.hook_resid_pre", None), ("layers.3.mlp", None),
        ("blocks.3.hook_mlp_out", None), ("model", None), ("", None), (None, None), ("players.5", None),
        ("layers.5x", None),
    ],
)  # fmt: skip
def test_the_layer_is_read_from_the_name_of_a_place(name, layer):
    assert layer_of(name) == layer
