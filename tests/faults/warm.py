"""Starts commands of the benchmark in processes that have their libraries already: forked, each its own to be killed.

Importing torch, MLflow and the encoders' libraries takes most of a tiny job's time. Here it is done once; nothing else
of the benchmark has run before the fork. Reads one JSON object a line, answers with one.
"""

import atexit
import json
import os
import sys
import time

PARTS = (
    "torch", "torchvision", "timm", "transformers", "mlflow", "mlflow.pyfunc", "numba", "pandas", "pyarrow.parquet",
    "matplotlib.pyplot", "plotly.graph_objects", "psutil", "sqlalchemy", "alembic.command",
    "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store", "registry",
    "benchmark.jobs.compare", "benchmark.jobs.train_encoder", "benchmark.jobs.activations", "benchmark.plots",
    "benchmark.encoders.from_timm", "benchmark.encoders.from_transformers", "benchmark.metrics", "benchmark.sae",
    "transformers.models.auto.modeling_auto", "transformers.models.bert.modeling_bert",
)  # fmt: skip


def load():
    """Import what jobs import."""
    from importlib import import_module

    from benchmark.encoders.torchvision_ops import declare_missing_ops

    declare_missing_ops()
    for part in PARTS:
        try:
            import_module(part)
        except ImportError:
            continue


def work(folder, arguments, environment, log):
    """Be the command; does not return."""
    from benchmark import cli
    from benchmark.jobs import owners

    os.setsid()
    os.chdir(folder)
    os.environ.update(environment)
    owners.STARTED = int(time.time())
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(out, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["benchmark", *arguments]
    code = 0
    try:
        cli.run()
    except SystemExit as stopped:
        code = stopped.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 70
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main():
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print
    load()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "start" in asked:
            pid = os.fork()
            if not pid:
                work(*asked["start"])
            answer = pid
        else:
            pid, status = os.waitpid(asked["wait"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
