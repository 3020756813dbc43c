from __future__ import annotations

import itertools
import json
import statistics
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest

from mnist_sweep.review import figures
from mnist_sweep.review.figures.progress import expected_best
from mnist_sweep.review.figures.tradeoff import pareto_front
from mnist_sweep.review.importance import importance
from mnist_sweep.review.records import RunRecord, SweepInfo, number, ranked, value_of
from tests.review import synthetic

INFO = synthetic.info()
RUNS = synthetic.sweep(80)
RANKED = ranked(RUNS, INFO)


def every_figure(records: list[RunRecord], info: SweepInfo) -> dict[str, Any]:
    found = {
        "parallel": figures.parallel_coordinates(records, info),
        "importance": figures.importance_bars(importance(records, info)),
        "slices": figures.slices(records, info),
        "tradeoff": figures.tradeoff(records, info),
        "best": figures.best_so_far(records, info, synthetic.sweep(20, seed=5)),
        "curves": figures.learning_curves(records, info),
        "timeline": figures.timeline(records, info),
        "confusion": next((figures.confusion_matrix(r.confusion) for r in records if r.confusion), None),
    }
    return {name: figure for name, figure in found.items() if figure is not None}


@pytest.mark.parametrize("count", [0, 1, 2, 9, 80])
def test_plotly_accepts_every_figure_whatever_the_number_of_runs(count: int) -> None:
    for figure in every_figure(synthetic.sweep(count), INFO).values():
        go.Figure(figure)  # raises on an unknown property or an impossible value
        json.dumps(figure, allow_nan=False)


def test_figures_of_runs_that_report_next_to_nothing() -> None:
    bare = [RunRecord(f"r{i}", summary={"loss": float(i)}) for i in range(3)]
    info = SweepInfo(id="s", metric="loss", goal="minimize")
    found = every_figure(bare, info)
    assert "tradeoff" not in found
    assert "timeline" not in found
    for figure in found.values():
        go.Figure(figure)


def test_parallel_coordinates_hold_the_ranked_runs_with_log_axes_where_the_search_is_logarithmic() -> None:
    trace = figures.parallel_coordinates(RUNS, INFO)["data"][0]
    assert set(trace["ids"]) == {run.id for run in RANKED}
    assert trace["ids"][-1] == RANKED[0].id  # the best is drawn last, on top
    labels = [dimension["label"] for dimension in trace["dimensions"]]
    assert labels == [*(field.name for field in INFO.fields), "parameters", "val/accuracy"]
    rate = trace["dimensions"][0]
    assert 10 ** rate["values"][-1] == pytest.approx(RANKED[0].config["max_lr"])
    assert "0.1" in rate["ticktext"]
    assert rate["tickvals"][rate["ticktext"].index("0.1")] == pytest.approx(-1)


def test_the_front_is_what_nothing_beats_in_both() -> None:
    front = pareto_front(RUNS, INFO)
    points = [(number(r.summary["parameters"]), value_of(r, INFO.metric)) for r in RANKED]
    beaten = [any(n <= size and v >= value and (n, v) != (size, value) for n, v in points) for size, value in points]
    assert {r.id for r in front} == {r.id for r, lost in zip(RANKED, beaten, strict=True) if not lost}


def test_the_limit_is_what_the_runs_report() -> None:
    assert figures.parameter_limit(RUNS) == 10_000
    assert figures.parameter_limit([RunRecord("r", summary={"parameters": 5})]) is None
    assert "limit 10,000" in json.dumps(figures.tradeoff(RUNS, INFO))


def test_best_so_far_only_ever_improves_and_ends_at_the_best() -> None:
    line = figures.best_so_far(RUNS, INFO)["data"][-1]
    assert line["y"] == sorted(line["y"])
    assert line["y"][-1] == value_of(RANKED[0], INFO.metric)
    loss = replace(INFO, metric="val/loss", goal="minimize")
    down = figures.best_so_far(RUNS, loss)["data"][-1]["y"]
    assert down == sorted(down, reverse=True)


def test_expected_best_of_random_search_is_the_quantile_over_all_orders() -> None:
    values = [0.3, 0.9, 0.5, 0.7]
    orders = [list(itertools.accumulate(order, max)) for order in itertools.permutations(values)]
    for quantile in (0.1, 0.5, 0.9):
        exact = []
        for n in range(len(values)):
            best = sorted(order[n] for order in orders)
            exact.append(best[max(round(quantile * len(best) + 0.4999999) - 1, 0)])
        assert expected_best(values, quantile) == exact
    assert expected_best(values, 0.5, sign=-1.0)[0] in values
    assert expected_best(values, 0.5, sign=-1.0)[-1] == 0.3
    assert statistics.median(values) >= expected_best(values, 0.5)[0]


def test_curves_of_many_runs_are_a_handful_of_traces() -> None:
    traces = figures.learning_curves(RUNS, INFO)["data"]
    assert len(traces) <= 2 * 10
    drawn = {run for trace in traces for run in trace["meta"]["runs"]}
    assert drawn == {run.id for run in RUNS if run.history}
    best = [trace for trace in traces if trace["meta"]["runs"] == [RANKED[0].id]]
    assert [trace["meta"]["column"] for trace in best] == ["y", "lr"]
    assert best[0]["y"] == [row["val/accuracy"] for row in RANKED[0].history]


def test_curves_end_below_the_top_even_where_the_best_epoch_is_not_the_last() -> None:
    first, *others = RANKED
    history = [dict(row) for row in first.history]
    history[-2]["val/accuracy"] = 0.9999
    figure = figures.learning_curves([replace(first, history=history), *others], INFO)
    assert figure["layout"]["yaxis"]["range"][1] > 0.9999


def test_timeline_has_a_lane_an_agent_and_a_bar_a_trial() -> None:
    figure = figures.timeline(RUNS, INFO)
    assert figure is not None
    lanes = {lane for trace in figure["data"] for lane in trace["y"]}
    assert lanes == {"agent-1", "agent-2"}
    assert sum(len(trace["x"]) for trace in figure["data"]) == len(RUNS)


def test_a_name_is_never_markup() -> None:
    evil = [replace(run, name="<b>x</b><script>") for run in RUNS]
    assert "<script>" not in json.dumps(every_figure(evil, INFO))


def test_a_few_hopeless_runs_do_not_squash_the_axis() -> None:
    from mnist_sweep.review.figures.style import robust_range

    good = [0.990 + 0.0001 * i for i in range(50)]
    span = robust_range([0.1, 0.2, *good], 1.0)
    assert span is not None
    assert span[0] > 0.98
