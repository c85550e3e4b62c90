"""Small random checkpoints in each library's own format, for tests.

Every function writes a folder and returns it; the folder is what a card's `source` names.
"""

import json
from pathlib import Path
from typing import Any

WORDS = ("a", "red", "green", "blue", "ball", "cube", "on", "the", "left", "of", "small", "large", "table", "two")


def tokenizer(folder: Path, style: str, length: int, names: tuple[str, ...] = ("input_ids", "attention_mask")) -> int:
    """Write a word-level tokenizer (tokenizer.json, tokenizer_config.json) and return its vocabulary size.

    style: "bert" ([CLS] words [SEP]), "clip" (start words end, the end token has the highest id), "siglip" (words
    </s>, padded with the same token) or "gpt" (no special tokens at all).
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = {
        "bert": {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"},
        "clip": {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<start>", "eos_token": "<end>"},
        "siglip": {"pad_token": "</s>", "unk_token": "<unk>", "eos_token": "</s>"},
        "gpt": {"unk_token": "<unk>", "eos_token": "<end>"},
    }[style]
    last = [token for token in (specials.get("bos_token"), specials.get("eos_token")) if token and style == "clip"]
    first = [token for token in dict.fromkeys(specials.values()) if token not in last]
    vocabulary = {word: index for index, word in enumerate([*first, *WORDS, *last])}
    built = Tokenizer(models.WordLevel(vocabulary, unk_token=specials["unk_token"]))
    built.normalizer = normalizers.Lowercase()
    built.pre_tokenizer = pre_tokenizers.Whitespace()
    frame = {"bert": "[CLS] $A [SEP]", "clip": "<start> $A <end>", "siglip": "$A </s>", "gpt": "$A"}[style]
    used = [(token, vocabulary[token]) for token in frame.split() if token != "$A"]
    built.post_processor = processors.TemplateProcessing(single=frame, special_tokens=used)
    PreTrainedTokenizerFast(
        tokenizer_object=built, model_max_length=length, model_input_names=list(names), **specials
    ).save_pretrained(folder)
    return len(vocabulary)


def gemma_tokenizer(folder: Path, length: int) -> int:
    """Write SigLIP 2's tokenizer with single letters for tokens and return its vocabulary size.

    As in the published checkpoints it is Gemma's class with an end and no start token, pads on the right, returns no
    attention mask and carries `do_lower_case`.
    """
    from string import ascii_letters

    from transformers import GemmaTokenizer

    known = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581", *ascii_letters]
    GemmaTokenizer(
        vocab={token: index for index, token in enumerate(known)},
        add_bos_token=False,
        add_eos_token=True,
        padding_side="right",
        do_lower_case=True,
        model_input_names=["input_ids"],
        model_max_length=length,
    ).save_pretrained(folder)
    return len(known)


class Intruder:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (self.path, "w")


def intruder(weights: Path) -> Path:
    """Write a torch checkpoint that would create a file when it is unpickled, and return that file's path."""
    import torch

    marker = weights.with_name("intruded")
    torch.save({"weight": torch.zeros(1), "code": Intruder(marker)}, weights)
    return marker


def open_clip(
    folder: Path,
    *,
    layers: int = 3,
    width: int = 16,
    text_width: int = 8,
    length: int = 12,
    own_words: bool = True,
    pickled: bool = False,
    vision: str = "",
    **arguments: Any,
) -> Path:
    """Write an open_clip CLIP: open_clip_config.json, open_clip_model.safetensors and its own tokenizer.

    own_words=False leaves the tokenizer out: open_clip then uses the one of OpenAI's CLIP, which it brings along.
    pickled=True writes open_clip_pytorch_model.bin, as DFN's repositories do. vision: a model of timm as image tower,
    or "resnet" for CLIP's own. arguments: further entries of the model's configuration (quick_gelu, custom_text).
    """
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    vocabulary = tokenizer(folder, "clip", length) if own_words else 49408
    config: dict[str, Any] = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 32, "layers": layers, "width": width, "head_width": 8, "patch_size": 8},
        "text_cfg": {
            "context_length": length,
            "vocab_size": vocabulary,
            **({"hf_tokenizer_name": "local"} if own_words else {}),
            "width": text_width,
            "heads": 2,
            "layers": layers - 1,
        },
        **arguments,
    }
    if vision == "resnet":
        config["vision_cfg"] = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8}
    elif vision:
        config["vision_cfg"] = {"image_size": 32, "timm_model_name": vision, "timm_pool": "avg", "timm_proj": "linear"}
    preprocessing = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"}
    written = {"model_cfg": config, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(written))
    torch.manual_seed(0)
    text = {key: value for key, value in config["text_cfg"].items() if key != "hf_tokenizer_name"}
    built = {key: value for key, value in config.items() if key != "custom_text"}
    kind = open_clip.CustomTextCLIP if config.get("custom_text") else open_clip.CLIP
    model: Any = kind(**{**built, "text_cfg": text})
    torch.nn.init.normal_(getattr(model, "text", model).positional_embedding, std=0.5)
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    if pickled:
        torch.save(weights, folder / "open_clip_pytorch_model.bin")
    else:
        save_file(weights, folder / "open_clip_model.safetensors")
    return folder


