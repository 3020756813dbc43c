"""The pages on which a browser logs in and out, and the one to which `wandb login` sends people for the key."""

import asyncio
from urllib.parse import parse_qs

from jinja2 import Environment
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from mnist_sweep.server import http
from mnist_sweep.server.auth import Keys, OpenRoute

_FORM_LIMIT = 10_000
_FORM_SECONDS = 30
_RELOAD = '<!doctype html><meta http-equiv="refresh" content="0"><title>local W&amp;B server</title>'
"""A browser that follows a link from another site sends no cookie. It does when this page reloads itself."""
_USED_LINK = "This login link was used before, or the server has restarted since."
_WRONG_KEY = "That is not this server's key."


def routes(keys: Keys, environment: Environment, headers: dict[str, str]) -> list[Route]:
    """Return the routes; `headers` go with every page."""

    def page(template: str, status: int = 200, **context: object) -> Response:
        return HTMLResponse(environment.get_template(template).render(**context), status, headers=headers)

    async def enter(request: Request) -> Response:
        answer = RedirectResponse(_target(request), 303)
        await keys.log_in(request, answer)
        return answer

    async def show_login(request: Request) -> Response:
        if await keys.logged_in(request):
            return RedirectResponse(_target(request), 303)
        token = request.query_params.get("token")
        if token is not None:
            return await enter(request) if keys.use_link(token) else page("login.html", 401, error=_USED_LINK)
        if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return HTMLResponse(_RELOAD, headers=headers)
        return page("login.html", error=None)

    async def log_in(request: Request) -> Response:
        try:
            async with asyncio.timeout(_FORM_SECONDS):
                body = b"".join([piece async for piece in http.chunks(request, _FORM_LIMIT)])
        except TimeoutError:
            raise HTTPException(408, f"the form did not arrive within {_FORM_SECONDS} s") from None
        given = parse_qs(body).get(b"key", [b""])[0].strip()
        return await enter(request) if await keys.is_key(given) else page("login.html", 401, error=_WRONG_KEY)

    async def log_out(request: Request) -> Response:
        answer = RedirectResponse("/login", 303)
        await keys.log_out(request, answer)
        return answer

    async def authorize(_: Request) -> Response:
        return page("authorize.html")

    return [
        OpenRoute("/login", show_login, methods=["GET"]),
        OpenRoute("/login", log_in, methods=["POST"]),
        OpenRoute("/logout", log_out, methods=["POST"]),
        OpenRoute("/authorize", authorize, methods=["GET"]),
    ]


def _target(request: Request) -> str:
    """Return where the browser wanted to go: an address of this server, whatever the query says."""
    to = request.query_params.get("to", "/")
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() else "/"
