"""Where on the Hugging Face hub a card's weights are, at which commit, and whether they lie in the cache here."""

import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmark import hub_refs, offline
from benchmark.catalog import EncoderCard, local_path
from benchmark.encoders import hub_cache, reasons
from benchmark.errors import WorkError

NOT_ON_THE_HUB = ("python", "activations")


def folder(card: EncoderCard) -> Path | None:
    """Return the file or folder that a card's source names, None for hub and library names.

    Raises WorkError for a source that looks like a path where nothing is: it must not be looked up on the hub.
    """
    found, source = local_path(card.source, card.base), card.source
    looked = Path(card.base, Path(source).expanduser())
    if found is None and card.library == "activations":
        raise WorkError(
            f"encoder '{card.name}': there is no file or folder '{looked}'; set `source` in its card to the vectors."
        )
    looks_local = source.startswith((".", "/", "~")) or source.count("/") > 1
    if found is None and looks_local and card.library != "python" and not source.startswith("hf-hub:"):
        raise WorkError(
            f"encoder '{card.name}': there is no folder '{looked}'; set `source` in its card to a folder "
            "with the checkpoint, or to the name of a hub repository."
        )
    return found


def repository(card: EncoderCard) -> str | None:
    """Return the hub repository that holds a card's weights; None for local files and names that no library knows.

    open_clip's pairs of architecture and tag, and timm's own model names, stand for a repository by the library's
    table; where that gives the address of a file outside the hub, the address is returned.
    """
    if card.library in NOT_ON_THE_HUB or local_path(card.source, card.base) is not None:
        return None
    if _is_repository(card):
        return card.source.removeprefix("hf-hub:")
    if card.library == "open_clip":
        entry = _open_clip_table().get_pretrained_cfg(card.source, card.pretrained)
        # 'organisation/name/' or 'organisation/name/file'
        return entry.get("hf_hub", "").rpartition("/")[0] or entry.get("url") or None
    return _timm_table(card.source)


def can_pin(card: EncoderCard) -> bool:
    """Whether loading can ask for one commit of the card's repository, by its field `revision`.

    It cannot where only a library's table leads from the card to the repository and the card gives no revision: then
    the library itself takes what the repository's main branch is.
    """
    return repository(card) is not None and (_is_repository(card) or bool(card.revision))


def commit(card: EncoderCard) -> str:
    """Return the commit of a card's hub repository that this process loads; "" where the weights are not on the hub.

    That is the card's `revision` if it is a full commit; otherwise what its branch or tag (default: main) points at,
    asked once per process, or read from the cache when the hub does not answer.
    Raises WorkError when neither tells: offline and never fetched, no such repository or revision, or no access.
    """
    name = repository(card)
    if name is None or "://" in name:
        return ""
    if hub_refs.COMMIT.fullmatch(card.revision):
        return card.revision
    try:
        return _resolve(name, card.revision or "main")
    except Exception as error:  # whatever the hub's client raises, the reason goes into the sentence
        raise cannot_get(card, error) from error


def remember(card: EncoderCard, loaded: str) -> None:
    """Note in the hub's cache that the card's branch points at the commit that was loaded from it."""
    name = repository(card)
    if name and loaded and card.revision != loaded:
        hub_refs.note_commit("model", name, card.revision or "main", loaded)


def is_cached(card: EncoderCard) -> bool:
    """Whether loading a card's encoder needs no download. Looks at the disk only, never at the network."""
    name = repository(card)
    if name is None:
        return card.library in NOT_ON_THE_HUB or local_path(card.source, card.base) is not None
    if "://" in name:
        return hub_cache.is_downloaded(card.library, name)
    pinned = hub_refs.COMMIT.fullmatch(card.revision) is not None
    found = card.revision if pinned else hub_refs.noted_commit("model", name, card.revision or "main")
    return bool(found) and hub_cache.holds(name, found, card.library, card.modality, configured=can_pin(card))


def download_mb(card: EncoderCard) -> int:
    """Return the size of the download that the card states, in MB (10^6 bytes); 0 for files on this machine."""
    return 0 if repository(card) is None else card.download_mb


