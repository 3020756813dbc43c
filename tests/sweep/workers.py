"""What trains a sweep in tests of its views."""


class Workers:
    """Workers that are done after a number of updates."""

    note = ""

    def __init__(self, updates: int) -> None:
        self.left = updates

    def update(self) -> None:
        self.left -= 1

    def any_alive(self) -> bool:
        return self.left > 0
