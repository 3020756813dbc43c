"""Run functions that need PyTorch in a separate process, so that the server does not keep its memory (some 100 MB).

The first call starts the process. It ends after a while without calls, and when the server ends in whatever way,
because the other end of its pipe is then closed.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

IDLE_SECONDS = 600.0
"""Seconds without a call after which the process ends: longer than most trials take."""
P = ParamSpec("P")
R = TypeVar("R")


class Busy(Exception):
    """Other calls occupy the search process; try again later."""


class SearchProcess:
    """Calls functions in a separate process, one at a time."""

    def __init__(self, wait: float, idle: float = IDLE_SECONDS) -> None:
        """Create the object. The first call starts the process.

        Args:
            wait: seconds that a call waits for its turn.
            idle: seconds without a call after which the process ends.
        """
        self._wait, self._idle = wait, idle
        self._closed = False
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._end_later: threading.Timer | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process, or None while it is not running."""
        return None if (process := self._process) is None else process.pid

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a module's function with arguments that can be pickled. Return what it returns, or raise what it raises.

        Raise Busy if other calls take too long, or the object is closed.
        """
        if not self._turn.acquire(timeout=self._wait):
            raise Busy
        try:
            if self._end_later is not None:
                self._end_later.cancel()
            try:
                good, answer = self._ask((function, args, kwargs))
            except (OSError, EOFError):  # the process was killed: try once more with a new one
                self._end()
                good, answer = self._ask((function, args, kwargs))
            self._end_later = threading.Timer(self._idle, self.end)
            self._end_later.daemon = True
            self._end_later.start()
        finally:
            self._turn.release()
        if not good:
            raise answer
        result: R = answer
        return result

    def _ask(self, question: Any) -> tuple[bool, Any]:
        if self._closed:
            raise Busy
        if self._pipe is None:
            self._pipe = self._start()
        self._pipe.send(question)
        good, answer = self._pipe.recv()
        return good, answer

    def _start(self) -> Connection:
        server_end, process_end = Pipe()
        with process_end:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "mnist_sweep.server.sweeps.search_process", str(process_end.fileno())],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # the same import path as the server's
                pass_fds=[process_end.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is for the server
            )
        return server_end

    def end(self) -> None:
        """End the process after the current call."""
        with self._turn:
            self._end()

    def close(self) -> None:
        """End the process now. The current call and later ones raise Busy."""
        self._closed = True
        if (process := self._process) is not None:
            process.kill()
            process.wait()

    def _end(self) -> None:
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if process is not None and pipe is not None:
            pipe.close()
            process.kill()
            process.wait()


def main(descriptor: int) -> None:
    """Answer the calls that arrive through a pipe until it is closed."""
    with Connection(descriptor) as pipe, suppress(EOFError, OSError):  # the server has ended
        while True:
            function, args, kwargs = pipe.recv()
            try:
                answer = (True, function(*args, **kwargs))
            except Exception as error:
                answer = (False, error)
            pipe.send(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
