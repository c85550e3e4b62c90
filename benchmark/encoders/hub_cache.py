"""What lies in the cache of the Hugging Face hub on this machine. Nothing here looks at the network."""

import json
from pathlib import Path

from benchmark.hub_refs import store

# What a library loads from a repository: its configuration, and weights under one of these names.
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "transformers": ("config.json", ("model*.safetensors", "pytorch_model*.bin")),
    "mambavision": ("config.json", ("*.safetensors",)),
    "timm": ("config.json", ("model.safetensors", "pytorch_model.bin")),
    "open_clip": ("open_clip_config.json", ("open_clip_*.safetensors", "open_clip_*.bin")),
    "diffusers": ("model_index.json", ("*.safetensors",)),
}
# The folders that hold weights, where a library keeps them apart and the card's modality decides which it needs.
PARTS = {"diffusers": {"image": ("transformer", "text_encoder", "vae"), "text": ("transformer", "text_encoder")}}
TOKENIZERS = ("tokenizer.json", "vocab.*", "*.model", "*.tiktoken", "tekken.json")
"""Files that hold a tokenizer's vocabulary, one of them in every checkpoint."""
PROCESSORS = ("preprocessor_config.json", "processor_config.json", "image_processor*.json")


def holds(repository: str, commit: str, library: str, modality: str, *, configured: bool) -> bool:
    """Whether a commit's weights are there as `library` loads them, with what prepares its inputs.

    configured: its configuration file is needed too.
    """
    snapshot = store("model", repository) / "snapshots" / commit
    configuration, patterns = FILES[library]
    if configured and not (snapshot / configuration).exists():
        return False
    inputs = _prepares_inputs(snapshot, library, modality)
    if inputs and not _any(*inputs):
        return False
    parts = PARTS.get(library, {}).get(modality, ("",))
    return all(_holds_weights(snapshot / part, patterns) for part in parts)


def _prepares_inputs(snapshot: Path, library: str, modality: str) -> tuple[Path, tuple[str, ...]] | None:
    """Return the folder and the patterns of files, one of which prepares the inputs; None: the library needs none."""
    if library == "diffusers":  # for the empty caption of images as well
        return snapshot / "tokenizer", TOKENIZERS
    if library == "transformers":
        return snapshot, TOKENIZERS if modality == "text" else PROCESSORS
    if library == "open_clip" and modality == "text" and _names_a_tokenizer(snapshot / FILES[library][0]):
        return snapshot, TOKENIZERS
    return None


def _names_a_tokenizer(configuration: Path) -> bool:
    """Whether an open_clip model brings a tokenizer of its own; otherwise it uses the one of OpenAI's CLIP."""
    try:
        model = json.loads(configuration.read_text(encoding="utf-8"))["model_cfg"]
        return bool(model["text_cfg"].get("hf_tokenizer_name"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _any(folder: Path, patterns: tuple[str, ...]) -> bool:
    return any(path.exists() for pattern in patterns for path in folder.glob(pattern))


def is_downloaded(library: str, url: str) -> bool:
    """Whether the folder where a library puts files from outside the hub holds this one."""
    if library == "open_clip":
        folder = Path("~/.cache/clip").expanduser()
    else:
        from torch.hub import get_dir

        folder = Path(get_dir(), "checkpoints")
    return (folder / url.rpartition("/")[2]).is_file()


def _holds_weights(folder: Path, patterns: tuple[str, ...]) -> bool:
    indices = list(folder.glob("*.index.json"))
    if indices:  # weights in several files: all of them or none
        return any(_has_all_shards(index) for index in indices)
    return _any(folder, patterns)


def _has_all_shards(index: Path) -> bool:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError):
        return False
    return all((index.parent / name).exists() for name in names)
