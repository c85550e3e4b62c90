"""What a training leaves on the disk until its SAEs are logged: finished SAEs, and the group that is under way.

`.cache/training/ENCODER-KEY/` holds `L00-seed0/` (weights and what was noted in training) for each finished SAE,
`group.json` with the (layer, seed) pairs that train at present, and their `checkpoint/`. A folder that a killed process
left is gone on with by the next one that has the same key.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmark import tensor_file
from benchmark.jobs.abandoned import remove_abandoned
from benchmark.sae import TopKSAE, TrainingLog, read_sae, write_sae
from benchmark.sae.checkpoint import sync
from benchmark.sae.files import WEIGHTS
from registry.artifacts import file_hash

Key = tuple[int, int]
"""Layer and seed."""
LOG, GROUP, CHECKPOINT = "log.safetensors", "group.json", "checkpoint"
KIND = "training-log"


def trained_sae(folder: Path, layer: int, seed: int, device: str) -> TopKSAE:
    """Return a finished SAE; raises ValueError where there is none."""
    return read_sae(_home(folder, layer, seed), device)


def finished_log(folder: Path, layer: int, seed: int) -> TrainingLog | None:
    """Return what was noted of a finished SAE, or None where there is none, or it is damaged."""
    try:
        trained_sae(folder, layer, seed, "cpu")
        arrays, meta = tensor_file.read(_home(folder, layer, seed) / LOG, KIND)
        if meta.get("weights") != file_hash(_home(folder, layer, seed) / WEIGHTS):
            return None
        return TrainingLog(**arrays)
    except (OSError, ValueError, TypeError):
        return None


def write_finished(folder: Path, layer: int, seed: int, sae: TopKSAE, log: TrainingLog) -> None:
    """Write a finished SAE; it is there whole or not at all."""
    final = _home(folder, layer, seed)
    partial = final.with_name(f"{final.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    write_sae(sae, partial)
    tensor_file.write(partial / LOG, KIND, log._asdict(), {"weights": file_hash(partial / WEIGHTS)})
    for path in [*partial.iterdir(), partial]:
        sync(path)
    shutil.rmtree(final, ignore_errors=True)
    partial.replace(final)
    sync(folder)


def interrupted_group(folder: Path) -> list[Key]:
    """Return the layers and seeds that were training together when a process ended; empty if there are none."""
    try:
        return [(int(layer), int(seed)) for layer, seed in json.loads((folder / GROUP).read_text())]
    except (OSError, ValueError, TypeError):
        return []


def begin_group(folder: Path, group: Sequence[Key]) -> Path:
    """Note which SAEs train together from now on; returns the folder of their checkpoint, without that of others."""
    if interrupted_group(folder) != list(group):
        end_group(folder)
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{GROUP}.partial"
        partial.write_text(json.dumps(list(group)))
        sync(partial)
        partial.replace(folder / GROUP)
    return folder / CHECKPOINT


def end_group(folder: Path) -> None:
    """Forget the group that is under way, and its checkpoint."""
    (folder / GROUP).unlink(missing_ok=True)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)


def remove_unfinished(parent: Path) -> None:
    """Remove the folders of trainings that nobody has gone on with for 30 days."""
    remove_abandoned(parent.glob("*/"), lambda folder: folder)


def _home(folder: Path, layer: int, seed: int) -> Path:
    return folder / f"L{layer:02d}-seed{seed}"
