"""The commands that list cards."""

from benchmark.catalog import DatasetCard, EncoderCard, SuiteCard, cards, local_path
from benchmark.jobs.configs import DatasetsConfig, EncodersConfig, SuitesConfig


def encoders(config: EncodersConfig) -> int:
    """Run the `encoders` command; returns its exit code."""
    _table(
        ("name", "kind", "modality", "library", "token", "source", "licence"),
        [
            (c.name, c.kind, c.modality, c.library, c.token, _source(c.source, c.base), c.licence)
            for c in cards(EncoderCard).values()
        ],
    )
    return 0


def datasets(config: DatasetsConfig) -> int:
    """Run the `datasets` command; returns its exit code."""
    _table(
        ("name", "kind", "samples", "source", "licence"),
        [
            (c.name, c.kind, f"{c.size:,}" if c.size else "", _source(c.source, c.base), c.licence)
            for c in cards(DatasetCard).values()
        ],
    )
    print("Your own: dataset=PATH of a Parquet file, of an image folder with metadata.jsonl/csv, or of a YAML card.")
    return 0


def suites(config: SuitesConfig) -> int:
    """Run the `suites` command; returns its exit code."""
    _table(
        ("name", "dataset", "encoders", "layers", "seeds", "k", "expansion"),
        [
            (c.name, c.dataset, ",".join(c.encoders), c.layers, ",".join(map(str, c.seeds)), str(c.k), str(c.expansion))
            for c in cards(SuiteCard).values()
        ],
    )
    return 0


def _source(source: str, base: str) -> str:
    return "ships with the project" if source and local_path(source, base) is not None else source


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
