"""A sweep's text: what YAML says of it, or one line that says why it is none."""

from itertools import pairwise

import pytest
import yaml

from mnist_sweep.search.sweep_yaml import DocumentError, read


def test_plain_data_comes_back_and_a_date_is_its_text() -> None:
    text = "method: grid\nparameters: {a: {values: [1, 1.0, null, true, 2001-02-03, {b: [x]}]}}\n"
    values = read(text)["parameters"]["a"]["values"]
    assert values == [1, 1.0, None, True, "2001-02-03", {"b": ["x"]}]
    assert [type(value) for value in values[:2]] == [int, float]


def test_what_json_lacks_becomes_words() -> None:
    assert read("a: [.nan, .inf, -.inf]") == {"a": ["NaN", "Infinity", "-Infinity"]}


def test_aliases_that_unfold_to_little_are_welcome() -> None:
    """The client's own dump has them wherever a program used one list twice."""
    widths = [8, 16]
    config = {"method": "grid", "parameters": {"a": {"values": widths}, "b": {"values": widths}}}
    assert "&" in yaml.dump(config)
    assert read(yaml.dump(config)) == config
    assert read("base: &base {x: 1}\nmore: {<<: *base, y: 2}\n")["more"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not YAML"),
        ("just text", "a mapping"),
        ("", "a mapping"),
        ("- a", "a mapping"),
        ("a: 1\nb: 2\na: 3\n", "a: duplicate key (line 3)"),
        ("p: {lr: {min: 1, min: 2}}", "p.lr.min: duplicate key (line 1)"),
        ("p: &self {q: *self}", "p.q: contains an alias of itself"),
        ("p: &self\n- *self", "p: contains an alias of itself"),
        ("method: grid\nparameters: *self", "undefined alias"),
        ("a: " + "[" * 101 + "]" * 101, "nested more than 100 deep"),
        ("[" * 200_000, "nested more than 100 deep"),  # libyaml's loader would end the process
        ("- " * 200_000, "nested more than 100 deep"),
        (
            "a: &a [x, x]\n" + "".join(f"{n}: &{n} [{', '.join(['*' + p] * 9)}]\n" for p, n in pairwise("abcdefg")),
            "aliases",
        ),
        ("a: !!int x", "not YAML"),
        ("a: !!float abc", "not YAML"),
        ("a: 2001-99-99", "not YAML"),
        ("a: !!python/object:os.system x", "not YAML"),
        ("a: !!binary x", "not YAML"),
        ("1: a", "this key is not text"),
        ("? [a, b]\n: c", "this key is not text"),
        ("a: {true: b}", "a.true: this key is not text"),
        ("a: " + "x" * 1_000_001, "characters"),
        ("a: \x00", "not YAML"),
    ],
    ids=lambda value: value[:24],
)
def test_what_is_no_sweep_is_told_in_one_line(text: str, said: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(text)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300
