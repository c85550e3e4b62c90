"""Datasets of the Hugging Face hub, or of a local copy of such a repository, fetched whole or as a stream."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import hub_refs
from benchmark.catalog import DatasetCard, local_path
from benchmark.datasets import hub_cache
from benchmark.datasets.arrow import ArrowSource, choose_columns, image_bytes
from benchmark.datasets.hashing import digest_all
from benchmark.datasets.repository import Repository, reason
from benchmark.datasets.source import Source, check_inside, keys, row_number, texts
from benchmark.datasets.streaming import BUFFER, Streamed, StreamedSource, keep, needed, without_id
from benchmark.errors import InputError, WorkError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

VERSION = "1"


def hub_source(card: DatasetCard, cache: Path, progress: bool) -> Source:
    """Return the source of the repository, or of the local copy of one, that `card` names.

    With `card.streaming` the first `max_samples` samples are fetched and kept in `cache`, else the library fetches the
    split into its own cache. Raises InputError for a name that is neither, or one that the hub does not know;
    WorkError if the hub cannot be reached and there is no copy.
    """
    repository = Repository(card, cache)
    if not card.streaming:
        return HubSource(repository, progress)
    wanted = (card.image, card.caption, card.id, card.group, card.config, card.split)
    asked = (VERSION, repository.place, repository.commit, str(needed(card)), str(card.shuffle_seed), *wanted)
    path = cache / "datasets" / f"stream-{digest_all(asked)}" / "samples.parquet"
    if not path.is_file():
        keep(HubStream(repository), path, card, progress)
        repository.remember()
    return StreamedSource(path, card, cache, progress)


class HubSource(ArrowSource):
    """One split of a repository, in the library's cache."""

    def __init__(self, repository: Repository, progress: bool) -> None:
        """Describe the split; nothing is fetched until its rows or images are read."""
        super().__init__(Path(repository.place), repository.card)
        self.place = self.shown = repository.place
        self.folder = repository.folder or hub_refs.store("dataset", repository.place)
        self._repository = repository
        self._progress = progress

    def state(self) -> str:
        """Return commit (or state of a local copy when it was opened), configuration and split; see `Source.state`."""
        return digest_all((self._repository.commit, self.card.config, self.card.split))

    @cached_property
    def table(self) -> "datasets.Dataset":
        """The split; see `ArrowSource.table`."""
        return self._repository.load(self._progress, streaming=False)

    @cached_property
    def schema(self) -> "pa.Schema":
        """The split's Arrow schema."""
        return self.table.features.arrow_schema

    def check_files(self, files: Sequence[str | None]) -> None:
        """Raise InputError unless all image files lie in the repository; see `ArrowSource.check_files`.

        Where a repository holds images as files, the library names the copies it has fetched by their full paths.
        """
        for root in self._repository.roots:
            within = [file for file in files if file is not None and file.startswith(root + os.sep)]
            check_inside(Path(root), [os.path.relpath(file, root) for file in within], self.shown)
            files = [None if file in set(within) else file for file in files]
        check_inside(self.folder, files, self.shown)


class HubStream:
    """The samples of a split as they arrive; see `streaming.Stream`."""

    def __init__(self, repository: Repository) -> None:
        """Describe the split."""
        self._repository = repository
        self.has_images = self.has_captions = False
        self.columns: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Streamed]:
        """Yield the samples. Without an id column their ids are their places in this stream."""
        card, path = self._repository.card, self._repository.place
        stream = self._repository.load(progress=False, streaming=True)
        try:
            stream = stream._resolve_features()  # from the first samples, where the repository does not tell
            schema = stream.features.arrow_schema
            roles = choose_columns(path, schema, card)
            self.has_images, self.has_captions = roles.image is not None, roles.caption is not None
            self.columns = tuple(schema.names)
            # Casting the column, as for a table that is here, leaves the images of some formats decoded.
            stream = stream.decode(False).select_columns([name for name in dict.fromkeys(roles) if name])
            if card.shuffle_seed >= 0:
                stream = stream.shuffle(seed=card.shuffle_seed, buffer_size=BUFFER)
            # A place in one order is another sample than the same place in another.
            prefix = f"shuffle{card.shuffle_seed}-" if card.shuffle_seed >= 0 else ""
            for row, sample in enumerate(stream):
                (id_,) = keys([sample[roles.id]]) if roles.id else [None]
                (group,) = keys([sample[roles.group]]) if roles.group else [None]
                (captions,) = texts([sample[roles.caption]], path, roles.caption) if roles.caption else [[]]
                image = self._image(sample[roles.image]) if roles.image else None
                named, missing = (id_, without_id(card)) if card.id else (None, "")
                yield Streamed(named or prefix + row_number(row), group, image, captions, "" if named else missing)
        except (InputError, WorkError):
            raise
        except Exception as error:  # the hub's client has many
            raise WorkError(f"dataset '{card.name}': the stream of {path} broke off: {reason(error)}.") from error

    def _image(self, value: dict | bytes | None) -> bytes | None:
        """Return an image's bytes, fetched if it is a file of the repository; None if there is none."""
        path = value.get("path") if isinstance(value, dict) and value.get("bytes") is None else None
        if path is None:
            return image_bytes(value)
        from datasets.utils.file_utils import xopen

        repository = self._repository
        root = next((root for root in repository.roots if path.startswith(root + os.sep)), None)
        if root is not None:
            check_inside(Path(root), [os.path.relpath(path, root)], repository.place)
        elif not path.rpartition("::")[2].startswith(f"hf://datasets/{repository.place}@{repository.commit}/"):
            return None
        with xopen(path, "rb") as file:
            return file.read()


def is_fetched(card: DatasetCard) -> bool:
    """Whether loading a card's data needs no download. Looks at the disk only, never at the network."""
    if not card.source or local_path(card.source, card.base) is not None:
        return True
    known = card.kind == "hub" and hub_cache.NAME.fullmatch(card.source) is not None
    return known and hub_cache.is_prepared(card.source, card.config, card.revision)
