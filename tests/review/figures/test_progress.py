from dataclasses import replace

import pytest

from mnist_sweep.review import figures
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import RunRecord, SweepInfo
from mnist_sweep.search.goal import Goal
from tests.review.figures.common import INFO, RANKED, RANKING, RUNS, drawn, run_of


def test_best_so_far_only_ever_improves_and_ends_at_the_best() -> None:
    line = drawn(figures.best_so_far(RANKING))["data"][-1]
    assert line["y"] == sorted(line["y"])
    assert line["y"][-1] == RANKED[0].value
    loss = replace(INFO, metric="val/loss", goal=Goal.MINIMIZE)
    down = drawn(figures.best_so_far(rank(loss, RUNS)))["data"][-1]["y"]
    assert down == sorted(down, reverse=True)


def test_curves_of_many_runs_are_a_handful_of_traces() -> None:
    traces = drawn(figures.learning_curves(RANKING))["data"]
    assert len(traces) <= 2 * 10
    shown = {run for trace in traces for run in trace["meta"]["runs"]}
    assert shown == {run.id for run in RUNS if run.history}
    best = [trace for trace in traces if trace["meta"]["runs"] == [RANKED[0].id]]
    assert [trace["meta"]["column"] for trace in best] == ["y", "rate"]
    assert best[0]["y"] == [row["val/accuracy"] for row in RANKED[0].record.history]


def test_curves_end_below_the_top_even_where_the_best_epoch_is_not_the_last() -> None:
    first, *others = (trial.record for trial in RANKED)
    history = [dict(row) for row in first.history]
    history[-2]["val/accuracy"] = 0.9999
    figure = drawn(figures.learning_curves(rank(INFO, [replace(first, history=history), *others])))
    assert figure["layout"]["yaxis"]["range"][1] > 0.9999


def test_one_row_is_no_curve() -> None:
    assert figures.run_curves(run_of([{"_step": 0, "loss": 1.0}])) is None
    single = [
        RunRecord(id=f"r{i}", summary={"loss": 1.0 * i}, history=[{"_step": 0, "loss": 1.0 * i}]) for i in range(4)
    ]
    assert figures.learning_curves(rank(SweepInfo(id="s", metric="loss"), single)) is None


def test_of_four_trials_the_curves_are_seen_and_not_their_ends_alone() -> None:
    rows = [[{"_step": i, "loss": 1.0 / (i + 1) + 0.01 * run} for i in range(15)] for run in range(4)]
    records = [RunRecord(id=f"r{i}", summary={"loss": row[-1]["loss"]}, history=row) for i, row in enumerate(rows)]
    figure = drawn(figures.learning_curves(rank(SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE), records)))
    low, high = figure["layout"]["yaxis"]["range"]
    inside = [low <= y <= high for trace in figure["data"] for y in trace["y"]]
    assert sum(inside) > 0.5 * len(inside)


def test_only_loops_that_log_a_rate_have_a_panel_for_it() -> None:
    rows = [{"_step": i, "loss": 1.0 / (i + 1)} for i in range(3)]
    info = SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE)
    bare = drawn(figures.learning_curves(rank(info, [run_of(rows, summary={"loss": 0.3})])))
    assert "yaxis2" not in bare["layout"]
    rated = [row | {"optim/learning_rate": 0.1} for row in rows]
    figure = drawn(figures.learning_curves(rank(info, [run_of(rated, summary={"loss": 0.3})])))
    assert figure["layout"]["yaxis2"]["title"]["text"] == "optim/learning_rate"


def test_a_metric_that_is_logged_at_the_end_leaves_the_curves_to_held_out_data() -> None:
    info = SweepInfo(id="s", metric="score", goal=Goal.MINIMIZE)
    rows = [{"_step": n, "val/loss": 0.3 - 0.1 * n, "lr": 0.1} for n in range(2)]
    ranking = rank(info, [run_of([*rows, {"_step": 2, "score": 0.15}], summary={"score": 0.15})])
    figure = drawn(figures.learning_curves(ranking))
    assert figure["data"][0]["y"] == pytest.approx([0.3, 0.2])
    assert figure["layout"]["yaxis"]["title"]["text"] == "val/loss"
    panels = drawn(figures.run_curves(ranking.trials[0].record))
    assert {trace["name"] for trace in panels["data"]} == {"val/loss", "lr"}  # one point is no curve
