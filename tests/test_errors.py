"""What is said of an error in one line."""

import pytest

from mnist_sweep.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("no such width: 0"), "no such width: 0"),
        (OSError("the disk is full\nTraceback …"), "the disk is full"),
        (TimeoutError(), "TimeoutError"),  # asyncio's and many libraries' say nothing
        (RuntimeError("\nout of memory\n"), "out of memory"),
        (RuntimeError("\n"), "RuntimeError"),
    ],
)
def test_the_first_line_of_an_error_or_its_kind(error: Exception, line: str) -> None:
    assert first_line(error) == line
