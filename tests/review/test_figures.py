from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest

from mnist_sweep.review import figures
from mnist_sweep.review.importance import Sample, measure
from mnist_sweep.review.mistakes import Confusion
from mnist_sweep.review.ranking import Ranking, rank
from mnist_sweep.review.records import RunRecord, SweepField, SweepInfo
from mnist_sweep.search.goal import Goal
from tests.review import synthetic

INFO = synthetic.info()
RUNS = synthetic.sweep(80)
RANKING = rank(INFO, RUNS)
RANKED = RANKING.ranked


def every_figure(ranking: Ranking) -> dict[str, Any]:
    confusion = synthetic.mistakes().confusion
    assert confusion is not None
    found = {
        "parallel": figures.parallel_coordinates(ranking),
        "importance": figures.importance_bars(measure(Sample.of(ranking))),
        "slices": figures.slices(ranking),
        "tradeoff": figures.tradeoff(ranking),
        "best": figures.best_so_far(ranking, synthetic.ranking(20, seed=5).values),
        "curves": figures.learning_curves(ranking),
        "timeline": figures.timeline(ranking),
        "confusion": figures.confusion_matrix(confusion),
        "run": next((figures.run_curves(trial.record) for trial in ranking.ranked), None),
    }
    return {name: figure for name, figure in found.items() if figure is not None}


def drawn(figure: figures.Figure | None) -> figures.Figure:
    assert figure is not None
    return figure


@pytest.mark.parametrize("count", [0, 1, 2, 9, 80])
def test_plotly_accepts_every_figure_whatever_the_number_of_runs(count: int) -> None:
    for figure in every_figure(synthetic.ranking(count)).values():
        go.Figure(figure)  # raises on an unknown property or an impossible value
        json.dumps(figure, allow_nan=False)


def test_figures_of_runs_that_report_next_to_nothing() -> None:
    bare = [RunRecord(f"r{i}", summary={"loss": float(i)}) for i in range(3)]
    info = SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE)
    found = every_figure(rank(info, bare))
    assert set(found) == {"best", "confusion"}
    for figure in found.values():
        go.Figure(figure)


def test_parallel_coordinates_hold_the_ranked_runs_with_log_axes_where_the_search_is_logarithmic() -> None:
    trace = drawn(figures.parallel_coordinates(RANKING))["data"][0]
    assert set(trace["ids"]) == {run.id for run in RANKED}
    assert trace["ids"][-1] == RANKED[0].id  # the best is drawn last, on top
    labels = [dimension["label"] for dimension in trace["dimensions"]]
    assert labels == [*(field.name for field in INFO.fields), "parameters", "val/accuracy"]
    rate = trace["dimensions"][0]
    assert 10 ** rate["values"][-1] == pytest.approx(RANKED[0].record.config["max_lr"])
    assert "0.1" in rate["ticktext"]
    assert rate["tickvals"][rate["ticktext"].index("0.1")] == pytest.approx(-1)


def test_long_choices_leave_room_for_the_figure() -> None:
    choices = ("plain", *(f"c1={width} c2=14 squeeze=0 c3=15 c4=18" for width in (7, 9)))
    info = replace(INFO, fields=(SweepField("base", "categorical", choices=choices),))
    runs = [replace(run, config={**run.config, "base": choices[i % 3]}) for i, run in enumerate(RUNS)]
    base = drawn(figures.parallel_coordinates(rank(info, runs)))["data"][0]["dimensions"][0]
    axis = drawn(figures.slices(rank(info, runs)))["layout"]["xaxis"]
    assert base["ticktext"] == axis["ticktext"] == ["plain", "c1=7 c2=14 squeez…", "c1=9 c2=14 squeez…"]
    assert axis["tickvals"] == list(choices)


def test_the_limit_is_what_the_runs_report() -> None:
    assert "at most 9,999" in json.dumps(figures.tradeoff(RANKING))
    assert drawn(figures.tradeoff(RANKING))["layout"]["shapes"][0]["x0"] == 9999


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


def test_timeline_has_a_lane_for_each_trial_at_the_same_time_and_a_bar_per_trial() -> None:
    figure = drawn(figures.timeline(RANKING))
    lanes = {lane for trace in figure["data"] for lane in trace["y"]}
    assert lanes == {"agent-1", "agent-2"}
    assert sum(len(trace["x"]) for trace in figure["data"]) == len(RUNS)


def test_a_name_is_never_markup() -> None:
    evil = [replace(run, name="<b>x</b><script>") for run in RUNS]
    assert "<script>" not in json.dumps(every_figure(rank(INFO, evil)))


def test_a_few_hopeless_runs_do_not_squash_the_axis() -> None:
    from mnist_sweep.review.figures.style import robust_range

    good = [0.990 + 0.0001 * i for i in range(50)]
    span = robust_range([0.1, 0.2, *good], Goal.MAXIMIZE)
    assert span is not None
    assert span[0] > 0.98


