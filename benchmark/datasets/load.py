"""`load_dataset`: from a name, card or path to paired samples."""

import logging
from pathlib import Path

from benchmark.catalog import CHOICES, DatasetCard, cards, find_card, local_path
from benchmark.datasets.augmentation import augmenter, describe
from benchmark.datasets.coco import CocoSource
from benchmark.datasets.fields import check_fields
from benchmark.datasets.imagefolder import FolderSource
from benchmark.datasets.metadata import METADATA
from benchmark.datasets.paired import PairedDataset, slug
from benchmark.datasets.source import Source
from benchmark.datasets.subset import whole_groups
from benchmark.datasets.variants import SIGN, variant
from benchmark.errors import InputError, unknown

LOG = logging.getLogger("benchmark")
PROCEDURAL = ("scenes", "blooms")
KINDS = CHOICES[DatasetCard]["kind"]
SHARDS = (".tar", ".tar.gz", ".tgz")
"""Endings of shards; compressed ones are refused with advice."""
ENOUGH = 0.95
"""Share of `max_samples` below which a dataset is so much smaller than asked for that a line says so."""


def load_dataset(
    name_or_path: str | Path | DatasetCard,
    max_samples: int = 0,
    cache: Path | str = Path(".cache"),
    progress: bool = True,
) -> PairedDataset:
    """Return the paired samples of a dataset.

    `name_or_path` is the name of a dataset card, a `DatasetCard`, the path of a YAML file with one, of a Parquet file,
    of a tar shard, or of a folder: of images (with metadata, or without captions), of Parquet files, of tar shards, or
    COCO's. With `+CHANGE` behind a name or path it is a variant (see `variants`). `max_samples` above 0 takes an
    unbiased subset of whole groups (see `PairedDataset.limited`; of procedural datasets the first samples); the card's
    own `max_samples` holds as well. Rows without a readable image or a caption, where others have one, are left out,
    listed in `.left_out` and logged in one warning; so is a dataset that has less than 95 % of the samples asked for.
    Scans, fetched and generated samples are kept under `cache`.

    Raises InputError for an unknown name, a malformed source or one without usable samples; WorkError if the cache
    cannot be written or the data cannot be fetched.
    """
    if max_samples < 0:
        raise InputError(f"max_samples must be 0 (all) or more, not {max_samples}.")
    card, cache = resolve(name_or_path), Path(cache)
    if card.max_samples < 0:
        raise InputError(f"dataset '{card.name}': max_samples must be 0 (all) or more, not {card.max_samples}.")
    count = min(filter(None, (max_samples, card.max_samples)), default=0)
    if card.kind in PROCEDURAL:
        from benchmark.datasets.generate import load_procedural

        return load_procedural(card, count, cache, progress)
    return _scanned(card, count, cache, progress)


def resolve(name_or_path: str | Path | DatasetCard) -> DatasetCard:
    """Return the card that `name_or_path` names, or a card of its own for a Parquet file, a shard or a folder.

    Raises InputError for an unknown name, an unknown kind, or a field that the kind does not read.
    """
    card = name_or_path if isinstance(name_or_path, DatasetCard) else _card(name_or_path)
    if card.kind not in KINDS:
        raise InputError(f"dataset '{card.name}': {unknown('kind', card.kind, KINDS)}")
    check_fields(card)
    return card


def _card(name_or_path: str | Path) -> DatasetCard:
    name, path = str(name_or_path), Path(name_or_path).expanduser()
    if SIGN in name and not path.exists():
        plain, _, change = name.rpartition(SIGN)
        return variant(_card(plain), [change])
    if name in cards(DatasetCard) or path.suffix in (".yaml", ".yml"):
        return find_card(DatasetCard, name if name in cards(DatasetCard) else str(path))
    if path.is_file() and path.suffix == ".parquet":
        return DatasetCard(name=slug(path.stem), kind="parquet", source=str(path.resolve()))
    if path.is_file() and path.name.lower().endswith(SHARDS):
        return DatasetCard(name=slug(path.stem), kind="webdataset", source=str(path.absolute()))
    if path.is_dir():
        return DatasetCard(name=slug(path.resolve().name), kind=folder_kind(path), source=str(path.resolve()))
    if path.is_file():
        raise InputError(f"{path} is no dataset; give a .parquet file, a .tar shard, a folder or a card (.yaml).")
    if path.suffix == ".parquet" or len(path.parts) > 1:
        raise InputError(f"there is no file or folder {path}; check the path.")
    raise unknown("dataset", name, cards(DatasetCard))


