"""What needs PyTorch, in a process of its own: it would cost the server some hundred megabytes for ever.

The process is started by the first call, and ended where none came for a while. It also ends with the server, whatever
becomes of that: its input is then at an end.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

IDLE = 120.0
"""Seconds without a call after which the process is ended."""
_BROKEN = (OSError, EOFError, pickle.UnpicklingError)
P = ParamSpec("P")
R = TypeVar("R")


class Busy(Exception):
    """Others' calls take their time; ask again later."""


class Worker:
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
        self._end_later: threading.Timer | None = None

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return None if self._process is None else self._process.pid

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What a function of a module returns, or raises, for arguments that can be pickled.

        Raises:
            Busy: others' calls take too long.
        """
        if not self._turn.acquire(timeout=self._patience):
            raise Busy
        try:
            if self._end_later is not None:
                self._end_later.cancel()
            try:
                good, answer = self._ask((function, args, kwargs))
            except _BROKEN:  # it was killed: once more, with a new one
                if self._closed:
                    raise Busy from None
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
        if self._process is None:
            command = [sys.executable, "-m", "mnist_sweep.server.worker"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(question, self._process.stdin)
        self._process.stdin.flush()
        good, answer = pickle.load(self._process.stdout)
        return good, answer

    def end(self) -> None:
        """End the process, after the call that is under way."""
        with self._turn:
            self._end()

    def close(self) -> None:
        """End the process at once; a call that is under way is told that it cannot be answered."""
        self._closed = True
        if (process := self._process) is not None:
            process.kill()
            process.wait()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        with suppress(OSError), process:  # which closes its pipes, and waits for it
            pass


def main() -> None:
    """Answer the calls that come in, until there is an end to them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes the pipe
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what libraries print is no answer
        while True:
            try:
                function, args, kwargs = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            try:
                answer = (True, function(*args, **kwargs))
            except Exception as error:
                answer = (False, error)
            pickle.dump(answer, answers)
            answers.flush()


if __name__ == "__main__":
    main()
