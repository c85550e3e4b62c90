"""What lies in the caches of the Hugging Face libraries on this machine. Nothing here looks at the network."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from benchmark.hub_refs import COMMIT, noted_commit, store

PART = re.compile(r"(.*)-\d{5}-of-(\d{5})\b")
NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
"""Names of repositories: owner/name, or only the name of a very old one."""


def cached_commit(repository: str, revision: str) -> str:
    """Return the commit that a branch stood for when it was last fetched, "" if it never was.

    A branch that only the `datasets` library itself fetched has left no note; then it is the newest commit that this
    library has prepared, if the branch is main.
    """
    if noted := noted_commit("dataset", repository, revision):
        return noted
    folders = sorted(_prepared_folders(repository, "*"), key=lambda folder: folder.stat().st_mtime)
    return folders[-1].name if folders and revision == "main" else ""


def prepared(repository: str, config: str, split: str, commit: str) -> Any:
    """Return the split that the `datasets` library prepared of a commit; None if it has not.

    Raises ValueError for a split that does not exist.
    """
    folder = _prepared_folder(repository, config, commit)
    if folder is None:
        return None
    from datasets.packaged_modules.cache.cache import Cache
    from pyarrow import ArrowException

    try:
        builder = Cache(
            repo_id=repository,
            dataset_name=repository.rpartition("/")[2],
            config_name=folder.parts[-3],
            version=folder.parts[-2],
            hash=commit,
        )
        return builder.as_dataset(split=split)
    except (OSError, KeyError, ArrowException):  # another layout, or damaged: the library fetches it again
        return None


def snapshot(repository: str, commit: str) -> Path | None:
    """Return the folder with a commit's files as they were downloaded; None if they are not here, or not all of them.

    Of files called like part-00000-of-00040.parquet all parts must be there: a download may have been cut short.
    """
    folder = store("dataset", repository) / "snapshots" / commit
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "README.md"]
    parts = Counter(
        (path.parent, found[1], int(found[2])) for path in files if (found := PART.match(path.name)) is not None
    )
    return folder if files and all(count == total for (_, _, total), count in parts.items()) else None


def is_prepared(repository: str, config: str, revision: str) -> bool:
    """Whether the library has prepared a repository's configuration at a revision, so that it loads offline."""
    commit = revision if COMMIT.fullmatch(revision) else cached_commit(repository, revision or "main")
    return bool(commit) and _prepared_folder(repository, config, commit) is not None


def _prepared_folder(repository: str, config: str, commit: str) -> Path | None:
    folders = {folder.parts[-3]: folder for folder in _prepared_folders(repository, commit)}
    only = next(iter(folders)) if len(folders) == 1 else "default"
    return folders.get(config or only)


def _prepared_folders(repository: str, commit: str) -> list[Path]:
    """Return the folders CONFIGURATION/VERSION/COMMIT of the library's cache; unfinished ones have another name."""
    import datasets
    from datasets.naming import camelcase_to_snakecase

    owner, slash, name = repository.rpartition("/")
    root = Path(datasets.config.HF_DATASETS_CACHE, f"{owner}{'___' * bool(slash)}{camelcase_to_snakecase(name)}")
    found = root.glob(f"*/*/{commit}/dataset_info.json")
    return [path.parent for path in found if COMMIT.fullmatch(path.parent.name)]