def timm(folder: Path, architecture: str = "vit_tiny_patch16_224", **arguments: Any) -> Path:
    """Write a timm model: config.json (architecture, model_args, pretrained_cfg) and model.safetensors."""
    import timm as library
    import torch
    from safetensors.torch import save_file

    if architecture.startswith("vit"):
        small = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2}
        arguments = {**small, **arguments}
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model = library.create_model(architecture, num_classes=4, **arguments)
    for weight in model.parameters():
        if weight.dim() == 1:  # norms and layer scales that start at zero would make blocks do nothing
            torch.nn.init.normal_(weight, std=0.5)
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {
        "architecture": architecture,
        "num_classes": 4,
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [3, 32, 32],
            "crop_pct": 0.9,
            "interpolation": "bicubic",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "num_classes": 4,
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def transformers(folder: Path, kind: str, *, layers: int = 3, width: int = 16) -> Path:
    """Write a transformers model with its image processor or tokenizer.

    kind: bert | deberta | gpt2 | siglip-text | vit | dinov2 | dinov2-registers | siglip | siglip2 | clip (the last
    three: both towers). siglip2: the architecture of siglip with Gemma's tokenizer at padding 64, as it is published.
    """
    import torch
    import transformers as library

    folder.mkdir(parents=True)
    size = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 2 * width,
    }
    images = {**size, "image_size": 32, "patch_size": 8}
    text: dict[str, Any] = {}
    if kind in ("bert", "deberta"):
        text = {**size, "vocab_size": tokenizer(folder, "bert", 24), "max_position_embeddings": 24}
    elif kind == "siglip2":
        text = {**size, "vocab_size": gemma_tokenizer(folder, 64), "max_position_embeddings": 64}
        text |= {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
    elif kind in ("siglip-text", "siglip", "clip"):
        style, names = ("clip", ("input_ids", "attention_mask")) if kind == "clip" else ("siglip", ("input_ids",))
        text = {**size, "vocab_size": tokenizer(folder, style, 16, names), "max_position_embeddings": 16}
        text |= {"bos_token_id": text["vocab_size"] - 2, "eos_token_id": text["vocab_size"] - 1, "pad_token_id": 0}
    elif kind == "gpt2":
        text = {"n_embd": width, "n_layer": layers, "n_head": 2, "vocab_size": tokenizer(folder, "gpt", 24)}
    torch.manual_seed(0)
    model: Any = {
        "bert": lambda: library.BertModel(library.BertConfig(**text)),
        "deberta": lambda: library.DebertaModel(
            library.DebertaConfig(
                **text,
                relative_attention=True,
                pos_att_type=["c2p", "p2c"],
                position_biased_input=False,
                type_vocab_size=0,
            )
        ),
        "gpt2": lambda: library.GPT2Model(library.GPT2Config(**text, n_positions=24)),
        "siglip-text": lambda: library.SiglipTextModel(library.SiglipTextConfig(**text)),
        "siglip": lambda: library.SiglipModel(library.SiglipConfig(text_config=text, vision_config=images)),
        "siglip2": lambda: library.SiglipModel(library.SiglipConfig(text_config=text, vision_config=images)),
        "clip": lambda: library.CLIPModel(library.CLIPConfig(text_config=text, vision_config=images)),
        "vit": lambda: library.ViTModel(library.ViTConfig(**images)),
        "dinov2": lambda: library.Dinov2Model(library.Dinov2Config(**images)),
        "dinov2-registers": lambda: library.Dinov2WithRegistersModel(
            library.Dinov2WithRegistersConfig(**images, num_register_tokens=4)
        ),
    }[kind]()
    model.save_pretrained(folder)
    processor = {
        "vit": library.ViTImageProcessor,
        "dinov2": library.BitImageProcessor,
        "dinov2-registers": library.BitImageProcessor,
        "siglip": library.SiglipImageProcessor,
        "siglip2": library.SiglipImageProcessor,
        "clip": library.CLIPImageProcessor,
    }.get(kind)
    if processor is not None:
        shape = {"size": {"height": 32, "width": 32}}
        if kind in ("dinov2", "dinov2-registers", "clip"):
            shape = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}
        processor(**shape).save_pretrained(folder)
    return folder
