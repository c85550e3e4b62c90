"""A person's way through the app, in Debian's headless chromium, on a store made by the quickstart suite.

`make browser` runs it, in minutes: the suite is trained first (on BROWSER_SAMPLES samples if that is set) unless
BROWSER_STORE is a folder with a finished one. What pages show is compared with the artifacts.
"""

import io
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen
from xml.etree import ElementTree

import pandas as pd
import pytest

import registry
from apps import data

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
BUSY = '[data-testid="stSkeleton"], [data-testid="stStatusWidget"]'


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory):
    """The folder of a finished `compare` of the suite quickstart."""
    folder = Path(os.environ.get("BROWSER_STORE") or tmp_path_factory.mktemp("quickstart")).resolve()
    if not (folder / "mlflow.db").exists():
        fewer = ["--max-samples", os.environ["BROWSER_SAMPLES"]] if "BROWSER_SAMPLES" in os.environ else []
        command = [sys.executable, "-m", "benchmark", "compare", *fewer]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop("MLFLOW_TRACKING_URI", None)
        subprocess.run(command, cwd=folder, env=environment, check=True)
    return folder


@pytest.fixture
def store(quickstart, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{quickstart}/mlflow.db")
    registry.connect()
    return quickstart


@pytest.fixture(scope="session")
def address(quickstart):
    """Where the app answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "streamlit", "run", str(ROOT / "apps" / "app.py"), f"--server.port={port}",
        "--server.address=127.0.0.1", "--server.headless=true", "--browser.gatherUsageStats=false",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": f"sqlite:///{quickstart}/mlflow.db"}
    server = subprocess.Popen(command, cwd=quickstart, env=environment, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while True:
        try:
            urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
            break
        except OSError:
            assert server.poll() is None and time.monotonic() < until
            time.sleep(0.2)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait()


@pytest.fixture(scope="session")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium).")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, address):
    """A fresh window of the app, in which no script may have failed at the end."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1200}, base_url=address, accept_downloads=True)
    window = context.new_page()
    window.set_default_timeout(60_000)
    failures = []
    window.on("pageerror", lambda error: failures.append(str(error)))
    yield window
    assert not failures, failures
    assert not window.locator('[data-testid="stException"]').count()
    context.close()


def settled(page):
    """Wait until the page has come to rest."""
    page.wait_for_selector("h1")
    quiet, until = 0, time.monotonic() + 60
    while quiet < 4:
        assert time.monotonic() < until, "the page does not come to rest"
        quiet = 0 if page.locator(BUSY).count() else quiet + 1
        time.sleep(0.25)


def opened(page, path):
    page.goto(path)
    settled(page)
    return page


def tables(page, index=0):
    """Return what a table of the page shows, by its accessible twin."""
    grid = page.locator('[data-testid="stDataFrame"]').nth(index).locator("table")
    heads = grid.locator("th").all_inner_texts()
    rows = [row.locator("td").all_inner_texts() for row in grid.locator("tbody tr").all()]
    return pd.DataFrame([dict(zip(heads, row, strict=False)) for row in rows])


def newest(table):
    return data.table(registry.latest("compare"), f"{table}.parquet")


def test_every_page_of_the_menu_opens_by_a_click(page):
    opened(page, "/")
    links = page.locator('[data-testid="stSidebarNavLink"]')
    titles = [text.split("\n")[-1] for text in links.all_inner_texts()]  # before it, the name of an icon
    assert len(titles) >= 5
    for i, title in enumerate(titles):
        links.nth(i).click()
        page.wait_for_function("t => document.querySelector('h1')?.innerText.startsWith(t)", arg=title)
        settled(page)
        assert not page.locator('[data-testid="stException"], [data-testid="stAlertContentError"]').count(), title


def test_the_leaderboard_shows_what_the_run_holds_and_downloads_it(page, store):
    page.set_viewport_size({"width": 3000, "height": 1200})  # columns that are scrolled away are not drawn
    opened(page, "/")
    board = newest("leaderboard")
    chosen = board[(board.recorded_on == "heldout") & (board.seed == "") & (board["aggregate"] == "last")]
    share = chosen[chosen.column == "share"].set_index("encoder").value.sort_values(ascending=False)
    shown = tables(page)
    assert shown["Encoder"].tolist() == list(share.index)
    assert shown["Share with all"].astype(float).tolist() == pytest.approx(share.tolist(), abs=5e-4)
    with page.expect_download() as download:
        page.locator('[data-testid="stDownloadButton"]').get_by_text("CSV", exact=True).click()
    read = pd.read_csv(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert read.set_index("encoder").share.to_dict() == pytest.approx(share.to_dict())
    with page.expect_download() as download:
        page.locator('[data-testid="stDownloadButton"]').get_by_text("SVG", exact=True).first.click()
    drawn = ElementTree.parse(download.value.path()).getroot()
    seen = set(chosen[(chosen.column == "share_text") & chosen.value.notna()].encoder)
    assert seen and seen <= {text.strip() for text in drawn.itertext()}


def test_filters_are_kept_in_the_address(page, chromium, store):
    opened(page, "/")
    page.get_by_text("Naive wMPPC", exact=True).click()
    page.wait_for_function("location.search.includes('measure=Naive')")
    settled(page)
    other = opened(page.context.new_page(), page.url)
    assert tables(other).equals(tables(page)) and "95 % interval" not in tables(other)


def test_a_click_on_a_cell_opens_the_pair_with_its_numbers_and_pictures(page, store):
    opened(page, "/matrix")
    cells = data.selection(newest("cells"), "heldout", "last").set_index(["source", "target"]).crossfit
    source, target = "small-clip-image", "small-bert"
    cell = f'[aria-roledescription="rect mark"][aria-label*="source: {source}"][aria-label*="target: {target}"]'
    page.locator(cell).first.click(force=True)  # the number is drawn above it
    page.wait_for_function("document.querySelector('h1')?.innerText == 'Pair'")
    settled(page)
    shown = tables(page).set_index("Measure")
    assert float(shown.loc["Cross-fitted"].iloc[0]) == pytest.approx(cells[source, target], abs=5e-4)
    assert float(shown.loc["Cross-fitted"].iloc[1]) == pytest.approx(cells[target, source], abs=5e-4)
    pictures = page.locator('[data-testid="stImage"] img')
    assert pictures.count() >= 20
    assert all(page.evaluate("[...document.images].map(image => image.complete && image.naturalWidth > 0)"))


def test_a_cell_opens_its_own_pair_whatever_pair_was_looked_at_before(page, store):
    opened(page, "/pair")
    box = page.locator('input[aria-label="Source"]')
    shown = box.input_value()
    box.click()
    page.locator('[role="option"]').last.click()
    page.wait_for_function("location.search.includes('source=')")
    settled(page)
    page.locator('[data-testid="stSidebarNavLink"]').filter(has_text="Matrix").click()
    page.wait_for_function("document.querySelector('h1')?.innerText == 'Matrix'")
    settled(page)
    page.locator(f'[aria-roledescription="rect mark"][aria-label*="source: {shown}"]').first.click(force=True)
    page.wait_for_function("document.querySelector('h1')?.innerText == 'Pair'")
    settled(page)
    assert page.locator('input[aria-label="Source"]').input_value() == shown


def test_an_address_names_no_measure_that_its_page_lacks(page, store):
    for title, kept in (("Naive wMPPC", True), ("Asymmetry", False)):
        opened(page, "/matrix")
        page.get_by_text(title, exact=True).first.click()
        page.wait_for_function("location.search.includes('measure=')")
        settled(page)
        page.locator('[data-testid="stSidebarNavLink"]').filter(has_text="Leaderboard").click()
        page.wait_for_function("document.querySelector('h1')?.innerText == 'Leaderboard'")
        settled(page)
        assert ("measure=" in page.evaluate("location.search")) == kept


def test_partners_of_shared_features_open_in_the_same_window_and_back_leads_to_them(page, store):
    opened(page, "/sharedness")
    links = page.locator('[data-testid="stPageLink"] a')
    number = links.nth(1).inner_text().split(" at ")[0].split()[-1]
    links.nth(1).click()
    page.wait_for_function(f"document.querySelector('h1')?.innerText == 'Feature {number}'")
    settled(page)
    assert len(page.context.pages) == 1
    page.go_back()
    page.wait_for_function("document.querySelector('h1')?.innerText == 'Sharedness'")
    settled(page)
    assert links.count() > 1


def click_row(page, row, height, x):
    """Click the table's row at x pixels from its left; the pointer comes from within the table, as a person's does."""
    grid = page.locator('[data-testid="stDataFrame"]').first.bounding_box()
    page.mouse.move(grid["x"] + x + 20, grid["y"] + 36 + height)
    page.wait_for_timeout(500)
    page.mouse.click(grid["x"] + x, grid["y"] + 36 + height * row + height / 2)


def test_a_click_on_a_feature_shows_what_was_recorded_and_the_way_back_keeps_the_search(page, store):
    opened(page, "/features?words=square")
    number = int(tables(page)["Feature"].iloc[1].replace(",", ""))
    click_row(page, 1, 44, 110)
    page.wait_for_function(f"document.querySelector('h1')?.innerText == 'Feature {number}'")
    settled(page)
    address = {name: values[0] for name, values in parse_qs(urlsplit(page.evaluate("location.href")).query).items()}
    assert int(address["feature"]) == number
    recorded = registry.features(address["run"], int(address["layer"])).to_dense()[:, number]
    assert f"{(recorded > 0).sum():,} of {len(recorded):,} samples" in page.locator("body").inner_text()
    assert page.locator('[data-testid="stImage"] img').count() >= 20
    page.locator('[data-testid="stPageLink"] a').first.click()
    page.wait_for_function(f"document.querySelector('h1')?.innerText != 'Feature {number}'")
    settled(page)
    assert f"feature={number}&" not in page.evaluate("location.search + '&'")
    page.go_back()
    page.wait_for_function(f"document.querySelector('h1')?.innerText == 'Feature {number}'")
    settled(page)
    page.get_by_text("All features of this layer").click()
    page.wait_for_function("document.querySelector('h1')?.innerText == 'Features'")
    settled(page)
    assert page.locator('input[aria-label="Words in captions"]').input_value() == "square"


def test_two_runs_that_are_ticked_are_compared_and_the_address_keeps_them(page, store):
    opened(page, "/runs?job=train")
    for row in (0, 1):
        click_row(page, row, 35, 16)
        page.wait_for_function(
            f"location.search.split('%2C').length == {row + 1} && location.search.includes('chosen')"
        )
        settled(page)
    other = opened(page.context.new_page(), page.evaluate("location.href"))
    for window in (page, other):
        assert window.get_by_text("Settings that differ").count() == 1


@pytest.mark.parametrize("width", [420, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_narrow_and_wide_screens(chromium, address, store, width, scheme):
    context = chromium.new_context(viewport={"width": width, "height": 900}, base_url=address, color_scheme=scheme)
    page = context.new_page()
    for path in ("/", "/matrix", "/pair", "/layers", "/sharedness", "/features", "/stability", "/datasets", "/runs"):
        opened(page, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()
