import json
import pickle
import shutil
import sys

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from benchmark.encoders import load_encoder
from benchmark.encoders.encoder import Encoder
from benchmark.encoders.from_transformers import load_tower
from benchmark.errors import InputError, WorkError


def elsewhere(card, folder, **changes):
    """Return the card of a copy of its checkpoint in `folder`."""
    shutil.copytree(card.source, folder)
    return type(card)(**{**vars(card), "source": str(folder), **changes})


def test_the_last_position_leads_to_the_text_embedding_of_siglip(card, captions):
    source = card("siglip", "text", "last", 16)
    model = transformers.SiglipModel.from_pretrained(source.source).text_model.eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source.source)
    inputs = tokenizer(captions, padding="max_length", max_length=16, truncation=True, return_tensors="pt")
    pooled = load_encoder(source).run(captions)[2].pooled
    with torch.no_grad():
        torch.testing.assert_close(model.head(model.final_layer_norm(pooled)), model(**inputs).pooler_output)


def test_eot_leads_to_the_text_embedding_of_clip(card, captions):
    source = card("clip", "text", "eot")
    model = transformers.CLIPModel.from_pretrained(source.source).text_model.eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source.source)
    inputs = tokenizer(captions, padding=True, max_length=16, truncation=True, return_tensors="pt")
    expected = model(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask).pooler_output
    pooled = load_encoder(source).run(captions)[2].pooled
    torch.testing.assert_close(model.final_layer_norm(pooled), expected)


def test_the_mask_marks_words_and_special_tokens(card):
    captions = ["a red ball", "", "a " * 50]
    assert load_encoder(card("bert", "text", "cls")).run(captions)[0].mask.sum(1).tolist() == [5, 2, 24]
    siglip = load_encoder(card("siglip", "text", "last", 16)).run(captions)[0]
    assert siglip.mask.sum(1).tolist() == [4, 1, 16] and siglip.tokens.shape[1] == 16


def test_a_language_models_last_layer_is_not_normed(card, captions):
    source = card("gpt2", "text", "last")
    model = transformers.GPT2Model.from_pretrained(source.source).eval()
    encoder = load_encoder(source)
    with torch.no_grad():
        normed = model(encoder.preprocess(captions[:1])["input_ids"]).last_hidden_state
        tokens = encoder.run(captions[:1])[2].tokens
        assert not torch.allclose(tokens, normed, atol=1e-2)
        torch.testing.assert_close(model.ln_f(tokens), normed)


@pytest.mark.parametrize("kind, modality, token", [("siglip", "image", "mean"), ("clip", "text", "eot")])
def test_the_tower_that_is_not_read_is_freed(card, kind, modality, token):
    names = " ".join(name for name, _ in load_encoder(card(kind, modality, token))._tower.module.named_parameters())
    assert ("patch_embedding" in names) == (modality == "image") != ("token_embedding" in names)


def test_a_missing_pooler_is_fine_and_any_other_missing_tensor_is_not(card, images, tmp_path):
    source = card("vit", "image", "cls")
    whole = load_encoder(source).run(images)[2].pooled
    copy = elsewhere(source, tmp_path / "vit")
    weights = load_file(f"{copy.source}/model.safetensors")
    weights = {key: value for key, value in weights.items() if "pooler" not in key}
    save_file(weights, f"{copy.source}/model.safetensors", {"format": "pt"})
    assert torch.equal(load_encoder(copy).run(images)[2].pooled, whole)
    lost = next(key for key in weights if ".2." in key)
    del weights[lost]
    save_file(weights, f"{copy.source}/model.safetensors", {"format": "pt"})
    with pytest.raises(WorkError, match="lacks 1 tensors"):
        load_encoder(copy)


def test_a_checkpoint_in_torch_format_is_read_by_the_weights_only_loader(card, captions, tmp_path):
    source = card("bert", "text", "cls")
    copy = elsewhere(source, tmp_path / "bert")
    weights = load_file(f"{copy.source}/model.safetensors")
    (tmp_path / "bert" / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "bert" / "pytorch_model.bin")
    assert torch.equal(load_encoder(copy).run(captions)[2].pooled, load_encoder(source).run(captions)[2].pooled)


