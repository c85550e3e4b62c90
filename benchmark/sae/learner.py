"""One SAE in training: its optimiser, its schedules, and what is noted of it on the way."""

import contextlib
import json
import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.sae.objective import objective
from benchmark.sae.schedule import active_latents, learning_rate
from benchmark.sae.settings import TrainConfig
from benchmark.sae.topk import TopKSAE

WATCH = 64
"""Steps after which losses are read from a device that is not the CPU: reading waits until all steps are done."""
DEAD_POINTS = 200
"""Points of the curve of dead latents."""
BLOCK = 256
TINY = 1e-30
"""Length below which a decoder row is left as it is."""


class NotFinite(ValueError):
    """An activation or a loss is not a finite number: `key` of the SAE, `step` of the batches."""

    def __init__(self, key: Any, step: int, what: str):
        super().__init__(f"SAE {key}: the {what} is not finite at step {step}.")
        self.key, self.step, self.what = key, step, what


class TrainingLog(NamedTuple):
    """What is noted of an SAE in training; steps are its own, counted from 1."""

    loss: NDArray[np.float32]
    """(steps,): mean squared error of the reconstruction, per dimension, in the units of the activations."""
    learning_rate: NDArray[np.float32]
    """(steps,): step size of Adam."""
    dead: NDArray[np.float64]
    """(p, 2): step, and share of the latents that were dead at its end; at most 201 points."""
    evaluations: NDArray[np.float64]
    """(e, 2): steps done, and what the evaluator returned."""


