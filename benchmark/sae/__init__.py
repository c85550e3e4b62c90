"""TopK sparse autoencoders: the module, its exact sparse step, training, quality and files.

The names below load on first use, so that reading settings costs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.sae.batches import shuffled_batches, steps
    from benchmark.sae.checkpoint import Checkpoint
    from benchmark.sae.diagnostics import Quality, quality
    from benchmark.sae.files import read_sae, write_sae
    from benchmark.sae.learner import NotFinite, TrainingLog
    from benchmark.sae.preparation import start
    from benchmark.sae.settings import PRESETS, TrainConfig
    from benchmark.sae.topk import TopKSAE
    from benchmark.sae.trainer import train

__all__ = [
    "PRESETS",
    "Checkpoint",
    "NotFinite",
    "Quality",
    "TopKSAE",
    "TrainConfig",
    "TrainingLog",
    "quality",
    "read_sae",
    "shuffled_batches",
    "start",
    "steps",
    "train",
    "write_sae",
]
_HOMES = {
    "files": ("read_sae", "write_sae"),
    "diagnostics": ("Quality", "quality"),
    "batches": ("shuffled_batches", "steps"),
    "checkpoint": ("Checkpoint",),
    "learner": ("NotFinite", "TrainingLog"),
    "preparation": ("start",),
    "settings": ("PRESETS", "TrainConfig"),
    "topk": ("TopKSAE",),
    "trainer": ("train",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"benchmark.sae.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
