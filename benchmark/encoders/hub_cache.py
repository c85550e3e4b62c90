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


def holds(repository: str, commit: str, library: str, modality: str, *, configured: bool) -> bool:
    """Whether a commit's weights are there as `library` loads them, with its configuration file if `configured`."""
    snapshot = store("model", repository) / "snapshots" / commit
    configuration, patterns = FILES[library]
    if configured and not (snapshot / configuration).exists():
        return False
    parts = PARTS.get(library, {}).get(modality, ("",))
    return all(_holds_weights(snapshot / part, patterns) for part in parts)


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
    return any(path.exists() for pattern in patterns for path in folder.glob(pattern))


def _has_all_shards(index: Path) -> bool:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError):
        return False
    return all((index.parent / name).exists() for name in names)
