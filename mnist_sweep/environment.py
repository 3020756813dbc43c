"""Temporary changes of the environment of this process and of those that it starts."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Variables that name the trusted certificates: the first for Go and Python's ssl, the second for requests."""


@contextmanager
def environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set these variables inside the block, or unset those whose value is None. Restore them on exit."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
