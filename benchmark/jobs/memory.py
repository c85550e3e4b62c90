"""How much memory training may take on this machine, container or GPU."""

import os

from benchmark.main_memory import available_memory

SHARE = 0.5
"""Share of the free memory that training may take; the rest is for batches, pre-activations and other processes."""
AT_A_TIME = "BENCHMARK_UNITS_AT_A_TIME"
"""Environment variable: units of work that share this machine's memory, this process being one of them."""


def memory_budget(device: str) -> int:
    """Return the bytes that training may take now on a device: half of what is free, or this process's part of it.

    Where the system does not say what is free (macOS), half of what is built in counts as free.
    """
    share = SHARE / int(os.environ.get(AT_A_TIME, "1"))
    if device.startswith("cuda"):
        import torch

        # What torch holds without using it is free for this process.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(share * (torch.cuda.mem_get_info(device)[0] + held))
    built_in = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(share * (available_memory() or built_in // 2))
