"""Install other versions of the `wandb` client for `make conformance`, each in its own virtual environment.

    python -m scripts.clients 0.28.2

This prints the folder of the version's programs. pip installs each version once, in the user's cache.
"""

import subprocess
import sys
import venv
from pathlib import Path

import platformdirs
from filelock import FileLock

OTHER_PACKAGES = ("numpy", "optuna", "pillow", "wandb-workspaces>=0.2")
"""Packages that the tests' programs need in addition to the client."""


class Unavailable(Exception):
    """pip could not install a version of the client. The message is one line."""


def programs(version: str) -> Path:
    """Return the folder with `python` and `wandb` of a version of the client. Install it if necessary.

    Raises:
        Unavailable: pip could not install the version.
    """
    folder = platformdirs.user_cache_path("mnist-sweep") / "clients" / f"wandb-{version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    binaries = folder / ("Scripts" if sys.platform == "win32" else "bin")
    done = folder / ".done"
    with FileLock(f"{folder}.lock"):
        wanted = " ".join((f"wandb=={version}", *OTHER_PACKAGES))
        if not done.exists() or done.read_text() != wanted:
            venv.create(folder, clear=True, with_pip=True)
            pip = [str(binaries / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            installed = subprocess.run([*pip, *wanted.split()], capture_output=True, text=True)
            if installed.returncode != 0:
                reason = (installed.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise Unavailable(f"pip could not install wandb {version}: {reason}")
            done.write_text(wanted)
    return binaries


if __name__ == "__main__":
    try:
        print(programs(sys.argv[1]))
    except Unavailable as error:
        sys.exit(str(error))
