from mnist_sweep.review.mistakes import from_tables
from tests.review import synthetic

COUNTS = {"columns": ["label", "prediction", "count"], "data": [["a", "a", 3], ["a", "b", 1], ["b", "b", 2]]}
IMAGES = {
    "columns": ["index", "image", "label", "prediction", "confidence"],
    "data": [[1, {"path": "one.png"}, 3, 5, 0.6], [2, {"path": "two.png"}, 4, 9, 0.9], [3, {"path": "gone"}, 1, 7, 1]],
}


def read(name: str) -> bytes:
    if name == "gone":
        raise OSError(name)
    return synthetic.png()


def test_the_two_tables_are_known_by_their_columns() -> None:
    other = {"columns": ["a", "b"], "data": [[1, 2]]}
    found = from_tables([(other, read), (IMAGES, read), (COUNTS, read)])
    assert found is not None
    assert found.confusion is not None
    assert (found.confusion.labels, found.confusion.counts, found.confusion.total) == (("a", "b"), ((3, 1), (0, 2)), 6)
    assert [(one.index, one.label, one.prediction) for one in found.mistakes] == [(2, "4", "9"), (1, "3", "5")]


def test_the_first_of_a_kind_is_taken_and_nothing_is_none() -> None:
    newer = COUNTS | {"data": [["x", "x", 9]]}
    found = from_tables([(newer, read), (COUNTS, read)])
    assert found is not None
    assert found.confusion is not None
    assert found.confusion.labels == ("x",)
    assert from_tables([]) is from_tables([({"columns": []}, read)]) is None
