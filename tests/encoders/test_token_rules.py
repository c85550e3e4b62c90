"""Which token stands for the sample, and where its rule cannot hold."""

import functools
import json
import shutil
from dataclasses import replace

import pytest
import torch
import transformers

from benchmark.catalog import EncoderCard
from benchmark.encoders import load_encoder
from benchmark.encoders.from_mambavision import load_tower as load_mambavision
from benchmark.encoders.token_rules import check_end_token, token_index
from benchmark.errors import InputError

CARD = EncoderCard(name="x", library="open_clip", source="", modality="text", kind="vlm", token="eot")


def test_token_rules():
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [0, 1, 1, 1]]).bool()
    ids = torch.tensor([[5, 9, 9, 0], [9, 0, 0, 0], [0, 5, 6, 7]])
    assert token_index("cls", mask, ids, reads_padding=False).tolist() == [0, 0, 1]
    assert token_index("eot", mask, ids, reads_padding=False).tolist() == [1, 0, 3]
    assert token_index("last", mask, ids, reads_padding=False).tolist() == [2, 0, 3]
    assert token_index("last", mask, ids, reads_padding=True).tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    "first, last, padding, right",
    [
        ([8], [9], [], True),
        ([8], [9], [0, 0], True),
        ([8], [9], [9, 9], True),  # CLIP pads with its end token: the first of equals counts
        ([], [9], [], True),
        ([9], [8], [], False),  # the start token would be taken
        ([], [], [], False),  # no end token at all
        ([7], [8], [], False),  # a token that a caption could hold has a higher id
    ],
)
def test_the_end_token_must_have_the_highest_id_and_end_every_caption(first, last, padding, right):
    def tokenize(texts):
        return [[*first, *(len(word) % 7 for word in text.split()), *last, *padding] for text in texts]

    if right:
        check_end_token(CARD, tokenize, range(10))
    else:
        with pytest.raises(InputError, match="'x'.*does not end every caption with the token of the highest id"):
            check_end_token(CARD, tokenize, range(10))


@pytest.mark.parametrize("kind", ["bert", "gpt2", "siglip"])
def test_eot_is_refused_where_a_word_could_be_taken_for_it(card, kind):
    with pytest.raises(InputError, match="'eot' would pick an arbitrary word"):
        load_encoder(card(kind, "text", "eot"))


@pytest.mark.parametrize("token", ["eot", "mean"])
def test_an_open_clip_tokenizer_without_clips_end_token_is_refused_whatever_the_rule(card, builders, tmp_path, token):
    source = card("open_clip", "text", token)
    folder = shutil.copytree(source.source, tmp_path / "clip")
    (folder / "tokenizer.json").unlink()
    config = json.loads((folder / "open_clip_config.json").read_text())
    builders.tokenizer(folder, "bert", 12)
    assert config["model_cfg"]["text_cfg"]["hf_tokenizer_name"]
    with pytest.raises(InputError, match="token of the highest id"):
        load_encoder(replace(source, source=str(folder)))


def test_a_class_token_is_refused_for_images_of_transformers_that_have_none(card):
    with pytest.raises(InputError, match="no class token.*token: mean"):
        load_encoder(card("siglip", "image", "cls"))


def test_a_class_token_is_refused_for_mambavision():
    card = replace(CARD, library="mambavision", modality="image", token="cls")
    with pytest.raises(InputError, match="no class token.*token: mean"):
        load_mambavision(card, None)


@pytest.mark.parametrize("kind", ["vit", "dinov2", "dinov2-registers", "clip"])
def test_a_class_token_is_found_where_there_is_one(card, images, kind):
    encoder = load_encoder(card(kind, "image", "cls"))
    output = encoder.run(images[:1])[0]
    assert torch.equal(output.pooled, output.tokens[:, 0])


@pytest.mark.parametrize("kind", ["swin", "swinv2", "convnext"])
def test_a_hierarchical_model_of_transformers_is_refused_and_its_other_library_named(kind, tmp_path):
    shifted = {"embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2], "window_size": 4}
    stages = {"hidden_sizes": [8, 12], "depths": [1, 1], "num_stages": 2}
    config = transformers.AutoConfig.for_model(
        kind, image_size=32, patch_size=4, **(stages if kind == "convnext" else shifted)
    )
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    card = replace(CARD, library="transformers", modality="image", token="mean", source=str(tmp_path))
    with pytest.raises(InputError, match="'x': .* is hierarchical.*library: timm"):
        load_encoder(card)


def test_states_that_are_not_one_for_each_block_are_refused(card, monkeypatch):
    source = card("bert", "text", "cls")
    config = transformers.BertConfig.from_pretrained(source.source)
    whole = transformers.BertModel.forward

    @functools.wraps(whole)
    def fewer(self, *given, **named):
        found = whole(self, *given, **named)
        found.hidden_states = found.hidden_states[:-1]
        return found

    monkeypatch.setattr(transformers.BertModel, "forward", fewer)
    with pytest.raises(InputError, match=f"returns 2 states .* num_hidden_layers: {config.num_hidden_layers}"):
        load_encoder(source)
