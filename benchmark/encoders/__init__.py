"""Encoders: a card becomes an `Encoder` that gives every layer's residual stream in one forward pass.

The names below load on first use, so that importing this package costs no torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.encoders.encoder import Encoder, LayerOutput
    from benchmark.encoders.loading import load_encoder

__all__ = ["Encoder", "LayerOutput", "load_encoder"]


def __getattr__(name: str) -> Any:
    if name == "load_encoder":
        from benchmark.encoders.loading import load_encoder

        return load_encoder
    if name in ("Encoder", "LayerOutput"):
        from benchmark.encoders import encoder

        return getattr(encoder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
