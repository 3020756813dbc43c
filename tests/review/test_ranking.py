from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import Objective, RunRecord, SweepInfo
from mnist_sweep.review.status import Status
from mnist_sweep.search.goal import Goal
from tests.review import synthetic

METRIC = "val/accuracy"
INFO = SweepInfo(id="s", metric=METRIC)
LOSS = SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE)


def run(name: str, value: float, size: int = 5000, **more: object) -> RunRecord:
    return RunRecord(id=name, summary={METRIC: value, "size": size, "constraint/size": size - 9999, **more})


def test_the_last_value_ranks_then_the_smaller_size_then_the_older_run() -> None:
    runs = [run("large", 0.99, 9000), run("small", 0.99, 5000), run("best", 0.991, 9999), run("small too", 0.99, 5000)]
    start = datetime(2030, 1, 1, tzinfo=UTC)
    aged = [RunRecord(**(vars(record) | {"created_at": start - timedelta(days=i)})) for i, record in enumerate(runs)]
    found = rank(INFO, aged)
    assert [trial.id for trial in found.ranked] == ["best", "small too", "small", "large"]
    assert [trial.rank for trial in found.ranked] == [1, 2, 3, 4]
    assert [trial.id for trial in found.trials] == ["small too", "best", "small", "large"]  # oldest first
    assert [trial.rank for trial in found.trials] == [2, 1, 3, 4]


def test_smaller_is_better_where_the_goal_says_so() -> None:
    found = rank(LOSS, [RunRecord(id="a", summary={"loss": 2.0}), RunRecord(id="b", summary={"loss": 1.0})])
    assert [trial.id for trial in found.ranked] == ["b", "a"]
    assert [point.best for point in found.progress] == [2.0, 1.0]


def test_without_a_metric_nothing_is_ranked_and_nothing_failed() -> None:
    found = rank(SweepInfo(id="s"), [RunRecord(id="a", summary={"loss": 2.0})])
    assert found.ranked == ()
    assert found.best is None
    assert [(trial.status, trial.reason) for trial in found.trials] == [(Status.FINISHED, "")]


def test_only_finished_runs_with_the_metric_are_ranked() -> None:
    others = [
        run("refused", 0.999, 12_000),
        run("cut", 0.999, complete=False),
        run("wild", 0.999, diverged=True),
        RunRecord(id="base", summary={METRIC: 0.999}, tags=("baseline",)),
        RunRecord(id="silent"),
        RunRecord(id="live", state="running", summary={METRIC: 0.999}),
    ]
    found = rank(INFO, [*others, run("good", 0.9)])
    assert [trial.id for trial in found.ranked] == ["good"]
    assert {trial.id for trial in found.trials if trial.reason} == {record.id for record in others} - {"live"}
    assert [trial.id for trial in found.ended] == ["cut", "good", "refused", "silent", "wild"]
    assert found.progress[0].number == 2


def test_best_over_the_epochs_from_the_summary_or_else_the_history() -> None:
    rows = [{"epoch": 1, METRIC: 0.9}, {"epoch": 2, METRIC: 0.95}, {"epoch": 3, METRIC: 0.94}]

    def best(**about: object) -> tuple[float | None, float | None]:
        (trial,) = rank(INFO, [RunRecord(id="r", step_metrics={METRIC: "epoch"}, **about)]).trials  # type: ignore[arg-type]
        return trial.best, trial.best_at

    assert best(history=rows) == (0.95, 2.0)
    assert best(history=rows, summary={"best/val/accuracy": 0.97, "best/epoch": 9}) == (0.97, 9.0)
    assert best() == (None, None)


def test_the_front_is_what_nothing_beats_in_both() -> None:
    found = synthetic.ranking(80)
    points = [(trial.size or 0, trial.value) for trial in found.ranked]
    beaten = [any(n <= size and v >= value and (n, v) != (size, value) for n, v in points) for size, value in points]
    assert {t.id for t in found.front} == {t.id for t, lost in zip(found.ranked, beaten, strict=True) if not lost}
    assert [t.size for t in found.front] == sorted(t.size or 0 for t in found.front)
    assert rank(LOSS, [RunRecord(id="a", summary={"loss": 2.0})]).front == ()


def test_the_metric_is_found_where_the_client_puts_it() -> None:
    """`define_metric(summary="min")` leaves `loss.min`, nested logging `val.loss`."""
    statistics = rank(LOSS, [RunRecord(id=str(v), summary={"loss.min": v, "loss.max": 9.0}) for v in (10.0, 9.0)])
    assert [trial.value for trial in statistics.ranked] == [9.0, 10.0]
    score = SweepInfo(id="s", metric="score", goal=Goal.MAXIMIZE)
    assert rank(score, [RunRecord(id="a", summary={"score.min": 1.0, "score.max": 2.0})]).values == [2.0]
    nested = SweepInfo(id="s", metric="val.loss", goal=Goal.MINIMIZE)
    assert rank(nested, [RunRecord(id="a", summary={"val.loss": 0.5})]).values == [0.5]


def test_two_objectives_rank_what_nothing_beats_in_both_first() -> None:
    info = SweepInfo(id="s", metric="acc", goal=Goal.MAXIMIZE, second=Objective("seconds", Goal.MINIMIZE))
    points = {
        "quick": (0.90, 1.0),
        "slow": (0.95, 9.0),
        "beaten": (0.94, 9.5),
        "middle": (0.92, 3.0),
    }
    ranking = rank(info, [RunRecord(id=name, summary={"acc": a, "seconds": s}) for name, (a, s) in points.items()])
    assert [trial.id for trial in ranking.front] == ["quick", "middle", "slow"]
    assert [trial.id for trial in ranking.ranked] == ["slow", "middle", "quick", "beaten"]
    larger = replace(info, second=Objective("seconds", Goal.MAXIMIZE))
    both = rank(larger, [RunRecord(id=name, summary={"acc": a, "seconds": s}) for name, (a, s) in points.items()])
    assert [trial.id for trial in both.front] == ["beaten", "slow"]


def test_a_running_trial_has_its_proxy_and_a_fraction_until_it_reports_the_metric() -> None:
    """Also without histories, as the live table polls."""
    info = SweepInfo(id="s", metric="objective", goal=Goal.MINIMIZE)
    summary = {"val/loss": 0.05, "val/accuracy": 0.98, "train/accuracy": 0.97, "best/val/accuracy": 0.99}
    live, done = (
        RunRecord(id="l", state="running", summary=summary),
        RunRecord(id="d", summary=summary | {"objective": 0.04}),
    )
    ranking = rank(info, [live, done])
    assert (ranking.presentation.proxy_metric, ranking.presentation.fraction_metric) == ("val/loss", "val/accuracy")
    found = {trial.id: trial for trial in ranking.trials}
    assert (found["l"].value, found["l"].proxy, found["l"].fraction) == (None, 0.05, 0.98)
    assert ranking.show_fraction(found["d"]) == "98.00 % val/accuracy"
    assert rank(replace(info, metric="val/accuracy"), [done]).presentation.fraction_metric == ""
