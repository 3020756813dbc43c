"""The server as an ASGI application: `create_app(store)`."""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import anyio.to_thread
from graphql import ExecutionResult, GraphQLError
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from mnist_sweep.protocol import TASK_HEADER
from mnist_sweep.server import filestream, gql, http, lookup
from mnist_sweep.server.auth import Gate, KeyRoute, Keys, OpenRoute, derived_secret
from mnist_sweep.server.errors import BadRequest, NotFound, StoreError, classify
from mnist_sweep.server.http import Json, refusal
from mnist_sweep.server.pages import routes as pages
from mnist_sweep.server.signed_urls import SignedUrls
from mnist_sweep.server.store import Store, artifacts, clock, files, uploads
from mnist_sweep.server.store.rows import Run
from mnist_sweep.server.sweeps import leases
from mnist_sweep.server.sweeps.dispatcher import Dispatcher
from mnist_sweep.server.sweeps.silence import SilenceWatch

_log = logging.getLogger("mnist_sweep.server")
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_THREADS = 64


def create_app(
    store: Store,
    *,
    key: str | None = None,
    hosts: Sequence[str] = LOOPBACK_NAMES,
    login_secret: str | None = None,
    entity: str = "local",
    crash_after: float = 300.0,
    upload_limit: int = 20 * 1024**3,
) -> Starlette:
    """Create the application for one data folder.

    Args:
        store: the data folder.
        key: the key that clients must send; None takes the store's own.
        hosts: names that requests may use for this server; ["*"] allows all. On loopback, the list prevents web pages
            from reaching the server through a name of their own.
        login_secret: what login links are made from; None accepts no links.
        entity: the entity of requests that name none.
        crash_after: seconds of silence after which a running run counts as crashed.
        upload_limit: size of the largest file, in bytes.
    """
    key = key or store.key
    link_secret = derived_secret(store.secret, key, "links")
    api = ClientApi(store, entity, crash_after, upload_limit, link_secret)
    keys = Keys(store, key, login_secret)
    templates = pages.environment()
    answer: Any = _error_handler(partial(pages.refusal, templates))
    return Starlette(
        routes=[*api.routes(), *pages.routes(store, keys, api.dispatcher, templates, SignedUrls("", link_secret))],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
            Middleware(Gate, keys=keys),
            # Starlette's own handler of unexpected errors closes the connection after its answer; this one does not
            Middleware(ExceptionMiddleware, handlers={Exception: answer}),
        ],
        exception_handlers={HTTPException: answer, Exception: answer},
        lifespan=api.lifespan,
    )


