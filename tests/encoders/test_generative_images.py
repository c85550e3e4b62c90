"""Vision-language decoders of the LLaVA type, with an image alone and with a caption alone."""

import json
from concurrent.futures import ThreadPoolExecutor

import checkpoints_generative as builders
import pytest
import torch
import transformers
from PIL import Image

from benchmark.catalog import EncoderCard
from benchmark.encoders import load_encoder
from benchmark.errors import InputError

KINDS = ["llava", "llava_next"]


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    """A checkpoint of each kind."""
    return builders.vision_language(tmp_path_factory.mktemp("models") / request.param, request.param)


def encoder_of(folder, modality, token="mean"):
    return load_encoder(
        EncoderCard(
            name="small-vlm",
            library="transformers",
            source=str(folder),
            modality=modality,
            kind="vlm",
            token=token,
        )
    )


def assert_close(one, other):
    """Within 1e-5 of the largest entry."""
    assert (one - other).abs().max() <= 1e-5 * other.abs().max()


def library(folder):
    """Return the library's own model with its head, and a list that hooks on the language model's blocks fill."""
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    seen = []
    for block in model.model.language_model.layers:
        block.register_forward_hook(lambda _m, _i, out: seen.append(out[0] if isinstance(out, tuple) else out))
    return model, seen


def test_the_prompts_start_token_is_refused_as_a_class_token_of_images(folder):
    with pytest.raises(InputError, match="no class token.*token: mean"):
        encoder_of(folder, "image", "cls")


def test_image_layers_are_the_blocks_over_the_image_tokens(folder, images):
    model, seen = library(folder)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    encoders = {token: encoder_of(folder, "image", token) for token in ("mean", "last")}
    outputs = {token: encoder.run(images) for token, encoder in encoders.items()}
    for row, image in enumerate(images):
        seen.clear()
        inputs = processor(images=[image], text=["<image>"], return_tensors="pt")
        with torch.no_grad():
            model(**inputs)
        of_image = inputs["input_ids"][0] == model.config.image_token_id
        assert inputs["input_ids"][0, ~of_image].tolist() == [1], "the prompt is the start token, then the image"
        for layer, tokens in enumerate(seen):
            expected = tokens[0, of_image]
            output = outputs["mean"][layer]
            assert_close(output.tokens[row][output.mask[row]], expected)
            assert_close(output.pooled[row], expected.mean(0))
            assert_close(outputs["last"][layer].pooled[row], expected[-1])


def test_text_layers_are_the_blocks_over_the_caption_alone(folder, captions):
    model, seen = library(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    outputs = {token: encoder_of(folder, "text", token).run(captions) for token in ("mean", "last")}
    for row, caption in enumerate(captions):
        seen.clear()
        with torch.no_grad():
            model(torch.tensor([tokenizer(caption)["input_ids"][: builders.LENGTH]]))
        for layer, tokens in enumerate(seen):
            output = outputs["mean"][layer]
            assert_close(output.tokens[row][output.mask[row]], tokens[0])
            assert_close(output.pooled[row], tokens[0].mean(0))
            assert_close(outputs["last"][layer].pooled[row], tokens[0, -1])


def test_every_layer_is_the_output_of_its_block(folder, images, captions, hooked):
    for modality, batch in (("image", images), ("text", captions)):
        encoder = encoder_of(folder, modality)
        module = encoder._tower.module
        decoder = module.language_model if modality == "image" else module
        seen, output = hooked(encoder, batch, decoder.layers)
        assert encoder.layers == [0, 1, 2] and len(seen) == len(output) == 3
        for layer, tokens in enumerate(seen):
            assert torch.equal(output[layer].tokens, tokens)


def test_an_image_does_not_depend_on_its_neighbours(folder, images):
    encoder = encoder_of(folder, "image")
    whole = encoder.run(images)
    assert torch.pdist(whole[2].pooled).min() > 0.1
    for row, image in enumerate(images):
        for layer, output in encoder.run([image]).items():
            assert_close(whole[layer].pooled[row], output.pooled[0])


def test_images_can_be_prepared_in_several_threads(folder, images):
    encoder = encoder_of(folder, "image")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: encoder.preprocess(images), range(40)))
    assert all(torch.equal(inputs["pixel_values"], found[0]["pixel_values"]) for inputs in found)


def test_the_caption_side_keeps_no_vision_tower(folder):
    names = {name.split(".")[0] for name, _ in encoder_of(folder, "text")._tower.module.named_parameters()}
    assert names == {"embed_tokens", "layers", "norm"}


def test_the_placeholder_in_a_caption_is_one_token_and_no_image(tmp_path):
    folder = builders.vision_language(tmp_path / "llava")
    output = encoder_of(folder, "text").run(["a <image> ball"])
    assert output[0].mask.sum() == 4 and torch.isfinite(output[2].tokens).all()


def test_other_vision_language_decoders_are_named_before_anything_is_loaded(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_vl"}))
    with pytest.raises(InputError, match="'small-vlm': vision-language decoders of type 'qwen2_vl' are not supported"):
        encoder_of(tmp_path, "image")


def test_a_processor_that_cannot_count_image_tokens_is_refused(tmp_path):
    path = builders.vision_language(tmp_path / "llava") / "processor_config.json"
    config = json.loads(path.read_text())
    del config["patch_size"]
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match="says no patch_size"):
        encoder_of(path.parent, "image")
    encoder_of(path.parent, "text")


def test_a_black_image_differs_from_a_white_one(folder):
    pooled = encoder_of(folder, "image").global_tokens([Image.new("RGB", (40, 40), c) for c in ("black", "white")])[2]
    assert (pooled[0] - pooled[1]).abs().max() > 0.1
