from __future__ import annotations

from mnist_sweep.review.figures.style import outside_note, whole_ticks


def test_whole_numbers_have_no_ticks_between_them() -> None:
    assert whole_ticks([1.0, 4.0])["dtick"] == 1
    assert whole_ticks([0, 15])["dtick"] == 2
    assert "dtick" not in whole_ticks([0, 500])
    assert whole_ticks([0.5, 4.0]) == whole_ticks([]) == {}


def test_values_outside_the_axis_are_counted_at_its_edge() -> None:
    below, above = outside_note({"range": [0.0, 1.0]}, [-2, -1, 0.5, 7], "trials outside")
    assert below["text"].startswith("▼ trials outside: 2")
    assert above["text"].startswith("▲ trials outside: 1")
    assert outside_note({"range": [0.0, 1.0]}, [0.5], "runs") == outside_note({}, [5.0], "runs") == []
