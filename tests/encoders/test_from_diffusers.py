"""Diffusion transformers: the layers of one step at a stated timestep."""

import json
import shutil
import sys

import checkpoints_generative as builders
import numpy as np
import pytest
import torch
from fake_hub import serve
from PIL import Image
from safetensors.torch import load_file, save_file
from test_hub import client

from benchmark.catalog import EncoderCard
from benchmark.encoders import load_encoder
from benchmark.encoders.from_diffusers import load_tower
from benchmark.errors import InputError, WorkError

diffusers = pytest.importorskip("diffusers")
STEPS = [0, 100, 500, 999]


@pytest.fixture(scope="module", params=[False, True], ids=["512", "1024"])
def folder(request, tmp_path_factory):
    """A pipeline without and one with the micro-conditions that PixArt takes at 1024 pixels."""
    return builders.pixart(tmp_path_factory.mktemp("models") / "pixart", micro_conditions=request.param)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return builders.pixart(tmp_path_factory.mktemp("models") / "pixart")


def encoder_of(folder, modality, timestep=500, **changes):
    values = {"name": "small-pixart", "library": "diffusers", "kind": "vlm", "token": "mean", "source": str(folder)}
    return load_encoder(EncoderCard(**{**values, "modality": modality, "timestep": timestep, **changes}))


def assert_close(one, other):
    """Within 1e-5 of the largest entry."""
    assert (one - other).abs().max() <= 1e-5 * other.abs().max()


def library(folder):
    """Return the pipeline and a list that hooks on its transformer's blocks fill."""
    pipeline = diffusers.PixArtAlphaPipeline.from_pretrained(folder)
    seen = []
    for block in pipeline.transformer.transformer_blocks:
        block.register_forward_hook(lambda _m, _i, out: seen.append(out))
    return pipeline, seen


def run_transformer(pipeline, latents, caption, timestep):
    embeds, mask, _, _ = pipeline.encode_prompt(caption, do_classifier_free_guidance=False)
    conditions = {"resolution": None, "aspect_ratio": None}
    if pipeline.transformer.config.use_additional_conditions:
        conditions = {"resolution": torch.tensor([[16.0, 16.0]]), "aspect_ratio": torch.tensor([[1.0]])}
    pipeline.transformer(
        latents,
        encoder_hidden_states=embeds,
        encoder_attention_mask=mask,
        timestep=torch.tensor([timestep]),
        added_cond_kwargs=conditions,
    )


@torch.no_grad()
@pytest.mark.parametrize("timestep", STEPS)
def test_image_layers_are_the_blocks_over_the_noised_latents(folder, images, timestep):
    pipeline, seen = library(folder)
    encoder = encoder_of(folder, "image", timestep)
    output = encoder.run(images)
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)[timestep]
    for row, image in enumerate(images):
        pixels = torch.tensor(np.asarray(image.resize((16, 16), 1))).permute(2, 0, 1)[None] / 127.5 - 1  # 1: Lanczos
        clean = pipeline.vae.encode(pixels).latent_dist.mean * pipeline.vae.config.scaling_factor
        seen.clear()
        run_transformer(pipeline, kept.sqrt() * clean + (1 - kept).sqrt() * noise, "", timestep)
        assert len(seen) == len(output) == 3
        for layer, tokens in enumerate(seen):
            assert tokens.shape == (1, 16, 24) and output[layer].mask[row].all()
            assert_close(output[layer].tokens[row], tokens[0])
            assert_close(output[layer].pooled[row], tokens[0].mean(0))


@torch.no_grad()
@pytest.mark.parametrize("timestep", STEPS)
def test_text_layers_are_the_blocks_over_noise_under_the_caption(folder, captions, timestep):
    pipeline, seen = library(folder)
    captions = [*captions, " A Red BALL"]
    output = encoder_of(folder, "text", timestep).run(captions)
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    for row, caption in enumerate(captions):
        seen.clear()
        run_transformer(pipeline, noise, caption, timestep)
        assert len(seen) == len(output) == 3
        for layer, tokens in enumerate(seen):
            assert tokens.shape == (1, 16, 24) and output[layer].mask[row].all()
            assert_close(output[layer].tokens[row], tokens[0])
            assert_close(output[layer].pooled[row], tokens[0].mean(0))


