"""Speed of the selective scan against other forms of it, interleaved in one process, on MambaVision-B's sizes.

    python perf/selective_scan.py --batch 8 --device cpu

"textbook" keeps the states of all steps, then reads them out; "log depth" combines neighbours in log2(L) rounds
(Hillis and Steele); "two levels" scans sqrt(L) chunks side by side, then carries states across them. "operators" counts
the calls that a GPU would launch as kernels. All forms must agree with the textbook in float64 before they are timed;
on a shared machine the fastest round says more than the median one.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.encoders.selective_scan import selective_scan_fn

SIZES = {"stage 3": (256, 196), "stage 4": (512, 49)}
"""Channels and window of one block of MambaVision-B."""
STATES = 8
VIEWS = ("view", "unsqueeze", "permute", "select", "slice", "unbind", "transpose", "squeeze", "expand", "t", "detach")


def decays_and_gains(u: Any, delta: Any, A: Any, B: Any) -> tuple[Any, Any]:
    """Return exp(Delta A) and Delta B u of every step, both (L, batch, N, channels)."""
    steps, gains = (tensor.permute(2, 0, 1).unsqueeze(2).contiguous() for tensor in (delta, delta * u))
    return torch.exp(steps * A.T.contiguous()), gains * B.permute(2, 0, 1).unsqueeze(3)


def read_out(states: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    """Return C h of every step, (batch, channels, L)."""
    return torch.matmul(C.permute(2, 0, 1).unsqueeze(2), states).squeeze(2).permute(1, 2, 0)


def textbook(u: Any, delta: Any, A: Any, B: Any, C: Any) -> torch.Tensor:
    """One step after the other."""
    decays, gains = decays_and_gains(u, delta, A, B)
    states = [gains[0]]
    for decay, gain in zip(decays[1:].unbind(), gains[1:].unbind(), strict=True):
        states.append(torch.addcmul(gain, decay, states[-1]))
    return read_out(torch.stack(states), C)


def log_depth(u: Any, delta: Any, A: Any, B: Any, C: Any) -> torch.Tensor:
    """Double the span of every step's state in each round."""
    decays, states = decays_and_gains(u, delta, A, B)
    span = 1
    while span < len(states):
        states = torch.cat([states[:span], torch.addcmul(states[span:], decays[span:], states[:-span])])
        decays = torch.cat([decays[:span], decays[span:] * decays[:-span]])
        span *= 2
    return read_out(states, C)


def two_levels(u: Any, delta: Any, A: Any, B: Any, C: Any) -> torch.Tensor:
    """Scan all chunks at once (L is a square here), then add what each chunk inherits."""
    side = int(np.sqrt(u.shape[2]))
    decays, gains = (tensor.unflatten(0, (side, side)) for tensor in decays_and_gains(u, delta, A, B))
    local, spans = [gains[:, 0]], [decays[:, 0]]
    for step in range(1, side):
        local.append(torch.addcmul(gains[:, step], decays[:, step], local[-1]))
        spans.append(spans[-1] * decays[:, step])
    inherited = [torch.zeros_like(gains[0, 0])]
    for chunk in range(side - 1):
        inherited.append(torch.addcmul(local[-1][chunk], spans[-1][chunk], inherited[-1]))
    states = torch.addcmul(torch.stack(local, 1), torch.stack(spans, 1), torch.stack(inherited).unsqueeze(1))
    return read_out(states.flatten(0, 1), C)


class Operators(TorchDispatchMode):
    """Counts calls, views aside."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one call and make it."""
        self.count += func.overloadpacket.__name__ not in VIEWS
        return func(*args, **(kwargs or {}))


def main() -> None:
    """Time all forms, alternating."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    forms: dict[str, Callable[..., Any]] = {
        "ours": selective_scan_fn,
        "textbook": textbook,
        "two levels": two_levels,
        "log depth": log_depth,
    }
    wait = torch.cuda.synchronize if args.device.startswith("cuda") else lambda: None
    for stage, (channels, length) in SIZES.items():
        u, delta = torch.randn(2, args.batch, channels, length)
        B, C = torch.randn(2, args.batch, STATES, length)
        A = -torch.arange(1.0, STATES + 1).repeat(channels, 1)
        given = [tensor.to(args.device) for tensor in (u, F.softplus(delta - 2), A, B, C)]
        exact = textbook(*(tensor.double() for tensor in given))
        times: dict[str, list[float]] = {name: [] for name in forms}
        notes = {}
        with torch.no_grad():
            for name, form in forms.items():
                with Operators() as operators:
                    error = float((form(*given) - exact).abs().max() / exact.abs().max())
                notes[name] = f"{operators.count - 3} operators, error {error:.0e}"  # 3 or so measure the error
                assert error < 1e-5, (name, error)
            for _ in range(args.rounds):
                for name, form in forms.items():
                    wait()
                    start = time.perf_counter()
                    form(*given)
                    wait()
                    times[name].append(time.perf_counter() - start)
        print(f"{stage}: batch {args.batch}, {channels} channels, L {length}, {args.threads} threads, {args.device}")
        for name, measured in times.items():
            fastest, median = min(measured) * 1e3, float(np.median(measured)) * 1e3
            factor = min(measured) / min(times["ours"])
            print(f"  {name:10} {fastest:8.2f} ms (median {median:8.2f}; {factor:5.2f} x ours; {notes[name]})")


if __name__ == "__main__":
    main()
