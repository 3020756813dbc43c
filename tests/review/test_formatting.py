from mnist_sweep.review.formatting import counted, duration


def test_durations_as_people_say_them() -> None:
    said = [duration(seconds) for seconds in (4.16, 42, 725, 3600, 12_000)]
    assert said == ["4.2 s", "42 s", "12 min", "1 h 0 min", "3 h 20 min"]


def test_a_noun_is_in_the_plural_unless_there_is_one() -> None:
    assert [counted(number, "run") for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
