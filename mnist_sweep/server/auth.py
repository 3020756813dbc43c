"""Who is let in: whoever has the data folder's key, and no page of another site.

A client sends the key with HTTP Basic (user `api`, as wandb does) or as a bearer token. A browser is asked for it by
the login page and gets a cookie, which opens the pages and their buttons, never what clients talk to. A browser does
not send either by itself on behalf of another site: the cookie is `SameSite=Strict`, and whatever else comes from
another origin is refused.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mnist_sweep.server.http import navigates, refusal

PAUSE = 0.5
"""Seconds that a wrong key waits for its answer; one waits after the other."""
_COOKIE_DAYS = 30
_OPEN = ("/healthz", "/login", "/authorize", "/-/", "/storage/", "/sdk/")
"""Beginnings of addresses that need no key; those below /storage are signed.

Below /sdk there is nothing: clients ask there, without a key, whether a server wants their telemetry, and take every
answer but 404 and 405 for a yes.
"""
_CLIENTS = ("/graphql", "/files/", "/artifacts/", "/artifactsV2/")
"""Beginnings of addresses that no browser has to do with: the key itself is needed."""


class Keys:
    """Knows the key, and what a browser has instead."""

    def __init__(self, key: str, secret: str) -> None:
        self._key = key.encode()
        self._cookie = hmac.new(secret.encode(), b"browser " + self._key, hashlib.sha256).hexdigest()
        self._name = "mnist-sweep-" + hashlib.sha256(secret.encode()).hexdigest()[:8]
        self._turn = asyncio.Lock()

    async def opens(self, given: bytes) -> bool:
        """Whether that is the key. Wrong ones wait for this answer, one after the other; the right one never does."""
        if hmac.compare_digest(given, self._key):
            return True
        async with self._turn:
            await asyncio.sleep(PAUSE)
        return False

    def remembers(self, request: Request) -> bool:
        """Whether a browser has the cookie."""
        return hmac.compare_digest(request.cookies.get(self._name, "").encode(), self._cookie.encode())

    def remember(self, request: Request, answer: Response) -> None:
        """Give a browser the cookie."""
        seconds, secure = _COOKIE_DAYS * 24 * 3600, request.url.scheme == "https"
        answer.set_cookie(self._name, self._cookie, max_age=seconds, httponly=True, samesite="strict", secure=secure)


class Gate:
    """Lets in, or answers in the application's place."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(Request(scope)) if scope["type"] == "http" else None
        await (answer or self._app)(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        path = request.url.path
        if _foreign(request):
            return refusal(403, "requests from pages of other sites are refused; open a page of this server")
        if path.startswith(_OPEN):
            return None
        given = _given(request.headers.get("authorization", ""))
        if given is not None:
            return None if await self._keys.opens(given) else refusal(401, "the API key is not this server's")
        if not path.startswith(_CLIENTS):
            if self._keys.remembers(request):
                return None
            if navigates(request):
                wanted = f"{path}?{request.url.query}" if request.url.query else path
                return RedirectResponse(f"/login?to={quote(wanted)}", 303)
        return refusal(401, "the API key is missing: user api, the key as the password")


def _foreign(request: Request) -> bool:
    """Whether a browser says that a page of another origin is behind a request. Following a link is no harm."""
    site = request.headers.get("sec-fetch-site", "none")
    link = request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
    if site not in ("same-origin", "none") and not link:
        return True
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def _given(authorization: str) -> bytes | None:
    """The key in an `Authorization` header; empty where it is of no use, None where there is none."""
    scheme, _, value = authorization.partition(" ")
    if not scheme:
        return None
    if scheme.lower() == "bearer":
        return value.encode()
    try:
        return base64.b64decode(value, validate=True).partition(b":")[2] if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""
