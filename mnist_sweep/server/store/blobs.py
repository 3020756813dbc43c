"""File contents on disk, each under the SHA-256 of its bytes.

No name that a client chose ever becomes a path: names live in the database, contents live here.
"""

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO


@dataclass(frozen=True)
class Blob:
    """Contents that are safely on disk."""

    key: str
    """SHA-256, hexadecimal."""
    size: int
    """Bytes."""
    md5: str
    """MD5 in base64, as W&B's manifests write it."""


class Blobs:
    """A folder of contents."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Where the contents with this key are."""
        return self._folder / key[:2] / key

    def receive(self) -> "Upload":
        """Begin to take in contents: `with blobs.receive() as upload: upload.write(...); blob = upload.keep()`."""
        return Upload(self)

    def keep_only(self, used: set[str]) -> None:
        """Remove half-received contents and those that no row names any more. Only before serving."""
        for path in self._incoming.iterdir():
            path.unlink()
        for shelf in self._folder.iterdir():
            if shelf != self._incoming:
                for path in shelf.iterdir():
                    if path.name not in used:
                        path.unlink()


class Upload:
    """Contents on their way in; on disk under their final name only once complete."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0
        handle, name = tempfile.mkstemp(dir=blobs._incoming)
        self._temporary = Path(name)
        self._file: IO[bytes] = os.fdopen(handle, "wb")

    def __enter__(self) -> "Upload":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._sha256.update(chunk)
        self._md5.update(chunk)
        self._size += len(chunk)

    def keep(self) -> Blob:
        """Sync the contents to disk, give them their name, and say what they are."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        key = self._sha256.hexdigest()
        final = self._blobs.path(key)
        final.parent.mkdir(mode=0o700, exist_ok=True)
        self._temporary.replace(final)
        for folder in (final.parent, final.parent.parent):
            _sync_folder(folder)
        return Blob(key, self._size, base64.b64encode(self._md5.digest()).decode())


def _sync_folder(folder: Path) -> None:
    """Make a rename in this folder durable; Windows has no such call and does it on its own."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
