"""Addresses for file contents. A signature lets each be used without a key, for one method and one row, for a day.

The client uploads and downloads without credentials, as it does with W&B's object store.
"""

import hashlib
import hmac
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from mnist_sweep.server.store import uploads

_LIFETIME = 24 * 3600


@dataclass(frozen=True)
class SignedUrls:
    """Creates and checks addresses below `base`, the address under which the client reached this server."""

    base: str
    secret: str

    def upload(self, kind: str, row: sqlite3.Row | Mapping[str, Any]) -> str:
        """Return where to PUT the contents of a row of this kind (`uploads.KINDS`)."""
        return self._link("PUT", kind, row)

    def download(self, kind: str, row: sqlite3.Row | Mapping[str, Any]) -> str:
        """Return where to GET the contents of a row of this kind."""
        return self._link("GET", kind, row)

    def valid(self, method: str, kind: str, key: int, identity: str, expires: str, signature: str) -> bool:
        """Return whether this server created an address for this method and row, and it has not expired.

        Whether the row still has this identity is for `uploads` to check.
        """
        return (
            expires.isascii()
            and expires.isdigit()
            and len(expires) < 12
            and int(expires) > time.time()
            and hmac.compare_digest(self._sign(method, kind, key, identity, int(expires)).encode(), signature.encode())
        )

    def _link(self, method: str, kind: str, row: sqlite3.Row | Mapping[str, Any]) -> str:
        key, identity = row["id"], uploads.identity(kind, row)
        expires = int(time.time()) + _LIFETIME
        signature = self._sign(method, kind, key, identity, expires)
        query = urlencode({"row": identity, "expires": expires, "signature": signature})
        return f"{self.base}/storage/{kind}/{key}/{quote(row['name'], safe='')}?{query}"

    def _sign(self, method: str, kind: str, key: int, identity: str, expires: int) -> str:
        message = f"{method} {kind} {key} {identity} {expires}".encode()
        return hmac.new(self.secret.encode(), message, hashlib.sha256).hexdigest()
