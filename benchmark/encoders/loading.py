"""From a card to a loaded encoder: which library, where the weights are, and what to say when they cannot be had."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import torch

from benchmark.catalog import EncoderCard, find_card, local_path
from benchmark.encoders import hub, reasons
from benchmark.encoders.encoder import Encoder
from benchmark.encoders.room import check_room
from benchmark.encoders.torchvision_ops import declare_missing_ops
from benchmark.errors import InputError, WorkError, unknown
from benchmark.hub_refs import noted_commit
from benchmark.offline import hub_reachable

LIBRARIES = {
    "open_clip": "benchmark.encoders.from_open_clip",
    "timm": "benchmark.encoders.from_timm",
    "transformers": "benchmark.encoders.from_transformers",
    "mambavision": "benchmark.encoders.from_mambavision",
    "diffusers": "benchmark.encoders.from_diffusers",
    "python": "benchmark.encoders.from_python",
}
TOKENS = {"image": ("cls", "mean", "last"), "text": ("cls", "eot", "last", "mean")}


def load_encoder(
    name_or_card: str | Path | EncoderCard,
    device: str = "cpu",
    *,
    precision: str = "float32",
    compile: bool = False,
    trust_remote_code: bool = False,
) -> Encoder:
    """Load the encoder of a card (its name, the path of a YAML file with one card, or the card itself).

    precision and compile: see `Encoder`. trust_remote_code: the user's word that code of the checkpoint's repository
    may run; it counts only for a card that asks for it. A hub repository is loaded at the commit that `hub.commit`
    names, which is the one in the content keys.

    Raises InputError for an unknown name, a card that contradicts itself, a device that is not there or remote code
    that the user has not confirmed, and WorkError when the weights cannot be had or loaded, or need more memory than
    there is.
    """
    card = name_or_card if isinstance(name_or_card, EncoderCard) else find_card(EncoderCard, str(name_or_card))
    _check(card, device)
    if card.trust_remote_code and not trust_remote_code:
        raise InputError(
            f"encoder '{card.name}' runs code that its checkpoint '{card.source}' brings along: read that code, and if "
            "you trust it, add --trust_remote_code."
        )
    folder = hub.folder(card)
    commit = hub.commit(card)
    if hub.repository(card) is not None:
        hub_reachable()  # offline, the hub's client would retry each file for half a minute
    check_room(card, folder, commit)
    pinned = replace(card, revision=commit) if commit and hub.can_pin(card) else card
    try:
        declare_missing_ops()
        with _quiet():
            load_tower = import_module(LIBRARIES[card.library]).load_tower
            tower = load_tower(pinned, folder, trust_remote_code=card.trust_remote_code)
        _check_commit(card, commit)
        encoder = Encoder(card, tower, device, precision=precision, compile=compile)
    except (InputError, WorkError) as error:
        if f"'{card.name}'" in str(error):
            raise
        raise type(error)(f"encoder '{card.name}': {error}") from error
    except Exception as error:  # a broken checkpoint can raise anything, in six libraries
        raise _failure(pinned, folder, error) from error
    hub.remember(card, commit)
    return encoder


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the libraries' log and warnings: tables of unused heads, one error per file tried, old names of theirs.

    What matters is raised. Not for several threads at once: warnings are silenced for the whole process.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for kind in (UserWarning, FutureWarning, DeprecationWarning):
                warnings.simplefilter("ignore", kind)
            yield
    finally:
        logging.disable(before)


def _check(card: EncoderCard, device: str) -> None:
    if card.library == "activations":
        raise InputError(
            f"encoder '{card.name}' holds vectors made elsewhere and cannot encode anything; read them with "
            "benchmark.encoders.recorded.load_recorded."
        )
    if card.library not in LIBRARIES:
        raise InputError(f"encoder '{card.name}': {unknown('library', card.library, LIBRARIES)}")
    if card.modality not in TOKENS:
        raise InputError(f"encoder '{card.name}': {unknown('modality', card.modality, TOKENS)}")
    if card.token not in TOKENS[card.modality]:
        rule = unknown(f"token rule of {card.modality} encoders", card.token, TOKENS[card.modality])
        raise InputError(f"encoder '{card.name}': {rule}")
    _check_padding(card)
    _check_read(card)
    if card.library == "timm" and card.modality != "image":
        raise InputError(f"encoder '{card.name}': timm has image encoders only; set modality: image.")
    if card.library == "timm" and card.revision and "/" not in card.source and (name := hub.repository(card)):
        raise InputError(
            f"encoder '{card.name}': `revision` applies to hub repositories, but '{card.source}' is a name of timm's "
            f"own; write `source: hf-hub:{name}`."
        )
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(f"device '{device}' is not available here; use cpu, or cuda where torch sees a GPU.") from None


def _check_padding(card: EncoderCard) -> None:
    if card.padding < 0:
        raise InputError(f"encoder '{card.name}': padding must be 0 or more tokens, got {card.padding}.")
    if card.padding and card.modality == "image":
        raise InputError(f"encoder '{card.name}': `padding` is for captions; leave it out of an image encoder's card.")
    if card.padding and card.library == "open_clip":
        raise InputError(
            f"encoder '{card.name}': open_clip's text encoders always read captions at their model's own length; "
            "leave `padding` out."
        )


def _check_read(card: EncoderCard) -> None:
    """Raise InputError for a field that would change nothing (a tower of the user's own may read any of them)."""
    where = f"encoder '{card.name}'"
    if card.library == "python":
        return
    local = local_path(card.source, card.base) is not None
    if card.pretrained and (card.library != "open_clip" or local or card.source.startswith("hf-hub:")):
        raise InputError(
            f"{where}: `pretrained` names the weights of an architecture of open_clip, but '{card.source}' has weights "
            "of its own; leave it out."
        )
    if card.revision and local:
        raise InputError(
            f"{where}: `revision` applies to hub repositories, but '{card.source}' is a folder here; leave it out."
        )
    if card.timestep and card.library != "diffusers":
        raise InputError(
            f"{where}: `timestep` is for diffusion models (library: diffusers), not for {card.library}; leave it out."
        )


def _check_commit(card: EncoderCard, commit: str) -> None:
    """Raise WorkError if a library that finds the repository in its own table has loaded another commit of it."""
    name = hub.repository(card)
    if commit and name and not hub.can_pin(card) and noted_commit("model", name, "main") != commit:
        raise WorkError(
            f"encoder '{card.name}': {name} changed on the hub while it was being loaded; start again, or pin a commit "
            f"(`source: hf-hub:{name}` with `revision`)."
        )


def _failure(card: EncoderCard, folder: Path | None, error: Exception) -> Exception:
    if card.library == "transformers" and not card.trust_remote_code and reasons.asks_for_code(error):
        return InputError(
            f"encoder '{card.name}': the checkpoint '{folder or card.source}' brings code of its own that must run: "
            "read it, and if you trust it, set `trust_remote_code: true` in the card and add --trust_remote_code."
        )
    if card.library == "timm" and isinstance(error, KeyError) and error.args == ("architecture",):
        return WorkError(
            f"encoder '{card.name}': the config.json of '{folder or card.source}' names no `architecture` of timm; if "
            "the checkpoint is one of transformers, set library: transformers in its card."
        )
    reason = reasons.short_reason(error)
    if folder is not None:
        return WorkError(
            f"encoder '{card.name}': the checkpoint in '{folder}' cannot be loaded by {card.library} ({reason})."
        )
    if card.library == "python":
        return WorkError(f"encoder '{card.name}': the tower that '{card.source}' returned cannot be used ({reason}).")
    return hub.cannot_load(card, error)
