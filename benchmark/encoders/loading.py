"""From a card to a loaded encoder: which library, where the weights are, and what to say when they cannot be had."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import torch

from benchmark.catalog import EncoderCard, find_card, local_path
from benchmark.encoders.encoder import Encoder
from benchmark.encoders.offline import hub_reachable
from benchmark.encoders.torchvision_ops import declare_missing_ops
from benchmark.errors import InputError, WorkError, unknown

LIBRARIES = {
    "open_clip": "benchmark.encoders.from_open_clip",
    "timm": "benchmark.encoders.from_timm",
    "transformers": "benchmark.encoders.from_transformers",
}
TOKENS = {"image": ("cls", "mean", "last"), "text": ("cls", "eot", "last", "mean")}


def load_encoder(name_or_card: str | Path | EncoderCard, device: str = "cpu") -> Encoder:
    """Load the encoder of a card (its name, the path of a YAML file with one card, or the card itself).

    Raises InputError for an unknown name, a card that contradicts itself or a device that is not there, and WorkError
    when the weights cannot be had or loaded.
    """
    card = name_or_card if isinstance(name_or_card, EncoderCard) else find_card(EncoderCard, str(name_or_card))
    _check(card, device)
    folder = local_path(card.source, card.base)
    if folder is None and _names_a_folder(card.source):
        raise WorkError(
            f"encoder '{card.name}': there is no folder '{Path(card.base, card.source).expanduser()}'; "
            "set `source` in its card to a folder with the checkpoint, or to the name of a hub repository."
        )
    reachable = folder is not None or hub_reachable()
    try:
        declare_missing_ops()
        with _quiet():
            tower = import_module(LIBRARIES[card.library]).load_tower(card, folder)
        return Encoder(card, tower, device)
    except (InputError, WorkError):
        raise
    except Exception as error:  # a broken checkpoint can raise anything, in four libraries
        raise WorkError(_sentence(card, folder, reachable, error)) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the libraries' log: tables of unused heads, one error per file tried; what matters is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _check(card: EncoderCard, device: str) -> None:
    if card.library not in LIBRARIES:
        raise InputError(f"encoder '{card.name}': {unknown('library', card.library, LIBRARIES)}")
    if card.modality not in TOKENS:
        raise InputError(f"encoder '{card.name}': {unknown('modality', card.modality, TOKENS)}")
    if card.token not in TOKENS[card.modality]:
        rule = unknown(f"token rule of {card.modality} encoders", card.token, TOKENS[card.modality])
        raise InputError(f"encoder '{card.name}': {rule}")
    if card.library == "timm" and card.modality != "image":
        raise InputError(f"encoder '{card.name}': timm has image encoders only; set modality: image.")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(f"device '{device}' is not available here; use cpu, or cuda where torch sees a GPU.") from None


def _names_a_folder(source: str) -> bool:
    """Tell a path from a hub name (`organisation/name`), so that a wrong path is not looked up on the hub."""
    return not source.startswith("hf-hub:") and (source.startswith((".", "/", "~")) or source.count("/") > 1)


def _sentence(card: EncoderCard, folder: Path | None, reachable: bool, error: Exception) -> str:
    first_line = (str(error).strip().splitlines() or [""])[0].split(". ")[0].rstrip(".:")
    reason = f"{type(error).__name__}: {first_line[:200]}".rstrip(": ")
    if folder is not None:
        return f"encoder '{card.name}': the checkpoint in '{folder}' cannot be loaded by {card.library} ({reason})."
    where = f"'{card.source}'" + (f" with pretrained '{card.pretrained}'" if card.pretrained else "")
    state = "" if reachable else "the Hugging Face hub is out of reach or HF_HUB_OFFLINE is set; "
    return (
        f"encoder '{card.name}': cannot get {where} through {card.library} ({state}{reason}); put a copy of the "
        "checkpoint in a folder and name it in a card (`source: FOLDER`), or fill the Hugging Face cache (HF_HOME)."
    )
