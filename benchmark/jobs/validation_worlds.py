"""Estimates of wMPPC against the truth, in planted worlds over a grid of sample sizes and shares."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmark import worlds
from benchmark.cores import cores
from benchmark.features import SparseFeatures
from benchmark.metrics import chance_measures, crossfit_both, wmppc
from benchmark.worlds import World, WorldConfig

CLOSE = 0.02
"""An estimate this close to the truth has found it."""
LAYERS = 4
MOST_AT_A_TIME = 4
"""Worlds in memory at once: a gigabyte or two each at 100,000 samples."""
Item = TypeVar("Item")
Result = TypeVar("Result")


class Case(NamedTuple):
    """What is compared, and the value in the population that should come out."""

    source: list[SparseFeatures]
    target: list[SparseFeatures]
    truth: float


def _as_it_is(world: World) -> Case:
    return Case([world.source], [world.target], world.wmppc)


def _swapped(world: World) -> Case:
    return Case([world.target], [world.source], world.target_wmppc)


def _target_disguised(world: World) -> Case:
    return Case([world.source], [worlds.relabelled(worlds.rescaled(world.target, 1), 2)], world.wmppc)


def _source_rescaled(world: World) -> Case:
    source = worlds.rescaled(world.source, 1)
    before = world.source.weights
    factors = np.divide(source.weights, before, out=np.ones_like(before), where=before > 0)
    return Case([source], [world.target], wmppc(world.rho, world.rates * factors))


def _in_layers(world: World) -> Case:
    parts = [wmppc(world.rho[layer::LAYERS], world.rates[layer::LAYERS]) for layer in range(LAYERS)]
    sizes = [len(world.rho[layer::LAYERS]) for layer in range(LAYERS)]
    source, target = (worlds.in_layers(side, LAYERS) for side in (world.source, world.target))
    return Case(source, target, float(np.average(parts, weights=sizes)))


def _ungrouped(world: World) -> Case:
    return Case([worlds.ungrouped(world.source)], [worlds.ungrouped(world.target)], world.wmppc)


@dataclass(frozen=True)
class Condition:
    """A kind of world, or a change to one that the measures should cope with."""

    case: Callable[[World], Case] = _as_it_is
    """What of the world is compared."""
    world: dict[str, Any] = field(default_factory=dict)
    """What differs from the plain world."""
    shares: tuple[float, ...] | None = (0.5,)
    """Shares of features in common; None: the whole grid."""
    everywhere: bool = False
    """At all numbers of samples, not only at the reference."""
    n_target: int = 0
    """Features of the target in multiples of the source's (0: as many as it needs)."""


CONDITIONS: dict[str, Condition] = {
    "plain": Condition(shares=None, everywhere=True),
    "weak": Condition(world={"fidelity": 0.5}, shares=(0.25, 1.0), everywhere=True),
    "split in 4": Condition(world={"splits": 4}),
    "split in 4, back": Condition(_swapped, world={"splits": 4}),
    "target twice as large": Condition(n_target=2),
    "source twice as large": Condition(_swapped, n_target=2),
    "target relabelled and rescaled": Condition(_target_disguised),
    "source rescaled": Condition(_source_rescaled),
    "4 layers a side": Condition(_in_layers, shares=(0.0, 0.5)),
    "5 captions an image": Condition(world={"captions": 5}, shares=(0.0, 0.5)),
    "5 captions, groups unknown": Condition(_ungrouped, world={"captions": 5}, shares=(0.0, 0.5)),
}
REFERENCE = 20_000
"""Conditions that are not planted everywhere are planted at the number of samples closest to this."""


def reference(samples: Sequence[int]) -> int:
    """Return the number of samples closest to 20,000."""
    return min(samples, key=lambda n: abs(n - REFERENCE))


