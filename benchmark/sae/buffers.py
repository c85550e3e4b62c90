"""Memory of the size of the weights that is used again.

Fresh memory of this size comes from the kernel page by page, on every step anew: at d = 1024 and m = 8192 that took
37 ms of a step's 86. A buffer is lent again once nothing uses the tensor that it was lent as, so a gradient that
somebody keeps is never written over.
"""

import threading
import weakref
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

KEEP = 6
"""Buffers kept at most: two weight gradients and the rounded encoder, of two sizes of SAEs."""


@dataclass(eq=False)
class _Buffer:
    memory: NDArray[Any]
    user: "weakref.ref[NDArray[Any]] | None" = None
    """The array that the tensor lent last rests on; it lives as long as the tensor's storage."""

    @property
    def free(self) -> bool:
        return self.user is None or self.user() is None


_kept: list[_Buffer] = []
_lock = threading.Lock()


def borrow(like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return a contiguous CPU tensor of the shape and type of another (or of a type of NumPy's), holding anything."""
    dtype = like.dtype if dtype is None else dtype
    wanted = torch.empty(0, dtype=dtype).numpy().dtype
    with _lock:
        free = [buffer for buffer in _kept if buffer.free]
        for buffer in free:
            if buffer.memory.shape == tuple(like.shape) and buffer.memory.dtype == wanted:
                break
        else:
            if len(_kept) >= KEEP and free:
                _kept.remove(free[0])
            buffer = _Buffer(torch.empty(like.shape, dtype=dtype).numpy())
            if len(_kept) < KEEP:
                _kept.append(buffer)
        view = buffer.memory.view()
        buffer.user = weakref.ref(view)
        return torch.from_numpy(view)
