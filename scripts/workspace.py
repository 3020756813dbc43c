"""The pictures of docs/workspace.md: a sweep that is not this project's, run here, on a local server of its own.

    pip install scikit-learn
    python -m scripts.workspace --out docs/images

Needs Chromium.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from mnist_sweep.server.launch import ServerProcess
from scripts import chromium

PROGRAM = Path(__file__).parent / "projects/wine.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of the pictures")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder) / "data", env=dict(os.environ))
        facts = server.start()
        try:
            client = {"WANDB_BASE_URL": facts.url, "WANDB_API_KEY": facts.key, "WANDB_DIR": folder}
            subprocess.run([sys.executable, str(PROGRAM)], env=os.environ | client, check=True)
            pictures(facts.url, facts.key, out)
        finally:
            server.stop()


def pictures(url: str, key: str, out: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        for name, query, theme in (
            ("workspace", "", "light"),
            ("workspace-grouped", "?by=config:model.trees&log=y", "dark"),
        ):
            dark = theme == "dark"
            page = browser.new_page(viewport={"width": 1280, "height": 1250}, color_scheme="dark" if dark else "light")
            page.request.post(f"{url}/login", form={"key": key})
            page.goto(f"{url}/local/wine{query}")
            for chart in page.locator(".chart").all():
                chart.locator(".main-svg").first.wait_for()
            page.screenshot(path=out / f"{name}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
