"""The commands that list cards."""

from benchmark.catalog import DatasetCard, EncoderCard, SuiteCard, cards, local_path
from benchmark.jobs.configs import DatasetsConfig, EncodersConfig, SuitesConfig
from benchmark.report import size, text_table


def encoders(config: EncodersConfig) -> int:
    """Run the `encoders` command; returns its exit code."""
    from benchmark.encoders.hub import is_cached

    header = ("name", "kind", "modality", "layers", "token", "download", "here", "library", "source", "licence")
    rows = []
    for c in cards(EncoderCard).values():
        local = local_path(c.source, c.base) is not None
        here = "ships" if local else "yes" if is_cached(c) else "no"
        source = "" if local else f"{c.source} {c.pretrained}".strip()
        download = _download(c.download_mb, here != "no")
        rows.append((c.name, c.kind, c.modality, c.shape, c.token, download, here, c.library, source, c.licence))
    print(text_table(header, rows))
    print("\nhere: ships with the project, or lies in the Hugging Face cache. Towers of one model share a download.")
    print("Your own encoder is five lines of YAML: docs/cards.md.")
    return 0


def datasets(config: DatasetsConfig) -> int:
    """Run the `datasets` command; returns its exit code."""
    from benchmark.datasets.hub import is_fetched

    header = ("name", "kind", "samples", "download", "here", "source", "licence")
    rows = []
    for c in cards(DatasetCard).values():
        made = not c.source
        here = "made here" if made else "yes" if local_path(c.source, c.base) or is_fetched(c) else "no"
        samples = f"{c.size:,}" if c.size else ""
        rows.append((c.name, c.kind, samples, _download(c.download_mb, here != "no"), here, c.source, c.licence))
    print(text_table(header, rows))
    print("\nYour own: dataset=PATH of a Parquet file, of a folder (images, COCO, tar shards, Parquet files),")
    print("or of a YAML card (docs/cards.md).")
    return 0


def _download(megabytes: int, here: bool) -> str:
    """Return the size that a card states; of what is not here and has none stated, that it is not known."""
    return size(megabytes * 1e6) if megabytes else "" if here else "?"


def suites(config: SuitesConfig) -> int:
    """Run the `suites` command; returns its exit code."""
    header = ("name", "dataset", "encoders", "layers", "seeds", "k", "expansion")
    rows = [
        (c.name, c.dataset, _few(c.encoders), c.layers, ",".join(map(str, c.seeds)), str(c.k), str(c.expansion))
        for c in cards(SuiteCard).values()
    ]
    print(text_table(header, rows))
    return 0


def _few(names: tuple[str, ...], shown: int = 6) -> str:
    """Return the first names and how many there are in all."""
    more = f",... ({len(names)})" if len(names) > shown else ""
    return ",".join(names[:shown]) + more
