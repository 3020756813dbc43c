"""Tell the time as the server writes it: UTC, ISO 8601, milliseconds, so that text order is time order."""

import time
from datetime import UTC, datetime


def wall() -> float:
    """Return the wall clock's time in seconds since the epoch. People and time servers may set that clock."""
    return time.time()


def as_text(seconds: float) -> str:
    """Return a time in seconds since the epoch as text, such as `2026-01-31T09:30:00.125Z`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def now(*, seconds_ago: float = 0.0) -> str:
    """Return the time now, or that many seconds ago, as text."""
    return as_text(wall() - seconds_ago)
