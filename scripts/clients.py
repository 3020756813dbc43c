"""Other versions of the `wandb` client, each in a virtual environment of its own, for `make conformance`.

    python -m scripts.clients 0.28.2

prints the folder of its programs. They are made with pip once, and kept in the user's cache.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import platformdirs
from filelock import FileLock

BESIDE = ("numpy", "optuna", "pillow", "wandb-workspaces>=0.2")
"""What the tests' programs need beside the client."""


class Unavailable(Exception):
    """pip could not install it; the message is one line."""


def programs(version: str) -> Path:
    """The folder with `python` and `wandb` of a version of the client.

    Raises:
        Unavailable: pip could not install it.
    """
    folder = platformdirs.user_cache_path("mnist-sweep") / "clients" / f"wandb-{version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    where = folder / ("Scripts" if sys.platform == "win32" else "bin")
    done = folder / ".done"
    with FileLock(f"{folder}.lock"):
        wanted = " ".join((f"wandb=={version}", *BESIDE))
        if not done.exists() or done.read_text() != wanted:
            venv.create(folder, clear=True, with_pip=True)
            pip = [str(where / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            installed = subprocess.run([*pip, *wanted.split()], capture_output=True, text=True)
            if installed.returncode != 0:
                reason = (installed.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise Unavailable(f"pip could not install wandb {version}: {reason}")
            done.write_text(wanted)
    return where


if __name__ == "__main__":
    try:
        print(programs(sys.argv[1]))
    except Unavailable as error:
        sys.exit(str(error))
