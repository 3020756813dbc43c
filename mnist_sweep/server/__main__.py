"""Start the server: `python -m mnist_sweep.server --port 8080 --data DIR`.

Then, in another terminal:

    eval "$(python -m mnist_sweep.server --data DIR --env)"     # its address and its key
    wandb sweep sweeps/smoke.yaml

While it serves, `server.json` in the data folder holds `url`, `pid` and `key`, for the owner of the folder.
"""

import argparse
import asyncio
import ipaddress
import logging
import os
import secrets
import shlex
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path

import anyio.to_thread
import uvicorn
from filelock import FileLock, Timeout
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mnist_sweep.server.app import LOOPBACK_NAMES, create_app
from mnist_sweep.server.auth import OpenRoute
from mnist_sweep.server.process import certificate, launch, shared_server
from mnist_sweep.server.store import Store, StoreError, permissions

KEY_VARIABLE = "MNIST_SWEEP_SERVER_KEY"
OK, FAILED, ALREADY_SERVED = 0, 1, 3
DEFAULT_PORT = 8080
SHORTEST_KEY = 40
"""Characters; the client refuses fewer by itself."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m mnist_sweep.server", description="The local W&B server.", allow_abbrev=False
    )
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    made.add_argument(
        "--port", type=int, help=f"TCP port, 0 for a free one ({DEFAULT_PORT}, if that is taken a free one)"
    )
    made.add_argument("--data", type=Path, default=launch.data_folder(), help="folder for everything (%(default)s)")
    made.add_argument(
        "--key-file", type=Path, metavar="FILE",
        help=f"take the key from here, at least {SHORTEST_KEY} characters; also environment {KEY_VARIABLE} (without"
        " either it is the data folder's own, random one)",
    )  # fmt: skip
    made.add_argument("--certificate", type=Path, metavar="FILE", help="serve TLS with this certificate (chain), PEM")
    made.add_argument("--private-key", type=Path, metavar="FILE", help="the certificate's private key, PEM")
    made.add_argument("--self-signed", action="store_true", help="serve TLS with a pair made for this data folder")
    made.add_argument("--while-used", action="store_true", help="end when no program of ours uses the folder any more")
    made.add_argument("--env", action="store_true", help="say how to reach the server that runs, for a shell's eval")
    made.add_argument("--entity", default="local", help="whose runs are meant where none is named")
    made.add_argument(
        "--crash-after", type=float, default=300.0, metavar="SECONDS",
        help="silence after which a running run counts as crashed (default %(default)g)",
    )  # fmt: skip
    return made


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    args = parser().parse_args(argv)
    if args.env:
        return _tell(args.data)
    try:
        key = _key(args.key_file)
    except (OSError, ValueError) as error:
        return _say(f"cannot use the key: {error}", FAILED)
    if args.crash_after <= 0:
        return _say(f"--crash-after must be over 0, not {args.crash_after:g}", FAILED)
    if (args.certificate is None) != (args.private_key is None) or (args.certificate and args.self_signed):
        return _say("TLS needs --certificate and --private-key, or --self-signed alone", FAILED)
    os.umask(0o077)
    try:
        permissions.folder(args.data)
        lock = FileLock(args.data / "server.lock")
        lock.acquire(timeout=0)
    except Timeout:
        return _say(f"{args.data} is already served at {_served_at(args.data)}", ALREADY_SERVED)
    except OSError as error:
        return _say(f"cannot use the data folder {args.data}: {error.strerror}", FAILED)
    with lock:
        try:
            pair = _pair(args)
        except OSError as error:
            return _say(f"cannot serve TLS with {args.certificate}: {error.strerror or error}", FAILED)
        try:
            return _serve(args, key, pair)
        except StoreError as error:
            return _say(str(error), FAILED)
        except OSError as error:
            where = args.host if args.port is None else f"{args.host}:{args.port}"
            return _say(f"cannot listen on {where}: {error.strerror}", FAILED)


def _pair(args: argparse.Namespace) -> tuple[Path, Path] | None:
    """The certificate and private key to serve with; None without TLS. Raises OSError where they are of no use."""
    if args.self_signed:
        return certificate.own_pair(args.data, certificate.reachable_as(args.host))
    if args.certificate is None:
        return None
    certificate.check(args.certificate, args.private_key)
    return args.certificate, args.private_key


def _serve(args: argparse.Namespace, key: str | None, pair: tuple[Path, Path] | None) -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    listener = _listen(args.host, args.port)
    store = Store(args.data)
    key = key or store.key
    hosts = [*LOOPBACK_NAMES, args.host] if _loopback(args.host) else ["*"]
    login_secret = secrets.token_hex(20)
    app = create_app(
        store, key=key, hosts=hosts, login_secret=login_secret, entity=args.entity, crash_after=args.crash_after
    )
    app.router.routes.insert(0, OpenRoute(launch.PROOF_PATH, partial(_prove, key), methods=["GET"]))
    host = certificate.reachable_as(args.host)[0]
    url = f"http{'s' if pair else ''}://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
    if pair:
        config.ssl_certfile, config.ssl_keyfile = pair
    trust = str(certificate.trusted(args.data.absolute(), pair[0])) if pair else ""
    server = _Server(config, args.data, launch.Facts(url, os.getpid(), key, args.while_used, trust, login_secret))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn shuts down on these, then raises them once more
    try:
        asyncio.run(server.serve(sockets=[listener]))
    finally:
        launch.withdraw(args.data)
        store.close()
    return OK


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, data: Path, facts: launch.Facts) -> None:
        super().__init__(config)
        self._data, self._facts = data, facts

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        launch.announce(self._data, self._facts)
        print(f"W&B server at {self._facts.url}, data in {self._data}", flush=True)
        print(f"  {_exports(self._facts)}", flush=True)

    async def on_tick(self, counter: int) -> bool:
        """Also look, twice a second, whether a shared server has users left."""
        ended = await super().on_tick(counter)
        if ended or not self._facts.shared or counter % 5:
            return ended
        return await anyio.to_thread.run_sync(shared_server.close, self._data)


async def _prove(key: str, request: Request) -> Response:
    """Answer who asks whether this is the server of a data folder whose key they know."""
    return PlainTextResponse(launch.proof(key, request.query_params.get("nonce", "")))


def _exports(facts: launch.Facts) -> str:
    return f"export {' '.join(f'{name}={shlex.quote(value)}' for name, value in facts.variables.items())}"


def _tell(data: Path) -> int:
    """Print how to reach the server of a folder; one that was started a moment ago is waited for."""
    deadline = time.monotonic() + launch.START_SECONDS
    while (facts := launch.announced(data)) is None or not launch.proves(facts):
        if time.monotonic() > deadline:
            return _say(f"nothing serves {data}; start `mnist-sweep server` first", FAILED)
        time.sleep(0.05)
    print(_exports(facts))
    return OK


def _key(file: Path | None) -> str | None:
    """The key that was given by a file or by the environment; None without either. Raises OSError and ValueError."""
    key = os.environ.get(KEY_VARIABLE) if file is None else file.read_text().strip()
    if key is not None and (len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable()):
        raise ValueError(f"it has {len(key)} characters; the client insists on at least {SHORTEST_KEY} of ASCII")
    return key


def _listen(host: str, port: int | None) -> socket.socket:
    """A listening socket; with no port asked for, the usual one if it can be had."""
    if port is None:
        try:
            return _listen(host, DEFAULT_PORT)
        except OSError:
            return _listen(host, 0)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small answers at once only where a socket names its protocol; else each waits 40 ms for the client
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":  # there it would share a port that is taken
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except OverflowError as error:
        raise OSError(0, str(error)) from None
    except OSError:
        listener.close()
        raise
    return listener


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _served_at(data: Path) -> str:
    facts = launch.announced(data)
    return facts.url if facts else "an address it has not told yet"


def _say(text: str, code: int) -> int:
    print(f"mnist-sweep server: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
