"""Small random generative models in their libraries' own formats, for tests; every function returns the folder."""

from pathlib import Path
from typing import Any

WORDS = ("a", "red", "green", "blue", "ball", "cube", "on", "the", "left", "of", "small", "large", "table", "two")
LENGTH = 48
"""Tokens that a caption may have at most."""


def tokenizer(folder: Path, style: str, side: str = "right") -> dict[str, int]:
    """Write a tokenizer that pads on `side` and return its vocabulary.

    style: "gpt" (bytes; no special token is added, none for padding), "llama" (words after <s>; knows <image>) or "t5"
    (words before </s>).
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = {
        "gpt": {"eos_token": "<|endoftext|>"},
        "llama": {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"},
        "t5": {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
    }[style]
    image = ["<image>"] if style == "llama" else []
    words = sorted(pre_tokenizers.ByteLevel.alphabet()) if style == "gpt" else WORDS
    vocabulary = {word: index for index, word in enumerate([*specials.values(), *image, *words])}
    if style == "gpt":
        built = Tokenizer(models.BPE(vocabulary, []))
        built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        built = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        built.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        frame = {"llama": "<s> $A", "t5": "$A </s>"}[style]
        used = [(token, vocabulary[token]) for token in frame.split() if token != "$A"]
        built.post_processor = processors.TemplateProcessing(single=frame, special_tokens=used)
    PreTrainedTokenizerFast(
        tokenizer_object=built,
        model_max_length=LENGTH,
        padding_side=side,
        additional_special_tokens=image,
        **specials,
    ).save_pretrained(folder)
    return vocabulary


def language_model(folder: Path, kind: str, side: str = "right") -> Path:
    """Write a causal language model with its head.

    kind: gpt2 (learned positions) | gpt_neox | qwen2 | qwen3 | llama (rotary) | bloom (linear biases, no positions).
    """
    import torch
    import transformers as library

    words = tokenizer(folder, "llama" if kind == "llama" else "gpt", side)
    # Weights larger than usual: attention to a wrong token must show.
    common = {"vocab_size": len(words), "initializer_range": 0.3, "bos_token_id": 0, "eos_token_id": 0}
    gpt2 = {**common, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": LENGTH}
    size = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 32}
    rotary: dict[str, Any] = {**common, **size, "max_position_embeddings": LENGTH}
    grouped = {**rotary, "num_key_value_heads": 2}
    torch.manual_seed(0)
    model: Any = {
        "gpt2": lambda: library.GPT2LMHeadModel(library.GPT2Config(**gpt2)),
        "gpt_neox": lambda: library.GPTNeoXForCausalLM(library.GPTNeoXConfig(**rotary)),
        "qwen2": lambda: library.Qwen2ForCausalLM(library.Qwen2Config(**grouped)),
        "qwen3": lambda: library.Qwen3ForCausalLM(library.Qwen3Config(**grouped, head_dim=8)),
        "llama": lambda: library.LlamaForCausalLM(library.LlamaConfig(**grouped)),
        "bloom": lambda: library.BloomForCausalLM(
            library.BloomConfig(
                **common, hidden_size=16, n_layer=3, n_head=4, apply_residual_connection_post_layernorm=False
            )
        ),
    }[kind]()
    model.save_pretrained(folder)
    return folder


def vision_language(folder: Path, kind: str = "llava") -> Path:
    """Write a LLaVA (kind "llava") or a LLaVA-NeXT (kind "llava_next") of a CLIP vision tower and a Llama."""
    import torch
    import transformers as library

    words = tokenizer(folder, "llama")
    size = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 32}
    text = {**size, "vocab_size": len(words), "initializer_range": 0.3, "num_key_value_heads": 2}
    vision = {**size, "num_hidden_layers": 4, "image_size": 32, "patch_size": 8, "initializer_factor": 5.0}
    parts = {
        "vision_config": library.CLIPVisionConfig(**vision),
        "text_config": library.LlamaConfig(**text),
        "image_token_index": words["<image>"],
    }
    square = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    torch.manual_seed(0)
    model: Any
    if kind == "llava":
        model = library.LlavaForConditionalGeneration(library.LlavaConfig(**parts))
        image_processor, processor = library.LlavaImageProcessor(**square), library.LlavaProcessor
    else:
        grid = [[32, 64], [64, 32], [64, 64]]
        model = library.LlavaNextForConditionalGeneration(library.LlavaNextConfig(**parts, image_grid_pinpoints=grid))
        image_processor = library.LlavaNextImageProcessor(**square, image_grid_pinpoints=grid)
        processor = library.LlavaNextProcessor
    model.save_pretrained(folder)
    processor(
        image_processor=image_processor,
        tokenizer=library.AutoTokenizer.from_pretrained(folder),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder


def pixart(folder: Path, *, side: int = 8, micro_conditions: bool = False) -> Path:
    """Write a PixArt-alpha pipeline: transformer (3 blocks of width 24), VAE (2 pixels a latent), T5, scheduler.

    side: latents along one side of an image. micro_conditions: the transformer takes the image's size, as at 1024 px.
    """
    import diffusers
    import torch
    import transformers

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    words = tokenizer(folder / "tokenizer", "t5")
    t5 = {"d_model": 12, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 2, "vocab_size": len(words)}
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        sample_size=2 * side,
    )
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=side,
        num_layers=3,
        num_attention_heads=2,
        attention_head_dim=12,
        cross_attention_dim=24,
        caption_channels=12,
        use_additional_conditions=micro_conditions,
    )
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.normal_(0, 0.15)  # the library starts some at zero: a caption must show
    diffusers.PixArtAlphaPipeline(
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=transformers.T5EncoderModel(transformers.T5Config(**t5, feed_forward_proj="gated-gelu")),
        vae=vae,
        transformer=transformer,
        scheduler=diffusers.DPMSolverMultistepScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule="linear"),
    ).save_pretrained(folder)
    return folder
