"""Which values of a metric are better: small ones or large ones."""

from enum import StrEnum


class Goal(StrEnum):
    """The direction in which a metric is optimised."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"

    def to_loss(self, value: float) -> float:
        """Return `value` as a loss, of which less is better. The function is its own inverse."""
        return -value if self is Goal.MAXIMIZE else value

    def better(self, a: float, b: float) -> bool:
        """Return whether `a` is strictly better than `b`."""
        return self.to_loss(a) < self.to_loss(b)
