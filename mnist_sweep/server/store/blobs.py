"""File contents on disk, each under the SHA-256 of its bytes.

No name that a client chose ever becomes a path: names live in the database, contents live here.
"""

import base64
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from mnist_sweep.server.errors import NotFound, StoreError

_FOLDER = re.compile(r"[0-9a-f]{2}")
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Blob:
    """Contents that are on disk and synced."""

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

    def path(self, key: str | None) -> Path:
        """Return where the contents with this key are. Raise NotFound for a row without contents, whose key is None."""
        if key is None:
            raise NotFound("no such file")
        return self._folder / key[:2] / key

    def receive(self) -> "Upload":
        """Begin to receive contents: `with blobs.receive() as upload: upload.write(...); blob = upload.keep()`."""
        try:
            return Upload(self)
        except FileNotFoundError:
            raise StoreError(f"{self._incoming} is gone; put the data folder back, or restart the server") from None

    def any(self) -> bool:
        """Whether there are any contents."""
        return next(self._contents(), None) is not None

    def keep_only(self, used: set[str]) -> None:
        """Remove half-received contents and those that no row names any more. Call it only before serving.

        Files that are not the server's own, by their names, stay: the folder may have been somebody else's before.
        """
        for path in self._incoming.glob("tmp*"):
            if path.is_file():
                path.unlink()
        for path in self._contents():
            if path.name not in used:
                path.unlink()

    def _contents(self) -> Iterator[Path]:
        for folder in self._folder.iterdir():
            if _FOLDER.fullmatch(folder.name) and folder.is_dir():
                for path in folder.iterdir():
                    if _KEY.fullmatch(path.name) and path.name.startswith(folder.name) and path.is_file():
                        yield path


class Upload:
    """Contents that are being received; they get their final name on disk once they are complete."""

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
        """Sync the contents to disk, give them their final name, and return what they are."""
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
    """Make a rename in this folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
