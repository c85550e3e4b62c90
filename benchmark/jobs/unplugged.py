"""Work that must not touch the network: what a dry run does."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.offline import hub_reachable

COPY = "datasets.config"
"""The module that copies the hub client's offline mode when it is imported."""


@contextmanager
def unplugged() -> Iterator[None]:
    """Keep the Hugging Face libraries to their cache inside this block, whatever the hub would answer."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE

    def switch(offline: bool) -> None:
        hub_reachable.cache_clear()  # an earlier answer does not hold in here, nor this one afterwards
        for module in (constants, sys.modules.get(COPY)):
            if module is not None:
                module.HF_HUB_OFFLINE = offline  # type: ignore[attr-defined]

    switch(True)
    try:
        yield
    finally:
        switch(before)
