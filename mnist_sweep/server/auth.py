"""Who may ask: HTTP Basic with the user `api` and the key as the password, as the client does."""

import base64
import binascii
import hmac

LOCAL_KEY = "local" + "0" * 35
"""A key to use where no other is set: the client insists on one, of at least 40 characters."""
_SHORTEST = 40


class Keys:
    """Checks keys: the given one, or, without one, any that a client would send.

    A server without a key must be reachable from its own machine only.
    """

    def __init__(self, key: str | None) -> None:
        self._key = key

    @property
    def required(self) -> bool:
        """Whether reading pages needs the key, too."""
        return self._key is not None

    def admit(self, authorization: str | None) -> bool:
        """Whether an `Authorization` header holds a valid key. Takes the same time for every wrong one."""
        scheme, _, value = (authorization or "").partition(" ")
        if scheme.lower() == "bearer":
            given = value.encode()
        elif scheme.lower() == "basic":
            try:
                given = base64.b64decode(value, validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                return False
        else:
            return False
        if self._key is None:
            return len(given) >= _SHORTEST
        return hmac.compare_digest(given, self._key.encode())
