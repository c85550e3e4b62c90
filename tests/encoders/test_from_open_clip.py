import contextlib
import json
import shutil

import open_clip
import pytest
import torch

from benchmark.encoders import load_encoder
from benchmark.errors import InputError, WorkError


@pytest.fixture(scope="module")
def reference(checkpoint):
    """The same checkpoint, loaded whole by open_clip itself."""
    return open_clip.create_model(f"local-dir:{checkpoint('open_clip')}").eval()


def test_every_image_layer_is_the_output_of_its_block(card, images, hooked):
    encoder = load_encoder(card("open_clip", "image", "cls"))
    seen, output = hooked(encoder, images, encoder._tower.module.transformer.resblocks)
    assert len(seen) == len(output) == 3  # one forward pass: one call of each block
    for layer, tokens in enumerate(seen):
        assert torch.equal(output[layer].tokens, tokens) and torch.equal(output[layer].pooled, tokens[:, 0])


def test_every_text_layer_is_the_output_of_its_block(card, captions, hooked):
    encoder = load_encoder(card("open_clip", "text", "eot"))
    seen, output = hooked(encoder, captions, encoder._tower.module.transformer.resblocks)
    assert len(seen) == len(output) == 2
    for layer, tokens in enumerate(seen):
        assert torch.equal(output[layer].tokens, tokens)


def test_cls_leads_to_the_image_embedding_of_open_clip(card, images, reference):
    encoder = load_encoder(card("open_clip", "image", "cls"))
    visual = reference.visual
    with torch.no_grad():
        expected = reference.encode_image(encoder.preprocess(images)["pixel_values"])
        torch.testing.assert_close(visual.ln_post(encoder.run(images)[2].pooled) @ visual.proj, expected)


def test_eot_leads_to_the_text_embedding_of_open_clip(card, captions, reference, checkpoint):
    tokenizer = open_clip.get_tokenizer(f"local-dir:{checkpoint('open_clip')}")
    pooled = load_encoder(card("open_clip", "text", "eot")).run(captions)[1].pooled
    with torch.no_grad():
        expected = reference.encode_text(tokenizer(captions))
        torch.testing.assert_close(reference.ln_final(pooled) @ reference.text_projection, expected)


def test_real_tokens_end_with_eot(card):
    mask = load_encoder(card("open_clip", "text", "eot")).run(["a red ball", "", "a " * 50])[0].mask
    assert mask.sum(1).tolist() == [5, 2, 12]  # start + words + end; the longest is cut to the context length
    assert mask[:, 0].all()


def test_the_tower_that_is_not_read_is_freed(card):
    text = load_encoder(card("open_clip", "text", "eot"))._tower.module
    image = load_encoder(card("open_clip", "image", "cls"))._tower.module
    assert not any("visual" in name for name, _ in text.named_parameters())
    assert not any("token_embedding" in name for name, _ in image.named_parameters())


def test_the_folder_may_lie_anywhere(checkpoint, tmp_path, card, captions):
    original = card("open_clip", "text", "eot")
    moved = shutil.copytree(original.source, tmp_path / "moved with spaces" / "clip")
    (tmp_path / "card.yaml").write_text(
        "moved: {library: open_clip, source: 'moved with spaces/clip', modality: text, kind: vlm, token: eot}"
    )
    assert moved.is_dir()
    one = load_encoder(original).global_tokens(captions)[1]
    assert torch.equal(one, load_encoder(tmp_path / "card.yaml").global_tokens(captions)[1])


def test_weights_that_are_not_there_are_never_random_numbers(card, tmp_path):
    original = card("open_clip", "image", "cls")
    folder = shutil.copytree(original.source, tmp_path / "clip")
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(WorkError, match="cannot be loaded by open_clip"):
        load_encoder(type(original)(**{**vars(original), "source": str(folder)}))


def test_another_pooling_than_eot_is_refused(card, tmp_path):
    original = card("open_clip", "text", "eot")
    folder = shutil.copytree(original.source, tmp_path / "clip")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["pool_type"] = "last"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="pools its captions by 'last'"):
        load_encoder(type(original)(**{**vars(original), "source": str(folder)}))


def test_without_a_tokenizer_of_its_own_a_checkpoint_reads_captions_as_openai_clip_does(card, captions):
    source = card("open_clip", "text", "eot", own_words=False)
    model = open_clip.create_model(f"local-dir:{source.source}").eval()
    output = load_encoder(source).run(captions)[1]
    with torch.no_grad():
        expected = model.encode_text(open_clip.SimpleTokenizer(context_length=12)(captions))
        torch.testing.assert_close(model.ln_final(output.pooled) @ model.text_projection, expected)
    assert output.mask.sum(1).tolist()[:3] == [5, 8, 2]


def test_a_tokenizer_cannot_ask_for_remote_code(card, tmp_path):
    original = card("open_clip", "text", "eot")
    folder = shutil.copytree(original.source, tmp_path / "clip")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": [None, "mine.Mine"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    marker = tmp_path / "intruded"
    (folder / "mine.py").write_text(f"open({str(marker)!r}, 'w')\nclass Mine: ...\n")
    with contextlib.suppress(WorkError):
        load_encoder(type(original)(**{**vars(original), "source": str(folder)}))
    assert not marker.exists()
