"""Content keys: a hash of everything that a result depends on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark.catalog import EncoderCard

# Raised whenever code changes what activations, SAEs or comparisons come out of the same inputs.
ACTIVATIONS, TRAINING, COMPARISON = 3, 2, 3


# The packages whose code turns a library's checkpoint into activations.
PACKAGES = {
    "open_clip": ("open_clip_torch",),
    "timm": ("timm",),
    "transformers": ("transformers",),
    "mambavision": ("mambavision", "timm"),
    "diffusers": ("diffusers", "transformers"),
    "python": (),
    "activations": (),
}
# What a card says of its encoder to readers and for plans, and what the weights' own hash covers.
DESCRIPTIONS = ("training", "licence", "base", "family", "size", "kind", "shape", "gflop", "download_mb")


def content_key(parts: Mapping[str, Any]) -> str:
    """Return a hash of a JSON-able mapping, whatever the order of its entries."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def encoder_identity(card: EncoderCard) -> dict[str, Any]:
    """Return what an encoder's activations depend on: its card without descriptions, its weights and its library.

    Weights are the hash of local files (of a python encoder's module: `from_python.source_hash`), or the commit of the
    hub repository: a branch that moves gives another identity, the same commit under another name the same one.
    Raises WorkError for files that are not there and for a hub repository whose commit cannot be told, InputError for
    a python source that names no module.
    """
    from benchmark.encoders import hub

    fields = {name: value for name, value in asdict(card).items() if name not in DESCRIPTIONS}
    fields["library_version"] = [_version(package) for package in PACKAGES[card.library]]
    path = hub.folder(card)
    if path is not None:
        fields |= {"source": "", "weights": folder_hash(path)}
    elif card.library == "python":
        from benchmark.encoders.from_python import source_hash

        fields["weights"] = source_hash(card)
    elif commit := hub.commit(card):
        fields |= {"revision": "", "weights": commit}
    else:
        fields["weights"] = hub.repository(card)  # the address of a file, which its name dates
    return fields


def _version(package: str) -> str:
    """Return a package's version, "" where it is not installed: loading says so, and what to do."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def folder_hash(path: Path) -> str:
    """Return a hash of a file, or of all files of a checkpoint except hidden ones (.git, .cache)."""
    digest = hashlib.blake2b(digest_size=16)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        name = file.relative_to(path)
        if any(part.startswith(".") for part in name.parts):
            continue
        with file.open("rb") as content:
            digest.update(f"{name.as_posix()} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
