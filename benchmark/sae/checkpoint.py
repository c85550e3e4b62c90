"""Checkpoints: what a training that is killed at any moment goes on from, to the same weights.

A folder holds at most one finished checkpoint, `step-000001234/`: a file for each SAE, with a digest of its content,
and `manifest.json`, which names them. All is written and synced to the disk under another name before it is renamed;
then the one before is removed.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from benchmark import tensor_file
from benchmark.sae.learner import Learner
from benchmark.sae.settings import TrainConfig
from benchmark.sae.topk import TopKSAE

LOG = logging.getLogger("benchmark")
KIND, MANIFEST = "sae-training", "manifest.json"
PATIENCE = 20
"""Seconds of training for each second that writing took: what checkpoints cost at most is a twentieth of the time."""


class Checkpoint:
    """The checkpoint of one call of `train`.

    Make it, begin the batches behind its `step`, and hand both to `train`, which keeps it up to date. What it finds in
    the folder is used only if it is undamaged and of the same SAEs (keys, sizes), settings, totals and scales;
    otherwise a warning says why, and training starts anew. That the batches are the same too is the caller's to know:
    give each data set and order a folder of its own.

    Args:
        folder: its folder, made when first needed; nothing else may be in it.
        saes, config, totals, scales: as for `train`.
        minutes: time between two checkpoints (more where writing takes long: see `PATIENCE`).
    """

    def __init__(
        self,
        folder: str | Path,
        saes: Mapping[Any, TopKSAE],
        config: TrainConfig,
        *,
        totals: Mapping[Any, int],
        scales: Mapping[Any, float] | None = None,
        minutes: float = 5.0,
    ):
        self.folder, self.seconds = Path(folder), 60 * minutes
        self._identity = _identity(saes, config, totals, scales)
        self._files: dict[str, Path] = {}
        self.step = 0
        """Steps of the batches that are done."""
        self._find()
        self._took, self._last = 0.0, time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= max(self.seconds, PATIENCE * self._took)

    def restore(self, learners: Mapping[Any, Learner]) -> None:
        """Give every learner the state that was found; without one, leave all as they are."""
        for key, learner in learners.items():
            if str(key) in self._files:
                learner.restore(*tensor_file.read(self._files[str(key)], KIND))

    def save(self, learners: Mapping[Any, Learner], step: int) -> None:
        """Write the state after `step` steps of the batches, and remove the one before.

        Where it cannot be written (a full disk), a warning says so and the one before stays. Raises NotFinite as
        `Learner.check` does.
        """
        begun = time.monotonic()
        partial = self.folder / "partial"
        try:
            self._write(learners, step, partial)
        except (OSError, SafetensorError) as error:
            LOG.warning("%s: no checkpoint could be written (%s); training goes on without.", self.folder, error)
            shutil.rmtree(partial, ignore_errors=True)
        self._last = time.monotonic()
        self._took = self._last - begun

    def _write(self, learners: Mapping[Any, Learner], step: int, partial: Path) -> None:
        final = self.folder / f"step-{step:012d}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        files = {str(key): f"{i:05d}.safetensors" for i, key in enumerate(learners)}
        for (key, name), learner in zip(files.items(), learners.values(), strict=True):
            arrays, meta = learner.state()
            tensor_file.write(partial / name, KIND, arrays, {"key": key, "step": str(step), **meta})
        (partial / MANIFEST).write_text(json.dumps({"step": step, "files": files, "identity": self._identity}))
        for path in [*partial.iterdir(), partial]:
            sync(path)
        shutil.rmtree(final, ignore_errors=True)  # of the same step: interrupted right after it was written
        partial.replace(final)
        sync(self.folder)
        for path in self.folder.iterdir():
            if path != final:
                shutil.rmtree(path, ignore_errors=True)

    def _find(self) -> None:
        """Take over the newest checkpoint that can be gone on from."""
        for path in sorted(self.folder.glob("step-*"), reverse=True):
            try:
                manifest = json.loads((path / MANIFEST).read_text())
                if manifest["identity"] != self._identity:
                    LOG.warning("%s: a checkpoint of other SAEs or settings; it is not used.", path)
                    continue
                files = {key: path / name for key, name in manifest["files"].items()}
                if files.keys() != self._identity["saes"].keys():
                    raise ValueError("its manifest does not name a file for each SAE")
                for key, file in files.items():
                    # The manifest has no digest of its own; what it says has to be what the files say.
                    _, meta = tensor_file.read(file, KIND)
                    if (meta.get("key"), meta.get("step")) != (key, str(manifest["step"])):
                        raise ValueError(f"{file.name} is of another SAE or step than its manifest says")
                self._files, self.step = files, int(manifest["step"])
                return
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                LOG.warning("%s: a damaged checkpoint, which is not used (%s).", path, error)


def _identity(
    saes: Mapping[Any, TopKSAE],
    config: TrainConfig,
    totals: Mapping[Any, int],
    scales: Mapping[Any, float] | None,
) -> dict[str, Any]:
    """Return, as JSON gives it back, all that has to be the same for a checkpoint to be gone on from."""
    sizes = {
        str(key): [sae.d, sae.n_latents, sae.k, sae.b_enc is not None, str(sae.W_enc.dtype), totals[key]]
        for key, sae in saes.items()
    }
    factors = {str(key): value for key, value in (scales or {}).items()}
    found = {"saes": sizes, "config": asdict(config), "scales": factors}
    return json.loads(json.dumps(found))


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
