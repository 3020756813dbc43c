"""What can go wrong with a request, and how the server answers; every message is one line for a person.

Clients give up on a 4xx answer and retry a 5xx answer. The answer therefore depends on who can mend the trouble.
"""

import errno
import sqlite3


class BadRequest(ValueError):
    """The request makes no sense; answered with 400."""


class NotFound(LookupError):
    """The thing that the request names does not exist; answered with 404."""


class StoreError(Exception):
    """The data folder cannot be used (full, read-only, deleted, damaged); answered with 507."""

    status = 507


class StoreBusy(StoreError):
    """The data folder cannot be used at the moment (locked, no descriptors, no memory); answered with 503."""

    status = 503


_UNUSABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.EFBIG, errno.ESTALE}
_BUSY = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EBUSY, errno.ETIMEDOUT}
_UNUSABLE_CODES = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
}
_BUSY_CODES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}


def classify(error: BaseException) -> BaseException:
    """Return the error as one of the classes above, or the error itself if it is a bug of the server."""
    if isinstance(error, MemoryError):
        return StoreBusy("the server is short of memory")
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return StoreBusy("the server is short of threads")
    if isinstance(error, OSError):
        reason = f"the data folder cannot be used: {error.strerror}"
        if error.errno in _UNUSABLE:
            return StoreError(reason)
        if error.errno in _BUSY:
            return StoreBusy(f"the server is short of resources: {error.strerror}")
    if isinstance(error, sqlite3.Error):
        reason = f"the database cannot be used: {error}"
        code = getattr(error, "sqlite_errorcode", 0)
        if code == sqlite3.SQLITE_IOERR_NOMEM or code & 0xFF in _BUSY_CODES:
            return StoreBusy(reason)
        if code & 0xFF in _UNUSABLE_CODES:
            return StoreError(reason)
    if isinstance(error, UnicodeEncodeError):
        return BadRequest("the request holds half of a surrogate pair, which is not text")
    return error
