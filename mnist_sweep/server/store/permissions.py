"""Files and folders that only their owner can read, whatever their permissions were before."""

import os
import secrets
from pathlib import Path

_CHARACTERS = 40  # the fewest that the client accepts


def folder(path: Path) -> Path:
    """Create a folder if it is missing, close it to other users, and return its path."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def file(path: Path) -> Path:
    """Create an empty file if it is missing, close it to other users, and return its path."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    return path


def key(path: Path) -> str:
    """Return the key in a file. If there is none, first write a random one there: 160 bits as 40 characters."""
    try:
        if path.exists() and len(known := file(path).read_text().strip()) >= _CHARACTERS:
            return known
    except UnicodeDecodeError:
        raise OSError(0, f"the file {path.name} is not text; remove it for a new key") from None
    made = secrets.token_hex(_CHARACTERS // 2)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    file(temporary).write_text(made + "\n")
    temporary.replace(path)
    return made
