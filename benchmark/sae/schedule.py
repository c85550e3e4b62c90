"""What changes from step to step: the step size, and the number of active latents."""

from benchmark.sae.settings import TrainConfig


def learning_rate(step: int, total: int, config: TrainConfig) -> float:
    """Return the step size of a step, counted from 0, of `total`.

    It rises linearly over the first W = round(warmup total) steps, from 1/W of `learning_rate` to all of it, and falls
    linearly over the last D = round(decay total), from all of it to 1/D: no step is without effect.
    """
    rising, falling = round(config.warmup * total), round(config.decay * total)
    share = min((step + 1) / rising if rising else 1.0, (total - step) / falling if falling else 1.0, 1.0)
    return config.learning_rate * share


def active_latents(step: int, total: int, k: int, config: TrainConfig) -> int:
    """Return how many latents a sample are active in a step: from `k_start` linearly down to k, or k throughout."""
    falling = round(config.k_anneal * total)
    if step >= falling:
        return k
    return k + round((config.k_start - k) * (1 - step / falling))
