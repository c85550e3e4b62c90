"""The `report` command: finished comparisons as one HTML page, as Markdown and as LaTeX tables."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmark.errors import InputError, WorkError, unknown
from benchmark.jobs import tracking
from benchmark.jobs.configs import ReportConfig
from benchmark.jobs.results import intact, log_folder
from benchmark.jobs.shared_concepts import shared_concepts
from benchmark.jobs.signature_log import read_signatures
from benchmark.reporting import html, latex, markdown
from benchmark.reporting.content import Comparison, Health, comparison, titles
from benchmark.reporting.health import health_lines, health_table
from benchmark.reporting.tables import Table, kinds_table, matrix_table, pairs_table, sae_table, side_by_side
from benchmark.signature import summary

MATRICES = ("crossfit", "naive", "chance", "calibrated", "untrained", "paper_code")
"""Measures with a table of sources and targets."""
FILES = ("report.html", "report.md", "report.tex", "tables.tex")


def write_report(config: ReportConfig) -> int:
    """Run the `report` command; returns its exit code."""
    folder = Path(config.output)
    if not config.output or folder.exists() and not folder.is_dir():
        raise InputError(f"output must be a folder to write into, not '{config.output}'.")
    tracking.open_store()
    chosen = chosen_runs(config.runs)
    suites = list(dict.fromkeys(chosen.suite))
    tags = {"suite": ",".join(suites), "dataset": ",".join(dict.fromkeys(chosen.dataset))}
    params = {"runs": ",".join(chosen.run_id), "output": config.output}
    with tracking.job_run("report", f"report {' '.join(suites)}", tags=tags, params=params) as run:
        comparisons = [_read(row["run_id"], f"{row['start']:%Y-%m-%d %H:%M} UTC") for row in chosen.to_dict("records")]
        folder.mkdir(parents=True, exist_ok=True)
        _write(comparisons, folder)
        _log(folder)
        tracking.log_metrics({"comparisons": len(comparisons)})
        for name, item in zip(titles(comparisons), comparisons, strict=True):
            print(f"{name:<40} run {item.run_id}")
        print(f"\nRun {run.info.run_id}: {', '.join(FILES)}, written to {folder}{'/' if folder.name else ''} too.")
    return 0


def chosen_runs(names: Sequence[str]) -> pd.DataFrame:
    """Return the compare runs that are meant, as `registry.runs` describes them.

    A suite stands for the newest finished comparison of each of its datasets, no name for those of every suite; runs
    named by their id need not have finished, as long as they hold their tables. Raises InputError for a name that is
    neither, and for a store without finished comparisons.
    """
    import registry

    runs = registry.runs(kind="compare")
    newest = runs[runs.status == "FINISHED"].drop_duplicates(["suite", "dataset"])
    if not names:
        if newest.empty:
            raise InputError("the store holds no finished comparison; run `python -m benchmark compare` first.")
        return newest.iloc[::-1]
    parts = []
    for name in dict.fromkeys(names):
        found = newest[newest.suite == name].iloc[::-1]
        found = found if len(found) else runs[runs.run_id == name]
        if found.empty:
            raise unknown("suite or compare run", name, set(newest.suite) | set(newest.run_id))
        parts.append(found)
    return pd.concat(parts).drop_duplicates("run_id")


def _read(run_id: str, date: str) -> Comparison:
    """Return a run's comparison; raises WorkError where its artifacts are incomplete or changed."""
    folder = intact(run_id)
    if folder is None:
        raise WorkError(f"the artifacts of run {run_id} are missing or damaged; run the comparison again.")
    try:
        tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("cells", "matrix", "saes")}
        config = folder / "config.json"
        settings = json.loads(config.read_text()) if config.exists() else {}
        concepts = shared_concepts(run_id, tables["saes"])
        found = comparison(tables, run_id, date, {str(k): str(v) for k, v in settings.items()}, concepts)
        signed = folder / "signatures.parquet"  # runs of older versions have none
        signatures = summary(read_signatures(signed)) if signed.exists() else []
        return replace(found, signatures=signatures, health=_health(found))
    except (ValueError, OSError) as error:
        raise WorkError(str(error)) from None


def _health(item: Comparison) -> Health | None:
    """Return the newest finished health run of the same suite and dataset, if there is one."""
    import registry

    runs = registry.runs("FINISHED", kind="health", suite=item.suite, dataset=item.dataset)
    if runs.empty:
        return None
    newest = runs.iloc[0]
    return Health(newest.run_id, f"{newest.start:%Y-%m-%d %H:%M} UTC", registry.table(newest.run_id, "health.parquet"))


def _write(comparisons: Sequence[Comparison], folder: Path) -> None:
    title = "Which concepts do encoders share?"
    names = titles(comparisons)
    dates = sorted(item.date for item in comparisons)
    subtitle = f"{'; '.join(names)}. Compared {dates[0] if dates[0] == dates[-1] else f'{dates[0]} to {dates[-1]}'}."
    sections = _sections(comparisons, names)
    texts = {
        "report.html": html.page(comparisons, title, subtitle),
        "report.md": markdown.document(title, sections),
        "report.tex": latex.document(title, "tables", dates[-1]),
        "tables.tex": latex.tables(sections),
    }
    for name in FILES:
        (folder / name).write_text(texts[name], encoding="utf-8")


def _sections(comparisons: Sequence[Comparison], names: Sequence[str]) -> list[tuple[str, list[str], list[Table]]]:
    """Return (title, paragraphs, tables) of all comparisons together, if there are several, and of each."""
    found: list[tuple[str, list[str], list[Table]]] = []
    if len(comparisons) > 1:
        aggregates = [name for name in ("layer_mean", "last") if any(name in item.aggregates for item in comparisons)]
        together = [
            table for aggregate in aggregates
            for table in (matrix_table(comparisons, aggregate, "crossfit"), kinds_table(comparisons, aggregate),
                          side_by_side(comparisons, aggregate))
        ]  # fmt: skip
        found.append(("All suites side by side", [], together))
    for name, item in zip(names, comparisons, strict=True):
        tables: list[Table] = []
        for aggregate in item.aggregates:
            tables += [matrix_table([item], aggregate, measure) for measure in MATRICES if measure in item.measures()]
            tables += [pairs_table(item, aggregate, item.sets[0]), kinds_table([item], aggregate)]
        checked = health_table(item)
        tables += [checked] if checked is not None else []
        about = f"Run {item.run_id}, {item.date}; {len(item.encoders)} encoders, {item.saes.seed.nunique()} seeds."
        found.append((name, [about, *item.caveats, *health_lines(item)], [*tables, sae_table(item)]))
    return found


def _log(folder: Path) -> None:
    """Log the report's files, and nothing else that the folder may hold."""
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        for name in FILES:
            shutil.copyfile(folder / name, Path(temporary, name))
        log_folder(Path(temporary))
