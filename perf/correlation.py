"""Speed of max_correlation against other ways to the same numbers, interleaved in one process; medians and ratios.

    python perf/correlation.py                              # N=20,000, m=6,144, k=32
    python perf/correlation.py --samples 118287 --rounds 3  # COCO's size
    python perf/correlation.py --parts bound --samples 118287
    python perf/correlation.py --parts scaling              # in N, m, k and threads
    python perf/correlation.py --parts layers --samples 118287
    python perf/correlation.py --parts permutations --samples 118287 --rounds 3

ours    max_correlation, both directions with partners, from recorded features with nothing prepared
dense   what the authors' code does, in torch: standardise both (N, m) arrays, one matrix product, maxima
numpy   the same in NumPy
sparse  scipy.sparse product of (m, N) and (N, m), then correlations and maxima block by block
adds    the lower bound of any kernel that adds up co-activations one by one: N k^2 scattered additions and nothing else
"""

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numba import njit
from scipy.sparse import csr_array

from benchmark.cores import cores
from benchmark.features import SparseFeatures
from benchmark.metrics import chance, max_correlation, wmppc_layers
from benchmark.metrics.kernel import AHEAD, prefetch
from benchmark.metrics.prepared import prepare

Job = tuple[Callable[[], Sequence[object]], Callable[..., object]]
"""What makes a job's arguments, which is not timed, and the job."""


def zipf_features(n: int, m: int, k: int, seed: int) -> SparseFeatures:
    """Return TopK-like features: k distinct latents a sample, Zipf frequencies, positive values."""
    rng = np.random.default_rng(seed)
    log_p = -0.6 * np.log(np.arange(1, m + 1))
    indices = np.empty((n, k), np.int64)
    for start in range(0, n, 2048):
        rows = slice(start, start + 2048)
        noisy = log_p + rng.gumbel(size=(len(indices[rows]), m))
        indices[rows] = np.argpartition(-noisy, k, axis=1)[:, :k]
    return SparseFeatures(indices, np.abs(rng.standard_normal((n, k))) + 0.1, m)


def dense_torch(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the source's maxima as the authors' code finds them, on dense float32 features."""
    standard = [(x - x.mean(0)) / (x.std(0) + 1e-10) for x in (a, b)]
    r = standard[0].T @ standard[1] / len(a)
    r.max(0)
    return r.max(1).values


def dense_numpy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the same with NumPy."""
    standard = [(x - x.mean(0)) / (x.std(0) + 1e-10) for x in (a, b)]
    r = standard[0].T @ standard[1] / np.float32(len(a))
    r.max(0)
    return r.max(1)


def sparse_scipy(a: SparseFeatures, b: SparseFeatures) -> np.ndarray:
    """Return the same through a sparse product, in blocks of source latents."""
    n, sides = a.n_samples, []
    for f in (a, b):
        starts = np.arange(n + 1) * f.k
        x = csr_array((f.values.ravel(), f.indices.ravel().astype(np.int32), starts), shape=(n, f.n_latents))
        mean = x.mean(0)
        sides.append((x, mean, np.sqrt(np.maximum(x.multiply(x).mean(0) - mean**2, 1e-20))))
    (x, mean_a, std_a), (y, mean_b, std_b) = sides
    left, best = x.T.tocsr(), np.empty(a.n_latents)
    for start in range(0, a.n_latents, 512):
        rows = slice(start, start + 512)
        r = (left[rows] @ y).toarray() / n - np.outer(mean_a[rows], mean_b)
        r /= np.outer(std_a[rows], std_b)
        r.max(0)
        best[rows] = r.max(1)
    return best


@njit(nogil=True, fastmath=True)
def scattered_adds(ptr, rows, vals, indices, values, first, last, row):  # noqa: ANN001, ANN201 - compiled
    """Add up the co-activations of some source latents, all into the same row."""
    end = len(rows) - 1
    for i in range(first, last):
        for p in range(ptr[i], ptr[i + 1]):
            ahead = rows[min(p + AHEAD, end)]
            prefetch(indices, ahead)
            prefetch(values, ahead)
            x, v = rows[p], vals[p]
            for t in range(indices.shape[1]):
                row[indices[x, t]] += v * values[x, t]


def bound(a: SparseFeatures, b: SparseFeatures) -> Job:
    """Return the job of the scattered additions alone, on all cores."""
    p, threads = prepare(a), cores()
    work = np.cumsum(p.counts)
    cuts = np.searchsorted(work, np.linspace(0, work[-1], 8 * threads + 1))

    def job() -> None:
        def part(c: int) -> None:
            row = np.zeros(b.n_latents, np.float32)
            scattered_adds(p.ptr, p.rows, p.vals, b.indices, b.values, cuts[c], cuts[c + 1], row)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, range(8 * threads)))

    return ready(job)


def ready(job: Callable[..., object], *args: object) -> Job:
    """Return a job that gets the same arguments every time."""
    return lambda: args, job


