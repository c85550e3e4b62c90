"""How many processor cores this process may use."""

import os


def cores() -> int:
    """Cores that this process may keep busy: OMP_NUM_THREADS where it is set, and no more than there are for it.

    Several units of work on one machine get their share of its cores by that variable, see `benchmark.jobs.units`.
    """
    try:
        return max(1, min(all_cores(), int(os.environ["OMP_NUM_THREADS"])))
    except (KeyError, ValueError):
        return all_cores()


def all_cores() -> int:
    """Cores this process may run on: a scheduler's or a container's affinity counts, not what the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
