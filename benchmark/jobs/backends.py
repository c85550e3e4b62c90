"""Where units of work run: in this process, in processes of this machine, or on a cluster; through joblib.

Joblib hands the units out. Its workers start a process for each and watch it (`benchmark.jobs.units`): on this machine
they are threads, on a cluster Dask's or Ray's workers. Joblib's own processes (loky) would not do: when one of them is
killed, loky ends all others with it.
"""

import contextlib
import logging
import pickle
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm

from benchmark.cores import all_cores
from benchmark.errors import InputError, WorkError, unknown
from benchmark.jobs.units import Answer, Unit, active_job, end_all, watch
from benchmark.main_memory import available_memory

BACKENDS = ("local", "dask", "ray")
CORES = 4
"""Cores of a unit, unless the user says how many units run at a time: fewer wait for the libraries to load."""
MEMORY = 4 << 30
"""Bytes of a unit: libraries, an encoder and its batches. Training and features take what is there."""
PATIENCE = 60.0
"""Seconds to wait for the workers of a cluster."""
REACH = 10.0
"""Seconds to wait for an answer of Ray's address."""
NEEDED = {"dask": "distributed", "ray": "ray"}


@dataclass(frozen=True)
class Backend:
    """What the user asked for."""

    name: str = "local"
    address: str = ""
    workers: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for what cannot be."""
        if self.name not in BACKENDS:
            raise unknown("backend", self.name, BACKENDS)
        if self.workers < 0:
            raise InputError(f"workers must be at least 0, got {self.workers}.")
        if self.name == "local" and self.address:
            raise InputError("address is that of a cluster; say backend=dask or backend=ray too.")
        if self.name != "local" and not self.address:
            example = "tcp://HOST:8786" if self.name == "dask" else "HOST:6379"
            raise InputError(f"backend={self.name} needs the address of the cluster, like address={example}.")
        if self.name == "dask" and self.workers:
            raise InputError("workers is not for backend=dask: `dask worker --nthreads` says how many units each does.")
        if self.name == "local":
            return
        try:
            __import__(NEEDED[self.name])
        except ImportError:
            raise InputError(
                f"backend={self.name} needs the package '{NEEDED[self.name]}', here and on the workers: "
                "pip install 'shared-concepts[scale]', in a checkout pip install -e '.[scale]'."
            ) from None

    @property
    def elsewhere(self) -> bool:
        """Whether units run on other machines than this one, whose GPUs, disks and caches may be others."""
        return self.name != "local"

    def processes(self, n_units: int, device: str) -> int:
        """Return how many processes of this machine share so many units; 0: this process does them one by one.

        A GPU is not shared: its units run one by one, unless the user says how many at a time.
        """
        if n_units < 2:
            return 0
        if self.workers:
            return min(self.workers, n_units) if self.workers > 1 else 0
        memory = available_memory()
        most = min(all_cores() // CORES, n_units if memory is None else memory // MEMORY, n_units)
        return most if most > 1 and not device.startswith("cuda") else 0


def fan_out(backend: Backend, processes: int, units: Sequence[Unit], desc: str, kind: str) -> list[Answer]:
    """Return the answers of all units, in their order, whichever ends first.

    A unit whose process dies is tried once more, then it counts as failed; the others go on. So is every unfinished
    unit when the cluster itself fails. When this is interrupted, the units end.

    Args:
        backend: where they run.
        processes: of this machine, for a local backend.
        units: what is to be done.
        desc: what the progress bar says.
        kind: what it counts.

    Raises:
        WorkError: the cluster cannot be reached or has no workers.
    """
    job = active_job()
    told = [pickle.dumps((job, unit)) for unit in units]
    answers: dict[int, Answer] = {}
    bar = tqdm(total=len(units), desc=desc, unit=kind)
    with _connected(backend, processes) as (options, n_jobs, at_a_time), bar:
        for last in (False, True):
            left = [i for i in range(len(units)) if i not in answers]
            try:
                with parallel_config(**options):
                    found = _Watched(bar, n_jobs=n_jobs, batch_size=1, pre_dispatch="all")(
                        delayed(watch)(told[i], at_a_time) for i in left
                    )
            except KeyboardInterrupt:
                end_all()
                raise
            except Exception as error:  # of the engine: units answer for their own
                text = f"the workers of backend={backend.name} failed: {' '.join(str(error).split())[:300]}"
                found = [Answer(error=text, lost=True) for _ in left]
            answers |= {i: answer for i, answer in zip(left, found, strict=True) if last or not answer.lost}
            bar.n = len(answers)
            bar.refresh()
            if len(answers) == len(units):
                break
    return [answers[i] for i in range(len(units))]


class _Watched(Parallel):
    """Joblib's `Parallel`, with a bar of what is finished."""

    def __init__(self, bar: Any, **options: Any) -> None:
        super().__init__(**options)
        self._bar, self._before = bar, bar.n

    def print_progress(self) -> None:
        """Move the bar; joblib calls this whenever a unit ends."""
        self._bar.n = self._before + self.n_completed_tasks
        self._bar.refresh()