class Intruder:
    """Unpickling this would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_checkpoint_cannot_run_code(card, tmp_path):
    copy = elsewhere(card("bert", "text", "cls"), tmp_path / "bert")
    (tmp_path / "bert" / "model.safetensors").unlink()
    with open(tmp_path / "bert" / "pytorch_model.bin", "wb") as file:
        pickle.dump(Intruder(str(tmp_path / "intruded")), file, protocol=2)
    with pytest.raises(WorkError):
        load_encoder(copy)
    torch.save({"x": Intruder(str(tmp_path / "intruded"))}, tmp_path / "bert" / "pytorch_model.bin")
    with pytest.raises(WorkError):
        load_encoder(copy)
    assert not (tmp_path / "intruded").exists()


@pytest.mark.parametrize("kind", ["bert", "deberta"])
@pytest.mark.parametrize("token", ["cls", "last", "mean"])
def test_a_caption_does_not_depend_on_its_neighbours_whichever_side_the_tokenizer_pads(
    card, captions, tmp_path, kind, token
):
    moved = elsewhere(card(kind, "text", token), tmp_path / "left")
    settings = tmp_path / "left" / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "padding_side": "left"}))
    right, left = load_encoder(card(kind, "text", token)), load_encoder(moved)
    together = left.run(captions)
    for row, caption in enumerate(captions):
        for layer, output in right.run([caption]).items():
            torch.testing.assert_close(together[layer].pooled[row], output.pooled[0], rtol=1e-4, atol=1e-5)


def test_the_last_token_of_a_model_that_masks_padding_is_a_real_one_at_any_length(card, captions):
    free, fixed = (load_encoder(card("bert", "text", "last", padding=padding)).run(captions) for padding in (0, 24))
    for layer, output in free.items():
        torch.testing.assert_close(fixed[layer].pooled, output.pooled, rtol=1e-4, atol=1e-5)


def test_a_model_that_reads_padding_needs_a_length(card):
    with pytest.raises(InputError, match="reads padding like words.*set `padding`.*64 for SigLIP"):
        load_encoder(card("siglip", "text", "last"))


def test_padding_beyond_the_models_limit_is_refused(card):
    with pytest.raises(InputError, match="limit of 16"):
        load_encoder(card("siglip", "text", "last", 17))


def test_a_checkpoint_of_another_shape_names_the_tensor_and_both_shapes(card, tmp_path):
    copy = elsewhere(card("bert", "text", "cls"), tmp_path / "bert")
    config = json.loads((tmp_path / "bert" / "config.json").read_text())
    (tmp_path / "bert" / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    with pytest.raises(WorkError, match=r"'encoder.layer.0.intermediate.dense.bias' is \(32,\), the model needs \(48,"):
        load_encoder(copy)


REMOTE = """
import torch
from transformers import BertConfig, BertModel

class TinyConfig(BertConfig):
    model_type = "tiny-remote"

class TinyModel(BertModel):
    config_class = TinyConfig
"""


def test_code_of_the_checkpoint_runs_only_when_it_is_trusted(card, captions, tmp_path, monkeypatch):
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("sys.path", sys.path[:])
    source = card("bert", "text", "cls")
    copy = elsewhere(source, tmp_path / "remote")
    (tmp_path / "remote" / "modeling_tiny.py").write_text(REMOTE)
    config = json.loads((tmp_path / "remote" / "config.json").read_text())
    own = {"AutoConfig": "modeling_tiny.TinyConfig", "AutoModel": "modeling_tiny.TinyModel"}
    config |= {"model_type": "tiny-remote", "auto_map": own}
    (tmp_path / "remote" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="trust_remote_code"):
        load_tower(copy, tmp_path / "remote")
    assert not (tmp_path / "modules").exists()
    tower = load_tower(copy, tmp_path / "remote", trust_remote_code=True)
    assert type(tower.module).__name__ == "TinyModel"
    pooled = Encoder(copy, tower).run(captions)[2].pooled
    assert torch.equal(pooled, load_encoder(source).run(captions)[2].pooled)


@pytest.mark.parametrize("kind, modality, reads", [("bert", "image", "text"), ("vit", "text", "image")])
def test_a_model_of_the_other_modality_says_what_it_reads(card, kind, modality, reads):
    with pytest.raises(InputError, match=f"model of type '{kind}' reads {reads}; set modality: {reads}") as failure:
        load_encoder(card(kind, modality, "mean"))
    assert "\n" not in str(failure.value) and f"'small-{kind}-{modality}'" in str(failure.value)


@pytest.fixture
def of_two_halves(card, tmp_path):
    """Return save(model class, config): the card of a random encoder-decoder, or of its half, with BERT's tokenizer."""
    words = card("bert", "text", "mean")

    def save(kind, config):
        torch.manual_seed(0)
        copy = elsewhere(words, tmp_path / kind.__name__)
        (tmp_path / kind.__name__ / "model.safetensors").unlink()
        kind(config).save_pretrained(copy.source)
        return copy

    return save


T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 3, "num_heads": 2, "vocab_size": 40}
BART = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "vocab_size": 40, "encoder_ffn_dim": 32}
BART |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 32}


@pytest.mark.parametrize(
    "kind, config",
    [
        (transformers.BartModel, transformers.BartConfig(**BART)),
        (transformers.T5ForConditionalGeneration, transformers.T5Config(**T5)),
    ],
)
def test_an_encoder_with_a_decoder_behind_it_is_refused_in_one_sentence(of_two_halves, kind, config):
    source = of_two_halves(kind, config)
    with pytest.raises(InputError, match="is an encoder with a decoder behind it, which is not supported") as failure:
        load_encoder(source)
    assert "\n" not in str(failure.value) and f"'{source.name}'" in str(failure.value)


def test_the_encoder_half_of_t5_loads_with_its_own_class_and_its_last_layer_is_not_normed(of_two_halves, captions):
    source = of_two_halves(transformers.T5EncoderModel, transformers.T5Config(**T5))
    model = transformers.T5EncoderModel.from_pretrained(source.source).eval()
    encoder = load_encoder(source)
    inputs = encoder.preprocess(captions[:2])
    with torch.no_grad():
        normed = model(inputs["input_ids"], inputs["attention_mask"]).last_hidden_state
        tokens = encoder.run(captions[:2])[2].tokens
        torch.testing.assert_close(model.encoder.final_layer_norm(tokens), normed)
        assert not torch.allclose(tokens, normed, atol=1e-2)
    assert encoder.layers == [0, 1, 2]
