"""Decide which requests are answered: those with the data folder's key, and none from pages of other sites.

The route that a request matches decides what the request must bring (`Access`). A client sends the key with HTTP Basic
(user `api`, as wandb does) or as a bearer token. A browser logs in once, with the key or with a login link, and gets a
cookie. The cookie opens pages, their buttons and downloads, but nothing that changes what agents execute: a sweep
created on a page runs only where somebody starts an agent for it. A browser sends neither on behalf of another site:
the cookie is `SameSite=Strict`, and requests of other origins are refused.
"""

import asyncio
import base64
import binascii
import enum
import hashlib
import hmac
import secrets
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mnist_sweep.server.http import navigates, refusal
from mnist_sweep.server.process import launch
from mnist_sweep.server.store import Store, sessions

PAUSE = 0.5
"""Seconds until a wrong key is answered; wrong keys are answered one after the other."""
SESSION_DAYS = 30


class Access(enum.Enum):
    """What a request must bring."""

    OPEN = enum.auto()
    """Nothing."""
    LOGIN = enum.auto()
    """The key, or the cookie of a browser that has logged in."""
    KEY = enum.auto()
    """The key itself."""


class OpenRoute(Route):
    """A route that needs no key, such as the login page."""

    access = Access.OPEN


class KeyRoute(Route):
    """A route for clients, which no browser uses."""

    access = Access.KEY


class Keys:
    """The key of a server, and the browsers that have logged in with it.

    Args:
        store: keeps the sessions, so that browsers stay logged in when the server restarts.
        key: the key. With another key, all sessions and login links end.
        login_secret: what login links are made from (`launch.login_link`); None accepts no links.
    """

    def __init__(self, store: Store, key: str, login_secret: str | None = None) -> None:
        self._store = store
        self._key = key.encode()
        self._secret = derived_secret(store.secret, key, "sessions").encode()
        self._cookie = "mnist-sweep-" + hashlib.sha256(store.secret.encode()).hexdigest()[:8]
        self._login_secret = login_secret
        self._used_links: set[str] = set()
        self._turn = asyncio.Lock()

    async def is_key(self, given: bytes) -> bool:
        """Return whether this is the key. Delay the answer to wrong ones; the right one never waits."""
        if hmac.compare_digest(given, self._key):
            return True
        async with self._turn:
            await asyncio.sleep(PAUSE)
        return False

    def use_link(self, token: str) -> bool:
        """Return whether a login link is good, and make it useless for the next time."""
        nonce, _, signature = token.partition(".")
        if self._login_secret is None or nonce in self._used_links:
            return False
        if not hmac.compare_digest(launch.proof(self._login_secret, nonce).encode(), signature.encode()):
            return False
        self._used_links.add(nonce)
        return True

    async def logged_in(self, request: Request) -> bool:
        """Return whether the browser has the cookie of a session that has not ended."""
        cookie = request.cookies.get(self._cookie)
        return cookie is not None and await self._store.reading(lambda db: sessions.lasts(db, self._digest(cookie)))

    async def log_in(self, request: Request, answer: Response) -> None:
        """Begin a session and give its cookie to the browser."""
        cookie, seconds = secrets.token_urlsafe(32), SESSION_DAYS * 24 * 3600
        await self._store.writing(lambda db: sessions.begin(db, self._digest(cookie), seconds))
        secure = request.url.scheme == "https"
        answer.set_cookie(self._cookie, cookie, max_age=seconds, httponly=True, samesite="strict", secure=secure)

    async def log_out(self, request: Request, answer: Response) -> None:
        """End the browser's session. Other browsers stay logged in."""
        if (cookie := request.cookies.get(self._cookie)) is not None:
            await self._store.writing(lambda db: sessions.end(db, self._digest(cookie)))
        answer.delete_cookie(self._cookie, httponly=True, samesite="strict")

    def _digest(self, cookie: str) -> str:
        return hmac.new(self._secret, cookie.encode(errors="replace"), hashlib.sha256).hexdigest()


def derived_secret(secret: str, key: str, purpose: str) -> str:
    """Return a secret for one purpose that changes with the folder's secret and with the key."""
    return hmac.new(secret.encode(), f"{purpose} {key}".encode(), hashlib.sha256).hexdigest()


class Gate:
    """Middleware that answers what may not reach the application."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._refuse(Request(scope)) if scope["type"] == "http" else None
        await (answer or self._app)(scope, receive, send)

    async def _refuse(self, request: Request) -> Response | None:
        """Return the answer to a request that may not pass; None if it may."""
        if _foreign(request):
            return refusal(403, "requests from pages of other sites are refused; open a page of this server")
        access = required_access(request.app.router.routes, request.scope)
        if access is Access.OPEN:
            return None
        given = _given_key(request.headers.get("authorization", ""))
        if given is not None:
            return None if await self._keys.is_key(given) else refusal(401, "the API key is not this server's")
        if access is Access.LOGIN:
            if await self._keys.logged_in(request):
                return None
            if navigates(request):
                # not request.url: it is built from the Host header, which the sender chooses
                query = request.scope["query_string"].decode("latin-1")
                address = quote(request.scope["path"]) + (f"?{query}" if query else "")
                return RedirectResponse(f"/login?to={quote(address)}", 303)
        return refusal(401, "the API key is missing: user api, the key as the password")


def required_access(routes: list[BaseRoute], scope: Scope) -> Access:
    """Return what the route that will handle a request asks for; a login if the route says nothing or there is none.

    The router takes the first route that matches address and method, else the first that matches the address.
    """
    matches = [(route, route.matches(scope)[0]) for route in routes]
    handling = [route for wanted in (Match.FULL, Match.PARTIAL) for route, match in matches if match is wanted]
    access = getattr(handling[0], "access", Access.LOGIN) if handling else Access.LOGIN
    assert isinstance(access, Access)
    return access


def _foreign(request: Request) -> bool:
    """Return whether a page of another origin is behind a request. Following a link is allowed."""
    site = request.headers.get("sec-fetch-site", "none")
    link = request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
    if site not in ("same-origin", "none") and not link:
        return True
    origin = request.headers.get("origin")
    try:
        return origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    except ValueError:  # `http://[` is no address
        return True


def _given_key(authorization: str) -> bytes | None:
    """Return the key in an `Authorization` header: empty if it is malformed, None if there is no header."""
    scheme, _, value = authorization.partition(" ")
    if not scheme:
        return None
    if scheme.lower() == "bearer":
        return value.encode()
    try:
        return base64.b64decode(value, validate=True).partition(b":")[2] if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""
