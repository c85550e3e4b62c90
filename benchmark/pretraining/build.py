"""`build` trains one of the small checkpoints that ship with the project, tests it and reports on it."""

import json
import os
import shutil
import time
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmark.catalog import EncoderCard
from benchmark.encoders.torchvision_ops import declare_missing_ops
from benchmark.errors import InputError, WorkError, unknown
from benchmark.pretraining.data import PretrainingSet, load_pretraining

REPORT = "report.json"


class Checkpoint(Protocol):
    """A trained model that can write itself in its library's format."""

    def save(self, folder: Path) -> None:
        """Write the checkpoint into an existing folder."""


class Recipe(Protocol):
    """Settings of a training (a dataclass)."""

    def train(self, data: PretrainingSet, epochs: int, progress: bool) -> Checkpoint:
        """Return a trained model; all randomness comes from torch's global generator."""


@dataclass(frozen=True)
class Tower:
    """What the card of one tower says besides where it is."""

    name: str
    modality: str
    kind: str
    token: str


@dataclass(frozen=True)
class Model:
    """One checkpoint: its library, its towers and the defaults it was shipped with."""

    library: str
    family: str
    towers: tuple[Tower, ...]
    samples: int
    epochs: int
    summary: str
    """How it is trained, in a sentence."""


MODELS = {
    "small-clip": Model(
        library="open_clip",
        family="clip",
        towers=(Tower("small-clip-image", "image", "vlm", "cls"), Tower("small-clip-text", "text", "vlm", "eot")),
        samples=56000,
        epochs=12,
        summary="CLIP: symmetric contrastive loss between images, mirrored at random, and their captions, with a "
        "learned temperature.",
    ),
    "small-vit": Model(
        library="timm",
        family="vit",
        towers=(Tower("small-vit", "image", "vision", "cls"),),
        samples=56000,
        epochs=4,
        summary="Vision transformer with a convolutional stem, trained as a classifier of one label per image (main "
        "shape with its colour; petal colour with petal shape); images mirrored and slightly jittered.",
    ),
    "small-ssl": Model(
        library="timm",
        family="simclr",
        towers=(Tower("small-ssl", "image", "vision", "cls"),),
        samples=56000,
        epochs=1,
        summary="SimCLR on a vision transformer with a convolutional stem: the CLS tokens of two views of an image "
        "(crops, mirroring, light, contrast, tint, grain) agree; no labels, no captions.",
    ),
    "small-bert": Model(
        library="transformers",
        family="bert",
        towers=(Tower("small-bert", "text", "text", "cls"),),
        samples=56000,
        epochs=4,
        summary="BERT on captions alone: 15 % masked language modelling, and the caption's bag of words from the CLS "
        "token through the same head.",
    ),
}
"""The shipped checkpoints, with the samples and epochs they were trained with."""


@dataclass(frozen=True)
class Report:
    """How one checkpoint was trained and how good it is."""

    name: str
    folder: Path
    samples: int
    epochs: int
    seed: int
    seconds: float
    """Training alone, without drawing the samples and without the evaluation."""
    config: dict[str, Any]
    """The recipe's settings."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Tower -> what was measured: `probes` ({set: {factor: [accuracy, majority]}}) and, of the pair, retrieval."""

    @property
    def cards(self) -> list[EncoderCard]:
        """The cards of the checkpoint's towers, with its folder as their source."""
        model = MODELS[self.name]
        return [
            EncoderCard(
                name=tower.name,
                library=model.library,
                source=str(self.folder),
                modality=tower.modality,
                kind=tower.kind,
                token=tower.token,
                family=model.family,
                size="small",
                licence="CC0-1.0",
            )
            for tower in model.towers
        ]


def build(
    name: str,
    output: Path,
    *,
    samples: int,
    epochs: int,
    seed: int = 0,
    progress: bool = True,
    cache: Path = Path(".cache"),
) -> Report:
    """Train the checkpoint `name`, write it to the folder `output`/`name` and return what was measured.

    The folder appears whole, with its report, or not at all; one that is there is replaced. The same arguments on the
    same machine with the same number of threads give the same weights. Raises InputError for an unknown name or
    impossible sizes, WorkError if training fails or the disk refuses.
    """
    if name not in MODELS:
        raise unknown("checkpoint", name, MODELS)
    if epochs < 1:
        raise InputError(f"epochs must be 1 or more, not {epochs}.")
    declare_missing_ops()
    data = load_pretraining(samples, cache, progress)
    chosen = recipe(name)
    folder = output / name
    part = output / f".{name}-{uuid.uuid4().hex[:8]}.part"
    try:
        with torch.random.fork_rng(devices=[]):  # neither training nor loading for the probes moves the caller's draws
            torch.manual_seed(seed)
            started = time.monotonic()
            trained = chosen.train(data, epochs, progress)
            seconds = round(time.monotonic() - started, 1)
            part.mkdir(parents=True)
            trained.save(part)
            for path in part.iterdir():
                path.chmod(0o644)  # safetensors makes its files readable for their owner only
            settings = asdict(chosen)  # type: ignore[call-overload]
            report = Report(name, part, samples, epochs, seed, seconds, settings)
            report = replace(report, folder=folder, metrics=_measure(report, cache, progress))
        _write(report, part / REPORT)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    except OSError as error:
        raise WorkError(f"cannot write the checkpoint {folder}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return report


def recipe(name: str) -> Recipe:
    """Return the recipe of a checkpoint with its shipped settings."""
    # Each recipe needs another heavy library; only the one that is trained is imported.
    if name == "small-clip":
        from benchmark.pretraining.contrastive import Contrastive

        return Contrastive()
    if name == "small-vit":
        from benchmark.pretraining.supervised import Supervised

        return Supervised()
    if name == "small-ssl":
        from benchmark.pretraining.selfsupervised import SelfSupervised

        return SelfSupervised()
    from benchmark.pretraining.masked_language import MaskedLanguage

    return MaskedLanguage()


def read_report(folder: Path) -> Report:
    """Return the report that `build` left in a checkpoint's folder. Raises InputError if there is none."""
    try:
        fields = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        return Report(**fields, folder=folder)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder} holds no readable {REPORT} ({error}); build the checkpoint again.") from None


def _write(report: Report, path: Path) -> None:
    fields = {key: value for key, value in asdict(report).items() if key != "folder"}
    path.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def _measure(report: Report, cache: Path, progress: bool) -> dict[str, Any]:
    from benchmark.pretraining.evaluate import held_out_pairs, probe, retrieval

    both = {}
    if MODELS[report.name].library == "open_clip":
        both = {"retrieval": retrieval(report.folder, held_out_pairs(cache, progress))}
    return {card.name: {**both, "probes": probe(card, cache, progress)} for card in report.cards}
