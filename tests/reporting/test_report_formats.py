"""HTML, Markdown and LaTeX show every figure, hide no markup in names, and need nothing from elsewhere."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from comparisons import KINDS, compared

from benchmark.reporting import html, latex, markdown
from benchmark.reporting.content import Concept, Example
from benchmark.reporting.heatmap import VIRIDIS, colour
from benchmark.reporting.tables import matrix_table, pairs_table, sae_table, side_by_side

HOSTILE = r"""<script>alert(1)</script>|a&b_c%d$e#f{g}h~i^j\k"`l[m]*n--\input{/etc/passwd}"""
JPEG = b"\xff\xd8 not really a picture"


def hostile():
    kinds = {**KINDS, HOSTILE: ("vision", "image")}
    examples = [Example(HOSTILE, JPEG), Example("a dog\non a mat", None)]
    concept = Concept(HOSTILE, "bert", 3, 17, 2, 5, 0.625, 0.034, examples, examples, HOSTILE, HOSTILE)
    return compared(
        encoders=tuple(kinds), kinds=kinds, suite=HOSTILE, dataset=HOSTILE, concepts=[concept],
        settings={HOSTILE: HOSTILE},
    )  # fmt: skip


def all_tables(items):
    return [matrix_table(items, "last", "crossfit"), side_by_side(items, "last"), sae_table(items[0]),
            pairs_table(items[0], "last", "all")]  # fmt: skip


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = set(), [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "img", "rect", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("several", [False, True])
def test_the_page_needs_nothing_else_and_runs_nothing(several):
    text = html.page([hostile()] + [compared()] * several, "Report", "of today")
    page = Page(text)
    assert not page.open and "script" not in page.tags and "link" not in page.tags
    for tag, name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href"):
            assert value.startswith("data:image/jpeg;base64," if tag == "img" else "#")
    addresses = set(re.findall(r"https?://[^\"' )]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"} and "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text
    shown = "".join(page.text)
    assert HOSTILE in shown and "0.62" in shown and "3.4%" in shown and "a dog" in shown
    anchors = {value for _, name, value in page.attributes if name == "id"}
    assert {value[1:] for tag, name, value in page.attributes if name == "href"} <= anchors


def test_the_page_shows_every_figure():
    item = compared()
    shown = "".join(Page(html.page([item], "Report", "")).text)
    for aggregate in item.aggregates:
        for row in item.part(aggregate).values():
            for measure in ("crossfit", "naive", "chance", "calibrated"):
                assert f"{row[measure]:.3f}" in shown and f"±{row[f'{measure}_sd']:.3f}" in shown


def test_markdown_tables_are_rectangles_whatever_the_names():
    for table in all_tables([hostile(), compared()]):
        lines = [line for line in markdown.table(table).splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(table.columns) + 1}
        assert set(lines[1]) <= set("|-: ")
    text = markdown.document(HOSTILE, [(HOSTILE, [HOSTILE], all_tables([hostile()]))])
    assert not re.search(r"(?<!\\)[<>`]", text)


def test_latex_escapes_names_and_keeps_columns():
    escaped = latex.escape(HOSTILE)
    assert re.fullmatch(r"(\\[a-z]+\{\}|\\[{}$&#%_]|\{[\[\]*]\}|-\{\}-|[A-Za-z0-9 .,:;!?()/=+@'-])*", escaped)
    assert latex.escape("0.5 ± 0.1 − 1 → é 汉") == r"0.5 $\pm$ 0.1 $-$ 1 $\to$ é ?"
    for table in all_tables([hostile(), compared()]):
        for line in latex.table(table).splitlines():
            if line.endswith(r" \\") and r"\multicolumn" not in line:
                assert len(re.findall(r"(?<!\\)&", line)) == len(table.columns) - 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX is installed")
def test_latex_compiles(tmp_path):
    names = tuple(f"encoder-{i}" for i in range(9))
    many = compared(encoders=names, kinds={name: ("vision", "image") for name in names})  # a table of several pages
    sections = [(HOSTILE, [HOSTILE, "–±−→×…·"], all_tables([hostile(), compared(), many]) + all_tables([many]))]
    (tmp_path / "tables.tex").write_text(latex.tables(sections), encoding="utf-8")
    (tmp_path / "report.tex").write_text(latex.document(HOSTILE, "tables", "2026"), encoding="utf-8")
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"], cwd=tmp_path,
                          capture_output=True, text=True, errors="replace")  # fmt: skip
    assert done.returncode == 0 and (tmp_path / "report.pdf").exists(), done.stdout[-2000:]


def test_colours_run_from_the_first_to_the_last_of_the_scale():
    assert (
        colour(0) == VIRIDIS[0] and colour(1) == VIRIDIS[-1] and colour(-3) == VIRIDIS[0] and colour(2) == VIRIDIS[-1]
    )
    assert colour(4 / 9) == VIRIDIS[4] and colour(4.5 / 9) not in VIRIDIS
