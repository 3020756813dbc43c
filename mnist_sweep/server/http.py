"""Requests in, answers out: bounded bodies, JSON, and errors with a reason."""

import zlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from mnist_sweep.server import wire_json

BODY_LIMIT = 128 * 1024 * 1024


class Json(Response):
    """An answer in strict JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return wire_json.dumps(content).encode()


def refusal(status: int, reason: str) -> Json:
    """An error as clients read it."""
    return Json({"error": reason, "errors": [{"message": reason}]}, status)


def navigates(request: Request) -> bool:
    """Whether a person in front of a browser wants to see the answer."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


async def chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body, unpacked where it is gzip, in pieces, up to `limit` bytes.

    Raises:
        HTTPException: 413 for more, 400 for a body that ends early or is not what its headers say, 415 for another
            encoding.
    """
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise HTTPException(415, f"content-encoding {encoding[:50]!r} is not known here; use gzip or none")
    unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    size = 0
    try:
        async for piece in request.stream():
            while True:
                data = unpack.decompress(piece, 1 << 20) if unpack else piece
                size += len(data)
                if size > limit:
                    raise HTTPException(413, f"the request is larger than {limit} bytes")
                if data:
                    yield data
                if unpack is None or not unpack.unconsumed_tail:
                    break
                piece = unpack.unconsumed_tail
    except zlib.error as error:
        raise HTTPException(400, f"the request is not valid gzip: {error}") from None
    except ClientDisconnect:
        raise HTTPException(400, "the request ended before it was complete") from None
    if unpack is not None and not unpack.eof:
        raise HTTPException(400, "the request's gzip data ends early")


async def json_body(request: Request, limit: int = BODY_LIMIT) -> Any:
    """The body as JSON.

    Raises:
        HTTPException: as `chunks`, 415 for what does not say that it is JSON (a form of another site cannot), and 400
            for what is not.
    """
    said = request.headers.get("content-type", "nothing")
    if said.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, f"the request must say that it is application/json, not {said[:50]}")
    data = b"".join([piece async for piece in chunks(request, limit)])
    try:
        return wire_json.loads(data)
    except ValueError as error:
        raise HTTPException(400, f"the request is not JSON: {error}") from None
