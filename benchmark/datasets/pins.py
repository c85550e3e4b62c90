"""Shards on the Hugging Face hub, at one commit: a branch is resolved before anything is read of it."""

import re
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote, unquote

from benchmark import hub_refs
from benchmark.catalog import DatasetCard
from benchmark.datasets.repository import commit_of
from benchmark.errors import InputError

SHARDS = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)(?:@(refs/convert/\w+|refs/pr/\d+|[^/]+))?/(.+)")


class Pin(NamedTuple):
    """A repository of the hub, and the commit that its revision stands for."""

    repository: str
    revision: str
    commit: str

    def remember(self) -> None:
        """Note what the revision stands for, so that what was fetched is found offline."""
        hub_refs.note_commit("dataset", self.repository, self.revision, self.commit)


def pinned(card: DatasetCard) -> tuple[DatasetCard, Pin | None]:
    """Return `card` with the commit in its `source`, and the pin; unchanged and None if it is not on the hub.

    Raises InputError for a source of another form, or an unknown repository or revision; WorkError if the hub cannot be
    reached and nothing was fetched before.
    """
    if not card.source.startswith("hf://"):
        return card, None
    found = SHARDS.fullmatch(card.source)
    if found is None:
        raise InputError(
            f"dataset '{card.name}': its source '{card.source}' must look like hf://datasets/OWNER/NAME/SHARDS.tar or "
            "hf://datasets/OWNER/NAME@COMMIT/SHARDS.tar."
        )
    repository, revision, path = found[1], unquote(found[2] or "main"), found[3]
    pin = Pin(repository, revision, commit_of(card, repository, revision))
    return replace(card, source=f"hf://datasets/{repository}@{quote(pin.commit, safe='')}/{path}"), pin
