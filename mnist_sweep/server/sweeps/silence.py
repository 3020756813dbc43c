"""Decide since when a run must have been silent to count as crashed.

Only time in which the server listened counts. While the process is stopped or the machine sleeps, no client can be
heard. If the wall clock jumps, the times of earlier heartbeats say nothing about the time since then.
"""

from collections import deque


class SilenceWatch:
    """Count the seconds in which the server listened. Call `tick` at least once per `pause` seconds.

    Args:
        crash_after: seconds of silence after which a run counts as crashed.
        pause: seconds between two ticks. A longer gap counts as two pauses, however long it is.
    """

    def __init__(self, crash_after: float, pause: float) -> None:
        self._crash_after, self._longest = crash_after, 2 * pause
        self._listened = 0.0
        self._last: tuple[float, float] | None = None
        self._ticks: deque[tuple[float, float]] = deque()

    def tick(self, wall: float, monotonic: float) -> float | None:
        """Return the wall time before which a living run's last heartbeat cannot be, or None if that is unknown.

        Args:
            wall: the wall clock now, in seconds since the epoch.
            monotonic: a clock that is never set, in seconds.
        """
        if self._last is not None:
            elapsed = min(wall - self._last[0], monotonic - self._last[1], self._longest)
            self._listened += max(elapsed, 0.0)
        self._last = wall, monotonic
        self._ticks.append((self._listened, wall))
        while len(self._ticks) > 1 and self._ticks[1][0] <= self._listened - self._crash_after:
            self._ticks.popleft()
        if self._ticks[0][0] > self._listened - self._crash_after:
            return None
        return min(wall for _, wall in self._ticks)  # the clock may have been set back since the first of them
