"""The stable hashes behind fingerprints, cache keys and splits (Python's own `hash` differs between processes)."""

from collections.abc import Iterable
from hashlib import blake2b


def digest(data: bytes) -> str:
    """Return a 128-bit hash of `data` as 32 hexadecimal digits."""
    return blake2b(data, digest_size=16).hexdigest()


def digest_all(parts: Iterable[str]) -> str:
    """Return a 128-bit hash of a sequence of strings; no two different sequences give the same bytes to hash."""
    state = blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.hexdigest()


def position(salt: str, key: str) -> int:
    """Return the place of `key` on a line of 2**64 points; each `salt` gives its own, independent line."""
    return int(digest_all((salt, key))[:16], 16)
