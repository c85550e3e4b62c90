"""Every family of encoders against its own library: the same checkpoint loaded by the library alone, with hooks."""

from collections import Counter
from typing import NamedTuple

import open_clip
import pytest
import timm
import torch
import transformers

from benchmark.encoders import load_encoder

SWIN = {"img_size": 32, "window_size": 2, "embed_dim": 8, "depths": (1, 2, 1, 1), "num_heads": (1, 2, 2, 4)}
CONVNEXT = {"depths": (1, 2, 1, 1), "dims": (8, 12, 16, 24)}


class Family(NamedTuple):
    """A family of encoders: a kind of checkpoint, what its card says, and where the library keeps its layers."""

    kind: str
    modality: str
    token: str
    layers: str
    arguments: dict = {}
    padding: int = 0


def of_timm(token, layers, architecture="vit_tiny_patch16_224", **arguments):
    return Family("timm", "image", token, layers, {"architecture": architecture, **arguments})


def of_open_clip(modality, layers, token="", **arguments):
    return Family("open_clip", modality, token or {"image": "cls", "text": "eot"}[modality], layers, arguments)


def paths(prefix, *names):
    return " ".join(f"{prefix}.{name}" for name in names)


VISUAL, TEXT = paths("visual.transformer.resblocks", 0, 1, 2), paths("transformer.resblocks", 0, 1)
BLOCKS, STAGES = paths("blocks", 0, 1, 2), paths("stages", 0, 1, 2, 3)
RESNET = ("layer1", "layer2", "layer3", "layer4")  # avgpool ends the stem
ENCODER = paths("encoder.layer", 0, 1, 2)
BOTH = {tower: paths(f"{tower}_model.encoder.layers", 0, 1, 2) for tower in ("vision", "text")}

FAMILIES = {
    "clip-image": of_open_clip("image", VISUAL, quick_gelu=True),
    "clip-text": of_open_clip("text", TEXT, quick_gelu=True),
    "clip-text-of-its-own-class": of_open_clip("text", paths("text", *TEXT.split()), custom_text=True),
    "dfn-image": of_open_clip("image", VISUAL, quick_gelu=True, own_words=False, pickled=True),
    "dfn-text": of_open_clip("text", TEXT, quick_gelu=True, own_words=False, pickled=True),
    "clip-resnet": of_open_clip("image", paths("visual", "avgpool", *RESNET), "mean", vision="resnet"),
    "clip-convnext": of_open_clip("image", paths("visual.trunk", *STAGES.split()), "mean", vision="test_convnext"),
    "clip-timm-vit": of_open_clip("image", paths("visual.trunk.blocks", *range(6)), vision="test_vit"),
    "timm-vit": of_timm("cls", BLOCKS),
    "timm-vit-registers": of_timm("cls", BLOCKS, reg_tokens=4),
    "timm-vit-registers-unplaced": of_timm("cls", BLOCKS, reg_tokens=4, no_embed_class=True),
    "timm-vit-without-cls": of_timm("mean", BLOCKS, class_token=False, global_pool="avg"),
    "timm-vit-any-size": of_timm("cls", BLOCKS, dynamic_img_size=True),
    "timm-siglip": of_timm("mean", BLOCKS, "vit_base_patch16_siglip_224"),
    "timm-relative-positions": of_timm("mean", BLOCKS, "vit_relpos_small_patch16_224"),
    "timm-convolutional-stem": of_timm(
        "cls", paths("blocks", 0, 1), "vit_tiny_r_s16_p8_224", img_size=32, embed_dim=16, depth=2, num_heads=2
    ),
    "swin": of_timm("mean", paths("layers", 0, 1, 2, 3), "swin_tiny_patch4_window7_224", **SWIN),
    "swin-v2": of_timm("mean", paths("layers", 0, 1, 2, 3), "swinv2_tiny_window8_256", **SWIN),
    "convnext": of_timm("mean", STAGES, "convnext_atto", **CONVNEXT),
    "convnext-v2": of_timm("mean", STAGES, "convnextv2_atto", **CONVNEXT),
    "efficientnet": of_timm("mean", paths("blocks", 0, 1, 2, 4, 6), "efficientnet_b0"),
    "vit": Family("vit", "image", "cls", paths("layers", 0, 1, 2)),
    "dinov2": Family("dinov2", "image", "cls", ENCODER),
    "dinov2-registers": Family("dinov2-registers", "image", "cls", ENCODER),
    "siglip-image": Family("siglip", "image", "mean", BOTH["vision"]),
    "siglip-text": Family("siglip", "text", "last", BOTH["text"], padding=16),
    "siglip2-image": Family("siglip2", "image", "mean", BOTH["vision"]),
    "siglip2-text": Family("siglip2", "text", "last", BOTH["text"], padding=64),
    "transformers-clip-image": Family("clip", "image", "cls", BOTH["vision"]),
    "transformers-clip-text": Family("clip", "text", "eot", BOTH["text"]),
    "bert": Family("bert", "text", "cls", ENCODER),
    "deberta": Family("deberta", "text", "cls", ENCODER),
}


class Reference(NamedTuple):
    """What the library gives: the layers' outputs (B, T, d), real tokens (B, T) and, of texts, the token ids."""

    layers: list[torch.Tensor]
    mask: torch.Tensor | None
    ids: torch.Tensor | None


