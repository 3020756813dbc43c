"""Signals that become exceptions, and that can be deferred while work must not be interrupted."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from mnist_sweep.cluster import task


class Preempted(BaseException):
    """SIGUSR1: the machine is about to be taken away. Another process will resume the work."""


class Terminated(BaseException):
    """SIGTERM. It means Ctrl-C if a person sent it, and `Preempted` if a scheduler will requeue the task."""


STOPS: dict[signal.Signals, type[BaseException]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
    signal.SIGUSR1: Preempted,
}
"""The signals that stop a run, an agent or a task, and the exceptions that they become."""


def will_resume(stop: BaseException) -> bool:
    """Return whether another process will resume the work that the exception `stop` ended."""
    return isinstance(stop, Preempted) or (isinstance(stop, Terminated) and task.taken_back())


@contextmanager
def blocked() -> Iterator[None]:
    """Block the signals of `STOPS` for processes started inside the block, which would die of them while they import.

    Such a process receives them once it handles signals.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Signals:
    """Signals that become exceptions, either at once or when a `deferred` block ends."""

    def __init__(self, errors: Mapping[signal.Signals, type[BaseException]]) -> None:
        """`errors` maps each signal to the exception that it becomes."""
        self.errors = dict(errors)
        self._deferred = False
        self._pending: type[BaseException] | None = None

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Turn the signals into exceptions inside the block, including those that were `blocked` before.

        Use it inside a `try`. Outside the main thread it has no effect.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._pending = None
        before = {number: signal.signal(number, self._handler(error)) for number, error in self.errors.items()}
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.errors)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deferred(self, *, raise_on_exit: bool = True) -> Iterator[None]:
        """Defer signals inside the block. On exit, raise a pending one unless `raise_on_exit` is false.

        Blocks may be nested. Only the outermost one raises.
        """
        before, self._deferred = self._deferred, True
        try:
            yield
        finally:
            self._deferred = before
        if raise_on_exit and not before:
            self.raise_pending()

    def request(self, error: type[BaseException]) -> None:
        """Raise `error` when the current or next `deferred` block ends, unless a signal is pending. Thread-safe."""
        if self._pending is None:
            self._pending = error

    def cancel(self, error: type[BaseException]) -> None:
        """Cancel a request for `error` that has not been raised yet."""
        if self._pending is error:
            self._pending = None

    def raise_pending(self) -> None:
        """Raise the pending signal or request, if there is one."""
        error, self._pending = self._pending, None
        if error is not None:
            raise error

    def _handler(self, error: type[BaseException]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            self._pending = error
            if not self._deferred:
                self.raise_pending()

        return handle
