"""Seconds that typed queries take on a store of thousands of runs, and what a job asks of it before it works.

    python perf/queries.py [--runs 5000] [--layers 12] [--rounds 5]

Makes a SQLite store in a temporary folder, its rows written directly: 9 of 10 runs are train runs (49 metrics, 45
parameters, an input, and a registered SAE a layer), the others compare runs (202 metrics). `search_runs` is
`mlflow.search_runs` with the same conditions. Both are asked in turns; medians of the rounds.
"""

import argparse
import os
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

ENCODERS, SEEDS, DATASETS = [f"encoder-{i}" for i in range(21)], range(5), ("coco", "laion", "flowers", "scenes")
START = 1_750_000_000_000
PARTNERS = "partners/encoder-0/encoder-1.parquet"


def fill(path: Path, n_runs: int, layers: int) -> tuple[str, str]:
    """Write runs and registered SAEs into an empty store; returns the newest compare run's id and a training's key."""
    database = sqlite3.connect(path)
    root = path.parent / "mlruns" / "0"
    database.execute("INSERT INTO datasets VALUES ('d', 0, 'coco', 'digest', 'code', '{}', NULL, NULL)")
    made = [_run(i, root) for i in range(n_runs)]

    def many(table: str, rows: Iterator[tuple]) -> None:
        width = len(database.execute(f"PRAGMA table_info({table})").fetchall())
        database.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * width)})", rows)

    many("runs", (run["row"] for run in made))
    many("tags", ((k, v, run["id"]) for run in made for k, v in run["tags"].items()))
    many("params", ((f"cfg.parameter_{i}", f"value {i}", run["id"]) for run in made for i in range(45)))
    values = ((f"metric/{i}", i / 7, START, 0, 0, run["id"]) for run in made for i in range(run["metrics"]))
    many("latest_metrics", values)
    many("inputs", ((uuid.uuid4().hex, "DATASET", "d", "RUN", run["id"], 0) for run in made))
    train = [run for run in made if run["tags"]["kind"] == "train"]
    models = [(run, layer, f"m-{uuid.uuid4().hex}") for run in train for layer in range(layers)]
    names = [f"sae-{run['tags']['dataset']}-{run['tags']['encoder']}-L{layer:02d}" for run, layer, _ in models]
    many(
        "logged_models",
        (
            (m, 0, name, f"{root}/models/{m}/artifacts", START, START, 2, "active", "", run["id"], "")
            for name, (run, _, m) in zip(names, models, strict=True)
        ),
    )
    columns = "(name, creation_time, last_updated_time, description, workspace)"
    database.executemany(
        f"INSERT INTO registered_models {columns} VALUES (?, ?, ?, '', 'default')",
        ((name, START, START) for name in dict.fromkeys(names)),
    )
    count: dict[str, int] = {}
    rows = []
    for name, (run, _, m) in zip(names, models, strict=True):
        count[name] = count.get(name, 0) + 1
        rows.append((name, count[name], START, START, f"models:/{m}", run["id"], f"{root}/models/{m}/artifacts"))
    database.executemany(
        "INSERT INTO model_versions (name, version, creation_time, last_updated_time, source, run_id, storage_location,"
        " current_stage, status, workspace) VALUES (?, ?, ?, ?, ?, ?, ?, 'None', 'READY', 'default')",
        rows,
    )
    database.commit()
    database.close()
    newest = next(run["id"] for run in reversed(made) if run["tags"]["kind"] == "compare")
    file = root / newest / "artifacts" / PARTNERS
    file.parent.mkdir(parents=True)
    rng, m = np.random.default_rng(0), 24 * 8192
    pd.DataFrame(
        {
            "layer": np.repeat(np.arange(24), 8192),
            "feature": np.tile(np.arange(8192), 24),
            "rho": rng.random(m, np.float32),
            "partner_layer": rng.integers(0, 24, m),
            "partner": rng.integers(0, 8192, m),
            "held_out_rho": rng.random(m, np.float32),
            "S": rng.random(m, np.float32),
        }
    ).to_parquet(file)
    return newest, str(train[len(train) // 2]["tags"]["key"])


def _run(i: int, root: Path) -> dict:
    run_id = uuid.uuid4().hex
    compare = i % 10 == 9
    tags = {
        "kind": "compare" if compare else "train", "suite": f"suite-{i % 7}", "dataset": DATASETS[i % 4],
        "key": uuid.uuid4().hex, "owner": "host:1:1", "heartbeat": "1750000000", "mlflow.user": "someone",
        "mlflow.source.name": "file:///somewhere", "mlflow.source.type": "LOCAL", "mlflow.runName": f"run {i}",
    }  # fmt: skip
    if not compare:
        tags |= {"encoder": ENCODERS[i % 21], "seed": str(SEEDS[i % 5])}
    status = "FAILED" if i % 50 == 0 else "FINISHED"
    start = START + 1000 * i
    row = (
        run_id, f"run {i}", "LOCAL", "", "", "someone", status, start, start + 900, "", "active",
        f"{root}/{run_id}/artifacts", 0, None,
    )  # fmt: skip
    return {"id": run_id, "tags": tags, "row": row, "metrics": 202 if compare else 49}


def seconds(one: Callable[[], object], two: Callable[[], object] | None, rounds: int) -> tuple[float, float]:
    """Return the median seconds of each, asked in turns."""
    taken: list[tuple[float, float]] = []
    for _ in range(rounds):
        times = []
        for work in (one, two):
            begun = time.perf_counter()
            if work:
                work()
            times.append(time.perf_counter() - begun)
        taken.append((times[0], times[1]))
    return float(np.median([a for a, _ in taken])), float(np.median([b for _, b in taken]))


def main() -> None:
    """Make the store, ask it, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"
        measure(asked.runs, asked.layers, asked.rounds)


def measure(n_runs: int, layers: int, rounds: int) -> None:
    """Print what each query takes."""
    import contextlib
    import io

    import mlflow

    import registry
    from benchmark.jobs.configs import StatusConfig
    from benchmark.jobs.owners import mark_dead_runs
    from benchmark.jobs.status import status

    begun = time.perf_counter()
    registry.connect()
    newest, key = fill(Path("mlflow.db").absolute(), n_runs, layers)
    made = time.perf_counter() - begun
    size, saes = Path("mlflow.db").stat().st_size / 1e6, len(registry.registered_saes())
    print(f"{n_runs:,} runs and {saes:,} SAEs: {size:.0f} MB, made in {made:.0f} s")

    def search(condition: str = "", limit: int = 100_000) -> pd.DataFrame:
        return mlflow.search_runs(search_all_experiments=True, filter_string=condition, max_results=limit)

    def shown() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            status(StatusConfig())

    finished = f"attributes.status = 'FINISHED' and tags.kind = 'train' and tags.key = '{key}'"
    lines: list[tuple[str, Callable[[], object], Callable[[], object] | None]] = [
        ("runs(): all", registry.runs, search),
        ("runs(kind='compare')", lambda: registry.runs(kind="compare"), lambda: search("tags.kind = 'compare'")),
        ("runs(encoder, seed)", lambda: registry.runs(kind="train", encoder="encoder-3", seed="0"),
         lambda: search("tags.kind = 'train' and tags.encoder = 'encoder-3' and tags.seed = '0'")),
        ("find_finished(kind, key)", lambda: registry.find_finished("train", key), lambda: search(finished)),
        ("latest('compare')", lambda: registry.latest("compare"),
         lambda: search("attributes.status = 'FINISHED' and tags.kind = 'compare'", 1)),
        ("registered_saes()", registry.registered_saes, None),
        ("feature_partners(): 196,608 rows", lambda: registry.feature_partners(newest, "encoder-0", "encoder-1"), None),
        ("a job's start: connect()", registry.connect, None),
        ("a job's start: mark_dead_runs()", mark_dead_runs, None),
        ("status", shown, None),
    ]  # fmt: skip
    for name, ours, naive in lines:
        a, b = seconds(ours, naive, rounds)
        print(f"{name:<34} {a:8.3f} s" + (f"   search_runs {b:8.3f} s   {b / a:6.1f}x" if naive else ""), flush=True)


if __name__ == "__main__":
    main()
