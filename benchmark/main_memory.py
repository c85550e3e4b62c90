"""How much memory this machine, container or cluster job has left."""

from collections.abc import Iterator
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Return the bytes of main memory that new work can have; None where the system does not say (macOS)."""
    return min([*_available(), *_limits()], default=None)


def _available() -> Iterator[int]:
    try:
        fields = dict(line.split(":", 1) for line in (PROC / "meminfo").read_text().splitlines())
        yield int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return


def _limits() -> Iterator[int]:
    """Yield the limits of this process's control groups (a container, a cluster's job), version 2 and 1.

    What a group has in use is not taken off: it counts cached files, which make room by themselves.
    """
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, file = (CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (CGROUPS, "memory.max")
        inner = Path(path.lstrip("/"))
        for folder in (inner, *inner.parents):  # a container may see its own group as the root
            try:
                yield int((root / folder / file).read_text())
            except (OSError, ValueError):  # not there, or "max"
                continue
