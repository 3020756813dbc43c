"""Pages of lists in the form of W&B's API: edges with cursors, and whether more follow."""

from collections.abc import Sequence
from typing import Any

from mnist_sweep.server.errors import BadRequest

PAGE = 50
PAGE_LIMIT = 10_000


def window(after: str | None, first: int | None) -> tuple[int, int]:
    """Return where a page starts and how long it is. A cursor is the position before the page."""
    try:
        start = int(after) + 1 if after else 0
    except ValueError:
        start = -1
    if not 0 <= start < 2**62:
        raise BadRequest(f"{str(after)[:100]!r} is not a cursor of this list")
    return start, max(0, min(PAGE if first is None else first, PAGE_LIMIT))


def page(nodes: Sequence[Any], total: int, start: int, **extra: Any) -> dict[str, Any]:
    """Return the connection for nodes that begin at position `start` of a list of `total`."""
    end = start + len(nodes)
    return {
        "totalCount": total,
        "edges": [{"node": node, "cursor": str(start + i)} for i, node in enumerate(nodes)],
        "pageInfo": {"endCursor": str(end - 1) if nodes else None, "hasNextPage": end < total},
        **extra,
    }


def slice_page(nodes: Sequence[Any], after: str | None = None, first: int | None = None) -> dict[str, Any]:
    """Return the connection for one page of a complete list."""
    start, length = window(after, first)
    return page(nodes[start : start + length], len(nodes), start)