@contextlib.contextmanager
def _connected(backend: Backend, processes: int) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Yield joblib's options, the number of units at a time, and how many of them share a machine (0: Dask knows)."""
    if backend.name == "local":
        yield {"backend": "threading"}, processes, processes
    elif backend.name == "dask":
        with _dask(backend) as client:
            yield {"backend": _dask_backend()(client=client, wait_for_workers_timeout=PATIENCE)}, -1, 0
    else:
        with _ray(backend) as (n_jobs, cpus, at_a_time):
            # Ray starts a worker that died again, once, and gives it its unit.
            again = {"num_cpus": cpus, "max_restarts": 1, "max_task_retries": 1}
            yield {"backend": "ray", "ray_remote_args": again}, n_jobs, at_a_time


def _dask_backend() -> Any:
    from joblib._dask import DaskDistributedBackend

    class DaskBackend(DaskDistributedBackend):
        """Joblib's, which leaves a cluster of one worker out and works here."""

        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(2, super().effective_n_jobs(n_jobs))

    return DaskBackend


@contextlib.contextmanager
def _dask(backend: Backend) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(backend.address, timeout=PATIENCE, set_as_default=False)
        client.wait_for_workers(1, timeout=PATIENCE)
        client.run(all_cores)  # joblib would wait for ever for workers without this project
    except Exception as error:  # whatever the workers lack
        raise WorkError(_unreachable(backend, "Dask scheduler", error)) from None
    try:
        yield client
    finally:
        client.close()  # which takes back what no worker has begun


@contextlib.contextmanager
def _ray(backend: Backend) -> Iterator[tuple[int, float, int]]:
    import ray
    from ray.util.joblib import register_ray

    register_ray()
    ours = not ray.is_initialized()
    try:
        if ours:
            _reach(backend.address)  # Ray itself tries for minutes
            ray.init(backend.address, log_to_driver=False, logging_level=logging.ERROR)
        nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    except (OSError, ValueError, RuntimeError) as error:
        raise WorkError(_unreachable(backend, "Ray cluster", error)) from None
    try:
        nodes = [cpus for cpus in nodes if cpus]
        if sum(nodes) < 2:
            raise WorkError("the Ray cluster has fewer than two CPUs; use backend=local on such a machine.")
        cpus = min(float(CORES), *nodes)
        if backend.workers:
            cpus = max(1.0, min(sum(nodes) // backend.workers, *nodes))
        units = int(sum(node // cpus for node in nodes))
        if units < 2:  # one worker joblib would leave out, and work here
            units, cpus = 2, cpus / 2
        yield max(2, min(units, backend.workers or units)), cpus, max(1, int(max(nodes) // cpus))
    finally:
        if ours:
            ray.shutdown()


def _reach(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT; other forms of addresses are Ray's own to judge."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=REACH).close()


def _unreachable(backend: Backend, what: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return f"the {what} {backend.address} cannot be used ({reason}); check the address and that it has workers."
