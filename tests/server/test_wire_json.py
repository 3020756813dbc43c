"""JSON as it comes in and goes out."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from mnist_sweep.server import wire_json


def test_numbers_that_json_does_not_have_become_words() -> None:
    assert wire_json.loads('[NaN, Infinity, -Infinity, 1e999, -1e999, 1.5, 2]') == [
        "NaN", "Infinity", "-Infinity", "Infinity", "-Infinity", 1.5, 2,
    ]  # fmt: skip


def test_what_goes_out_is_strict_and_short() -> None:
    assert wire_json.dumps({"a": [1, None, "é"]}) == '{"a":[1,null,"\\u00e9"]}'
    with pytest.raises(ValueError, match="JSON"):
        wire_json.dumps(math.nan)


@pytest.mark.parametrize("read", [wire_json.loads, wire_json.stored])
@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 300 + "]" * 300, '{"a":' * 300 + "1" + "}" * 300])
def test_what_nests_too_deeply_is_no_json(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match="deep"):
        read(text)


def test_whatever_is_accepted_can_be_read() -> None:
    limit = wire_json.DEPTH_LIMIT
    nested, deeper = ("[" * depth + "]" * depth for depth in (limit, limit + 1))
    assert wire_json.stored(wire_json.dumps(wire_json.loads(nested))) == wire_json.loads(nested.encode())
    with pytest.raises(ValueError, match=f"it nests more than {limit} deep"):
        wire_json.loads(deeper.encode())
    assert wire_json.loads(f"[{nested[1:-1]}{',[{}]' * 1000}]")


def test_a_file_holds_an_object_of_limited_size_or_nothing(tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    file.write_text('{"data": [1]}')
    assert wire_json.stored_object(file, 13) == {"data": [1]}
    assert wire_json.stored_object(file, 12) is None
    for text in ("[1]", "{", ""):
        file.write_text(text)
        assert wire_json.stored_object(file, 13) is None


@pytest.mark.parametrize("text", [None, "", "null", "{}"])
def test_nothing_is_an_empty_object(text: str | None) -> None:
    assert wire_json.as_object(text, "it") == {}


@pytest.mark.parametrize(("text", "reason"), [("[]", "must be a JSON object, not list"), ("{", "is not JSON")])
def test_another_thing_than_an_object_is_named(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"the config {reason}"):
        wire_json.as_object(text, "the config")
