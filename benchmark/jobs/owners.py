"""Whose a run is, and whether that process still lives: a run that nobody works on any more must not stay RUNNING."""

import os
import socket
import time
from pathlib import Path

STARTED = int(time.time())
STALE = 600.0
"""A run whose heartbeat is older than this is dead wherever it ran."""
CLOCKS = 60
"""Seconds by which a process may seem to have started later than it says, its clock having been set."""
UNCLAIMED = 3600.0
"""Seconds after which a run that `mlflow run` made and no job took over is dead: environments take minutes to make."""
PROJECT = Path(__file__).parents[2]


def owner() -> str:
    """Return what the runs of this process say of their owner: HOST:PID:START."""
    return f"{socket.gethostname()}:{os.getpid()}:{STARTED}"


def is_dead(name: str, heartbeat: str) -> bool:
    """Whether the process that a RUNNING run's tags name is gone; on another machine only a late heartbeat tells."""
    try:
        host, pid, started = name.rsplit(":", 2)
        if time.time() - float(heartbeat or 0) > STALE:
            return True
        if host != socket.gethostname():
            return False
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return True
    except PermissionError:
        return False
    # Another process may have been given its number since: likely in containers, which count from 1 again.
    return (int(pid) == os.getpid() and name != owner()) or _born(int(pid)) > int(started) + CLOCKS


def mark_dead_runs() -> None:
    """Mark the RUNNING runs of processes that are gone as KILLED; raises OSError when the store does not answer."""
    import registry

    running = registry.runs("RUNNING")
    for run_id, name, heartbeat in zip(running.run_id, running.owner, running.heartbeat, strict=True):
        if name and is_dead(name, heartbeat):
            _mark(run_id, "the process that owned this run died")
    # Killed between `mlflow run`, which made the run, and the job that would have taken it over.
    ours = registry.runs("RUNNING", limit=None, ids=None, **{"mlflow.source.name": PROJECT.as_uri()})
    for run_id, name, start in zip(ours.run_id, ours.owner, ours.start, strict=True):
        if not name and time.time() - start.timestamp() > UNCLAIMED:
            _mark(run_id, "no job took this run over")


def _mark(run_id: str, error: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient()
    client.set_tag(run_id, "error", error)
    client.set_terminated(run_id, "KILLED")


def _born(pid: int) -> float:
    """Return when a process started, in seconds since 1970; 0 where the system does not say."""
    try:
        # Behind the name in parentheses, which may hold anything, the start is the 20th field, in ticks after boot.
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, ValueError, IndexError, StopIteration):
        return 0.0
    return int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
