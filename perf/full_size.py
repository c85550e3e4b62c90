"""Every encoder of the paper at full size, with random weights, through the path that real checkpoints take.

    python perf/full_size.py --only dinov2-l,swin-b

For each checkpoint (a CLIP or a SigLIP holds two encoders) the architecture is built with its real hyperparameters and
vocabulary size, written in its library's format to a temporary folder (TMPDIR; up to 3.6 GB, deleted before the next),
and loaded by `load_encoder` through the encoder's card. Ends with exit code 1 when the number of layers or a width is
not the expected one, which is also what the card must say. The columns:

    tokens      real ones of one sample; a text is a caption of 11 words (CLIP and SigLIP pad it to 77 and 64)
    GMAC        billions of multiply-adds of one sample, as `EncoderCard.gflop` counts them (half of what
                torch.utils.flop_counter counts, attention included; norms and activations are not counted)
    tower M     millions of parameters that stay in memory for this encoder
    file MB     10^6 bytes of float32 weights of the whole checkpoint: both towers, and the head it is published with
    s/sample    seconds of one sample in a batch of 4 on this machine, preprocessing excluded (the best of three runs)

CLIP and DFN read captions by the real tokenizer, which open_clip brings along. Elsewhere a stand-in splits at spaces:
real vocabularies split rare words further, so real captions are a little longer.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from benchmark.catalog import EncoderCard, find_card
from benchmark.encoders import Encoder, load_encoder
from benchmark.encoders.cost import CAPTION, multiply_adds
from benchmark.encoders.torchvision_ops import declare_missing_ops

BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}


class Checkpoint(NamedTuple):
    """The function that writes a checkpoint to a folder, and the shapes of the encoders that read it, by name."""

    write: Callable[[Path], None]
    shapes: dict[str, str]


def write_open_clip(folder: Path, *, architecture: str, pickled: bool) -> None:
    """Write open_clip_config.json and the weights: safetensors, or DFN's torch pickle."""
    import open_clip
    from safetensors.torch import save_file

    config: dict[str, Any] = open_clip.get_model_config(architecture) or {}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    weights = open_clip.CLIP(**config).state_dict()
    if pickled:
        torch.save(weights, folder / "open_clip_pytorch_model.bin")
    else:
        save_file(weights, folder / "open_clip_model.safetensors")


def write_timm(folder: Path, *, architecture: str) -> None:
    """Write config.json and model.safetensors."""
    import timm
    from safetensors.torch import save_file

    model: Any = timm.create_model(architecture, pretrained=False)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(
        json.dumps({"architecture": architecture, "pretrained_cfg": model.pretrained_cfg})
    )


def write_transformers(
    folder: Path,
    *,
    model: str,
    config: dict[str, Any],
    processor: tuple[str, dict[str, Any]] | None = None,
    words: str = "",
    pickled: bool = False,
) -> None:
    """Write config.json, the weights of the published class `model`, its image processor and a stand-in tokenizer."""
    import transformers

    model_class = getattr(transformers, model)
    built = model_class(model_class.config_class(**config))
    if pickled:
        built.config.save_pretrained(folder)
        torch.save(built.state_dict(), folder / "pytorch_model.bin")
    else:
        built.save_pretrained(folder)
    if processor:
        name, settings = processor
        getattr(transformers, name)(**settings).save_pretrained(folder)
    if words:
        write_tokenizer(folder, words)


