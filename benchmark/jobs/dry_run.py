"""The dry run: what a comparison would do, fetch, write and take, printed before any of it happens."""

import shutil
from pathlib import Path

from benchmark.catalog import DatasetCard, EncoderCard
from benchmark.datasets.load import resolve
from benchmark.errors import InputError
from benchmark.jobs import rates
from benchmark.jobs.estimate import EncoderEstimate, estimate_comparison, estimate_encoder
from benchmark.jobs.outline import expected_samples
from benchmark.jobs.plan import Plan
from benchmark.report import text_table

SHARE = {"all": 1.0, "heldout": 0.5, "train": 0.5}
"""Share of the samples in each sample set."""


def dry_run(plan: Plan) -> int:
    """Print a plan's jobs, downloads, disk and estimated time; nothing is fetched or written. Returns the exit code.

    Raises InputError when the number of samples cannot be told.
    """
    suite, dataset = plan.suite, resolve(plan.suite.dataset)
    n_samples = _samples(plan, dataset)
    n_training = round(n_samples * SHARE[suite.train_on])
    estimates = [(card, estimate_encoder(plan, card, n_samples, n_training)) for card in plan.encoders]
    known = [item for _, item in estimates if item is not None]
    print(
        f"Plan of suite '{suite.name}': {len(plan.encoders)} encoders x {len(suite.seeds)} seeds, layers: "
        f"{suite.layers}, about {n_samples:,} samples of '{dataset.name}'. Nothing is fetched or written.\n"
    )
    print(_table(estimates) + "\n")
    jobs = f"{len(plan.encoders) * len(suite.seeds)} train runs"
    times = {"encode": sum(item.encode for item in known), "train": sum(item.train for item in known)}
    if known:
        compared = sum(round(n_samples * SHARE[name]) for name in suite.report_on)
        comparison = estimate_comparison(plan, [item.widths for item in known], compared)
        times["compare"] = comparison.seconds
        jobs += (
            f" and 1 compare run: {comparison.pairs:,} pairs of them, {comparison.layer_pairs:,} pairs of layers, "
            f"each {comparison.evaluations} times (value, {suite.permutations} permutations, {suite.folds} folds)"
        )
    # The towers of one model share its download.
    encoders = sum({(item.card.source, item.card.pretrained): item.download for item in known}.values())
    download = encoders + _dataset_download(dataset)
    disk = {
        "activations": sum(item.activations for item in known),
        "SAEs": sum(item.models for item in known),
        "features": sum(item.features for item in known),
    }
    total = download + sum(disk.values())
    speed = rates.transformer_rate(plan.device, plan.precision) / 1e9
    print(f"Jobs      {jobs}")
    print(f"Download  {_size(download)}: encoders {_size(encoders)}, dataset {_size(download - encoders)}")
    print(f"Disk      {_size(total)}: download, " + ", ".join(f"{name} {_size(size)}" for name, size in disk.items()))
    parts = ", ".join(f"{name} {_duration(seconds)}" for name, seconds in times.items())
    print(f"Time      about {_duration(sum(times.values()))}: {parts}")
    print(
        f"          (measured now, here: {plan.device}, {plan.precision}, {speed:.0f} billion multiply-adds a second)"
    )
    free = shutil.disk_usage(Path.cwd()).free
    if free < total:
        print(f"CAUTION: only {_size(free)} are free here; activations (.cache) can be deleted after training.")
    unknown = [card.name for card, item in estimates if item is None]
    if unknown:
        print(f"CAUTION: not in the sums, as neither card nor disk tells their layers: {', '.join(unknown)}.")
    uncosted = [item.card.name for item in known if not item.encode and item.card.library != "activations"]
    if uncosted:
        print(f"CAUTION: not in the time of encoding, as their cards state no `gflop`: {', '.join(uncosted)}.")
    return 0


def _samples(plan: Plan, dataset: DatasetCard) -> int:
    count, limit = expected_samples(dataset), plan.suite.max_samples
    if not count and not limit:
        raise InputError(
            f"dataset '{dataset.name}': its number of samples cannot be told without reading it; give the number in "
            "its card (field `size`) or --max-samples."
        )
    return min(count, limit) if count and limit else count or limit


def _dataset_download(card: DatasetCard) -> int:
    from benchmark.datasets.hub import is_fetched

    return 0 if card.kind != "hub" or is_fetched(card) else card.download_mb * 10**6


def _table(estimates: list[tuple[EncoderCard, EncoderEstimate | None]]) -> str:
    header = ("encoder", "layers x width", "download", "activations", "SAEs", "features", "encode", "train")
    rows = []
    for card, item in estimates:
        if item is None:
            rows.append((card.name, *["?"] * (len(header) - 1)))
            continue
        rows.append((
            card.name, _shape(item.widths), _size(item.download) if item.download else "here",
            _size(item.activations), _size(item.models), _size(item.features),
            _duration(item.encode) if item.encode else "?", _duration(item.train),
        ))  # fmt: skip
    return text_table(header, rows)


def _shape(widths: tuple[int, ...]) -> str:
    return f"{len(widths)} x {widths[0]}" if len(set(widths)) == 1 else ", ".join(map(str, widths))


def _size(size: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1e6:.0f} MB"


def _duration(seconds: float) -> str:
    for unit, factor in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= factor:
            return f"{seconds / factor:.1f} {unit}"
    return f"{seconds:.0f} s"