def folder_kind(folder: Path) -> str:
    """Return the kind of dataset that a folder looks like; `imagefolder` if like none of the others."""
    # Among other Parquet files one that is called metadata.parquet is a part of the table like them.
    table = any(path.name not in METADATA for path in folder.glob("*.parquet"))
    if any((folder / name).is_file() for name in METADATA if not (table and name.endswith(".parquet"))):
        return "imagefolder"
    # img2dataset writes Parquet files beside its shards, so shards come first.
    looks = [("coco", "annotations/captions_*.json"), ("webdataset", "*.tar"), ("parquet", "*.parquet")]
    looks += [("webdataset", f"*{ending}") for ending in SHARDS]
    return next((kind for kind, pattern in looks if any(folder.glob(pattern))), "imagefolder")


def open_source(card: DatasetCard, cache: Path, progress: bool) -> Source:
    """Return the source of a card that is not procedural.

    Raises InputError where there is nothing of its kind, WorkError if what there is cannot be reached.
    """
    if not card.source:
        raise InputError(f"dataset '{card.name}': kind {card.kind} needs a `source`.")
    if card.kind == "hub":
        from benchmark.datasets.hub import hub_source

        return hub_source(card, cache, progress)
    if card.kind == "webdataset":
        from benchmark.datasets.webdataset import shard_source

        return shard_source(card, cache, progress)
    path = local_path(card.source, card.base)
    if path is None:
        place = Path(card.base, Path(card.source).expanduser())
        raise InputError(
            f"dataset '{card.name}': its source '{place}' does not exist; put the data there, or name its place in a "
            "card of your own (field `source`, see docs/cards.md)."
        )
    if card.kind != "parquet" and not path.is_dir():
        raise InputError(f"dataset '{card.name}': kind {card.kind} needs a folder, and {path} is none.")
    if card.kind == "parquet":
        from benchmark.datasets.tabular import ParquetSource

        return ParquetSource(path, card, cache, progress)
    return CocoSource(path, card) if card.kind == "coco" else FolderSource(path, card)


def _scanned(card: DatasetCard, count: int, cache: Path, progress: bool) -> PairedDataset:
    from benchmark.datasets.scan import scan

    transform, salt = augmenter(card), describe(card)
    source = open_source(card, cache, progress)
    result = scan(source, cache, progress)
    entries, left_out = result.entries(), result.left_out()
    if left_out:
        first = ", ".join(f"{id_!r} ({reason})" for id_, reason in left_out[:3])
        more = ", ..." if len(left_out) > 3 else ""
        summary = f"left out {len(left_out)} of {len(result.rows)} samples for every encoder alike: {first}{more}"
        if not entries:
            raise InputError(f"{source.shown} has no usable sample; {summary}.")
        LOG.warning("%s: %s", source.shown, summary)
    drawn = card.shuffle_seed >= 0 and not card.streaming  # a stream is shuffled before its samples are taken
    name, room = slug(card.name), count or len(entries)
    if drawn and room < len(entries):
        entries = [entries[i] for i in whole_groups(entries, room, f"subset {card.shuffle_seed}", name)]
    data = PairedDataset(
        name,
        entries,
        result,
        left_out,
        has_images=result.rows.has_images,
        has_captions=result.rows.has_captions,
        transform=transform,
        content_salt=salt,
        missing=f"{source.shown} holds {', '.join(result.rows.columns)}",
    ).limited(count)
    if len(data) < ENOUGH * count:
        LOG.warning("dataset '%s': %d samples were asked for (max_samples) and %d can be had", name, count, len(data))
    return data
