"""Seconds until a page of the app can be read: in a fresh browser on a warm server, and from page to page.

    python perf/app.py FOLDER [--runs 1000] [--rounds 5] [--server]

FOLDER holds a finished `compare` (mlflow.db, mlruns). Its database is copied, and runs that look like a lab's are added
(perf/queries.py). First paint: from the request to the leaderboard's table. Page change: from the click on the menu to
a page at rest, its script ended and its charts drawn; the last one is the click on a feature in the list. First visit:
of everybody, when nothing of the store is known yet. Needs playwright and Debian's chromium; medians of the rounds.
`--server` puts `mlflow server` between the app and the store.
"""

import argparse
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
from queries import fill

ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
OPENED, FEATURE = "(opened)", "(a feature)"
READY = """title => document.querySelector('h1')?.innerText.startsWith(title)
    && document.querySelector('[data-testid="stApp"]').dataset.testScriptState == 'notRunning'
    && !document.querySelector('[data-testid="stSkeleton"], [data-testid="stStatusWidget"]')
    && [...document.querySelectorAll('[data-testid="stVegaLiteChart"]')].every(chart => chart.querySelector('svg'))"""


def started(command: list[str], health: str, **options: Any) -> tuple[subprocess.Popen, str]:
    """Start a server with --port or the like as its last word; return its process and address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", *command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    while True:
        try:
            urlopen(f"http://127.0.0.1:{port}/{health}", timeout=5).close()
            return process, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.1)


def serve(store: str) -> tuple[subprocess.Popen, str]:
    """Start the app on a store as `make app` does, and return its process and address."""
    command = ["streamlit", "run", str(ROOT / "apps" / "app.py"), "--server.address=127.0.0.1",
               "--server.headless=true", "--browser.gatherUsageStats=false", "--server.port"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": store}
    return started(command, "_stcore/health", cwd=ROOT, env=environment)


def serve_store(database: Path, folder: Path) -> tuple[subprocess.Popen, str]:
    """Start `mlflow server` with proxied artifacts, those of the folder; return its process and address."""
    with closing(sqlite3.connect(database)) as store:
        store.execute("UPDATE runs SET artifact_uri = 'mlflow-artifacts:/' || experiment_id || '/' || run_uuid "
                      "|| '/artifacts'")  # fmt: skip
        store.commit()
    command = ["mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--backend-store-uri",
               f"sqlite:///{database}", "--artifacts-destination", str(folder / "mlruns"), "--serve-artifacts",
               "--port"]  # fmt: skip
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return started(command, "health", env={**os.environ, **quiet, "PATH": path}, start_new_session=True)


def first_paint(browser, address: str) -> tuple[float, float]:
    """Return the seconds until the heading and the leaderboard's table, in a browser that knows nothing of the app."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    taken = []
    for selector in ("h1", '[data-testid="stDataFrame"] canvas'):
        page.wait_for_selector(selector, timeout=60_000)
        taken.append(time.perf_counter() - begun)
    context.close()
    return taken[0], taken[1]


def page_changes(browser, address: str, row: int = 0) -> dict[str, float]:
    """Return the seconds of opening the app, of a click on every page of its menu, and of one on a listed feature."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    begun = time.perf_counter()
    page.goto(address)
    page.wait_for_function(READY, arg="Leaderboard", timeout=120_000)
    taken = {OPENED: time.perf_counter() - begun}
    links = page.locator('[data-testid="stSidebarNavLink"]')
    for i in [*range(1, links.count()), 0]:
        title = links.nth(i).inner_text().split("\n")[-1]
        begun = time.perf_counter()
        links.nth(i).click()
        page.wait_for_function(READY, arg=title, timeout=60_000)
        taken[title] = time.perf_counter() - begun
    page.get_by_role("link", name="Features").click()
    page.wait_for_function(READY, arg="Features", timeout=60_000)
    box = page.locator('[data-testid="stDataFrame"] canvas').first.bounding_box()
    begun = time.perf_counter()
    page.mouse.click(box["x"] + 250, box["y"] + 60 + 44 * row)
    page.wait_for_function(READY, arg="Feature ", timeout=60_000)
    taken[FEATURE] = time.perf_counter() - begun
    page.close()
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server", action="store_true")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as temporary:
        database = Path(temporary, "mlflow.db")
        with closing(sqlite3.connect(options.folder / "mlflow.db")) as source, closing(sqlite3.connect(database)) as to:
            source.backup(to)
        fill(database, options.runs, 1)
        folder, store, servers = options.folder.resolve(), f"sqlite:///{database}", []
        try:
            if options.server:
                server, store = serve_store(database, folder)
                servers.append(server)
            server, address = serve(store)
            servers.append(server)
            with sync_playwright() as play:
                browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
                first = page_changes(browser, address)
                paints = [first_paint(browser, address) for _ in range(options.rounds)]
                changes = [page_changes(browser, address, 1 + i % 8) for i in range(options.rounds)]
                browser.close()
        finally:
            for server in servers:
                server.terminate()
                server.wait()
    print(f"{options.runs} further runs" + (" behind a server" if options.server else ""))
    for what, times in zip(("heading", "first paint"), np.transpose(paints), strict=True):
        print(f"{what:<20}{np.median(times):5.2f} s (worst {max(times):.2f})")
    for title in changes[0]:
        print(f"{title:<20}{np.median([found[title] for found in changes]):5.2f} s   first visit {first[title]:5.2f} s")


if __name__ == "__main__":
    main()