class ClientApi:
    """The endpoints for clients."""

    def __init__(self, store: Store, entity: str, crash_after: float, upload_limit: int, link_secret: str) -> None:
        self._store = store
        self._link_secret = link_secret
        self.dispatcher = Dispatcher(store)
        self._entity = entity
        self._crash_after = crash_after
        self._upload_limit = upload_limit

    def routes(self) -> list[BaseRoute]:
        return [
            OpenRoute("/healthz", self.health, methods=["GET"]),
            OpenRoute("/sdk/otel/v1/{signal}", _no_telemetry, methods=["POST"]),
            KeyRoute("/graphql", self.graphql, methods=["POST"]),
            KeyRoute("/files/{entity}/{project}/{run}/file_stream", self.file_stream, methods=["POST"]),
            Route("/files/{entity}/{project}/{run}/{name:path}", self.run_file, methods=["GET"]),
            Route("/artifacts/{entity}/{digest:md5}", self.artifact_file, methods=["GET"]),
            *(
                Route("/artifactsV2/{region}/{entity}/" + rest, self.artifact_file, methods=["GET"])
                for rest in ("{where:path}/{digest:md5}/{name}", "{artifact}/{digest:md5}")  # the latter: client 0.28.0
            ),
            OpenRoute("/storage/{kind}/{key:int}/{name:path}", self.storage, methods=["GET", "PUT", "OPTIONS"]),
        ]

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        watch = asyncio.create_task(self._watch())
        yield
        watch.cancel()
        self.dispatcher.close()

    async def _watch(self) -> None:
        """Look for runs that fell silent while the server listened."""
        pause = min(5.0, self._crash_after / 4)
        watch = SilenceWatch(self._crash_after, pause)
        while True:
            wall, monotonic = clock.wall(), time.monotonic()
            silent_since = watch.tick(wall, monotonic)
            try:
                await anyio.to_thread.run_sync(self.dispatcher.give_up_silent, wall, silent_since)
            except StoreError as error:
                _log.error("%s", error)
            except Exception:  # a bug must not end the watch, without which no lost run is ever given up
                _log.exception("unexpected error while looking for silent runs")
            await asyncio.sleep(pause)

    async def health(self, request: Request) -> Response:
        """Answer 507 with the reason if a write has failed and another one would fail, too."""
        app = request.app.state
        if getattr(app, "refused", False):
            reason = await anyio.to_thread.run_sync(self._store.why_unwritable)
            if reason:
                return PlainTextResponse(reason, 507)
            app.refused = False
        return PlainTextResponse("ok")

    # GraphQL

    async def graphql(self, request: Request) -> Response:
        body = await http.json_body(request)
        query = body.get("query") if isinstance(body, dict) else None
        variables = body.get("variables") or {} if isinstance(body, dict) else None
        operation = body.get("operationName") or None if isinstance(body, dict) else None
        if not isinstance(query, str) or not isinstance(variables, dict) or not isinstance(operation, str | None):
            raise HTTPException(400, "a GraphQL request is a JSON object with query and variables")
        links = SignedUrls(str(request.base_url).rstrip("/"), self._link_secret)
        caller = request.headers.get(TASK_HEADER)
        result = await anyio.to_thread.run_sync(self._execute, query, variables, operation, links, caller)
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [_describe(error) for error in result.errors]
        return Json(answer)

    def _execute(
        self, query: str, variables: dict[str, Any], operation: str | None, links: SignedUrls, caller: str | None
    ) -> ExecutionResult:
        def run(db: sqlite3.Connection | None) -> ExecutionResult:
            context = gql.Context(self._store, links, self.dispatcher, self._entity, caller, db)
            result = gql.execute(query, variables, operation, context)
            for error in result.errors or ():
                if error.original_error and not isinstance(error.original_error, _REFUSALS):
                    raise error.original_error
            return result

        kind = gql.transaction(query, operation)
        if kind == "read":
            with self._store.read() as db:
                return run(db)
        if kind == "own":
            result = run(None)
            for error in result.errors or ():
                if isinstance(error.original_error, NotFound):
                    raise error.original_error
            return result
        try:
            with self._store.write() as db:
                result = run(db)
                if result.errors:
                    raise _Undo(result)
                return result
        except _Undo as undo:
            return undo.result

    # The file stream

    async def file_stream(self, request: Request) -> Response:
        body = await http.json_body(request)
        return Json(await anyio.to_thread.run_sync(self._stream, request, body))

    def _stream(self, request: Request, body: Any) -> dict[str, Any]:
        with self._store.write() as db:
            run = lookup.run(db, request)
            if not leases.may_write(request.headers.get(TASK_HEADER), run.holder, bool(run.lease_revoked)):
                return {"exitcode": None, "limits": {}, "stopped": True}
            filestream.apply(db, self.dispatcher, run, body)
        if run.sweep_id is not None:
            self.dispatcher.stop_early(run.sweep_id)
        with self._store.read() as db:
            stopped = bool(Run.by_id(db, run.id).stop_requested)
        return {"exitcode": None, "limits": {}, "stopped": stopped}

    # Files

    async def run_file(self, request: Request) -> Response:
        """Send a run's file by its name, to people and to clients that have no signed address."""
        name = request.path_params["name"]
        return self._send(await self._store.reading(lambda db: files.find(db, lookup.run(db, request).id, name)))

    async def artifact_file(self, request: Request) -> Response:
        """Send an artifact's file by its MD5 in hexadecimal, to clients that have no signed address."""
        entity, digest = request.path_params["entity"], request.path_params["digest"]
        return self._send(await self._store.reading(lambda db: artifacts.file_by_digest(db, entity, digest)))

    async def storage(self, request: Request) -> Response:
        """Receive (PUT) or send (GET) contents under a signed address."""
        kind, key = request.path_params["kind"], request.path_params["key"]
        if kind not in uploads.KINDS or key >= 2**63:
            raise HTTPException(404, "no such file")
        origin = str(request.base_url).rstrip("/")
        headers = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        if request.method == "OPTIONS":
            return Response(headers={**headers, "Access-Control-Allow-Methods": "GET, PUT"})
        method = "PUT" if request.method == "PUT" else "GET"
        identity = request.query_params.get("row", "")
        expires, signature = (request.query_params.get(name, "") for name in ("expires", "signature"))
        if not SignedUrls("", self._link_secret).valid(method, kind, key, identity, expires, signature):
            raise HTTPException(403, "this address is invalid or has expired; ask the server for a new one")
        if method == "PUT":
            await self._receive(request, kind, key, identity)
            return Response(headers=headers)
        return self._send(await self._store.reading(lambda db: uploads.find(db, kind, key, identity)), headers)

    async def _receive(self, request: Request, kind: str, key: int, identity: str) -> None:
        with self._store.blobs.receive() as upload:
            async for piece in http.chunks(request, self._upload_limit):
                await anyio.to_thread.run_sync(upload.write, piece)
            blob = await anyio.to_thread.run_sync(upload.keep)
        if not await self._store.writing(lambda db: uploads.attach_blob(db, kind, key, identity, blob)):
            raise HTTPException(404, "no such file; it may have been deleted, or its artifact is committed")

    def _send(self, row: uploads.Upload | None, headers: dict[str, str] | None = None) -> Response:
        """Return the contents as a download that no browser runs or shows."""
        if row is None:
            raise HTTPException(404, "no such file")
        safe = {
            "Content-Disposition": "attachment",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        path = self._store.blobs.path(row.blob)
        return FileResponse(path, media_type="application/octet-stream", headers={**(headers or {}), **safe})


async def _no_telemetry(_: Request) -> Response:
    """Refuse what clients ask without a key: any answer but 404 and 405 would make them send telemetry."""
    raise HTTPException(404, "this server takes no telemetry")


class _Digest(StringConvertor):
    """A part of an address that is an MD5 in hexadecimal."""

    regex = "[0-9a-fA-F]{32}"


register_url_convertor("md5", _Digest())


class _Undo(Exception):
    """Carries the result of a failed mutation out of its transaction, which is rolled back."""

    def __init__(self, result: ExecutionResult) -> None:
        self.result = result


_REFUSALS = (BadRequest, NotFound, GraphQLError)
"""What a resolver raises if the request is at fault. Any other error is the server's."""


def _describe(error: GraphQLError) -> dict[str, Any]:
    return {"message": error.message[:10_000], "path": error.path}


def _error_handler(page: Callable[[int, str], Response]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return the handler that answers errors: with JSON, or with a page if a person navigates."""

    def refuse(status: int, request: Request, reason: Any) -> Response:
        return page(status, str(reason)) if http.navigates(request) else refusal(status, str(reason))

    async def answer(request: Request, error: Exception) -> Response:
        """Answer 4xx if the request is at fault, 503 or 507 if the folder or the machine is, and 500 for a bug."""
        found = classify(error)
        if isinstance(found, HTTPException):
            return refuse(found.status_code, request, found.detail)
        if isinstance(found, BadRequest):
            return refuse(400, request, found)
        if isinstance(found, NotFound):
            return refuse(404, request, found)
        if isinstance(found, StoreError):
            _log.error("%s", found)
            request.app.state.refused = True
            return refuse(found.status, request, found)
        _log.error("unexpected %s at %s", type(error).__name__, request.url.path, exc_info=error)
        return refuse(500, request, f"internal error: {type(error).__name__}")

    return answer
