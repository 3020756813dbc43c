"""Start the server: `python -m mnist_sweep.server --port 8080 --data DIR`.

Then, in another terminal:

    export WANDB_BASE_URL=http://127.0.0.1:8080 WANDB_API_KEY=local00000000000000000000000000000000000
    wandb sweep sweeps/smoke.yaml

While it serves, `server.json` in the data folder holds `url`, `pid` and `key`.
"""

import argparse
import asyncio
import ipaddress
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout

from mnist_sweep.server import LOCAL_KEY, Store, StoreError, create_app, launch

OK, FAILED, ALREADY_SERVED = 0, 1, 3
DEFAULT_PORT = 8080


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m mnist_sweep.server", description="The local W&B server.")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on; any but loopback needs --key")
    made.add_argument(
        "--port", type=int, help=f"TCP port, 0 for a free one ({DEFAULT_PORT}, if that is taken a free one)"
    )
    made.add_argument("--data", type=Path, default=launch.data_folder(), help="folder for everything (%(default)s)")
    made.add_argument(
        "--key", default=os.environ.get("MNIST_SWEEP_SERVER_KEY"),
        help="the only API key let in, at least 40 characters (also environment MNIST_SWEEP_SERVER_KEY)",
    )  # fmt: skip
    made.add_argument("--entity", default="local", help="whose runs are meant where none is named")
    made.add_argument(
        "--crash-after", type=float, default=300.0, metavar="SECONDS",
        help="silence after which a running run counts as crashed (default %(default)g)",
    )  # fmt: skip
    return made


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    args = parser().parse_args(argv)
    if not _loopback(args.host) and not args.key:
        return _say(f"--host {args.host} can be reached from other machines: give it a --key", FAILED)
    if args.key is not None and len(args.key) < len(LOCAL_KEY):
        return _say(f"--key has {len(args.key)} characters; the client insists on at least 40", FAILED)
    if args.crash_after <= 0:
        return _say(f"--crash-after must be over 0, not {args.crash_after:g}", FAILED)
    try:
        args.data.mkdir(parents=True, exist_ok=True)
        lock = FileLock(args.data / "server.lock")
        lock.acquire(timeout=0)
    except Timeout:
        return _say(f"{args.data} is already served at {_served_at(args.data)}", ALREADY_SERVED)
    except OSError as error:
        return _say(f"cannot use the data folder {args.data}: {error.strerror}", FAILED)
    with lock:
        try:
            return _serve(args)
        except StoreError as error:
            return _say(str(error), FAILED)
        except OSError as error:
            where = args.host if args.port is None else f"{args.host}:{args.port}"
            return _say(f"cannot listen on {where}: {error.strerror}", FAILED)


def _serve(args: argparse.Namespace) -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    listener = _listen(args.host, args.port)
    store = Store(args.data)
    app = create_app(store, key=args.key, entity=args.entity, crash_after=args.crash_after)
    host = f"[{args.host}]" if ":" in args.host else args.host
    url = f"http://{host}:{listener.getsockname()[1]}"
    server = _Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5), args, url)
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

    def __init__(self, config: uvicorn.Config, args: argparse.Namespace, url: str) -> None:
        super().__init__(config)
        self._args = args
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        key = self._args.key or LOCAL_KEY
        launch.announce(self._args.data, launch.Facts(self._url, os.getpid(), key))
        print(f"W&B server at {self._url}, data in {self._args.data}", flush=True)
        print(f"  export WANDB_BASE_URL={self._url} WANDB_API_KEY={(self._args.key and '…') or key}", flush=True)


def _listen(host: str, port: int | None) -> socket.socket:
    """A listening socket; with no port asked for, the usual one if it can be had."""
    if port is None:
        try:
            return _listen(host, DEFAULT_PORT)
        except OSError:
            return _listen(host, 0)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
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
