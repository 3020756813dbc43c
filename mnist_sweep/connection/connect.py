"""Which W&B server to use: the one the user is logged in to, else the project's own local one, started if need be.

The choice is handed to the wandb client, here and in child processes, through its environment variables.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from platformdirs import user_cache_path

from mnist_sweep.cluster import task as cluster
from mnist_sweep.connection import waiting
from mnist_sweep.connection.waiting import RetryPolicy, ServerUnavailable
from mnist_sweep.environment import TRUST, environment
from mnist_sweep.errors import UserError, first_line

if TYPE_CHECKING:
    import wandb

    from mnist_sweep.server.process.launch import Facts

FLUSH_SECONDS = "1"
"""How often runs send metrics to the local server; W&B's default of 15 s hides short trials from early stopping."""

RETRY_SECONDS, RETRIES = "5", "1000000"
"""How long runs pause at most before they ask a local server again that does not answer (W&B's default is a minute),
and how often they do; how long they wait in all is for `finish_timeout` to say."""
_RETRYING = ("GRAPHQL", "FILE_STREAM", "FILE_TRANSFER")

TASK_PATIENCE = 60.0
"""Seconds that a task of a cluster waits for its server, which may be starting again; a person is told at once."""


class ConnectError(UserError, RuntimeError):
    """No server could be used; the message is one line for people."""


@dataclass(frozen=True)
class Server:
    """A W&B server that answers."""

    url: str
    local: bool
    shared: bool = False
    """It ends when the last command that uses it has."""
    restart: Callable[[], None] = lambda: None
    """Start it anew if it was killed, where that is ours to do."""

    def patience(self, say: Callable[[str], None]) -> RetryPolicy:
        """How to wait for it."""
        return RetryPolicy(self.url, say, restart=self.restart)

    @property
    def loopback(self) -> bool:
        """No other machine reaches it at this address."""
        host = urlsplit(self.url).hostname or ""
        return host in ("localhost", "::1") or host.startswith("127.")


@contextmanager
def connected_server(say: Callable[[str], None], *, lasting: bool = False) -> Iterator[Server]:
    """Point the wandb client to a server for as long as the context lasts; `say` receives what a person should know.

    Raises:
        ConnectError: there is none that may be used, or none that outlives this command where it is to be `lasting`.
    """
    remote = _remote(say)
    if remote is not None:
        with environment({"WANDB_BASE_URL": remote.url}):
            yield remote
        return
    from mnist_sweep.server.process import launch, shared_server

    folder = local_folder()
    if lasting:
        facts = launch.announced(folder)
        if facts is None or facts.shared or not launch.proves(facts):
            raise ConnectError(
                "this needs a server that stays: log in to W&B, or start `mnist-sweep server --host NAME`"
            )
    with ExitStack() as stack:
        try:
            facts = stack.enter_context(shared_server.server(folder, say))
        except launch.StartError as error:
            raise ConnectError(f"the local server did not start: {error}") from None
        stack.enter_context(_client_environment(facts, folder, say))
        yield Server(facts.url, local=True, shared=facts.shared, restart=_restart(folder, facts))


def _restart(folder: Path, facts: Facts) -> Callable[[], None]:
    from mnist_sweep.server.process import launch, shared_server

    def restart() -> None:
        with suppress(launch.StartError):  # another try comes
            shared_server.restart(folder, facts)

    return restart if facts.shared else lambda: None


@contextmanager
def running_server(say: Callable[[str], None]) -> Iterator[Server | None]:
    """The same with a server that is there, if one is: none is started; that one does not answer is told."""
    from mnist_sweep.server.process import shared_server

    try:
        remote = _remote(say)
    except ConnectError as error:
        say(f"Without a W&B server: {error}")
        yield None
        return
    if remote is not None:
        yield remote
        return
    folder = local_folder()
    with shared_server.found(folder) as facts:
        if facts is None:
            yield None
            return
        with _client_environment(facts, folder, say):
            yield Server(facts.url, local=True, shared=facts.shared)


