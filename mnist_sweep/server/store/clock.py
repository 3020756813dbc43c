"""Times as the server writes them: UTC, ISO 8601, milliseconds, so that text order is time order."""

from datetime import UTC, datetime, timedelta


def now(*, seconds_ago: float = 0.0) -> str:
    """The time now, or so many seconds ago, such as `2026-01-31T09:30:00.125Z`."""
    moment = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
