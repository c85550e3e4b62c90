"""Running an encoder on prepared batches: in parts that fit its device, with the threads that are its share."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from benchmark.encoders import Encoder
from benchmark.errors import WorkError
from benchmark.jobs.prefetch import Inputs, Rows

LOG = logging.getLogger("benchmark")
IMAGE_SECONDS, CORE_FLOPS = 3e-3, 1e11
"""What decoding and preprocessing an image takes, and what a core computes a second: orders of magnitude only."""

Result = TypeVar("Result")


class ModelRuns:
    """Runs an encoder on batches; one that does not fit the device's memory is halved, and later ones with it."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.most: int | None = None
        """Samples that fit the device's memory, once some did not."""

    def parts(self, rows: Rows, inputs: Inputs, run: Callable[[Rows, Inputs], Result]) -> list[Result]:
        """Return what `run` gives for a batch, in parts that fit.

        Raises WorkError when a single sample does not fit.
        """
        parts: list[Result] = []
        done = 0
        while done < len(rows):
            part = slice(done, done + (self.most or len(rows)))
            try:
                parts.append(run(rows[part], {key: value[part] for key, value in inputs.items()}))
                done = part.stop
                continue
            except torch.OutOfMemoryError:
                pass  # retried outside, where the exception no longer holds the tensors
            tried = len(rows[part])
            if tried == 1:
                raise WorkError(
                    f"encoder '{self.encoder.name}' does not fit the memory of device '{self.encoder.device}' with a "
                    "single sample; choose a smaller encoder, precision=bfloat16 or device=cpu."
                )
            self.most = (tried + 1) // 2
            if self.encoder.device.type == "cuda":
                torch.cuda.empty_cache()
            LOG.warning("%s: out of memory, going on with batches of %d.", self.encoder.name, self.most)
        return parts


def not_finite(encoder: Encoder, layer: int, sample: str) -> ValueError:
    """Return the error of a vector that is not finite, naming encoder, layer and sample."""
    reduced = f" in {encoder.precision}" if encoder.precision != "float32" else ""
    return ValueError(f"encoder '{encoder.name}', layer {layer}: sample '{sample}' is not finite{reduced}.")


@contextlib.contextmanager
def model_threads(encoder: Encoder) -> Iterator[None]:
    """On a CPU, give a small image model few threads: its share of the work.

    Threads of one matrix product wait for each other, and wait long where other threads decode images on the same
    cores. The share is computed from nominal speeds, not timed: another number of threads may round differently, and a
    process that goes on behind another must compute the same bytes.
    """
    cores = torch.get_num_threads()
    if encoder.device.type != "cpu" or encoder.modality != "image":
        yield
        return
    model = encoder.flop / CORE_FLOPS
    torch.set_num_threads(max(1, round(cores * model / (model + IMAGE_SECONDS))))
    try:
        yield
    finally:
        torch.set_num_threads(cores)
