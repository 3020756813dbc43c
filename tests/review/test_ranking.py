from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mnist_sweep.review.ranking import rank, short_names
from mnist_sweep.review.records import RunRecord, SweepInfo
from mnist_sweep.review.status import Status
from tests.review import synthetic

METRIC = "val/accuracy"
INFO = SweepInfo("s", metric=METRIC)
LOSS = SweepInfo("s", metric="loss", goal="minimize")


def run(name: str, value: float, size: int = 5000, **more: object) -> RunRecord:
    return RunRecord(name, summary={METRIC: value, "size": size, "constraint/size": size - 9999, **more})


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
    found = rank(LOSS, [RunRecord("a", summary={"loss": 2.0}), RunRecord("b", summary={"loss": 1.0})])
    assert [trial.id for trial in found.ranked] == ["b", "a"]
    assert [point.best for point in found.progress] == [2.0, 1.0]


def test_without_a_metric_nothing_is_ranked_and_nothing_failed() -> None:
    found = rank(SweepInfo("s"), [RunRecord("a", summary={"loss": 2.0})])
    assert found.ranked == ()
    assert found.best is None
    assert [(trial.status, trial.reason) for trial in found.trials] == [(Status.FINISHED, "")]


def test_only_finished_runs_with_the_metric_are_ranked() -> None:
    others = [
        run("refused", 0.999, 12_000),
        run("cut", 0.999, complete=False),
        run("wild", 0.999, diverged=True),
        RunRecord("base", summary={METRIC: 0.999}, tags=("baseline",)),
        RunRecord("silent"),
        RunRecord("live", state="running", summary={METRIC: 0.999}),
    ]
    found = rank(INFO, [*others, run("good", 0.9)])
    assert [trial.id for trial in found.ranked] == ["good"]
    assert {trial.id for trial in found.trials if trial.reason} == {record.id for record in others} - {"live"}
    assert [trial.id for trial in found.ended] == ["cut", "good", "refused", "silent", "wild"]
    assert found.progress[0].proposal == 2


def test_best_over_the_epochs_from_the_summary_or_else_the_history() -> None:
    rows = [{"epoch": 1, METRIC: 0.9}, {"epoch": 2, METRIC: 0.95}, {"epoch": 3, METRIC: 0.94}]

    def best(**about: object) -> tuple[float | None, float | None]:
        (trial,) = rank(INFO, [RunRecord("r", step_metrics={METRIC: "epoch"}, **about)]).trials  # type: ignore[arg-type]
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
    assert rank(LOSS, [RunRecord("a", summary={"loss": 2.0})]).front == ()


def test_short_names_leave_out_what_all_have_in_common_and_know_exponents() -> None:
    def found(*names: str) -> list[str]:
        return list(short_names(rank(INFO, [run(name, 0.9) for name in names]).trials).values())

    assert found("lr0.1-wd1e-06-na3-r0-120p", "lr0.2-wd1e-06-na2-r0-130p") == ["lr0.1-na3-120p", "lr0.2-na2-130p"]
    refused = RunRecord("over-budget-10613p", summary={"feasible": False, "constraint/size": 614})
    trials = rank(INFO, [run("lr0.1-r0-120p", 0.9), run("lr0.2-r0-130p", 0.9), refused]).trials
    assert set(short_names(trials).values()) == {"lr0.1-120p", "lr0.2-130p", "over-budget-10613p"}
    assert found("calm-moon-1", "calm-sun-1") == ["calm-moon-1", "calm-sun-1"]  # no names of ours
