"""Causal language models as text encoders."""

import json

import checkpoints_generative as builders
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from benchmark.catalog import EncoderCard
from benchmark.encoders import load_encoder
from benchmark.errors import InputError, WorkError

FAMILIES = ["gpt2", "gpt_neox", "qwen2", "qwen3", "llama", "bloom"]
SIDES = ["left", "right"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return checkpoint(kind, side): a folder, written on first use."""
    made = {}

    def get(kind, side="right"):
        if (kind, side) not in made:
            made[kind, side] = builders.language_model(tmp_path_factory.mktemp("models") / kind, kind, side)
        return made[kind, side]

    return get


def encoder_of(folder, token="last", padding=0):
    return load_encoder(
        EncoderCard(
            name="small-lm",
            library="transformers",
            source=str(folder),
            modality="text",
            kind="text",
            token=token,
            padding=padding,
        )
    )


def assert_close(one, other):
    """Within 1e-5 of the largest entry."""
    assert (one - other).abs().max() <= 1e-5 * other.abs().max()


def alone(folder, caption):
    """Return what every block of the library's own model gives for one caption without any padding: (T, d) each."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(caption)["input_ids"][: builders.LENGTH] or [tokenizer.eos_token_id]
    blocks = next(m for m in model.base_model.children() if isinstance(m, torch.nn.ModuleList))
    seen = []
    for block in blocks:
        block.register_forward_hook(lambda _m, _i, out: seen.append(out[0] if isinstance(out, tuple) else out))
    with torch.no_grad():
        model(torch.tensor([ids]))
    return [tokens[0] for tokens in seen]


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("side", SIDES)
def test_every_layer_of_a_padded_batch_equals_the_blocks_of_the_caption_alone(checkpoint, captions, kind, side):
    folder = checkpoint(kind, side)
    last, mean = encoder_of(folder).run(captions), encoder_of(folder, "mean").run(captions)
    assert not last[0].mask.all()
    assert last[0].mask[:, 0 if side == "right" else -1].all(), "the tokenizer's own side is kept"
    for row, caption in enumerate(captions):
        for layer, expected in enumerate(alone(folder, caption)):
            assert_close(last[layer].tokens[row][last[layer].mask[row]], expected)
            assert_close(last[layer].pooled[row], expected[-1])
            assert_close(mean[layer].pooled[row], expected.mean(0))


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_layer_is_the_output_of_its_block(checkpoint, captions, hooked, kind):
    encoder = encoder_of(checkpoint(kind))
    lists = [m for m in encoder._tower.module.modules() if isinstance(m, torch.nn.ModuleList)]
    seen, output = hooked(encoder, captions, lists[0])
    assert len(seen) == len(output) == 3
    for layer, tokens in enumerate(seen):
        assert torch.equal(output[layer].tokens, tokens)


@pytest.mark.parametrize(
    "kind, norm",
    [("gpt2", "ln_f"), ("gpt_neox", "final_layer_norm"), ("qwen2", "norm"), ("qwen3", "norm"), ("bloom", "ln_f")],
)
def test_the_last_layer_is_what_the_final_norm_reads(checkpoint, kind, norm):
    folder = checkpoint(kind)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    encoder = encoder_of(folder)
    with torch.no_grad():
        normed = model(encoder.preprocess(["a red ball"])["input_ids"]).last_hidden_state
        tokens = encoder.run(["a red ball"])[2].tokens
        assert not torch.allclose(tokens, normed, atol=1e-2)
        torch.testing.assert_close(getattr(model, norm)(tokens), normed)


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("side", SIDES)
def test_padding_to_a_fixed_length_changes_nothing(checkpoint, captions, kind, side):
    folder = checkpoint(kind, side)
    for token in ("last", "mean"):
        free, fixed = (encoder_of(folder, token, padding).run(captions[:4]) for padding in (0, builders.LENGTH))
        assert fixed[0].mask.shape[1] == builders.LENGTH > free[0].mask.shape[1]
        for layer, output in free.items():
            for row in range(4):
                assert_close(fixed[layer].pooled[row], output.pooled[row])


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_first_token_of_a_causal_model_is_refused_as_the_global_one(checkpoint, kind):
    with pytest.raises(InputError, match="seen nothing of the rest.*last or mean"):
        encoder_of(checkpoint(kind), "cls")


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_size_of_the_batch_and_the_order_of_captions_change_nothing(checkpoint, captions, kind):
    encoder = encoder_of(checkpoint(kind, "left"))
    whole = encoder.global_tokens(captions)[2]
    assert torch.isfinite(encoder.run(captions)[2].tokens).all()
    back = encoder.global_tokens(captions[::-1])[2].flip(0)
    halves = torch.cat([encoder.global_tokens(captions[:2])[2], encoder.global_tokens(captions[2:])[2]])
    for row in range(len(captions)):
        assert_close(back[row], whole[row])
        assert_close(halves[row], whole[row])


@pytest.mark.parametrize("kind, empty", [("gpt2", 0), ("qwen2", 0), ("llama", 1)])
def test_an_empty_caption_is_the_end_of_text_token_or_the_start_token(checkpoint, kind, empty):
    for batch in ([""], ["", ""], ["a red ball", ""]):
        inputs = encoder_of(checkpoint(kind)).preprocess(batch)
        assert inputs["mask"][-1].sum() == 1 and inputs["input_ids"][-1][inputs["mask"][-1]].tolist() == [empty]


def test_a_caption_of_white_space_without_tokens_counts_as_empty(checkpoint):
    pooled = encoder_of(checkpoint("llama")).global_tokens(["", "   ", "a red ball"])[2]
    assert_close(pooled[1], pooled[0])
    assert (pooled[2] - pooled[0]).abs().max() > 0.1


def test_a_caption_longer_than_the_model_reads_is_cut_at_its_end(checkpoint):
    encoder = encoder_of(checkpoint("gpt2"))
    long = "a red ball on the table " * 9
    assert encoder.run([long])[0].tokens.shape[1] == builders.LENGTH
    assert_close(encoder.global_tokens([long])[2], encoder.global_tokens([long[: builders.LENGTH]])[2])
    with pytest.raises(InputError, match="limit of 48"):
        encoder_of(checkpoint("gpt2"), padding=49)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "qwen2"])
