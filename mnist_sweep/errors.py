"""What goes wrong for people: errors whose message is one line, with nothing to add."""

FAILED = 1
"""The exit code of a program that such an error ends."""


class UserError(Exception):
    """Says what was wrong, with which value, and what to do. Programs print it and exit; a traceback adds nothing."""

    exit_code = FAILED


def first_line(error: BaseException) -> str:
    """The first line of an error's message that says something, or the name of its kind where none does."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