def call_library(family, folder, batch):
    """Return (model, function that runs it, mask, ids), all made by the library's own means."""
    if family.kind == "timm":
        model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
        pixels = torch.stack([transform(image) for image in batch])
        return model, lambda: model(pixels), None, None
    if family.kind == "open_clip":
        model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        model.eval()
        if family.modality == "image":
            pixels = torch.stack([transform(image) for image in batch])
            return model, lambda: model.encode_image(pixels), None, None
        ids = open_clip.get_tokenizer(f"local-dir:{folder}")(batch)
        return model, lambda: model.encode_text(ids), torch.arange(ids.shape[1]) <= ids.argmax(1, keepdim=True), ids
    model = transformers.AutoModel.from_pretrained(folder).eval()
    towers = hasattr(model, "text_model")
    if family.modality == "image":
        pixels = transformers.AutoImageProcessor.from_pretrained(folder)(images=batch, return_tensors="pt").pixel_values
        return model, lambda: (model.get_image_features if towers else model)(pixel_values=pixels), None, None
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    lengths = {"padding": "max_length", "max_length": family.padding} if family.padding else {"padding": True}
    inputs = tokenizer(batch, truncation=True, return_tensors="pt", **lengths)
    real = tokenizer(batch, truncation=True, return_tensors="pt", return_attention_mask=True, **lengths)
    run = model.get_text_features if towers else model
    return model, lambda: run(**inputs), real.attention_mask.bool(), inputs.input_ids


def as_tokens(output, channels_first):
    """(B, T, d) of what a layer returned: a tuple, tokens, or a feature map."""
    output = output[0] if isinstance(output, tuple) else output
    if output.dim() == 4:
        maps = output.permute(0, 2, 3, 1) if channels_first else output
        return torch.cat([maps[:, row] for row in range(maps.shape[1])], 1)
    return output


@pytest.fixture(scope="module", params=FAMILIES, ids=str)
def family(request):
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def batch(family, images, captions):
    return images if family.modality == "image" else captions


@pytest.fixture(scope="module")
def source(family, card):
    return card(family.kind, family.modality, family.token, family.padding, **family.arguments)


@pytest.fixture(scope="module")
def encoder(source):
    return load_encoder(source)


@pytest.fixture(scope="module")
def output(encoder, batch):
    return encoder.run(batch)


@pytest.fixture(scope="module")
def reference(family, source, batch):
    model, run, mask, ids = call_library(family, source.source, batch)
    seen = {}
    for name in family.layers.split():
        model.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
    with torch.no_grad():
        run()
    channels_first = "swin" not in str(family.arguments.get("architecture"))
    return Reference([as_tokens(seen[name], channels_first) for name in family.layers.split()], mask, ids)


def difference(one, other):
    """The norm of the difference relative to the norm of `other`, both over the whole tensor."""
    return float((one - other).norm() / other.norm())


def test_every_layer_is_what_a_hook_in_the_library_sees(output, reference):
    assert list(output) == list(range(len(reference.layers)))
    for layer, expected in enumerate(reference.layers):
        assert output[layer].tokens.shape == expected.shape
        assert difference(output[layer].tokens, expected) < 1e-6
        if layer and reference.layers[layer - 1].shape == expected.shape:
            assert difference(output[layer - 1].tokens, expected) > 1e-3  # layers differ, so the above can fail


def test_the_global_token_follows_the_rule(family, output, reference):
    for layer, tokens in enumerate(reference.layers):
        if family.token == "mean":
            expected = tokens.mean(1)
        elif family.token == "eot":
            expected = torch.stack([row[ids.argmax()] for row, ids in zip(tokens, reference.ids, strict=True)])
        else:
            expected = tokens[:, {"cls": 0, "last": family.padding - 1}[family.token]]
        assert difference(output[layer].pooled, expected) < 1e-6


def test_a_sample_does_not_depend_on_its_batch(encoder, batch, output):
    # Not bitwise: matrix products of another shape add up in another order.
    for row, sample in enumerate(batch):
        for layer, alone in encoder.run([sample]).items():
            real = output[layer].tokens[row][output[layer].mask[row]]
            assert difference(real, alone.tokens[0][alone.mask[0]]) < 1e-5
            assert difference(output[layer].pooled[row], alone.pooled[0]) < 1e-5


def test_padding_is_masked_and_nothing_else(output, reference):
    for given in output.values():
        wanted = torch.ones(given.tokens.shape[:2], dtype=torch.bool) if reference.mask is None else reference.mask
        assert torch.equal(given.mask, wanted)


def test_one_layer_alone_is_the_same_layer(encoder, batch, output):
    for layer in encoder.layers:
        alone = encoder.run(batch, layers=[layer])
        assert list(alone) == [layer] and difference(alone[layer].tokens, output[layer].tokens) < 1e-6


def test_all_layers_come_from_one_forward_pass(encoder, batch):
    calls = Counter()
    count = torch.nn.modules.module.register_module_forward_hook(lambda module, _i, _o: calls.update([module]))
    encoder.run(batch)
    count.remove()
    weighted = {module: times for module, times in calls.items() if module._parameters}
    assert weighted and set(weighted.values()) == {1}


def test_siglip2_reads_captions_in_lower_case_as_it_was_trained(card):
    encoder = load_encoder(card("siglip2", "text", "last", 64))
    given, lowered = (encoder.preprocess([text])["input_ids"] for text in ("A Red BALL", "a red ball"))
    assert torch.equal(given, lowered)
