"""Speed of one exact training step against the dense one, interleaved in one process, Adam included.

    python perf/sae_step.py --batch 2048

"dense" is the paper's step: all activations, a dense code matrix, autograd, the default Adam.
"""

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F

from benchmark.sae import TopKSAE


def dense_forward(sae: TopKSAE, x: torch.Tensor) -> torch.Tensor:
    """Return the reconstruction through a dense (N, m) code matrix."""
    activations = F.relu((x - sae.b_dec) @ sae.W_enc.T)
    top = activations.topk(sae.k, dim=1)
    return torch.zeros_like(activations).scatter(1, top.indices, top.values) @ sae.W_dec + sae.b_dec


def main() -> None:
    """Time both, alternating."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--expansion", type=int, default=8)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.manual_seed(0)
    x = torch.randn(args.batch, args.width)
    saes = {name: TopKSAE(args.width, args.width * args.expansion, args.k, seed=0) for name in ("ours", "dense")}
    adams = {
        "ours": torch.optim.Adam(saes["ours"].parameters(), lr=5e-5, fused=True),
        "dense": torch.optim.Adam(saes["dense"].parameters(), lr=5e-5),
    }
    times: dict[str, list[float]] = {name: [] for name in saes}
    for step in range(args.rounds + 1):
        for name, sae in saes.items():
            start = time.perf_counter()
            adams[name].zero_grad()
            F.mse_loss(sae(x) if name == "ours" else dense_forward(sae, x), x).backward()
            adams[name].step()
            if step:
                times[name].append(time.perf_counter() - start)
        if not step:
            pairs = zip(saes["ours"].parameters(), saes["dense"].parameters(), strict=True)
            worst = max(float((a.grad - b.grad).norm() / b.grad.norm()) for a, b in pairs)
    ours, dense = (float(np.median(times[name])) for name in ("ours", "dense"))
    print(
        f"N={args.batch} d={args.width} m={args.width * args.expansion} k={args.k} threads={torch.get_num_threads()}: "
        f"ours {ours * 1e3:.0f} ms, dense {dense * 1e3:.0f} ms, ratio {dense / ours:.2f}, "
        f"relative gradient difference {worst:.1e}"
    )


if __name__ == "__main__":
    main()
