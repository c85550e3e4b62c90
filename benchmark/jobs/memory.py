"""How much memory training may take on this machine, container or GPU."""

import os
from collections.abc import Iterator
from pathlib import Path

SHARE = 0.5
"""Share of the free memory that training may take; the rest is for batches, pre-activations and other processes."""
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def memory_budget(device: str) -> int:
    """Return the bytes that training may take now on a device: half of what is free."""
    if device.startswith("cuda"):
        import torch

        # What torch holds without using it is free for this process.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(SHARE * (torch.cuda.mem_get_info(device)[0] + held))
    return int(SHARE * min([_available(), *_limits()]))


def _available() -> int:
    """Return the memory that new work can have; where the system does not say (macOS), half of what is built in."""
    try:
        fields = dict(line.split(":", 1) for line in (PROC / "meminfo").read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


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