def test_a_sample_does_not_depend_on_its_neighbours(folder, images, captions):
    for modality, batch in (("image", images), ("text", captions)):
        encoder = encoder_of(folder, modality)
        whole = encoder.run(batch)
        for row, item in enumerate(batch):
            for layer, output in encoder.run([item]).items():
                assert_close(whole[layer].pooled[row], output.pooled[0])


def test_loading_twice_gives_the_same_vectors(plain, images):
    torch.manual_seed(1)
    first = encoder_of(plain, "image").global_tokens(images)[2]
    torch.manual_seed(2)
    assert torch.equal(encoder_of(plain, "image").global_tokens(images)[2], first)


def test_every_caption_and_every_image_shows(plain, images, captions):
    assert torch.pdist(encoder_of(plain, "text").global_tokens(captions)[2]).min() > 1e-3
    assert torch.pdist(encoder_of(plain, "image").global_tokens(images)[2]).min() > 1e-3


def test_the_timestep_changes_the_result_and_hides_the_image(plain, images, captions):
    for modality, batch in (("image", images), ("text", captions)):
        found = [encoder_of(plain, modality, t).global_tokens(batch)[2] for t in STEPS]
        assert min((one - other).abs().max() for one, other in zip(found, found[1:], strict=False)) > 0.1
    spread = [encoder_of(plain, "image", t).global_tokens(images)[2] for t in STEPS]
    relative = [float(torch.pdist(found).mean() / found.norm(dim=1).mean()) for found in spread]
    assert relative == sorted(relative, reverse=True), "more noise leaves less of the image"


def test_a_choice_of_layers_equals_the_full_run(plain, images):
    encoder = encoder_of(plain, "image")
    full, some = encoder.run(images[:2]), encoder.run(images[:2], layers=[2, 0])
    assert encoder.layers == [0, 1, 2] and encoder.widths == {0: 24, 1: 24, 2: 24} and list(some) == [0, 2]
    assert torch.equal(some[2].tokens, full[2].tokens)


def test_only_what_the_modality_needs_stays_in_memory(plain):
    parts = {m: {k for k, _ in encoder_of(plain, m)._tower.module.named_children()} for m in ("image", "text")}
    assert parts == {"image": {"transformer", "vae"}, "text": {"transformer", "text_encoder"}}
    shutil.rmtree(copy := plain.parent / "without", ignore_errors=True)
    shutil.copytree(plain, copy)
    (copy / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    encoder_of(copy, "text")
    with pytest.raises(WorkError, match="cannot be loaded by diffusers"):
        encoder_of(copy, "image")


def test_a_checkpoint_of_the_first_pixart_release_gives_the_same_vectors(plain, images, tmp_path):
    """Its config names the class Transformer2DModel, with fields of that class; its VAE has old names of tensors."""
    old = shutil.copytree(plain, tmp_path / "old")
    config = json.loads((old / "transformer" / "config.json").read_text())
    config |= {"_class_name": "Transformer2DModel", "only_cross_attention": False, "double_self_attention": False}
    (old / "transformer" / "config.json").write_text(json.dumps(config))
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    path = old / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    for new, name in names.items():
        weights = {key.replace(f".{new}.", f".{name}."): value for key, value in weights.items()}
    assert any(".query." in key for key in weights)
    save_file(weights, path, {"format": "pt"})
    expected = encoder_of(plain, "image").global_tokens(images)[2]
    assert torch.equal(encoder_of(old, "image").global_tokens(images)[2], expected)


def test_a_sentencepiece_tokenizer_is_read(plain, tmp_path):
    """PixArt's repositories hold T5's tokenizer as spiece.model, without tokenizer.json."""
    sentencepiece = pytest.importorskip("sentencepiece")
    old = shutil.copytree(plain, tmp_path / "old")
    shutil.rmtree(old / "tokenizer")
    (old / "tokenizer").mkdir()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a red ball", "two small cubes on the table", "the left of a green cube"] * 9),
        model_prefix=str(old / "tokenizer" / "spiece"),
        vocab_size=40,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    config = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "additional_special_tokens": [], "legacy": True}
    (old / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(config))
    trained = sentencepiece.SentencePieceProcessor(model_file=str(old / "tokenizer" / "spiece.model"))
    card = EncoderCard(
        name="x", library="diffusers", source=str(old), modality="text", kind="vlm", token="mean", timestep=9
    )
    inputs = load_tower(card, old).preprocess(["A red ball"])
    expected = [*trained.encode("a red ball"), 1]
    assert inputs["input_ids"][0][inputs["attention_mask"][0].bool()].tolist() == expected
    assert inputs["input_ids"].shape == (1, 120)


