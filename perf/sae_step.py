"""Speed of one training step against the dense one and against other packages, interleaved in one process.

    python perf/sae_step.py                                # the steps; packages that are absent are skipped
    python perf/sae_step.py --parts memory                 # what a step adds to the memory of a process
    python perf/sae_step.py --parts together               # 12 layers x 3 seeds at once against one by one
    python perf/sae_step.py --widths 768 --batches 2048 --threads 1 --rounds 9

A step is the forward and backward pass and Adam. "dense" is the paper's: all activations, a dense code matrix, autograd
and Adam as it comes; "dense, fused Adam" and all packages get the faster fused Adam, though none asks for it. Packages
train the TopK SAE of the same size with their own modules and losses (without their dead-latent losses, trackers and
logging). A ratio is the median over rounds of (its time / ours in the same round).

The packages want old versions of much, so they live in an environment of their own, of which this project is no part:

    python -m venv peers && . peers/bin/activate
    pip install torch==2.13.0 -c constraints.txt
    pip install --no-deps -r perf/peers/requirements.txt
    PYTHONPATH=. python perf/sae_step.py
"""

import argparse
import importlib.metadata
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from benchmark.encoders.torchvision_ops import declare_missing_ops
from benchmark.sae import TopKSAE, TrainConfig

Step = Callable[[torch.Tensor], None]
RATE = 5e-5


def adam_step(module: torch.nn.Module, loss: Callable[[torch.Tensor], torch.Tensor], fused: bool = True) -> Step:
    """Return a function that makes one step on a batch."""
    adam = torch.optim.Adam(module.parameters(), lr=RATE, fused=fused or None)

    def step(x: torch.Tensor) -> None:
        adam.zero_grad()
        torch.autograd.backward(loss(x))  # not Tensor.backward, which nnsight replaces for all
        adam.step()

    return step


def dense_loss(sae: TopKSAE, x: torch.Tensor) -> torch.Tensor:
    """Return the loss through a dense (N, m) code matrix."""
    activations = F.relu((x - sae.b_dec) @ sae.W_enc.T)
    top = activations.topk(sae.k, dim=1)
    codes = torch.zeros_like(activations).scatter(1, top.indices, top.values)
    return F.mse_loss(codes @ sae.W_dec + sae.b_dec, x)


def ours(d: int, m: int, k: int) -> Step:
    """Return this project's step."""
    sae = TopKSAE(d, m, k, seed=0)
    return adam_step(sae, lambda x: F.mse_loss(sae(x), x))


def float32_only(d: int, m: int, k: int) -> Step:
    """Return this project's step without the bfloat16 screen."""
    sae = TopKSAE(d, m, k, seed=0)
    sae.screen = False
    return adam_step(sae, lambda x: F.mse_loss(sae(x), x))


def dense(d: int, m: int, k: int, fused: bool = False) -> Step:
    """Return the paper's step."""
    sae = TopKSAE(d, m, k, seed=0)
    return adam_step(sae, lambda x: dense_loss(sae, x), fused)


def sae_lens(d: int, m: int, k: int, sparse: bool = False) -> Step:
    """Return the step of sae-lens."""
    from sae_lens.saes.sae import TrainStepInput
    from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig

    config = TopKTrainingSAEConfig(
        d_in=d, d_sae=m, k=k, device="cpu", use_sparse_activations=sparse, rescale_acts_by_decoder_norm=False
    )
    sae = TopKTrainingSAE(config)
    return adam_step(sae, lambda x: sae.training_forward_pass(TrainStepInput(x, {}, None, 0, False)).loss)


def sparsify(d: int, m: int, k: int) -> Step:
    """Return the step of eai-sparsify."""
    from sparsify import SparseCoder, SparseCoderConfig

    sae = SparseCoder(d, SparseCoderConfig(num_latents=m, k=k))
    return adam_step(sae, lambda x: sae(x).fvu)


