"""Pages of lists."""

import pytest

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.gql.connection import PAGE, PAGE_LIMIT, slice_page, window


def test_pages_follow_each_other_to_the_end() -> None:
    found, after = [], None
    while True:
        page = slice_page("abcde", after, 2)
        found.append("".join(edge["node"] for edge in page["edges"]))
        after = page["pageInfo"]["endCursor"]
        assert page["totalCount"] == 5
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == ["ab", "cd", "e"]
    assert slice_page("abcde", after, 2)["pageInfo"] == {"endCursor": None, "hasNextPage": False}


@pytest.mark.parametrize(("first", "length"), [(None, PAGE), (0, 0), (-3, 0), (10**9, PAGE_LIMIT)])
def test_the_length_of_a_page_is_limited(first: int | None, length: int) -> None:
    assert window(None, first) == (0, length)


@pytest.mark.parametrize("after", ["x", "-5", "1.5", str(2**70)])
def test_what_is_no_cursor_is_refused(after: str) -> None:
    with pytest.raises(BadRequest, match="not a cursor"):
        window(after, 1)
