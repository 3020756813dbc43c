from dataclasses import replace

import pytest

from mnist_sweep.review import figures
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import SweepField
from tests.review.figures.common import INFO, RANKED, RANKING, RUNS, drawn


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
    info = replace(INFO, fields=(SweepField(name="base", kind="categorical", choices=choices),))
    runs = [replace(run, config={**run.config, "base": choices[i % 3]}) for i, run in enumerate(RUNS)]
    base = drawn(figures.parallel_coordinates(rank(info, runs)))["data"][0]["dimensions"][0]
    axis = drawn(figures.slices(rank(info, runs)))["layout"]["xaxis"]
    assert base["ticktext"] == axis["ticktext"] == ["plain", "c1=7 c2=14 squeez…", "c1=9 c2=14 squeez…"]
    assert axis["tickvals"] == list(choices)
