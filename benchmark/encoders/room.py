"""Whether memory holds a model, told from its files before they are loaded: afterwards, the process is killed."""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmark.catalog import EncoderCard
from benchmark.encoders import hub
from benchmark.encoders.hub_cache import FILES, PARTS
from benchmark.errors import WorkError
from benchmark.hub_refs import store
from benchmark.main_memory import available_memory

WIDER = {"F16": 2, "BF16": 2, "F8_E4M3": 4, "F8_E5M2": 4}
"""How much longer a stored number is as float32, for the types of safetensors that are shorter."""

LONGEST = 10**8
"""Bytes of a header of safetensors at most, by the format; a broken file can state any number."""


def check_room(card: EncoderCard, folder: Path | None, commit: str) -> None:
    """Raise WorkError if the weights of a card need more main memory, through which all are loaded, than is free.

    Weights that are not on this machine yet, or in no form that is known, are not checked.
    """
    free, needed = available_memory(), needed_bytes(card, folder, commit)
    if free is not None and needed > free:
        raise WorkError(
            f"encoder '{card.name}': its weights take {needed / 1e9:.1f} GB of main memory and {free / 1e9:.1f} GB are "
            "free; leave this encoder out, end other programs, or use a machine with more memory."
        )


def needed_bytes(card: EncoderCard, folder: Path | None, commit: str) -> int:
    """Return the bytes that the weights take at most at one time while they are loaded as float32; 0: not known."""
    name = hub.repository(card)
    if card.library not in FILES:
        return 0
    if folder is None:
        if not (name and commit):
            return 0
        folder = store("model", name) / "snapshots" / commit
    sizes = {part: _size(folder / part, FILES[card.library][1]) for part in _parts(card)}
    if card.library == "diffusers" and card.modality == "image":
        # The text encoder is read once, for the empty caption, and freed before the others are loaded.
        return max(sizes.pop("text_encoder"), sum(sizes.values()))
    return sum(sizes.values())


def _parts(card: EncoderCard) -> tuple[str, ...]:
    return PARTS.get(card.library, {}).get(card.modality, ("",))


def _size(folder: Path, patterns: tuple[str, ...]) -> int:
    return sum(_float32(path) for path in _weights(folder, patterns))


def _weights(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Return the files that a library would read: of the first kind that is there, no variants (model.fp16.*)."""
    for pattern in patterns:
        whole = [path for path in sorted(folder.glob(pattern)) if path.is_file() and "." not in path.stem]
        shards = [path for path in whole if "-of-" in path.stem]
        if whole:
            return [path for path in whole if path not in shards] or shards
    return []


def _float32(path: Path) -> int:
    """Return the size of a file's tensors as float32; of a file that is not safetensors, its own size."""
    if path.suffix != ".safetensors":
        return path.stat().st_size
    return sum(_tensors(path))


def _tensors(path: Path) -> Iterator[int]:
    """Yield the size of each tensor as float32, from the header (safetensors: its length in 8 bytes, then JSON)."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, LONGEST)))
        for name, tensor in header.items():
            if name != "__metadata__":
                start, end = tensor["data_offsets"]
                yield (end - start) * WIDER.get(tensor["dtype"], 1)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # broken: the library says how
