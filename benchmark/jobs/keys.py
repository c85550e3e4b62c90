"""Content keys: a hash of everything that a result depends on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmark.catalog import EncoderCard, local_path

# Raised whenever code changes what activations, SAEs or comparisons come out of the same inputs.
ACTIVATIONS, TRAINING, COMPARISON = 1, 1, 1


PACKAGES = {"open_clip": "open_clip_torch", "timm": "timm", "transformers": "transformers"}


def content_key(parts: Mapping[str, Any]) -> str:
    """Return a hash of a JSON-able mapping, whatever the order of its entries."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def encoder_identity(card: EncoderCard) -> dict[str, Any]:
    """Return what an encoder's activations depend on: its card without descriptions, its weights and its library."""
    fields = asdict(card)
    for name in ("training", "licence", "base", "family", "size", "kind"):
        fields.pop(name)
    folder = local_path(card.source, card.base)
    fields["weights"] = card.revision if folder is None else folder_hash(folder)
    fields["source"] = card.source if folder is None else ""
    fields["library_version"] = version(PACKAGES[card.library])
    return fields


@cache
def folder_hash(folder: Path) -> str:
    """Return a hash of all files of a checkpoint."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()
