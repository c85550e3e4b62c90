"""Encoders that are a user's own Python function.

A card's source `python:module:function` names a function that takes the card and returns a `Tower`: an object with
`module` (a torch.nn.Module), `preprocess(batch)` and `states(inputs, layers)`, as `encoder.Tower` describes them.

The module is looked for beside the card's file, then in the working directory, then among the installed ones, in the
order in which Python would look if a script beside the card imported it. While it is imported and its function runs,
both folders lead Python's search path, so that it finds its neighbours.

No flag is needed: the card names code on the user's own machine, and using a card with such a source is like starting
that module oneself. `trust_remote_code` is about code that somebody else put into a hub repository. Read a card, and
what lies beside it, before using it.
"""

import hashlib
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from benchmark.catalog import EncoderCard
from benchmark.errors import InputError, WorkError

if TYPE_CHECKING:
    from benchmark.encoders.encoder import Tower

# The content of every module's file when it was imported: the content keys must speak of the code that runs.
_imported: dict[str, str] = {}


def load_tower(card: EncoderCard, folder: Path | None, *, trust_remote_code: bool = False) -> "Tower":
    """Call the card's function and return its tower; `folder` and `trust_remote_code` play no part.

    Raises InputError for a source of another form, a module that cannot be found or imported, a missing function, or
    a return value that is no tower, and WorkError, with the function's own error as its cause, when the function
    fails.
    """
    module_name, function_name = _parts(card)
    with _neighbours_first(card):
        module = _import(card, module_name)
        function = getattr(module, function_name, None)
        if not callable(function):
            raise InputError(
                f"encoder '{card.name}': {module.__file__} has no function '{function_name}'; correct `source` "
                "(python:MODULE:FUNCTION) or add it there."
            )
        try:
            tower = function(card)
        except (InputError, WorkError):
            raise
        except (Exception, SystemExit) as error:
            raise WorkError(
                f"encoder '{card.name}': {function_name}(card) of {module.__file__} failed with {_short(error)}."
            ) from error
    _check(card, tower, f"{function_name}(card) of {module.__file__}")
    return tower


def source_hash(card: EncoderCard) -> str:
    """Return a hash of the module's file, without importing it; modules that it imports are not covered.

    When something else changes what the encoder gives (a neighbouring module, weights that the function reads), change
    the card's `revision`, which can hold any text. Raises InputError as `load_tower` does.
    """
    module_name, _ = _parts(card)
    with _neighbours_first(card):
        return _file_hash(_origin(card, module_name))


def _parts(card: EncoderCard) -> tuple[str, str]:
    prefix, _, rest = card.source.partition(":")
    module, _, function = rest.partition(":")
    if prefix != "python" or not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise InputError(
            f"encoder '{card.name}': the source of a python encoder must look like python:MODULE:FUNCTION, for "
            f"instance python:my_encoder:load, got '{card.source}'."
        )
    return module, function


@contextmanager
def _neighbours_first(card: EncoderCard) -> Iterator[None]:
    before = list(sys.path)
    here = [str(Path(folder).resolve()) for folder in (card.base, ".") if folder]
    sys.path[:0] = list(dict.fromkeys(here))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _origin(card: EncoderCard, name: str) -> Path:
    """Return the file of a module, found without importing it or its packages."""
    spec: ModuleSpec | None = None
    places: Any = None  # sys.path
    for position in range(name.count(".") + 1):
        spec = PathFinder.find_spec(".".join(name.split(".")[: position + 1]), places)
        if spec is None:
            break
        places = spec.submodule_search_locations or []
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        where = " nor ".join(dict.fromkeys(f"in '{Path(place).resolve()}'" for place in (card.base, ".") if place))
        raise InputError(
            f"encoder '{card.name}': there is no Python module '{name}', neither {where} nor installed; put "
            f"{name.replace('.', '/')}.py beside the card's file."
        )
    return Path(spec.origin)


def _import(card: EncoderCard, name: str) -> ModuleType:
    origin = _origin(card, name)
    known = sys.modules.get(name)
    if known is not None and Path(known.__file__ or "").resolve() != origin.resolve():
        raise InputError(
            f"encoder '{card.name}': a module called '{name}' is already in use ({known.__file__ or 'built in'}), so "
            f"{origin} cannot be imported beside it; give it another name."
        )
    content = _file_hash(origin)
    if known is not None and _imported.setdefault(name, content) != content:
        raise InputError(f"encoder '{card.name}': {origin} changed after it was imported; start Python again.")
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported, scripts exit
        raise InputError(f"encoder '{card.name}': {origin} cannot be imported: {_short(error)}.") from error
    _imported[name] = content
    return module


def _file_hash(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _check(card: EncoderCard, tower: Any, origin: str) -> None:
    import torch

    lacking = [name for name in ("preprocess", "states") if not callable(getattr(tower, name, None))]
    if not isinstance(getattr(tower, "module", None), torch.nn.Module):
        lacking.insert(0, "module (a torch.nn.Module)")
    if lacking:
        raise InputError(
            f"encoder '{card.name}': {origin} returned a {type(tower).__name__} without {', '.join(lacking)}; it must "
            "return a Tower (benchmark.encoders.encoder)."
        )


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".rstrip(".: ")
