"""The dry run: what a comparison would do, fetch, store and take, printed before any of it happens."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.catalog import EncoderCard
from benchmark.datasets.load import resolve
from benchmark.errors import InputError
from benchmark.jobs import rates
from benchmark.jobs.data_outline import DataOutline, data_outline
from benchmark.jobs.estimate import ComparisonEstimate, EncoderEstimate, download, estimate_comparison, estimate_encoder
from benchmark.jobs.memory import SHARE as MEMORY_SHARE
from benchmark.jobs.memory import memory_budget
from benchmark.jobs.plan import Plan
from benchmark.jobs.unplugged import unplugged
from benchmark.report import counted, duration, size, text_table

SHARE = {"all": 1.0, "heldout": 0.5, "train": 0.5}
"""Share of the samples in each sample set."""
UNKNOWN = "its layers can be known only when its weights are here; state `shape` (like 12x768) in its card"


@dataclass(frozen=True)
class Figures:
    """All that a plan takes."""

    plan: Plan
    data: DataOutline
    found: dict[str, EncoderEstimate]
    """Of each encoder that could be planned."""
    problems: dict[str, str]
    """Why each of the others could not."""
    comparison: ComparisonEstimate

    @property
    def fetched(self) -> list[EncoderCard]:
        """Encoders whose weights a run fetches if they are not here: not those that it could not load."""
        return [card for card in self.plan.encoders if self.problems.get(card.name, UNKNOWN) == UNKNOWN]

    @property
    def disk(self) -> dict[str, int | None]:
        """What a run puts on the disk, in bytes; None: unknown."""
        items = self.found.values()
        return {
            "encoders": download(self.fetched),
            "dataset": self.data.disk,
            "activations": sum(item.activations for item in items),
            "checkpoints": max((item.checkpoints for item in items), default=0),
            "SAEs": sum(item.models for item in items),
            "features": sum(item.features for item in items),
            "samples that show features": sum(item.examples for item in items),
        }


def dry_run(plan: Plan) -> int:
    """Print a plan's jobs, downloads, disk, memory and estimated time, for everything from the start.

    Nothing is downloaded, trained or stored. An encoder that cannot be planned is named, with the reason, and the
    others go on. Returns the exit code. Raises InputError when the number of samples cannot be told, or when the
    request is wrong for every encoder.
    """
    with unplugged():
        suite, dataset = plan.suite, resolve(plan.suite.dataset)
        data = data_outline(dataset, suite.max_samples)
        if not data.samples:
            raise InputError(
                f"dataset '{dataset.name}': its number of samples cannot be told without reading it; give the number "
                "in its card (field `size`) or --max-samples."
            )
        figures = _figures(plan, data)
        print(
            f"Plan of suite '{suite.name}': {counted(len(plan.encoders), 'encoder')} x "
            f"{counted(len(suite.seeds), 'seed')}, layers: {suite.layers}, on about {data.samples:,} samples of "
            f"'{dataset.name}'.\nA plan only: nothing is downloaded, trained or stored. It starts from nothing; a run "
            "reuses what is finished.\n"
        )
        print(_table(figures) + "\n")
        for part in (_sums, _cautions):
            for line in part(figures):
                print(line)
    return 0


def _figures(plan: Plan, data: DataOutline) -> Figures:
    suite, n_samples = plan.suite, data.samples
    memory, n_training = memory_budget(plan.device), round(n_samples * SHARE[suite.train_on])
    found: dict[str, EncoderEstimate] = {}
    problems: dict[str, Exception | str] = {}
    for card in plan.encoders:
        try:
            estimate = estimate_encoder(plan, card, n_samples, n_training, memory)
        except Exception as error:  # as in the run itself: whatever is wrong with one encoder, the others go on
            problems[card.name] = error
            continue
        if estimate is None:
            problems[card.name] = UNKNOWN
        else:
            found[card.name] = estimate
    if len(problems) == len(plan.encoders) and all(isinstance(problem, InputError) for problem in problems.values()):
        raise next(problem for problem in problems.values() if isinstance(problem, InputError))
    compared = [round(n_samples * SHARE[name]) for name in suite.report_on]
    comparison = estimate_comparison(
        plan, [item.widths for item in found.values()], n_samples, compared, memory_budget("cpu")
    )
    named = {name: str(problem) or type(problem).__name__ for name, problem in problems.items()}
    return Figures(plan, data, found, named, comparison)


def _table(figures: Figures) -> str:
    header = ("encoder", "layers x width", "download", "activations", "SAEs", "features", "memory", "encode", "train")
    rows = []
    for card in figures.plan.encoders:
        missing, item = download([card]), figures.found.get(card.name)
        fetched = "here" if missing == 0 else _size(missing)
        if item is None:
            rows.append((card.name, "?", fetched, *"??????"))
            continue
        sizes = (item.activations, item.models, item.features, item.training)
        times = "?" if item.encode is None else duration(item.encode), duration(item.train)
        rows.append((card.name, _shape(item.widths), fetched, *map(_size, sizes), *times))
    return text_table(header, rows)


def _shape(widths: tuple[int, ...]) -> str:
    return f"{len(widths)} x {widths[0]}" if len(set(widths)) == 1 else ", ".join(map(str, widths))


def _size(number: int | None) -> str:
    return "?" if number is None else size(number) if number else "none"


def _sum(*numbers: int | None) -> str:
    """Return a sum of sizes, `at least` what is known of it."""
    known = sum(filter(None, numbers))
    if None not in numbers:
        return _size(known)
    return f"at least {size(known)}" if known else "?"


def _sums(figures: Figures) -> Iterator[str]:
    """Yield the lines under the table."""
    plan, suite, items = figures.plan, figures.plan.suite, figures.found.values()
    comparison, disk, data = figures.comparison, figures.disk, figures.data
    runs = len(plan.encoders) * len(suite.seeds)
    yield f"Jobs      {counted(runs, 'train run')}, one for each encoder and seed, and 1 compare run"
    yield (
        f"          comparing {counted(comparison.pairs, 'pair')} of them: {counted(comparison.layer_pairs, 'pair')} "
        f"of layers, each with {counted(suite.permutations, 'permutation')} and {counted(suite.folds, 'fold')}"
    )
    if suite.codes == "relu":
        yield "          of features without TopK (codes: relu): dense, large on the disk and slow to compare"
    yield (
        f"Download  {_sum(disk['encoders'], data.download)}: encoders {_size(disk['encoders'])} (once for the towers "
        f"of one model), dataset {_size(data.download)}"
    )
    yield f"Disk      {_sum(*disk.values())}: " + ", ".join(f"{name} {_size(part)}" for name, part in disk.items())
    parts = max((item.parts for item in items), default=1)
    yield (
        f"Memory    train {size(max((item.training for item in items), default=0))}"
        + (f" (an encoder's SAEs in up to {parts} parts, to fit half of what is free now)" if parts > 1 else "")
        + f", compare {size(comparison.memory)}; encoders and batches not counted"
    )
    times = {
        "encode": sum(item.encode or 0.0 for item in items),
        "train": sum(item.train for item in items),
        "compare": comparison.seconds,
    }
    speed = rates.transformer_rate(plan.device, plan.precision) / 1e9
    each = ", ".join(f"{name} {duration(seconds)}" for name, seconds in times.items())
    yield f"Time      about {duration(sum(times.values()))}: {each}"
    yield (
        f"          from speeds measured here just now ({plan.device}, {plan.precision}: {speed:,.0f} billion "
        "multiply-adds a second)"
    )


def _cautions(figures: Figures) -> Iterator[str]:
    """Yield what is missing in the sums, and what will not fit."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in figures.problems.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        yield f"CAUTION: not in the sums: {', '.join(names)}: {reason.rstrip('.')}."
    if uncosted := [name for name, item in figures.found.items() if item.encode is None]:
        yield f"CAUTION: not in the time of encoding, as their cards state no `gflop`: {', '.join(uncosted)}."
    if unsized := [card.name for card in figures.fetched if download([card]) is None]:
        yield f"CAUTION: not in the download, as their cards state no `download_mb`: {', '.join(unsized)}."
    data = figures.data
    if data.download is None:
        yield f"CAUTION: not in the download, as its card states no `download_mb`: '{figures.plan.suite.dataset}'."
    if data.problem:
        yield f"CAUTION: the number of samples is what the dataset's card expects: {data.problem.rstrip('.')}."
    if (free := shutil.disk_usage(Path.cwd()).free) < sum(filter(None, figures.disk.values())):
        yield (
            f"CAUTION: only {size(free)} of disk are free here; activations (.cache) can be deleted after training, "
            "and HF_HOME says where downloads go."
        )
    if (free := round(memory_budget("cpu") / MEMORY_SHARE)) < figures.comparison.memory:
        yield f"CAUTION: only {size(free)} of memory are free here, and comparing two encoders takes more."