def test_captions_are_padded_to_the_pipelines_own_length_or_the_cards(plain):
    assert encoder_of(plain, "text").preprocess(["a"])["input_ids"].shape == (1, 120)
    assert encoder_of(plain, "text", padding=30).preprocess(["a"])["input_ids"].shape == (1, 30)


def test_missing_tensors_are_refused(plain, tmp_path):
    for part, name in (("transformer", "diffusion_pytorch_model"), ("text_encoder", "model")):
        copy = shutil.copytree(plain, tmp_path / part)
        weights = load_file(copy / part / f"{name}.safetensors")
        del weights[next(key for key in weights if ".1." in key)]
        save_file(weights, copy / part / f"{name}.safetensors", {"format": "pt"})
        with pytest.raises(WorkError, match=f"{part} in .* lacks 1 tensors"):
            encoder_of(copy, "text")


def test_weights_in_torch_format_are_not_read(plain, tmp_path):
    copy = shutil.copytree(plain, tmp_path / "pickled")
    path = copy / "transformer" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    with pytest.raises(WorkError, match="safetensors"):
        encoder_of(copy, "image")


@pytest.mark.parametrize("timestep", [-1, 1000])
def test_a_timestep_outside_the_schedule_is_refused(plain, timestep):
    with pytest.raises(InputError, match=f"timestep {timestep} is not between 0 and 999"):
        encoder_of(plain, "image", timestep)


def test_other_pipelines_schedules_and_token_rules_are_refused(plain, tmp_path):
    with pytest.raises(InputError, match="set token: mean"):
        encoder_of(plain, "image", token="cls")
    copy = shutil.copytree(plain, tmp_path / "other")
    scheduler = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}
    (copy / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    with pytest.raises(InputError, match="given by betas .* not FlowMatchEulerDiscreteScheduler"):
        encoder_of(copy, "image")
    (copy / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusion3Pipeline"}))
    with pytest.raises(InputError, match="class 'StableDiffusion3Pipeline' are not supported; PixArtAlpha"):
        encoder_of(copy, "image")


def test_without_the_library_one_sentence_says_what_to_install(plain, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(WorkError, match="'small-pixart' needs the library diffusers: `pip install diffusers"):
        encoder_of(plain, "image")


def test_a_hub_repository_is_read_at_the_pinned_commit_and_offline_from_the_cache(tmp_path):
    root = builders.pixart(tmp_path / "pixart")
    batches = {"image": [Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 33, 3), dtype=np.uint8))]}
    batches["text"] = ["a red ball", "", "two small cubes on the table"]
    expected = [encoder_of(root, modality).global_tokens(batch)[2] for modality, batch in batches.items()]
    with serve({"model": {"lab/pixart": root}}) as hub:
        values = {"library": "diffusers", "source": "lab/pixart", "revision": hub.commit("lab/pixart"), "kind": "vlm"}
        cards = [EncoderCard(name=f"x-{m}", modality=m, token="mean", timestep=500, **values) for m in batches]
        path = root / "transformer" / "diffusion_pytorch_model.safetensors"
        save_file({key: value / 2 for key, value in load_file(path).items()}, path, {"format": "pt"})  # main moves on
        found = client(tmp_path / "home", cards, "last(c)", hub.url)
    for vectors, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(torch.tensor(vectors), wanted)
    assert client(tmp_path / "home", cards, "last(c)", offline=True) == found


def test_a_cache_that_was_filled_by_hand_serves_offline(plain, tmp_path):
    store = tmp_path / "home" / "hub" / "models--lab--pixart"
    shutil.copytree(plain, store / "snapshots" / ("0" * 40))
    card = EncoderCard(
        name="x", library="diffusers", source="lab/pixart", revision="0" * 40, modality="text", kind="vlm", token="mean"
    )
    (found,) = client(tmp_path / "home", [card], "last(c)", offline=True)
    expected = encoder_of(plain, "text", timestep=0).global_tokens(["a red ball", "", "two small cubes on the table"])
    torch.testing.assert_close(torch.tensor(found), expected[2])


@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_pipeline_without_its_tokenizers_vocabulary_is_refused(plain, tmp_path, modality):
    folder = shutil.copytree(plain, tmp_path / "pixart")
    (folder / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="small-pixart.*has no vocabulary"):
        encoder_of(folder, modality)