class Learner:
    """One SAE, advanced batch by batch.

    While it trains, `sae` has b_dec and b_enc in units of `scale` times the activations; `units_of_activations` and
    `finish` give them back their own. Everything else is the same in both: with W_enc and W_dec as they are, an SAE
    whose biases are divided by the scale has activations and reconstructions divided by the scale.

    Args:
        key: its name in errors and for the evaluator.
        sae: the SAE, on its device, b_dec in units of the activations.
        total: steps on which the schedules rest.
        scale: by what the activations are multiplied.

    Raises InputError when `k_start` does not fit the dictionary.
    """

    def __init__(self, key: Any, sae: TopKSAE, config: TrainConfig, total: int, scale: float = 1.0):
        config.check_sizes(sae.k, sae.n_latents)
        self.key, self.sae, self.config, self.total, self.scale = key, sae, config, total, scale
        self.device = sae.W_enc.device
        self.adam = torch.optim.Adam(sae.parameters(), lr=config.learning_rate, fused=True)
        self.idle = torch.zeros(sae.n_latents, dtype=torch.int64, device=self.device)
        """Vectors since each latent fired."""
        # Decoder rows that stay in a CPU's cache between two operations; elsewhere all of them.
        self._block = BLOCK if self.device.type == "cpu" else sae.n_latents
        self.steps = 0
        self.stopped = False
        self.best, self.since = math.inf, 0
        self.best_weights: dict[str, Tensor] = {}
        self._loss = array("f")
        self.dead: list[tuple[int, Tensor | float]] = []
        self.evaluations: list[tuple[int, float]] = []
        self._pending: list[tuple[int, Tensor, Tensor]] = []
        with torch.no_grad():
            for bias in self._biases():
                bias.mul_(scale)
        if config.unit_norm:
            self._to_unit_norm()

    @property
    def done(self) -> bool:
        """Whether it takes no more batches: all its steps are done, or it was stopped early."""
        return self.stopped or self.steps >= self.total

    def step(self, rows: Tensor, at: int) -> None:
        """Train on a batch (n, d), in units of the activations; `at` is the step of the batches, for errors.

        Raises NotFinite, off the CPU up to `WATCH` steps late but with the right step.
        """
        sae, config = self.sae, self.config
        x = self._on_device(rows)
        if self.scale != 1:
            x = x * self.scale
        sum_ = x.sum()  # not finite if any activation is not
        if self.device.type == "cpu" and not math.isfinite(sum_):
            raise NotFinite(self.key, at, "activation")
        self.adam.param_groups[0]["lr"] = learning_rate(self.steps, self.total, config)
        dead = self.idle >= config.dead_after if config.aux_k else None
        found = objective(sae, x, active_latents(self.steps, self.total, sae.k, config), config, dead)
        found.loss.backward()
        if config.unit_norm:
            self._drop_radial_gradient()
        self.adam.step()
        self.adam.zero_grad()  # memory that the next SAE's gradients can have (`buffers`)
        if config.unit_norm:
            self._to_unit_norm()
        self.idle.add_(len(x)).masked_fill_(found.fired, 0)
        self.steps += 1
        self._pending.append((at, sum_, found.mse))
        if self.device.type == "cpu" or len(self._pending) >= WATCH:
            self.check()
        if self.steps % max(-(-self.total // DEAD_POINTS), 1) == 0 or self.steps == self.total:
            self.dead.append((self.steps, (self.idle >= config.dead_after).float().mean()))

    def _on_device(self, rows: Tensor) -> Tensor:
        if self.device.type == "cuda" and rows.device.type == "cpu":
            rows = rows.pin_memory()  # otherwise the copy would wait for the step before
        return rows.to(self.sae.W_enc, non_blocking=True)

    def check(self) -> None:
        """Read the losses of the last steps; raises NotFinite for the first one that is not finite."""
        if not self._pending:
            return
        read = torch.stack([part for _, *parts in self._pending for part in parts]).tolist()
        for (at, *_), sum_, loss in zip(self._pending, read[::2], read[1::2], strict=True):
            if not math.isfinite(sum_) or not math.isfinite(loss):
                raise NotFinite(self.key, at, "loss" if math.isfinite(sum_) else "activation")
            self._loss.append(loss / self.scale**2)
        self._pending.clear()

    def evaluate(self, evaluator: Callable[[Any, TopKSAE], float]) -> None:
        """Note what the evaluator makes of the SAE (less is better, NaN no improvement); decide whether it goes on."""
        with self.units_of_activations(), torch.no_grad():
            value = float(evaluator(self.key, self.sae))
        self.evaluations.append((self.steps, value))
        if not self.config.patience:
            return
        if value < self.best:
            self.best, self.since = value, 0
            self.best_weights = {name: part.detach().clone() for name, part in self.sae.named_parameters()}
        else:
            self.since += 1
            self.stopped = self.since >= self.config.patience

    def finish(self) -> TrainingLog:
        """Leave the SAE with its final weights, in units of the activations, and return what was noted."""
        self.check()
        if self.best_weights:
            self.sae.load_state_dict(self.best_weights)
        with torch.no_grad():
            for bias in self._biases():
                bias.div_(self.scale)
        loss = np.array(self._loss)
        rates = [learning_rate(step, self.total, self.config) for step in range(len(loss))]
        return TrainingLog(loss, np.array(rates, np.float32), _pairs(self.dead), _pairs(self.evaluations))

    @contextlib.contextmanager
    def units_of_activations(self) -> Iterator[None]:
        """Let the SAE take and give activations as they are, for a while between two steps."""
        kept = [bias.detach().clone() for bias in self._biases()]
        with torch.no_grad():
            for bias in self._biases():
                bias.div_(self.scale)
        try:
            yield
        finally:
            with torch.no_grad():
                for bias, value in zip(self._biases(), kept, strict=True):
                    bias.copy_(value)  # dividing and multiplying again would round

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Return all that the next steps depend on, as arrays and strings; raises NotFinite as `check` does."""
        self.check()
        parts: dict[str, Tensor] = {"idle": self.idle}
        for name, weight in self.sae.named_parameters():
            parts[f"weight.{name}"] = weight.detach()
            parts |= {f"adam.{name}.{part}": value for part, value in self.adam.state.get(weight, {}).items()}
        parts |= {f"best.{name}": weight for name, weight in self.best_weights.items()}
        arrays = {name: part.cpu().numpy() for name, part in parts.items()}
        arrays |= {"loss": np.array(self._loss), "dead": _pairs(self.dead), "evaluations": _pairs(self.evaluations)}
        numbers = {"steps": self.steps, "stopped": self.stopped, "best": self.best, "since": self.since}
        return arrays, {"numbers": json.dumps(numbers)}

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, str]) -> None:
        """Go on from what `state` returned, on this or another device."""
        numbers = json.loads(meta["numbers"])
        self.steps, self.stopped = numbers["steps"], numbers["stopped"]
        self.best, self.since = numbers["best"], numbers["since"]

        def tensor(name: str, like: Tensor) -> Tensor:
            return torch.from_numpy(arrays[name]).to(like.device, copy=True)

        self.idle = tensor("idle", self.idle)
        with torch.no_grad():
            for name, weight in self.sae.named_parameters():
                weight.copy_(tensor(f"weight.{name}", weight))
                if f"best.{name}" in arrays:
                    self.best_weights[name] = tensor(f"best.{name}", weight)
                if f"adam.{name}.step" in arrays:
                    self.adam.state[weight] = {
                        part: tensor(f"adam.{name}.{part}", weight) for part in ("step", "exp_avg", "exp_avg_sq")
                    }
        self._loss = array("f", arrays["loss"])
        self.dead = [(int(step), share) for step, share in arrays["dead"]]
        self.evaluations = [(int(step), value) for step, value in arrays["evaluations"]]

    def _biases(self) -> list[Tensor]:
        return [bias for bias in (self.sae.b_dec, self.sae.b_enc) if bias is not None and self.scale != 1]

    @torch.no_grad()
    def _to_unit_norm(self) -> None:
        for rows in self.sae.W_dec.split(self._block):
            rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min_(TINY))

    @torch.no_grad()
    def _drop_radial_gradient(self) -> None:
        weight, grad = self.sae.W_dec, self.sae.W_dec.grad
        assert grad is not None
        for rows, of_rows in zip(weight.split(self._block), grad.split(self._block), strict=True):
            of_rows.addcmul_(rows, (of_rows * rows).sum(1, keepdim=True), value=-1)


def _pairs(points: Sequence[tuple[int, Tensor | float]]) -> NDArray[np.float64]:
    """Return (step, value) points as an array (p, 2)."""
    return np.array([(step, float(value)) for step, value in points], np.float64).reshape(-1, 2)
