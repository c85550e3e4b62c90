"""A page of features with what activates them and where they are found again; needs no network and no scripts."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from benchmark.reporting.content import Example
from benchmark.reporting.style import STYLE

OWN_STYLE = """
.feature { padding: 12px 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
.feature > p { margin: 0 0 6px; max-width: none; }
"""


@dataclass(frozen=True)
class TopFeature:
    """A feature with a high Comparative Sharedness."""

    layer: int
    feature: int
    name: str
    """"" where it has none."""
    delta_share: float
    """Cross-fitted Delta, with S divided by its sum."""
    error: float
    """Standard error of `delta_share`."""
    q_value: float
    """Of the hypothesis that Delta is not above 0."""
    rho_shared: float
    rho_absent: float
    S_share: float
    found_in: str
    """Its partners in the encoders that should share it."""
    absent_from: str
    """Its closest features in those that should not."""
    examples: Sequence[Example]
    """The samples that activate it most."""


def page(title: str, features: Mapping[str, Sequence[TopFeature]]) -> str:
    """Return an HTML page with a section for each heading; all texts are escaped."""
    body = "".join(
        f"<section><h2>{escape(heading)}</h2>{''.join(map(_feature, items))}</section>"
        for heading, items in features.items()
    )
    return "".join([
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">",
        f"<title>{escape(title)}</title><style>{STYLE}{OWN_STYLE}</style></head><body>",
        f'<header><h1>Features that set encoders apart</h1><p class="soft">{escape(title)}</p></header><main>',
        "<p>The top 1 % of features by cross-fitted Comparative Sharedness under the first seed, highest first, with "
        "the samples that activate them most. Δ: S (ρ shared² - ρ absent²) with S divided by its sum; ±: its standard "
        "error; q: of a Δ that is not above 0.</p>",
        body, "</main></body></html>\n",
    ])  # fmt: skip


def _feature(item: TopFeature) -> str:
    name = f" “{escape(item.name)}”" if item.name else ""
    return (
        f'<div class="feature"><p><b>Layer {item.layer}, feature {item.feature}{name}</b> '
        f'<span class="soft">Δ {1000 * item.delta_share:.2f} ± {1000 * item.error:.2f} thousandths, '
        f"q {item.q_value:.2g}; ρ shared {item.rho_shared:.2f}, ρ absent {item.rho_absent:.2f}; "
        f"{item.S_share:.1%} of S<br>found in {escape(item.found_in)}; closest in {escape(item.absent_from)}</span></p>"
        f'<div class="samples">{"".join(map(_sample, item.examples))}</div></div>'
    )


def _sample(example: Example) -> str:
    image = ""
    if example.jpeg is not None:
        image = f'<img alt="" src="data:image/jpeg;base64,{b64encode(example.jpeg).decode()}">'
    return f"<figure>{image}<figcaption>{escape(example.caption)}</figcaption></figure>"
