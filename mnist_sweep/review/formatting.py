"""Numbers as people read them."""

REPORT_OF = "review of sweep"
"""A stored report's description ends with this and the sweep's id, by which it is found again."""


def counted(number: int, noun: str) -> str:
    """Return `1 run` or `3 runs`: a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Return a duration such as `4.2 s`, `42 s`, `12 min` or `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
