import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch

from benchmark.catalog import EncoderCard, cards
from benchmark.encoders import load_encoder
from benchmark.encoders.from_open_clip import load_tower
from benchmark.errors import InputError, WorkError


@pytest.fixture(scope="module")
def reference(checkpoint):
    """The same checkpoint, loaded whole by open_clip itself."""
    return open_clip.create_model(f"local-dir:{checkpoint('open_clip')}").eval()


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


def test_a_checkpoint_cannot_run_code(card, builders, tmp_path):
    original = card("open_clip", "image", "cls", pickled=True)
    folder = shutil.copytree(original.source, tmp_path / "clip")
    marker = builders.intruder(folder / "open_clip_pytorch_model.bin")
    with pytest.raises(WorkError, match="cannot be loaded by open_clip"):
        load_encoder(type(original)(**{**vars(original), "source": str(folder)}))
    assert not marker.exists()


@pytest.mark.parametrize("vision", ["resnet", "test_convnext"])
def test_a_class_token_is_refused_where_there_is_none(card, vision):
    with pytest.raises(InputError, match="no class token.*token: mean"):
        load_encoder(card("open_clip", "image", "cls", vision=vision))


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("source, pretrained", [("hf-hub:some/clip", ""), ("ViT-B-32-quickgelu", "openai")])
def test_a_pinned_commit_is_loaded_from_the_cache(card, captions, monkeypatch, tmp_path, source, pretrained, pickled):
    original = card("open_clip", "text", "eot", own_words=False, pickled=pickled, quick_gelu=bool(pretrained))
    repository = source.removeprefix("hf-hub:") if not pretrained else "timm/vit_base_patch32_clip_224.openai"
    commit = "0123456789" * 4
    store = tmp_path / f"models--{repository.replace('/', '--')}" / "snapshots" / commit
    shutil.copytree(original.source, store)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    changes = {"source": source, "pretrained": pretrained, "revision": commit}
    tower = load_tower(type(original)(**{**vars(original), **changes}), None)
    with torch.no_grad():
        states = tower.states(tower.preprocess(captions), None)
    torch.testing.assert_close(states[1], load_encoder(original).run(captions)[1].tokens)


class Activations:
    """Which activation the blocks of a tower have."""

    def __init__(self, encoder_or_tower):
        module = getattr(encoder_or_tower, "_tower", encoder_or_tower).module
        names = {type(part).__name__ for part in module.modules()}
        self.quick, self.exact = "QuickGELU" in names, "GELU" in names


@pytest.mark.parametrize("modality, token", [("image", "cls"), ("text", "eot")])
@pytest.mark.parametrize("quick", [False, True])
def test_a_folders_configuration_decides_between_gelu_and_quickgelu(card, images, captions, modality, token, quick):
    encoder = load_encoder(card("open_clip", modality, token, quick_gelu=quick))
    found = Activations(encoder)
    assert (found.quick, found.exact) == (quick, not quick)
    batch = images if modality == "image" else captions
    blocks = encoder._tower.module.transformer.resblocks
    seen = []
    handle = blocks[0].mlp.register_forward_hook(lambda module, given, out: seen.append((given[0], out)))
    encoder.run(batch)
    handle.remove()
    given, out = seen[0]
    mlp = blocks[0].mlp
    inner = torch.nn.functional.linear(given, mlp.c_fc.weight, mlp.c_fc.bias)
    # The activation of OpenAI's CLIP (clip/model.py): x * sigmoid(1.702 x).
    active = inner * torch.sigmoid(1.702 * inner) if quick else torch.nn.functional.gelu(inner)
    torch.testing.assert_close(out, torch.nn.functional.linear(active, mlp.c_proj.weight, mlp.c_proj.bias))
    other = load_encoder(card("open_clip", modality, token, quick_gelu=not quick)).run(batch)
    assert (encoder.run(batch)[1].pooled - other[1].pooled).abs().max() > 1e-4


