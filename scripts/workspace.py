"""Take the screenshots of docs/workspace.md: three other projects (scripts/projects) on a local server.

    python -m scripts.workspace --out docs/images
    python -m scripts.workspace --every pages --data kept    every page in full: light, dark and 420 px wide

The programs run once per data folder. Needs Chromium.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import wandb
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from mnist_sweep.server.process.launch import ServerProcess
from mnist_sweep.training import mnist
from scripts import chromium

PROJECTS = Path(__file__).parent / "projects"
TIMEOUT_MS = 90_000
"""Timeout in milliseconds. It is long because other work may be running at the same time."""
LOOKS = {"light": (1280, "light"), "dark": (1280, "dark"), "phone": (420, "light")}
"""Width in pixels and colour scheme."""
PLACES = "document.querySelectorAll('.figure, .chart[data-metric], .plot')"
MISSING = f"[...{PLACES}].filter(p => p.offsetParent && !p.querySelector('.main-svg')).map(p => p.className)"
DRAWN = f"!{MISSING}.length"
WINDOW_HEIGHT = 1250
COMMON_COLOURS = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("docs/images"),
        help="folder for the screenshots of the docs (default %(default)s)",
    )
    parser.add_argument("--every", type=Path, help="instead, save every page in every look in this folder")
    parser.add_argument(
        "--data", type=Path, help="data folder of the server, which is kept (default: a temporary folder)"
    )
    parser.add_argument("--pages", nargs="*", help="names of the pages to save (default: all)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(asked.data or Path(folder) / "data", env=dict(os.environ))
        facts = server.start()
        try:
            os.environ |= {"WANDB_BASE_URL": facts.url, "WANDB_API_KEY": facts.key, "WANDB_DIR": folder}
            if not {project.name for project in wandb.Api().projects()} >= {"digits", "diabetes", "wine"}:
                run_programs()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
                addresses = pages(facts.url)
                if asked.every:
                    take_all(browser, addresses, asked.pages or list(addresses), asked.every)
                else:
                    take_for_docs(browser, addresses, asked.out)
                browser.close()
        finally:
            server.stop()


def run_programs() -> None:
    """Run the three programs, and create the report."""
    start("digits.py", str(mnist.fetch()))
    start("diabetes.py")
    start("wine.py")
    (sweep,) = wandb.Api().project("wine").sweeps()
    start("report.py", "wine", sweep.id)


def start(program: str, *arguments: str) -> None:
    """Run a program with its own wandb service. With a shared one, its agent prints a traceback."""
    own = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    subprocess.run([sys.executable, str(PROJECTS / program), *arguments], env=own, check=True)


def pages(url: str) -> dict[str, str]:
    """Return the address of every kind of page that the projects have, by name."""
    api = wandb.Api()
    (sweep,) = api.project("wine").sweeps()
    (report,) = api.reports("local/wine")
    best, *others = sorted(sweep.runs, key=lambda run: run.summary["loss"])[:3]
    fits = api.runs("local/diabetes")[:3]
    return {
        "projects": f"{url}/",
        "wine-project": f"{url}/local/wine",
        "wine-grouped": f"{url}/local/wine?by=config:model.trees&log=y",
        "wine-sweep": sweep.url,
        "wine-run": best.url,
        "wine-compare": f"{url}/local/wine/compare?runs={','.join(run.id for run in (best, *others))}",
        "wine-report": report.url,
        "diabetes-project": f"{url}/local/diabetes",
        "diabetes-grouped": f"{url}/local/diabetes?by=group",
        "diabetes-run": fits[0].url,
        "diabetes-compare": f"{url}/local/diabetes/compare?runs={','.join(run.id for run in fits)}",
        "digits-project": f"{url}/local/digits",
        "digits-run": f"{url}/local/digits/runs/linear",
        "artifact": api.run("local/digits/linear").logged_artifacts()[0].url,
    }


def take_for_docs(browser: Browser, addresses: dict[str, str], out: Path) -> None:
    """Take the screenshots of the docs, each of a window or of one part of a page."""
    for picture, name, look, part in (
        ("workspace", "wine-project", "light", ""),
        ("workspace-grouped", "diabetes-grouped", "dark", ""),
        ("media", "digits-run", "light", "#media"),
        ("report", "wine-report", "light", ""),
        ("phone", "wine-run", "phone", ""),
    ):
        with open_page(browser, addresses[name], look) as page:
            (page.locator(part) if part else page).screenshot(path=out / f"{picture}.png")
        compress(out / f"{picture}.png")


def compress(picture: Path) -> None:
    """Reduce a picture to 256 colours, a third of its size.

    Half of the palette are the most common colours. The others cover the rest, such as thin lines.
    """
    with Image.open(picture) as whole:
        image = whole.convert("RGB")
    counted = sorted(image.getcolors(image.width * image.height) or [], reverse=True)
    common = [channel for _, colour in counted[:COMMON_COLOURS] if isinstance(colour, tuple) for channel in colour]
    about = image.quantize(256 - COMMON_COLOURS, Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette((common + about)[: 3 * 256])
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(picture, optimize=True)


def take_all(browser: Browser, addresses: dict[str, str], names: list[str], folder: Path) -> None:
    """Take a screenshot of every full page, and report if something is wider than the window."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        for look in LOOKS:
            with open_page(browser, addresses[name], look) as page:
                wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
            print(json.dumps({"page": name, "look": look, "wider by": max(wide, 0)}), flush=True)


@contextmanager
def open_page(browser: Browser, url: str, look: str) -> Iterator[Page]:
    """Open a page, wait until every chart is drawn, and scroll to its top. Exit on an error in its console."""
    width, scheme = LOOKS[look]
    page = browser.new_page(
        viewport={"width": width, "height": WINDOW_HEIGHT}, color_scheme="dark" if scheme == "dark" else "light"
    )
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(TIMEOUT_MS)
    page.request.post("/".join(url.split("/", 3)[:3]) + "/login", form={"key": os.environ["WANDB_API_KEY"]})
    page.goto(url)
    page.wait_for_timeout(500)
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while not page.evaluate(DRAWN):
        if time.monotonic() > deadline:
            sys.exit(f"{url}: these charts were not drawn: {page.evaluate(MISSING)}")
        for place in page.locator(".figure:visible, .chart:visible, .medium:visible").all():
            place.scroll_into_view_if_needed()
        page.wait_for_timeout(100)
    page.evaluate("window.scrollTo({top: 0, behavior: 'instant'})")
    page.wait_for_timeout(500)
    yield page
    page.close()
    if errors:
        sys.exit(f"{url}: the console reports {errors}")


if __name__ == "__main__":
    main()
