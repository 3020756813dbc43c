"""The connections of the server's process: as many as the system allows, and none that stays silent."""

import asyncio
import errno
import logging
import resource
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SILENT_SECONDS = 30.0
"""How long a new connection may take to send its first request."""
_LOG_EVERY = 60.0
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_log = logging.getLogger("mnist_sweep.server")


class Protocol(H11Protocol):
    """HTTP, but a connection that sends no complete request line and headers in time is closed.

    uvicorn itself limits only the time between two requests.
    """

    _silence: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._silence = self.loop.call_later(SILENT_SECONDS, self._close_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._silence is not None:
            self._silence.cancel()
        super().connection_lost(exc)

    def _close_if_silent(self) -> None:
        if self.cycle is None:
            self.transport.abort()


def raise_descriptor_limit() -> None:
    """Let this process open as many files and connections as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, 10_240):  # macOS takes no more, though its hard limit may be infinite
        try:
            if soft != wanted and (soft < wanted or wanted == resource.RLIM_INFINITY):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return
        except (ValueError, OSError):
            continue


class LogOnce:
    """An event loop's exception handler that reports a lack of descriptors once a minute, and not 512 times a second.

    The event loop waits a second, then accepts connections again.
    """

    def __init__(self) -> None:
        self._logged = -_LOG_EVERY

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._logged >= _LOG_EVERY:
            self._logged = time.monotonic()
            _log.error("cannot accept new connections for now: %s", error.strerror)
