"""Folders of images, with one metadata file at the top (the image folders of Hugging Face) or without any."""

import os
from collections import Counter
from pathlib import Path

from benchmark.catalog import DatasetCard
from benchmark.datasets.hashing import digest_all
from benchmark.datasets.metadata import METADATA, read_records
from benchmark.datasets.source import (
    Rows,
    Source,
    assign,
    check_ids,
    check_inside,
    find_column,
    keys,
    row_number,
    texts,
)
from benchmark.errors import InputError

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif")
"""Endings of the files that count as images where no metadata says so."""


class FolderSource(Source):
    """A folder of image files, and a metadata file that names each one (column file_name) and gives its captions.

    Without a metadata file the source is every image file in the folder and the folders below, without captions.
    """

    def __init__(self, folder: Path, card: DatasetCard) -> None:
        """Describe `folder`. Raises InputError if it holds two metadata files."""
        present = [folder / name for name in METADATA if (folder / name).is_file()]
        if len(present) > 1:
            names = " and ".join(path.name for path in present[:2])
            raise InputError(f"the image folder {folder} holds both {names}; remove one of them.")
        super().__init__(present[0] if present else folder, card, present)
        self._listed = bool(present)

    def state(self) -> str:
        """Return what tells one state of the folder from another; see `Source.state`."""
        return self.stamps() if self._listed else digest_all(self._found())

    def rows(self) -> Rows:
        """Read the metadata; see `Source.rows`. Ids are the file names, with `#n` where one occurs several times."""
        if not self._listed:
            return self._unlisted()
        card = self.card
        records = read_records(self.path)
        columns = list(dict.fromkeys(column for record in records for column in record))
        if not records:
            return Rows([], [], [], [])
        name = find_column(self.path, columns, "image", card.image or "file_name", ()) or ""
        roles = assign(self.path, columns, card, name)
        files = keys(record.get(name) for record in records)
        check_inside(self.folder, files, self.path)
        if roles.id:
            ids = check_ids(keys(record.get(roles.id) for record in records), self.path, roles.id)
        else:
            ids = check_ids(_file_ids(files), self.path, "file_name")
        return Rows(
            ids=ids,
            captions=texts((record.get(roles.caption) for record in records), self.path, roles.caption)
            if roles.caption
            else [[] for _ in records],
            groups=keys(record.get(roles.group) if roles.group else None for record in records),
            files=[file or "" for file in files],
            has_captions=roles.caption is not None,
            columns=tuple(columns),
        )

    def _unlisted(self) -> Rows:
        for role in ("image", "caption", "id", "group"):
            if getattr(self.card, role):
                raise InputError(
                    f"dataset '{self.card.name}' names the {role} column '{getattr(self.card, role)}', but {self.path} "
                    f"holds neither {' nor '.join(METADATA)}; add one of them, or remove the field from the card."
                )
        files = self._found()
        if not files:
            raise InputError(
                f"the image folder {self.path} holds neither {' nor '.join(METADATA)} (with the columns file_name and "
                "text) nor any image file."
            )
        check_inside(self.folder, files, self.path)
        return Rows(
            ids=list(files),
            captions=[[] for _ in files],
            groups=[None] * len(files),
            files=list(files),
            has_captions=False,
            columns=("file_name",),
        )

    def _found(self) -> list[str]:
        """Return the paths of all image files below the folder, sorted; hidden files and folders are skipped.

        Raises InputError for metadata in folders below, which would be ignored, and for linked folders whose images
        would be.
        """
        found = []
        for folder, folders, names in os.walk(self.path):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in folders:
                self._check_link(os.path.join(folder, name))
            inner = Path(folder).relative_to(self.path)
            if below := next((name for name in METADATA if name in names and inner.parts), None):
                raise InputError(
                    f"the image folder {self.path} holds metadata in folders below ({(inner / below).as_posix()}), and "
                    f"only one at its top is read; name {Path(folder)} as the source, or join all of it into one "
                    f"{self.path / METADATA[0]} with paths relative to that."
                )
            found += [
                (inner / name).as_posix()
                for name in names
                if name.lower().endswith(IMAGES) and not name.startswith(".")
            ]
        return sorted(found)

    def _check_link(self, folder: str) -> None:
        """Raise InputError for a link to a folder elsewhere; one to a folder that is listed anyway adds nothing."""
        if not os.path.islink(folder):
            return
        listed = os.path.relpath(os.path.realpath(folder), os.path.realpath(self.path)).split(os.sep)
        if any(part.startswith(".") and part != "." for part in listed):
            raise InputError(
                f"the image folder {self.path} holds the link {folder} to a folder outside of it, and such links are "
                "not followed; put the images there, or name them in a Parquet file or tar shards."
            )


def _file_ids(files: list[str | None]) -> list[str | None]:
    times = Counter(files)
    seen: Counter[str | None] = Counter()
    ids: list[str | None] = []
    for row, file in enumerate(files):
        if not file:
            ids.append(row_number(row))
        else:
            ids.append(f"{file}#{seen[file]}" if times[file] > 1 else file)
            seen[file] += 1
    return ids
