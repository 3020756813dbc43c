"""Let only one process at a time do a piece of work."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mnist_sweep.errors import UserError


@contextmanager
def exclusive_lock(file: Path, busy: UserError) -> Iterator[None]:
    """Hold the lock `file` inside the block, and remove it afterwards.

    Raises:
        UserError: `busy` if another process holds the lock, or one that says why `file` cannot be used.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise busy from None
    except OSError as error:
        raise UserError(f"cannot lock {file}: {error.strerror}") from None
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink()
        lock.release()
