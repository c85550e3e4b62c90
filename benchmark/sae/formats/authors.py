"""The `TopKSAE` of the paper's first author, as a state dict: W_enc (d, m), W_dec (m, d), b_dec (d,), b_enc (m,).

Source: sparse_autoencoders.py of github.com/ClementCornet/Deleuzian-Hypothesis (commit 79372448), whose recipe is that
of arXiv 2507.18512: f(x) = top-k of ReLU((x - b_dec) W_enc). The module declares a b_enc that it never uses, so that it
stays 0. k is no part of a state dict.
"""

from pathlib import Path

from torch import Tensor

from benchmark.errors import InputError
from benchmark.sae.formats.parts import Shapes, assemble, check_shapes, read_tensors, shapes
from benchmark.sae.topk import TopKSAE


def read_authors(path: str | Path, k: int) -> TopKSAE:
    """Read a state dict, saved by `torch.save(sae.state_dict(), path)` or as safetensors.

    Raises InputError for other parameters, a b_enc that is not 0, a file that holds more than tensors, and one that
    claims larger tensors than it holds.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        tensors = read_tensors(path, _wanted(path, shapes(path)), optional=("b_enc",))
    else:
        tensors = _unpickled(path)
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        check_shapes(path, found, _wanted(path, found), ("b_enc",))
    if "b_enc" in tensors and bool(tensors["b_enc"].any()):
        raise InputError(f"{path}: b_enc is not 0, but the authors' TopKSAE never uses it; this is another SAE.")
    return assemble(path, k, w_enc=tensors["W_enc"].T, w_dec=tensors["W_dec"], b_dec=tensors["b_dec"])


def _wanted(path: Path, found: Shapes) -> Shapes:
    m, d = found["W_dec"] if len(found.get("W_dec", ())) == 2 else (0, 0)
    if not m * d:
        raise InputError(f"{path} is no state dict of the authors' TopKSAE: it has no matrix W_dec.")
    return {"W_enc": (d, m), "W_dec": (m, d), "b_dec": (d,), "b_enc": (m,)}


def _unpickled(path: Path) -> dict[str, Tensor]:
    import torch

    try:
        # Tensors and containers only; mapped, so that no storage is larger than the file.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # of the unpickler, the zip reader and the file system
        said = " ".join(str(error).split()).split(". ")[0][:200]
        raise InputError(
            f"{path} is no state dict that loads without running code ({type(error).__name__}: {said}); save it with "
            "torch.save(sae.state_dict(), path) or as safetensors."
        ) from None
    tensors = dict(state) if isinstance(state, dict) else {}
    if not tensors or not all(isinstance(t, Tensor) and t.is_floating_point() for t in tensors.values()):
        raise InputError(f"{path} is no state dict: it must hold named float tensors and nothing else.")
    if any(t.layout != torch.strided for t in tensors.values()) or (
        # Strides of 0 make a small file claim a large tensor.
        sum(t.numel() * t.element_size() for t in tensors.values()) > path.stat().st_size
    ):
        raise InputError(f"{path} claims larger tensors than it holds.")
    return tensors
