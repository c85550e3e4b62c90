"""The process of a unit of work: `python -m benchmark.jobs.unit_process ANSWER` reads the unit from standard input.

The unit is a length of 8 bytes and so many pickled bytes, from the process that started this one. When standard input
closes, that process is gone, and this one ends as on Ctrl-C.
"""

import os
import pickle
import signal
import sys
import threading
import traceback
from importlib import import_module
from pathlib import Path

from benchmark.errors import InputError, WorkError
from benchmark.jobs import tracking
from benchmark.jobs.units import Answer, Unit


def main() -> None:
    """Do the unit and leave its answer in the file that the command line names."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Interrupts are for the process that watches, which passes them on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = sys.stdin.buffer
    _, unit = pickle.loads(told.read(int.from_bytes(told.read(8), "big")))
    threading.Thread(target=_follow, daemon=True).start()
    path = Path(sys.argv[1])
    try:
        answer = _do(unit)
    except KeyboardInterrupt:
        sys.exit(130)
    new = path.with_suffix(".new")
    new.write_bytes(pickle.dumps(answer))
    new.replace(path)


def _do(unit: Unit) -> Answer:
    try:
        tracking.open_store()
        module, name = unit.function.split(":")
        return Answer(getattr(import_module(module), name)(*unit.arguments))
    except Exception as error:  # whatever one unit does wrong, the others go on
        if not isinstance(error, (InputError, WorkError)):
            traceback.print_exc()
        text = str(error) or type(error).__name__
        return Answer(error=text, wrong_request=isinstance(error, InputError), recorded=tracking.is_recorded(error))


def _follow() -> None:
    # Not through `sys.stdin`, whose lock a thread that waits would hold at the end of this process.
    while os.read(0, 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
