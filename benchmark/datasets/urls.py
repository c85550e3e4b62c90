"""What of a URL may be shown: user names, passwords and queries (tokens, signatures) never reach a message."""

import re

URL = re.compile(r"""([A-Za-z][\w+.-]*://)((?:(?!::)[^\s'"<>])*)""")


def public(text: str) -> str:
    """Return `text` with user, password and query taken out of every URL in it (`?...` marks a query)."""
    return URL.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    authority, slash, path = found[2].partition("/")
    place, query, _ = f"{authority.rpartition('@')[2]}{slash}{path}".partition("?")
    return f"{found[1]}{place}{'?...' * bool(query)}"
