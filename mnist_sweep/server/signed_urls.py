"""Addresses for file contents. A signature lets each be used without a key, for one method and one row, for a day.

The client uploads and downloads without credentials, as it does with W&B's object store.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from mnist_sweep.server.store import uploads

_LIFETIME = 24 * 3600


@dataclass(frozen=True)
class SignedUrls:
    """Creates and checks addresses below `base`, the address under which the client reached this server."""

    base: str
    secret: str

    def upload(self, row: uploads.Upload) -> str:
        """Return where to PUT the contents of a row."""
        return self._link("PUT", row)

    def download(self, row: uploads.Upload) -> str:
        """Return where to GET the contents of a row."""
        return self._link("GET", row)

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

    def _link(self, method: str, row: uploads.Upload) -> str:
        kind, identity = uploads.kind_of(row), uploads.identity(row)
        expires = int(time.time()) + _LIFETIME
        signature = self._sign(method, kind, row.id, identity, expires)
        query = urlencode({"row": identity, "expires": expires, "signature": signature})
        return f"{self.base}/storage/{kind}/{row.id}/{quote(row.name, safe='')}?{query}"

    def _sign(self, method: str, kind: str, key: int, identity: str, expires: int) -> str:
        message = f"{method} {kind} {key} {identity} {expires}".encode()
        return hmac.new(self.secret.encode(), message, hashlib.sha256).hexdigest()