def dictionary_learning(d: int, m: int, k: int) -> Step:
    """Return the step of dictionary-learning."""
    from dictionary_learning.trainers.top_k import TopKTrainer

    trainer = TopKTrainer(
        steps=100, activation_dim=d, dict_size=m, k=k, layer=0, lm_name="none", warmup_steps=1, device="cpu", seed=0
    )
    return adam_step(trainer.ae, lambda x: trainer.loss(x, step=0))


def overcomplete(d: int, m: int, k: int) -> Step:
    """Return the step of overcomplete."""
    from overcomplete.sae import TopKSAE as OvercompleteSAE

    sae = OvercompleteSAE(d, nb_concepts=m, top_k=k, device="cpu")
    return adam_step(sae, lambda x: (sae(x)[2] - x).square().mean())


CONTESTANTS: dict[str, tuple[str, Callable[[int, int, int], Step]]] = {
    "ours": ("", ours),
    "ours, float32 only": ("", float32_only),
    "dense": ("", dense),
    "dense, fused Adam": ("", lambda d, m, k: dense(d, m, k, fused=True)),
    "sae-lens": ("sae-lens", sae_lens),
    "sae-lens, sparse": ("sae-lens", lambda d, m, k: sae_lens(d, m, k, sparse=True)),
    "eai-sparsify": ("eai-sparsify", sparsify),
    "dictionary-learning": ("dictionary-learning", dictionary_learning),
    "overcomplete": ("overcomplete", overcomplete),
}
"""Name -> (distribution it needs, what builds its step for d, m, k)."""


