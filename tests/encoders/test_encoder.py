"""What every encoder promises, whichever library it comes from."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.catalog import EncoderCard
from benchmark.encoders import Encoder, load_encoder
from benchmark.encoders.compiling import repeated
from benchmark.encoders.encoder import to_rgb
from benchmark.encoders.token_rules import token_index
from benchmark.errors import InputError, WorkError

IMAGE = [("open_clip", "cls"), ("timm", "cls"), ("vit", "cls"), ("dinov2", "cls"), ("siglip", "mean"), ("clip", "cls")]
TEXT = [
    ("open_clip", "eot", 0),
    ("bert", "cls", 0),
    ("deberta", "cls", 0),
    ("gpt2", "last", 0),
    ("bert", "mean", 0),
    ("siglip", "last", 16),
    ("siglip-text", "last", 16),
    ("clip", "eot", 0),
]


def assert_same(one, other, tolerance=1e-5):
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.fixture(params=IMAGE, ids=str)
def image_encoder(card, request):
    return load_encoder(card(request.param[0], "image", request.param[1]))


@pytest.fixture(params=TEXT, ids=str)
def text_encoder(card, request):
    kind, token, padding = request.param
    return load_encoder(card(kind, "text", token, padding))


def test_captions_are_told_apart(text_encoder, captions):
    pooled = text_encoder.global_tokens(captions)[text_encoder.layers[-1]]
    assert torch.pdist(pooled).min() > 1e-3


def test_layers_and_widths_are_those_of_the_model(card):
    encoder = load_encoder(card("open_clip", "image", "cls", layers=5, width=24, text_width=8))
    assert encoder.layers == [0, 1, 2, 3, 4] and set(encoder.widths.values()) == {24}
    encoder = load_encoder(card("open_clip", "text", "eot", layers=5, width=24, text_width=8))
    assert encoder.layers == [0, 1, 2, 3] and set(encoder.widths.values()) == {8}


def test_a_choice_of_layers_equals_the_full_run(image_encoder, images):
    full = image_encoder.run(images[:2])
    some = image_encoder.run(images[:2], layers=[2, 0])
    assert list(some) == [0, 2]
    for layer, output in some.items():
        assert_same(output.tokens, full[layer].tokens)


def test_a_choice_of_text_layers_equals_the_full_run(text_encoder, captions):
    full = text_encoder.run(captions)
    some = text_encoder.run(captions, layers=[1])
    assert list(some) == [1]
    assert_same(some[1].pooled, full[1].pooled)


def test_the_views_and_the_two_steps_agree_with_run(text_encoder, captions):
    run = text_encoder.run(captions)
    steps = text_encoder.forward(text_encoder.preprocess(captions))
    tokens, pooled = text_encoder.residual_stream(captions), text_encoder.global_tokens(captions)
    for layer, output in run.items():
        assert torch.equal(output.tokens, tokens[layer]) and torch.equal(output.pooled, pooled[layer])
        assert torch.equal(output.tokens, steps[layer].tokens)


def test_outputs_are_frozen_float32_that_an_sae_can_train_on(image_encoder, images):
    output = image_encoder.run(images)[image_encoder.layers[0]]
    assert output.tokens.dtype == output.pooled.dtype == torch.float32 and output.mask.dtype == torch.bool
    assert not output.tokens.requires_grad
    weight = torch.zeros(4, output.tokens.shape[-1], requires_grad=True)
    torch.nn.functional.linear(output.tokens, weight).sum().backward()
    assert weight.grad is not None and weight.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in image_encoder._tower.module.parameters())
    assert not image_encoder._tower.module.training


def test_preprocessing_is_safe_from_several_threads(text_encoder, captions):
    batches = [captions[: 1 + size % len(captions)] for size in range(60)]
    expected = [text_encoder.preprocess(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for given, wanted in zip(pool.map(text_encoder.preprocess, batches), expected, strict=True):
            assert all(torch.equal(given[key], wanted[key]) for key in wanted)


def test_image_preprocessing_is_safe_from_several_threads(image_encoder, images):
    batches = [images[: 1 + size % len(images)] for size in range(20)]
    expected = [image_encoder.preprocess(batch)["pixel_values"] for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for given, wanted in zip(pool.map(image_encoder.preprocess, batches), expected, strict=True):
            assert torch.equal(given["pixel_values"], wanted)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16", "RGBa"])
def test_images_of_any_mode_are_accepted(card, images, mode):
    encoder = load_encoder(card("timm", "image", "cls"))
    image = Image.new("I;16", (40, 40), 30000) if mode == "I;16" else images[0]
    if mode in ("PA", "RGBa"):
        image = image.convert("P" if mode == "PA" else "RGBA")
    assert torch.isfinite(encoder.run([image.convert(mode)])[0].pooled).all()


def test_transparency_is_composited_on_white(card):
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([10, 20, 30] * 256)
    palette.info["transparency"] = 0
    keyed = Image.new("RGB", (40, 40), (10, 20, 30))
    keyed.info["transparency"] = (10, 20, 30)
    for image in (clear, palette, keyed, Image.new("LA", (40, 40), (0, 0))):
        assert np.asarray(to_rgb(image)).min() == 255, image.mode
    assert to_rgb(Image.new("RGBA", (1, 1), (0, 0, 0, 128))).getpixel((0, 0)) == (127, 127, 127)


def test_sixteen_bit_greys_are_scaled_not_clipped():
    assert to_rgb(Image.new("I;16", (1, 1), 128 * 256)).getpixel((0, 0)) == (128, 128, 128)
    assert to_rgb(Image.new("I;16", (1, 1), 65535)).getpixel((0, 0)) == (255, 255, 255)


def test_mean_is_over_real_tokens_only(card, captions):
    output = load_encoder(card("bert", "text", "mean")).run(captions)[1]
    for row in range(len(captions)):
        assert_same(output.pooled[row], output.tokens[row][output.mask[row]].mean(0))


@pytest.mark.parametrize("batch", [["a caption"], "a caption", [None], [], [np.zeros((8, 8, 3))], iter([])])
def test_an_image_encoder_refuses_anything_but_images(card, batch):
    with pytest.raises(InputError, match="PIL images"):
        load_encoder(card("timm", "image", "cls")).run(batch)


@pytest.mark.parametrize("batch", [[Image.new("RGB", (8, 8))], "a caption", ["fine", None], [b"bytes"], []])
def test_a_text_encoder_refuses_anything_but_a_list_of_strings(card, batch):
    with pytest.raises(InputError, match="strings"):
        load_encoder(card("bert", "text", "cls")).run(batch)


@pytest.mark.parametrize(("wanted", "offered"), [("last", [2]), ("2,0", [0, 2]), ("1", [1]), ("all", [0, 1, 2])])
def test_a_card_restricts_the_layers(card, images, wanted, offered):
    whole = load_encoder(card("timm", "image", "cls")).run(images[:2])
    encoder = load_encoder(replace(card("timm", "image", "cls"), layers=wanted))
    assert encoder.layers == offered == sorted(encoder.widths)
    found = encoder.run(images[:2])
    assert list(found) == offered and all(torch.equal(found[i].tokens, whole[i].tokens) for i in offered)
    if 1 not in offered:
        with pytest.raises(InputError, match=f"no layer 1: its layers are {offered[0]}"):
            encoder.run(images[:1], layers=[1])


@pytest.mark.parametrize(
    ("layers", "said"), [("0,3", "no layer 3"), ("first", "all, last or block"), ("", "all, last")]
)
def test_a_card_with_impossible_layers_is_refused(card, layers, said):
    with pytest.raises(InputError, match=said):
        load_encoder(replace(card("timm", "image", "cls"), layers=layers))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize(("kind", "modality", "token"), [("timm", "image", "cls"), ("bert", "text", "mean")])
def test_reduced_precision_is_close_and_comes_out_in_float32(card, images, captions, kind, modality, token, precision):
    batch = images if modality == "image" else captions
    exact = load_encoder(card(kind, modality, token)).run(batch)
    reduced = load_encoder(card(kind, modality, token), precision=precision)
    assert next(reduced._tower.module.parameters()).dtype == torch.float32
    bound = {"bfloat16": 0.02, "float16": 0.003}[precision]
    for layer, output in reduced.run(batch).items():
        assert output.tokens.dtype == output.pooled.dtype == torch.float32
        wanted = exact[layer].tokens[output.mask]
        error = (output.tokens[output.mask] - wanted).norm() / (wanted - wanted.mean(0)).norm()
        assert 0 < error < bound
        assert (output.pooled - exact[layer].pooled).norm() < bound * exact[layer].pooled.norm()


def test_an_unknown_precision_is_refused(card):
    with pytest.raises(InputError, match="did you mean bfloat16"):
        load_encoder(card("timm", "image", "cls"), precision="bfloat")


@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize(("kind", "modality", "token"), [("timm", "image", "cls"), ("bert", "text", "mean")])
def test_a_compiled_encoder_gives_the_same_results(card, images, captions, kind, modality, token):
    from torch._dynamo.utils import counters

    batch = images if modality == "image" else captions
    counters.clear()
    compiled = load_encoder(card(kind, modality, token), compile=True)
    plain = load_encoder(card(kind, modality, token))
    made = []
    with torch.inference_mode():  # as extraction does, for which the code was made
        for size in (5, 2, 3, 4):  # five captions differ in length, and some models leave the mask out where none do
            for layer, output in compiled.run(batch[:size]).items():
                assert_same(output.tokens[output.mask], plain.run(batch[:size])[layer].tokens[output.mask])
            made.append(counters["stats"]["unique_graphs"])
    assert 0 < made[0] == made[-1], "code is made once for all numbers of samples and tokens"


def test_an_encoder_that_cannot_be_compiled_says_so(card, monkeypatch):
    monkeypatch.setattr("benchmark.encoders.encoder.compile_blocks", lambda module: setattr(module, "blocks", None))
    with pytest.raises(WorkError, match="cannot be compiled here.*without `compile`"):
        load_encoder(card("timm", "image", "cls"), compile=True)


def test_only_the_innermost_repeated_blocks_are_compiled():
    block = lambda: torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())  # noqa: E731
    stages = torch.nn.ModuleList([torch.nn.ModuleList([block(), block()]) for _ in range(2)])
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), stages)
    assert list(repeated(model)) == [inner for stage in stages for inner in stage]


@pytest.mark.parametrize("reads_padding", [False, True])
@pytest.mark.parametrize("token", ["cls", "eot", "last", "mean"])
def test_other_tokens_are_the_real_ones_without_the_global_one(token, reads_padding):
    ids = torch.tensor([[5, 9, 7, 0, 0, 0], [9, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]])
    mask = ids > 0
    card = EncoderCard(name="x", library="python", source="", modality="text", kind="text", token=token)
    tower = LetterTower()
    tower.reads_padding = reads_padding
    encoder = Encoder(card, tower)
    inputs = {"input_ids": ids, "mask": mask}
    output = encoder.forward(inputs)[0]
    wanted = mask.clone()
    for row in range(3):
        if token != "mean":
            index = token_index(token, mask, ids, reads_padding=reads_padding)[row]
            assert torch.equal(output.pooled[row], output.tokens[row, index])
            wanted[row, index] = False
    assert torch.equal(encoder.other_tokens(inputs, output), wanted)


class LetterTower:
    """One layer; a token's vector is its id and its position."""

    module = torch.nn.Module()

    def preprocess(self, batch):
        return {"input_ids": torch.ones(len(batch), 6, dtype=torch.long), "mask": torch.ones(len(batch), 6).bool()}

    def states(self, inputs, layers):
        ids = inputs["input_ids"]
        return {0: torch.stack([ids, torch.arange(ids.shape[1]).expand_as(ids)], -1).float()}


def test_a_mask_of_another_shape_than_the_tokens_is_refused():
    card = EncoderCard(name="x", library="python", source="", modality="text", kind="text", token="cls")
    encoder = Encoder(card, LetterTower())
    with pytest.raises(ValueError, match=r"mask has shape \(2, 5\).*tokens have shape \(2, 6, 2\)"):
        encoder.forward({"input_ids": torch.ones(2, 6, dtype=torch.long), "mask": torch.ones(2, 5).bool()})


@pytest.mark.parametrize("layers", [[3], [-1], [0, 99], []])
def test_an_unknown_layer_is_refused(card, images, layers):
    with pytest.raises(InputError, match="layer"):
        load_encoder(card("timm", "image", "cls")).run(images[:1], layers=layers)
