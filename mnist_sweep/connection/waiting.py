"""Retry while a server is unavailable: report it once, wait for a limited time, and restart the server if possible."""

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from mnist_sweep.errors import UserError

VARIABLE = "MNIST_SWEEP_PATIENCE"
"""Environment: how many seconds to wait for a server that has stopped answering."""
DEFAULT_SECONDS = 600.0

_REFUSALS = 3
_PAUSE = 1.0
_ANSWER_SECONDS = 5.0
_UNAVAILABLE = (502, 503, 504)
"""What a proxy answers if the server behind it does not."""
_TIMEOUT = 408
_NO_ROOM = 507
"""What the local server answers, with the reason, if it cannot write."""

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

    cause: BaseException | None = error  # the client wraps the reason in one or two errors of its own
    while cause is not None:
        if isinstance(cause, TimeoutError | ConnectionError | requests.Timeout | requests.ConnectionError):
            return True
        if type(cause).__name__ == "WandbApiFailedError":  # private to the client, and not one of `wandb.errors`
            response = getattr(cause, "response", None)
            return response is None or response.http_status in (_TIMEOUT, *_UNAVAILABLE)
        cause = cause.__cause__
    return False


def seconds() -> float:
    """Return how long to wait for a server. Raise UserError if the environment names no number."""
    text = os.environ.get(VARIABLE) or str(DEFAULT_SECONDS)
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{VARIABLE} is {text!r}: it is a number of seconds") from None


def why_unavailable(url: str) -> str:
    """Return why the server at `url` cannot be used, in words that follow its address; empty if it answers."""
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=_ANSWER_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        if error.code == _NO_ROOM:
            return (error.read(500).decode(errors="replace").splitlines() or ["its disk is full"])[0]
        return "does not answer" if error.code in _UNAVAILABLE else ""
    except (OSError, ValueError):
        return "does not answer"


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class RetryPolicy:
    """How to wait for one server. Several threads may use it."""

    def __init__(
        self,
        url: str,
        say: Callable[[str], None] = to_stderr,
        *,
        limit: float | None = None,
        restart: Callable[[], None] = lambda: None,
    ) -> None:
        """Create a policy.

        Args:
            url: the server.
            say: receives one line when the server becomes unavailable, and one when it is back.
            limit: seconds to wait for it; None takes the environment's.
            restart: starts the server again, if that is up to this process.
        """
        self.url = url
        self._say, self._restart = say, restart
        self.limit = seconds() if limit is None else limit
        self._since: float | None = None
        self._unanswered_since: float | None = None
        self._refusals = 0

    def recover(self) -> bool:
        """Restart the server if it is unavailable, and report what changed. Return whether it is available.

        Raise ServerUnavailable if it has been unavailable for longer than the limit.
        """
        problem = why_unavailable(self.url)
        self._report(problem)
        if problem:
            self._restart()
        return not problem

    def _report(self, problem: str) -> None:
        """Report a change of availability. Raise ServerUnavailable at the limit."""
        now = time.monotonic()
        if not problem:
            if self._since is not None:
                self._since = None
                self._say(f"{self.url} answers again")
            return
        began = now if self._since is None else self._since
        if now - began >= self.limit:
            raise ServerUnavailable(f"{self.url} {problem}, for {now - began:.0f} s now")
        if self._since is None:
            self._since = now
            self._say(f"{self.url} {problem}; waiting for it …")

    def wait(self) -> None:
        """Wait until the server is available. Raise ServerUnavailable as `recover` does."""
        while not self.recover():
            time.sleep(_PAUSE)

    def attempt(self, ask: Callable[[], T]) -> T | None:
        """Return what `ask` returns; None if that failed because the server is, or has just been, unavailable.

        Raise ServerUnavailable if it has been unavailable for too long, or this machine's client has not answered. If
        `ask` has failed repeatedly, although the server answers, raise its error.
        """
        if not self.recover():
            return None
        try:
            answer = ask()
        except Exception as error:
            if unanswered(error):
                self._note_unanswered()
                return None
            self._refusals += 1
            if self.recover() and self._refusals >= _REFUSALS:
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
        """Call `ask` until it succeeds, and return what it returns. Raise as `attempt` does."""
        answers: list[T] = []

        def answered() -> bool:
            answers.append(ask())
            return True

        while not self.attempt(answered):
            time.sleep(_PAUSE)
        return answers[0]


@cache
def retry_policy(url: str) -> RetryPolicy:
    """Return this process's policy for a server, which reports on stderr."""
    return RetryPolicy(url)
