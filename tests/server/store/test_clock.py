"""Times as text."""

from mnist_sweep.server.store import clock


def test_times_as_text_have_milliseconds_and_the_order_of_time() -> None:
    assert clock.as_text(0.125) == "1970-01-01T00:00:00.125Z"
    assert clock.as_text(1769851800) == "2026-01-31T09:30:00.000Z"
    seconds = [0, 0.001, 59.999, 60, 1e9, 1.5e9]
    assert sorted(map(clock.as_text, seconds)) == [clock.as_text(second) for second in seconds]
    assert clock.now(seconds_ago=100) < clock.now()
