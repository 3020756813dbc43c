"""Run the server in this process, until a signal or its idle timeout ends it.

While it serves, `server.json` in the data folder tells the folder's owner where (`launch.Announcement`).
"""

import argparse
import asyncio
import logging
import math
import os
import secrets
import shlex
import signal
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mnist_sweep.server import connections
from mnist_sweep.server.app import LOOPBACK_NAMES, create_app
from mnist_sweep.server.auth import OpenRoute
from mnist_sweep.server.process import certificate, launch, shared_server
from mnist_sweep.server.process import folder as folders
from mnist_sweep.server.store import Store, StoreError

OK, FAILED, ALREADY_SERVED = 0, 1, 3
HANDOVER_SECONDS = 30.0
"""How long to wait until a temporary server has ended."""
_QUIET_SECONDS = 3.0
_LAST_RESORT_SECONDS = 10.0
"""How long a server that was told to stop waits for requests that hang."""
Pair = tuple[Path, Path]
"""A certificate and its private key."""


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it; return the exit code."""
    arguments.data = arguments.data or folders.data_folder()
    if arguments.env or arguments.login:
        return _tell(arguments.data, login=arguments.login)
    try:
        key = _given_key(arguments.key_file)
    except (OSError, ValueError) as error:
        return _report(f"cannot use the key: {error}", FAILED)
    if not arguments.host:
        return _report("--host is empty: name the address to listen on, such as 127.0.0.1", FAILED)
    for option, seconds in (("crash-after", arguments.crash_after), ("idle-timeout", arguments.idle_timeout)):
        if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
            return _report(f"--{option} must be a number over 0, not {seconds:g}", FAILED)
    if (arguments.certificate is None) != (arguments.private_key is None) or (
        arguments.certificate and arguments.self_signed
    ):
        return _report("TLS needs --certificate and --private-key, or --self-signed alone", FAILED)
    os.umask(0o077)
    try:
        arguments.data = folders.own_folder(arguments.data)
        lock = FileLock(arguments.data / "server.lock")
        _acquire(lock, arguments, key)
    except Timeout:
        found = launch.announced(arguments.data)
        where = found.url if found else "an address that it has not announced yet"
        return _report(f"{arguments.data} is already served at {where}", ALREADY_SERVED)
    except OSError as error:
        return _report(f"cannot use the data folder {arguments.data}: {error.strerror}", FAILED)
    with lock:
        try:
            pair = _pair(arguments)
        except OSError as error:
            return _report(f"cannot serve TLS with {arguments.certificate}: {error.strerror or error}", FAILED)
        try:
            return _serve(arguments, key, pair)
        except StoreError as error:
            return _report(str(error), FAILED)
        except OSError as error:
            where = arguments.host if arguments.port is None else f"{arguments.host}:{arguments.port}"
            return _report(f"cannot listen on {where}: {error.strerror}", FAILED)


def _acquire(lock: FileLock, arguments: argparse.Namespace, key: str | None) -> None:
    """Acquire the folder's lock. End a temporary server first if this one can take its place at the same address.

    Clients of the temporary server see a pause of about a second, and try again by themselves. Raise Timeout if another
    server keeps the folder.
    """
    try:
        lock.acquire(timeout=0)
    except Timeout:
        running = launch.announced(arguments.data)
        replaces = (
            running is not None
            and running.temporary
            and arguments.idle_timeout is None
            and arguments.port in (None, 0, running.port)
            and key in (None, running.key)
            and not (arguments.certificate or arguments.self_signed)
            and launch.proves(running)
        )
        if running is None or not replaces:
            raise
        print(f"This server takes the place of the temporary one at {running.url}", flush=True)
        arguments.port = running.port
        os.kill(running.pid, signal.SIGTERM)
        lock.acquire(timeout=HANDOVER_SECONDS)


def _pair(arguments: argparse.Namespace) -> Pair | None:
    """Return the certificate and private key to serve with; None without TLS. Raise OSError if they cannot be used."""
    if arguments.self_signed:
        return certificate.own_pair(arguments.data, certificate.reachable_as(arguments.host))
    if arguments.certificate is None:
        return None
    certificate.check(arguments.certificate, arguments.private_key)
    return arguments.certificate, arguments.private_key


def _serve(arguments: argparse.Namespace, key: str | None, pair: Pair | None) -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    connections.raise_descriptor_limit()
    listener = listen(arguments.host, arguments.port, _usual_ports(arguments))
    port = listener.getsockname()[1]
    store = Store(arguments.data)
    key, login_secret = key or store.key, secrets.token_hex(20)
    loopback = launch.is_loopback(arguments.host)
    if not (loopback or pair):
        _report("warning: without TLS, everybody on the network can read the key; add --self-signed", OK)
    app = create_app(
        store,
        key=key,
        hosts=[*LOOPBACK_NAMES, arguments.host] if loopback else ["*"],
        login_secret=login_secret,
        entity=arguments.entity,
        crash_after=arguments.crash_after,
    )
    app.router.routes.insert(0, OpenRoute(launch.PROOF_PATH, partial(_prove, key), methods=["GET"]))
    host = certificate.reachable_as(arguments.host)[0]
    announcement = launch.Announcement(
        url=f"http{'s' if pair else ''}://{f'[{host}]' if ':' in host else host}:{port}",
        key=key,
        folder=str(arguments.data),
        pid=os.getpid(),
        temporary=arguments.idle_timeout is not None,
        trust=str(certificate.trusted(arguments.data, pair[0])) if pair else "",
        login_secret=login_secret,
    )
    (arguments.data / "server.port").write_text(f"{port}\n")
    config = uvicorn.Config(
        app, http=connections.Protocol, log_level="warning", access_log=False, timeout_graceful_shutdown=5
    )
    if pair:
        config.ssl_certfile, config.ssl_keyfile = pair
    server = _AnnouncingServer(config, announcement, pair, arguments.idle_timeout)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn shuts down on these, then raises them once more
    try:
        asyncio.run(server.serve(sockets=[listener]))
    finally:
        launch.withdraw(arguments.data, announcement)
        store.close()
    return OK


class _AnnouncingServer(uvicorn.Server):
    """Announces itself once it listens, and ends when it has been idle for too long."""

    def __init__(
        self,
        config: uvicorn.Config,
        announcement: launch.Announcement,
        pair: Pair | None,
        idle_timeout: float | None,
    ) -> None:
        super().__init__(config)
        self._announcement, self._pair = announcement, pair
        self._idle_timeout = idle_timeout
        self._requests, self._last_request = 0, time.monotonic()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(connections.LogOnce())
        await super().startup(sockets)
        launch.announce(Path(self._announcement.folder), self._announcement)
        print(f"W&B server at {self._announcement.url}, data in {self._announcement.folder}", flush=True)
        print(f"  {_exports(self._announcement)}", flush=True)
        print(f"  Log in a browser (once): {launch.login_link(self._announcement)}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Also end if a request hangs in a thread, which nothing can cancel. Acknowledged writes are on disk."""
        last_resort = threading.Timer(_LAST_RESORT_SECONDS, self._abandon)
        last_resort.daemon = True
        last_resort.start()
        await super().shutdown(sockets)

    def _abandon(self) -> None:
        logging.error(
            "a request has not ended %g s after the server was told to stop; it is abandoned", _LAST_RESORT_SECONDS
        )
        launch.withdraw(Path(self._announcement.folder), self._announcement)
        os._exit(FAILED)

    async def on_tick(self, counter: int) -> bool:
        """Also end if idle, and restore a lost file of trusted certificates. uvicorn calls this ten times a second."""
        if counter % 10 == 0 and self._pair and not Path(self._announcement.trust).exists():
            certificate.trusted(Path(self._announcement.folder), self._pair[0])
        return await super().on_tick(counter) or self._is_idle()

    def _is_idle(self) -> bool:
        state, now = self.server_state, time.monotonic()
        if state.tasks or state.total_requests != self._requests:
            self._requests, self._last_request = state.total_requests, now
        return self._idle_timeout is not None and now - self._last_request > self._idle_timeout


