"""Which W&B server to use: the one the user is logged in to, else the project's own local one, started if need be.

The choice is handed to the wandb client, here and in child processes, through its environment variables.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from mnist_sweep.environment import environment
from mnist_sweep.errors import UserError

LOCAL_PORT = 8080
START_SECONDS = 30.0
FLUSH_SECONDS = "1"
"""How often runs send metrics to the local server; W&B's default of 15 s hides short trials from early stopping."""


class ConnectError(UserError, RuntimeError):
    """No server could be used; the message is one line for people."""


@dataclass(frozen=True)
class Server:
    """A W&B server that answers."""

    url: str
    local: bool
    started: bool = False
    """Started for this command, and ends with it."""


@contextmanager
def server(say: Callable[[str], None]) -> Iterator[Server]:
    """Point the wandb client to a server for as long as the context lasts; `say` receives what a person should know."""
    remote = _remote(say)
    if remote is not None:
        yield remote
        return
    folder = local_folder()
    child: subprocess.Popen[bytes] | None = None
    ready = _answering(folder)
    if ready is None:
        child = _start(folder)
        ready = _wait(folder, child)
    url, key = ready
    told = {
        "WANDB_BASE_URL": url,
        "WANDB_API_KEY": key,
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": FLUSH_SECONDS,
    }
    say(f"No W&B login: using the local server at {url}, which keeps everything in {folder}")
    try:
        with environment(told):
            yield Server(url, local=True, started=child is not None)
    finally:
        if child is not None:
            child.terminate()
            child.wait(20)


def local_folder() -> Path:
    """Where the local server keeps its data."""
    return Path(os.environ.get("MNIST_SWEEP_SERVER") or user_data_path("mnist-sweep") / "server")


def _remote(say: Callable[[str], None]) -> Server | None:
    """The server the user is logged in to, if there is one and it answers."""
    import requests
    import wandb

    url = wandb.setup().settings.base_url
    wandb.teardown()  # it would keep this address
    if not (os.environ.get("WANDB_API_KEY") or requests.utils.get_netrc_auth(url)):
        return None
    if _get(f"{url}/healthz") is None:
        say(f"Logged in to {url}, but it does not answer")
        return None
    return Server(url, local=False)


def _answering(folder: Path) -> tuple[str, str] | None:
    """URL and key of a local server that runs on `folder` already."""
    try:
        ready = json.loads((folder / "server.json").read_text())
        url, key = str(ready["url"]), str(ready["key"])
    except (OSError, ValueError, KeyError):
        return None
    return (url, key) if _get(f"{url}/healthz") is not None else None


def _start(folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    port = LOCAL_PORT if _get(f"http://127.0.0.1:{LOCAL_PORT}/healthz") is None else 0
    with (folder / "server.log").open("ab") as log:
        # in a session of its own: Ctrl-C stops the trials first, and they still have to report that
        return subprocess.Popen(
            [sys.executable, "-m", "mnist_sweep.server", "--port", str(port), "--data", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait(folder: Path, child: subprocess.Popen[bytes]) -> tuple[str, str]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        ready = _answering(folder)
        if ready is not None:
            return ready
        time.sleep(0.05)
    child.terminate()
    lines = (folder / "server.log").read_text(errors="replace").strip().splitlines()
    raise ConnectError(f"the local server did not start: {lines[-1] if lines else f'no answer in {START_SECONDS:g} s'}")


def _get(url: str) -> int | None:
    """HTTP status of `url`; None where nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError):
        return None
