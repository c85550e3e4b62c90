"""Text-conditioned diffusion transformers of diffusers (PixArt) as encoders of images and of captions.

A layer is a transformer block; its tokens are the patches of the image stream. `diffusion_step` says what the
transformer reads. The library is optional.
"""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmark.catalog import EncoderCard
from benchmark.encoders.blocks import BlockOutputs
from benchmark.encoders.diffusion_step import CaptionStep, DiffusionStep, ImageStep
from benchmark.encoders.vocabulary import load_tokenizer
from benchmark.errors import InputError, WorkError

PIPELINES = ("PixArtAlphaPipeline", "PixArtSigmaPipeline")


class DiffusionTower:
    """One step of a diffusion transformer, read at its blocks."""

    def __init__(self, module: DiffusionStep, prepare: Callable[[list[Any]], dict[str, torch.Tensor]]) -> None:
        self.module = module
        self.prepare = prepare
        self.blocks = BlockOutputs(module.transformer.transformer_blocks)

    def preprocess(self, batch: list[Any]) -> dict[str, torch.Tensor]:
        """Prepare pixels or token ids; `mask` (B, T) covers the T patches of the image stream, which are all real."""
        mask = torch.ones(len(batch), self.module.patches, dtype=torch.bool)
        return {**self.prepare(batch), "mask": mask}

    def states(self, inputs: dict[str, torch.Tensor], layers: list[int] | None) -> dict[int, torch.Tensor]:
        """Return block outputs (B, T, d) over the image stream."""
        fed = {key: value for key, value in inputs.items() if key != "mask"}
        return self.blocks.of(lambda: self.module(**fed), layers)


def resize(images: list[Any], processor: Any, side: int) -> dict[str, torch.Tensor]:
    """Return `pixel_values` (B, 3, side, side) in [-1, 1]; images are squeezed into the square, nothing is cropped."""
    return {"pixel_values": processor.preprocess(images, height=side, width=side)}


def tokenize(captions: list[str], tokenizer: Any, length: int) -> dict[str, torch.Tensor]:
    """Return `input_ids` and `attention_mask`, both (B, length), of captions in lower case, as PixArt is used."""
    texts = [caption.lower().strip() for caption in captions]
    encoded = tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return {key: encoded[key] for key in ("input_ids", "attention_mask")}


def load_tower(card: EncoderCard, folder: Path | None, *, trust_remote_code: bool = False) -> DiffusionTower:
    """Load a pipeline's folder (model_index.json, transformer/, vae/, ...) or a hub repository of that form.

    Only what the card's modality needs stays in memory: an image takes the text encoder once, for the empty caption,
    and a caption takes no VAE. The classes are those of diffusers and transformers: code of the repository is never
    run, whatever `trust_remote_code` says, and weights come from safetensors alone.
    """
    try:
        import diffusers
    except ImportError:
        raise WorkError(
            f"encoder '{card.name}' needs the library diffusers: `pip install diffusers sentencepiece`."
        ) from None
    if card.token != "mean":
        raise InputError(
            f"encoder '{card.name}': a diffusion model has no token for the whole sample; set token: mean."
        )
    source = str(folder or card.source.removeprefix("hf-hub:"))
    origin: dict[str, Any] = {"revision": card.revision} if card.revision and folder is None else {}
    pipeline = str(diffusers.DiffusionPipeline.load_config(source, **origin).get("_class_name"))
    if pipeline not in PIPELINES:
        raise InputError(
            f"encoder '{card.name}': diffusion pipelines of class '{pipeline}' are not supported; "
            f"{' and '.join(PIPELINES)} are."
        )
    schedule = _schedule(card, source, origin)
    written = inspect.signature(getattr(diffusers, pipeline).encode_prompt).parameters["max_sequence_length"]
    # AutoTokenizer would look for a configuration beside the tokenizer, where pipelines have none, and give up offline
    # unless the hub's cache notes that there is none.
    bare = transformers.PreTrainedConfig()
    tokenizer = load_tokenizer(card, source, folder, subfolder="tokenizer", config=bare, **origin)
    prepare = partial(tokenize, tokenizer=tokenizer, length=card.padding or written.default)
    load = partial(_load_part, card, source, origin)
    levels = diffusers.AutoencoderKL.load_config(source, subfolder="vae", **origin)["block_out_channels"]
    factor = 2 ** (len(levels) - 1)  # each level of the VAE but the last halves the sides
    text_encoder = load(transformers.T5EncoderModel, "text_encoder")
    if card.modality == "text":
        transformer = load(diffusers.PixArtTransformer2DModel, "transformer")
        return DiffusionTower(CaptionStep(transformer, factor, card.timestep, text_encoder=text_encoder), prepare)
    empty = prepare([""])
    with torch.no_grad():
        read = text_encoder.eval()(**empty).last_hidden_state
    del text_encoder  # the largest part by far, and no longer needed
    step = ImageStep(
        load(diffusers.PixArtTransformer2DModel, "transformer"),
        factor,
        card.timestep,
        vae=load(diffusers.AutoencoderKL, "vae"),
        schedule=schedule,
        empty=read,
        empty_mask=empty["attention_mask"],
    )
    processor = diffusers.image_processor.VaeImageProcessor()
    return DiffusionTower(step, partial(resize, processor=processor, side=step.side))


def _schedule(card: EncoderCard, source: str, origin: dict[str, Any]) -> Any:
    """Return the training schedule of noise as a DDPMScheduler, and check the card's timestep against it.

    The pipeline's own sampler would not do: `add_noise` of DPMSolverMultistepScheduler (diffusers 0.42) counts its
    noise levels from the wrong end as long as no sampling steps are set, so that t = 0 gives almost pure noise.
    """
    import diffusers

    config = diffusers.DDPMScheduler.load_config(source, subfolder="scheduler", **origin)
    if "beta_schedule" not in config or config.get("use_flow_sigmas"):
        raise InputError(
            f"encoder '{card.name}': only schedules given by betas are supported, not {config.get('_class_name')}."
        )
    schedule = diffusers.DDPMScheduler.from_config(config)
    steps = schedule.config.num_train_timesteps
    if not 0 <= card.timestep < steps:
        raise InputError(f"encoder '{card.name}': timestep {card.timestep} is not between 0 and {steps - 1}.")
    return schedule


def _load_part(card: EncoderCard, source: str, origin: dict[str, Any], kind: Any, part: str) -> Any:
    model, report = kind.from_pretrained(
        source, subfolder=part, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **origin
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise WorkError(
            f"encoder '{card.name}': {part} in '{source}' lacks {len(missing)} tensors of the model "
            f"({', '.join(missing[:3])}), which would be random; use a complete checkpoint."
        )
    return model
