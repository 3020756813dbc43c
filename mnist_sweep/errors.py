"""Errors for people: their message is one line and needs no traceback."""

FAILED = 1
"""Exit code of a program that such an error ends."""

INTERRUPTED = 130
"""Exit code of a program that a person stopped, as shells report Ctrl-C."""


class UserError(Exception):
    """An error that says what was wrong, with which value, and what to do. Programs print it and exit."""

    exit_code = FAILED


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message that is not blank, or the name of its class if there is none."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