def cannot_get(card: EncoderCard, error: BaseException) -> WorkError:
    """Return the error that says in one sentence which weights cannot be had, why, and how to bring one's own copy."""
    return WorkError(
        f"encoder '{card.name}': cannot get {_what(card)} through {card.library}: {_reason(card, error)}; put a copy "
        "of the checkpoint in a folder and name it in a card (`source: FOLDER`), or fill the Hugging Face cache "
        "(HF_HOME)."
    )


def cannot_load(card: EncoderCard, error: BaseException) -> WorkError:
    """Return the error for weights from the hub that failed to load: what could not be fetched, or what is wrong."""
    from huggingface_hub import constants

    # open_clip keeps a failed download to itself and says that there are no weights.
    silent = constants.is_offline_mode() or card.library == "open_clip"
    if reasons.is_of_the_network(error) or (silent and not is_cached(card)):
        return cannot_get(card, error)
    return WorkError(
        f"encoder '{card.name}': {_what(card)} was fetched, but cannot be loaded by {card.library} "
        f"({reasons.short_reason(error)})."
    )


def _what(card: EncoderCard) -> str:
    name = repository(card)
    known = f" ({name})" if name and name not in card.source else ""
    return f"'{card.source}'" + (f" with pretrained '{card.pretrained}'" if card.pretrained else "") + known


def _reason(card: EncoderCard, error: BaseException) -> str:
    from huggingface_hub import constants, errors

    name, chain = repository(card) or "", list(reasons.causes(error))
    for kind, reason in (
        (errors.GatedRepoError, f"it is gated, so accept its conditions at {constants.ENDPOINT}/{name} and log in"),
        (errors.RepositoryNotFoundError, f"{constants.ENDPOINT} has no such repository, or it is private"),
        (errors.RevisionNotFoundError, f"it has no revision '{card.revision or 'main'}'"),
    ):
        if any(isinstance(link, kind) for link in chain):
            return reason
    text = reasons.short_reason(error)
    if not constants.is_offline_mode():
        return text
    missing = f"something is missing in its cache ({text})" if is_cached(card) else "the weights are not in its cache"
    return f"the Hugging Face hub is out of reach or HF_HUB_OFFLINE is set, and {missing}"


def _resolve(name: str, revision: str) -> str:
    from huggingface_hub.errors import LocalEntryNotFoundError

    failure: Exception = LocalEntryNotFoundError(f"no copy of revision '{revision}'")
    if offline.hub_reachable():
        try:
            return _ask(name, revision)
        except Exception as error:  # a copy in the cache still serves
            failure = error
    known = hub_refs.noted_commit("model", name, revision)
    if not known:
        raise failure
    return known


@cache
def _ask(name: str, revision: str) -> str:
    """Ask the hub for a revision's commit; the answer holds for the whole process, however the branch moves on."""
    from huggingface_hub import HfApi

    found = HfApi().model_info(name, revision=revision, timeout=offline.PROBE_SECONDS).sha
    if not found:
        raise LookupError(f"the hub names no commit of revision '{revision}'")
    return found


def _is_repository(card: EncoderCard) -> bool:
    """Tell repositories from open_clip's architectures and timm's model names, which hold no slash."""
    if card.library == "open_clip":
        return card.source.startswith("hf-hub:")
    return card.library != "timm" or "/" in card.source


@cache
def _open_clip_table() -> Any:
    """Return open_clip.pretrained, under another name as long as open_clip itself is not loaded.

    open_clip/__init__ imports every model, and the table's module imports safetensors.torch only to find out whether
    it is there: together three seconds that a listing has no use for.
    """
    if "open_clip" in sys.modules:
        return import_module("open_clip.pretrained")
    found = find_spec("open_clip")
    package = ModuleType("_open_clip_table")
    package.__path__ = list(found.submodule_search_locations or []) if found else []
    sys.modules[package.__name__] = package
    hidden = "safetensors.torch" not in sys.modules
    if hidden:
        sys.modules["safetensors.torch"] = None  # type: ignore[assignment]  # importing it raises ImportError
    try:
        return import_module(f"{package.__name__}.pretrained")
    finally:
        if hidden:
            del sys.modules["safetensors.torch"]


@cache
def _timm_table(model: str) -> str | None:
    from benchmark.encoders.torchvision_ops import declare_missing_ops

    declare_missing_ops()
    import timm

    entry = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    source = (entry.hf_hub_id or entry.url) if entry else None
    return source if isinstance(source, str) and source else None
