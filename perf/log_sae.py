"""Seconds that logging and registering an SAE takes beyond writing its bytes.

    python perf/log_sae.py [--d 768] [--latents 6144] [--rounds 7]

In a temporary folder, with a SQLite store: `registry.log_sae` with 20 metrics and a dataset, in turns with writing the
SAE's two files and flushing them to the disk. Medians of the time that passes, and of what the process itself computes,
which other processes of the machine do not lengthen. `predict` is the pyfunc model on 2,048 rows, beside `encode`.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Timed(NamedTuple):
    """Seconds of a call."""

    passed: float
    computed: float
    """Of all threads of this process."""
    result: Any


def timed(work: Callable[[], Any]) -> Timed:
    """Call a function and return how long it took."""
    passed, computed = time.perf_counter(), time.process_time()
    found = work()
    return Timed(time.perf_counter() - passed, time.process_time() - computed, found)


def shown(times: list[Timed]) -> str:
    """Return the medians."""
    return f"{np.median([t.passed for t in times]):.3f} s ({np.median([t.computed for t in times]):.3f} s computing)"


def main() -> None:
    """Log some SAEs and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--d", type=int, default=768)
    parser.add_argument("--latents", type=int, default=6144)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"
        measure(asked.d, asked.latents, asked.rounds)


def measure(d: int, latents: int, rounds: int) -> None:
    """Print the medians."""
    import mlflow
    import torch
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    import registry
    from benchmark.sae import TopKSAE, write_sae

    registry.connect()
    sae = TopKSAE(d, latents, 32)
    figures = {f"figure_{i}": i / 7 for i in range(20)}
    data = MetaDataset(CodeDatasetSource({"kind": "scenes"}), name="scenes", digest="0" * 16)  # type: ignore[abstract]
    written, logged = [], []

    def write() -> None:
        folder = Path(tempfile.mkdtemp(dir=".")) / "sae"
        write_sae(sae, folder)
        for file in folder.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())

    with mlflow.start_run():
        mlflow.log_input(data)
        for layer in range(rounds + 1):  # the first warms up
            written.append(timed(write))
            log = partial(registry.log_sae, sae, dataset="scenes", encoder="vit", layer=layer, seed=0)
            logged.append(timed(partial(log, metrics=figures, data=data)))
    print(f"d = {d}, {latents:,} latents, {8 * d * latents / 1e6:.0f} MB, {rounds} rounds")
    print(f"log_sae {shown(logged[1:])}, writing and flushing its files {shown(written[1:])}")
    uri, x = logged[-1].result, np.random.default_rng(0).standard_normal((2048, d), np.float32)
    loaded, module = timed(partial(mlflow.pyfunc.load_model, uri)), timed(partial(registry.load_sae, uri))
    print(f"load: pyfunc {shown([loaded])}, torch {shown([module])}")
    for name, work in (("predict", loaded.result.predict), ("encode", module.result.encode)):
        with torch.no_grad():
            times = [timed(partial(work, x if name == "predict" else torch.from_numpy(x))) for _ in range(rounds + 1)]
        print(f"{name} {shown(times[1:])}")


if __name__ == "__main__":
    main()
