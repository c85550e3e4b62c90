"""A Dask cluster and a Ray of this machine, each worker in a folder of its own, and the processes of units in them."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from servers import free_port

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent


class Dask:
    """A scheduler and two workers."""

    backend = "dask"

    def __init__(self, folder):
        self.folder, self.processes, self.workers = folder, [], []
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self._start(folder, "scheduler", "--host", "127.0.0.1", "--port", self.address.rpartition(":")[2])
        for name in ("one", "two"):
            self.workers.append(self._start(folder / name, "worker", self.address, "--nthreads", "1", "--no-nanny"))

    def _start(self, folder, *arguments):
        folder.mkdir(parents=True, exist_ok=True)
        self.processes.append(start(folder, PROGRAMS / "dask", *arguments, "--no-dashboard"))
        return self.processes[-1]

    def close(self):
        for process in reversed(self.processes):
            end(process)


class Ray:
    """A node with two CPUs, and so two workers."""

    backend = "ray"

    def __init__(self, folder):
        self.place = tempfile.mkdtemp(prefix="ray")  # its sockets need a short path
        port = free_port()
        while 10_000 <= port < 20_000:  # those of Ray's workers
            port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.node = start(
            folder, PROGRAMS / "ray", "start", "--head", "--block", "--node-ip-address", "127.0.0.1",
            "--port", port, "--num-cpus", 2, "--include-dashboard=false", "--disable-usage-stats",
            "--temp-dir", self.place,
        )  # fmt: skip
        wait_for(lambda: "--block" in (folder / "log").read_text(), 120)

    def close(self):
        processes = [self.node.pid, *below(self.node.pid)]
        end(self.node)
        for pid in processes:  # the node's own, found before it ended
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.place, ignore_errors=True)


def start(folder, *command):
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: text for name, text in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*map(str, command)], cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True
        )


def end(process):
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def below(pid):
    """The processes that a process started, and those that they started."""
    found, parents = [], {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents.setdefault(int(status.read_text().rpartition(")")[2].split()[1]), []).append(
                int(status.parent.name)
            )
    left = [pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found


def units(pid):
    """The processes of units that a process, or one that it started, watches."""
    found = []
    for child in below(pid):
        with contextlib.suppress(OSError):
            if b"benchmark.jobs.unit_process" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(found, seconds=120):
    """Wait until a function returns something, and return that."""
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return value