@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize(
    "source, pretrained, repository",
    [
        ("ViT-B-32-quickgelu", "openai", "timm/vit_base_patch32_clip_224.openai"),
        ("ViT-B-32", "openai", "timm/vit_base_patch32_clip_224.openai"),
        ("hf-hub:apple/DFN2B-CLIP-ViT-B-16", "", "apple/DFN2B-CLIP-ViT-B-16"),
        ("ViT-B-16", "dfn2b", "apple/DFN2B-CLIP-ViT-B-16"),
    ],
)
def test_weights_trained_with_quickgelu_get_it_pinned_whatever_their_configuration_says(
    card, captions, monkeypatch, tmp_path, source, pretrained, repository, stated
):
    original = card("open_clip", "text", "eot", own_words=False, quick_gelu=stated)
    commit = "0123456789" * 4
    shutil.copytree(original.source, tmp_path / f"models--{repository.replace('/', '--')}" / "snapshots" / commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    changes = {"source": source, "pretrained": pretrained, "revision": commit}
    tower = load_tower(replace(original, **changes), None)
    assert Activations(tower).quick and not Activations(tower).exact
    with torch.no_grad():
        states = tower.states(tower.preprocess(captions), None)
    right = load_encoder(card("open_clip", "text", "eot", own_words=False, quick_gelu=True)).run(captions)
    torch.testing.assert_close(states[1], right[1].tokens)


def test_an_architecture_named_without_quickgelu_gets_it_from_its_weights(card, monkeypatch):
    original = card("open_clip", "image", "cls", own_words=False)
    configuration = json.loads((Path(original.source) / "open_clip_config.json").read_text())["model_cfg"]
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "Small", configuration)
    for quick in (False, True):
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "Small", {"tag": {"quick_gelu": quick}})
        weights = f"{original.source}/open_clip_model.safetensors"
        monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda entry, cache_dir=None, path=weights: path)
        tower = load_tower(replace(original, source="Small", pretrained="tag"), None)
        assert Activations(tower).quick is quick and Activations(tower).exact is not quick


@pytest.mark.parametrize("name", [name for name in cards(EncoderCard) if cards(EncoderCard)[name].pretrained])
def test_the_shipped_pairs_of_architecture_and_weights_agree_on_the_activation(name):
    shipped = cards(EncoderCard)[name]
    table = open_clip.get_pretrained_cfg(shipped.source, shipped.pretrained)
    assert table["quick_gelu"] is open_clip.get_model_config(shipped.source)["quick_gelu"] is True


@pytest.mark.parametrize(
    "pretrained, said",
    [("", "needs weights: set `pretrained` .* openai, .*laion2b_s34b_b79k"), ("opnai", "'opnai': did you mean openai")],
)
def test_weights_that_open_clip_does_not_know_are_refused_with_those_that_it_does(card, pretrained, said):
    original = card("open_clip", "image", "cls")
    with pytest.raises(InputError, match=said) as failure:
        load_encoder(replace(original, source="ViT-B-32", pretrained=pretrained))
    assert "\n" not in str(failure.value)


def test_only_what_is_needed_of_a_commit_is_fetched(card, monkeypatch):
    folders = {pickled: card("open_clip", "text", "eot", own_words=False, pickled=pickled) for pickled in (False, True)}
    for pickled, original in folders.items():
        asked = []

        def fetch(repository, revision, allow_patterns, asked=asked, original=original):
            asked.append((repository, revision, allow_patterns))
            return original.source

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
        load_tower(type(original)(**{**vars(original), "source": "hf-hub:some/clip", "revision": "abc"}), None)
        assert {call[:2] for call in asked} == {("some/clip", "abc")}
        # The same weights lie in both formats in many repositories; the pickle is asked for only where it is alone.
        assert [any(pattern.endswith(".bin") for pattern in call[2]) for call in asked] == [False, True][: 1 + pickled]


def test_a_revision_of_weights_that_are_not_on_the_hub_is_refused(card, monkeypatch):
    original = card("open_clip", "image", "cls")
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED["ViT-B-32"], "elsewhere", {"url": "https://x/y.pt"})
    changes = {"source": "ViT-B-32", "pretrained": "elsewhere", "revision": "abc"}
    with pytest.raises(InputError, match="no hub repository.*`revision` cannot apply"):
        load_tower(type(original)(**{**vars(original), **changes}), None)


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


def test_towers_embed_what_the_pair_compares(card, images, captions, reference, checkpoint):
    image, text = load_encoder(card("open_clip", "image", "cls")), load_encoder(card("open_clip", "text", "eot"))
    tokenizer = open_clip.get_tokenizer(f"local-dir:{checkpoint('open_clip')}")
    with torch.no_grad():
        expected = reference.encode_image(image.preprocess(images)["pixel_values"])
        torch.testing.assert_close(image.embed(images), expected)
        torch.testing.assert_close(text.embed(captions), reference.encode_text(tokenizer(captions)))
    with pytest.raises(InputError, match="is no tower of an open_clip pair"):
        load_encoder(card("timm", "image", "cls")).embed(images)
