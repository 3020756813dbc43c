"""The data folder: where it is, and that nobody else can replace it or what is in it.

Whoever owns the folder of a server decides what the owner's agents execute. So the folder must be the user's own, and
its parents must belong to the user or to root: the owner of a parent could put another folder in its place.
"""

import os
import stat
from pathlib import Path

from platformdirs import user_data_path

FOLDER_VARIABLE = "MNIST_SWEEP_SERVER"
"""Environment: the data folder."""


class UnsafeFolderError(OSError):
    """A folder that another user controls; `strerror` is for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(0, reason)


def data_folder() -> Path:
    """Return the folder that MNIST_SWEEP_SERVER names, else the server's folder in the user's data folder."""
    return Path(os.environ.get(FOLDER_VARIABLE) or user_data_path("mnist-sweep", appauthor=False) / "server")


def own_folder(folder: Path) -> Path:
    """Create the folder if it is missing, and return its real path.

    Raise UnsafeFolderError if another user could replace it, and OSError if it cannot be created.
    """
    real = folder.expanduser().resolve()
    _check(real)
    real.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check(real)  # somebody may have been faster
    return real


def is_own(file: os.stat_result) -> bool:
    """Return whether a file belongs to this user."""
    return file.st_uid == os.getuid()


def _check(folder: Path) -> None:
    """Raise UnsafeFolderError if the folder, or a parent that exists, is in another user's hands."""
    for path in (folder, *folder.parents):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        allowed = (os.getuid(),) if path == folder else (os.getuid(), 0)
        advice = "use a folder of your own (MNIST_SWEEP_SERVER or --data)"
        if found.st_uid not in allowed:
            raise UnsafeFolderError(f"{path} belongs to another user (uid {found.st_uid}); {advice}")
        if path != folder and found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise UnsafeFolderError(f"every user can write to {path}; {advice}")
