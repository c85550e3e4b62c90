"""How an SAE is trained. No torch here: commands read it before they need any."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How an SAE is trained; the defaults are the paper's recipe."""

    learning_rate: float = 5e-5
    """Step size of Adam."""
    batch_size: int = 256
    """Vectors a step: one of each sample and, where tokens train too, one of each token."""
    epochs: int = 1
    """Passes over the training samples."""
    center: bool = False
    """Start b_dec at the mean of the training activations instead of at 0."""
