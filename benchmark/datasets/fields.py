"""Which fields of a card each kind of dataset reads; the others are refused, because a wish ignored looks granted."""

from dataclasses import fields

from benchmark.catalog import DatasetCard
from benchmark.errors import InputError

ALL = {"name", "kind", "size", "seed", "max_samples", "augment", "download_mb", "licence", "base"}
TABLE = {"source", "shuffle_seed", "captions", "image", "caption", "id", "group"}
READ = {
    "scenes": ALL | {"ids", "shift"},
    "blooms": ALL | {"ids", "shift"},
    "parquet": ALL | TABLE,
    "imagefolder": ALL | TABLE,
    "hub": ALL | TABLE | {"revision", "config", "split", "streaming"},
    # Column names of COCO are refused in words of their own.
    "coco": ALL | TABLE | {"split", "annotations"},
    "webdataset": ALL | TABLE | {"streaming"},
}
ADVICE = {
    ("webdataset", "revision"): "write the commit into the source (hf://datasets/OWNER/NAME@COMMIT/...)",
    ("coco", "revision"): "kind hub reads repositories",
    ("parquet", "revision"): "kind hub reads repositories",
    ("parquet", "streaming"): "give `max_samples` alone, for a subset",
    ("imagefolder", "streaming"): "give `max_samples` alone, for a subset",
    ("imagefolder", "split"): "name the split's folder as the source",
    ("parquet", "split"): "name the split's files or folder as the source",
}


def check_fields(card: DatasetCard) -> None:
    """Raise InputError for a field that `card` sets, to another value than the default, and its kind does not read."""
    for field in fields(DatasetCard):
        if field.name not in READ[card.kind] and getattr(card, field.name) != field.default:
            advice = ADVICE.get((card.kind, field.name), "")
            raise InputError(
                f"dataset '{card.name}': kind {card.kind} does not read the field `{field.name}`; remove it from the "
                f"card{advice and f', or {advice}'}."
            )
