from dataclasses import replace

from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import Objective, RunRecord, SweepInfo
from mnist_sweep.review.table import runs_table
from mnist_sweep.search.goal import Goal
from tests.review import synthetic


def test_ranked_rows_come_first_and_the_others_say_why_not() -> None:
    runs = synthetic.ranking(40)
    table = runs_table(runs)
    keys = ["id", "url", "colour", *(column.key for column in table.columns)]
    rows = [dict(zip(keys, row, strict=True)) for row in table.rows]
    ranks = [row["rank"] for row in rows]
    ranked = [rank for rank in ranks if rank]
    assert ranked == list(range(1, len(ranked) + 1))
    assert ranks[len(ranked) :] == [None] * (40 - len(ranked))
    assert all(row["reason"] for row in rows if row["status"] not in ("finished", "running"))
    shown = [column.label for column in table.columns if column.shown]
    assert shown[:6] == ["rank", "run", "status", "val/accuracy", "parameters", "time"]
    assert {"max_lr", "dropout", "c1"} <= set(shown)
    assert "model" not in shown


def test_the_best_over_the_epochs_is_shown_where_some_run_was_better_before_its_end() -> None:
    records = synthetic.sweep(40)
    first = next(record for record in records if "best/val/accuracy" in record.summary)
    better = replace(first, summary={**first.summary, "best/val/accuracy": 0.999})
    found = rank(synthetic.info(), [better, *(record for record in records if record is not first)])
    shown = [column.label for column in runs_table(found).columns if column.shown]
    assert shown[3:6] == ["val/accuracy", "best over epochs", "at epoch"]


def test_columns_come_from_what_the_runs_have() -> None:
    info = SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE)
    runs = [
        RunRecord(id=name, summary={"loss": value}, config={"depth": 3}) for name, value in (("a", 1.0), ("b", 2.0))
    ]
    assert [column.label for column in runs_table(rank(info, runs)).columns] == [
        "rank",
        "run",
        "status",
        "loss",
        "depth",
    ]
    unnamed = [RunRecord(id="a", summary={"loss": 1.0})]
    assert [column.label for column in runs_table(rank(SweepInfo(id="s"), unnamed)).columns] == [
        "run",
        "status",
        "loss",
    ]


def test_a_fraction_is_beside_the_metric_and_the_proxy_until_it_is_logged() -> None:
    info = SweepInfo(id="s", metric="objective", goal=Goal.MINIMIZE)
    summary = {"val/loss": 0.05, "val/accuracy": 0.98}
    live = RunRecord(id="a", state="running", summary=summary)
    columns = [column.label for column in runs_table(rank(info, [live])).columns if column.shown]
    assert columns[:4] == ["run", "status", "val/loss", "val/accuracy"]
    done = RunRecord(id="b", summary=summary | {"objective": 0.04})
    columns = [column.label for column in runs_table(rank(info, [done])).columns if column.shown]
    assert columns == ["rank", "run", "status", "objective", "val/accuracy"]


def test_without_a_metric_a_reason_is_a_note() -> None:
    failed = RunRecord(id="a", state="failed", summary={"loss": 1.0})
    labels = [column.label for column in runs_table(rank(SweepInfo(id="s"), [failed])).columns]
    assert "note" in labels
    assert "why not ranked" not in labels


def test_a_second_metric_is_written_like_a_metric_and_a_number_of_parameters_like_a_count() -> None:
    for latency, kind in ((14.3, "metric"), (14.0, "count")):
        info = SweepInfo(id="s", metric="loss", second=Objective("latency_ms"))
        table = runs_table(rank(info, [RunRecord(id="a", summary={"loss": 0.1, "latency_ms": latency})]))
        assert [column.kind for column in table.columns if column.label == "latency_ms"] == [kind]