def run_of(rows: list[dict[str, Any]], **about: Any) -> RunRecord:
    return RunRecord("r", history=rows, **about)


def test_a_run_is_drawn_over_the_step_metric_it_defined_else_over_its_steps() -> None:
    """Several rows an epoch gave zigzag lines over `epoch`."""
    rows = [{"_step": i, "epoch": i // 4, "loss": 1 / (i + 1), "val/loss": 2.0} for i in range(12)]
    plain = drawn(figures.run_curves(run_of(rows)))
    assert {trace["meta"]["x"] for trace in plain["data"]} == {"_step"}
    assert plain["data"][0]["x"] == [float(i) for i in range(12)]
    own = drawn(figures.run_curves(run_of(rows, step_metrics={"val/loss": "epoch"})))
    assert {trace["name"]: trace["meta"]["x"] for trace in own["data"]} == {"val/loss": "epoch", "loss": "_step"}
    points = figures.logged_points(run_of(rows))
    assert figures.axes(run_of(rows), points) == ["_step", "epoch"]  # no accuracy that happens to rise


def test_one_row_is_no_curve() -> None:
    assert figures.run_curves(run_of([{"_step": 0, "loss": 1.0}])) is None
    single = [RunRecord(f"r{i}", summary={"loss": 1.0 * i}, history=[{"_step": 0, "loss": 1.0 * i}]) for i in range(4)]
    assert figures.learning_curves(rank(SweepInfo(id="s", metric="loss"), single)) is None


def test_of_four_trials_the_curves_are_seen_and_not_their_ends_alone() -> None:
    rows = [[{"_step": i, "loss": 1.0 / (i + 1) + 0.01 * run} for i in range(15)] for run in range(4)]
    records = [RunRecord(f"r{i}", summary={"loss": row[-1]["loss"]}, history=row) for i, row in enumerate(rows)]
    figure = drawn(figures.learning_curves(rank(SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE), records)))
    low, high = figure["layout"]["yaxis"]["range"]
    inside = [low <= y <= high for trace in figure["data"] for y in trace["y"]]
    assert sum(inside) > 0.5 * len(inside)


def test_whole_numbers_have_a_tick_each_where_they_are_few() -> None:
    from mnist_sweep.review.figures.style import x_axis

    assert [x_axis("epoch", [1.0, last]).get("dtick") for last in (3.0, 15.0, 100.0)] == [1, 2, None]


def test_the_counts_of_a_confusion_matrix_stand_in_the_colour_of_the_page() -> None:
    heat, counts = figures.confusion_matrix(Confusion(("a", "b"), ((7, 2), (0, 9))))["data"]
    assert sorted(zip(counts["y"], counts["x"], counts["text"], strict=True)) == [
        ("a", "a", "7"),
        ("a", "b", "2"),
        ("b", "b", "9"),
    ]
    assert "color" not in counts["textfont"]
    assert heat["z"] == [[None, 2], [None, None]]


def test_only_loops_that_log_a_rate_have_a_panel_for_it() -> None:
    rows = [{"_step": i, "loss": 1.0 / (i + 1)} for i in range(3)]
    info = SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE)
    bare = drawn(figures.learning_curves(rank(info, [run_of(rows, summary={"loss": 0.3})])))
    assert "yaxis2" not in bare["layout"]
    rated = [row | {"optim/learning_rate": 0.1} for row in rows]
    figure = drawn(figures.learning_curves(rank(info, [run_of(rated, summary={"loss": 0.3})])))
    assert figure["layout"]["yaxis2"]["title"]["text"] == "optim/learning_rate"


def test_what_the_machine_measured_is_drawn_over_seconds_where_it_changed() -> None:
    rows = [{"_runtime": 2.0 * i, "system.cpu": 10.0 * i, "system.disk": 5.0, "system.gpu.0": None} for i in range(4)]
    figure = drawn(figures.system_curves(run_of(rows)))
    assert [(trace["name"], trace["x"]) for trace in figure["data"]] == [("cpu", [0.0, 2.0, 4.0, 6.0])]
    assert figures.system_curves(run_of([])) is None


def test_a_metric_that_is_logged_at_the_end_leaves_the_curves_to_held_out_data() -> None:
    info = SweepInfo(id="s", metric="score", goal=Goal.MINIMIZE)
    rows = [{"_step": n, "val/loss": 0.3 - 0.1 * n, "lr": 0.1} for n in range(2)]
    ranking = rank(info, [run_of([*rows, {"_step": 2, "score": 0.15}], summary={"score": 0.15})])
    figure = drawn(figures.learning_curves(ranking))
    assert figure["data"][0]["y"] == pytest.approx([0.3, 0.2])
    assert figure["layout"]["yaxis"]["title"]["text"] == "val/loss"
    panels = drawn(figures.run_curves(ranking.trials[0].record))
    assert {trace["name"] for trace in panels["data"]} == {"val/loss", "lr"}  # one point is no curve