def test_the_head_is_not_needed_and_anything_else_is(checkpoint, tmp_path, kind):
    source = checkpoint(kind)
    weights = load_file(source / "model.safetensors")
    bare = {key: value for key, value in weights.items() if "lm_head" not in key and "embed_out" not in key}
    folder = builders.language_model(tmp_path / kind, kind)
    save_file(bare, folder / "model.safetensors", {"format": "pt"})
    expected = encoder_of(source).global_tokens(["a red ball"])[2]
    assert torch.equal(encoder_of(folder).global_tokens(["a red ball"])[2], expected)
    assert encoder_of(folder)._tower.module.dtype == torch.float32
    del bare[next(key for key in bare if ".1." in key and key.endswith("weight"))]
    save_file(bare, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WorkError, match="lacks 1 tensors"):
        encoder_of(folder)


def test_half_precision_checkpoints_are_read_in_float32(checkpoint, tmp_path):
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint("qwen2"), dtype=torch.bfloat16)
    folder = builders.language_model(tmp_path / "qwen2", "qwen2")
    model.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert encoder_of(folder).run(["a red ball"])[2].tokens.dtype == torch.float32


def test_compiled_blocks_give_the_same_layers(checkpoint, captions):
    encoder = encoder_of(checkpoint("gpt2"))
    plain = encoder.run(captions)
    for block in encoder._tower.module.h:
        block.forward = torch.compile(block.forward, backend="eager", dynamic=True)
    for layer, output in encoder.run(captions).items():
        torch.testing.assert_close(output.tokens, plain[layer].tokens)