def installed() -> list[str]:
    """Return the contestants that can run here, after a sentence for each that cannot."""
    declare_missing_ops()
    names = []
    for name, (distribution, build) in CONTESTANTS.items():
        try:
            version = importlib.metadata.version(distribution) if distribution else ""
            build(16, 32, 2)(torch.randn(8, 16))
        except Exception as error:  # a package that does not import here is no reason not to time the others
            print(f"{name} is left out: {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        if version:
            print(f"{distribution} {version}")
        names.append(name)
    return names


def gradient_error(x: torch.Tensor, m: int, k: int) -> float:
    """Return the largest relative difference of our gradients from those of the dense step in float64."""
    sae, exact = TopKSAE(x.shape[1], m, k, seed=0), TopKSAE(x.shape[1], m, k, seed=0).double()
    F.mse_loss(sae(x), x).backward()
    dense_loss(exact, x.double()).backward()
    wanted = {name: weight.grad for name, weight in exact.named_parameters() if weight.grad is not None}
    found = {name: weight.grad.double() for name, weight in sae.named_parameters() if weight.grad is not None}
    return max(float((found[name] - grad).norm() / grad.norm()) for name, grad in wanted.items())


def compare_steps(args: argparse.Namespace) -> None:
    """Print a table of times and ratios for every size and number of threads."""
    names = installed()
    for threads in args.threads:
        torch.set_num_threads(threads)
        for d in args.widths:
            m = d * args.expansion
            steps = {name: CONTESTANTS[name][1](d, m, args.k) for name in names}
            for n in args.batches:
                torch.manual_seed(0)
                x = torch.randn(n, d)
                times: dict[str, list[float]] = {name: [] for name in names}
                for turn in range(args.rounds + 1):
                    for name, step in steps.items():
                        start = time.perf_counter()
                        step(x)
                        if turn:
                            times[name].append(time.perf_counter() - start)
                worst = gradient_error(x[:1024], m, args.k)
                print(f"\nN={n} d={d} m={m} k={args.k} threads={threads}; gradients off by {worst:.0e}")
                for name, spent in times.items():
                    ratio = np.median(np.array(spent) / np.array(times["ours"]))
                    print(f"  {name:22s} {np.median(spent) * 1e3:8.1f} ms  {ratio:6.2f} x ours", flush=True)


def compare_memory(args: argparse.Namespace) -> None:
    """Print how far each step drives the memory of a process of its own above the SAE, Adam's state and the batch."""
    d, n = args.widths[0], max(args.batches)
    for name in installed():
        command = [sys.executable, __file__, "--parts", "one", "--contestant", name, "--widths", str(d)]
        size = ["--batches", str(n), "--expansion", str(args.expansion), "--k", str(args.k)]
        done = subprocess.run([*command, *size, "--threads", "1"], capture_output=True, text=True)
        print(f"N={n} d={d}: {name:22s} {done.stdout.strip().splitlines()[-1] if done.stdout else done.stderr[-300:]}")


def memory_of_one(args: argparse.Namespace) -> None:
    """Print the memory that one contestant's steps take at their peak."""
    torch.set_num_threads(1)
    declare_missing_ops()
    d, n = args.widths[0], args.batches[0]
    step = CONTESTANTS[args.contestant][1](d, d * args.expansion, args.k)
    x = torch.randn(n, d)
    step(x[:8])  # Adam's state exists from here on
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from the present
    before = memory("VmRSS")
    for _ in range(3):
        step(x)
    print(f"{(memory('VmHWM') - before) / 1024:.0f} MB")


def memory(field: str) -> int:
    """Return a line of this process's status, in KiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def compare_together(args: argparse.Namespace) -> None:
    """Print vectors a second for 12 layers x 3 seeds trained in one pass, and one after the other.

    Both read stored activations: what one pass saves of the encoder's work comes on top.
    """
    from benchmark.sae.batches import shuffled_batches, steps
    from benchmark.sae.trainer import train

    torch.set_num_threads(args.threads[0])
    d, n, config = args.widths[0], args.samples, TrainConfig()
    keys = [(layer, seed) for layer in range(12) for seed in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        arrays = {}
        for layer in range(12):
            path = Path(folder) / f"{layer}.npy"
            np.save(path, np.random.default_rng(layer).standard_normal((n, d), dtype=np.float32))
            arrays[layer] = np.load(path, mmap_mode="r")
        ours(d, d * args.expansion, args.k)(torch.randn(TrainConfig().batch_size, d))  # compiles
        weights, spent = {}, {}
        for mode, groups in (("together", [keys]), ("one by one", [[key] for key in keys])):
            start = time.perf_counter()
            for group in groups:
                saes = {key: TopKSAE(d, d * args.expansion, args.k, seed=key[1]) for key in group}
                layers, seeds = {layer for layer, _ in group}, {seed for _, seed in group}
                batches = shuffled_batches(
                    {layer: arrays[layer] for layer in sorted(layers)},
                    np.arange(n),
                    {s: s for s in sorted(seeds)},
                    config,
                )
                train(saes, batches, config, totals=dict.fromkeys(group, steps(n, config)))
                weights.update({(mode, key): sae.W_enc.detach() for key, sae in saes.items()})
            spent[mode] = time.perf_counter() - start
            print(f"{mode:11s} {n * len(keys) / spent[mode]:8.0f} vectors/s ({spent[mode]:.0f} s)", flush=True)
    worst = max(float((weights["together", key] - weights["one by one", key]).abs().max()) for key in keys)
    print(f"together is {spent['one by one'] / spent['together']:.2f} x as fast; weights differ by at most {worst:.0e}")


def main() -> None:
    """Run the parts that were asked for."""
    numbers = lambda text: [int(part) for part in text.split(",")]  # noqa: E731
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="steps", choices=["steps", "memory", "together", "one"])
    parser.add_argument("--widths", type=numbers, default=[768, 1024])
    parser.add_argument("--batches", type=numbers, default=[1024, 2048, 4096, 8192])
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--expansion", type=int, default=8)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--samples", type=int, default=4096, help="vectors of a layer, for --parts together")
    parser.add_argument("--contestant", help="for --parts one, which --parts memory starts")
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}")
    parts = {"steps": compare_steps, "memory": compare_memory, "together": compare_together, "one": memory_of_one}
    parts[args.parts](args)


if __name__ == "__main__":
    main()
