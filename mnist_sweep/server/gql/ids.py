"""Opaque ids: base64 of `Kind:number`."""

import base64
import binascii

from mnist_sweep.server.errors import BadRequest


def encode(kind: str, number: int) -> str:
    """Return the opaque id of a row: its kind and row id."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def decode(kind: str, text: str) -> int:
    """Return the row id in an opaque id of this kind. Ids from addresses may lack their padding.

    Raise BadRequest if the text is not an id of this kind.
    """
    try:
        padded = text + "=" * (-len(text) % 4)
        found, _, number = (
            base64.b64decode(padded, altchars=b"-_" if "-" in text or "_" in text else None)
            .decode("ascii")
            .partition(":")
        )
        if found == kind and number.isdigit() and len(number) < 19:
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise BadRequest(f"{text[:100]!r} is not the id of a {kind.lower()}")
