"""The command `status`: what is done, running and failed, and what takes how much disk."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import report
from benchmark.errors import WorkError
from benchmark.jobs.cache_entries import entries, usage
from benchmark.jobs.configs import StatusConfig
from benchmark.jobs.owners import is_dead
from benchmark.jobs.results import CACHE

if TYPE_CHECKING:
    import pandas as pd

FAILURES = 20
"""Newest failed runs that are shown."""
WIDTH = 100
"""Characters of an error that are shown; its run has all."""


def status(config: StatusConfig) -> int:
    """Run the `status` command; returns its exit code. Nothing is changed, dead runs are not marked either."""
    import registry

    try:
        uri = registry.connect(read_only=True)
        runs = registry.runs()
    except OSError as error:
        raise WorkError(f"{error}.") from None
    runs = runs[runs.kind != ""]
    print(f"Store: {registry.without_password(uri)}\n")
    if runs.empty:
        print("No job has run yet.\n")
    else:
        print(f"{_done(runs)}\n")
    for text in (_running(runs[runs.status == "RUNNING"]), _failed(runs)):
        if text:
            print(f"{text}\n")
    print(report.text_table(("disk", "size", "of what"), list(_disk(uri))))
    return 0


def _done(runs: "pd.DataFrame") -> str:
    rows = []
    for (kind, suite, dataset), part in runs.groupby(["kind", "suite", "dataset"], sort=True):
        finished = part[part.status == "FINISHED"]
        counts = [str((part.status == state).sum() or "") for state in ("FINISHED", "RUNNING", "FAILED", "KILLED")]
        newest = (finished.run_id.iloc[0], _ago(finished.start.iloc[0])) if len(finished) else ("", "")
        rows.append((str(kind), str(suite), str(dataset), *counts, *newest))
    header = ("job", "suite", "dataset", "finished", "running", "failed", "killed", "newest finished", "started")
    return report.text_table(header, rows)


def _running(running: "pd.DataFrame") -> str:
    if running.empty:
        return ""
    rows = []
    for run in running.to_dict("records"):
        beat = float(run["heartbeat"] or 0)
        if not run["owner"]:
            alive = "nobody owns it"
        else:
            alive = "dead: the next job marks it" if is_dead(run["owner"], run["heartbeat"]) else "alive"
        since = f"{report.duration(time.time() - beat)} ago" if beat else ""
        rows.append((run["run_id"], run["name"], _ago(run["start"]), run["owner"].rpartition(":")[0], since, alive))
    return report.text_table(("running", "name", "started", "owner", "last heard of", "state"), rows)


def _failed(runs: "pd.DataFrame") -> str:
    """Return the newest failures that no later run of the same name has made good."""
    good: set[str] = set()
    rows = []
    for run in runs.to_dict("records"):  # newest first
        what = f"{run['name']}\0{run['dataset']}"
        if run["status"] == "FINISHED":
            good.add(what)
        elif run["status"] == "FAILED" and what not in good:
            error = (run["error"] or run["failed"]).splitlines()
            text = error[0] if error else ""
            rows.append((run["run_id"], run["name"], _ago(run["start"]), text[:WIDTH] + "…" * (len(text) > WIDTH)))
    more = f"\n... and {len(rows) - FAILURES} more" if len(rows) > FAILURES else ""
    return report.text_table(("failed", "name", "started", "error"), rows[:FAILURES]) + more if rows else ""


def _disk(uri: str) -> Iterator[tuple[str, str, str]]:
    import registry

    parts: dict[str, list[int]] = {}
    for entry in entries(CACHE):
        parts.setdefault(entry.part, []).append(entry.bytes)
    for part, sizes in parts.items():
        yield (
            f"{CACHE}/{part}" if part != "left over" else part,
            report.size(sum(sizes)),
            f"{len(sizes)} kept for reuse",
        )
    store = registry.local_store(uri)
    if store is None:
        yield "artifacts", "?", "kept by the server"
    else:
        from benchmark.jobs.orphans import artifact_roots

        for root in artifact_roots():
            models = usage(root / "models")[0]
            yield _short(root), report.size(usage(root)[0]), f"artifacts, {report.size(models)} of them SAEs"
        yield _short(store), report.size(sum(usage(path)[0] for path in store.parent.glob(f"{store.name}*"))), "store"
    yield ".", report.size(shutil.disk_usage(Path.cwd()).free), "free"


def _short(path: Path) -> str:
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(path)


def _ago(start: "pd.Timestamp") -> str:
    return f"{report.duration(time.time() - start.timestamp())} ago"
