"""What all layouts of SAE files share: a small JSON file, tensors whose sizes are checked first, the SAE of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.sae.topk import TopKSAE

CONFIG_BYTES = 1 << 20
"""A configuration of an SAE is a few hundred bytes; nothing larger is read."""
DTYPES = ("F64", "F32", "F16", "BF16")
"""Types of weights, in safetensors' names."""

Shapes = dict[str, tuple[int, ...]]


def read_config(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises InputError for a file that is missing, too large or something else."""
    try:
        with path.open("rb") as file:
            text = file.read(CONFIG_BYTES + 1)
        if len(text) > CONFIG_BYTES:
            raise InputError(f"{path} is larger than {CONFIG_BYTES} bytes; this is no configuration of an SAE.")
        config = json.loads(text)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(config, dict):
        raise InputError(f"{path} must hold a JSON object.")
    return config


def size(config: Mapping[str, Any], name: str, path: Path) -> int:
    """Return a size that a configuration states; raises InputError unless it is a whole number of at least 1."""
    value = config.get(name)
    if type(value) is not int or value < 1:
        raise InputError(f"{path}: field '{name}' must be a whole number of at least 1, got {str(value)[:50]!r}.")
    return value


def shapes(path: Path) -> Shapes:
    """Return {tensor: shape} from a safetensors file's header; raises InputError for another file or other types.

    The library refuses a header that does not fit the length of the file, so these sizes are real.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            for name, part in parts.items():
                if part.get_dtype() not in DTYPES:
                    raise InputError(f"{path}: tensor '{name}' is of type {part.get_dtype()}; weights are floats.")
            return {name: tuple(part.get_shape()) for name, part in parts.items()}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} holds no readable weights: {type(error).__name__}: {error}.") from None


def read_tensors(
    path: Path, wanted: Mapping[str, tuple[int, ...]], optional: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """Return a safetensors file's tensors, after its header showed exactly the wanted shapes.

    optional: names of `wanted` that may be missing. Raises InputError for other tensors or shapes, before anything is
    allocated.
    """
    from safetensors.torch import load_file

    found = shapes(path)
    check_shapes(path, found, wanted, optional)
    return load_file(path)


def check_shapes(
    path: Path, found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], optional: tuple[str, ...]
) -> None:
    """Raise InputError unless the found shapes are the wanted ones."""
    needed = {name: shape for name, shape in wanted.items() if name in found or name not in optional}
    if dict(found) != needed:
        raise InputError(f"{path}: weights {_listed(found)} do not fit the sizes stated; expected {_listed(wanted)}.")


def assemble(
    where: Path | str, k: int, *, w_enc: Tensor, w_dec: Tensor, b_dec: Tensor, b_enc: Tensor | None = None
) -> TopKSAE:
    """Return the float32 SAE of W_enc and W_dec, both (m, d), b_dec (d,) and b_enc (m,); a b_enc of zeros is left out.

    Raises InputError for weights that are not finite and a k above m.
    """
    m, d = w_dec.shape
    if not 1 <= k <= m:
        raise InputError(f"{where}: k = {k} does not fit a dictionary of {m} latents.")
    if b_enc is not None and not b_enc.any():
        b_enc = None
    state = {"W_enc": w_enc, "W_dec": w_dec, "b_dec": b_dec} | ({} if b_enc is None else {"b_enc": b_enc})
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{where}: {name} holds values that are not finite; the file is of no use.")
    sae = TopKSAE(d, m, k, seed=0, encoder_bias=b_enc is not None)  # a seed: torch's own generator is left alone
    sae.load_state_dict(state)
    return sae


def _listed(found: Mapping[str, tuple[int, ...]]) -> str:
    return "{" + ", ".join(f"{name[:80]}: {shape}" for name, shape in list(found.items())[:12]) + "}"
