import json

from mnist_sweep.review import figures
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import Objective, RunRecord, SweepInfo
from mnist_sweep.search.goal import Goal
from tests.review.figures.common import RANKING, drawn


def test_two_objectives_are_drawn_with_all_of_their_front_in_view() -> None:
    info = SweepInfo(id="s", metric="acc", goal=Goal.MAXIMIZE, second=Objective("seconds"))
    points = [(0.1, 1.0), *((0.9 + i / 1000, 5.0 + i) for i in range(12))]
    runs = [RunRecord(id=str(i), summary={"acc": acc, "seconds": s}) for i, (acc, s) in enumerate(points)]
    ranking = rank(info, runs)
    figure = figures.tradeoff(ranking)
    assert figure is not None
    front = figure["data"][0]
    assert (front["x"][0], front["y"][0]) == (1.0, 0.1)
    assert len(front["x"]) == len(ranking.front) == 13
    assert figure["layout"]["yaxis"]["range"][0] < 0.1
    assert figure["layout"]["xaxis"]["title"]["text"] == "seconds"


def test_the_limit_is_what_the_runs_report() -> None:
    assert "at most 9,999" in json.dumps(figures.tradeoff(RANKING))
    assert drawn(figures.tradeoff(RANKING))["layout"]["shapes"][0]["x0"] == 9999


def test_networks_of_one_size_get_no_tick_for_every_number_up_to_the_limit() -> None:
    """Such an axis had thousands of ticks, and a browser took minutes to draw them."""
    runs = [
        RunRecord(id=str(i), summary={"objective": 0.1 + i, "parameters": 1384, "constraint/parameters": 1384 - 9999})
        for i in range(2)
    ]
    ranking = rank(SweepInfo(id="s", metric="objective"), runs)
    figure = figures.tradeoff(ranking)
    assert figure is not None
    assert figure["layout"]["shapes"][0]["x0"] == ranking.presentation.limit == 9999
    assert "dtick" not in figure["layout"]["xaxis"]
