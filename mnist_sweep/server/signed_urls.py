"""Addresses for file contents: signed, so that they need no key, and only for what they were made for.

The client uploads and downloads without credentials, as it does with W&B's object store.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass
from urllib.parse import quote, urlencode

_LIFETIME = 24 * 3600


@dataclass(frozen=True)
class SignedUrls:
    """Makes and checks addresses below `base`, the address under which the client reached this server."""

    base: str
    secret: str

    def upload(self, kind: str, key: int, name: str) -> str:
        """Where to PUT the contents of row `key`; `name` is for the reader only."""
        return self._link("PUT", kind, key, name)

    def download(self, kind: str, key: int, name: str) -> str:
        """Where to GET the contents of row `key`."""
        return self._link("GET", kind, key, name)

    def valid(self, method: str, kind: str, key: int, expires: str, signature: str) -> bool:
        """Whether an address was made here, for this method, and has not expired."""
        return (
            expires.isascii()
            and expires.isdigit()
            and len(expires) < 12
            and int(expires) > time.time()
            and hmac.compare_digest(self._sign(method, kind, key, int(expires)).encode(), signature.encode())
        )

    def _link(self, method: str, kind: str, key: int, name: str) -> str:
        expires = int(time.time()) + _LIFETIME
        query = urlencode({"expires": expires, "signature": self._sign(method, kind, key, expires)})
        return f"{self.base}/storage/{kind}/{key}/{quote(name, safe='')}?{query}"

    def _sign(self, method: str, kind: str, key: int, expires: int) -> str:
        message = f"{method} {kind} {key} {expires}".encode()
        return hmac.new(self.secret.encode(), message, hashlib.sha256).hexdigest()
