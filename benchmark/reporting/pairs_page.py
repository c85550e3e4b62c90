"""Image-text pairs to look at, as one HTML page that needs nothing else; captions are escaped."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmark.reporting.style import STYLE


@dataclass(frozen=True)
class ShownPair:
    """A sample, and what is said of it."""

    caption: str
    """Untrusted text."""
    jpeg: bytes | None
    """Thumbnail of its image."""
    about: str
    """Its figures, in a few words."""


def page(title: str, subtitle: str, sections: Sequence[tuple[str, str, Sequence[ShownPair]]]) -> str:
    """Return the page; sections are (title, sentence, pairs)."""
    body = "".join(
        f'<h2>{escape(name)}</h2><p>{escape(sentence)}</p><div class="samples">{"".join(map(_figure, pairs))}</div>'
        for name, sentence, pairs in sections
    )
    return "".join([
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">",
        f"<title>{escape(title)}</title><style>{STYLE} .samples figure {{ width: 150px; }}</style></head><body>",
        f'<header><h1>{escape(title)}</h1><p class="soft">{escape(subtitle)}</p></header><main>{body}</main>',
        "</body></html>\n",
    ])  # fmt: skip


def _figure(pair: ShownPair) -> str:
    image = ""
    if pair.jpeg is not None:
        image = f'<img alt="" src="data:image/jpeg;base64,{b64encode(pair.jpeg).decode()}">'
    return f"<figure>{image}<figcaption>{escape(pair.caption)}<br><b>{escape(pair.about)}</b></figcaption></figure>"