def unprepared(a: SparseFeatures, b: SparseFeatures, job: Callable[..., object]) -> Job:
    """Return a job that gets features of which nothing is prepared."""
    return lambda: [f.take(np.arange(f.n_samples)) for f in (a, b)], job


def medians(jobs: dict[str, Job], rounds: int) -> dict[str, float]:
    """Return the median seconds of each job, alternating."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for make, job in jobs.values():
        job(*make())
    for _ in range(rounds):
        for name, (make, job) in jobs.items():
            args = make()
            start = time.perf_counter()
            job(*args)
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(found)) for name, found in times.items()}


def against(n: int, m: int, k: int, rounds: int) -> None:
    """Print ours against all others."""
    a, b = (zipf_features(n, m, k, seed) for seed in (0, 1))
    arrays = [f.to_dense() for f in (a, b)]
    tensors = [torch.from_numpy(x.copy()) for x in arrays]
    reference = dense_torch(*tensors).numpy() * n / (n - 1)
    print(f"N={n:,} m={m:,} k={k}, largest difference {np.abs(max_correlation(a, b).source - reference).max():.1e}")
    others: dict[str, Job] = {
        "dense": ready(dense_torch, *tensors),
        "numpy": ready(dense_numpy, *arrays),
        "sparse": ready(sparse_scipy, a, b),
    }
    show(medians({**kernels(a, b), **others}, rounds))


def kernels(a: SparseFeatures, b: SparseFeatures) -> dict[str, Job]:
    """Return ours, with nothing and with everything prepared, and the lower bound."""
    return {
        "ours": unprepared(a, b, max_correlation),
        "ours, prepared": ready(max_correlation, a, b),
        "adds": bound(a, b),
    }


def show(found: dict[str, float]) -> None:
    """Print times in units of ours."""
    for name, seconds in found.items():
        print(f"  {name:<15} {seconds * 1e3:10.1f} ms   {seconds / found['ours']:8.2f} x ours")


def against_bound(n: int, m: int, k: int, rounds: int) -> None:
    """Print ours against the additions alone: no (N, m) array is made."""
    a, b = (zipf_features(n, m, k, seed) for seed in (0, 1))
    print(f"N={n:,} m={m:,} k={k}")
    show(medians(kernels(a, b), rounds))


def scaling(n: int, m: int, k: int, rounds: int) -> None:
    """Print how the time grows with N, m, k and falls with threads, from a common base."""
    base = {"samples": n, "latents": m, "k": k}
    for name, values in (("samples", (n, 2 * n, 4 * n)), ("latents", (m, 2 * m, 4 * m)), ("k", (k // 2, k, 2 * k))):
        for value in values:
            size = {**base, name: value}
            a, b = (zipf_features(size["samples"], size["latents"], size["k"], seed) for seed in (0, 1))
            seconds = medians({"ours": unprepared(a, b, max_correlation)}, rounds)["ours"]
            print(f"  {name} = {value:>7,}: {seconds * 1e3:7.1f} ms")
    a, b = (zipf_features(n, m, k, seed) for seed in (0, 1))
    for threads in range(1, cores() + 1):
        job = unprepared(a, b, lambda x, y, threads=threads: max_correlation(x, y, threads=threads))
        print(f"  threads = {threads:>7,}: {medians({'ours': job}, rounds)['ours'] * 1e3:7.1f} ms")


def layer_pairs(n: int, m: int, k: int, count: int) -> None:
    """Print the time of one evaluation of two encoders with several layers each, nothing prepared."""
    sides = [[zipf_features(n, m, k, 100 * side + layer) for layer in range(count)] for side in (0, 1)]
    start = time.perf_counter()
    wmppc_layers(*sides)
    seconds = time.perf_counter() - start
    print(
        f"  {count} x {count} layers, N={n:,} m={m:,} k={k}: {seconds:.1f} s, {seconds / count**2 * 1e3:.0f} ms a pair"
    )


def permutations(n: int, m: int, k: int, rounds: int) -> None:
    """Print the cost of the value with its 19 permutations in evaluations."""
    a, b = (zipf_features(n, m, k, seed) for seed in (0, 1))
    found = medians({"one": unprepared(a, b, max_correlation), "chance": unprepared(a, b, chance)}, rounds)
    one, both = found["one"], found["chance"]
    print(
        f"  N={n:,}: one evaluation {one * 1e3:.1f} ms, the value and 19 permutations {both * 1e3:.0f} ms: "
        f"{both / one:.1f} evaluations, {both / one - 1:.1f} of them for the permutations"
    )


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["against"], help="against, bound, scaling, layers, permutations")
    parser.add_argument("--samples", type=int, default=20000)
    parser.add_argument("--latents", type=int, default=6144)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    size = args.samples, args.latents, args.k
    parts = {
        "against": lambda: against(*size, args.rounds),
        "bound": lambda: against_bound(*size, args.rounds),
        "scaling": lambda: scaling(*size, args.rounds),
        "layers": lambda: layer_pairs(*size, args.layers),
        "permutations": lambda: permutations(*size, args.rounds),
    }
    for part in args.parts:
        parts[part]()


if __name__ == "__main__":
    main()
