"""Signals as exceptions that never strike in the middle of what must not be interrupted."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType


class Preempted(BaseException):
    """SIGUSR1: the machine is about to be taken away; another process will go on."""


class Terminated(BaseException):
    """SIGTERM: as Ctrl-C where a person sent it, as `Preempted` where a scheduler will begin this task again."""


STOPS: dict[signal.Signals, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
"""What stops a run, an agent, a task."""
if sys.platform != "win32":
    STOPS[signal.SIGUSR1] = Preempted


@contextmanager
def blocked() -> Iterator[None]:
    """A process started inside gets no signal of `STOPS` until it handles them: it would die in its imports.

    What comes before is not lost.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Signals:
    """Signals that become exceptions, at once or once what is `held` is done."""

    def __init__(self, errors: Mapping[signal.Signals, type[BaseException]]) -> None:
        """`errors`: which exception a signal becomes."""
        self.errors = dict(errors)
        self._held = False
        self._waiting: type[BaseException] | None = None

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Inside, the signals become exceptions, also those that were `blocked`: this belongs inside a `try`.

        Outside the main thread, nothing changes.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._waiting = None
        before = {number: signal.signal(number, self._handler(error)) for number, error in self.errors.items()}
        try:
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_UNBLOCK, self.errors)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self, *, last: bool = False) -> Iterator[None]:
        """Inside, signals wait. After it they are raised, unless it is the `last` of the work, after which they go on
        to wait, or stands in another one."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before
        if not (last or before):
            self.strike()

    def ask(self, error: type[BaseException]) -> None:
        """Let `error` strike after what is `held` now or next; from any thread. A signal goes first."""
        if self._waiting is None:
            self._waiting = error

    def forget(self, error: type[BaseException]) -> None:
        """What has been asked for and not struck yet does not strike any more."""
        if self._waiting is error:
            self._waiting = None

    def _handler(self, error: type[BaseException]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            self._waiting = error
            if not self._held:
                self.strike()

        return handle

    def strike(self) -> None:
        """Raise what has waited, if anything has."""
        error, self._waiting = self._waiting, None
        if error is not None:
            raise error
