from mnist_sweep.review import figures
from mnist_sweep.review.mistakes import Confusion


def test_the_counts_of_a_confusion_matrix_stand_in_the_colour_of_the_page() -> None:
    heat, counts = figures.confusion_matrix(Confusion(("a", "b"), ((7, 2), (0, 9))))["data"]
    assert sorted(zip(counts["y"], counts["x"], counts["text"], strict=True)) == [
        ("a", "a", "7"),
        ("a", "b", "2"),
        ("b", "b", "9"),
    ]
    assert "color" not in counts["textfont"]
    assert heat["z"] == [[None, 2], [None, None]]
