"""How many processor cores this process may use."""

import os


def cores() -> int:
    """Cores this process may run on: a scheduler's or a container's affinity counts, not what the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
