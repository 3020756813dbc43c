"""What needs PyTorch, in a process of its own: it would cost the server some hundred megabytes for ever.

The process is started by the first call, and ended where none came for a while. It also ends with the server, whatever
becomes of that: nobody is then at the other end of its pipe.
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

IDLE = 600.0
"""Seconds without a call after which the process is ended: longer than most trials take."""
P = ParamSpec("P")
R = TypeVar("R")


class Busy(Exception):
    """Others' calls take their time; ask again later."""


class SearchProcess:
    """Calls functions in its process, one after the other."""

    def __init__(self, patience: float, idle: float = IDLE) -> None:
        """A worker without a process yet.

        Args:
            patience: seconds that a call waits for its turn.
            idle: seconds without a call after which the process is ended.
        """
        self._patience, self._idle = patience, idle
        self._closed = False
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._end_later: threading.Timer | None = None

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return None if (process := self._process) is None else process.pid

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What a function of a module returns, or raises, for arguments that can be pickled.

        Raises:
            Busy: others' calls take too long, or there are no more calls.
        """
        if not self._turn.acquire(timeout=self._patience):
            raise Busy
        try:
            if self._end_later is not None:
                self._end_later.cancel()
            try:
                good, answer = self._ask((function, args, kwargs))
            except (OSError, EOFError):  # it was killed: once more, with a new one
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
        ours, its = Pipe()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "mnist_sweep.server.sweeps.search_process", str(its.fileno())],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # it finds what the server found
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is for the server
            )
        return ours

    def end(self) -> None:
        """End the process, after the call that is under way."""
        with self._turn:
            self._end()

    def close(self) -> None:
        """End the process at once, and for good; a call that is under way raises Busy."""
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
    """Answer the calls that come through a pipe, until there is an end to them."""
    with Connection(descriptor) as pipe, suppress(EOFError, OSError):  # the server is gone
        while True:
            function, args, kwargs = pipe.recv()
            try:
                answer = (True, function(*args, **kwargs))
            except Exception as error:
                answer = (False, error)
            pipe.send(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
