from datetime import UTC, datetime, timedelta

from mnist_sweep.review import figures
from mnist_sweep.review.figures.timeline import lanes
from mnist_sweep.review.records import RunRecord
from tests.review.figures.common import RANKING, RUNS, drawn

START = datetime(2030, 1, 1, tzinfo=UTC)


def run(name: str, begin: int, end: int, host: str = "") -> RunRecord:
    at = [START + timedelta(seconds=seconds) for seconds in (begin, end)]
    return RunRecord(id=name, created_at=at[0], finished_at=at[1], host=host)


def test_trials_at_the_same_time_on_a_host_have_lanes_of_their_own() -> None:
    runs = [run("a", 0, 10, "desk"), run("b", 5, 20, "desk"), run("c", 10, 15, "desk"), run("d", 0, 30, "node")]
    assert lanes(runs) == {"a": "desk 1", "c": "desk 1", "b": "desk 2", "d": "node"}


def test_without_a_host_there_are_agents_and_without_a_start_there_is_no_lane() -> None:
    assert lanes([run("a", 0, 10), RunRecord(id="b")]) == {"a": "agent"}


def test_timeline_has_a_lane_for_each_trial_at_the_same_time_and_a_bar_per_trial() -> None:
    figure = drawn(figures.timeline(RANKING))
    lanes = {lane for trace in figure["data"] for lane in trace["y"]}
    assert lanes == {"agent-1", "agent-2"}
    assert sum(len(trace["x"]) for trace in figure["data"]) == len(RUNS)
