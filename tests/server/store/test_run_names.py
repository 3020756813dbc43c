"""Names for runs that their user did not name."""

import re

from mnist_sweep.server.store import run_names
from mnist_sweep.server.store.run_names import word_name


def test_a_name_is_two_words_and_the_number_of_the_run() -> None:
    first, second, number = word_name(12).split("-")
    assert first in run_names._FIRST.split()
    assert second in run_names._SECOND.split()
    assert number == "12"


def test_the_second_word_can_be_given() -> None:
    assert re.fullmatch(r"[a-z]+-sweep-3", word_name(3, second="sweep"))


def test_names_vary() -> None:
    assert len({word_name(1) for _ in range(100)}) > 50


def test_each_word_is_plain_and_listed_once() -> None:
    for words in (run_names._FIRST.split(), run_names._SECOND.split()):
        assert len(set(words)) == len(words) > 50
        assert all(re.fullmatch("[a-z]+", word) for word in words)
