"""Find or install the browser that tests and screenshots of the pages need.

    python -m scripts.chromium

`make test` runs this first. As root, it tries the system's package manager first. Otherwise, or if that fails, it uses
Playwright, which installs browsers in the user's cache. If no browser can be installed, it reports that in one line and
exits with 0. The tests that need a browser are then skipped.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

MISSING = "the tests of the pages need Chromium, which is not installed; run `python -m scripts.chromium` to install it"


def find() -> str | None:
    """Return the path of the system's Chromium, or of Playwright's own; None if neither is installed."""
    from playwright.sync_api import sync_playwright

    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def main() -> int:
    """Install Chromium if it is missing. Return 0 in any case, because only some tests need it."""
    installers = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        installers.insert(
            0, ["/bin/sh", "-c", "apt-get update && apt-get install --yes --no-install-recommends chromium"]
        )
    for installer in installers:
        if find():
            return 0
        print("Installing Chromium:", *installer, file=sys.stderr)
        quiet = subprocess.DEVNULL
        subprocess.run(installer, stdin=quiet, stdout=quiet, stderr=quiet, check=False)
    if not find():
        print("Chromium could not be installed; the tests that need a browser will be skipped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
