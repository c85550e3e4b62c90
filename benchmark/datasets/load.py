"""`load_dataset`: from a name, card or path to paired samples."""

import logging
from pathlib import Path

from benchmark.catalog import CHOICES, DatasetCard, cards, find_card, local_path
from benchmark.datasets.paired import PairedDataset, slug
from benchmark.errors import InputError, unknown

LOG = logging.getLogger("benchmark")
PROCEDURAL = ("scenes", "blooms")
KINDS = CHOICES[DatasetCard]["kind"]


def load_dataset(
    name_or_path: str | Path | DatasetCard,
    max_samples: int = 0,
    cache: Path | str = Path(".cache"),
    progress: bool = True,
) -> PairedDataset:
    """Return the paired samples of a dataset.

    `name_or_path` is the name of a dataset card, a `DatasetCard`, the path of a YAML file with one, of a Parquet file,
    or of a folder of images with a metadata.jsonl or metadata.csv (columns file_name and text). `max_samples` above 0
    takes an unbiased subset of whole groups (see `PairedDataset.limited`; of procedural datasets the first samples).
    Samples without a readable image or a caption are left out, listed in `.left_out` and logged in one warning.
    Scans and generated samples are kept under `cache`.

    Raises InputError for an unknown name, a malformed source or one without usable samples; WorkError if the cache
    cannot be written.
    """
    if max_samples < 0:
        raise InputError(f"max_samples must be 0 (all) or more, not {max_samples}.")
    card, cache = resolve(name_or_path), Path(cache)
    if card.kind not in KINDS:
        raise InputError(f"dataset '{card.name}': {unknown('kind', card.kind, KINDS)}")
    if card.kind in PROCEDURAL:
        from benchmark.datasets.generate import load_procedural

        return load_procedural(card, max_samples, cache, progress)
    return _scanned(card, cache, progress).limited(max_samples)


def resolve(name_or_path: str | Path | DatasetCard) -> DatasetCard:
    """Return the card that `name_or_path` names, or a card of its own for a Parquet file or an image folder."""
    if isinstance(name_or_path, DatasetCard):
        return name_or_path
    name, path = str(name_or_path), Path(name_or_path).expanduser()
    if name in cards(DatasetCard) or path.suffix in (".yaml", ".yml"):
        return find_card(DatasetCard, name if name in cards(DatasetCard) else str(path))
    if path.is_file() and path.suffix == ".parquet":
        return DatasetCard(name=slug(path.stem), kind="parquet", source=str(path.resolve()))
    if path.is_dir():
        return DatasetCard(name=slug(path.resolve().name), kind="imagefolder", source=str(path.resolve()))
    if path.is_file():
        raise InputError(f"{path} is no dataset; give a .parquet file, an image folder or a card (.yaml).")
    if path.suffix == ".parquet" or len(path.parts) > 1:
        raise InputError(f"there is no file or folder {path}; check the path.")
    raise unknown("dataset", name, cards(DatasetCard))


def _scanned(card: DatasetCard, cache: Path, progress: bool) -> PairedDataset:
    from benchmark.datasets.imagefolder import FolderSource
    from benchmark.datasets.scan import scan
    from benchmark.datasets.source import Source
    from benchmark.datasets.tabular import ParquetSource

    path = local_path(card.source, card.base) if card.source else None
    if path is None:
        raise InputError(
            f"dataset '{card.name}': its source '{card.source}' does not exist; correct the card's `source`."
        )
    wanted = "file" if card.kind == "parquet" else "folder"
    if path.is_dir() != (wanted == "folder"):
        raise InputError(f"dataset '{card.name}': kind {card.kind} needs a {wanted}, and {path} is none.")
    source: Source = ParquetSource(path, card, cache, progress) if card.kind == "parquet" else FolderSource(path, card)
    result = scan(source, cache, progress)
    entries, left_out = result.entries(), result.left_out()
    if left_out:
        first = ", ".join(f"{id_!r} ({reason})" for id_, reason in left_out[:3])
        more = ", ..." if len(left_out) > 3 else ""
        summary = f"left out {len(left_out)} of {len(result.rows)} samples for every encoder alike: {first}{more}"
        if not entries:
            raise InputError(f"{source.path} has no usable sample; {summary}.")
        LOG.warning("%s: %s", source.path, summary)
    return PairedDataset(card.name, entries, result, left_out)
