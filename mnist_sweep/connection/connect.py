"""Choose the W&B server: the one the user is logged in to, else the project's local one, which is started if needed.

Environment variables tell the wandb client about the choice, in this process and in its children.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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

    from mnist_sweep.server.process.launch import Announcement

FLUSH_SECONDS = "1"
"""How often runs send metrics to the local server; W&B's default of 15 s hides short trials from early stopping."""

RETRY_SECONDS, RETRIES = "5", "1000000"
"""The longest pause between two attempts to reach a local server (W&B's default is a minute), and the number of
attempts. `finish_timeout` limits the total time."""
_RETRYING = ("GRAPHQL", "FILE_STREAM", "FILE_TRANSFER")

TASK_SECONDS = 60.0
"""How long a task of a cluster waits for its server, which may be restarting. People get the answer at once."""


class ConnectError(UserError, RuntimeError):
    """No server could be used; the message is one line for people."""


@dataclass(frozen=True, kw_only=True)
class WandbServer:
    """A W&B server that answers."""

    url: str
    local: bool
    temporary: bool = False
    """Whether it ends some minutes after its last use."""
    restart: Callable[[], None] = lambda: None
    """Start the server again if it was killed and this process may start it."""

    def retry_policy(self, say: Callable[[str], None]) -> RetryPolicy:
        """Return how to wait for this server."""
        return RetryPolicy(self.url, say, restart=self.restart)

    @property
    def loopback(self) -> bool:
        """Whether no other machine reaches the server at this address."""
        from mnist_sweep.server.process import launch

        return launch.is_loopback(urlsplit(self.url).hostname or "")


@contextmanager
def connected_server(say: Callable[[str], None], *, lasting: bool = False) -> Iterator[WandbServer]:
    """Point the wandb client to a server while the context lasts; `say` receives lines for people.

    Raise ConnectError if no server may be used, or none outlives this command although it must be `lasting`.
    """
    remote = _remote(say)
    if remote is not None:
        with environment({"WANDB_BASE_URL": remote.url}):
            yield remote
        return
    from mnist_sweep.server.process import launch, shared_server

    folder = local_folder()
    if lasting:
        found = shared_server.find(folder)
        if found is None or found.temporary:
            raise ConnectError(
                "this needs a server that stays: log in to W&B, or start `mnist-sweep server --host NAME`"
            )
    before = launch.announced(folder)
    try:
        announcement = shared_server.find_or_start(folder, say)
    except launch.StartError as error:
        raise ConnectError(f"the local server did not start: {error}") from None
    started = announcement != before
    with shared_server.kept_alive(announcement), _client_environment(announcement, say, started=started):
        yield WandbServer(
            url=announcement.url,
            local=True,
            temporary=announcement.temporary,
            restart=_restart(folder, announcement),
        )


def _restart(folder: Path, announcement: Announcement) -> Callable[[], None]:
    from mnist_sweep.server.process import launch, shared_server

    def restart() -> None:
        with suppress(launch.StartError):  # the caller tries again
            shared_server.restart(folder, announcement)

    return restart if announcement.temporary else lambda: None


@contextmanager
def running_server(say: Callable[[str], None]) -> Iterator[WandbServer | None]:
    """Like `connected_server`, but only use a server that is already running. Report one that does not answer."""
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
    announcement = shared_server.find(local_folder())
    if announcement is None:
        yield None
        return
    with shared_server.kept_alive(announcement), _client_environment(announcement, say):
        yield WandbServer(url=announcement.url, local=True, temporary=announcement.temporary)


@contextmanager
def _client_environment(
    announcement: Announcement, say: Callable[[str], None], *, started: bool = False
) -> Iterator[None]:
    """Point the client to a local server while the context lasts. A server that was just `started` needs a login."""
    from mnist_sweep.server.process import launch

    values = {
        **announcement.variables,
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": FLUSH_SECONDS,
        **{f"WANDB_X_{part}_RETRY_WAIT_MAX_SECONDS": RETRY_SECONDS for part in _RETRYING},
        **{f"WANDB_X_{part}_RETRY_MAX": RETRIES for part in _RETRYING},
    }
    say(f"No W&B login: using the local server at {announcement.url}, which keeps everything in {announcement.folder}")
    if started:
        say(f"Log in a browser with this link, once: {launch.login_link(announcement)}")
    with environment(values):
        yield


def local_folder() -> Path:
    """Return the folder of the local server's data."""
    from mnist_sweep.server.process import folder

    return folder.data_folder().absolute()


def variables(server: WandbServer) -> dict[str, str]:
    """Return the environment that points the client of another machine to a server, its key included."""
    import requests

    login = requests.utils.get_netrc_auth(server.url)
    values = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": os.environ.get("WANDB_API_KEY") or (login or ("", ""))[1]}
    more = (*TRUST, "WANDB_ERROR_REPORTING")
    return values | {
        name: value for name, value in os.environ.items() if value and (name in more or name.startswith("WANDB_X_"))
    }


def _remote(say: Callable[[str], None]) -> WandbServer | None:
    """Return the server that the user is logged in to, if there is one and it answers.

    Raises:
        ConnectError: it does not answer, and a local server must not take its place. WANDB_BASE_URL names it, or this
            is a task of a cluster, whose other tasks would not find a server on this node.
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
        return WandbServer(url=url, local=False)
    if task is None and not os.environ.get("WANDB_BASE_URL"):
        say(f"Logged in to {url}, but it does not answer")
        return None
    try:
        RetryPolicy(url, say, limit=TASK_SECONDS if task is not None else 0.0).wait()
    except ServerUnavailable:
        raise ConnectError(
            f"{url} (WANDB_BASE_URL) does not answer on {cluster.node()}: start it, or name one that does"
        ) from None
    return WandbServer(url=url, local=False)


def _settings() -> wandb.Settings:
    """Return the client's settings, from its environment and files. Raise ConnectError if they cannot be used here."""
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
