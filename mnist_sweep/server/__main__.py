"""Start the server: `python -m mnist_sweep.server --port 8080 --data DIR`.

Then, in another terminal:

    export WANDB_BASE_URL=http://127.0.0.1:8080 WANDB_API_KEY=local00000000000000000000000000000000000
    wandb sweep sweeps/smoke.yaml

While it serves, `server.json` in the data folder holds `url`, `pid` and `key`.
"""

import argparse
import asyncio
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout
from platformdirs import user_data_dir

from mnist_sweep.server import LOCAL_KEY, Store, StoreError, create_app

OK, FAILED, ALREADY_SERVED = 0, 1, 3
DEFAULT_PORT = 8080


def default_data() -> Path:
    """The folder that is used where none is named."""
    return Path(user_data_dir("mnist-sweep", appauthor=False)) / "server"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m mnist_sweep.server", description="The local W&B server.")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on; any but loopback needs --key")
    made.add_argument("--port", type=int, default=DEFAULT_PORT, help="TCP port, 0 for a free one (default %(default)s)")
    made.add_argument("--data", type=Path, default=default_data(), help="folder for everything (%(default)s)")
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
            return _say(f"cannot listen on {args.host}:{args.port}: {error.strerror}", FAILED)


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
        (args.data / "server.json").unlink(missing_ok=True)
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
        facts = json.dumps({"url": self._url, "pid": os.getpid(), "key": key})
        temporary = self._args.data / f"server.json.{os.getpid()}"
        temporary.touch(mode=0o600)
        temporary.write_text(facts)
        temporary.replace(self._args.data / "server.json")
        print(f"W&B server at {self._url}, data in {self._args.data}", flush=True)
        print(f"  export WANDB_BASE_URL={self._url} WANDB_API_KEY={(self._args.key and '…') or key}", flush=True)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OverflowError as error:
        raise OSError(0, str(error)) from None
    listener.listen(512)
    return listener


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _served_at(data: Path) -> str:
    try:
        return str(json.loads((data / "server.json").read_text())["url"])
    except (OSError, ValueError, KeyError):
        return "an address it has not told yet"


def _say(text: str, code: int) -> int:
    print(f"mnist-sweep server: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
