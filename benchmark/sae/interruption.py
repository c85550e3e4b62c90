"""Interruptions wait until a step is done: in the midst of one, what is in memory belongs to no step."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Which signal came, if one did."""

    signal: int | None = None

    @property
    def came(self) -> bool:
        """Whether there was a signal to stop."""
        return self.signal is not None


@contextlib.contextmanager
def deferred_interruption() -> Iterator[Interruption]:
    """Note the first SIGINT or SIGTERM instead of acting on it; at the end, act as if it came now.

    A second signal acts at once. Outside of the main thread, which alone is told of signals, nothing changes.
    """
    found = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    earlier: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in earlier.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        found.signal = number
        restore()

    for number in SIGNALS:
        handler = signal.getsignal(number)
        if handler is not None:  # one that was not set from Python could not be set again
            earlier[number] = handler
            signal.signal(number, note)
    try:
        yield found
    finally:
        restore()
        if found.signal is not None:
            signal.raise_signal(found.signal)
