"""The command `gc`: caches that nobody used for a while, and artifacts that nothing refers to."""

import shutil
import socket
import time

from benchmark import report
from benchmark.errors import InputError, WorkError
from benchmark.jobs.cache_entries import Entry, entries, held, is_held
from benchmark.jobs.configs import GcConfig
from benchmark.jobs.orphans import Orphan, orphans
from benchmark.jobs.owners import is_dead
from benchmark.jobs.results import CACHE

HOUR, DAY = 3600.0, 86400.0


def collect(config: GcConfig) -> int:
    """Run the `gc` command; returns its exit code."""
    import registry

    if config.days < 0:
        raise InputError(f"days must be at least 0, got {config.days}.")
    try:
        store = registry.local_store(registry.connect())
        busy = _jobs_here(everywhere=store is not None)
    except OSError as error:
        raise WorkError(f"{error}.") from None
    limit = time.time() - max(config.days * DAY, HOUR)
    listed: list[Entry | Orphan] = []
    kept: list[Entry] = []
    for entry in entries(CACHE):
        if entry.used < limit:
            # An encoder's activations stay mapped, and a dataset open, after their locks were released.
            (kept if is_held(entry.lock) or (busy and entry.part != "training") else listed).append(entry)
    listed += orphans(store) if store is not None else []
    removed = [item for item in listed if config.delete and _remove(item)]
    shown = removed if config.delete else listed
    if shown:
        rows = [(str(item.path), report.size(item.bytes), _why(item)) for item in shown]
        print(report.text_table(("path", "size", "why"), rows))
    total = report.size(sum(item.bytes for item in shown))
    if config.delete:
        print(f"Removed: {len(removed)} ({total}).")
        if len(removed) < len(listed):
            print(f"{len(listed) - len(removed)} could not be removed: in use meanwhile, or not permitted.")
    else:
        print(f"Listed: {len(listed)} ({total}). Nothing was removed; add --delete true to remove what is listed.")
    if kept:
        print(
            f"Kept, because a job holds them or may use them: {len(kept)} ({report.size(sum(e.bytes for e in kept))})."
        )
    if store is None:
        print("Artifacts of a store that others share are not looked at; `mlflow gc` removes those of deleted runs.")
    return 0


def _jobs_here(*, everywhere: bool) -> bool:
    """Whether a job is running that may use the cache: any of a store of this folder, else any of this machine."""
    import registry

    running = registry.runs("RUNNING")
    return any(
        not is_dead(owner, heartbeat) and (everywhere or owner.startswith(f"{socket.gethostname()}:"))
        for owner, heartbeat in zip(running.owner, running.heartbeat, strict=True)
        if owner
    )


def _why(item: Entry | Orphan) -> str:
    if isinstance(item, Orphan):
        return item.why
    if item.part == "left over":
        return "half written by a process that died"
    return f"{item.part}, not used for {report.duration(time.time() - item.used)}"


def _remove(item: Entry | Orphan) -> bool:
    """Remove what was listed, unless a process took hold of it meanwhile; whether it is gone."""
    path = item.path
    with held(item.lock if isinstance(item, Entry) else None) as ours:
        if not ours:
            return False
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            if isinstance(item, Entry) and item.part == "activations":
                path.parent.rmdir()  # the encoder's folder, where this was its last pass
        except OSError:
            return not path.exists()
    return True
