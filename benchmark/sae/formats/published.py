"""Find SAEs among files by their names, and read one whatever its layout."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from benchmark.errors import InputError
from benchmark.sae.formats.about import About

if TYPE_CHECKING:
    from benchmark.sae.topk import TopKSAE

PAIRS = {
    "own": ("config.json", "model.safetensors"),
    "saelens": ("cfg.json", "sae_weights.safetensors"),
    "sparsify": ("cfg.json", "sae.safetensors"),
}
"""Layout: the two files that make it, configuration and weights."""
STATE = "state"
"""Layout of a single file: a state dict of the authors' module."""
STATE_ENDINGS = (".pt", ".pth", ".safetensors")


class Published(NamedTuple):
    """An SAE that was read, what its files say of it, and their layout."""

    sae: "TopKSAE"
    about: About
    layout: str


def find_saes(names: Iterable[str]) -> dict[str, str]:
    """Return {folder or file: layout} of the SAEs among relative paths; the folder of the paths themselves is ".".

    A single file counts where no folder does: other libraries keep other things in files with these endings.
    """
    names = sorted(names)
    known = set(names)
    found: dict[str, str] = {}
    for layout, (config, weights) in PAIRS.items():
        for name in names:
            path = PurePosixPath(name)
            if path.name == weights and (path.parent / config).as_posix() in known:
                found[path.parent.as_posix()] = layout
    return found or {name: STATE for name in names if name.endswith(STATE_ENDINGS)}


def files_of(place: str, layout: str) -> list[str]:
    """Return the relative paths of the files of an SAE that `find_saes` found, its configuration first."""
    if layout == STATE:
        return [place]
    return [(PurePosixPath(place) / name).as_posix() for name in PAIRS[layout]]


def check_config(path: str | Path, layout: str) -> None:
    """Raise InputError where the configuration alone shows that an SAE cannot be read."""
    if layout == "own":
        from benchmark.sae.files import sizes

        sizes(path)
    elif layout == "saelens":
        from benchmark.sae.formats.saelens import settings

        settings(path)
    elif layout == "sparsify":
        from benchmark.sae.formats.sparsify import sizes as check

        check(path)


def read_published(path: str | Path, layout: str, k: int | None = None) -> Published:
    """Read an SAE of a layout of `find_saes`, from its folder or file.

    k is needed for a state dict, which does not hold it, and must be what the others state. Raises InputError.
    """
    if layout == STATE:
        from benchmark.sae.formats.authors import read_authors

        if k is None:
            raise InputError(
                f"{path}: a state dict does not say how many latents are active; give k (32 in the paper)."
            )
        return Published(read_authors(path, k), About(), layout)
    if layout == "own":
        from benchmark.sae.files import read_origin, read_sae

        sae, about = read_sae(path), read_origin(path)
    elif layout == "saelens":
        from benchmark.sae.formats.saelens import read_saelens

        sae, about = read_saelens(path)
    else:
        from benchmark.sae.formats.sparsify import read_sparsify

        sae, about = read_sparsify(path)
    if k not in (None, sae.k):
        raise InputError(f"{path}: its k is {sae.k}, not {k}; leave k out.")
    return Published(sae, about, layout)
