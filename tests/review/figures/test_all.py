"""What holds for every figure."""

import json
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest

from mnist_sweep.review import figures
from mnist_sweep.review.importance import Sample, measure
from mnist_sweep.review.ranking import Ranking, rank
from mnist_sweep.review.records import RunRecord, SweepInfo
from mnist_sweep.search.goal import Goal
from tests.review import synthetic
from tests.review.figures.common import INFO, RUNS


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


@pytest.mark.parametrize("count", [0, 1, 2, 9, 80])
def test_plotly_accepts_every_figure_whatever_the_number_of_runs(count: int) -> None:
    for figure in every_figure(synthetic.ranking(count)).values():
        go.Figure(figure)  # raises on an unknown property or an impossible value
        json.dumps(figure, allow_nan=False)


def test_figures_of_runs_that_report_next_to_nothing() -> None:
    bare = [RunRecord(id=f"r{i}", summary={"loss": float(i)}) for i in range(3)]
    info = SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE)
    found = every_figure(rank(info, bare))
    assert set(found) == {"best", "confusion"}
    for figure in found.values():
        go.Figure(figure)


def test_a_name_is_never_markup() -> None:
    evil = [replace(run, name="<b>x</b><script>") for run in RUNS]
    assert "<script>" not in json.dumps(every_figure(rank(INFO, evil)))
