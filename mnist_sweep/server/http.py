"""Read requests and write answers: limited bodies, JSON, and errors with a reason."""

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
    """Return an error in the form that clients read."""
    return Json({"error": reason, "errors": [{"message": reason}]}, status)


def navigates(request: Request) -> bool:
    """Return whether a person in front of a browser will see the answer."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


async def chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Yield the body in pieces, unpacked if it is gzip, up to `limit` bytes.

    Raises:
        HTTPException: 413 if it is larger, 400 if it ends early or is not what its headers say, 415 if its encoding is
            unknown.
    """
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise HTTPException(415, f"content-encoding {encoding[:50]!r} is unknown; use gzip or none")
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


async def json_body(request: Request) -> Any:
    """Return the body, parsed as JSON.

    Raises:
        HTTPException: as `chunks`; 415 if it is not declared as JSON, which a form of another site cannot do; 400 if it
            is no JSON.
    """
    said = request.headers.get("content-type", "nothing")
    if said.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, f"the request must say that it is application/json, not {said[:50]}")
    data = b"".join([piece async for piece in chunks(request, BODY_LIMIT)])
    try:
        return wire_json.loads(data)
    except ValueError as error:
        raise HTTPException(400, f"the request is not JSON: {error}") from None
