"""Safetensors files that say what they hold and notice when a bit of them changed."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = "1"


def write(path: str | Path, kind: str, tensors: dict[str, NDArray[Any]], meta: dict[str, str]) -> None:
    """Write tensors and strings of some kind, atomically, with a digest of all of them."""
    from safetensors.numpy import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {"format": FORMAT, "kind": kind, **meta}
    meta["digest"] = _digest(tensors, meta)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        save_file(tensors, partial, meta)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: str | Path, kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the tensors and strings of a file that `write` wrote; raises ValueError for a damaged or foreign one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            meta = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}.") from None
    if meta.get("kind") != kind or meta.get("format") != FORMAT:
        raise ValueError(f"{path} holds no {kind} of format {FORMAT}.")
    if meta.pop("digest", "") != _digest(tensors, meta):
        raise ValueError(f"{path} is damaged: its content does not match its digest. Record it again.")
    return tensors, meta


def kind(path: str | Path) -> str:
    """Return what a file says that it holds, "" if it says nothing; raises ValueError for no safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return (file.metadata() or {}).get("kind", "")
    except (SafetensorError, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}.") from None


def _digest(tensors: dict[str, NDArray[Any]], meta: dict[str, str]) -> str:
    digest = hashlib.blake2b(repr(sorted(meta.items())).encode(), digest_size=16)
    for name, array in sorted(tensors.items()):
        digest.update(repr((name, str(array.dtype), array.shape)).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)  # no copy: arrays may be large
    return digest.hexdigest()