def estimate_grid(
    samples: Sequence[int],
    shares: Sequence[float],
    seeds: Sequence[int],
    base: WorldConfig,
    *,
    permutations: int = 19,
    folds: int = 5,
) -> pd.DataFrame:
    """Plant worlds and estimate their wMPPC; returns one row per condition, share, number of samples and seed.

    Columns: condition, share, fidelity, n_samples, seed, n_source, n_target, truth (in the population), naive, chance,
    calibrated, p_value, crossfit, low, high (see `benchmark.metrics`), mppc and mppc_chance. Raises ValueError for
    worlds that cannot be planted.
    """
    planted = _worlds(samples, shares, seeds, base)

    def work(wanted: tuple[WorldConfig, int, int]) -> list[dict[str, Any]]:
        config, n, seed = wanted
        world, rows = worlds.make_world(config, n, seed), []
        for name in planted[wanted]:
            case = CONDITIONS[name].case(world)
            sizes = {f"n_{side}": sum(f.n_latents for f in getattr(case, side)) for side in ("source", "target")}
            rows.append(
                {"condition": name, "share": config.share, "fidelity": config.fidelity, "n_samples": n, "seed": seed}
                | sizes
                | {"truth": case.truth}
                | estimates(case.source, case.target, permutations=permutations, folds=folds)
            )
        return rows

    found = pd.DataFrame([row for rows in in_threads(work, list(planted), "worlds") for row in rows])
    order = ["condition", "n_samples", "share", "seed"]
    return found.sort_values(order, key=lambda c: c.map(list(CONDITIONS).index) if c.name == "condition" else c,
                             ignore_index=True)  # fmt: skip


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], title: str) -> list[Result]:
    """Return the results of some worlds at a time, in order, with a progress bar.

    The kernels use all cores by themselves; what lies between them does not.
    """
    with (
        ThreadPoolExecutor(min(cores(), MOST_AT_A_TIME)) as pool,
        tqdm(total=len(items), desc=title, unit="world", mininterval=0.5) as bar,
    ):
        started = [pool.submit(work, item) for item in items]
        try:
            results = []
            for one in started:
                results.append(one.result())
                bar.update()
            return results
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def estimates(
    source: list[SparseFeatures], target: list[SparseFeatures], *, permutations: int, folds: int
) -> dict[str, float]:
    """Return every estimate of the wMPPC from source to target."""
    null = chance_measures(source, target, permutations=permutations)
    found, plain = null["wmppc"][0], null["mppc"][0]
    fit = crossfit_both(source, target, folds=folds)[0]
    return {
        "naive": found.naive, "chance": _mean(found.null), "calibrated": found.calibrated, "p_value": found.p_value,
        "crossfit": fit.value, "low": fit.low, "high": fit.high,
        "mppc": plain.naive, "mppc_chance": _mean(plain.null),
    }  # fmt: skip


def errors(grid: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over worlds of every column and of the estimates' errors, per condition, share and samples.

    `covered` is the share of intervals that hold the truth, `half_width` half the mean width of the intervals.
    """
    found = grid.assign(
        covered=(grid.low <= grid.truth) & (grid.truth <= grid.high),
        half_width=(grid.high - grid.low) / 2,
        **{f"{name}_error": grid[name] - grid.truth for name in ("naive", "calibrated", "crossfit")},
    )
    return (
        found.groupby(["condition", "share", "fidelity", "n_samples"], sort=False)
        .mean(numeric_only=True)
        .drop(columns="seed")
        .reset_index()
    )


def identified_from(grid: pd.DataFrame) -> pd.DataFrame:
    """Return from how many samples on the mean over worlds of each corrected estimate is within 0.02 of the truth.

    One row per condition that is planted at all numbers of samples, and share; NaN where no number is enough.
    """
    everywhere = errors(grid[grid.condition.isin([name for name, c in CONDITIONS.items() if c.everywhere])])
    rows = []
    for (name, fidelity, share), part in everywhere.groupby(["condition", "fidelity", "share"], sort=False):
        part = part.sort_values("n_samples", ascending=False)
        row = {"condition": name, "fidelity": fidelity, "share": share, "truth": part.truth.mean()}
        for estimate in ("calibrated", "crossfit"):
            close = (part[f"{estimate}_error"].abs() <= CLOSE).cumprod().astype(bool)
            row[estimate] = part.n_samples[close].min()
        rows.append(row)
    found = pd.DataFrame(rows)
    return found.astype({name: "Int64" for name in ("calibrated", "crossfit")})


def _worlds(
    samples: Sequence[int], shares: Sequence[float], seeds: Sequence[int], base: WorldConfig
) -> dict[tuple[WorldConfig, int, int], list[str]]:
    """Return every world to plant (configuration, samples, seed) with the conditions that look at it."""
    found: dict[tuple[WorldConfig, int, int], list[str]] = {}
    for name, condition in CONDITIONS.items():
        for n in samples if condition.everywhere else [reference(samples)]:
            for share in shares if condition.shares is None else condition.shares:
                config = replace(base, share=share, n_target=condition.n_target * base.n_latents, **condition.world)
                for seed in seeds:
                    found.setdefault((config, n, seed), []).append(name)
    return found


def _mean(null: np.ndarray) -> float:
    return float(null.mean()) if len(null) else float("nan")