async def _prove(key: str, request: Request) -> Response:
    """Prove that this server knows the key, to a program that found it in the data folder."""
    return PlainTextResponse(launch.proof(key, request.query_params.get("nonce", "")))


def _exports(announcement: launch.Announcement) -> str:
    return f"export {' '.join(f'{name}={shlex.quote(value)}' for name, value in announcement.variables.items())}"


def _tell(data: Path, *, login: bool) -> int:
    """Print how to reach the server of a folder, or a login link. Wait for a server that has just been started."""
    began, reported = time.monotonic(), False
    while (found := shared_server.find(data)) is None:
        waited = time.monotonic() - began
        if waited > launch.START_SECONDS:
            return _report(f"nothing serves {data}; start `mnist-sweep server` first", FAILED)
        if waited > _QUIET_SECONDS and not reported:
            print(f"Waiting for a server of {data} to start …", file=sys.stderr, flush=True)
            reported = True
        time.sleep(0.05)
    print(launch.login_link(found) if login else _exports(found))
    return OK


def _given_key(file: Path | None) -> str | None:
    """Return the key from a file or the environment; None without either. Raise OSError or ValueError if it is bad."""
    try:
        key = os.environ.get(launch.KEY_VARIABLE) if file is None else file.read_text("utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not text") from None
    if key is not None and (len(key) < launch.SHORTEST_KEY or not key.isascii() or not key.isprintable()):
        raise ValueError(f"it has {len(key)} characters; the client requires at least {launch.SHORTEST_KEY}, all ASCII")
    return key


def _usual_ports(arguments: argparse.Namespace) -> list[int]:
    """Return the ports to try if none is asked for.

    A folder keeps its port, so that printed links stay valid. A temporary server leaves the default port to those
    that people start: no other folder's server may take its port if it is killed.
    """
    try:
        ports = [int((arguments.data / "server.port").read_text())]
    except (OSError, ValueError):
        ports = []
    return [*ports, 0] if arguments.idle_timeout is not None else [*ports, launch.DEFAULT_PORT, 0]


def listen(host: str, port: int | None, usual: list[int]) -> socket.socket:
    """Return a socket that listens on `port`, or on the first of the usual ports that is free. Raise OSError."""
    for candidate in usual[:-1] if port is None else []:
        try:
            return _listen(host, candidate)
        except OSError:
            continue
    return _listen(host, usual[-1] if port is None else port)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm only if a socket names its protocol; else an answer may wait 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except OverflowError as error:
        raise OSError(0, str(error)) from None
    except OSError:
        listener.close()
        raise
    return listener


def _report(text: str, code: int) -> int:
    print(f"mnist-sweep server: {text}", file=sys.stderr, flush=True)
    return code
