"""The hub client's notes in its cache of which commit a branch or tag stood for. Nothing here looks at the network."""

import re
from contextlib import suppress
from pathlib import Path

COMMIT = re.compile(r"[0-9a-f]{40}")
"""A full commit, as against a branch or a tag."""


def store(kind: str, repository: str) -> Path:
    """Return the cache's folder for a repository of a kind (model | dataset), whether it exists or not."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE, f"{kind}s--" + repository.replace("/", "--"))


def noted_commit(kind: str, repository: str, revision: str) -> str:
    """Return the commit that a branch or tag stood for when it was last fetched; "" if it never was."""
    try:
        found = (store(kind, repository) / "refs" / revision).read_text().strip()
    except OSError:
        return ""
    return found if COMMIT.fullmatch(found) else ""


def note_commit(kind: str, repository: str, revision: str, commit: str) -> None:
    """Note that a branch or tag stands for a commit that was fetched.

    Files fetched by commit leave no such note, and without it nobody could find them offline by the branch's name.
    """
    if commit in (revision, noted_commit(kind, repository, revision)):
        return
    with suppress(OSError):  # a cache that cannot be written serves all the same
        path = store(kind, repository) / "refs" / revision
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(commit)
