"""Files and folders that nobody but their owner can read, whatever they were before."""

import os
import secrets
from pathlib import Path

_CHARACTERS = 40  # the fewest that the client takes


def folder(path: Path) -> Path:
    """Make a folder, or take it away from others."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def file(path: Path) -> Path:
    """Make an empty file, or take one away from others."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    return path


def key(path: Path) -> str:
    """The key in a file; a random one, 160 bits as 40 characters, written there first if there is none."""
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
