"""A real `mlflow server` on the loopback address, over SQLite or over a PostgreSQL of its own."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Server:
    """`mlflow server` with proxied artifacts: jobs know its address and nothing else, as docs/servers.md starts it."""

    def __init__(self, folder, backend=""):
        self.folder, self.port, self.process = folder, free_port(), None
        folder.mkdir(parents=True, exist_ok=True)
        self.backend = backend or f"sqlite:///{folder}/mlflow.db"
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self):
        environment = {
            **os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }  # fmt: skip
        environment.pop("MLFLOW_TRACKING_URI", None)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1",
                    "--port", str(self.port), "--backend-store-uri", self.backend,
                    "--artifacts-destination", str(self.folder / "artifacts"), "--serve-artifacts",
                ],
                stdout=log, stderr=log, cwd=self.folder, env=environment, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + 120
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < until, self.log
            time.sleep(0.2)

    def answers(self):
        try:
            with urlopen(f"{self.uri}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    @property
    def log(self):
        return (self.folder / "server.log").read_text(errors="replace")[-3000:]

    def kill(self):
        """Kill the server and its workers at once."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None


class Postgres:
    """A PostgreSQL cluster of its own, run by the user `postgres` where we are root: initdb refuses root."""

    def __init__(self):
        self.bin = postgres_programs()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.port, self.password = free_port(), secrets.token_hex(8)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        secret = self.folder / "password"
        secret.write_text(self.password)
        if os.geteuid() == 0:
            shutil.chown(secret, "postgres", "postgres")
        self.data = self.folder / "data"
        self._do("initdb", "-D", self.data, "-U", "mlflow", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self._do("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-o", options, "-w", "start")
        self._do("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "mlflow", "mlflow")
        self.uri = f"postgresql+psycopg://mlflow:{self.password}@127.0.0.1:{self.port}/mlflow"

    def _do(self, program, *arguments):
        command = [str(self.bin / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # No pipes: the server that pg_ctl starts would keep them open.
        with (self.folder / "commands.log").open("ab") as log:
            done = subprocess.run(
                command, stdout=log, stderr=log, cwd="/", env={**os.environ, "PGPASSWORD": self.password}
            )
        assert done.returncode == 0, (self.folder / "commands.log").read_text()

    def close(self):
        self._do("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


def postgres_programs():
    """Return the folder of Debian's newest PostgreSQL programs, or None."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda path: int(path.parent.name), default=None)
