"""Signals as exceptions that never strike in the middle of what must not be interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Signals:
    """Signals that become exceptions in the main thread, at once or once what is `held` is done."""

    def __init__(self, errors: Mapping[signal.Signals, type[BaseException]]) -> None:
        """`errors`: which exception a signal becomes."""
        self.errors = dict(errors)
        self._held = False
        self._waiting: type[BaseException] | None = None

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Inside, the signals become exceptions. Outside the main thread, nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handler(error)) for number, error in self.errors.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, signals wait. Not to be nested."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._waiting is not None:
            self._raise(self._waiting)

    def _handler(self, error: type[BaseException]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            if self._held:
                self._waiting = error
            else:
                self._raise(error)

        return handle

    def _raise(self, error: type[BaseException]) -> NoReturn:
        self._waiting = None
        raise error
