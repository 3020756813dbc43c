from mnist_sweep.review.figures.style import outside_note, robust_range, whole_ticks, x_axis
from mnist_sweep.search.goal import Goal


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


def test_a_few_hopeless_runs_do_not_squash_the_axis() -> None:
    good = [0.990 + 0.0001 * i for i in range(50)]
    span = robust_range([0.1, 0.2, *good], Goal.MAXIMIZE)
    assert span is not None
    assert span[0] > 0.98


def test_whole_numbers_have_a_tick_each_where_they_are_few() -> None:
    assert [x_axis("epoch", [1.0, last]).get("dtick") for last in (3.0, 15.0, 100.0)] == [1, 2, None]
