"""A laboratory for faults: folders with a store each, jobs that can be killed, small disks and read-only folders."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import registry

ROOT = Path(__file__).parents[2]
COMPARE = ("compare", "--suite", "tiny")
PLACES = (
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)  # fmt: skip
"""Columns of MLflow's tables that hold absolute paths."""
PATIENCE = 400
"""Seconds after which a job counts as hanging."""


class Job:
    """A command that runs in a process of its own."""

    def __init__(self, warm, folder, arguments, environment, log):
        self.warm, self.log, self.code = warm, log, None
        self.pid = warm.ask(start=[str(folder), list(arguments), environment, str(log)])

    @property
    def ended(self):
        if self.code is None:
            self.code = self.warm.ask(wait=self.pid)
        return self.code is not None

    def kill(self, number=signal.SIGKILL):
        if not self.ended:
            os.killpg(self.pid, number) if os.getpgid(self.pid) == self.pid else os.kill(self.pid, number)

    def wait(self, seconds=PATIENCE):
        """Return (exit code, what was printed); a job that hangs is killed and fails the test."""
        until = time.monotonic() + seconds
        while not self.ended:
            if time.monotonic() > until:
                self.kill()
                raise AssertionError(f"still running after {seconds} s:\n{self.text[-3000:]}")
            time.sleep(0.01)
        return self.code, self.text

    @property
    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Warm:
    """The process that forks jobs."""

    def __init__(self):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        environment.pop("MLFLOW_TRACKING_URI", None)
        environment.pop("MLFLOW_RUN_ID", None)
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout.readline().strip() == "ready"

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture(scope="session")
def warm():
    process = Warm()
    yield process
    process.close()


class Lab:
    """A folder in which jobs run, and what they left there."""

    def __init__(self, warm, folder, database, uri=""):
        self.warm, self.folder, self.uri = warm, folder, uri
        self.jobs, self.started = [], 0
        folder.mkdir(parents=True, exist_ok=True)
        if not uri:
            shutil.copy(database, folder / "mlflow.db")
            with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as store, store:
                for table, column in PLACES:
                    old = f"{database.parent}/mlruns"
                    store.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, f"{folder}/mlruns"))
            self.uri = f"sqlite:///{folder}/mlflow.db"

    def start(self, *arguments, **environment):
        self.started += 1
        log = self.folder.with_name(f"{self.folder.name}-{self.started}.log")
        job = Job(self.warm, self.folder, arguments or COMPARE, {"MLFLOW_TRACKING_URI": self.uri, **environment}, log)
        self.jobs.append(job)
        return job

    def run(self, *arguments, **environment):
        return self.start(*arguments, **environment).wait()

    def compare(self):
        """Run the tiny compare to its end."""
        code, text = self.run()
        assert code == 0, text
        return text

    def runs(self, status="", **tags):
        with self.connected():
            return registry.runs(status, **tags)

    def tables(self):
        """The matrices of the newest compare run."""
        with self.connected():
            run_id = registry.latest("compare")
            assert run_id is not None and registry.verified(run_id) is not None
            return [registry.table(run_id, f"{name}.parquet") for name in ("matrix", "cells")]

    @contextlib.contextmanager
    def connected(self):
        import mlflow

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", self.uri)
            mlflow.set_tracking_uri(self.uri)
            yield

    def close(self):
        for job in self.jobs:
            job.kill()


@pytest.fixture
def make_lab(warm, empty_database, tmp_path):
    """Make folders to run jobs in: make_lab(name, uri="") with a SQLite store of its own unless a URI is given."""
    made = []

    def make(name="lab", uri="", database=empty_database):
        made.append(Lab(warm, tmp_path / name, database, uri))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


@pytest.fixture
def lab(make_lab):
    return make_lab()


@pytest.fixture(scope="session")
def undisturbed(warm, empty_database, tmp_path_factory):
    """A compare that nothing disturbed: its lab, its tables and its seconds."""
    found = Lab(warm, tmp_path_factory.mktemp("undisturbed") / "lab", empty_database)
    begun = time.monotonic()
    found.compare()
    seconds = time.monotonic() - begun
    return found, found.tables(), seconds


@pytest.fixture
def done_lab(make_lab, undisturbed):
    """A copy of the folder in which nothing disturbed a compare."""
    source = undisturbed[0].folder
    with contextlib.closing(sqlite3.connect(source / "mlflow.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    lab = make_lab("copy", database=source / "mlflow.db")
    for part in (".cache", "mlruns"):
        shutil.copytree(source / part, lab.folder / part)
    return lab


@pytest.fixture
def as_undisturbed(undisturbed):
    """Assert that a lab's newest compare has the matrices of one that nothing disturbed, and that all is in order."""

    def check(lab):
        for table, wanted in zip(lab.tables(), undisturbed[1], strict=True):
            pd.testing.assert_frame_equal(table, wanted)
        runs = lab.runs()
        assert not (runs.status == "RUNNING").any(), runs
        finished = runs[(runs.kind == "train") & (runs.status == "FINISHED")]
        assert len(finished) == 2 and not finished.key.duplicated().any(), "work was done twice"

    return check


def mounted(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture
def mount():
    """Mount over a folder: mount("tmpfs", folder, size) or mount("read-only", folder); skips where that is refused."""
    places = []

    def over(kind, folder, size=0):
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "tmpfs":
            done = mounted("-t", "tmpfs", "-o", f"size={size}", "none", folder)
        else:
            done = mounted("--bind", folder, folder)
            if not done.returncode:
                places.append(folder)
                done = mounted("-o", "remount,bind,ro", folder)
        if done.returncode:
            pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
        if folder not in places:
            places.append(folder)

    def away(folder):
        places.remove(folder)
        subprocess.run(["umount", "-l", str(folder)], check=True)

    over.away = away
    yield over
    for folder in reversed(places):
        subprocess.run(["umount", "-l", str(folder)], check=False)
