"""Take a picture of every page of the app, as docs/app.md shows them.

    python perf/screenshots.py FOLDER [--to docs/app] [--width 1400] [--scheme light]

FOLDER holds a store (mlflow.db, mlruns) with finished runs of the commands that the pages show: `compare`, `layers`,
`sharedness`, `stability`, `consistency`, `drift` and `name`, on the suite quickstart. Needs playwright, Pillow and
Debian's chromium. The pictures are PNGs of as many colours as keep them under 150 kB, 16 at least.
"""

import argparse
import io
import shutil
from pathlib import Path

from app import FLAGS, READY, ROOT, serve
from PIL import Image

PAGES = {
    "leaderboard": ("Leaderboard", "/", 1250),
    "matrix": ("Matrix", "/matrix", 1100),
    "pair": ("Pair", "/pair?source=small-clip-image&target=small-bert", 1750),
    "layers": ("Layers", "/layers", 1300),
    "sharedness": ("Sharedness", "/sharedness", 1450),
    "features": ("Features", "/features", 1000),
    "feature": ("Feature ", "/pair?source=small-clip-image&target=small-bert", 1700),
    "stability": ("Stability", "/stability", 1500),
    "datasets": ("Datasets", "/datasets", 1150),
    "drift": ("Datasets", "/datasets?section=Drift", 1500),
    "saes": ("SAEs", "/saes", 900),
    "runs": ("Runs", "/runs", 1000),
}
"""Name of the picture -> start of the page's title, its address and the picture's height in pixels."""
MOST = 150_000
"""Bytes that a picture may have."""


def small(png: bytes) -> bytes:
    """Return a picture with as many colours as keep it under `MOST` bytes, at least 16."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64, 32, 16):
        found = io.BytesIO()
        image.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(found, "PNG", optimize=True)
        if found.tell() <= MOST:
            break
    return found.getvalue()


def picture(context, address: str, title: str, path: str, height: int) -> bytes:
    """Return the PNG of a page at rest; the page of a feature is reached by the first link of a pair."""
    page = context.new_page()
    page.goto(address + path)
    if title == "Feature ":
        page.wait_for_function(READY, arg="Pair", timeout=60_000)
        page.locator('[data-testid="stPageLink"] a').first.click()
    page.wait_for_function(READY, arg=title, timeout=60_000)
    page.set_viewport_size({"width": page.viewport_size["width"], "height": height})
    page.wait_for_timeout(3000)  # charts and tables are drawn after their data are there
    png = page.screenshot()
    page.close()
    return png


def main() -> None:
    """Take the pictures and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "app")
    parser.add_argument("--width", type=int, default=1400)
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    options.to.mkdir(parents=True, exist_ok=True)
    server, address = serve(f"sqlite:///{options.folder.resolve()}/mlflow.db")
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            context = browser.new_context(
                viewport={"width": options.width, "height": 1000}, color_scheme=options.scheme
            )
            for name, (title, path, height) in PAGES.items():
                found = small(picture(context, address, title, path, height))
                (options.to / f"{name}.png").write_bytes(found)
                print(f"{name}.png {len(found):,} bytes", flush=True)
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
