"""Repositories of the Hugging Face hub, or local copies of them, at one commit.

A branch is resolved to its commit first, and everything is kept under that commit: a branch that moves is another
dataset. No code of a repository ever runs.
"""

import logging
import os
import re
from itertools import chain
from pathlib import Path
from typing import Any

from benchmark import hub_refs
from benchmark.catalog import DatasetCard, local_path
from benchmark.datasets import hub_cache
from benchmark.datasets.arrow import library
from benchmark.datasets.hashing import digest_all
from benchmark.datasets.remote import unreachable
from benchmark.datasets.source import stamp
from benchmark.datasets.urls import public
from benchmark.errors import InputError, WorkError
from benchmark.offline import PROBE_SECONDS, hub_reachable

LOG = logging.getLogger("benchmark")
CONFIGURATIONS = re.compile(r"Config name is missing.*available configs: \[([^]]*)\]", re.DOTALL)
"""What the `datasets` library says, over several lines, where a repository has no default configuration."""


class Repository:
    """What a card says about where the data is, resolved to one commit or one state of a folder."""

    def __init__(self, card: DatasetCard, cache: Path) -> None:
        """Resolve the card's source; see `hub.hub_source`."""
        self.card = card
        self.folder = local_path(card.source, card.base)
        self._cache = cache
        if self.folder is None:
            if not hub_cache.NAME.fullmatch(card.source):
                raise InputError(
                    f"dataset '{card.name}': its source '{card.source}' is neither an existing folder nor the name of "
                    "a hub repository (owner/name); correct the card's `source`."
                )
            self.place, self.commit = card.source, commit_of(card, card.source, card.revision or "main")
        elif not self.folder.is_dir():
            raise InputError(f"dataset '{card.name}': kind hub needs a folder, and {self.folder} is none.")
        else:
            self.place, self.commit = str(self.folder), _state(self.folder)

    @property
    def roots(self) -> list[str]:
        """Folders in which the table's images may lie, if it does not hold them."""
        if self.folder is not None:
            return [str(self.folder)]
        import datasets

        downloads = os.path.join(datasets.config.HF_DATASETS_CACHE, "downloads")
        return [str(hub_refs.store("dataset", self.place)), downloads]

    def load(self, progress: bool, streaming: bool) -> Any:
        """Return the split as the library gives it, fetched if it is not here yet.

        Raises InputError for a configuration or split that does not exist, WorkError if fetching fails.
        """
        from datasets.exceptions import DatasetGenerationError, DatasetsError
        from huggingface_hub.errors import HfHubHTTPError

        card = self.card
        try:
            with library(progress) as datasets:
                found = self._prepared(streaming)
                found = datasets.load_dataset(**self._options(streaming)) if found is None else found
        except (InputError, WorkError):
            raise
        except Exception as error:  # the library and the hub's client have many
            cause = error.__cause__ or error if isinstance(error, DatasetGenerationError) else error
            what = f"split '{card.split}' of {self.place}" + f", configuration '{card.config}'" * bool(card.config)
            if isinstance(cause, (DatasetsError, ValueError, RuntimeError)) and not isinstance(cause, HfHubHTTPError):
                raise InputError(f"dataset '{card.name}': cannot read {what}: {reason(cause)}.") from error
            raise WorkError(f"dataset '{card.name}': cannot fetch {what}: {reason(cause)}.") from error
        self.remember()
        return found

    def _prepared(self, streaming: bool) -> Any:
        if streaming or self.folder is not None:
            return None
        return hub_cache.prepared(self.place, self.card.config, self.card.split, self.commit)

    def _options(self, streaming: bool) -> dict[str, Any]:
        """Return the arguments with which the library loads the split, of files here or else of the hub's."""
        options = {"name": self.card.config or None, "split": self.card.split, "streaming": streaming}
        folder = self.folder
        if folder is None:
            if hub_reachable():
                return options | {"path": self.place, "revision": self.commit}
            folder = hub_cache.snapshot(self.place, self.commit)
        if folder is None:
            raise WorkError(unreachable(self.card, f"commit {self.commit[:8]} of {self.place}"))
        # The library's own cache key does not cover what the folder's files hold, so each state of it gets a folder.
        return options | {"path": str(folder), "cache_dir": str(self._cache / "datasets" / f"arrow-{self.commit}")}

    def remember(self) -> None:
        """Note which commit the branch stands for, so that it is found offline."""
        if self.folder is None:
            hub_refs.note_commit("dataset", self.place, self.card.revision or "main", self.commit)


def commit_of(card: DatasetCard, repository: str, revision: str) -> str:
    """Return the commit that a revision of a repository stands for, from the hub or else from the cache.

    Raises InputError where the hub knows no such repository or revision, WorkError where nothing can be found out.
    """
    if hub_refs.COMMIT.fullmatch(revision):
        return revision
    if hub_reachable():
        from huggingface_hub import HfApi, errors

        where = f"dataset '{card.name}': the hub repository {repository}"
        try:
            if found := HfApi().dataset_info(repository, revision=revision, timeout=PROBE_SECONDS).sha:
                return found
        except errors.GatedRepoError as error:
            raise WorkError(f"{where} is gated: accept its conditions on its page, and log in.") from error
        except errors.RepositoryNotFoundError as error:
            raise InputError(f"{where} does not exist, or is private; correct the card's `source`.") from error
        except errors.RevisionNotFoundError as error:
            raise InputError(f"{where} has no revision '{revision}'; correct the card.") from error
        except Exception as error:  # whatever else goes wrong, a copy in the cache still serves
            LOG.warning("%s did not answer (%s)", where, reason(error))
    if known := hub_cache.cached_commit(repository, revision):
        return known
    raise WorkError(unreachable(card, f"the repository {repository}"))


def _state(folder: Path) -> str:
    """Return what tells one state of a local copy from another: the names and stamps of its files."""
    found = []
    for inner, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(inner, name) for name in names]
    return digest_all(chain.from_iterable((str(path), stamp(path)) for path in sorted(found)))


def reason(error: BaseException) -> str:
    """Return the type of an error and the first line of its message, or what a card can do about it."""
    if found := CONFIGURATIONS.search(str(error)):
        return f"it has several configurations; name one of {found[1]} in the card (field `config`)"
    lines = public(str(error)).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}".rstrip(".: ")
