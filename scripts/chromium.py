"""The browser that tests and pictures of the pages need: find one, or get one.

    python -m scripts.chromium

`make test` does this first. As root it asks the system's package manager, else Playwright, which keeps its browsers in
the user's cache. Where neither can, it says so in one line and nothing fails: the tests that need it are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

MISSING = "there is no Chromium on this machine, and the pages' tests need one: `python -m scripts.chromium` gets it"


def find() -> str | None:
    """The path of a Chromium: the system's, else Playwright's own; None where there is none."""
    from playwright.sync_api import sync_playwright

    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def main() -> int:
    """Get one unless there is one; always 0, since all else works without."""
    ways = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        ways.insert(0, ["/bin/sh", "-c", "apt-get update && apt-get install --yes --no-install-recommends chromium"])
    for way in ways:
        if find():
            return 0
        print("getting a Chromium:", *way, file=sys.stderr)
        subprocess.run(way, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if not find():
        print("no Chromium could be had; the tests of the pages in a browser will be skipped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
