"""A server that does not answer is waited for, for a while, and people are told."""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from mnist_sweep.errors import UserError

VARIABLE = "MNIST_SWEEP_PATIENCE"
"""Environment: how many seconds a server that was there and does not answer any more is waited for."""
SECONDS = 600.0
"""… unless that says otherwise."""

_REFUSALS = 3
_PAUSE = 1.0
_ANSWER_SECONDS = 5.0
_AWAY = (502, 503, 504)
"""What a proxy answers whose server does not."""
_TIMEOUT = 408
_NO_ROOM = 507
"""What the local server answers that cannot write, and why."""

T = TypeVar("T")


class ServerUnavailable(UserError, RuntimeError):
    """A server has not answered for too long; the message is one line for people."""


class RequestsUnanswered(ServerUnavailable):
    """Requests have not been answered for too long, although the server is there: this machine or the server is busy.

    With W&B's client, its service process on this machine answers; that may be busy or gone, too.
    """


def unanswered(error: BaseException) -> bool:
    """Return whether a request failed because nothing answered in time, rather than because it was refused."""
    import requests

    cause: Any = getattr(error, "exc", error)  # what the client's CommError wraps
    if type(cause).__name__ == "WandbApiFailedError":  # private to the client, and not one of `wandb.errors`
        response = cause.response
        return response is None or response.http_status in (_TIMEOUT, *_AWAY)
    return isinstance(cause, TimeoutError | ConnectionError | requests.Timeout | requests.ConnectionError)


def seconds() -> float:
    """How long to wait for a server. Raises UserError where the environment says nothing sensible."""
    text = os.environ.get(VARIABLE) or str(SECONDS)
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{VARIABLE} is {text!r}: it is a number of seconds") from None


def why_unavailable(url: str) -> str:
    """Why the server at `url` cannot be used, in words that follow its address; empty where it answers."""
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=_ANSWER_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        if error.code == _NO_ROOM:
            return (error.read(500).decode(errors="replace").splitlines() or ["its disk is full"])[0]
        return "does not answer" if error.code in _AWAY else ""
    except (OSError, ValueError):
        return "does not answer"


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class RetryPolicy:
    """How one server is waited for. Several threads may ask."""

    def __init__(
        self,
        url: str,
        say: Callable[[str], None] = to_stderr,
        *,
        limit: float | None = None,
        restart: Callable[[], None] = lambda: None,
    ) -> None:
        """`say` is told when the server goes and when it is back, `restart` may start it; `limit` in seconds."""
        self.url = url
        self._say, self._restart = say, restart
        self.limit = seconds() if limit is None else limit
        self._since: float | None = None
        self._unanswered_since: float | None = None
        self._refusals = 0

    def lost(self) -> bool:
        """Whether the server cannot be used now. Raises Away when that has lasted for too long."""
        found = why_unavailable(self.url)
        if not found:
            if self._since is not None:
                self._since = None
                self._say(f"{self.url} answers again")
            return False
        now = time.monotonic()
        began = now if self._since is None else self._since
        if now - began >= self.limit:
            raise ServerUnavailable(f"{self.url} {found}, for {now - began:.0f} s now")
        if self._since is None:
            self._since = now
            self._say(f"{self.url} {found}; waiting for it …")
        self._restart()
        return True

    def wait(self) -> None:
        """Until the server answers. Raises Away."""
        while self.lost():
            time.sleep(_PAUSE)

    def attempt(self, ask: Callable[[], T]) -> T | None:
        """What `ask` returns; None where that failed because the server is away, or has just been.

        Raises:
            ServerUnavailable: it has been away for too long, or this machine's client has not answered for too long.
            Exception: `ask` fails time and again, though the server answers.
        """
        if self.lost():
            return None
        try:
            answer = ask()
        except Exception as error:
            if unanswered(error):
                self._note_unanswered()
                return None
            self._refusals += 1
            if not self.lost() and self._refusals >= _REFUSALS:
                raise
            return None
        self._refusals = 0
        if self._unanswered_since is not None:
            self._unanswered_since = None
            self._say(f"Requests to {self.url} are answered again")
        return answer

    def _note_unanswered(self) -> None:
        """Report once that requests are not answered. Raise RequestsUnanswered if that has lasted for too long."""
        now = time.monotonic()
        if self._unanswered_since is None:
            self._unanswered_since = now
            self._say(f"A request to {self.url} was not answered in time: the machine is busy; retrying …")
        if now - self._unanswered_since >= self.limit:
            raise RequestsUnanswered(f"requests to {self.url} have not been answered for {self.limit:.0f} s")

    def retry_until_available(self, ask: Callable[[], T]) -> T:
        """What `ask` returns in the end; raises as `attempt`."""
        answers: list[T] = []

        def answered() -> bool:
            answers.append(ask())
            return True

        while not self.attempt(answered):
            time.sleep(_PAUSE)
        return answers[0]


@cache
def retry_policy(url: str) -> RetryPolicy:
    """This process's patience with a server, which speaks on stderr: what goes wrong is said once."""
    return RetryPolicy(url)
