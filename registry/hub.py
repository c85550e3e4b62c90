"""SAEs in repositories: pushed to the Hugging Face hub and pulled from it, or from and to folders of the same form."""

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.errors import InputError, unknown
from benchmark.sae.formats.about import About
from benchmark.sae.formats.published import find_saes, read_published
from registry.card import Entry, model_card
from registry.hub_client import fetch, names_in, upload
from registry.models import about_sae, load_sae

if TYPE_CHECKING:
    from benchmark.sae import TopKSAE

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LAYOUTS = ("own", "saelens")
"""Layouts that are written."""


class Pulled(NamedTuple):
    """An SAE from a repository."""

    sae: "TopKSAE"
    about: About
    layout: str
    place: str
    """Its folder or file within the repository."""
    repository: str
    commit: str
    """Commit of the hub; "" for a folder."""


def folder_of(repository: str) -> Path | None:
    """Return the folder that `repository` names: one that exists, or a path that starts like one; None: it is a name.

    Raises InputError for what is neither a folder nor OWNER/NAME.
    """
    path = Path(repository).expanduser()
    if repository.startswith((".", "/", "~")) or (repository and path.exists()):
        return path
    if not REPOSITORY.fullmatch(repository):
        raise InputError(
            f"'{repository}' is neither OWNER/NAME of a hub repository nor a folder; a folder that does not exist yet "
            "must start with ./ or /."
        )
    return None


def write_saes(
    uris: Sequence[str], folder: Path, layout: str, *, licence: str = "", encoders: Mapping[str, About] | None = None
) -> list[Entry]:
    """Write registered SAEs into a folder: one alone into the folder itself, several into a folder each.

    Args:
        uris: `models:/NAME/VERSION` or `models:/NAME@ALIAS`.
        folder: made if it does not exist.
        layout: own | saelens.
        licence: what is stated as the SAEs' licence ("": that of the encoder's weights).
        encoders: what is known of each encoder (weights, licence), for SAEs that do not state it.

    Raises:
        InputError: an unknown layout, no SAE or one twice.
        ValueError: a model that is no SAE.
    """
    from benchmark.sae import write_sae
    from benchmark.sae.formats.saelens import write_saelens

    if layout not in LAYOUTS:
        raise unknown("format", layout, LAYOUTS)
    places = [re.sub(r"[^A-Za-z0-9_-]+", "-", uri.removeprefix("models:/")) for uri in uris]
    if not uris or len(set(places)) < len(places):
        raise InputError("name at least one SAE, and none twice (models:/NAME/VERSION, separated by commas).")
    entries = []
    for uri, place in zip(uris, places if len(uris) > 1 else ["."], strict=True):
        sae, about = load_sae(uri), about_sae(uri)
        known = (encoders or {}).get(about.encoder, About())
        about = replace(
            about, licence=licence or about.licence or known.licence, weights=about.weights or known.weights
        )
        write = write_sae if layout == "own" else write_saelens
        write(sae, folder / place, about)
        entries.append(Entry(place, about, sae.d, sae.n_latents, sae.k))
    return entries


def push_sae(
    uris: str | Sequence[str],
    repository: str,
    *,
    layout: str = "own",
    private: bool = True,
    revision: str = "",
    licence: str = "",
    encoders: Mapping[str, About] | None = None,
) -> str:
    """Write registered SAEs and a model card into a repository, in one commit, and return where they are.

    The token is that of the environment (HF_TOKEN, or what `hf auth login` stored). Files of the same names are
    replaced, others stay.

    Args:
        uris: one SAE, or several, each of which gets a folder.
        repository: OWNER/NAME on the hub, made if it does not exist, or a folder.
        layout: own | saelens.
        private: whether a new repository is private; an existing public one is refused then.
        revision: branch of the hub repository, made if it does not exist ("": main).
        licence, encoders: those of `write_saes`.

    Raises:
        InputError: the request is wrong, or the token does not allow it.
        WorkError: the hub did not answer or did not take the files.
    """
    folder = folder_of(repository)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        saes = [uris] if isinstance(uris, str) else list(uris)
        entries = write_saes(saes, work, layout, licence=licence, encoders=encoders)
        (work / "README.md").write_text(model_card(entries, layout), encoding="utf-8")
        if folder is None:
            return upload(work, repository, private=private, revision=revision, n=len(entries))
        if revision:
            raise InputError(f"'{repository}' is a folder, which has no revisions; leave revision out.")
        shutil.copytree(work, folder, dirs_exist_ok=True)
        return str(folder)


def pull_sae(repository: str, revision: str = "", path: str = "", k: int | None = None) -> Pulled:
    """Read an SAE of any known layout from a repository; only the files of that SAE are fetched.

    Args:
        repository: OWNER/NAME on the hub, or a folder (or one file, a state dict).
        revision: branch, tag or commit on the hub ("": main).
        path: folder or file of the SAE within the repository; needed where it holds several.
        k: active latents; needed for a state dict, which does not say it.

    Raises:
        InputError: no such repository, revision or SAE, or an SAE that a TopKSAE cannot represent.
        WorkError: the hub did not answer.
    """
    folder = folder_of(repository)
    if folder is None:
        root, commit, place, layout = fetch(repository, revision, lambda names: _choose(names, path, repository))
    else:
        if revision:
            raise InputError(f"'{repository}' is a folder, which has no revisions; leave revision out.")
        commit, root = "", folder.parent if folder.is_file() else folder
        names = [folder.name] if folder.is_file() else names_in(folder)
        place, layout = _choose(names, path, repository)
    found = read_published(root / place, layout, k)
    return Pulled(found.sae, found.about, layout, place, repository, commit)


def _choose(names: Sequence[str], path: str, repository: str) -> tuple[str, str]:
    """Return the place and layout of the SAE at `path`, or of the only one."""
    found = find_saes(names)
    wanted = path.strip("/")
    if wanted in names and wanted not in found:
        found = find_saes([wanted])  # a single file beside SAEs in folders
    if not found:
        raise InputError(
            f"{repository} holds no SAE in a known layout: config.json with model.safetensors (own), cfg.json with "
            "sae_weights.safetensors (SAELens) or with sae.safetensors (sparsify), or a state dict (.pt, .safetensors)."
        )
    if not wanted and len(found) > 1:
        some = ", ".join(list(found)[:8]) + ", ..." * (len(found) > 8)
        raise InputError(f"{repository} holds {len(found)} SAEs; name one with path: {some}.")
    place = wanted or next(iter(found))
    if place not in found:
        raise unknown(f"SAE in {repository}", place, found)
    return place, found[place]
