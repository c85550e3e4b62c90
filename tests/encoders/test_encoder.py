"""What every encoder promises, whichever library it comes from."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.encoders import load_encoder
from benchmark.encoders.encoder import to_rgb, token_index
from benchmark.errors import InputError

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


def test_image_outputs_do_not_depend_on_the_batch(image_encoder, images):
    together = image_encoder.run(images)
    for row, image in enumerate(images):
        for layer, alone in image_encoder.run([image]).items():
            assert_same(together[layer].tokens[row], alone.tokens[0])
            assert_same(together[layer].pooled[row], alone.pooled[0])


def test_text_outputs_do_not_depend_on_the_other_captions(text_encoder, captions):
    together = text_encoder.run(captions)
    for row, caption in enumerate(captions):
        for layer, alone in text_encoder.run([caption]).items():
            real = together[layer].tokens[row][together[layer].mask[row]]
            assert_same(real, alone.tokens[0][alone.mask[0]])
            assert_same(together[layer].pooled[row], alone.pooled[0])


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


def test_every_image_token_is_real(image_encoder, images):
    assert all(
        output.mask.all() and output.mask.shape == output.tokens.shape[:2]
        for output in image_encoder.run(images).values()
    )


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


def test_token_rules():
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [0, 1, 1, 1]]).bool()
    ids = torch.tensor([[5, 9, 9, 0], [9, 0, 0, 0], [0, 5, 6, 7]])
    assert token_index("cls", mask, ids, fixed_length=False).tolist() == [0, 0, 0]
    assert token_index("eot", mask, ids, fixed_length=False).tolist() == [1, 0, 3]
    assert token_index("last", mask, ids, fixed_length=False).tolist() == [2, 0, 3]
    assert token_index("last", mask, ids, fixed_length=True).tolist() == [3, 3, 3]


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


@pytest.mark.parametrize("layers", [[3], [-1], [0, 99], []])
def test_an_unknown_layer_is_refused(card, images, layers):
    with pytest.raises(InputError, match="layer"):
        load_encoder(card("timm", "image", "cls")).run(images[:1], layers=layers)