def write_tokenizer(folder: Path, style: str) -> None:
    """Write a word-level tokenizer that knows the words of `CAPTION`; style: bert | gemma (as SigLIP 2)."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    bert = style == "bert"
    ids = {token: index for index, token in enumerate(dict.fromkeys(["<pad>", "<eos>", "<cls>", *CAPTION.split()]))}
    built = Tokenizer(models.WordLevel(ids, unk_token="<eos>"))
    built.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    built.post_processor = processors.TemplateProcessing(
        single="<cls> $A <eos>" if bert else "$A <eos>", special_tokens=[("<cls>", 2), ("<eos>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=built,
        pad_token="<pad>",
        eos_token="<eos>",
        model_max_length=512 if bert else 64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"] if bert else ["input_ids"],
    ).save_pretrained(folder)


def transformers_of_size(size: str, shape: str, hidden: dict[str, int], pixels: int) -> tuple[Checkpoint, ...]:
    """Return the checkpoints of transformers of one size, b or l, each in the class that it is published in.

    SigLIP 2 of fixed resolution is a SigLIP with Gemma's vocabulary. DINOv2 is trained at 518 pixels and read at 224.
    DeBERTa is published as a torch pickle only.
    """
    square = {"size": {"height": pixels, "width": pixels}}
    crop = {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}
    image = {**hidden, "image_size": pixels, "patch_size": 16}
    towers = {"text_config": {**hidden, "vocab_size": 256000}, "vision_config": image}
    dinov2 = {key: value for key, value in hidden.items() if key != "intermediate_size"}
    dinov2 |= {"image_size": 518, "patch_size": 14}
    deberta: dict[str, Any] = {**hidden, "vocab_size": 50265, "type_vocab_size": 0, "position_biased_input": False}
    deberta |= {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}

    def one(names: tuple[str, ...], model: str, config: dict[str, Any], **more: Any) -> Checkpoint:
        write = partial(write_transformers, model=model, config=config, **more)
        return Checkpoint(write, dict.fromkeys(names, shape))

    siglip2 = (f"siglip2-{size}-image", f"siglip2-{size}-text")
    labelled = {**image, "num_labels": 1000}
    return (
        one(siglip2, "SiglipModel", towers, processor=("SiglipImageProcessor", square), words="gemma"),
        one((f"vit-{size}",), "ViTForImageClassification", labelled, processor=("ViTImageProcessor", square)),
        one((f"dinov2-{size}",), "Dinov2Model", dinov2, processor=("BitImageProcessor", crop)),
        one((f"bert-{size}",), "BertForMaskedLM", hidden, words="bert"),
        one((f"deberta-{size}",), "DebertaForMaskedLM", deberta, words="bert", pickled=True),
    )


def clip(name: str, image: str, text: str, architecture: str, pickled: bool) -> Checkpoint:
    """Return a CLIP of open_clip."""
    write = partial(write_open_clip, architecture=architecture, pickled=pickled)
    return Checkpoint(write, {f"{name}-image": image, f"{name}-text": text})


CHECKPOINTS = (
    clip("clip-b", "12x768", "12x512", "ViT-B-32-quickgelu", pickled=False),
    clip("clip-l", "24x1024", "12x768", "ViT-L-14-quickgelu", pickled=False),
    clip("dfn-b", "12x768", "12x512", "ViT-B-16-quickgelu", pickled=True),
    clip("dfn-l", "24x1024", "12x768", "ViT-L-14-quickgelu", pickled=True),
    *transformers_of_size("b", "12x768", BASE, 224),
    *transformers_of_size("l", "24x1024", LARGE, 384),
    Checkpoint(partial(write_timm, architecture="swin_base_patch4_window7_224"), {"swin-b": "128,256,512,1024"}),
    Checkpoint(partial(write_timm, architecture="convnext_base"), {"convnext-b": "128,256,512,1024"}),
    Checkpoint(partial(write_timm, architecture="efficientnet_b3"), {"efficientnet": "24,32,48,136,384"}),
)


def shape_of(encoder: Encoder) -> str:
    """Return `12x768` for blocks of one width, else the widths of the stages."""
    widths = list(encoder.widths.values())
    return f"{len(widths)}x{widths[0]}" if len(set(widths)) == 1 else ",".join(map(str, widths))


def measure(card: EncoderCard, folder: Path) -> str:
    """Load one encoder, print its row of the table and return its shape."""
    encoder = load_encoder(replace(card, source=str(folder), base="", pretrained="", revision=""))
    sample: Any = Image.new("RGB", (640, 480), (120, 60, 30)) if card.modality == "image" else CAPTION
    tokens = [str(int(output.mask.sum())) for output in encoder.run([sample]).values()]
    length = tokens[0] if len(set(tokens)) == 1 else ",".join(tokens)
    inputs, seconds = encoder.preprocess([sample] * 4), []
    for _ in range(3):
        start = time.perf_counter()
        encoder.forward(inputs)
        seconds.append((time.perf_counter() - start) / 4)
    millions = sum(parameter.numel() for parameter in encoder._tower.module.parameters()) / 1e6
    weights = sum(path.stat().st_size for pattern in ("*.safetensors", "*.bin") for path in folder.glob(pattern))
    shape = shape_of(encoder)
    print(
        f"| {card.name} | {shape} | {length} | {multiply_adds(encoder, sample) / 1e9:.2f} | {millions:.1f} "
        f"| {weights / 1e6:.0f} | {min(seconds):.3f} |",
        flush=True,
    )
    return shape


def main() -> None:
    """Build, load and measure the chosen encoders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of encoders, separated by commas (default: all)")
    known = [name for checkpoint in CHECKPOINTS for name in checkpoint.shapes]
    only = [name for name in parser.parse_args().only.split(",") if name] or known
    if unknown := [name for name in only if name not in known]:
        parser.error(f"unknown encoder {unknown[0]}; known: {', '.join(known)}")
    declare_missing_ops()
    torch.manual_seed(0)
    print(f"threads: {torch.get_num_threads()}")
    print("| encoder | layers x width | tokens | GMAC | tower M | file MB | s/sample |\n|---|---|---|---|---|---|---|")
    wrong = []
    for checkpoint in CHECKPOINTS:
        chosen = [find_card(EncoderCard, name) for name in checkpoint.shapes if name in only]
        with tempfile.TemporaryDirectory() as folder:
            if chosen:
                checkpoint.write(Path(folder))
            for card in chosen:
                found, expected = measure(card, Path(folder)), checkpoint.shapes[card.name]
                if {found, card.shape} != {expected}:
                    wrong.append(f"{card.name}: shape {found}, {card.shape} in its card, but {expected} is expected.")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
