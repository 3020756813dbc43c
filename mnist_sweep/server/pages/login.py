"""The page on which a browser gives the key once, and the one to which `wandb login` sends people for it."""

from urllib.parse import parse_qs

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from mnist_sweep.server import http
from mnist_sweep.server.auth import Keys

_FORM_LIMIT = 10_000
_AGAIN = '<!doctype html><meta http-equiv="refresh" content="0"><title>mnist-sweep</title>'
"""Who followed a link from another site comes without a cookie, and has it once this page asks again."""


def routes(keys: Keys, environment: Environment, headers: dict[str, str]) -> list[Route]:
    """The routes; `headers` go with every page."""

    def page(template: str, status: int = 200, **shown: object) -> Response:
        return HTMLResponse(environment.get_template(template).render(**shown), status, headers=headers)

    async def ask(request: Request) -> Response:
        if keys.remembers(request):
            return RedirectResponse(_target(request), 303)
        if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return HTMLResponse(_AGAIN, headers=headers)
        return page("login.html", wrong=False)

    async def take(request: Request) -> Response:
        body = b"".join([piece async for piece in http.chunks(request, _FORM_LIMIT)])
        given = parse_qs(body).get(b"key", [b""])[0].strip()
        if not await keys.opens(given):
            return page("login.html", 401, wrong=True)
        answer = RedirectResponse(_target(request), 303)
        keys.remember(request, answer)
        return answer

    async def authorize(_: Request) -> Response:
        return page("authorize.html")

    return [
        Route("/login", ask, methods=["GET"]),
        Route("/login", take, methods=["POST"]),
        Route("/authorize", authorize, methods=["GET"]),
    ]


def _target(request: Request) -> str:
    """Where the browser wanted to go: an address of this server, whatever the query says."""
    to = request.query_params.get("to", "/")
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() else "/"