@contextmanager
def _client_environment(facts: Facts, folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """The client pointed to a local server."""
    from mnist_sweep.server.process import shared_server

    told = {
        **facts.variables,
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": FLUSH_SECONDS,
        **{f"WANDB_X_{part}_RETRY_WAIT_MAX_SECONDS": RETRY_SECONDS for part in _RETRYING},
        **{f"WANDB_X_{part}_RETRY_MAX": RETRIES for part in _RETRYING},
        shared_server.FOLDER_VARIABLE: str(folder),
    }
    say(f"No W&B login: using the local server at {facts.url}, which keeps everything in {folder}")
    with environment(told):
        yield


def local_folder() -> Path:
    """Where the local server keeps its data."""
    from mnist_sweep.server.process import launch

    return launch.data_folder().absolute()


def variables(server: Server) -> dict[str, str]:
    """What points the client of another machine to a server in use, the key included, and how it is to behave there."""
    import requests

    login = requests.utils.get_netrc_auth(server.url)
    told = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": os.environ.get("WANDB_API_KEY") or (login or ("", ""))[1]}
    more = (*TRUST, "WANDB_ERROR_REPORTING")
    return told | {
        name: value for name, value in os.environ.items() if value and (name in more or name.startswith("WANDB_X_"))
    }


@contextmanager
def keep_server_alive() -> Iterator[None]:
    """Inside, in a process that an agent's parent started, the local server that parent chose does not end."""
    from mnist_sweep.server.process import shared_server

    folder = os.environ.get(shared_server.FOLDER_VARIABLE)
    with shared_server.using(Path(folder)) if folder else nullcontext():
        yield


def _remote(say: Callable[[str], None]) -> Server | None:
    """The server the user is logged in to, if there is one and it answers.

    Raises:
        ConnectError: it does not, and a local server must not take its place: WANDB_BASE_URL names it, or this is a
            task of a cluster, whose other tasks would not find what is kept here.
    """
    import requests

    url = _settings().base_url
    task = cluster.task()
    if not (os.environ.get("WANDB_API_KEY") or requests.utils.get_netrc_auth(url)):
        if task is not None:
            raise ConnectError(
                f"{task.name} has no key for {url}: give its job WANDB_BASE_URL and WANDB_API_KEY, or log in there"
            )
        return None
    if not waiting.why_unavailable(url):
        return Server(url, local=False)
    if task is None and not os.environ.get("WANDB_BASE_URL"):
        say(f"Logged in to {url}, but it does not answer")
        return None
    try:
        RetryPolicy(url, say, limit=TASK_PATIENCE if task is not None else 0.0).wait()
    except ServerUnavailable:
        raise ConnectError(
            f"{url} (WANDB_BASE_URL) does not answer on {cluster.node()}: start it, or name one that does"
        ) from None
    return Server(url, local=False)


def _settings() -> wandb.Settings:
    """What the client was told by its environment and its files. Raises ConnectError where that is of no use here."""
    import wandb
    from pydantic import ValidationError

    cache = Path(os.environ.get("WANDB_CACHE_DIR") or user_cache_path("wandb", appauthor=False))
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # the client's service would say so in a dozen lines
        raise ConnectError(
            f"W&B's client cannot write to {cache}: {error.strerror}; set HOME or WANDB_CACHE_DIR to a folder of yours"
        ) from None
    try:
        settings = wandb.setup().settings
    except ValidationError as error:
        wrong = error.errors()[0]
        name, value = wrong["loc"][0], wrong["input"]
        raise ConnectError(f"W&B's setting {name} (WANDB_{str(name).upper()}) is {value!r}: {wrong['msg']}") from None
    except wandb.errors.Error as error:
        raise ConnectError(f"W&B's settings cannot be used: {first_line(error)}") from None
    wandb.teardown()  # it would keep this address
    if settings.mode in ("offline", "dryrun", "disabled"):
        raise ConnectError(f"this needs a W&B server, and W&B's mode is {settings.mode} (WANDB_MODE): unset it")
    return settings
