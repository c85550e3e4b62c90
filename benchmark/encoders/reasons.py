"""Why loading failed, read from a library's error."""

from collections.abc import Iterator

LENGTH = 200
"""Letters of a library's message that are repeated."""


def short_reason(error: BaseException) -> str:
    """Return an error's type and the first sentence of its message; behind a colon, the first line of the list too."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    text = said.split(". ")[0].rstrip(".:")
    return f"{type(error).__name__}: {text[:LENGTH]}{'...' if len(text) > LENGTH else ''}".rstrip(": ")


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that led to it, also where a library hides them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def asks_for_code(error: BaseException) -> bool:
    """Whether transformers refuses to run code that a checkpoint's repository brings along."""
    return any(isinstance(link, ValueError) and "trust_remote_code" in str(link) for link in causes(error))


def is_of_the_network(error: BaseException) -> bool:
    """Whether a file could not be fetched, be it for the network, the hub's answer or its cache."""
    from urllib.error import URLError

    from huggingface_hub import errors

    kinds = (
        errors.HfHubHTTPError.__mro__[1],  # HTTPError of the hub client's own HTTP library, time-outs included
        errors.EntryNotFoundError,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        URLError,
        ConnectionError,
        TimeoutError,
    )
    return any(isinstance(link, kinds) for link in causes(error))
