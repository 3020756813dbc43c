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
        self._deferred = False
        self._pending: type[BaseException] | None = None

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Inside, the signals become exceptions, also those that were `blocked`: this belongs inside a `try`.

        Outside the main thread, nothing changes.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._pending = None
        before = {number: signal.signal(number, self._handler(error)) for number, error in self.errors.items()}
        try:
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_UNBLOCK, self.errors)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deferred(self, *, raise_on_exit: bool = True) -> Iterator[None]:
        """Defer signals inside the block. On exit, raise a pending one unless `raise_on_exit` is false.

        Blocks nest: only the outermost one raises.
        """
        before, self._deferred = self._deferred, True
        try:
            yield
        finally:
            self._deferred = before
        if raise_on_exit and not before:
            self.raise_pending()

    def request(self, error: type[BaseException]) -> None:
        """Raise `error` after the current or next `deferred` block. Thread-safe. A pending signal takes precedence."""
        if self._pending is None:
            self._pending = error

    def cancel(self, error: type[BaseException]) -> None:
        """Drop a request for `error` that has not been raised yet."""
        if self._pending is error:
            self._pending = None

    def _handler(self, error: type[BaseException]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            self._pending = error
            if not self._deferred:
                self.raise_pending()

        return handle

    def raise_pending(self) -> None:
        """Raise the pending signal or request, if there is one."""
        error, self._pending = self._pending, None
        if error is not None:
            raise error
